// SPDX-License-Identifier: Apache-2.0
// mimic-mediator-load: VMs without guests that keep a mediator busy, and what they got. Exit
// status: 0 all was answered, 1 something failed or no mediator came, 2 wrong usage.
#include <CLI/CLI.hpp>
#include <csignal>
#include <cstdio>

#include "base/log.h"
#include "cli/reference.h"
#include "cli/version.h"
#include "mediator/load/load.h"

namespace {

using namespace mimic;  // NOLINT(google-build-using-namespace): a program, not a header
namespace load = mediator::load;

constexpr int kFailure = 1;
constexpr int kUsage = 2;

EventLoop* g_loop = nullptr;

struct Words {
    std::string socket, protocol = "v3", seconds = "1s", warm_up = "0s", connect = "10s";
    std::vector<std::string> vms;
    uint64_t requests = 0;
    bool json = false;
};

int complain(int status, const std::string& message) {
    std::fputs(fmt::format("mimic-mediator-load: {}\n", message).c_str(), stderr);
    return status;
}

Result<load::Options> options_of(const Words& words) {
    load::Options options;
    options.path = words.socket;
    options.requests = words.requests;
    MIMIC_ASSIGN_OR_RETURN(options.duration, load::parse_time(words.seconds));
    MIMIC_ASSIGN_OR_RETURN(options.warm_up, load::parse_time(words.warm_up));
    MIMIC_ASSIGN_OR_RETURN(options.connect_within, load::parse_time(words.connect));
    if (words.protocol == "packet") options.protocol = compute::Protocol::kPacket;
    if (words.protocol == "v1") options.protocol = compute::Protocol::kV1;
    if (words.protocol == "v2") options.protocol = compute::Protocol::kV2;
    for (const auto& vm : words.vms) {
        MIMIC_ASSIGN_OR_RETURN(auto one, load::parse_vm(vm));
        options.vms.push_back(std::move(one));
    }
    return options;
}

int run(const load::Options& options, bool json) {
    auto loop = EventLoop::create();
    if (!loop) return complain(kFailure, loop.error().message());
    g_loop = loop->get();
    // As the loops of devices.
    g_loop->set_spin(std::chrono::microseconds(50));
    const auto stop = [](int) { g_loop->stop(); };
    std::signal(SIGINT, stop);
    std::signal(SIGTERM, stop);
    const auto outcome = load::run(options, *g_loop);
    if (!outcome) return complain(kFailure, outcome.error().message());
    std::fputs((json ? as_json(*outcome) : as_text(*outcome)).c_str(), stdout);
    for (const auto& vm : outcome->vms)
        if (!vm.failed.empty()) return kFailure;
    return 0;
}

int main_body(int argc, char** argv) {
    CLI::App app{"Keeps a mediator busy with the requests of VMs, and tells what they got"};
    app.name("mimic-mediator-load");
    app.set_version_flag("--version", kVersion);
    Words words;
    app.add_option("-s,--socket", words.socket,
                   "The mediator's socket; <vm_id> in it becomes the VM's number")
        ->required();
    app.add_option("--protocol", words.protocol, "packet (of the original vGPU), v1, v2 or v3")
        ->check(CLI::IsMember({"packet", "v1", "v2", "v3"}))
        ->capture_default_str();
    app.add_option(
           "--vm", words.vms,
           "ID,pool=A,priority=low|medium|high,depth=N,think=TIME,job=JOB with JOB nop, sum "
           "or spin:TIME[:TIME...], which are taken in turns; all but ID may be left out. "
           "May be given more than once")
        ->required()
        ->allow_extra_args(false);
    app.add_option("--time", words.seconds, "How long it is measured")->capture_default_str();
    app.add_option("--warm-up", words.warm_up, "Before that")->capture_default_str();
    app.add_option("--requests", words.requests, "End earlier, after so many of each VM; 0: no");
    app.add_option("--connect-within", words.connect, "Time for the mediator to be there")
        ->capture_default_str();
    app.add_flag("--json", words.json, "One JSON object");
    if (const auto status = mimic::cli::reference_asked(argc, argv, app)) return *status;
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
        return app.exit(error) == 0 ? 0 : kUsage;
    }
    const auto options = options_of(words);
    if (!options) return complain(kUsage, options.error().message());
    return run(*options, words.json);
}

}  // namespace

int main(int argc, char** argv) {
    try {
        return main_body(argc, argv);
    } catch (const std::exception& error) {
        return complain(kFailure, error.what());
    }
}
