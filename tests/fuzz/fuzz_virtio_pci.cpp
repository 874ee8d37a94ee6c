// SPDX-License-Identifier: Apache-2.0
// virtio-pci as a whole: registers, the window in configuration space, kicks, resets and guest
// memory in any order, on a device that echoes. What must hold: messages come from vectors that
// exist and only of a function that may master the bus, features and the number of queues never
// change, a reset leaves nothing behind, and a driver that starts over gets its answers.
#include <algorithm>
#include <array>
#include <memory>

#include "base/log.h"
#include "tests/fuzz/fuzz.h"
#include "virtio_pci/testing/echo_device.h"
#include "virtio_pci/testing/pci_guest.h"
#include "virtio_pci/virtio_pci.h"

namespace mimic::fuzz {
namespace {

using namespace virtio_pci;

constexpr uint64_t kMapped = 0x0000;  // 0x8000 bytes
constexpr uint64_t kCopied = 0x8000;  // 0x1000 bytes: no queue can be there
constexpr uint64_t kEnd = 0x9000;

class Slot final : public pci::FakeSlot {
public:
    explicit Slot(pci::Function& function) : function_(function) {
        memory.add(kMapped, kCopied - kMapped);
        memory.add(kCopied, kEnd - kCopied, memory::FakeMemory::Kind::kCopied);
    }
    void send_msix(uint32_t vector) override {
        FUZZ_REQUIRE(vector < function_.msix_vectors());
        FUZZ_REQUIRE(function_.in_d0() && function_.bus_master_enabled());
    }
    void set_intx(bool asserted) override { pin = asserted; }

    bool pin = false;

private:
    pci::Function& function_;
};

class Guest {
public:
    Guest(pci::Function& function, EchoDevice& device, Slot& slot, Input& input)
        : function_(function), device_(device), slot_(slot), input_(input) {}

    void step() {
        const auto op = input_.take<uint8_t>();
        const size_t size = size_t{1} << ((op >> 4) & 3);
        switch (op & 15) {
            case 0:
                return write(kCommonOffset + input_.take<uint8_t>() % kCommonBytes, size,
                             input_.take<uint64_t>());
            case 1:
                return write(kCommonOffset + input_.take<uint8_t>() % kCommonBytes, size,
                             input_.take<uint8_t>());
            case 2:
                return write(input_.take<uint16_t>() % kBarBytes, size, input_.take<uint16_t>());
            case 3:
                (void)read(input_.take<uint8_t>() % 2, input_.take<uint16_t>() % kBarBytes, size);
                return;
            case 4:
                return write(kNotifyOffset + (op >> 4) % 4 * kNotifyMultiplier, 2, 0);
            case 5:
                return put_memory();
            case 6:
                return set_up(op >> 4);
            case 7:
                return function_.config_write(input_.take<uint8_t>(), input_.take_bytes(size));
            case 8: {
                std::array<uint8_t, 256> all;
                return function_.config_read(0, all);
            }
            case 9:
                device_.held = (op & 16) != 0;
                return;
            case 10:
                return device_.release();
            case 11:
                return device_.config_changed();
            case 12:
                slot_.time.turn();
                return;
            case 13:
                return aim();
            case 14:
                return write(kCommonOffset + 0x14, 1, 0);
            default:
                return function_.reset(static_cast<pci::ResetKind>((op >> 4) % 3));
        }
    }

    uint64_t read(unsigned bar, uint64_t offset, size_t size) {
        uint64_t value = 0;
        const uint64_t end = function_.bars()[bar].size;
        offset %= end;
        function_.read_bar(bar, offset,
                           {reinterpret_cast<uint8_t*>(&value), std::min(size, end - offset)});
        return value;
    }

private:
    // A transport passes accesses inside the BAR only.
    void write(uint64_t offset, size_t size, uint64_t value) {
        if (!function_.in_d0()) return;
        function_.write_bar(
            kBar, offset,
            {reinterpret_cast<const uint8_t*>(&value), std::min<size_t>(size, kBarBytes - offset)});
    }

    void put_memory() {
        const uint64_t at = input_.take<uint16_t>() % kCopied;
        const auto bytes = input_.take_bytes(input_.take<uint8_t>() % 64);
        std::memcpy(slot_.memory.at(kMapped) + at, bytes.data(),
                    std::min<size_t>(bytes.size(), kCopied - at));
    }

    // What a driver does to get a queue, so that the fuzzer need not find the sequence.
    void set_up(unsigned how) {
        const unsigned queue = how % 4;
        write(kCommonOffset + 0x14, 1, 3);
        for (uint64_t half = 0; half < 2; ++half) {
            write(kCommonOffset + 0x08, 4, half);
            const uint64_t packed = half != 0 && (how & 4) != 0 ? 4 : 0;  // VIRTIO_F_RING_PACKED
            write(kCommonOffset + 0x0c, 4, half == 0 ? 0x3000'0000 : 0x101 | packed);
        }
        write(kCommonOffset + 0x14, 1, 11);
        write(kCommonOffset + 0x16, 2, queue);
        write(kCommonOffset + 0x18, 2, uint64_t{1} << input_.take<uint8_t>() % 8);
        write(kCommonOffset + 0x1a, 2, queue);
        for (const uint64_t area : {0x20, 0x28, 0x30})
            write(kCommonOffset + area, 8, uint64_t{input_.take<uint8_t>()} << 7);
        write(kCommonOffset + 0x1c, 2, 1);
        write(kCommonOffset + 0x14, 1, 15);
        constexpr uint32_t kOn = pci::regs::COMMAND_MEMORY_SPACE | pci::regs::COMMAND_BUS_MASTER;
        function_.config_write(pci::regs::COMMAND, {reinterpret_cast<const uint8_t*>(&kOn), 2});
    }

    // Aims the window, and uses it.
    void aim() {
        uint32_t at = 0;
        for (uint32_t cap = function_.config().find_capability(pci::regs::CAP_ID_VENDOR); cap != 0;
             cap = function_.config().find_capability(pci::regs::CAP_ID_VENDOR, cap))
            if (function_.config().u8(cap + 3) == static_cast<uint8_t>(Structure::kPciConfig))
                at = cap;
        FUZZ_REQUIRE(at != 0);
        const auto put = [&](uint32_t offset, uint32_t value) {
            function_.config_write(at + offset, {reinterpret_cast<const uint8_t*>(&value), 4});
        };
        put(kCapBar, input_.take<uint8_t>() % 8);
        put(kCapOffset, input_.take<uint16_t>());
        put(kCapLength, input_.take<uint8_t>() % 6);
        put(kCapData, input_.take<uint32_t>());
        std::array<uint8_t, 4> data;
        function_.config_read(at + kCapData, data);
    }

    pci::Function& function_;
    EchoDevice& device_;
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
    auto made = std::make_unique<EchoDevice>();
    EchoDevice& device = *made;
    const auto function = virtio_pci::create(std::move(made), {.class_code = 0x120000}).value();
    const uint64_t offered = device.offered_features();
    {
        Slot slot(*function);
        function->attach(slot);
        Guest guest(*function, device, slot, input);
        while (!input.empty()) {
            guest.step();
            FUZZ_REQUIRE(device.offered_features() == offered);
            FUZZ_REQUIRE(guest.read(virtio_pci::kBar, 0x12, 2) == 3);
        }
        function->reset(pci::ResetKind::kConventional);
        FUZZ_REQUIRE(guest.read(virtio_pci::kBar, 0x14, 1) == 0);
        FUZZ_REQUIRE(!slot.pin && !function->at_work());
        function->detach();
    }
    device.held = false;
    virtio_pci::PciGuest driver(*function);
    FUZZ_REQUIRE(driver.start());
    const std::vector<uint8_t> hello = {1, 2, 3};
    FUZZ_REQUIRE(driver.request(1, hello) == hello);
    return 0;
}
