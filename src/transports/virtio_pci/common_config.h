// SPDX-License-Identifier: Apache-2.0
// CommonConfig: the common configuration structure of a virtio device on PCI: select registers,
// feature bits by halves, and what a driver says of each queue until it enables it. Virtio 1.3,
// 4.1.4.3.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "reg/bank.h"
#include "virtio/device.h"
#include "virtio_pci/device_state.h"
#include "virtio_pci/registers.h"

namespace mimic::virtio_pci {

/// Thread-bound with its function. Borrows the device.
class CommonConfig {
public:
    /// `vectors`: those of the MSI-X table. `on_reset` runs when a driver has written 0 to the
    /// status, after the device was reset.
    CommonConfig(virtio::Device& device, unsigned vectors, std::function<void()> on_reset);

    void read(uint64_t offset, std::span<uint8_t> data) { bank_.read(offset, data); }
    void write(uint64_t offset, std::span<const uint8_t> data) { bank_.write(offset, data); }

    /// All registers as they are before a driver has touched the device, which was reset.
    void reset();

    /// Shows in the registers what the device has changed by itself. A guest's reads do not need
    /// it: it is for tools that look.
    void refresh();

    /// What a driver has agreed on and said of each queue, for tools.
    void capture(DeviceState& state) const;

    /// Goes on from what another device's registers and capture() were. The device was reset.
    /// Errors: those of BankCore::restore().
    Status restore(const reg::Snapshot& registers, const DeviceState& state);

    /// MSI-X vector, or kNoVector.
    uint16_t config_vector() const;
    uint16_t queue_vector(uint16_t index) const {
        return index < queues_.size() ? queues_[index].vector : kNoVector;
    }

    const reg::BankCore& bank() const { return bank_; }

private:
    /// What a driver has said of one queue.
    struct QueueRegisters {
        uint16_t size = 0;
        uint16_t vector = kNoVector;
        virtio::QueueAddresses addresses{};
    };

    QueueRegisters initial(uint16_t index) const { return {.size = device_.max_queue_size(index)}; }
    uint16_t selected() const { return static_cast<uint16_t>(bank_.value<QUEUE_SELECT>()); }
    /// The queue selected; nullptr: there is none.
    QueueRegisters* current();
    /// The same, if a driver may change it now: not while it is enabled.
    QueueRegisters* changeable();
    uint16_t valid_vector(uint64_t wanted) const {
        return wanted < vectors_ ? static_cast<uint16_t>(wanted) : kNoVector;
    }

    void bind_features();
    void bind_queues();
    template <const Register& Reg>
    void bind_address(uint64_t virtio::QueueAddresses::*address);
    void show_features();
    void show_queue();
    void driver_feature_written(uint64_t value);
    void status_written(const reg::WriteEvent& event);
    void enable_written(const reg::WriteEvent& event);
    void queue_reset_written(const reg::WriteEvent& event);

    virtio::Device& device_;
    const unsigned vectors_;
    const std::function<void()> on_reset_;
    reg::Bank<kCommonMap> bank_;
    uint64_t driver_features_ = 0;
    std::vector<QueueRegisters> queues_;
};

}  // namespace mimic::virtio_pci
