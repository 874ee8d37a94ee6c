// SPDX-License-Identifier: Apache-2.0
#include "machine/machine_state.h"

#include <nlohmann/json.hpp>

#include "base/private_files.h"
#include "machine/process.h"

namespace mimic::machine {
namespace {

using Json = nlohmann::ordered_json;

Json id_json(const ProcessId& id) {
    return {{"pid", id.pid}, {"start_time", id.start_time}};
}

ProcessId parse_id(const Json& json) {
    ProcessId id;
    id.pid = json.at("pid").get<pid_t>();
    id.start_time = json.at("start_time").get<uint64_t>();
    return id;
}

}  // namespace

ProcessId ProcessId::of(pid_t pid) {
    const auto start = process_start_time(pid);
    return start ? ProcessId{pid, *start} : ProcessId{};
}

bool ProcessId::is_running() const {
    const auto start = process_start_time(pid);
    return start && *start == start_time;
}

std::string to_json(const MachineState& state) {
    Json hosts = Json::array();
    for (const auto& host : state.device_hosts) hosts.push_back(id_json(host));
    const Json json{{"name", state.name},
                    {"phase", state.phase},
                    {"file", state.file},
                    {"accel", state.accel},
                    {"kernel", state.kernel},
                    {"started", state.started},
                    {"functions", state.functions},
                    {"ssh_port", state.ssh_port},
                    {"supervisor", id_json(state.supervisor)},
                    {"qemu", id_json(state.qemu)},
                    {"device_hosts", hosts}};
    // A file name need not be UTF-8; a dump that throws would be no state at all.
    return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

Result<MachineState> parse_machine_state(const std::string& text) {
    try {
        const Json json = Json::parse(text);
        MachineState state;
        state.name = json.at("name").get<std::string>();
        state.phase = json.at("phase").get<std::string>();
        state.file = json.at("file").get<std::string>();
        state.accel = json.at("accel").get<std::string>();
        state.kernel = json.at("kernel").get<std::string>();
        state.started = json.at("started").get<std::string>();
        state.functions = json.at("functions").get<unsigned>();
        state.ssh_port = json.at("ssh_port").get<uint16_t>();
        state.supervisor = parse_id(json.at("supervisor"));
        state.qemu = parse_id(json.at("qemu"));
        for (const auto& host : json.at("device_hosts"))
            state.device_hosts.push_back(parse_id(host));
        return state;
    } catch (const Json::exception& error) {
        return fail(std::errc::invalid_argument, "state.json: {}", error.what());
    }
}

Result<MachineState> read_machine_state(const std::string& run_dir) {
    MIMIC_ASSIGN_OR_RETURN(const auto text, read_small_file(run_dir + "/state.json"));
    return parse_machine_state(text);
}

Status write_machine_state(const std::string& run_dir, const MachineState& state) {
    return write_file_atomically(run_dir + "/state.json", to_json(state));
}

}  // namespace mimic::machine
