// SPDX-License-Identifier: Apache-2.0
// mimic-dra: the node agent of Kubernetes (docs/kubernetes). Exit status: 0 done or ended by a
// signal, 1 failure, 2 wrong usage.
#include <malloc.h>
#include <sys/stat.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <csignal>
#include <cstdio>
#include <exception>

#include "base/log.h"
#include "base/private_files.h"
#include "cli/mimic_dra_simulate.h"
#include "cli/reference.h"
#include "cli/version.h"
#include "devices/all_dra.h"
#include "dra/agent/agent.h"
#include "dra/discovery/dry_run.h"
#include "kube/config.h"
#include "slices/names.h"

namespace {

using mimic::dra::Step;

constexpr int kFailure = 1;
constexpr int kUsage = 2;
constexpr size_t kMaxNodeName = 253;

struct Words {
    mimic::dra::AgentOptions agent;
    std::string kubeconfig, context;
    std::string http;
    std::string vfs = "existing";
    std::string log_format = "text";
    std::string log_level = "info";
    double aer_hold = 60, cleanup_period = 600;  // seconds
    bool dry_run = false;
    std::string crash_at;
};

int fail(int status, const std::string& message) {
    std::fputs(fmt::format("mimic-dra: {}\n", message).c_str(), stderr);
    return status;
}

void add_options(CLI::App& app, Words& words) {
    app.add_option("--node-name", words.agent.node, "Node of the cluster; pools are called as it")
        ->envname("NODE_NAME")
        ->required();
    app.add_option("--kubeconfig", words.kubeconfig,
                   "How to reach the API server; without: KUBECONFIG, the pod's service account, "
                   "~/.kube/config");
    app.add_option("--context", words.context, "Context of the kubeconfig; without: its current");
    app.add_option("--root", words.agent.root,
                   "Folder before /sys and /dev, as `mimic tree` makes");
    app.add_option("--kubelet-dir", words.agent.kubelet_dir, "The kubelet's --root-dir")
        ->capture_default_str();
    app.add_option("--cdi-dir", words.agent.cdi_dir, "Folder of CDI specs")->capture_default_str();
    app.add_option("--pod-uid", words.agent.pod_uid,
                   "Uid of our pod, which tells two instances apart during a rolling update")
        ->envname("POD_UID");
    app.add_option("--http", words.http,
                   "Address of /metrics, /healthz and /readyz: :PORT, ADDRESS:PORT; port 0: any");
    app.add_option("--vfs", words.vfs, "on-demand: claims may create VFs")
        ->check(CLI::IsMember({"existing", "on-demand"}))
        ->capture_default_str();
    app.add_flag(
        "--shared", words.agent.shared,
        "Several claims may have one device, each a part of its memory (not PFs with VFs)");
    app.add_option("--aer-hold", words.aer_hold,
                   "Seconds without a PCIe error until a device is good again")
        ->check(CLI::Range(0.0, 1e6))
        ->capture_default_str();
    app.add_option("--cleanup-period", words.cleanup_period,
                   "Seconds between searches for claims that are gone")
        ->check(CLI::Range(0.1, 1e6))
        ->capture_default_str();
    app.add_option("--log-format", words.log_format, "Lines of the log on stderr")
        ->check(CLI::IsMember({"text", "json"}))
        ->capture_default_str();
    app.add_option("--log-level", words.log_level, "trace, debug, info, warn, error or off")
        ->envname("MIMIC_LOG_LEVEL")
        ->capture_default_str();
    app.add_flag("--dry-run", words.dry_run, "Print the ResourceSlices and end");
    // For tests of what a killed driver leaves.
    app.add_option("--crash-at", words.crash_at, "Kill ourselves at a step; list: print them")
        ->group("");
    app.set_version_flag("--version", fmt::format("mimic-dra {}", mimic::kVersion));
}

int print_slices(const Words& words) {
    std::vector<std::string> problems;
    const auto text = mimic::dra::dry_run(words.agent.kinds,
                                          {.root = words.agent.root,
                                           .node = words.agent.node,
                                           .vfs_on_demand = words.agent.vfs_on_demand,
                                           .shared = words.agent.shared},
                                          &problems);
    for (const auto& problem : problems) fail(0, "warning: " + problem);
    if (!text) return fail(kFailure, text.error().message());
    std::fputs(text->c_str(), stdout);
    return 0;
}

// Signals that end us wait for sigwait(3); for the main thread, before there are others.
sigset_t hold_signals() {
    sigset_t set{};
    ::sigemptyset(&set);
    for (const int signal : {SIGINT, SIGTERM, SIGHUP}) ::sigaddset(&set, signal);
    ::pthread_sigmask(SIG_BLOCK, &set, nullptr);
    // A peer that goes away is an error of write(2).
    struct sigaction ignore {};
    ignore.sa_handler = SIG_IGN;  // NOLINT(cppcoreguidelines-pro-type-union-access): as POSIX has
                                  // it
    ::sigaction(SIGPIPE, &ignore, nullptr);
    return set;
}

int serve(Words& words) {
    const sigset_t signals = hold_signals();
    auto api = mimic::kube::default_config(words.kubeconfig, words.context);
    if (!api) return fail(kUsage, api.error().message());
    api->user_agent = fmt::format("mimic-dra/{}", mimic::kVersion);
    words.agent.api = std::make_shared<const mimic::kube::ClientConfig>(std::move(*api));
    const auto boot_id = mimic::read_small_file("/proc/sys/kernel/random/boot_id");
    if (!boot_id) return fail(kFailure, boot_id.error().message());
    words.agent.boot_id = boot_id->substr(0, boot_id->find('\n'));
    {
        const auto agent = mimic::dra::Agent::create(words.agent);
        if (!agent) return fail(kFailure, agent.error().message());
        if ((*agent)->http_port() != 0) {
            std::fputs(fmt::format("http port {}\n", (*agent)->http_port()).c_str(), stdout);
            std::fflush(stdout);
        }
        int signal = 0;
        ::sigwait(&signals, &signal);
        MIMIC_LOG("dra", kInfo, "Ending on signal {}; what is prepared stays so", signal);
    }
    return 0;
}

int run(Words& words) {
    auto level = mimic::log::Level::kInfo;
    if (!mimic::log::parse_level(words.log_level, level))
        return fail(kUsage, fmt::format("'{}' is no level of the log", words.log_level));
    mimic::log::set_level(level);
    if (words.log_format == "json") mimic::log::set_format(mimic::log::Format::kJson);
    if (!mimic::slices::is_dns_subdomain(words.agent.node, kMaxNodeName))
        return fail(kUsage, fmt::format("'{}' is no name of a node", words.agent.node));
    words.agent.vfs_on_demand = words.vfs == "on-demand";
    const auto milliseconds = [](double seconds) {
        return std::chrono::milliseconds(static_cast<int64_t>(seconds * 1000));
    };
    words.agent.aer_hold = milliseconds(words.aer_hold);
    words.agent.cleanup_period = milliseconds(words.cleanup_period);
    const auto all = mimic::devices::all_dra();
    words.agent.kinds.assign(all.begin(), all.end());
    if (words.dry_run) return print_slices(words);
    if (!words.http.empty()) {
        auto address = mimic::dra::parse_http_address(words.http);
        if (!address) return fail(kUsage, address.error().message());
        words.agent.http = std::move(*address);
    }
    if (!words.crash_at.empty()) {
        const auto& names = mimic::dra::kStepNames;
        const auto* const found = std::find(names.begin(), names.end(), words.crash_at);
        if (found == names.end())
            return fail(kUsage, fmt::format("'{}' is no step; --crash-at list", words.crash_at));
        const auto step = static_cast<Step>(found - names.begin());
        words.agent.hook = [step](Step at) {
            if (at == step) ::kill(::getpid(), SIGKILL);
        };
    }
    return serve(words);
}

}  // namespace

int main(int argc, char** argv) {
    // Twenty threads that mostly sleep would each keep memory of their own.
    ::mallopt(M_ARENA_MAX, 2);
    try {
        if (const auto status = mimic::cli::simulate_main(argc, argv)) return *status;
        CLI::App app("Node agent of Kubernetes: publishes devices, prepares them for pods.",
                     "mimic-dra");
        Words words;
        add_options(app, words);
        if (const auto status = mimic::cli::reference_asked(argc, argv, app)) return *status;
        // Needs no node.
        for (int i = 1; i + 1 < argc; ++i) {
            if (std::string_view(argv[i]) != "--crash-at" ||
                std::string_view(argv[i + 1]) != "list")
                continue;
            for (const auto name : mimic::dra::kStepNames)
                std::fputs(fmt::format("{}\n", name).c_str(), stdout);
            return 0;
        }
        try {
            app.parse(argc, argv);
        } catch (const CLI::ParseError& error) {
            return app.exit(error) == 0 ? 0 : kUsage;
        }
        return run(words);
    } catch (const std::exception& error) {
        // We throw nothing; this is a library's, such as out of memory.
        return fail(kFailure, error.what());
    }
}
