// SPDX-License-Identifier: Apache-2.0
// GatewayEvents: one stream of events out of those of many processes.
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/task_runner.h"
#include "base/unique_fd.h"
#include "control/event_queue.h"
#include "control/process_context.h"

namespace mimic::gateway {

/// Merges the server-sent events of processes, on a thread of its own. Thread-safe. It ends, within
/// a second, after its reader let it go.
class GatewayEvents final : public control::HttpStream {
public:
    /// Sockets to read from now; asked again every second, so that machines that come are heard.
    using Sockets = std::function<std::vector<std::string>()>;

    /// `after`: an event id; what processes keep of that which came later is sent first.
    /// `process` counts readers; borrowed.
    GatewayEvents(Sockets sockets, std::optional<uint64_t> after, control::ProcessContext& process);
    ~GatewayEvents() override;

    Next read(std::string& chunk) override { return queue_.read(chunk); }
    void set_waker(std::function<void()> wake) override { queue_.set_waker(std::move(wake)); }

private:
    // One process that is read from.
    struct Source {
        UniqueFd fd;
        std::string unsent;    // of the request
        std::string received;  // what is no whole event yet
        bool body = false;     // the head of the answer has passed
        bool ended = false;
    };

    void run();
    void connect_new(const std::vector<std::string>& sockets);
    void serve(Source& source, short revents);
    void take_events(Source& source);

    const Sockets sockets_;
    control::ProcessContext& process_;
    std::optional<uint64_t> after_;
    uint64_t last_id_ = 0;  // of what was passed on
    control::EventQueue queue_;
    std::map<std::string, Source> sources_;  // by socket; these are the thread's
    std::atomic<bool> stop_{false};
    std::thread thread_;
};

}  // namespace mimic::gateway
