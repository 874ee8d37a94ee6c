// SPDX-License-Identifier: Apache-2.0
// PciGuest: a driver of virtio-pci for tests, which knows nothing but the capabilities, and does
// what Linux' virtio_pci_modern_dev.c does in its order. Needs no test framework.
#pragma once

#include <cstdint>
#include <cstring>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "pci/config/pci_regs.h"
#include "pci/testing/slot.h"
#include "virtio/device.h"
#include "virtio/testing/guest_queue.h"
#include "virtio_pci/layout.h"

namespace mimic::virtio_pci {

/// Plugs `function` (borrowed) into a slot of its own and takes it out at the end.
class PciGuest {
public:
    struct Options {
        uint16_t queue_size = 16;
        bool packed = false;
        bool event_index = true;
        uint64_t features = 0;  // more to accept
        bool msix = true;       // a vector each, vector 0 for the configuration; else INTx
    };
    struct Place {
        uint32_t capability = 0;  // in configuration space; 0: there is none
        unsigned bar = 0;
        uint32_t offset = 0;
        uint32_t length = 0;
    };
    static constexpr uint64_t kData = 0x100'0000;
    static constexpr uint64_t kRings = 0x1000'0000;
    static constexpr uint64_t kRingSize = 1 << 24;

    explicit PciGuest(pci::Function& function) : function_(function) {
        slot_.memory.add(kData, 1 << 20);
        function_.attach(slot_);
        write_config(pci::regs::COMMAND, 2,
                     pci::regs::COMMAND_MEMORY_SPACE | pci::regs::COMMAND_BUS_MASTER);
        find_structures();
    }
    ~PciGuest() { function_.detach(); }
    PciGuest(const PciGuest&) = delete;
    PciGuest& operator=(const PciGuest&) = delete;

    pci::FakeSlot& slot() { return slot_; }
    memory::FakeMemory& memory() { return slot_.memory; }
    virtio::GuestQueue& queue(uint16_t index) { return *queues_.at(index); }
    const Place& place(Structure type) { return places_[type]; }

    // --- Accesses ----------------------------------------------------------------------------

    uint32_t read_config(uint32_t offset, unsigned size) {
        uint32_t value = 0;
        function_.config_read(offset, {reinterpret_cast<uint8_t*>(&value), size});
        return value;
    }
    void write_config(uint32_t offset, unsigned size, uint32_t value) {
        function_.config_write(offset, {reinterpret_cast<const uint8_t*>(&value), size});
    }
    uint64_t read(Structure type, uint32_t offset, unsigned size) {
        uint64_t value = 0;
        const Place& at = places_[type];
        function_.read_bar(at.bar, at.offset + offset, {reinterpret_cast<uint8_t*>(&value), size});
        return value;
    }
    void write(Structure type, uint32_t offset, unsigned size, uint64_t value) {
        const Place& at = places_[type];
        function_.write_bar(at.bar, at.offset + offset,
                            {reinterpret_cast<const uint8_t*>(&value), size});
    }
    uint64_t common(uint32_t offset, unsigned size) {
        return read(Structure::kCommon, offset, size);
    }
    void set_common(uint32_t offset, unsigned size, uint64_t value) {
        write(Structure::kCommon, offset, size, value);
    }
    uint8_t status() { return static_cast<uint8_t>(common(0x14, 1)); }
    void set_status(uint8_t status) { set_common(0x14, 1, status); }
    uint8_t isr() { return static_cast<uint8_t>(read(Structure::kIsr, 0, 1)); }

    uint64_t offered() {
        set_common(0x00, 4, 0);
        const uint64_t low = common(0x04, 4);
        set_common(0x00, 4, 1);
        return low | (common(0x04, 4) << 32);
    }
    void accept(uint64_t features) {
        set_common(0x08, 4, 0);
        set_common(0x0c, 4, features & 0xffff'ffff);
        set_common(0x08, 4, 1);
        set_common(0x0c, 4, features >> 32);
    }

    // --- A driver ----------------------------------------------------------------------------

    /// 3.1.1, to DRIVER_OK. False if the device does not take it.
    bool start(const Options& options) {
        options_ = options;
        queues_.clear();
        set_status(0);
        if (status() != 0) return false;
        set_status(virtio::kAcknowledge);
        set_status(virtio::kAcknowledge | virtio::kDriver);
        uint64_t wanted = virtio::feature(virtio::kVersion1) |
                          virtio::feature(virtio::kIndirectDesc) |
                          virtio::feature(virtio::kRingReset) | options.features;
        if (options.packed) wanted |= virtio::feature(virtio::kRingPacked);
        if (options.event_index) wanted |= virtio::feature(virtio::kEventIndex);
        accept(wanted);
        set_status(virtio::kAcknowledge | virtio::kDriver | virtio::kFeaturesOk);
        if ((status() & virtio::kFeaturesOk) == 0) return false;
        enable_msix(options.msix);
        if (options.msix) set_common(0x10, 2, 0);
        const auto count = static_cast<uint16_t>(common(0x12, 2));
        for (uint16_t i = 0; i < count; ++i) make_queue(i);
        set_status(status() | virtio::kDriverOk);
        return (status() & virtio::kDriverOk) != 0;
    }
    bool start() { return start(Options()); }

    /// As vp_active_vq() and setup_vq(): size, addresses by halves, vector, enable.
    void make_queue(uint16_t index) {
        set_common(0x16, 2, index);
        const uint16_t size = std::min(options_.queue_size, static_cast<uint16_t>(common(0x18, 2)));
        queues_[index].reset();
        queues_[index] = virtio::make_guest_queue(slot_.memory, kRings + index * kRingSize,
                                                  {size, options_.packed, options_.event_index});
        const virtio::QueueAddresses at = queues_[index]->addresses();
        set_common(0x18, 2, size);
        set_address(0x20, at.descriptors);
        set_address(0x28, at.driver);
        set_address(0x30, at.device);
        if (options_.msix) set_common(0x1a, 2, index + 1u);
        set_common(0x1c, 2, 1);
    }
    void set_address(uint32_t offset, uint64_t address) {
        set_common(offset, 4, address & 0xffff'ffff);
        set_common(offset + 4, 4, address >> 32);
    }

    void kick(uint16_t index) {
        set_common(0x16, 2, index);
        const uint64_t offset = common(0x1e, 2) * multiplier_;
        write(Structure::kNotify, static_cast<uint32_t>(offset), 2, index);
    }

    /// Sends `bytes` with as much room behind them, kicks, lets time go on; what came back.
    std::optional<std::vector<uint8_t>> request(uint16_t index, std::span<const uint8_t> bytes) {
        std::memcpy(slot_.memory.at(kData), bytes.data(), bytes.size());
        const auto size = static_cast<uint32_t>(bytes.size());
        const auto id = queue(index).add({{kData, size}}, {{kData + 4096, size}});
        if (!id) return std::nullopt;
        kick(index);
        slot_.time.run_all();
        const auto used = queue(index).take();
        if (!used || used->id != *id || used->written > size) return std::nullopt;
        const auto* const from = reinterpret_cast<const uint8_t*>(slot_.memory.at(kData + 4096));
        return std::vector<uint8_t>(from, from + used->written);
    }

    void enable_msix(bool on) {
        write_config(msix_ + pci::regs::MSIX_CONTROL, 2, on ? pci::regs::MSIX_CONTROL_ENABLE : 0);
    }

private:
    void find_structures() {
        for (uint32_t at = read_config(pci::regs::CAPABILITIES_POINTER, 1); at != 0;
             at = read_config(at + 1, 1)) {
            const uint32_t id = read_config(at, 1);
            if (id == pci::regs::CAP_ID_MSIX) msix_ = at;
            if (id != pci::regs::CAP_ID_VENDOR) continue;
            const auto type = static_cast<Structure>(read_config(at + 3, 1));
            places_[type] = {.capability = at,
                             .bar = read_config(at + kCapBar, 1),
                             .offset = read_config(at + kCapOffset, 4),
                             .length = read_config(at + kCapLength, 4)};
            if (type == Structure::kNotify) multiplier_ = read_config(at + 16, 4);
        }
    }

    pci::Function& function_;
    pci::FakeSlot slot_;
    Options options_;
    std::map<Structure, Place> places_;
    std::map<uint16_t, std::unique_ptr<virtio::GuestQueue>> queues_;
    uint32_t multiplier_ = 0;
    uint32_t msix_ = 0;
};

}  // namespace mimic::virtio_pci
