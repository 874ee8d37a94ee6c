// SPDX-License-Identifier: Apache-2.0
#include "device_host/device_host.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/log.h"

namespace mimic::device_host {
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

Result<std::unique_ptr<DeviceHost>> DeviceHost::create(std::vector<Endpoint> endpoints,
                                                       const Options& options) {
    std::unique_ptr<DeviceHost> host(new DeviceHost(options.machine));
    host->size_ = endpoints.size();
    MIMIC_ASSIGN_OR_RETURN(host->pool_, LoopPool::create(std::max(1u, options.threads)));
    for (unsigned i = 0; i < host->pool_->size(); ++i)
        host->shards_.push_back(std::make_unique<Shard>(
            host->pool_->loop(i),
            // Loops serve on while the dump of the last events is written.
            [self = host.get(), &loop = host->pool_->loop(i), note = options.crash_note] {
                self->dumper_->when_written([&loop, note] { loop.post([note] { crash(note); }); });
            },
            host->process_.events));
    for (size_t i = 0; i < endpoints.size(); ++i)
        host->shards_[i % host->shards_.size()]->endpoints.push_back(std::move(endpoints[i]));
    TraceDumper::Options dumps = options.dumps;
    dumps.written = [process = &host->process_](const std::string& path,
                                                const std::string& device) {
        ++process->trace_dumps;
        if (process->events.listening())
            process->events.publish("trace-dump", device, {{"path", path}});
    };
    host->dumper_ = std::make_unique<TraceDumper>(std::move(dumps));
    for (auto& shard : host->shards_) {
        shard->trace = std::make_unique<LoopTrace>(
            shard->context.loop,
            LoopTrace::Options{.buffer_bytes = options.trace_bytes, .dumper = host->dumper_.get()});
        shard->targets.set_trace(shard->trace.get());
    }
    MIMIC_TRY(host->serve_all(options));
    if (!options.control_socket.empty()) MIMIC_TRY(host->serve_control(options.control_socket));
    return host;
}

Status DeviceHost::serve_all(const Options& options) {
    Status first;
    for (auto& shard : shards_) {
        LoopPool::run_on(shard->context.loop, [&] {
            shard->context.loop.set_spin(options.spin);
            for (auto& endpoint : shard->endpoints) {
                auto server = vfio_user::Server::create(shard->context, *endpoint.function,
                                                        {endpoint.socket_path, options.session});
                if (!server) {
                    first = tl::unexpected(std::move(server).error());
                    return;
                }
                shard->targets.add(*endpoint.function, **server, endpoint.fabric, endpoint.place);
                shard->observer.watch(*endpoint.function, endpoint.fabric);
                shard->trace->add(*endpoint.function, endpoint.fabric);
                shard->servers.push_back(std::move(*server));
            }
        });
        if (!first) break;
    }
    return first;
}

Status DeviceHost::serve_control(const std::string& socket_path) {
    std::vector<control::TargetGroup*> groups;
    for (const auto& shard : shards_) groups.push_back(&shard->targets);
    MIMIC_ASSIGN_OR_RETURN(
        control_,
        control::ControlServer::create({.socket_path = socket_path, .process = &process_}, groups));
    return {};
}

DeviceHost::~DeviceHost() {
    control_.reset();  // nobody asks for targets any more
    for (auto& shard : shards_) {
        LoopPool::run_on(shard->context.loop, [&shard] {
            shard->targets.clear();
            shard->trace->clear();
            shard->servers.clear();
            shard->endpoints.clear();
        });
    }
    // The contexts outlive the loops' threads.
    if (dumper_) dumper_->stop();  // its thread may post to a loop
    pool_.reset();
}

std::string crash_note_path(const std::string& run_dir, pid_t pid) {
    return fmt::format("{}/crashed-{}", run_dir, pid);
}

std::string control_socket_path(const std::string& run_dir, size_t index) {
    return fmt::format("{}/control-{}.sock", run_dir, index);
}

}  // namespace mimic::device_host
