// SPDX-License-Identifier: Apache-2.0
// What mimic-dra counts, and its Prometheus text (docs/kubernetes/metrics.md, which a test compares
// with the table here).
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace mimic::dra {

struct AgentMetric {
    std::string_view name, type, labels, help;
};

/// All families, in the order in which they are written.
std::span<const AgentMetric> agent_metrics();

enum class Method : uint8_t { kPrepare, kUnprepare };

/// Calls of the kubelet to one driver. Thread-safe; add() costs no lock.
class CallCounters {
public:
    /// Upper ends of the histogram's buckets, in seconds.
    static constexpr std::array<double, 10> kBuckets = {0.001, 0.0025, 0.005, 0.01, 0.025,
                                                        0.05,  0.1,    0.5,   2.5,  10};

    void begin(Method method);
    /// `claims` were asked for, of which `errors` failed.
    void end(Method method, std::chrono::nanoseconds took, size_t claims, size_t errors);

    struct Of {
        std::atomic<uint64_t> calls{0}, claims{0}, errors{0}, nanoseconds{0};
        std::atomic<int64_t> inflight{0};
        std::array<std::atomic<uint64_t>, kBuckets.size()> buckets{};
    };
    const Of& of(Method method) const { return of_[static_cast<size_t>(method)]; }

private:
    std::array<Of, 2> of_;
};

/// A driver's figures at one moment.
struct AgentFigures {
    std::string driver;
    const CallCounters* calls = nullptr;
    size_t prepared_claims = 0, prepared_devices = 0;
    size_t devices_healthy = 0, devices_unhealthy = 0, devices_unknown = 0;
    bool registered = false;
    uint64_t registration_errors = 0;
    size_t health_streams = 0;
    uint64_t stale_claims = 0, cleanup_errors = 0;
    uint64_t scans = 0;
    size_t slices = 0;
    uint64_t slice_writes = 0, slice_conflicts = 0, slice_errors = 0, slice_foreign_changes = 0;
    bool slices_settled = false;
    double slice_sync_seconds = 0;
};

/// The exposition of all drivers; format 0.0.4.
std::string metrics_text(std::span<const AgentFigures> drivers);

}  // namespace mimic::dra
