// SPDX-License-Identifier: Apache-2.0
#include "devices/virtio_sst/simulator_choice.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "devices/virtio_sst/model.h"

namespace mimic::virtio_sst {
namespace {

using model::SettingValue;

static_assert(settings::kModelWords.size() == sim::kModelKinds.size());

const SettingValue& simulator_of(const model::FunctionSpec& function) {
    static const SettingValue kNothing;
    const SettingValue* const found = function.settings.find("simulator");
    return found == nullptr ? kNothing : *found;
}

Duration to_duration(uint64_t picoseconds) {
    return Duration(static_cast<int64_t>(picoseconds / sim::kPicosecondsPerNanosecond));
}

sim::ModelSpec model_spec(const SettingValue& from, std::string_view kind_key) {
    sim::ModelSpec out;
    out.kind = static_cast<sim::ModelKind>(from.number_of(kind_key));
    out.name = from.text_of("name");
    out.latency = from.number_of("latency");
    out.per_unit = from.number_of("per_unit");
    out.bandwidth = from.number_of("bandwidth");
    out.bytes_per_unit = from.number_of("bytes_per_unit");
    out.peak = from.number_of("peak");
    out.operations_per_unit = from.number_of("operations_per_unit");
    out.shared = static_cast<uint32_t>(from.number_of("shared"));
    out.penalty = from.real_of("penalty");
    out.rows = static_cast<uint32_t>(from.number_of("rows"));
    out.columns = static_cast<uint32_t>(from.number_of("columns"));
    out.dataflow = static_cast<sim::Dataflow>(from.number_of("dataflow"));
    out.m = static_cast<uint32_t>(from.number_of("m"));
    out.n = static_cast<uint32_t>(from.number_of("n"));
    out.k = static_cast<uint32_t>(from.number_of("k"));
    out.element_bytes = static_cast<uint32_t>(from.number_of("element_bytes"));
    if (const SettingValue* const points = from.find("points")) {
        for (const SettingValue& point : points->values)
            out.points.push_back({point.number_of("units"), point.number_of("time")});
    }
    out.file = from.text_of("file");
    out.lookup = static_cast<sim::Lookup>(from.number_of("lookup"));
    out.jitter = from.real_of("jitter");
    return out;
}

/// The first key of `keys` that the file has.
template <typename Keys>
const SettingValue* first_given(const SettingValue& group, const Keys& keys) {
    for (const model::Setting& key : keys) {
        const SettingValue* const value = group.find(key.key);
        if (value != nullptr && value->given) return value;
    }
    return nullptr;
}

/// Where the file says what `error` is about: the key, or what it is missing from.
const SettingValue& place_of(const sim::SpecError& error, const SettingValue& simulator) {
    const SettingValue* place = &simulator;
    const SettingValue* const models = simulator.find("models");
    if (error.model && models != nullptr && *error.model < models->values.size())
        place = &models->values[*error.model];
    std::string key = error.key;
    std::replace(key.begin(), key.end(), '-', '_');
    if (place == &simulator && key == "kind") key = "model";
    const SettingValue* const exact = place->find(key);
    return exact != nullptr && exact->given ? *exact : *place;
}

model::SettingProblem problem_at(const SettingValue& place, std::string message) {
    return {place.line, place.column, std::move(message)};
}

/// What only a built-in simulator has.
std::optional<model::SettingProblem> check_socket(const SettingValue& simulator) {
    for (const model::Setting& setting : settings::kSimulator) {
        constexpr std::array<std::string_view, 4> kOfSockets = {"socket", "command", "timeout",
                                                                "clock"};
        const SettingValue* const value = simulator.find(setting.key);
        if (value == nullptr || !value->given ||
            std::find(kOfSockets.begin(), kOfSockets.end(), setting.key) != kOfSockets.end())
            continue;
        return problem_at(*value, fmt::format("'{}' of a simulator of yours, which has its own "
                                              "latencies; expected no such key",
                                              setting.key));
    }
    return std::nullopt;
}

}  // namespace

bool has_socket(const model::FunctionSpec& function) {
    const SettingValue& simulator = simulator_of(function);
    return simulator.find("socket") != nullptr || simulator.find("command") != nullptr;
}

sim::SocketOptions socket_options(const model::FunctionSpec& function) {
    const SettingValue& simulator = simulator_of(function);
    sim::SocketOptions out;
    out.path = simulator.text_of("socket");
    if (const SettingValue* const command = simulator.find("command")) out.command = command->words;
    if (const uint64_t timeout = simulator.number_of("timeout")) out.timeout = to_duration(timeout);
    if (const uint64_t clock = simulator.number_of("clock")) out.clock_hz = clock;
    out.lock_step = function.lock_step;
    return out;
}

sim::BuiltinSpec builtin_spec(const model::FunctionSpec& function) {
    const SettingValue& simulator = simulator_of(function);
    sim::BuiltinSpec out;
    out.memory_bytes = function.value(kMemoryKey);
    if (simulator.values.empty()) return out;  // a function that no file describes
    if (const SettingValue* const models = simulator.find("models")) {
        for (const SettingValue& one : models->values)
            out.models.push_back(model_spec(one, "kind"));
    } else {
        out.models.push_back(model_spec(simulator, "model"));
    }
    out.pace = function.lock_step ? sim::Pace::kLockStep
                                  : static_cast<sim::Pace>(simulator.number_of("pace"));
    out.scale = simulator.real_of("scale");
    out.seed = simulator.number_of("seed");
    out.clock_hz = simulator.number_of("clock");
    out.units = static_cast<uint32_t>(simulator.number_of("units"));
    out.launch_latency = simulator.number_of("launch_latency");
    out.memory_latency = simulator.number_of("memory_latency");
    out.memory_bandwidth = simulator.number_of("memory_bandwidth");
    return out;
}

std::vector<model::SettingProblem> check_settings(const model::FunctionSpec& function) {
    const SettingValue& simulator = simulator_of(function);
    std::vector<model::SettingProblem> out;
    if (has_socket(function)) {
        if (auto problem = check_socket(simulator)) out.push_back(std::move(*problem));
        return out;
    }
    const SettingValue* const models = simulator.find("models");
    if (models != nullptr) {
        const SettingValue* other = first_given(simulator, settings::kModelSettings);
        const SettingValue* const model = simulator.find("model");
        if (model != nullptr && model->given) other = model;
        if (other != nullptr) {
            out.push_back(problem_at(*other, fmt::format("'{}' beside 'models'; expected it in one "
                                                         "of those",
                                                         other->setting->key)));
        }
    }
    if (const auto error = sim::find_error(builtin_spec(function))) {
        std::string key = error->key;
        std::replace(key.begin(), key.end(), '-', '_');
        out.push_back(
            problem_at(place_of(*error, simulator), fmt::format("{} {}", key, error->message)));
    }
    return out;
}

}  // namespace mimic::virtio_sst
