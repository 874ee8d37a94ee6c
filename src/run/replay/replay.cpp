// SPDX-License-Identifier: Apache-2.0
#include "replay/replay.h"
#include "devices/all_models.h"

#include <algorithm>
#include <cstdio>
#include <map>
#include <nlohmann/json.hpp>
#include <span>
#include <utility>

#include "base/command_report.h"
#include "base/nearest.h"
#include "base/terminal_text.h"
#include "base/text_table.h"
#include "device_host/device_factory.h"
#include "replay/replay_player.h"
#include "topology/topology.h"

namespace mimic::replay {
namespace {

// Places where the replay of one family begins: a new model each time. Arbitrary.
constexpr unsigned kMostStarts = 64;

// The functions that replay together: a root, and the VFs that its model makes.
struct Family {
    const topology::DeviceSpec* device = nullptr;
    const topology::FunctionSpec* root = nullptr;
    std::vector<size_t> events;
};

// Which function makes the one called `name`; null members: none does.
Family family_of(const topology::Machine& machine, const std::string& name) {
    for (const auto& device : machine.devices) {
        for (const auto& function : device.functions) {
            const bool made_by_pf = function.is_vf() && device.on_fabric;
            if (function.name == name)
                return {&device, made_by_pf ? &device.functions.front() : &function, {}};
            // VFs of a clone are in no table.
            if (function.clone && name.starts_with(function.name + "-vf"))
                return {&device, &function, {}};
        }
    }
    return {};
}

bool is_port(const topology::Machine& machine, const std::string& name) {
    for (const auto& fabric : machine.fabrics) {
        if (fabric.name == name) return true;
        for (const auto& port : fabric.ports)
            if (port.name == name) return true;
    }
    return false;
}

Result<const topology::Machine*> machine_of(const trace::TraceHeader& header,
                                            const topology::Model& model) {
    if (const auto* const machine = model.find_machine(header.machine)) return machine;
    return fail(std::errc::invalid_argument, "line 1: the topology has no machine \"{}\"",
                header.machine.substr(0, trace::kMaxEventName));
}

Result<std::map<std::string, Family>> families_of(const trace::TraceFile& file,
                                                  const topology::Machine& machine,
                                                  ReplayResult& result) {
    std::map<std::string, Family> families;
    std::map<std::string, std::string> roots;  // of device names that were looked up
    std::map<std::string, size_t> ports;
    std::vector<std::string> known;
    for (const auto& device : machine.devices)
        for (const auto& function : device.functions) known.push_back(function.name);
    for (size_t i = 0; i < file.events.size(); ++i) {
        const std::string& name = file.events[i].device;
        auto root = roots.find(name);
        if (root == roots.end()) {
            Family family = family_of(machine, name);
            if (family.root == nullptr && !is_port(machine, name))
                return fail(std::errc::invalid_argument,
                            "line {}: the machine has no device \"{}\"{}", file.lines[i], name,
                            did_you_mean(name, known));
            root = roots.emplace(name, family.root != nullptr ? family.root->name : "").first;
            if (family.root != nullptr) families.emplace(family.root->name, std::move(family));
        }
        if (root->second.empty())
            ++ports[name];
        else
            families[root->second].events.push_back(i);
    }
    for (const auto& [name, count] : ports)
        result.notes.push_back(
            fmt::format("{}: {} of a port or fabric: left out", name, counted(count, "event")));
    return families;
}

// Plays a family from where it can be started; where it cannot go on, again from the next place.
Status play_family(const trace::TraceFile& file, const Family& family, ReplayResult& result) {
    const std::string& root = family.root->name;
    std::span<const size_t> events = family.events;
    for (unsigned i = 1;; ++i) {
        auto function = device_host::make_function(*family.device, *family.root);
        if (!function)
            return fail(std::errc::invalid_argument, "{}: {}", root, function.error().message());
        ReplayPlayer player(file, events, std::move(*function), family.device->on_fabric, result);
        player.run();
        if (result.stopped.empty() || i == kMostStarts) return {};
        const size_t stop = player.stopped_at();
        size_t next = stop + 1;
        while (next < events.size() && !ReplayPlayer::is_start(file.events[events[next]], root))
            ++next;
        if (next >= events.size()) return {};
        result.left_out += next - stop;
        result.notes.push_back(fmt::format("cannot go on: {}; {} left out, begins again at line {}",
                                           std::exchange(result.stopped, ""),
                                           counted(next - stop, "event"),
                                           file.lines[events[next]]));
        events = events.subspan(next);
    }
}

}  // namespace

Result<ReplayResult> replay_trace(const trace::TraceFile& file) {
    ReplayResult result;
    if (file.header.topology.empty())
        return fail(std::errc::invalid_argument, "line 1: the trace has no topology");
    const auto model = topology::parse(file.header.topology, "topology of the trace",
                                       devices::all_models());
    if (!model)
        return fail(std::errc::invalid_argument, "line 1: its topology: {}", model.error().str());
    MIMIC_ASSIGN_OR_RETURN(const auto* machine, machine_of(file.header, *model));
    MIMIC_ASSIGN_OR_RETURN(auto families, families_of(file, *machine, result));
    // The first difference of the file, whichever device it is of.
    std::optional<ReplayDifference> first;
    for (const auto& [name, family] : families) {
        MIMIC_TRY(play_family(file, family, result));
        if (result.difference && (!first || result.difference->line < first->line))
            first = result.difference;
        result.difference.reset();
        if (!result.stopped.empty() && !first) break;
    }
    result.difference = std::move(first);
    if (result.difference) result.stopped.clear();
    if (result.events == 0 && result.same())
        result.stopped =
            "no event can be replayed: a function begins with a state (record with "
            "--data), an attach or a reset";
    if (result.compared == 0 && result.same())
        result.stopped = "nothing could be compared: no event that was replayed has a result";
    return result;
}

std::string replay_report(const ReplayResult& result) {
    std::string text;
    for (const auto& note : result.notes) text += "note: " + note + "\n";
    if (result.difference) {
        const ReplayDifference& difference = *result.difference;
        text += fmt::format("different at event {} (line {}), {} {}\n", difference.sequence,
                            difference.line, difference.time, difference.device);
        for (const auto& line : difference.context) text += "      " + line + "\n";
        text += fmt::format("  recorded: {}\n  now:      {}\n", difference.recorded,
                            difference.now);
    } else if (!result.stopped.empty()) {
        text += "cannot go on: " + result.stopped + "\n";
    }
    text += fmt::format("{}: {} replayed, {} compared",
                        result.difference        ? "different"
                        : result.stopped.empty() ? "same"
                                                 : "incomplete",
                        counted(result.events, "event"), counted(result.compared, "result"));
    if (result.left_out != 0)
        text += fmt::format("; {} left out", counted(result.left_out, "event"));
    text += "\n";
    return text;
}

std::string replay_json(const std::string& path, const ReplayResult& result) {
    using Json = nlohmann::ordered_json;
    Json difference;  // null: none
    if (result.difference) {
        const ReplayDifference& at = *result.difference;
        difference = {{"sequence", at.sequence}, {"line", at.line},         {"time", at.time},
                      {"device", at.device},     {"recorded", at.recorded}, {"now", at.now},
                      {"context", at.context}};
    }
    const Json document{{"format", "mimic-replay"},
                        {"version", 1},
                        {"file", path},
                        {"result", result.difference        ? "different"
                                   : result.stopped.empty() ? "same"
                                                            : "incomplete"},
                        {"events", result.events},
                        {"compared", result.compared},
                        {"left_out", result.left_out},
                        {"difference", std::move(difference)},
                        {"stopped", result.stopped},
                        {"notes", result.notes}};
    return document.dump(2, ' ', false, Json::error_handler_t::replace);
}

int run_replay(const std::string& path, bool json) {
    const auto file = trace::read_trace_file(path);
    const auto result = file ? replay_trace(*file) : tl::unexpected(file.error());
    if (!result) {
        report_error(result.error().message());
        return 2;
    }
    if (!json)
        std::fputs(terminal_lines(replay_report(*result)).c_str(), stdout);
    else if (!print_document(replay_json(path, *result)))
        return 2;
    if (result->difference) return 1;
    return result->stopped.empty() ? 0 : 2;
}

std::string replay_problem(const std::string& path) {
    const auto file = trace::read_trace_file(path);
    if (!file) return file.error().message();
    const auto result = replay_trace(*file);
    if (!result) return result.error().message();
    return result->same() ? "" : replay_report(*result);
}

}  // namespace mimic::replay
