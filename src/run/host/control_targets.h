// SPDX-License-Identifier: Apache-2.0
// ControlTargets: what the control API of a device host can name on one loop: endpoints, the ports,
// functions and virtual functions of the fabrics behind them, and vhost-user devices.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "control/target.h"
#include "host/endpoint.h"
#include "host/virtio_target.h"
#include "pci/fabric/fabric.h"
#include "pci/function/function.h"
#include "vfio_user/server.h"

namespace mimic::host {

/// The targets of one loop. Thread-bound to it, but for runner().
class ControlTargets final : public control::TargetGroup {
public:
    /// `crash` ends the process, for host-crash.
    ControlTargets(TaskRunner& runner, std::function<void()> crash)
        : runner_(runner), crash_(std::move(crash)) {}

    /// Names `function` and, with a `fabric` (else nullptr), all that is in it when it is asked
    /// for. All are borrowed until clear().
    void add(pci::Function& function, const vfio_user::Server& server, pci::Fabric* fabric,
             Place place);
    /// Names `device`, borrowed likewise.
    void add(virtio::Device& device, const vhost_user::Server& server, Place place);

    void clear() {
        sources_.clear();
        for (VirtioSource& source : virtio_) source.device->set_backend_faults(nullptr);
        virtio_.clear();
    }

    /// What trace() gives from now on; borrowed.
    void set_trace(control::TraceTarget* trace) { trace_ = trace; }

    TaskRunner& runner() override { return runner_; }
    std::vector<std::string> names() override;
    std::unique_ptr<control::Target> find(const std::string& name) override;
    std::vector<control::TargetInfo> infos() override;
    control::TraceTarget* trace() override { return trace_; }

private:
    struct Source {
        pci::Function* function;
        const vfio_user::Server* server;
        pci::Fabric* fabric;
        Place place;
    };
    class Handle;

    // Every target, in the order of add().
    void for_each(const std::function<void(Handle& target)>& visit);
    static void for_each(ControlTargets& owner, const Source& source,
                         const std::function<void(Handle& target)>& visit);

    TaskRunner& runner_;
    std::function<void()> crash_;
    std::vector<Source> sources_;
    std::vector<VirtioSource> virtio_;
    control::TraceTarget* trace_ = nullptr;
};

}  // namespace mimic::host
