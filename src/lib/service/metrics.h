// SPDX-License-Identifier: Apache-2.0
// Metrics: the Prometheus text exposition format 0.0.4, and the families that Mimic exports
// (docs/metrics.md, which a test compares with the table here).
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace mimic::service {

struct MetricFamily {
    std::string_view name;
    std::string_view type;  // "counter", "gauge" or "histogram"
    std::string_view help;
};

/// All families, in the order in which they are written. Immutable.
std::span<const MetricFamily> metric_families();

using MetricLabels = std::vector<std::pair<std::string, std::string>>;

inline constexpr std::string_view kMetricsContentType = "text/plain; version=0.0.4; charset=utf-8";

/// Samples, by family. A value.
class Metrics {
public:
    /// `family` is one of metric_families(); labels with other characters than [a-zA-Z0-9_] in
    /// their names are our bug.
    void add(std::string_view family, const MetricLabels& labels, uint64_t value);
    void add_real(std::string_view family, const MetricLabels& labels, double value);

    /// A histogram: `counts[i]` is how many were at most `bounds[i]`, each with all before it;
    /// `count` is how many there were in all.
    void add_histogram(std::string_view family, const MetricLabels& labels,
                       std::span<const double> bounds, std::span<const uint64_t> counts, double sum,
                       uint64_t count);

    /// Adds the samples of `text`, which came from another process and may be anything: what is no
    /// sample of a family that we know is left out. Labels of `more` that a sample lacks are added
    /// to it; those in `unless_device` only if it has no label "device", for samples about a
    /// process. Returns the number of lines that were left out.
    size_t merge(std::string_view text, const MetricLabels& more,
                 const MetricLabels& unless_device);

    /// The exposition: HELP and TYPE once for each family that has samples.
    std::string text() const;

private:
    std::map<size_t, std::string> samples_;  // by place in the table; lines
};

/// process_* and mimic_build_info, of this process.
void add_process_metrics(Metrics& metrics);

}  // namespace mimic::service
