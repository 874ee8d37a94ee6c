// SPDX-License-Identifier: Apache-2.0
#include "cli/mimic_dra_simulate.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "base/log.h"
#include "cli/version.h"
#include "dra/simulate/simulate.h"

namespace mimic::cli {
namespace {

constexpr int kUsage = 2;

struct SimulateWords {
    dra::SimulationOptions options;
    std::string http;
    std::string log_level = "warn";
};

void add_simulate_options(CLI::App& app, SimulateWords& words) {
    dra::SimulationOptions& options = words.options;
    app.add_option("--simulate", options.file,
                   "Description of a machine: publish its ResourceSlices for many nodes that are "
                   "not there, and keep them true")
        ->required();
    app.add_option("--mimic", options.mimic,
                   "The program `mimic`, which reads the description; without: the one beside us");
    app.add_option("--numvfs", options.numvfs, "VFs that each PF has: a number, or all")
        ->capture_default_str();
    app.add_option("--nodes", options.nodes, "How many nodes")->capture_default_str();
    app.add_option("--name-prefix", options.name_prefix, "Nodes are called PREFIX-0, PREFIX-1, ...")
        ->capture_default_str();
    app.add_option("--workers", options.workers, "Connections that publish at once")
        ->check(CLI::Range(1, 256))
        ->capture_default_str();
    app.add_option("--churn", options.churn, "Devices that fall ill or recover, a second")
        ->check(CLI::Range(0.0, 1e4))
        ->capture_default_str();
    app.add_option("--churn-steps", options.churn_steps, "End the churn after so many; 0: never")
        ->capture_default_str();
    app.add_option("--seed", options.seed, "Of the churn: the same seed, the same devices")
        ->capture_default_str();
    app.add_flag("--create-nodes", options.create_nodes,
                 "Make Node objects, too; kwok can take care of them");
    app.add_flag("--delete-on-exit", options.delete_on_exit,
                 "Delete the slices, and the nodes that we made, before we end");
    app.add_option("--kubeconfig", options.kubeconfig,
                   "How to reach the API server; without: KUBECONFIG, the pod's service account, "
                   "~/.kube/config");
    app.add_option("--http", words.http, "127.0.0.1:PORT of /metrics and /healthz; port 0: any");
    app.add_option("--log-level", words.log_level, "trace, debug, info, warn, error or off")
        ->envname("MIMIC_LOG_LEVEL")
        ->capture_default_str();
}

// The port of "127.0.0.1:PORT" or ":PORT"; nothing for what we do not listen at.
std::optional<uint16_t> loopback_port(std::string_view address) {
    for (const std::string_view host : {"127.0.0.1:", "localhost:", ":"}) {
        if (!address.starts_with(host)) continue;
        const std::string digits(address.substr(host.size()));
        uint16_t port = 0;
        if (!digits.empty() && CLI::detail::lexical_cast(digits, port)) return port;
        return std::nullopt;
    }
    return std::nullopt;
}

int complain(const std::string& message) {
    std::fputs(fmt::format("mimic-dra: {}\n", message).c_str(), stderr);
    return kUsage;
}

}  // namespace

std::optional<int> simulate_main(int argc, const char* const* argv) {
    const std::vector<std::string_view> given(argv + std::min(argc, 1), argv + argc);
    if (std::none_of(given.begin(), given.end(), [](std::string_view word) {
            return word == "--simulate" || word.starts_with("--simulate=");
        })) {
        return std::nullopt;
    }
    CLI::App app("ResourceSlices of many nodes that are not there, for tests of schedulers.",
                 "mimic-dra");
    app.set_version_flag("--version", fmt::format("mimic-dra {}", kVersion));
    SimulateWords words;
    add_simulate_options(app, words);
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
        return app.exit(error) == 0 ? 0 : kUsage;
    }
    auto level = log::Level::kWarn;
    if (!log::parse_level(words.log_level, level)) {
        return complain(fmt::format("'{}' is no level of the log", words.log_level));
    }
    log::set_level(level);
    if (!words.http.empty()) {
        words.options.http_port = loopback_port(words.http);
        if (!words.options.http_port) {
            return complain("--http is 127.0.0.1:PORT here: who simulates serves no other machine");
        }
    }
    return dra::run_simulation(words.options);
}

}  // namespace mimic::cli
