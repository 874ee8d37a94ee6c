// SPDX-License-Identifier: Apache-2.0
// VirtioTarget: a virtio device behind a vhost-user socket as the control API sees it. It is no PCI
// function, which is the VMM's: what there is to see is the state of the device, and to break, its
// host.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "control/target.h"
#include "host/endpoint.h"
#include "pci/describe/function_registers.h"
#include "pci/faults/function_faults.h"
#include "vhost_user/server.h"
#include "virtio/device.h"
#include "virtio_pci/backend_faults.h"

namespace mimic::host {

/// What is kept of one such device. `device` and `server` are borrowed.
struct VirtioSource {
    virtio::Device* device;
    const vhost_user::Server* server;
    Place place;
    std::unique_ptr<pci::FunctionFaults> faults;
    std::unique_ptr<virtio_pci::FunctionBackendFaults> backend_faults;
};

/// A handle; thread-bound to the loop of the device.
class VirtioTarget final : public control::Target {
public:
    /// `source` is borrowed.
    explicit VirtioTarget(VirtioSource& source) : source_(source) {}

    /// The faults of a device: those of its host, and of a simulator behind it. `crash` ends the
    /// process.
    static std::unique_ptr<pci::FunctionFaults> make_faults(virtio::Device& device,
                                                            TaskRunner& runner,
                                                            std::function<void()> crash);

    std::string name() const override { return source_.device->name(); }
    control::TargetInfo info() const override;
    pci::Function* function() override { return nullptr; }
    std::vector<pci::RegisterMap> state() override;
    Status inject(const pci::Fault& fault) override { return source_.faults->arm(fault); }
    std::vector<pci::FaultReport> faults() const override { return source_.faults->report(); }
    void clear_faults() override { source_.faults->clear(); }
    bool clear_fault(uint64_t id) override { return source_.faults->clear(id); }
    std::vector<pci::FaultRefusal> refusals() const override { return source_.faults->refusals(); }

private:
    VirtioSource& source_;
};

/// Keeps the loop from running, which is what host-hang is.
void hang_loop(const std::string& name, Duration time);

}  // namespace mimic::host
