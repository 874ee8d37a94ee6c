// SPDX-License-Identifier: Apache-2.0
// DeviceState: the bank of state_map.h for one device: filled when a tool looks, read when a saved
// state is put back.
#pragma once

#include <cstdint>

#include "reg/bank.h"
#include "virtio/device.h"
#include "virtio_pci/state_map.h"

namespace mimic::virtio_pci {

/// What a tool needs of one queue. A value.
struct QueueState {
    uint16_t size = 0;
    uint16_t vector = kNoVector;
    bool enabled = false;
    uint16_t next_available = 0;
    uint16_t next_used = 0;
    virtio::QueueAddresses addresses{};
};

/// Thread-bound with its function.
class DeviceState {
public:
    /// Borrows the device.
    explicit DeviceState(const virtio::Device& device);

    /// Stores what the device says, and of queue `index` what its registers are.
    void store_features();
    void store_queue(uint16_t index, uint16_t size, uint16_t vector,
                     const virtio::QueueAddresses& addresses);

    uint64_t features() const;
    QueueState queue(uint16_t index) const;

    reg::BankCore& bank() { return bank_; }
    const reg::BankCore& bank() const { return bank_; }

private:
    uint64_t load(size_t position, uint32_t index) const {
        return bank_.load(bank_.map().registers[position], index);
    }
    void store(size_t position, uint32_t index, uint64_t value) {
        bank_.store(bank_.map().registers[position], index, value);
    }

    const virtio::Device& device_;
    reg::BankCore bank_;
};

}  // namespace mimic::virtio_pci
