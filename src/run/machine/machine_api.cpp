// SPDX-License-Identifier: Apache-2.0
#include "machine/machine_api.h"

#include <time.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "base/private_files.h"
#include "device_host/device_host.h"

namespace mimic::machine {
namespace {

using Json = nlohmann::ordered_json;

// "2026-01-31T12:00:00Z" as microseconds since 1970; 0 for anything else.
int64_t unix_us(const std::string& text) {
    tm time{};
    const char* const end = ::strptime(text.c_str(), "%Y-%m-%dT%H:%M:%SZ", &time);
    if (end == nullptr || *end != '\0') return 0;
    return static_cast<int64_t>(::timegm(&time)) * 1'000'000;
}

Json process_json(const char* kind, const ProcessId& id, const Json& socket) {
    return {{"kind", kind}, {"pid", id.pid}, {"alive", id.is_running()}, {"socket", socket}};
}

Json processes_json(const MachineState& state, const std::string& run_dir) {
    Json processes = Json::array();
    if (state.supervisor.pid != 0)
        processes.push_back(process_json("supervisor", state.supervisor,
                                         socket_name(supervisor_socket_path(run_dir))));
    for (size_t i = 0; i < state.device_hosts.size(); ++i)
        processes.push_back(
            process_json("device-host", state.device_hosts[i],
                         socket_name(device_host::control_socket_path(run_dir, i))));
    if (state.qemu.pid != 0) processes.push_back(process_json("qemu", state.qemu, nullptr));
    return processes;
}

}  // namespace

std::string supervisor_socket_path(const std::string& run_dir) {
    return run_dir + "/control.sock";
}

std::vector<std::string> device_host_sockets(const std::string& run_dir) {
    std::vector<std::string> paths;
    std::error_code error;
    for (std::filesystem::directory_iterator at(run_dir, error), end; !error && at != end;
         at.increment(error)) {
        const std::string name = at->path().filename().string();
        if (name.starts_with("control-") && name.ends_with(".sock"))
            paths.push_back(at->path().string());
    }
    std::sort(paths.begin(), paths.end());
    return paths;
}

std::string socket_name(const std::string& socket_path) {
    return std::filesystem::path(socket_path).stem().string();
}

Json machine_json(const MachineState& state, const MachineFacts& facts) {
    Json json{{"name", state.name},
              {"state", machine_state_name(facts.phase)},
              {"phase", facts.phase},
              {"pid", nullptr},
              {"started_us", unix_us(state.started)},
              {"reason", facts.reason},
              {"file", state.file},
              {"started", state.started},
              {"accel", state.accel},
              {"kernel", state.kernel},
              {"functions", state.functions},
              {"ssh_port", state.ssh_port},
              {"run_dir", facts.run_dir},
              {"processes", processes_json(state, facts.run_dir)}};
    if (state.supervisor.pid != 0) json["pid"] = state.supervisor.pid;
    return json;
}

std::string machine_state_name(const std::string& phase) {
    if (phase == "starting" || phase == "running" || phase == "degraded") return phase;
    return "ended";  // "stopping" and "dead"
}

Json plan_json(const std::string& run_dir) {
    const auto text = read_small_file(run_dir + "/plan.json");
    if (!text) return nullptr;
    Json plan = Json::parse(*text, nullptr, /*allow_exceptions=*/false);
    return plan.is_discarded() ? Json(nullptr) : plan;
}

}  // namespace mimic::machine
