// SPDX-License-Identifier: Apache-2.0
#include "machine/launch_plan.h"

#include <nlohmann/json.hpp>

namespace mimic::machine {
namespace {

using Json = nlohmann::ordered_json;

// Paths may hold any byte, JSON strings only UTF-8: bytes are carried as code points of the same
// number.
Json to_code_points(const std::string& bytes) {
    std::string text;
    for (const char c : bytes) {
        const auto byte = static_cast<unsigned char>(c);
        if (byte < 0x80) {
            text.push_back(c);
        } else {
            text.push_back(static_cast<char>(0xc0 | (byte >> 6)));
            text.push_back(static_cast<char>(0x80 | (byte & 0x3f)));
        }
    }
    return text;
}

std::string to_bytes(const Json& json) {
    const auto text = json.get<std::string>();
    std::string bytes;
    for (size_t i = 0; i < text.size(); ++i) {
        const auto byte = static_cast<unsigned char>(text[i]);
        if (byte < 0x80 || i + 1 == text.size()) {
            bytes.push_back(text[i]);
        } else {
            bytes.push_back(static_cast<char>(((byte & 3) << 6) | (text[++i] & 0x3f)));
        }
    }
    return bytes;
}

Json list_json(const std::vector<std::string>& list) {
    Json json = Json::array();
    for (const auto& item : list) json.push_back(to_code_points(item));
    return json;
}

std::vector<std::string> parse_list(const Json& json) {
    std::vector<std::string> list;
    for (const auto& item : json) list.push_back(to_bytes(item));
    return list;
}

Json choices_json(const BootChoices& choices) {
    return {{"kernel", to_code_points(choices.kernel)}, {"modules", list_json(choices.modules)},
            {"shares", list_json(choices.shares)},      {"allow_shares", choices.allow_shares},
            {"folder", to_code_points(choices.folder)}, {"qemu_args", list_json(choices.qemu_args)},
            {"allow_commands", choices.allow_commands}};
}

BootChoices parse_choices(const Json& json) {
    return {.kernel = to_bytes(json.at("kernel")),
            .modules = parse_list(json.at("modules")),
            .shares = parse_list(json.at("shares")),
            .allow_shares = json.at("allow_shares").get<bool>(),
            .folder = to_bytes(json.at("folder")),
            .qemu_args = parse_list(json.at("qemu_args")),
            .allow_commands = json.at("allow_commands").get<bool>()};
}

}  // namespace

std::string to_json(const LaunchPlan& plan) {
    Json hosts = Json::array();
    Json servers = Json::array();
    for (const auto& host : plan.device_hosts) {
        if (host.socket.empty()) {
            hosts.push_back(list_json(host.argv));
        } else {
            servers.push_back({{"argv", list_json(host.argv)},
                               {"name", to_code_points(host.name)},
                               {"socket", to_code_points(host.socket)}});
        }
    }
    const Json json{{"state", Json::parse(to_json(plan.state))},
                    {"state_dir", to_code_points(plan.state_dir)},
                    {"qmp_socket", to_code_points(plan.qmp_socket)},
                    {"stream_socket", to_code_points(plan.stream_socket)},
                    {"device_hosts", hosts},
                    {"servers", servers},
                    {"qemu", list_json(plan.qemu)},
                    {"shut_down_guest", plan.shut_down_guest},
                    {"temporary_files", list_json(plan.temporary_files)},
                    {"choices", choices_json(plan.choices)},
                    {"no_snapshot", to_code_points(plan.no_snapshot)}};
    return json.dump(2) + "\n";
}

Result<LaunchPlan> parse_launch_plan(const std::string& text) {
    try {
        const Json json = Json::parse(text);
        LaunchPlan plan;
        MIMIC_ASSIGN_OR_RETURN(plan.state, parse_machine_state(json.at("state").dump()));
        plan.state_dir = to_bytes(json.at("state_dir"));
        plan.qmp_socket = to_bytes(json.at("qmp_socket"));
        plan.stream_socket = to_bytes(json.value("stream_socket", Json("")));
        for (const auto& host : json.at("device_hosts"))
            plan.device_hosts.push_back({.argv = parse_list(host)});
        for (const auto& server : json.value("servers", Json::array())) {
            plan.device_hosts.push_back({.argv = parse_list(server.at("argv")),
                                         .name = to_bytes(server.at("name")),
                                         .socket = to_bytes(server.at("socket"))});
        }
        plan.qemu = parse_list(json.at("qemu"));
        plan.shut_down_guest = json.at("shut_down_guest").get<bool>();
        plan.temporary_files = parse_list(json.at("temporary_files"));
        // Who writes a plan by hand, as tests do, has told nobody anything.
        if (const auto at = json.find("choices"); at != json.end())
            plan.choices = parse_choices(*at);
        plan.no_snapshot = to_bytes(json.value("no_snapshot", Json("")));
        if (plan.qemu.empty()) return fail(std::errc::invalid_argument, "launch.json: no qemu");
        for (const auto& host : plan.device_hosts)
            if (host.argv.empty())
                return fail(std::errc::invalid_argument, "launch.json: empty device host");
        return plan;
    } catch (const Json::exception& error) {
        return fail(std::errc::invalid_argument, "launch.json: {}", error.what());
    }
}

}  // namespace mimic::machine
