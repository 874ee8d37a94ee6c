// SPDX-License-Identifier: Apache-2.0
// The keys of `simulator:` in a topology file: a built-in simulator's (sim/builtin/spec.h, whose
// names they have with '_' for '-'), or a socket's (sim/socket/client.h). docs/simulators.md says
// what each does.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "model/setting.h"

namespace mimic::virtio_sst::settings {

using model::Setting;
using Kind = Setting::Kind;

// In the order of sim::ModelKind, sim::Dataflow, sim::Lookup and sim::Pace.
inline constexpr std::array<std::string_view, 7> kModelWords = {
    "fixed", "linear", "bandwidth", "roofline", "contention", "systolic", "table"};
inline constexpr std::array<std::string_view, 3> kDataflowWords = {
    "output-stationary", "weight-stationary", "input-stationary"};
inline constexpr std::array<std::string_view, 2> kLookupWords = {"units", "sequence"};
inline constexpr std::array<std::string_view, 2> kPaceWords = {"fast", "scaled"};

// What a simulated time may be: an hour. It fits 64 bits of picoseconds 5,000 times.
inline constexpr uint64_t kMostTime = 3'600'000'000'000'000;
inline constexpr uint64_t kMostArray = 65536;  // rows, columns: sim::ModelSpec
inline constexpr uint64_t kMostGemm = 1U << 20;
inline constexpr uint64_t kMostPath = 4096;

inline constexpr std::array kPoint = {
    Setting{.key = "units", .max = UINT64_MAX, .doc = "of the request"},
    Setting{.key = "time", .kind = Kind::kDuration, .max = kMostTime, .doc = "that it takes"},
};

/// Of one latency model, but for its kind.
inline constexpr std::array kModelSettings = {
    Setting{.key = "latency",
            .kind = Kind::kDuration,
            .max = kMostTime,
            .fallback = "0ps",
            .doc = "of every request, besides the rest"},
    Setting{.key = "per_unit",
            .kind = Kind::kDuration,
            .max = kMostTime,
            .fallback = "100ns",
            .doc = "linear, contention: of each compute unit"},
    Setting{.key = "bandwidth",
            .kind = Kind::kSize,
            .min = 1,
            .doc = "bandwidth, roofline: bytes a second"},
    Setting{.key = "bytes_per_unit",
            .max = UINT64_MAX,
            .doc = "bandwidth, roofline: that a compute unit moves"},
    Setting{.key = "peak", .min = 1, .doc = "roofline: operations a second"},
    Setting{.key = "operations_per_unit", .doc = "roofline: of a compute unit"},
    Setting{.key = "shared",
            .min = 1,
            .max = kMostArray,
            .fallback = "1",
            .doc = "contention: servers that requests share"},
    Setting{.key = "penalty",
            .kind = Kind::kReal,
            .most = 100,
            .fallback = "0",
            .doc = "contention: how much slower for each that is busy"},
    Setting{.key = "rows", .min = 1, .max = kMostArray, .doc = "systolic: of the array"},
    Setting{.key = "columns", .min = 1, .max = kMostArray, .doc = "systolic: of the array"},
    Setting{.key = "dataflow",
            .kind = Kind::kChoice,
            .words = kDataflowWords,
            .fallback = "output-stationary",
            .doc = "systolic: what stays in the elements"},
    Setting{.key = "m", .max = kMostGemm, .doc = "systolic, roofline: GEMM of a compute unit"},
    Setting{.key = "n", .max = kMostGemm, .doc = "the same"},
    Setting{.key = "k", .max = kMostGemm, .doc = "the same"},
    Setting{.key = "element_bytes",
            .min = 1,
            .max = 64,
            .fallback = "4",
            .doc = "roofline: of an element of those matrices"},
    Setting{.key = "points",
            .kind = Kind::kList,
            .min = 1,
            .max = 4096,
            .settings = kPoint,
            .doc = "table: what was measured, by units"},
    Setting{.key = "file",
            .kind = Kind::kPath,
            .max = kMostPath,
            .doc = "table: the same in a file, a line \"UNITS TIME\" each"},
    Setting{.key = "lookup",
            .kind = Kind::kChoice,
            .words = kLookupWords,
            .fallback = "units",
            .doc = "table: by units, or one point after the other"},
    Setting{.key = "jitter",
            .kind = Kind::kReal,
            .most = 1,
            .fallback = "0",
            .doc = "each time is multiplied by 1 - jitter to 1 + jitter"},
};

/// `first`, then `more`.
template <size_t M, size_t N>
constexpr std::array<Setting, M + N> joined(const std::array<Setting, M>& first,
                                            const std::array<Setting, N>& more) {
    std::array<Setting, M + N> out{};
    for (size_t i = 0; i < M; ++i) out[i] = first[i];
    for (size_t i = 0; i < N; ++i) out[M + i] = more[i];
    return out;
}

inline constexpr auto kOneModel = joined(
    std::array{
        Setting{.key = "kind",
                .kind = Kind::kChoice,
                .words = kModelWords,
                .fallback = "linear",
                .doc = "which formula"},
        Setting{.key = "name", .kind = Kind::kText, .min = 1, .max = 63, .doc = "for people"}},
    kModelSettings);

inline constexpr std::array kEngineSettings = {
    Setting{.key = "socket",
            .kind = Kind::kPath,
            .max = kMostPath,
            .doc = "a simulator of yours that listens there, by Linux SST's protocol"},
    Setting{.key = "command",
            .kind = Kind::kCommand,
            .max = 64,
            .doc = "or one to start, with the path of the socket that it listens at; `mimic up` "
                   "wants `--allow-commands`",
            .placeholder = "{socket}"},
    Setting{.key = "timeout",
            .kind = Kind::kDuration,
            .min = 1'000'000'000,
            .max = kMostTime,
            .fallback = "5s",
            .doc = "of a request to it; then TIMEOUT"},
    Setting{.key = "pace",
            .kind = Kind::kChoice,
            .words = kPaceWords,
            .fallback = "fast",
            .doc = "how simulated time passes: as fast as can be, or by the clock"},
    Setting{.key = "scale",
            .kind = Kind::kReal,
            .least = 1e-6,
            .most = 1e6,
            .fallback = "1",
            .doc = "scaled: wall time is simulated time times this"},
    Setting{.key = "seed", .fallback = "1", .doc = "of all jitter"},
    Setting{.key = "clock",
            .kind = Kind::kFrequency,
            .min = 1,
            .max = 1'000'000'000'000,
            .fallback = "1GHz",
            .doc = "of what is told in cycles"},
    Setting{.key = "units",
            .min = 1,
            .max = 65536,
            .fallback = "1",
            .doc = "compute units that work at the same time"},
    Setting{.key = "launch_latency",
            .kind = Kind::kDuration,
            .max = kMostTime,
            .fallback = "0ps",
            .doc = "of each COMPUTE, on its unit"},
    Setting{.key = "memory_latency",
            .kind = Kind::kDuration,
            .max = kMostTime,
            .fallback = "100ns",
            .doc = "of READ and WRITE"},
    Setting{.key = "memory_bandwidth",
            .kind = Kind::kSize,
            .min = 1,
            .doc = "bytes a second on one bus, of READ and WRITE; without bound if left out"},
    Setting{.key = "models",
            .kind = Kind::kList,
            .min = 1,
            .max = 256,
            .settings = kOneModel,
            .doc = "latency models; a request names one by its place"},
    Setting{.key = "model",
            .kind = Kind::kChoice,
            .words = kModelWords,
            .fallback = "linear",
            .doc = "in place of `models`, if there is one: its kind. Its keys follow"},
};

inline constexpr auto kSimulator = joined(kEngineSettings, kModelSettings);

inline constexpr std::array kAll = {
    Setting{.key = "simulator",
            .kind = Kind::kGroup,
            .settings = kSimulator,
            .doc = "who answers, and how long that takes"},
};

}  // namespace mimic::virtio_sst::settings
