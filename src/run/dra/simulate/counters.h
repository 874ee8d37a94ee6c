// SPDX-License-Identifier: Apache-2.0
// What a simulation counts, for /metrics.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace mimic::dra {

/// Thread-safe.
class Counters {
public:
    /// A request with `verb` ("create", "update", ...) was answered with an HTTP status; 0: no
    /// answer came.
    void request(std::string_view verb, int status);
    uint64_t requests(std::string_view verb, int status) const;

    std::atomic<uint64_t> published = 0;  // slices created or updated
    std::atomic<uint64_t> removed = 0;    // slices deleted, since they were wrong or too many
    std::atomic<uint64_t> restored = 0;   // nodes whose slices somebody else had changed
    std::atomic<uint64_t> retries = 0;    // nodes that were put off after a failure
    std::atomic<uint64_t> churned = 0;    // changes of devices
    std::atomic<uint64_t> events = 0;     // that a watch told of our nodes
    std::atomic<uint64_t> strange = 0;    // objects in answers that cannot be what was asked for

    /// Samples of all of them in Prometheus' text format 0.0.4, and of `gauges` by name.
    std::string text(const std::vector<std::pair<std::string_view, double>>& gauges) const;

private:
    mutable std::mutex mutex_;
    std::map<std::pair<std::string, int>, uint64_t, std::less<>> requests_;
};

}  // namespace mimic::dra
