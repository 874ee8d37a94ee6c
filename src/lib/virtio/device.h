// SPDX-License-Identifier: Apache-2.0
// Device: one virtio device. A model derives from it and knows neither its transport (slot.h) nor
// its process. Virtio 1.3, chapters 2 and 3.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/thread_bound.h"
#include "virtio/queue.h"
#include "virtio/slot.h"

namespace mimic::virtio {

/// Device status, 2.1.
enum StatusBit : uint8_t {
    kAcknowledge = 1,
    kDriver = 2,
    kDriverOk = 4,
    kFeaturesOk = 8,
    kNeedsReset = 64,
    kFailed = 128,
};

/// Feature bits that are not the device's own, 6.
enum FeatureBit : unsigned {
    kIndirectDesc = 28,
    kEventIndex = 29,
    kVersion1 = 32,
    kAccessPlatform = 33,
    kRingPacked = 34,
    kInOrder = 35,
    kNotificationData = 38,
    kRingReset = 40,
};
constexpr uint64_t feature(unsigned bit) {
    return uint64_t{1} << bit;
}

/// What is constant about a device.
struct DeviceOptions {
    std::string name;
    uint16_t virtio_id = 0;             // 5
    uint64_t features = 0;              // bits 0..23 and 50..63; the queues' bits are ours
    std::vector<uint16_t> queue_sizes;  // most entries of each queue, powers of two up to 32,768
    uint32_t config_size = 0;           // bytes of configuration space
    bool packed = true;                 // offers VIRTIO_F_RING_PACKED
    bool in_order = false;              // offers VIRTIO_F_IN_ORDER: the model pushes in order
};

/// One virtio device: status, features, queues, configuration. Thread-bound to the loop that owns
/// it, from attach() to detach(). What a driver does wrong is answered as the specification says;
/// no call here fails.
class Device {
public:
    virtual ~Device();
    Device(const Device&) = delete;
    Device& operator=(const Device&) = delete;

    // --- Called by the transport -------------------------------------------------------------

    void attach(Slot& slot);  // borrowed until detach(), which resets the device
    void detach();

    /// All that the device offers, VIRTIO_F_VERSION_1 among it; and what the driver accepted
    /// (FEATURES_OK).
    uint64_t offered_features() const;
    uint64_t driver_features() const;
    bool has(unsigned bit) const { return (driver_features() & feature(bit)) != 0; }

    /// Writes of driver_feature: taken while FEATURES_OK is not set.
    void set_driver_features(uint64_t features);

    /// Device status. Writing 0 resets. FEATURES_OK stays clear if the features are not those
    /// offered, or lack VIRTIO_F_VERSION_1.
    uint8_t status() const;
    void set_status(uint8_t status);
    void reset();

    /// Configuration space; what lies past its end reads as zeros and is not written.
    void config_read(uint32_t offset, std::span<uint8_t> data);
    void config_write(uint32_t offset, std::span<const uint8_t> data);
    uint8_t config_generation() const;

    /// Queues. `size` and `addresses` take effect with enable_queue(), which is ignored for what
    /// cannot be.
    uint16_t queue_count() const;
    uint16_t max_queue_size(uint16_t index) const;
    void enable_queue(uint16_t index, uint16_t size, const QueueAddresses& addresses,
                      uint16_t next_available = 0, uint16_t next_used = 0);
    bool queue_enabled(uint16_t index) const;
    /// VIRTIO_F_RING_RESET, and the stop of a ring by vhost-user: after it the device uses none of
    /// the queue's buffers.
    void reset_queue(uint16_t index);
    const Queue& queue(uint16_t index) const;

    /// The driver notified queue `index`. Ignored before DRIVER_OK and out of range.
    void kick(uint16_t index);

    // --- Facts -------------------------------------------------------------------------------

    const DeviceOptions& options() const;
    const std::string& name() const { return options().name; }
    bool is_live() const;  // DRIVER_OK, without NEEDS_RESET

protected:
    explicit Device(DeviceOptions options);

    // --- For the model -----------------------------------------------------------------------

    Queue& queue(uint16_t index);
    Slot* slot();             // nullptr while detached
    memory::DmaSpace* dma();  // of the slot; nullptr while there is none

    /// Returns `chain` and, at the end of this batch (end_batch(), or when the hook that runs
    /// returns), interrupts if the driver wants that. Drops it while there is no memory.
    void complete(uint16_t index, Chain&& chain, uint32_t written);
    void end_batch(uint16_t index);

    /// Configuration changed: a new generation, and an interrupt.
    void config_changed();

    /// DEVICE_NEEDS_RESET, and tells the driver: nothing is popped any more. queue() that breaks
    /// does this by itself when its model asks it.
    void needs_reset(const char* why);

    // --- The model ---------------------------------------------------------------------------

    /// The driver has set DRIVER_OK: queues may be used.
    virtual void on_start() {}
    /// Back to the state of a device that nobody has touched: chains that are out are gone.
    virtual void on_reset() = 0;
    /// Buffers may be available in queue `index`: pop what there is, within the loop's budget
    /// (TaskRunner::share_is_over() where there is one; post the rest).
    virtual void on_kick(uint16_t index) = 0;
    virtual void on_queue_reset(uint16_t /*index*/) {}
    virtual void on_config_read(uint32_t offset, std::span<uint8_t> data) = 0;
    virtual void on_config_write(uint32_t /*offset*/, std::span<const uint8_t> /*data*/) {}

private:
    struct State;
    std::unique_ptr<State> state_;
    ThreadBound thread_;
};

}  // namespace mimic::virtio
