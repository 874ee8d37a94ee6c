// SPDX-License-Identifier: Apache-2.0
#include "machine/device_host.h"

#include <sys/resource.h>

#include <algorithm>

namespace mimic::machine {

Result<std::unique_ptr<DeviceHost>> DeviceHost::create(std::vector<Endpoint> endpoints,
                                                       const Options& options) {
    std::unique_ptr<DeviceHost> host(new DeviceHost());
    host->size_ = endpoints.size();
    MIMIC_ASSIGN_OR_RETURN(host->pool_, LoopPool::create(std::max(1u, options.threads)));
    for (unsigned i = 0; i < host->pool_->size(); ++i)
        host->shards_.push_back(std::make_unique<Shard>(host->pool_->loop(i)));
    for (size_t i = 0; i < endpoints.size(); ++i)
        host->shards_[i % host->shards_.size()]->endpoints.push_back(std::move(endpoints[i]));
    MIMIC_TRY(host->serve_all(options.spin));
    return host;
}

Status DeviceHost::serve_all(Duration spin) {
    Status first;
    for (auto& shard : shards_) {
        LoopPool::run_on(shard->context.loop, [&] {
            shard->context.loop.set_spin(spin);
            for (auto& endpoint : shard->endpoints) {
                auto server = vfio_user::Server::create(shard->context, *endpoint.function,
                                                        {endpoint.socket_path, {}});
                if (!server) {
                    first = tl::unexpected(std::move(server).error());
                    return;
                }
                shard->servers.push_back(std::move(*server));
            }
        });
        if (!first) break;
    }
    return first;
}

DeviceHost::~DeviceHost() {
    for (auto& shard : shards_) {
        LoopPool::run_on(shard->context.loop, [&shard] {
            shard->servers.clear();
            shard->endpoints.clear();
        });
    }
    // The contexts outlive the loops' threads.
    pool_.reset();
}

void raise_descriptor_limit() {
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
    limit.rlim_cur = limit.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &limit);
}

}  // namespace mimic::machine
