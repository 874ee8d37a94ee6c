// SPDX-License-Identifier: Apache-2.0
// Records are in the logs of the pods: so a run needs neither a right in the API nor a volume, and
// a record is there as long as its pod, also of a run that failed.
#include <algorithm>
#include <cstdio>
#include <map>
#include <nlohmann/json.hpp>

#include "base/terminal_text.h"
#include "remote/remote_commands.h"
#include "service/peer_json.h"

namespace mimic::remote {
namespace {

using namespace std::chrono_literals;
using Json = nlohmann::ordered_json;

constexpr auto kLogs = 60s;
constexpr const char* kTail = "--tail=20";  // the record is the last line but for what stderr adds

// NOLINTNEXTLINE(bugprone-exception-escape): moving the library's JSON does not throw.
struct Found {
    Pod pod;
    Json record;  // null: there is none
};

/// The last line that is a record.
Json record_in(const std::string& text) {
    Json found;
    for (size_t at = 0; at < text.size();) {
        const size_t end = std::min(text.find('\n', at), text.size());
        // Cheap first: of a log most lines are no JSON.
        if (text[at] == '{') {
            Json json = service::parse_peer_json(std::string_view(text).substr(at, end - at));
            if (service::string_member(json, "format") == "mimic-run") found = std::move(json);
        }
        at = end + 1;
    }
    return found;
}

Json record_of(const Kubectl& kubectl, const Pod& pod) {
    const auto logs = machine::run_capture(
        kubectl.argv({"logs", pod.name, "--container=mimic", kTail}), kLogs);
    if (logs && logs->exit.ok()) return record_in(logs->out);
    const std::string why = logs ? logs->err : logs.error().message();
    fmt::print(stderr, "mimic: pod {}: {}\n", pod.name, terminal_text(why));
    return nullptr;
}

/// Of several pods of an index the latest that says something counts: the others were tried before.
std::map<unsigned, Found> gather(const Kubectl& kubectl, std::vector<Pod> pods) {
    std::sort(pods.begin(), pods.end(),
              [](const Pod& a, const Pod& b) { return a.created < b.created; });
    std::map<unsigned, Found> found;
    for (const Pod& pod : pods) {
        if (!pod.index) continue;
        const bool done = pod.phase == "Succeeded" || pod.phase == "Failed";
        Json record = done ? record_of(kubectl, pod) : Json();
        Found& place = found[*pod.index];
        if (place.record.is_null() || !record.is_null()) place = {pod, std::move(record)};
    }
    return found;
}

}  // namespace

int run_results(const Kubectl& kubectl, const std::string& job) {
    if (!is_pod_name(job)) {
        fmt::print(stderr, "mimic: error: \"{}\" is no name of a Job\n", terminal_text(job));
        return 1;
    }
    const auto pods = kubectl.pods(",batch.kubernetes.io/job-name=" + job);
    if (!pods || pods->empty()) {
        fmt::print(stderr, "mimic: error: {}\n",
                   pods ? "there is no pod of Job " + job : terminal_lines(pods.error().message()));
        return 1;
    }
    int status = 0;
    for (auto& [index, found] : gather(kubectl, *pods)) {
        if (found.record.is_null()) {
            status = 1;
            fmt::print(stderr, "mimic: index {}: no record in pod {} ({})\n", index, found.pod.name,
                       terminal_text(found.pod.phase));
            continue;
        }
        Json line{{"index", index}, {"pod", found.pod.name}, {"node", found.pod.node}};
        for (const auto& [key, value] : found.record.items())
            if (!line.contains(key)) line[key] = value;
        std::puts(line.dump(-1, ' ', false, Json::error_handler_t::replace).c_str());
    }
    return status;
}

}  // namespace mimic::remote
