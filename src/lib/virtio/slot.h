// SPDX-License-Identifier: Apache-2.0
// Slot: what a virtio device is plugged into. Implemented by transports: virtio-pci over a PCI
// function, vhost-user, and tests.
#pragma once

#include <cstdint>

#include "base/task_runner.h"
#include "memory/dma_space.h"

namespace mimic::virtio {

/// What a device may ask of its transport. Thread-bound with the device.
class Slot {
public:
    virtual ~Slot() = default;

    /// Guest memory now, or nullptr while the device may not reach it (bus mastering off, no memory
    /// table, detached). Ask again in each turn of the loop.
    virtual memory::DmaSpace* dma() = 0;

    /// Feature bits that the transport adds to the device's (VIRTIO_F_ACCESS_PLATFORM where a guest
    /// may have an IOMMU, for instance). The same all the time.
    virtual uint64_t features() const { return 0; }

    /// Tells the driver that used buffers of queue `index` are there. The queue has checked that
    /// the driver wants to know.
    virtual void interrupt_queue(uint16_t index) = 0;

    /// Tells the driver that configuration space, or DEVICE_NEEDS_RESET of the status, has changed.
    virtual void interrupt_config() = 0;

    /// Time and deferred work, on the loop that owns the device.
    virtual TaskRunner& runner() = 0;
};

}  // namespace mimic::virtio
