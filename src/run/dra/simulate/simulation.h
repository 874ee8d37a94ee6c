// SPDX-License-Identifier: Apache-2.0
// Simulation: publishes the slices of a fleet and keeps them true. Workers, each with a connection
// of its own, make the slices of one node at a time what they should be; a watcher tells them of
// nodes whose slices somebody else changed, and churn of devices that fell ill or recovered.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <nlohmann/json.hpp>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "dra/simulate/counters.h"
#include "dra/simulate/fleet.h"
#include "dra/simulate/observed.h"
#include "dra/simulate/work_queue.h"
#include "kube/client.h"

namespace mimic::dra {

struct SyncAction;

struct SimulationSettings {
    unsigned workers = 8;
    double churn = 0;          // changes of devices a second; 0: none
    uint64_t churn_steps = 0;  // as many and no more; 0: for ever
    uint64_t seed = 1;
    bool create_nodes = false;  // Node objects too, for nodes that have none
    /// After a failure, before the next try; doubles each time, up to a bound.
    std::chrono::milliseconds first_pause{200};
};

/// Create, start, stop and destroy on one thread; what the threads do is told by counters and log.
class Simulation {
public:
    Simulation(Fleet fleet, std::shared_ptr<const kube::ClientConfig> config,
               SimulationSettings settings);
    /// Stops.
    ~Simulation();

    void start();

    /// Waits until all slices were published once; false if that was not so within `limit`.
    bool wait_published(std::chrono::milliseconds limit);

    /// Ends all threads; requests under way end within a second. Slices stay on the server.
    void stop();

    /// After stop(): deletes the slices, and the nodes that we made. False if the server kept some:
    /// those are in the log. Takes at most `limit`.
    bool remove_all(std::chrono::milliseconds limit);

    const Fleet& fleet() const { return fleet_; }
    /// How long the first publishing took; zero before its end.
    std::chrono::duration<double> publishing_time() const { return publishing_time_.load(); }
    /// Slices on the server, as far as we know.
    size_t slices() const { return observed_.total(); }
    /// In Prometheus' text format. Thread-safe.
    std::string metrics() const;

private:
    struct Node {
        std::string uid;                 // of the Node object; the worker's that has the node
        unsigned failures = 0;           // in a row; as above
        bool created = false;            // the Node object is ours; as above
        std::atomic<bool> look = false;  // ask the server what there is before anything is done
    };
    using Slices = std::vector<KnownSlice>;

    // Threads.
    void conduct(const std::stop_token& stop);
    void work(const std::stop_token& stop);
    void churn(const std::stop_token& stop);

    // simulation.cpp, of the conductor
    bool find_nodes(kube::Client& client);
    bool find_slices(kube::Client& client, std::string& version);
    void watch(kube::Client& client, std::string version, const std::stop_token& stop);
    void see(const kube::WatchEvent& event, std::string& version);

    // node_sync.cpp, of the workers
    kube::ApiResult<void> sync(size_t node, kube::Client& client, Slices& left);
    kube::ApiResult<void> carry_out(const SyncAction& action, kube::Client& client, Slices& left);
    kube::ApiResult<void> ensure_node(size_t node, kube::Client& client);
    kube::ApiResult<std::vector<nlohmann::json>> existing(size_t node, kube::Client& client);
    void retry(size_t node, const kube::ApiError& error);
    bool remove_node(size_t node, kube::Client& client);
    kube::ApiResult<void> remove_once(size_t node, kube::Client& client);

    kube::Client new_client(const std::stop_token& stop) const;

    Fleet fleet_;
    const std::shared_ptr<const kube::ClientConfig> config_;  // shared by all clients
    const SimulationSettings settings_;
    Counters counters_;
    Observed observed_;
    WorkQueue queue_;
    std::vector<Node> nodes_;
    std::atomic<bool> published_ = false;
    std::atomic<std::chrono::duration<double>> publishing_time_{};
    std::stop_source stop_;
    std::vector<std::jthread> threads_;
};

}  // namespace mimic::dra
