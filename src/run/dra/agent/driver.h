// SPDX-License-Identifier: Apache-2.0
// Driver: one kind of device on this node, wired up: discovery -> slices -> publisher, and the
// kubelet plugin with its checkpoint.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "base/event_loop.h"
#include "dra/agent/agent.h"
#include "dra/agent/claims_client.h"
#include "dra/agent/metrics.h"
#include "dra/discovery/discovery.h"
#include "dra/plugin/kubelet_server.h"
#include "dra/plugin/preparer.h"
#include "dra/publisher/publisher.h"

namespace mimic::dra {

/// Create and destroy it on one thread; the rest is thread-safe.
class Driver final : private DeviceSource {
public:
    /// `options` is borrowed and outlives it. Errors: as Agent::create().
    static Result<std::unique_ptr<Driver>> create(const slices::DraFacts& facts,
                                                  const AgentOptions& options);
    ~Driver() override;

    Status check_health();
    Status check_ready() const;
    AgentFigures figures() const;

private:
    Driver(const slices::DraFacts& facts, const AgentOptions& options);
    Status start();
    Status start_discovery();
    void on_inventory(const InventoryPtr& inventory);
    void clean_up(const std::stop_token& stop);
    void on_registered(const std::string& error);

    InventoryPtr snapshot() override;
    InventoryPtr rescan() override;

    const slices::DraFacts& facts_;
    const AgentOptions& options_;
    CallCounters calls_;
    std::atomic<bool> registered_{false};
    std::atomic<uint64_t> registration_errors_{0}, stale_claims_{0}, cleanup_errors_{0};
    ClaimsClient claims_;
    InventoryStore store_;
    std::unique_ptr<EventLoop> loop_;  // of discovery_
    std::jthread loop_thread_;
    std::unique_ptr<Discovery> discovery_;
    std::unique_ptr<Preparer> preparer_;
    std::unique_ptr<Publisher> publisher_;
    std::unique_ptr<KubeletServer> server_;
    uint64_t listener_ = 0;
    std::string last_problems_;  // of the pool; discovery's thread
    std::jthread cleaner_;
};

}  // namespace mimic::dra
