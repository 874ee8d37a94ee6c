// SPDX-License-Identifier: Apache-2.0
// GatewayEvents: the events of all machines, out of one stream of each of their processes, for all
// readers of this gateway together.
#pragma once

#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/task_runner.h"
#include "base/unique_fd.h"
#include "service/event_hub.h"
#include "service/event_stream.h"

namespace mimic::gateway {

/// A process that has events.
struct EventSource {
    std::string machine;
    std::string socket;  // its control socket
};

/// Reads the events of processes on a thread of its own and passes them on to a hub, with ids of
/// that hub. The thread begins with the first reader; the processes are let go of when there has
/// been no reader for EventHub::kKeepHistory. Thread-safe.
///
/// A process is believed nothing but that something happened at its own machine: what is no event,
/// or too long, ends its stream. It is tried again every second, and asked for what came since its
/// last event, so that readers hear "missed" if it cannot tell.
class GatewayEvents {
public:
    /// The processes that are there now. Called on the thread, every `rescan`.
    using FindSources = std::function<std::vector<EventSource>()>;

    struct Options {
        Duration rescan = std::chrono::seconds(1);    // until a process that comes is heard
        Duration patience = std::chrono::seconds(1);  // with one that does not answer
    };

    /// `hub` is borrowed and outlives this.
    GatewayEvents(FindSources find, service::EventHub& hub, Options options);
    GatewayEvents(FindSources find, service::EventHub& hub)
        : GatewayEvents(std::move(find), hub, Options()) {}
    ~GatewayEvents();
    GatewayEvents(const GatewayEvents&) = delete;
    GatewayEvents& operator=(const GatewayEvents&) = delete;

    /// A reader, as of EventHub::subscribe(). From each process that is there now nothing is missed
    /// after the return, unless it took longer than Options::patience to answer. Waits at most
    /// twice that long.
    std::shared_ptr<service::EventQueue> subscribe(std::optional<uint64_t> after,
                                                   const std::string& machine);

private:
    // One process.
    struct Stream {
        std::string machine;
        UniqueFd fd;                        // empty: not connected
        std::string unsent;                 // of the request
        service::EventStream events;        // what comes
        bool listed = true;                 // by the last FindSources
        TimePoint waited_until{};           // for the head, by those who subscribe
        std::optional<uint64_t> last_id{};  // that it gave an event
    };

    void run();
    void scan();
    void connect(const std::string& socket, Stream& stream) const;
    void poll_streams(Duration patience);
    void serve(Stream& stream) const;
    void pass_on(Stream& stream, service::StreamEvent event) const;
    bool settled() const;

    const FindSources find_;
    service::EventHub& hub_;
    const Options options_;
    const UniqueFd wake_;
    std::map<std::string, Stream> streams_;  // by socket; the thread's

    std::mutex mutex_;
    std::condition_variable changed_;
    uint64_t asked_ = 0;  // these three: guarded by mutex_; calls of subscribe()
    uint64_t answered_ = 0;
    bool stopping_ = false;
    std::thread thread_;
};

}  // namespace mimic::gateway
