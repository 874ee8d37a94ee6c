// SPDX-License-Identifier: Apache-2.0
#include "sim/builtin/spec.h"

#include <algorithm>
#include <span>
#include <utility>

#include "sim/models/formulas.h"
#include "sim/sst_protocol.h"

namespace mimic::sim {
namespace {

template <typename Enum>
struct Word {
    Enum value;
    std::string_view text;
};

constexpr std::array kKindWords = {Word<ModelKind>{ModelKind::kFixed, "fixed"},
                                   Word<ModelKind>{ModelKind::kLinear, "linear"},
                                   Word<ModelKind>{ModelKind::kBandwidth, "bandwidth"},
                                   Word<ModelKind>{ModelKind::kRoofline, "roofline"},
                                   Word<ModelKind>{ModelKind::kContention, "contention"},
                                   Word<ModelKind>{ModelKind::kSystolic, "systolic"},
                                   Word<ModelKind>{ModelKind::kTable, "table"}};
constexpr std::array kDataflowWords = {
    Word<Dataflow>{Dataflow::kOutputStationary, "output-stationary"},
    Word<Dataflow>{Dataflow::kWeightStationary, "weight-stationary"},
    Word<Dataflow>{Dataflow::kInputStationary, "input-stationary"}};
constexpr std::array kLookupWords = {Word<Lookup>{Lookup::kUnits, "units"},
                                     Word<Lookup>{Lookup::kSequence, "sequence"}};

template <typename Enum>
std::string_view word_of(std::span<const Word<Enum>> words, Enum value) {
    for (const auto& known : words)
        if (known.value == value) return known.text;
    return "?";
}

template <typename Enum>
std::optional<Enum> value_of(std::span<const Word<Enum>> words, std::string_view text) {
    for (const auto& known : words)
        if (known.text == text) return known.value;
    return std::nullopt;
}

// Finds the first mistake: what follows it is not looked at.
class Checker {
public:
    void about(std::optional<size_t> model) { model_ = model; }

    void require(bool good, std::string_view key, std::string message) {
        if (!good && !error_) error_ = SpecError{model_, std::string(key), std::move(message)};
    }
    void in_range(std::string_view key, uint64_t value, uint64_t least, uint64_t most) {
        require(value >= least && value <= most, key,
                fmt::format("is {}; it must be {} .. {}", value, least, most));
    }
    void in_range(std::string_view key, double value, double least, double most) {
        // Not a number is in no range.
        require(value >= least && value <= most, key,
                fmt::format("is {}; it must be {} .. {}", value, least, most));
    }
    void short_time(std::string_view key, SimTime time) {
        require(time <= kLongest, key,
                fmt::format("is {} s; it must be at most 10,000 s", time / kPicosecondsPerSecond));
    }
    std::optional<SpecError> error() && { return std::move(error_); }

private:
    std::optional<size_t> model_;
    std::optional<SpecError> error_;
};

void check_table(Checker& check, const ModelSpec& model) {
    check.require(model.points.empty() || model.file.empty(), "file",
                  "stands beside `points`; a table has one of them");
    check.require(!model.points.empty() || !model.file.empty(), "points",
                  "or `file` is missing: a table needs one");
    check.require(
        model.points.size() <= kMaxTablePoints, "points",
        fmt::format("are {}; at most {} are taken", model.points.size(), kMaxTablePoints));
    for (size_t i = 0; i < model.points.size(); ++i) {
        check.short_time("points", model.points[i].time);
        check.require(model.lookup == Lookup::kSequence || i == 0 ||
                          model.points[i - 1].units < model.points[i].units,
                      "points",
                      fmt::format("must be in order of units, each once: {} follows {}",
                                  model.points[i].units, i == 0 ? 0 : model.points[i - 1].units));
    }
}

void check_model(Checker& check, const ModelSpec& model) {
    constexpr uint64_t kMost = ~uint64_t{0};
    check.short_time("latency", model.latency);
    check.in_range("jitter", model.jitter, 0.0, 1.0);
    check.require(model.name.size() <= 64, "name", "is longer than 64 characters");
    switch (model.kind) {
        case ModelKind::kFixed:
            break;
        case ModelKind::kLinear:
            check.short_time("per-unit", model.per_unit);
            break;
        case ModelKind::kContention:
            check.short_time("per-unit", model.per_unit);
            check.in_range("shared", uint64_t{model.shared}, 1, 65'536);
            check.in_range("penalty", model.penalty, 0.0, 100.0);
            break;
        case ModelKind::kBandwidth:
            check.in_range("bandwidth", model.bandwidth, 1, kMost);
            break;
        case ModelKind::kRoofline:
            check.in_range("bandwidth", model.bandwidth, 1, kMost);
            check.in_range("peak", model.peak, 1, kMost);
            check.in_range("element-bytes", uint64_t{model.element_bytes}, 1, 64);
            break;
        case ModelKind::kSystolic:
            check.in_range("rows", uint64_t{model.rows}, 1, 65'536);
            check.in_range("columns", uint64_t{model.columns}, 1, 65'536);
            break;
        case ModelKind::kTable:
            check_table(check, model);
            break;
    }
    check.in_range("m", uint64_t{model.m}, 0, SST_MAX_GEMM_SIDE);
    check.in_range("n", uint64_t{model.n}, 0, SST_MAX_GEMM_SIDE);
    check.in_range("k", uint64_t{model.k}, 0, SST_MAX_GEMM_SIDE);
}

}  // namespace

std::string_view word(ModelKind kind) {
    return word_of<ModelKind>(kKindWords, kind);
}
std::string_view word(Dataflow dataflow) {
    return word_of<Dataflow>(kDataflowWords, dataflow);
}
std::string_view word(Lookup lookup) {
    return word_of<Lookup>(kLookupWords, lookup);
}
std::optional<ModelKind> model_kind(std::string_view word) {
    return value_of<ModelKind>(kKindWords, word);
}
std::optional<Dataflow> dataflow(std::string_view word) {
    return value_of<Dataflow>(kDataflowWords, word);
}
std::optional<Lookup> lookup(std::string_view word) {
    return value_of<Lookup>(kLookupWords, word);
}

std::optional<SpecError> find_error(const BuiltinSpec& spec) {
    Checker check;
    check.require(spec.models.size() <= kMaxModels, "models",
                  fmt::format("are {}; at most {} are taken", spec.models.size(), kMaxModels));
    check.in_range("scale", spec.scale, 1e-6, 1e6);
    check.in_range("memory", spec.memory_bytes, 0, uint64_t{1} << 48);
    check.in_range("clock", spec.clock_hz, 1, kPicosecondsPerSecond);
    check.in_range("units", uint64_t{spec.units}, 1, 65'536);
    check.in_range("max-in-flight", uint64_t{spec.max_in_flight}, 1, 65'536);
    check.short_time("launch-latency", spec.launch_latency);
    check.short_time("memory-latency", spec.memory_latency);
    for (size_t i = 0; i < spec.models.size() && i < kMaxModels; ++i) {
        check.about(i);
        check_model(check, spec.models[i]);
    }
    return std::move(check).error();
}

Status validate(const BuiltinSpec& spec) {
    const auto error = find_error(spec);
    if (!error) return {};
    const std::string where = error->model ? fmt::format("models[{}].{}", *error->model, error->key)
                                           : error->key;
    return fail(std::errc::invalid_argument, "{}: {}", where, error->message);
}

}  // namespace mimic::sim
