// SPDX-License-Identifier: Apache-2.0
// DRAResourceHealth as gRPC has it, for any version of its messages. A stream gets the full list at
// once, at each change and every few seconds; one that reads slowly has one message on its way and
// none waiting, and occupies no thread.
#pragma once

#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>

#include "dra/discovery/inventory.h"
#include "dra/plugin/proto/dra_health_v1.grpc.pb.h"
#include "dra/plugin/proto/dra_health_v1alpha1.grpc.pb.h"

namespace mimic::dra {

/// An open stream, whatever its version.
class HealthStream {
public:
    virtual ~HealthStream() = default;

    /// Sends the list as it is now, when the message on its way has gone. Thread-safe.
    virtual void poke() = 0;
};

/// All streams of a server, and what they say. Thread-safe.
class HealthStreams {
public:
    struct Options {
        std::string pool;
        size_t max_streams;
        std::chrono::milliseconds period;
    };

    explicit HealthStreams(Options options);
    /// No stream is left.
    ~HealthStreams();
    HealthStreams(const HealthStreams&) = delete;
    HealthStreams& operator=(const HealthStreams&) = delete;

    void set_inventory(InventoryPtr inventory);
    InventoryPtr inventory() const;
    const std::string& pool() const { return options_.pool; }
    /// After how long without a message a device is unknown.
    std::chrono::seconds timeout() const;

    /// False: there are too many.
    bool add(HealthStream& stream);
    void remove(HealthStream& stream);
    size_t count() const;

private:
    void run(const std::stop_token& stop);

    const Options options_;
    // Held while streams are poked, so that none ends meanwhile; before a stream's own and mutex_.
    mutable std::mutex list_mutex_;
    std::set<HealthStream*> streams_;
    mutable std::mutex mutex_;
    std::condition_variable_any wake_;
    InventoryPtr inventory_;
    bool changed_ = false;
    std::jthread thread_;  // pokes; last, it uses the rest
};

/// The services; `streams` outlives them.
std::unique_ptr<grpc::Service> make_health_v1(HealthStreams& streams);
std::unique_ptr<grpc::Service> make_health_v1alpha1(HealthStreams& streams);

}  // namespace mimic::dra
