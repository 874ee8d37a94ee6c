// SPDX-License-Identifier: Apache-2.0
// SupervisorApi: the control API of a supervisor, on <run folder>/control.sock: the machine, its
// processes, and the events when its state changes.
#pragma once

#include <memory>
#include <mutex>
#include <string>

#include "machine/machine_state.h"
#include "service/http_server.h"
#include "service/process_context.h"
#include "service/router.h"

namespace mimic::machine {

/// Serves on a thread of its own until it is destroyed. Thread-safe.
class SupervisorApi {
public:
    /// Errors: those of service::HttpServer::create().
    static Result<std::unique_ptr<SupervisorApi>> create(const std::string& run_dir,
                                                         const MachineState& state);

    /// What is answered from now on. `reason`: why the machine ends; empty: it does not. A state
    /// that is another than before is an event.
    void update(const MachineState& state, const std::string& reason);

    service::HttpResponse handle(const service::HttpRequest& request) {
        return router_.handle(request);
    }
    std::vector<service::Route> routes() const { return router_.routes(); }

    /// Routes without a socket, for tests.
    SupervisorApi(std::string run_dir, const MachineState& state);

private:
    service::HttpResponse machine();
    service::HttpResponse metrics();

    const std::string run_dir_;
    std::mutex mutex_;
    MachineState state_;  // these two: guarded by mutex_
    std::string reason_;
    service::ProcessContext process_;
    service::Router router_;
    std::unique_ptr<service::HttpServer> http_;  // last: ends first
};

}  // namespace mimic::machine
