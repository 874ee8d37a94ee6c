// SPDX-License-Identifier: Apache-2.0
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "base/private_files.h"
#include "cluster/cluster.h"
#include "cluster/cluster_plan.h"
#include "machine/down.h"
#include "machine/run_dir.h"

namespace mimic::cluster {
namespace {

using namespace std::chrono_literals;

constexpr auto kStopTimeout = 30s;  // longer than the supervisor's grace
constexpr auto kKillTimeout = 5s;

void say_problem_of(const std::string& name, const std::string& text) {
    std::fputs(fmt::format("mimic: error: cluster {}: {}\n", name, text).c_str(), stderr);
}

bool wait_until_dead(const std::string& name, Duration timeout) {
    const TimePoint deadline = SteadyClock().now() + timeout;
    while (is_cluster_alive(name)) {
        if (SteadyClock().now() >= deadline) return false;
        ::usleep(10'000);
    }
    return true;
}

machine::ProcessId supervisor_of_cluster(const std::string& name) {
    const auto text = read_small_file(cluster_dir_path(name) + "/state.json");
    if (!text) return {};
    const auto state = parse_cluster_state(*text);
    return state ? state->supervisor : machine::ProcessId{};
}

/// The machines that are its nodes and that are there, running or left over.
std::vector<std::string> nodes_of(const std::string& name) {
    std::vector<std::string> nodes;
    const auto text = read_small_file(cluster_dir_path(name) + "/plan.json");
    const auto plan = text ? parse_cluster_plan(*text)
                           : Result<ClusterPlan>(tl::unexpected(text.error()));
    const auto root = machine::RunRoot::open();
    if (!plan || !root) return nodes;
    const auto known = root->names();
    for (const std::string& machine : plan->machines)
        if (std::find(known.begin(), known.end(), machine) != known.end()) nodes.push_back(machine);
    return nodes;
}

Status stop_control_plane(const std::string& name) {
    const machine::ProcessId supervisor = supervisor_of_cluster(name);
    if (is_cluster_alive(name)) {
        if (!supervisor.is_running() && !wait_until_dead(name, 1s))
            return fail(std::errc::device_or_resource_busy,
                        "it is being started by a mimic cluster up; interrupt that one");
        if (supervisor.is_running()) ::kill(supervisor.pid, SIGTERM);
        if (!wait_until_dead(name, kStopTimeout)) {
            // Its children die with it.
            if (supervisor.is_running()) ::kill(supervisor.pid, SIGKILL);
            if (!wait_until_dead(name, kKillTimeout))
                return fail(std::errc::timed_out, "its control plane does not end");
        }
    }
    return clean_cluster(name);
}

}  // namespace

int run_cluster_down(std::vector<std::string> names) {
    const auto known = cluster_names();
    if (names.empty()) names = known;
    int status = 0;
    for (const std::string& name : names) {
        if (std::find(known.begin(), known.end(), name) == known.end()) {
            std::fputs(fmt::format("mimic: there is no cluster {}\n", name).c_str(), stderr);
            continue;
        }
        // Nodes first: the list of them goes with the control plane's folder.
        if (auto nodes = nodes_of(name); !nodes.empty())
            status = std::max(status,
                              machine::run_down(std::move(nodes), {.ignore_missing = true}));
        if (auto stopped = stop_control_plane(name); !stopped) {
            say_problem_of(name, stopped.error().message());
            status = 1;
            continue;
        }
        std::puts(fmt::format("cluster {}: down", name).c_str());
    }
    return status;
}

}  // namespace mimic::cluster
