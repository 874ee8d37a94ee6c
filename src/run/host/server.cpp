// SPDX-License-Identifier: Apache-2.0
#include "host/server.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <functional>
#include <nlohmann/json.hpp>

#include "base/log.h"
#include "base/loop_pool.h"
#include "control/api.h"
#include "host/control_targets.h"
#include "host/device_events.h"
#include "host/loop_trace.h"
#include "host/trace_dump.h"
#include "service/process_context.h"
#include "vfio_user/server.h"
#include "vhost_user/server.h"

namespace mimic::host {
namespace {

// host-crash. The note comes first: whoever sees the process dead can read why.
void crash(const std::string& note) {
    MIMIC_LOG("control", kWarn, "The process kills itself, as an injected fault asks");
    if (!note.empty()) {
        const UniqueFd made(
            ::open(note.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
        if (!made) MIMIC_LOG("control", kError, "Cannot make {}", note);
    }
    // A large process takes a while to die, and keeps its sockets until then. QEMU 11.1.3 aborts if
    // a device goes away while a request of it is under way, so clients see the end first.
    ::close_range(STDERR_FILENO + 1, ~0U, 0);
    ::kill(::getpid(), SIGKILL);
}

}  // namespace

// One loop and what lives on it.
struct Server::Shard {
    Shard(EventLoop& loop, std::function<void()> crash, service::EventHub& events)
        : context(loop), targets(loop, std::move(crash)), observer(events) {}
    vfio_user::LoopContext context;
    ControlTargets targets;
    DeviceEvents observer;
    std::unique_ptr<LoopTrace> trace;
    std::vector<Endpoint> endpoints;
    std::vector<std::unique_ptr<vfio_user::Server>> servers;
    std::vector<std::unique_ptr<vhost_user::Server>> vhost_servers;
};

struct Server::State {
    explicit State(const std::string& machine) : process(machine) {}
    ~State();
    State(const State&) = delete;
    State& operator=(const State&) = delete;

    Status start_loops(const Options& options);
    void start_traces(const Options& options);
    Status serve_all(const Options& options);
    static Status serve(Shard& shard, Endpoint& endpoint, const Options& options);
    static Status serve_vhost(Shard& shard, Endpoint& endpoint, const Options& options);
    Status serve_control(const std::string& socket_path);

    service::ProcessContext process;
    std::unique_ptr<TraceDumper> dumper;
    std::unique_ptr<LoopPool> pool;
    std::vector<std::unique_ptr<Shard>> shards;
    std::unique_ptr<control::ControlServer> control;
    size_t size = 0;
};

Server::Server(std::unique_ptr<State> state) : state_(std::move(state)) {}
Server::~Server() = default;
size_t Server::size() const {
    return state_->size;
}

Result<std::unique_ptr<Server>> Server::create(std::vector<Endpoint> endpoints,
                                               const Options& options) {
    auto state = std::make_unique<State>(options.machine);
    state->size = endpoints.size();
    MIMIC_TRY(state->start_loops(options));
    for (size_t i = 0; i < endpoints.size(); ++i) {
        auto& shard = *state->shards[i % state->shards.size()];
        shard.endpoints.push_back(std::move(endpoints[i]));
    }
    state->start_traces(options);
    MIMIC_TRY(state->serve_all(options));
    if (!options.control_socket.empty()) MIMIC_TRY(state->serve_control(options.control_socket));
    return std::unique_ptr<Server>(new Server(std::move(state)));
}

Result<std::unique_ptr<Server>> Server::create(std::unique_ptr<pci::Function> function,
                                               const std::string& socket_path,
                                               const Options& options) {
    std::vector<Endpoint> endpoints;
    endpoints.push_back({.function = std::move(function), .socket_path = socket_path});
    return create(std::move(endpoints), options);
}

Status Server::State::start_loops(const Options& options) {
    MIMIC_ASSIGN_OR_RETURN(pool, LoopPool::create(std::max(1u, options.threads)));
    for (unsigned i = 0; i < pool->size(); ++i) {
        shards.push_back(std::make_unique<Shard>(
            pool->loop(i),
            // Loops serve on while the dump of the last events is written.
            [this, &loop = pool->loop(i), note = options.crash_note] {
                dumper->when_written([&loop, note] { loop.post([note] { crash(note); }); });
            },
            process.events));
    }
    return {};
}

void Server::State::start_traces(const Options& options) {
    TraceDumper::Options dumps{.dir = options.dump_dir, .header = options.dump_header};
    dumps.written = [this](const std::string& path, const std::string& device) {
        ++process.trace_dumps;
        if (process.events.listening()) {
            process.events.publish("trace-dump", device, {{"path", path}});
        }
    };
    dumper = std::make_unique<TraceDumper>(std::move(dumps));
    for (auto& shard : shards) {
        shard->trace = std::make_unique<LoopTrace>(
            shard->context.loop,
            LoopTrace::Options{.buffer_bytes = options.trace_bytes, .dumper = dumper.get()});
        shard->targets.set_trace(shard->trace.get());
    }
}

Status Server::State::serve_all(const Options& options) {
    Status first;
    for (auto& shard : shards) {
        LoopPool::run_on(shard->context.loop, [&] {
            shard->context.loop.set_spin(options.spin);
            for (auto& endpoint : shard->endpoints) {
                first = endpoint.device != nullptr ? serve_vhost(*shard, endpoint, options)
                                                   : serve(*shard, endpoint, options);
                if (!first) return;
            }
        });
        if (!first) break;
    }
    return first;
}

Status Server::State::serve(Shard& shard, Endpoint& endpoint, const Options& options) {
    MIMIC_ASSIGN_OR_RETURN(auto server,
                           vfio_user::Server::create(shard.context, *endpoint.function,
                                                     {endpoint.socket_path, options.session}));
    shard.targets.add(*endpoint.function, *server, endpoint.fabric, endpoint.place);
    shard.observer.watch(*endpoint.function, endpoint.fabric);
    shard.trace->add(*endpoint.function, endpoint.fabric);
    shard.servers.push_back(std::move(server));
    return {};
}

Status Server::State::serve_vhost(Shard& shard, Endpoint& endpoint, const Options& options) {
    MIMIC_ASSIGN_OR_RETURN(
        auto server,
        vhost_user::Server::create(shard.context.loop, *endpoint.device,
                                   {endpoint.socket_path,
                                    {.handshake_timeout = options.session.handshake_timeout,
                                     .message_timeout = options.session.message_timeout}}));
    shard.targets.add(*endpoint.device, *server, endpoint.place);
    shard.trace->add(*endpoint.device);
    shard.vhost_servers.push_back(std::move(server));
    return {};
}

Status Server::State::serve_control(const std::string& socket_path) {
    std::vector<control::TargetGroup*> groups;
    for (const auto& shard : shards) groups.push_back(&shard->targets);
    MIMIC_ASSIGN_OR_RETURN(control, control::ControlServer::create(
                                        {.socket_path = socket_path, .process = &process}, groups));
    return {};
}

Server::State::~State() {
    control.reset();  // nobody asks for targets any more
    for (auto& shard : shards) {
        LoopPool::run_on(shard->context.loop, [&shard] {
            shard->targets.clear();
            if (shard->trace) shard->trace->clear();
            shard->servers.clear();
            shard->vhost_servers.clear();
            shard->endpoints.clear();
        });
    }
    // The contexts outlive the loops' threads.
    if (dumper) dumper->stop();  // its thread may post to a loop
    pool.reset();
}

}  // namespace mimic::host
