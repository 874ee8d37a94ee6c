// SPDX-License-Identifier: Apache-2.0
// vgpu_stub's registers: a guest that writes any of them in any size, with requests in registers,
// by DMA and in a ring, in memory that is mapped, reached by message, read only, the device's own
// registers or gone by then, and a mediator that answers in any order, too much, or comes and goes.
// What must hold: interrupts come from vectors that exist, each entry has at most one completion,
// indices stay within the ring, STATUS is a state, registers that a guest cannot write keep their
// values, and every turn ends.
#include <algorithm>
#include <array>
#include <memory>

#include "base/log.h"
#include "compute/testing/scripted_queue.h"
#include "devices/vgpu_stub/vgpu_stub.h"
#include "pci/testing/slot.h"
#include "tests/fuzz/fuzz.h"

namespace mimic::fuzz {
namespace {

using namespace vgpu_stub;

// The guest's bus. Regions lie side by side, so that transfers cross their borders.
constexpr uint64_t kMapped = 0x0000;    // 0x2000 bytes
constexpr uint64_t kMessages = 0x2000;  // 0x1000 bytes
constexpr uint64_t kReadOnly = 0x3000;  // 0x1000 bytes
constexpr uint64_t kOwnBar = 0x4000;    // BAR0
constexpr uint64_t kEnd = 0x5000;

class Slot final : public pci::FakeSlot {
public:
    explicit Slot(VgpuStub& device) : device_(device) {
        owns_table = false;
        memory.add(kMapped, kMessages - kMapped);
        memory.add(kMessages, kReadOnly - kMessages, memory::FakeMemory::Kind::kByMessage);
        memory.add(kReadOnly, kOwnBar - kReadOnly, memory::FakeMemory::Kind::kMapped,
                   memory::DmaAccess::kRead);
        memory.add(kOwnBar, kEnd - kOwnBar, memory::FakeMemory::Kind::kCopied)
            .written = [this](uint64_t offset, std::span<const std::byte> bytes) {
            const size_t size = std::min<size_t>(bytes.size(), kEnd - kOwnBar - offset);
            device_.write_bar(0, offset, {reinterpret_cast<const uint8_t*>(bytes.data()), size});
        };
    }
    void send_msix(uint32_t vector) override {
        FUZZ_REQUIRE(vector < kVectors);
        FUZZ_REQUIRE(device_.in_d0() && device_.bus_master_enabled());
    }

private:
    VgpuStub& device_;
};

class Guest {
public:
    Guest(VgpuStub& device, Slot& slot, Input& input, bool extensions)
        : device_(device), slot_(slot), input_(input), extensions_(extensions) {
        start();
    }

    void step() {
        const auto op = input_.take<uint8_t>();
        switch (op & 15) {
            case 0:
                return put_entry();
            case 1:
                return set_up();
            case 2:
                return write(RING_TAIL, read(RING_TAIL) + (op >> 4));
            case 3:
                return write(COMPLETION_HEAD, read(COMPLETION_HEAD) + (op >> 4));
            case 4:
                slot_.time.turn();
                return;
            case 5:
                slot_.memory.answer((op & 16) == 0 ? Status()
                                                   : fail(std::errc::io_error, "told so"));
                return;
            case 6:
            case 7:
                return mediator(op >> 4);
            case 8:
                return write_any();
            case 9:
                return read_any();
            case 10:
                write(REQUEST_LEN, input_.take<uint16_t>());
                return write(DOORBELL, 1);
            case 11:
                write(DMA_REQUEST_LO, static_cast<uint32_t>(take_address()));
                write(DMA_REQUEST_LEN, input_.take<uint16_t>());
                write(DMA_RESPONSE_LO, static_cast<uint32_t>(take_address()));
                write(DMA_RESPONSE_SIZE, input_.take<uint16_t>());
                return write(DMA_DOORBELL, 1);
            case 12:
                device_.reset(static_cast<pci::ResetKind>((op >> 4) % 3));
                return start();
            case 13:
                return save_and_restore();
            case 14:
                return config(0x04, input_.take<uint8_t>(), 2);  // bus mastering, too
            default:
                return change(op >> 4);
        }
    }

    void require_invariants() {
        FUZZ_REQUIRE(read(STATUS) <= 3);
        FUZZ_REQUIRE(read(REQUEST_LEN) <= VGPU_BUFFER_SIZE);
        FUZZ_REQUIRE(read(RESPONSE_LEN) <= VGPU_MAX_MESSAGE);
        FUZZ_REQUIRE((read(STATUS) == 3) == (read(ERROR_CODE) != 0));
        FUZZ_REQUIRE(read(VM_ID) == 7 && read(POOL_ID) == 'C' && read(PRIORITY) == 2);
        FUZZ_REQUIRE(read(PROTO_VERSION) == VGPU_PROTOCOL_VERSION && read(DOORBELL) == 0);
        FUZZ_REQUIRE(read(CAPABILITIES) == (extensions_ ? 15U : 1U));
        const uint32_t size = read(RING_SIZE);
        FUZZ_REQUIRE(size <= kMaxRingSize && (size & (size - 1)) == 0 && size != 1);
        FUZZ_REQUIRE(device_.queue() == nullptr ||
                     device_.queue()->in_flight() <= compute::Queue::kMaxInFlight);
        if (read(RING_STATUS) != 1) return;
        FUZZ_REQUIRE(read(RING_TAIL) - read(RING_HEAD) <= size);
        FUZZ_REQUIRE(read(RING_HEAD) - read(COMPLETION_HEAD) <= size);
        // The head may be ahead by what is being written: memory can be polled.
        FUZZ_REQUIRE(read(COMPLETION_TAIL) - read(COMPLETION_HEAD) + size <= 2 * size);
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
    uint32_t read(const reg::Register& reg) {
        uint32_t value = 0;
        device_.read_bar(0, reg.offset, {reinterpret_cast<uint8_t*>(&value), sizeof value});
        return value;
    }
    void write(const reg::Register& reg, uint32_t value) {
        device_.write_bar(0, reg.offset, {reinterpret_cast<const uint8_t*>(&value), sizeof value});
    }
    // Mostly on the bus, sometimes far away.
    uint64_t take_address() {
        const auto value = input_.take<uint16_t>();
        if (value >= 0xfff0) return ~uint64_t{0} - (value & 15);
        return value % (kEnd + 0x100);
    }
    void set_up() {
        write(RING_CTRL, 0);
        write(RING_LO, static_cast<uint32_t>(take_address()));
        write(COMPLETION_LO, static_cast<uint32_t>(take_address()));
        write(RING_SIZE, 1U << input_.take<uint8_t>() % 10);
        write(INTERRUPT_CTRL, 3);
        write(RING_CTRL, 1);
    }
    void put_entry() {
        RingEntry entry{};
        const auto kind = input_.take<uint8_t>();
        entry.request_address = take_address();
        entry.request_length = input_.take<uint8_t>();
        entry.response_address = take_address();
        entry.response_size = input_.take<uint8_t>();
        entry.cookie = kind;
        if ((kind & 7) == 7) entry.flags = 1;
        if (kind == 0xff) entry.request_length <<= 24;
        if (kind == 0xfe) entry.response_size <<= 24;
        const uint64_t slot = input_.take<uint8_t>() % (kMessages / sizeof entry);
        std::memcpy(slot_.memory.at(slot * sizeof entry), &entry, sizeof entry);
    }
    void write_any() {
        const uint64_t at = input_.take<uint16_t>() % kBarSizeBytes;
        const auto size = std::min<uint64_t>(1 + input_.take<uint8_t>() % 16, kBarSizeBytes - at);
        if (const auto data = input_.take_bytes(size); !data.empty())
            device_.write_bar(0, at, data);
    }
    void read_any() {
        std::array<uint8_t, 64> data{};
        const uint64_t at = input_.take<uint16_t>() % kBarSizeBytes;
        const auto size = std::min<uint64_t>(1 + input_.take<uint8_t>() % 64, kBarSizeBytes - at);
        device_.read_bar(0, at, std::span(data).first(size));
    }
    void mediator(unsigned what) {
        auto* const queue = dynamic_cast<compute::ScriptedQueue*>(device_.queue());
        if (queue == nullptr) return;
        if (what == 15) return queue->set_connected(!queue->connected());
        const size_t which = input_.take<uint8_t>();
        std::vector<std::byte> answer(size_t{what} * 96, std::byte{1});
        const auto error = static_cast<vgpu_error>(what > 12 ? what : 0);
        if (queue->in_flight() != 0) queue->answer(which % queue->in_flight(), error, answer);
    }
    void save_and_restore() {
        if (++saves_ > 2) return;  // 550 names each time
        const reg::Snapshot saved = device_.registers().snapshot();
        const bool works = device_.at_work();
        const Status status = device_.restore_registers({&saved, 1});
        FUZZ_REQUIRE(works || status.has_value());
    }
    void change(unsigned what) {
        if (what < 8) {
            slot_.memory.remove((what & 1) != 0 ? kMessages : kReadOnly);
            if ((what & 2) == 0) return;
            if ((what & 1) != 0)
                slot_.memory.add(kMessages, kReadOnly - kMessages);
            else
                slot_.memory.add(kReadOnly, 0x10 + (what & 4) * 0x100);
            return;
        }
        device_.detach();
        device_.attach(slot_);
        start();
    }

    VgpuStub& device_;
    Slot& slot_;
    Input& input_;
    bool extensions_;
    int saves_ = 0;
};

}  // namespace
}  // namespace mimic::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    using namespace mimic;
    using namespace mimic::fuzz;
    log::set_level(log::Level::kOff);
    Input input(data, size);
    const auto kind = input.take<uint8_t>();
    vgpu_stub::Options options;
    options.name = "fuzz";
    options.identity = {.vm_id = 7, .pool_id = 'C', .priority = 2};
    options.extensions = (kind & 1) == 0;
    options.length_error = (kind & 2) == 0 ? VGPU_ERROR_REQUEST_TOO_LARGE
                                           : VGPU_ERROR_INVALID_LENGTH;
    if ((kind & 4) == 0) {
        options.make_queue = [kind](TaskRunner&) -> Result<std::unique_ptr<compute::Queue>> {
            if ((kind & 8) != 0)
                return std::make_unique<compute::ScriptedQueue>(
                    compute::ScriptedQueue::answer_sums);
            return std::make_unique<compute::ScriptedQueue>();
        };
    }
    const bool extensions = options.extensions;
    const auto device = vgpu_stub::VgpuStub::create(std::move(options)).value();
    Slot slot(*device);
    device->attach(slot);
    Guest guest(*device, slot, input, extensions);
    while (!input.empty()) {
        guest.step();
        guest.require_invariants();
    }
    // Every turn ends, and so does all that waits: nothing posts for ever.
    for (int i = 0; i < 1000 && slot.memory.answer(); ++i) slot.time.run();
    FUZZ_REQUIRE(slot.time.run_all() < VirtualTime::kManyTurns);
    device->detach();
    return 0;
}
