// SPDX-License-Identifier: Apache-2.0
// VirtioTrace: writes down the requests of a virtio device that is no PCI function here: one behind
// a vhost-user socket. Its registers are the VMM's, and nobody sees accesses to them.
#pragma once

#include "pci/trace/tracer.h"
#include "virtio/device.h"
#include "virtio/instruments.h"
#include "virtio_pci/request_event.h"

namespace mimic::host {

/// Thread-bound to the device's loop.
class VirtioTrace final : private virtio::RequestObserver {
public:
    /// Borrows `device`.
    explicit VirtioTrace(virtio::Device& device) : device_(device) {}
    ~VirtioTrace() { set_tracer(nullptr); }
    VirtioTrace(const VirtioTrace&) = delete;
    VirtioTrace& operator=(const VirtioTrace&) = delete;

    const std::string& name() const { return device_.name(); }

    /// Who writes requests down from now on, borrowed; nullptr: nobody.
    void set_tracer(pci::Tracer* tracer) {
        tracer_ = tracer;
        if (tracer_ != nullptr) source_ = tracer_->source(name());
        device_.set_request_observer(tracer_ != nullptr ? this : nullptr);
    }

private:
    void on_request(const virtio::RequestSlice& slice) override {
        tracer_->record(source_, virtio_pci::request_event(slice));
    }

    virtio::Device& device_;
    pci::Tracer* tracer_ = nullptr;
    uint32_t source_ = 0;
};

}  // namespace mimic::host
