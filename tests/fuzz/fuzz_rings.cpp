// SPDX-License-Identifier: Apache-2.0
// mock_accel's DMA engine: a guest that programs rings, descriptors, memory and doorbells as it
// likes, with memory that is mapped, reached by message, read only, the device's own BARs or gone
// by then. What must hold: interrupts come from vectors that exist, no ring gets further behind
// than it is long, rings that do not exist stay zero, and every turn ends.
#include <algorithm>
#include <array>
#include <memory>

#include "base/log.h"
#include "devices/mock_accel/mock_accel.h"
#include "pci/testing/slot.h"
#include "tests/fuzz/fuzz.h"

namespace mimic::fuzz {
namespace {

using namespace mock_accel;

constexpr uint32_t kRings = 3;
constexpr uint64_t kLocalBytes = 0x1000;

// The guest's bus. Regions lie side by side, so that transfers cross their borders.
constexpr uint64_t kMapped = 0x0000;     // 0x2000 bytes
constexpr uint64_t kMessages = 0x2000;   // 0x1000 bytes
constexpr uint64_t kReadOnly = 0x3000;   // 0x1000 bytes
constexpr uint64_t kOwnMemory = 0x4000;  // BAR2
constexpr uint64_t kOwnBar = 0x5000;     // BAR0
constexpr uint64_t kEnd = 0x6000;

class Slot final : public pci::FakeSlot {
public:
    explicit Slot(MockAccel& device) : device_(device) {
        memory.add(kMapped, kMessages - kMapped);
        memory.add(kMessages, kReadOnly - kMessages, memory::FakeMemory::Kind::kByMessage);
        memory.add(kReadOnly, kOwnMemory - kReadOnly, memory::FakeMemory::Kind::kMapped,
                   memory::DmaAccess::kRead);
        memory.add(kOwnMemory, device.device_memory());
        memory.add(kOwnBar, kEnd - kOwnBar, memory::FakeMemory::Kind::kCopied).written =
            [this](uint64_t offset, std::span<const std::byte> bytes) {
                device_.write_bar(0, offset,
                                  {reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()});
            };
    }
    void send_msix(uint32_t vector) override {
        FUZZ_REQUIRE(vector < device_.msix_vectors());
        FUZZ_REQUIRE(device_.in_d0() && device_.bus_master_enabled());
    }

private:
    MockAccel& device_;
};

class Guest {
public:
    Guest(MockAccel& device, Slot& slot, Input& input)
        : device_(device), slot_(slot), input_(input) {
        start();
    }

    void step() {
        const auto op = input_.take<uint8_t>();
        const uint32_t ring = (op >> 4) % kRings;
        switch (op & 15) {
            case 0:
                return put_descriptor();
            case 1:
                return set_up(ring);
            case 2:
            case 3:
                return write(ring, RING_TAIL, input_.take<uint8_t>());
            case 4:
            case 5:
                slot_.time.turn();
                return;
            case 6:
                slot_.memory.answer();
                return;
            case 7:
                slot_.memory.answer(
                    fail((op & 16) != 0 ? std::errc::operation_canceled : std::errc::io_error,
                         "told so"));
                return;
            case 8:
                return write(ring, RING_CONTROL, input_.take<uint8_t>());
            case 9:
                return write_any();
            case 10:
                return write_memory();
            case 11:
                return change_memory(op >> 4);
            case 12:
                // kDetach is detach()'s alone, below.
                device_.reset(static_cast<pci::ResetKind>((op >> 4) % 3));
                return start();
            case 13:
                FUZZ_REQUIRE(device_.restore(device_.snapshot()));
                return;
            case 14:
                return config(0x04, input_.take<uint8_t>(), 2);  // bus mastering, too
            default:
                device_.detach();
                slot_.time.drop_all();
                slot_.memory.remove(kOwnMemory);  // the next client gets another one
                device_.attach(slot_);
                slot_.memory.add(kOwnMemory, device_.device_memory());
                return start();
        }
    }

    void require_invariants() {
        for (uint32_t ring = 0; ring < kMaxRings; ++ring) {
            const uint64_t entries = uint64_t{1} << read(ring, RING_ORDER);
            const uint32_t behind = read(ring, RING_TAIL) - read(ring, RING_HEAD);
            // What a disabled ring still shows may be from before its order was made smaller. One
            // that halted because completions could not be stored may have taken a doorbell for
            // their slots while they were on their way; it does nothing any more.
            FUZZ_REQUIRE(behind <= entries || (read(ring, RING_CONTROL) & 1) == 0 ||
                         (read(ring, RING_STATUS) & 1) != 0);
            FUZZ_REQUIRE(read(ring, RING_ORDER) <= kMaxRingOrder);
            if (ring < kRings) continue;
            FUZZ_REQUIRE(read(ring, RING_BASE) == 0 && read(ring, RING_CONTROL) == 0);
        }
    }

private:
    void config(uint32_t offset, uint32_t value, size_t size) {
        device_.config_write(offset, {reinterpret_cast<const uint8_t*>(&value), size});
    }
    void start() {
        config(0x04, 0x0006, 2);
        for (uint32_t at = 0x34, next = 0; (next = config_byte(at)) != 0; at = next + 1) {
            if (config_byte(next) == 0x11) config(next + 2, 0x8000, 2);
        }
    }
    uint32_t config_byte(uint32_t offset) {
        uint8_t value = 0;
        device_.config_read(offset, {&value, 1});
        return value;
    }
    uint32_t read(uint32_t ring, const reg::Register& reg) {
        uint32_t value = 0;
        device_.read_bar(0, reg.offset + uint64_t{ring} * kRingStride,
                         {reinterpret_cast<uint8_t*>(&value), sizeof value});
        return value;
    }
    void write(uint32_t ring, const reg::Register& reg, uint64_t value) {
        device_.write_bar(0, reg.offset + uint64_t{ring} * kRingStride,
                          {reinterpret_cast<const uint8_t*>(&value), reg.width_bytes()});
    }
    // Mostly on the bus, sometimes far away.
    uint64_t take_address() {
        const auto value = input_.take<uint16_t>();
        if (value >= 0xfff0) return ~uint64_t{0} - (value & 15);
        return value % (kEnd + 0x100);
    }
    void set_up(uint32_t ring) {
        write(ring, RING_CONTROL, 0);
        write(ring, RING_BASE, take_address());
        write(ring, COMPLETION_BASE, take_address());
        write(ring, RING_ORDER, input_.take<uint8_t>() % 8);
        write(ring, RING_CONTROL, input_.take<uint8_t>() | 1);
    }
    void put_descriptor() {
        Descriptor descriptor;
        const auto kind = input_.take<uint8_t>();
        descriptor.opcode = kind & 3;
        descriptor.flags = (kind >> 2) & 15;
        descriptor.reserved = (kind & 0xc0) == 0xc0 ? 1 : 0;
        descriptor.length = input_.take<uint16_t>();
        if (kind == 0x3f) descriptor.length <<= 12;
        descriptor.source = take_address();
        descriptor.destination = take_address();
        descriptor.cookie = input_.take<uint8_t>();
        const uint64_t slot = input_.take<uint8_t>() % 128;
        if (std::byte* const to = slot_.memory.at(slot * sizeof descriptor)) {
            std::memcpy(to, &descriptor, sizeof descriptor);
        }
    }
    void write_any() {
        const uint64_t at = 0x80 + input_.take<uint16_t>() % 0x300;
        if (const auto data = input_.take_bytes(8); !data.empty()) device_.write_bar(0, at, data);
    }
    void write_memory() {
        const uint64_t at = input_.take<uint16_t>() % kOwnBar;
        for (const uint8_t byte : input_.take_bytes(32)) {
            std::byte* const to = slot_.memory.at(at);
            if (to != nullptr) *to = static_cast<std::byte>(byte);
        }
    }
    void change_memory(uint32_t what) {
        slot_.memory.remove((what & 1) != 0 ? kMessages : kReadOnly);
        if ((what & 2) == 0) return;
        if ((what & 1) != 0) {
            slot_.memory.add(kMessages, kReadOnly - kMessages,
                             (what & 4) != 0 ? memory::FakeMemory::Kind::kMapped
                                             : memory::FakeMemory::Kind::kByMessage);
        } else {
            slot_.memory.add(kReadOnly, 0x10 + (what & 4) * 0x100);
        }
    }

    MockAccel& device_;
    Slot& slot_;
    Input& input_;
};

}  // namespace
}  // namespace mimic::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    using namespace mimic;
    using namespace mimic::fuzz;
    log::set_level(log::Level::kOff);
    Input input(data, size);
    auto device = mock_accel::MockAccel::create({.name = "fuzz",
                                                 .identifier = "RINGS",
                                                 .rings = kRings,
                                                 .memory_bar_bytes = kLocalBytes})
                      .value();
    Slot slot(*device);
    device->attach(slot);
    {
        Guest guest(*device, slot, input);
        while (!input.empty()) {
            guest.step();
            guest.require_invariants();
        }
        // A ring may feed itself for ever, by copies to its own doorbell: a few turns only.
        for (int i = 0; i < 8; ++i) {
            slot.time.turn();
            slot.memory.answer();
        }
        guest.require_invariants();
    }
    device->detach();
    device.reset();
    while (slot.memory.answer()) {  // too late for anybody
    }
    slot.time.run(8);
    return 0;
}
