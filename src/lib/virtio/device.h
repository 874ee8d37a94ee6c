// SPDX-License-Identifier: Apache-2.0
// Device: one virtio device. A model derives from it and knows neither its transport (slot.h) nor
// its process. Virtio 1.3, chapters 2 and 3.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/thread_bound.h"
#include "virtio/instruments.h"
#include "virtio/queue.h"
#include "virtio/slot.h"

namespace mimic::reg {
struct Snapshot;
}

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
    void detach();            // before the device is destroyed

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

    /// Queues. enable_queue() begins one: after FEATURES_OK, which say how it looks. Ignored, with
    /// a line in the log, for what cannot be (a size or an alignment that the specification
    /// forbids, more entries than the device has, a queue that is enabled).
    uint16_t queue_count() const;
    uint16_t max_queue_size(uint16_t index) const;
    void enable_queue(uint16_t index, uint16_t size, const QueueAddresses& addresses,
                      const QueuePosition& position = {});
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

    // --- Instruments, for the transport ------------------------------------------------------

    /// Registers by name, and counts; empty for a model that has none. The pointers live as long
    /// as the device.
    virtual std::vector<RegisterBlock> register_blocks() const { return {}; }
    virtual std::vector<Counter> counters() const { return {}; }

    /// Makes the registers, block by block, what they were in another device of the kind, so that
    /// the model goes on from there. Queues and status are the transport's to restore. Errors:
    /// not_supported for a model that cannot; invalid_argument for what does not fit.
    virtual Status restore_registers(std::span<const reg::Snapshot> snapshots);

    /// Whether the model is in the middle of something that its registers do not tell.
    virtual bool at_work() const { return false; }

    /// Whether there is something behind the device that BackendFaults can break.
    virtual bool has_backend() const { return false; }

    /// Who hears of requests, and who breaks what is behind the device; nullptr: nobody. Borrowed:
    /// they outlive the device or are taken away first.
    void set_request_observer(RequestObserver* observer);
    void set_backend_faults(BackendFaults* faults);

    /// BackendFaults::is_dead() is another now.
    virtual void backend_changed() {}

protected:
    explicit Device(DeviceOptions options);

    // --- For the model -----------------------------------------------------------------------

    /// A turn of the device: while one lives, rings are translated once, and at its end the driver
    /// gets the interrupts of what was completed, one a queue. Hooks run in one. A model's own task
    /// that pops or completes makes one on its stack: it must end before the task returns to the
    /// loop. They nest; the outermost counts.
    class Turn {
    public:
        explicit Turn(Device& device) : device_(device) { device_.begin_turn(); }
        ~Turn() { device_.end_turn(); }
        Turn(const Turn&) = delete;
        Turn& operator=(const Turn&) = delete;

    private:
        Device& device_;
    };

    Queue& queue(uint16_t index);
    Slot* slot();             // nullptr while detached
    memory::DmaSpace* dma();  // of the slot; nullptr while there is none

    /// Returns `chain` and, at the end of this batch (end_batch(), or the end of the Turn),
    /// interrupts if the driver wants that. Drops it while there is no memory.
    void complete(uint16_t index, Chain&& chain, uint32_t written);
    void end_batch(uint16_t index);

    RequestObserver* request_observer() const;
    BackendFaults* backend_faults() const;

    /// Configuration changed: a new generation, and an interrupt.
    void config_changed();

    /// DEVICE_NEEDS_RESET, and tells the driver: no hook for kicks runs any more. A queue that is
    /// broken does this by itself at the end of the turn or batch.
    void needs_reset(const char* why);

    // --- The model ---------------------------------------------------------------------------

    /// The device was plugged in: slot() is there from now until on_detach() has returned.
    virtual void on_attach() {}
    virtual void on_detach() {}
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

    void begin_turn();
    void end_turn();
    void settle(uint16_t index);
    uint8_t allowed(uint8_t status) const;

    std::unique_ptr<State> state_;
    ThreadBound thread_;
};

}  // namespace mimic::virtio
