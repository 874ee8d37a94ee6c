// SPDX-License-Identifier: Apache-2.0
// Publisher: keeps the ResourceSlices of one driver on one node as somebody wants them, against
// everything that happens to an API server: who else writes or deletes them (the kubelet does, when
// it starts and when it loses the plugin), conflicts, refusals, silence.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>

#include "kube/backoff.h"
#include "kube/config.h"
#include "slices/device.h"

namespace mimic::dra {

struct PublisherConfig {
    std::shared_ptr<const kube::ClientConfig> client;  // shared with other users of the API
    std::string driver;
    std::string node;  // a Node of that name owns the slices
    kube::BackoffOptions backoff{std::chrono::milliseconds(100), std::chrono::seconds(60)};
    /// The wait after somebody else changed a slice of ours, so that a kubelet which deletes all of
    /// them is through; grows while that goes on.
    kube::BackoffOptions foreign{std::chrono::seconds(1), std::chrono::seconds(30)};
    /// How often everything is compared without a reason. Costs no request if all is well.
    std::chrono::milliseconds recheck = std::chrono::minutes(1);
    /// How often dropped fields are asked for again.
    std::chrono::milliseconds adopt_again = std::chrono::minutes(30);
};

/// For /metrics and /healthz.
struct PublisherStats {
    uint64_t writes = 0;           // creations, updates and deletions that succeeded
    uint64_t conflicts = 0;        // 409
    uint64_t errors = 0;           // requests that failed otherwise, those of the watch included
    uint64_t foreign_changes = 0;  // by somebody else
    uint64_t lists = 0;            // times that all slices were read
    size_t slices = 0;             // that there are
    bool settled = false;          // they say what was published last
    /// How long the writes of the last change took, from publish() on.
    double last_sync_seconds = 0;
    std::string last_error;  // one line; empty once all is well again
};

/// Thread-safe. Has two threads: one watches, one writes.
class Publisher {
public:
    explicit Publisher(PublisherConfig config);
    /// Stops within about a second. The slices stay: the kubelet deletes those of a driver that
    /// does not come back.
    ~Publisher();
    Publisher(const Publisher&) = delete;
    Publisher& operator=(const Publisher&) = delete;

    /// From now on the slices should say this. Never blocks on the network. A pool that breaks the
    /// rules of slices::check() is logged and told by stats(); the one before stays.
    void publish(const slices::Pool& pool);

    PublisherStats stats() const;

private:
    class Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace mimic::dra
