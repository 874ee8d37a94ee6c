// SPDX-License-Identifier: Apache-2.0
#include "cluster/cluster_supervisor.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <memory>
#include <optional>
#include <vector>

#include "base/log.h"
#include "base/private_files.h"
#include "base/task_runner.h"
#include "cluster/cluster_plan.h"
#include "cluster/egress_proxy.h"
#include "machine/log_keeper.h"
#include "machine/process.h"

namespace mimic::cluster {
namespace {

using namespace std::chrono_literals;

constexpr Duration kFirstPause = 500ms;  // before a process that ended is started again, doubled
constexpr Duration kLongestPause = 8s;   // each time, unless it ran for
constexpr Duration kSettled = 60s;
constexpr unsigned kMaxFailures = 8;  // of one process before the cluster is up; arbitrary
constexpr auto kStopGrace = 5s;       // etcd closes its files

/// One process of the control plane.
struct Member {
    PlannedProcess plan;
    std::string log;
    machine::Process process{};
    TimePoint started{};
    TimePoint start_at{};  // while it does not run
    Duration pause = kFirstPause;
    unsigned failures = 0;
};

class ClusterSupervisor {
public:
    ClusterSupervisor(std::string dir, UniqueFd lock, UniqueFd control)
        : dir_(std::move(dir)), lock_(std::move(lock)), control_(std::move(control)) {}

    int run();

private:
    Status prepare();
    Status start(Member& member);
    void start_due();
    bool look_after(Member& member);
    bool wait_once();
    bool read_control();
    Status note_state();
    void stop_all();

    const std::string dir_;
    UniqueFd lock_;
    UniqueFd control_;
    UniqueFd signals_;
    ClusterPlan plan_;
    std::vector<Member> members_;
    std::unique_ptr<EgressProxy> egress_;
    std::unique_ptr<machine::LogKeeper> log_keeper_;
};

Status ClusterSupervisor::prepare() {
    ::umask(077);  // etcd makes sockets
    if (::chdir(dir_.c_str()) != 0) return fail_errno("{}", dir_);
    sigset_t watched;
    sigemptyset(&watched);
    for (const int number : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&watched, number);
    ::sigprocmask(SIG_BLOCK, &watched, nullptr);
    ::signal(SIGPIPE, SIG_IGN);
    signals_.reset(::signalfd(-1, &watched, SFD_CLOEXEC | SFD_NONBLOCK));
    if (!signals_) return fail_errno("signalfd");
    MIMIC_ASSIGN_OR_RETURN(const auto text, read_small_file(dir_ + "/plan.json"));
    MIMIC_ASSIGN_OR_RETURN(plan_, parse_cluster_plan(text));
    MIMIC_ASSIGN_OR_RETURN(egress_, EgressProxy::create(plan_.egress_socket, plan_.kubelets));
    std::vector<std::string> logs;
    for (const PlannedProcess& process : plan_.processes) {
        logs.push_back(fmt::format("{}/{}.log", plan_.state_dir, process.name));
        members_.push_back({.plan = process, .log = logs.back()});
    }
    log_keeper_ = std::make_unique<machine::LogKeeper>(
        machine::LogKeeper::Options{.paths = std::move(logs)});
    return {};
}

Status ClusterSupervisor::start(Member& member) {
    const UniqueFd log(
        ::open(member.log.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0600));
    if (!log) return fail_errno("{}", member.log);
    machine::SpawnOptions options;
    options.argv = member.plan.argv;
    options.stdout_fd = log.get();
    options.stderr_fd = log.get();
    options.die_with_parent = true;
    MIMIC_ASSIGN_OR_RETURN(member.process, machine::Process::spawn(options));
    member.started = SteadyClock().now();
    return note_state();
}

void ClusterSupervisor::start_due() {
    const TimePoint now = SteadyClock().now();
    for (Member& member : members_) {
        if (member.process.running() || member.start_at > now) continue;
        if (auto started = start(member); !started) {
            MIMIC_LOG("cluster", kError, "{}: {}", member.plan.name, started.error().message());
            member.start_at = now + kLongestPause;
        }
    }
}

/// False: the cluster ends, for it will not come up.
bool ClusterSupervisor::look_after(Member& member) {
    const auto ended = member.process.poll();
    if (!ended) return true;
    const TimePoint now = SteadyClock().now();
    if (now - member.started >= kSettled) member.pause = kFirstPause;
    MIMIC_LOG("cluster", kWarn, "{} {}; started again", member.plan.name, ended->str());
    member.start_at = now + member.pause;
    member.pause = std::min(member.pause * 2, kLongestPause);
    return !control_ || ++member.failures < kMaxFailures;
}

Status ClusterSupervisor::note_state() {
    ClusterState state;
    state.supervisor = machine::ProcessId::of(::getpid());
    for (const Member& member : members_)
        if (member.process.pid() > 0)
            state.processes[member.plan.name] = machine::ProcessId::of(member.process.pid());
    return write_file_atomically(dir_ + "/state.json", to_json(state));
}

/// False: the cluster ends.
bool ClusterSupervisor::read_control() {
    std::array<char, 64> buffer{};
    const ssize_t count = ::recv(control_.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (count < 0 && (errno == EAGAIN || errno == EINTR)) return true;
    if (count <= 0) return false;
    control_.reset();  // released
    return true;
}

/// Waits for anything that matters and handles it. False: the cluster ends.
bool ClusterSupervisor::wait_once() {
    std::vector<pollfd> fds{{.fd = signals_.get(), .events = POLLIN, .revents = 0},
                            {.fd = control_.get(), .events = POLLIN, .revents = 0}};
    bool waiting = false;  // for the time at which one is started again
    for (const Member& member : members_) {
        waiting = waiting || !member.process.running();
        fds.push_back({.fd = member.process.pidfd(), .events = POLLIN, .revents = 0});
    }
    if (::poll(fds.data(), fds.size(), waiting ? 100 : -1) < 0) return true;
    if (fds[0].revents != 0) return false;
    if (fds[1].revents != 0 && control_ && !read_control()) return false;
    for (Member& member : members_)
        if (member.process.running() && !look_after(member)) return false;
    start_due();
    return true;
}

void ClusterSupervisor::stop_all() {
    // The last first: etcd outlives those that write to it.
    for (auto member = members_.rbegin(); member != members_.rend(); ++member)
        member->process.signal(member->plan.name == "etcd" ? SIGTERM : SIGKILL);
    for (Member& member : members_) member.process.stop(kStopGrace);
    egress_.reset();
}

int ClusterSupervisor::run() {
    Status prepared = prepare();
    if (prepared) prepared = note_state();
    if (prepared) {
        start_due();
        while (wait_once()) {
        }
    } else {
        MIMIC_LOG("cluster", kError, "{}", prepared.error().message());
    }
    stop_all();
    // The folder's name, for the plan may not have been read.
    const std::string name = dir_.substr(std::min(dir_.rfind(".cluster-") + 9, dir_.size()));
    const Status removed = remove_cluster(name, std::move(lock_));
    if (!removed) MIMIC_LOG("cluster", kError, "{}", removed.error().message());
    return prepared && removed ? 0 : 1;
}

}  // namespace

int run_cluster_supervisor(const std::string& dir) {
    for (const int fd : {kClusterLockFd, kClusterControlFd})
        if (::fcntl(fd, F_SETFD, FD_CLOEXEC) != 0) {
            MIMIC_LOG("cluster", kError, "Only mimic cluster up starts this command");
            return 2;
        }
    return ClusterSupervisor(dir, UniqueFd(kClusterLockFd), UniqueFd(kClusterControlFd)).run();
}

}  // namespace mimic::cluster
