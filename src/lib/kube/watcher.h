// SPDX-License-Identifier: Apache-2.0
// Watcher: follows all objects of a kind for as long as it runs: list, watch, resume where a watch
// ended, list again when the server has forgotten that place (410), with waits between failures.
// client-go calls this a reflector.
#pragma once

#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <stop_token>
#include <string>
#include <vector>

#include "kube/backoff.h"
#include "kube/client.h"

namespace mimic::kube {

/// What a Watcher tells, on the thread that runs it. Objects are as untrusted as the server; each
/// is an object, and no more is known of it. None of these may be empty.
struct WatchHandler {
    /// All objects there are, as of `resource_version`: at the beginning, and whenever events may
    /// have been missed.
    std::function<void(const std::string& resource_version, std::vector<nlohmann::json> objects)>
        replaced;
    /// An ADDED, MODIFIED or DELETED. One that was told already may come again.
    std::function<void(WatchEvent)> changed;
    /// A list or a watch failed, and is tried again after a wait.
    std::function<void(const ApiError&)> failed;
};

struct WatcherOptions {
    Resource resource;
    std::string name_space{};
    ListOptions list{};
    BackoffOptions backoff{};
};

/// Thread-bound to the thread that runs it.
class Watcher {
public:
    Watcher(std::shared_ptr<const ClientConfig> config, WatcherOptions options,
            WatchHandler handler);

    /// Blocks until a stop is requested, and for at most a second after that.
    void run(const std::stop_token& stop);

private:
    bool list();
    void watch(const std::stop_token& stop);
    void wait(const ApiError& error, const std::stop_token& stop);

    WatcherOptions options_;
    WatchHandler handler_;
    Client client_;
    Backoff backoff_;
    std::string resource_version_;  // where a watch goes on; empty: list first
    ApiError error_;                // of the last list
};

}  // namespace mimic::kube
