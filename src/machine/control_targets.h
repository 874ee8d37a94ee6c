// SPDX-License-Identifier: Apache-2.0
// ControlTargets: what the control API of a device host can name on one loop: endpoints, and the
// ports, functions and virtual functions of the fabrics behind them.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "control/target.h"
#include "pci/fabric.h"
#include "pci/function.h"
#include "vfio_user/server.h"

namespace mimic::machine {

/// The targets of one loop. Thread-bound to it, but for runner().
class ControlTargets final : public control::TargetGroup {
public:
    /// `crash` ends the process, for host-crash.
    ControlTargets(TaskRunner& runner, std::function<void()> crash)
        : runner_(runner), crash_(std::move(crash)) {}

    /// Names `function` and, with a `fabric` (else nullptr), all that is in it when it is asked
    /// for. All are borrowed until clear().
    void add(pci::Function& function, const vfio_user::Server& server, pci::Fabric* fabric);
    void clear() { sources_.clear(); }

    TaskRunner& runner() override { return runner_; }
    std::vector<std::string> names() override;
    std::unique_ptr<control::Target> find(const std::string& name) override;
    std::vector<control::TargetInfo> infos() override;

private:
    struct Source {
        pci::Function* function;
        const vfio_user::Server* server;
        pci::Fabric* fabric;
    };
    class Handle;

    // Every target, in the order of the topology.
    void for_each(const std::function<void(Handle& target)>& visit);

    TaskRunner& runner_;
    std::function<void()> crash_;
    std::vector<Source> sources_;
};

}  // namespace mimic::machine
