// SPDX-License-Identifier: Apache-2.0
#include "cluster/cluster_plan.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "base/private_files.h"
#include "base/task_runner.h"
#include "machine/run_dir.h"

namespace mimic::cluster {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::string_view kPrefix = ".cluster-";
constexpr auto kKillGrace = std::chrono::seconds(5);  // arbitrary; SIGKILL needs milliseconds

Json id_json(const machine::ProcessId& id) {
    return {{"pid", id.pid}, {"start_time", id.start_time}};
}

machine::ProcessId parse_id(const Json& json) {
    return {.pid = json.at("pid").get<pid_t>(),
            .start_time = json.at("start_time").get<uint64_t>()};
}

Result<UniqueFd> open_lock(const std::string& path) {
    UniqueFd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (!fd) return fail_errno("{}", path);
    return fd;
}

void kill_and_wait(const machine::ProcessId& id) {
    if (!id.is_running()) return;
    ::kill(id.pid, SIGKILL);
    const TimePoint deadline = SteadyClock().now() + kKillGrace;
    while (id.is_running() && SteadyClock().now() < deadline) ::usleep(5000);
}

/// Held while a folder is claimed or removed: two who do it wait for each other.
Result<UniqueFd> lock_clusters() {
    MIMIC_ASSIGN_OR_RETURN(const auto root, machine::RunRoot::open());
    MIMIC_ASSIGN_OR_RETURN(UniqueFd guard, open_lock(root.path() + "/.clusters.lock"));
    while (::flock(guard.get(), LOCK_EX) != 0)
        if (errno != EINTR) return fail_errno("lock {}", root.path());
    return guard;
}

Status remove_locked(const std::string& name) {
    if (const auto state_dir = cluster_state_path(name))
        MIMIC_TRY(remove_tree(*state_dir + "/etcd"));
    return remove_tree(cluster_dir_path(name));
}

Status clean_locked(const std::string& name) {
    if (is_cluster_alive(name))
        return fail(std::errc::device_or_resource_busy,
                    "cluster {0} is already running. Stop it with: mimic cluster down {0}", name);
    if (const auto text = read_small_file(cluster_dir_path(name) + "/state.json")) {
        // Children of a killed supervisor die with it; this is for those that the kernel has not
        // got round to yet.
        if (const auto state = parse_cluster_state(*text))
            for (const auto& [process, id] : state->processes) kill_and_wait(id);
    }
    return remove_locked(name);
}

}  // namespace

std::string to_json(const ClusterPlan& plan) {
    Json processes = Json::array();
    for (const PlannedProcess& process : plan.processes)
        processes.push_back({{"name", process.name}, {"argv", process.argv}});
    const Json json{{"name", plan.name},         {"state_dir", plan.state_dir},
                    {"machines", plan.machines}, {"egress_socket", plan.egress_socket},
                    {"kubelets", plan.kubelets}, {"processes", processes}};
    return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

Result<ClusterPlan> parse_cluster_plan(const std::string& text) {
    try {
        const Json json = Json::parse(text);
        ClusterPlan plan;
        plan.name = json.at("name").get<std::string>();
        plan.state_dir = json.at("state_dir").get<std::string>();
        plan.machines = json.at("machines").get<std::vector<std::string>>();
        plan.egress_socket = json.at("egress_socket").get<std::string>();
        plan.kubelets = json.at("kubelets").get<std::map<std::string, uint16_t>>();
        for (const Json& process : json.at("processes")) {
            plan.processes.push_back({.name = process.at("name").get<std::string>(),
                                      .argv = process.at("argv").get<std::vector<std::string>>()});
            if (plan.processes.back().argv.empty())
                return fail(std::errc::invalid_argument, "plan.json: a process without a program");
        }
        return plan;
    } catch (const Json::exception& error) {
        return fail(std::errc::invalid_argument, "plan.json: {}", error.what());
    }
}

std::string to_json(const ClusterState& state) {
    Json processes = Json::object();
    for (const auto& [name, id] : state.processes) processes[name] = id_json(id);
    const Json json{{"supervisor", id_json(state.supervisor)}, {"processes", processes}};
    return json.dump(2) + "\n";
}

Result<ClusterState> parse_cluster_state(const std::string& text) {
    try {
        const Json json = Json::parse(text);
        ClusterState state;
        state.supervisor = parse_id(json.at("supervisor"));
        for (const auto& [name, id] : json.at("processes").items())
            state.processes[name] = parse_id(id);
        return state;
    } catch (const Json::exception& error) {
        return fail(std::errc::invalid_argument, "state.json: {}", error.what());
    }
}

std::string cluster_dir_path(const std::string& name) {
    return fmt::format("{}/{}{}", machine::run_root_path(), kPrefix, name);
}

Result<std::string> cluster_state_path(const std::string& name) {
    MIMIC_ASSIGN_OR_RETURN(const std::string root, machine::state_root_path());
    return fmt::format("{}/{}{}", root, kPrefix, name);
}

bool is_cluster_alive(const std::string& name) {
    const UniqueFd fd(
        ::open((cluster_dir_path(name) + "/lock").c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW));
    if (!fd) return false;
    return ::flock(fd.get(), LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;
}

Status clean_cluster(const std::string& name) {
    MIMIC_ASSIGN_OR_RETURN(const auto guard, lock_clusters());
    return clean_locked(name);
}

Status remove_cluster(const std::string& name, UniqueFd lock) {
    MIMIC_ASSIGN_OR_RETURN(const auto guard, lock_clusters());
    MIMIC_TRY(remove_locked(name));
    lock.reset();
    return {};
}

Result<ClusterDir> claim_cluster(const std::string& name) {
    if (!machine::is_machine_name(name))
        return fail(std::errc::invalid_argument, "\"{}\" is no name of a cluster", name);
    MIMIC_ASSIGN_OR_RETURN(const auto guard, lock_clusters());
    MIMIC_TRY(clean_locked(name));
    ClusterDir claimed{.path = cluster_dir_path(name), .lock = {}};
    MIMIC_TRY(make_private_dir(claimed.path));
    MIMIC_ASSIGN_OR_RETURN(claimed.lock, open_lock(claimed.path + "/lock"));
    if (::flock(claimed.lock.get(), LOCK_EX) != 0) return fail_errno("lock {}", claimed.path);
    return claimed;
}

std::vector<std::string> cluster_names() {
    std::vector<std::string> names;
    std::error_code error;
    for (std::filesystem::directory_iterator at(machine::run_root_path(), error), end;
         !error && at != end; at.increment(error)) {
        const std::string name = at->path().filename().string();
        if (name.starts_with(kPrefix) && machine::is_machine_name(name.substr(kPrefix.size())))
            names.push_back(name.substr(kPrefix.size()));
    }
    std::sort(names.begin(), names.end());
    return names;
}

}  // namespace mimic::cluster
