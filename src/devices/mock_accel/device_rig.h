// SPDX-License-Identifier: Apache-2.0
// What the tests of the device plug together: a mock-accel in a slot that has memory and time and
// writes down interrupts.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "devices/mock_accel/descriptor.h"
#include "devices/mock_accel/mock_accel.h"
#include "pci/testing/slot.h"

namespace mimic::mock_accel {

/// Accesses as a guest makes them.
class DeviceRig {
public:
    explicit DeviceRig(const Options& options)
        : device(std::move(MockAccel::create(options)).value()) {
        device->attach(slot);
    }
    ~DeviceRig() { device->detach(); }

    uint64_t read(uint64_t offset, size_t size = 4, unsigned bar = 0) {
        uint64_t value = 0;
        device->read_bar(bar, offset, {reinterpret_cast<uint8_t*>(&value), size});
        return value;
    }
    void write(uint64_t offset, uint64_t value, size_t size = 4, unsigned bar = 0) {
        device->write_bar(bar, offset, {reinterpret_cast<const uint8_t*>(&value), size});
    }
    uint32_t config(uint32_t offset, size_t size = 4) { return config_of(*device, offset, size); }
    static uint32_t config_of(pci::Function& function, uint32_t offset, size_t size = 4) {
        uint32_t value = 0;
        function.config_read(offset, {reinterpret_cast<uint8_t*>(&value), size});
        return value;
    }
    void set_config(uint32_t offset, uint32_t value, size_t size) {
        device->config_write(offset, {reinterpret_cast<const uint8_t*>(&value), size});
    }
    uint32_t capability(uint32_t id) {
        for (uint32_t at = config(0x34, 1); at != 0; at = config(at + 1, 1)) {
            if (config(at, 1) == id) return at;
        }
        return 0;
    }
    static uint32_t extended_capability(pci::Function& function, uint32_t id) {
        for (uint32_t at = 0x100; at != 0; at = config_of(function, at) >> 20) {
            if ((config_of(function, at) & 0xffff) == id) return at;
        }
        return 0;
    }
    /// Memory space, bus master and MSI-X on.
    void start() {
        set_config(0x04, 0x0006, 2);
        set_config(capability(0x11) + 2, 0x8000, 2);
        slot.take_vectors();
    }

    pci::FakeSlot slot;
    std::unique_ptr<MockAccel> device;
};

}  // namespace mimic::mock_accel
