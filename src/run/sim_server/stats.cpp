// SPDX-License-Identifier: Apache-2.0
#include "sim_server/stats.h"

#include <algorithm>
#include <string_view>

#include <fmt/format.h>

namespace mimic::sim_server {
namespace {

// A label's value: backslash, quote and line feed are escaped.
std::string escaped(std::string_view text) {
    std::string result;
    for (const char c : text) {
        if (c == '\n') {
            result += "\\n";
            continue;
        }
        if (c == '\\' || c == '"') result += '\\';
        result += c;
    }
    return result;
}

struct Family {
    std::string_view name, type, help;
};

// A sample for each server of both kinds.
template <typename OfSimulator, typename OfRegisters>
std::string samples(const Servers& servers, const Family& family, OfSimulator of_simulator,
                    OfRegisters of_registers) {
    std::string text = fmt::format("# HELP {} {}\n# TYPE {} {}\n", family.name, family.help,
                                   family.name, family.type);
    const auto sample = [&](const std::string& path, std::string_view protocol, uint64_t value) {
        text += fmt::format("{}{{socket=\"{}\",protocol=\"{}\"}} {}\n", family.name, escaped(path),
                            protocol, value);
    };
    for (const auto& server : servers.simulators)
        sample(server->path(), "virtio", of_simulator(*server));
    for (const auto& server : servers.registers)
        sample(server->path(), "registers", of_registers(server->counters()));
    return text;
}

}  // namespace

std::string stats_line(const Servers& servers) {
    uint64_t clients = 0, requests = 0, answers = 0, malformed = 0, in_flight = 0;
    const auto add = [&](const auto& counters) {
        clients += counters.clients;
        requests += counters.requests;
        answers += counters.answers;
        malformed += counters.malformed;
    };
    for (const auto& server : servers.simulators) {
        add(server->counters());
        in_flight += server->in_flight();
    }
    for (const auto& server : servers.registers) add(server->counters());
    return fmt::format("{} clients, {} requests, {} answers, {} in flight, {} malformed", clients,
                       requests, answers, in_flight, malformed);
}

std::string metrics_text(const Servers& servers) {
    using Registers = RegisterServer::Counters;
    std::string text;
    text += samples(
        servers, {"mimic_sim_clients", "gauge", "Clients that are connected now."},
        [](const SimServer& server) { return server.counters().clients; },
        [](const Registers& counters) { return counters.clients; });
    text += samples(
        servers, {"mimic_sim_connections_total", "counter", "Clients that have connected."},
        [](const SimServer& server) { return server.counters().connections; },
        [](const Registers& counters) { return counters.connections; });
    text += samples(
        servers, {"mimic_sim_requests_total", "counter", "Requests that came in whole."},
        [](const SimServer& server) { return server.counters().requests; },
        [](const Registers& counters) { return counters.requests; });
    text += samples(
        servers, {"mimic_sim_answers_total", "counter", "Answers, those to parts included."},
        [](const SimServer& server) { return server.counters().answers; },
        [](const Registers& counters) { return counters.answers; });
    text += samples(
        servers,
        {"mimic_sim_malformed_total", "counter",
         "Requests that did not come in whole, or that no device understands."},
        [](const SimServer& server) { return server.counters().malformed; },
        [](const Registers& counters) { return counters.malformed; });
    text += samples(
        servers, {"mimic_sim_in_flight", "gauge", "Requests that wait for simulated time."},
        [](const SimServer& server) { return uint64_t{server.in_flight()}; },
        // Parts are answered, too.
        [](const Registers& counters) {
            const uint64_t whole = counters.answers - std::min(counters.answers, counters.parts);
            return counters.requests - whole;
        });
    return text;
}

}  // namespace mimic::sim_server
