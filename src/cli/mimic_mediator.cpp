// SPDX-License-Identifier: Apache-2.0
// mimic-mediator: requests of many VMs, scheduled onto backends. Exit status: 0 ended by a signal,
// 1 failure, 2 wrong usage or a configuration with problems.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <exception>

#include "cli/reference.h"
#include "cli/version.h"
#include "mediator/backend/worker.h"
#include "mediator/config/keys.h"
#include "mediator/config/parse.h"
#include "mediator/daemon/daemon.h"

namespace {

using namespace mimic;  // NOLINT(google-build-using-namespace): a program, not a header

constexpr int kFailure = 1;
constexpr int kUsage = 2;

struct Words {
    mediator::DaemonOptions options;
    std::vector<std::string> pools;
    std::vector<uint32_t> vms;
    std::string rule = "fair";
    uint32_t spin_us = 50;
    double drain_seconds = 30;
    bool check = false;
};

int complain(int status, const std::string& message) {
    std::fputs(fmt::format("mimic-mediator: {}\n", message).c_str(), stderr);
    return status;
}

void add_options(CLI::App& app, Words& words) {
    auto& config = words.options.config;
    auto* const file = app.add_option("-c,--config", words.options.config_file,
                                      "YAML file; SIGHUP reads it again. docs/vgpu.md");
    app.add_flag("--check", words.check, "Only say what is wrong with the file")->needs(file);
    app.add_option("--name", words.options.name, "Of this mediator, for mimic mediator --name")
        ->capture_default_str();
    // What a file says, for the simplest cases.
    const auto without_file = [&](CLI::Option* option) { option->excludes(file); };
    without_file(app.add_option("--pool", words.pools,
                                "A pool and its backends, A=cpu:2,cuda:0,sim:linear; may be given "
                                "more than once. Without any: A=cpu")
                     ->allow_extra_args(false));
    without_file(app.add_option("--socket", config.socket,
                                "Framed protocols (mediator.sock in the run folder)"));
    without_file(app.add_option("--vm-sockets", config.vm_sockets,
                                "Template of the sockets of the packet protocol, such as "
                                "/tmp/vgpu-mediator-<vm_id>.sock; needs --vm"));
    without_file(app.add_option("--vm", words.vms, "A VM with a socket of its own; more than once")
                     ->allow_extra_args(false));
    without_file(app.add_option("--rule", words.rule, "Which job runs next")
                     ->check(CLI::IsMember(std::vector<std::string>(mediator::kRules.begin(),
                                                                    mediator::kRules.end())))
                     ->capture_default_str());
    without_file(
        app.add_flag("--strict-classes", config.strict_classes, "High before medium before low"));
    without_file(app.add_option("--run-folder", config.run_folder,
                                "Folder of control.sock and of the backends' sockets"));
    without_file(app.add_option("--audit-log", config.audit_log, "What happened, JSON lines"));
    app.add_option("--spin-us", words.spin_us,
                   "Look for the next request this long before sleeping; 0: never")
        ->envname("MIMIC_SPIN_US")
        ->check(CLI::Range(0U, 10'000U))
        ->capture_default_str();
    app.add_option("--drain-seconds", words.drain_seconds,
                   "After SIGTERM, until what is still in flight is given up")
        ->check(CLI::Range(0.0, 3600.0))
        ->capture_default_str();
    app.add_flag("-q,--quiet", words.options.quiet, "Say only that it is ready");
}

// What the options say, as a file would.
Status read_words(Words& words) {
    auto& config = words.options.config;
    if (!words.options.config_file.empty()) {
        MIMIC_ASSIGN_OR_RETURN(config, mediator::load(words.options.config_file));
        return {};
    }
    if (words.pools.empty()) words.pools.emplace_back("A=cpu");
    for (const auto& text : words.pools) {
        MIMIC_ASSIGN_OR_RETURN(auto pool, mediator::parse_pool(text));
        for (const auto& other : config.pools)
            if (other.id == pool.id)
                return fail(std::errc::invalid_argument, "--pool {}: pool {} is there already",
                            text, pool.id);
        config.pools.push_back(std::move(pool));
    }
    for (size_t i = 0; i < mediator::kRules.size(); ++i)
        if (mediator::kRules[i] == words.rule) config.rule = static_cast<mediator::RuleName>(i);
    for (const uint32_t id : words.vms) {
        mediator::VmConfig vm;
        vm.id = id;
        config.vms.push_back(vm);
    }
    config.others.emplace();
    if (config.vm_sockets.empty() != config.vms.empty())
        return fail(std::errc::invalid_argument, "--vm-sockets and --vm need each other");
    for (const auto* const path : {&config.socket, &config.vm_sockets, &config.run_folder})
        if (!path->empty() && !path->starts_with('/'))
            return fail(std::errc::invalid_argument, "{} is no absolute path", *path);
    return {};
}

int run(int argc, char** argv) {
    Words words;
    CLI::App app(
        "Schedules the compute requests of many VMs onto backends.\ndocs/vgpu.md says more.",
        "mimic-mediator");
    app.set_version_flag("--version", std::string("mimic-mediator ") + kVersion);
    add_options(app, words);
    if (const auto status = mimic::cli::reference_asked(argc, argv, app)) return *status;
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
        const int status = app.exit(error);
        return status == 0 ? 0 : kUsage;
    }
    words.options.spin = std::chrono::microseconds(words.spin_us);
    words.options.drain_patience = std::chrono::duration_cast<Duration>(
        std::chrono::duration<double>(words.drain_seconds));
    if (const auto read = read_words(words); !read) {
        const bool report = read.error().code() == std::errc::invalid_argument &&
                            !words.options.config_file.empty();
        if (!report) return complain(kUsage, read.error().message());
        std::fputs((read.error().message() + "\n").c_str(), stderr);
        return kUsage;
    }
    if (words.check) return 0;
    const auto done = mediator::run_daemon(std::move(words.options));
    return done ? 0 : complain(kFailure, done.error().message());
}

}  // namespace

int main(int argc, char** argv) {
    try {
        // A backend's process takes over before anything else is set up.
        if (argc > 1 && std::string_view(argv[1]) == "backend")
            return mediator::backend::run_worker({argv + 2, argv + argc});
        return run(argc, argv);
    } catch (const std::exception& error) {
        // We throw nothing; this is a library's, such as out of memory.
        return complain(kFailure, error.what());
    }
}
