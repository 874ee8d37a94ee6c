// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>

#include <fmt/ranges.h>

#include "base/interrupt.h"
#include "base/private_files.h"
#include "base/terminal_text.h"
#include "cluster/cluster.h"
#include "cluster/cluster_plan.h"
#include "cluster/cluster_supervisor.h"
#include "cluster/control_plane.h"
#include "cluster/node_disk.h"
#include "guest_image/progress.h"
#include "kube/client.h"
#include "kube/config.h"
#include "machine/boot.h"
#include "machine/boot_plan.h"
#include "machine/down.h"
#include "machine/process.h"
#include "machine/up.h"
#include "machine/up_source.h"

namespace mimic::cluster {
namespace {

using namespace std::chrono_literals;

constexpr unsigned kMaxNodes = 64;  // as topology::kMaxMachines
constexpr auto kPollPause = 500ms;
constexpr auto kApiTimeout = 10s;
constexpr auto kTeardown = 30s;
constexpr size_t kShownLines = 12;

/// What a kernel needs to be a node, besides what every guest has. The checksums of ext4 are asked
/// for by name; the newest kernels have them built in.
const std::vector<std::string>& node_modules() {
    static const std::vector<std::string> modules{"virtio_net",      "virtio_blk", "crc32c_intel?",
                                                  "crc32c_generic?", "ext4",       "overlay",
                                                  "bridge",          "veth"};
    return modules;
}

void say_line(const std::string& text) {
    std::fputs(("mimic: " + text + "\n").c_str(), stderr);
}

class ClusterUp {
public:
    ClusterUp(const ClusterUpOptions& options, machine::UpSource source)
        : options_(options), source_(std::move(source)) {}
    ~ClusterUp();
    ClusterUp(const ClusterUp&) = delete;
    ClusterUp& operator=(const ClusterUp&) = delete;

    Status prepare();
    Status start_control_plane();
    int boot_nodes(machine::UpOptions up);
    Status wait_for_nodes();
    void release();
    void report() const;

private:
    Status check_machines() const;
    Status make_state_dir();
    Status adjust(const topology::Machine& machine, machine::BootOptions& boot) const;
    Status check_supervisor();
    std::set<std::string> ready_nodes(std::string& problem) const;
    Error with_logs(Error error) const;

    const ClusterUpOptions& options_;
    machine::UpSource source_;
    guest_image::StderrProgress progress_;
    ControlPlaneSpec spec_;
    ClusterDir dir_;
    std::string disk_;
    machine::Process supervisor_;
    UniqueFd control_;
    bool nodes_up_ = false;
    TimePoint began_ = SteadyClock().now();
};

ClusterUp::~ClusterUp() {
    if (nodes_up_) {
        std::vector<std::string> names;
        for (const NodeSpec& node : spec_.nodes) names.push_back(node.name);
        machine::run_down(std::move(names), {.ignore_missing = true});
    }
    const bool started = supervisor_.running();
    control_.reset();  // before `release`: the control plane ends
    if (started && !supervisor_.wait(kTeardown)) supervisor_.stop(Duration::zero());
    dir_.lock.reset();
    // Finds nothing, unless the supervisor was killed or never started.
    if (!dir_.path.empty()) [[maybe_unused]]
        const Status cleaned = clean_cluster(options_.name);
}

Status ClusterUp::check_machines() const {
    const auto& machines = source_.model.machines;
    if (machines.size() > kMaxNodes)
        return fail(std::errc::invalid_argument, "a cluster has at most {} nodes", kMaxNodes);
    for (const topology::Machine& machine : machines) {
        if (!machine.kernel.image.empty())
            return fail(std::errc::not_supported,
                        "machine {} boots an image; a node boots Mimic's kernel (leave out image:)",
                        machine.name);
        if (machine.arch != topology::Arch::kX86_64)
            return fail(std::errc::not_supported,
                        "machine {}: a node runs programs for x86_64 (leave out arch:)",
                        machine.name);
        if (machine.time != topology::GuestTime::kHost)
            return fail(std::errc::not_supported,
                        "machine {}: a node talks to the world outside, whose time is not that of "
                        "time: lock-step (leave it out)",
                        machine.name);
    }
    return {};
}

Status ClusterUp::make_state_dir() {
    MIMIC_ASSIGN_OR_RETURN(spec_.state_dir, cluster_state_path(options_.name));
    MIMIC_TRY(make_dirs(spec_.state_dir));
    return check_owner(spec_.state_dir, "set XDG_STATE_HOME to a folder of your own");
}

Status ClusterUp::prepare() {
    MIMIC_TRY(check_machines());
    MIMIC_ASSIGN_OR_RETURN(dir_, claim_cluster(options_.name));
    MIMIC_ASSIGN_OR_RETURN(spec_.programs, find_programs(options_.programs));
    MIMIC_ASSIGN_OR_RETURN(disk_, make_node_disk(spec_.programs.node, progress_));
    progress_.step("");
    MIMIC_TRY(make_state_dir());
    spec_.name = options_.name;
    spec_.dir = dir_.path;
    spec_.feature_gates = options_.feature_gates;
    spec_.runtime_config = options_.runtime_config;
    if (!spec_.programs.of_user) {
        // Rules that taint devices; on in no release yet.
        if (spec_.feature_gates.empty()) spec_.feature_gates = "DRADeviceTaintRules=true";
        if (spec_.runtime_config.empty()) spec_.runtime_config = "resource.k8s.io/v1beta2=true";
    }
    MIMIC_ASSIGN_OR_RETURN(spec_.api_port, machine::free_port());
    unsigned subnet = 0;
    for (const topology::Machine& machine : source_.model.machines) {
        NodeSpec node{.name = machine.name, .subnet = ++subnet};
        MIMIC_ASSIGN_OR_RETURN(node.kubelet_port, machine::free_port());
        spec_.nodes.push_back(std::move(node));
    }
    return make_control_plane(spec_).map([](const ClusterPlan&) {});
}

Status ClusterUp::start_control_plane() {
    std::array<int, 2> ends{};
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0)
        return fail_errno("cannot make a pair of sockets");
    control_.reset(ends[0]);
    const UniqueFd theirs(ends[1]);
    for (const PlannedProcess& process :
         {PlannedProcess{"etcd", {}}, PlannedProcess{"api-server", {}},
          PlannedProcess{"scheduler", {}}, PlannedProcess{"controller-manager", {}}})
        ::unlink(fmt::format("{}/{}.log", spec_.state_dir, process.name).c_str());
    const std::string log = spec_.state_dir + "/supervisor.log";
    const UniqueFd log_fd(::open(
        log.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0600));
    if (!log_fd) return fail_errno("{}", log);
    machine::SpawnOptions options;
    options.argv = {machine::self_path(), "cluster", "supervise", dir_.path};
    options.stdout_fd = log_fd.get();
    options.stderr_fd = log_fd.get();
    options.pass_fds = {{dir_.lock.get(), kClusterLockFd}, {theirs.get(), kClusterControlFd}};
    options.new_session = true;
    MIMIC_ASSIGN_OR_RETURN(supervisor_, machine::Process::spawn(options));
    dir_.lock.reset();  // the supervisor has it
    return {};
}

Status ClusterUp::adjust(const topology::Machine& machine, machine::BootOptions& boot) const {
    for (const NodeSpec& node : spec_.nodes) {
        if (node.name != machine.name) continue;
        boot.root_disk = disk_;
        boot.root_files = node_files_path(spec_.dir, node.name);
        boot.network = {.subnet = node.subnet,
                        .forwards = {{.host = node.kubelet_port, .guest = kKubeletPort}}};
        return {};
    }
    return fail(std::errc::invalid_argument, "{} is no node", machine.name);
}

int ClusterUp::boot_nodes(machine::UpOptions up) {
    up.guest_modules = node_modules();
    up.adjust = [this](const topology::Machine& machine, machine::BootOptions& boot) {
        return adjust(machine, boot);
    };
    const int status = machine::run_up(up, source_);
    nodes_up_ = status == 0;
    return status;
}

Status ClusterUp::check_supervisor() {
    if (interrupted() != 0) return fail(std::errc::interrupted, "interrupted");
    if (supervisor_.running() && !supervisor_.poll()) return {};
    return fail(std::errc::state_not_recoverable, "the control plane's supervisor ended");
}

/// Nodes whose condition Ready is true; why the question failed, if it did.
std::set<std::string> ClusterUp::ready_nodes(std::string& problem) const {
    std::set<std::string> ready;
    auto config = kube::load_kubeconfig(kubeconfig_path(dir_.path));
    if (!config) {
        problem = config.error().message();
        return ready;
    }
    config->timeout = kApiTimeout;
    kube::Client client(std::make_shared<const kube::ClientConfig>(std::move(*config)));
    const auto list = client.list(kube::kNodes, "", {});
    problem = list ? "" : list.error().message;
    if (!list || !list->contains("items")) return ready;
    for (const auto& node : list->at("items")) {
        for (const auto& condition :
             node.value("/status/conditions"_json_pointer, nlohmann::json::array()))
            if (condition.value("type", "") == "Ready" && condition.value("status", "") == "True")
                ready.insert(node.value("/metadata/name"_json_pointer, ""));
    }
    return ready;
}

Error ClusterUp::with_logs(Error error) const {
    if (error.code() == std::errc::interrupted) return error;
    std::string text = error.message();
    for (const char* name : {"supervisor", "api-server"}) {
        const auto lines = last_lines(fmt::format("{}/{}.log", spec_.state_dir, name), kShownLines);
        if (!lines.empty()) text += fmt::format("\n  last lines of {}.log:", name);
        for (const auto& line : lines) text += "\n    " + line;
    }
    return Error(error.code(), text + "\n  logs: " + spec_.state_dir);
}

Status ClusterUp::wait_for_nodes() {
    progress_.step("waiting until the nodes are ready");
    std::string problem;
    std::set<std::string> ready;
    while (ready.size() < spec_.nodes.size()) {
        if (auto alive = check_supervisor(); !alive)
            return tl::unexpected(with_logs(std::move(alive).error()));
        if (SteadyClock().now() - began_ > options_.timeout) {
            std::string missing;
            for (const NodeSpec& node : spec_.nodes)
                if (!ready.contains(node.name)) missing += " " + node.name;
            return tl::unexpected(
                with_logs(Error(std::errc::timed_out,
                                fmt::format("not ready in time (more: --timeout SECONDS):{}{}{}",
                                            missing, problem.empty() ? "" : "\n  ", problem))));
        }
        ready = ready_nodes(problem);
        if (ready.size() < spec_.nodes.size()) sleep_unless_interrupted(kPollPause);
    }
    progress_.step("");
    return {};
}

void ClusterUp::release() {
    constexpr std::string_view kRelease = "release\n";
    [[maybe_unused]] const ssize_t sent = ::send(control_.get(), kRelease.data(), kRelease.size(),
                                                 MSG_NOSIGNAL);
    pollfd closed{.fd = control_.get(), .events = POLLIN, .revents = 0};
    ::poll(&closed, 1, 5000);
    supervisor_.release();
    control_.reset();
    dir_.path.clear();
    nodes_up_ = false;
}

void ClusterUp::report() const {
    const double seconds = std::chrono::duration<double>(SteadyClock().now() - began_).count();
    std::string text = fmt::format("cluster {}: {} node{} ready after {:.1f} s\n", spec_.name,
                                   spec_.nodes.size(), spec_.nodes.size() == 1 ? "" : "s", seconds);
    if (!spec_.programs.kubectl.empty())
        text += fmt::format("  kubectl: {}\n", fmt::join(spec_.programs.kubectl, " "));
    text += fmt::format("export KUBECONFIG={}\n", kubeconfig_path(spec_.dir));
    std::fputs(text.c_str(), stdout);
    std::fflush(stdout);
}

Status bring_up(ClusterUp& cluster, const machine::UpOptions& up, int& status) {
    MIMIC_TRY(cluster.prepare());
    MIMIC_TRY(cluster.start_control_plane());
    status = cluster.boot_nodes(up);
    if (status != 0) return {};
    MIMIC_TRY(cluster.wait_for_nodes());
    cluster.report();
    cluster.release();
    return {};
}

}  // namespace

int run_cluster_up(const ClusterUpOptions& options) {
    catch_interrupts();
    machine::UpOptions up;
    up.file = options.file;
    up.machine = options.machine;
    up.kernel = options.kernel;
    up.accel = options.accel;
    up.min_memory = options.memory;
    up.timeout = options.timeout;
    up.allow_commands = options.allow_commands;
    auto source = machine::load_up_source(up);
    if (!source) {
        std::fputs((source.error().message() + "\n").c_str(), stderr);
        return 1;
    }
    int status = 0;
    Status done;
    {
        ClusterUp cluster(options, std::move(*source));
        done = bring_up(cluster, up, status);
    }
    if (interrupted() != 0) {
        say_line("stopped by a signal; nothing is left running");
        return 128 + interrupted();
    }
    if (done) return status;
    std::fputs(fmt::format("mimic: error: {}\n", terminal_lines(done.error().message())).c_str(),
               stderr);
    return 1;
}

}  // namespace mimic::cluster
