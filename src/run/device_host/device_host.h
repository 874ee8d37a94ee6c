// SPDX-License-Identifier: Apache-2.0
// DeviceHost: many PCI functions in one process, each on its own socket, sharded over the loops of
// a pool.
#pragma once

#include <sys/types.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/loop_pool.h"
#include "base/result.h"
#include "control/api.h"
#include "device_host/control_targets.h"
#include "device_host/device_events.h"
#include "device_host/loop_trace.h"
#include "pci/fabric/fabric.h"
#include "pci/function/function.h"
#include "service/process_context.h"
#include "topology/model.h"
#include "vfio_user/server.h"

namespace mimic::device_host {

/// How long a device host's loop looks for the next request before it sleeps. About what a sleeping
/// thread needs to wake on another CPU (bench/README.md): waiting longer could never pay.
inline constexpr Duration kDefaultSpin = std::chrono::microseconds(50);

/// Serves until it is destroyed. Create and destroy it on one thread that is none of its loops.
class DeviceHost {
public:
    /// What one socket serves.
    struct Endpoint {
        std::unique_ptr<pci::Function> function;
        std::string socket_path;
        pci::Fabric* fabric = nullptr;  // behind `function`, which owns it; nullptr: none
        ControlTargets::Place place{};
    };

    struct Options {
        unsigned threads = 1;          // event loops; 0 counts as 1
        Duration spin = kDefaultSpin;  // EventLoop::set_spin()

        vfio_user::Session::Options session{};  // what every client gets

        std::string machine{};         // its name, for events; empty: none
        std::string control_socket{};  // the control API; empty: none
        std::string crash_note{};      // file that host-crash makes before it kills; empty: none

        uint64_t trace_bytes = 0;      // of the trace ring of each loop; 0: none until asked for
        TraceDumper::Options dumps{};  // where the rings go when something goes wrong
    };

    /// Starts the loops and serves all endpoints and the control API. Errors: those of
    /// vfio_user::Server::create(), for the first endpoint that fails, and of
    /// control::ControlServer::create(); then none is served and no socket file is left.
    static Result<std::unique_ptr<DeviceHost>> create(std::vector<Endpoint> endpoints,
                                                      const Options& options);

    /// Stops serving; clients see their connection end. Socket files are removed.
    ~DeviceHost();

    size_t size() const { return size_; }

private:
    // One loop and what lives on it.
    struct Shard {
        Shard(EventLoop& loop, std::function<void()> crash, service::EventHub& events)
            : context(loop), targets(loop, std::move(crash)), observer(events) {}
        vfio_user::LoopContext context;
        ControlTargets targets;
        DeviceEvents observer;
        std::unique_ptr<LoopTrace> trace;
        std::vector<Endpoint> endpoints;
        std::vector<std::unique_ptr<vfio_user::Server>> servers;
    };

    explicit DeviceHost(const std::string& machine) : process_(machine) {}
    Status serve_all(const Options& options);
    Status serve_control(const std::string& socket_path);

    service::ProcessContext process_;
    std::unique_ptr<TraceDumper> dumper_;
    std::unique_ptr<LoopPool> pool_;
    std::vector<std::unique_ptr<Shard>> shards_;
    std::unique_ptr<control::ControlServer> control_;
    size_t size_ = 0;
};

struct ServeOptions {
    std::string file;
    std::string machine;               // may be empty if the file has one
    std::vector<std::string> devices;  // names of devices; empty: all
    std::string run_dir = ".";         // sockets are <run_dir>/<function>.sock
    unsigned threads = 0;              // 0: by the number of CPUs and devices
    unsigned spin_us = 50;             // kDefaultSpin; 0: sleep at once
    unsigned message_timeout_s = 60;   // vfio_user::Session::Options::message_timeout
    int ready_fd = -1;    // gets "ready N\n" and is closed once all are served; -1: stdout
    std::string control;  // socket of the control API; empty: none

    uint64_t trace_bytes = kDefaultTraceBytes;  // of each loop's ring; 0: none until asked for
    std::string dump_dir{};  // where rings go when a fault strikes; empty: nowhere
};

/// The file in `run_dir` with which a device host says that it, process `pid`, dies by an injected
/// fault: its supervisor then keeps the machine, so that the guest notices.
std::string crash_note_path(const std::string& run_dir, pid_t pid);

/// The control socket of device host `index` of a machine.
std::string control_socket_path(const std::string& run_dir, size_t index);

/// `mimic serve`: serves until SIGTERM or SIGINT; returns the exit status. Main thread only.
int run_serve(const ServeOptions& options);

}  // namespace mimic::device_host
