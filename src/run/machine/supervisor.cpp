// SPDX-License-Identifier: Apache-2.0
#include "machine/supervisor.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>
#include <sstream>

#include "base/log.h"
#include "base/private_files.h"
#include "base/terminal_text.h"
#include "device_host/device_host.h"
#include "machine/ended.h"
#include "machine/launch_plan.h"
#include "machine/log_keeper.h"
#include "machine/process.h"
#include "machine/qmp.h"
#include "machine/run_dir.h"
#include "machine/supervisor_api.h"
#include "streams/relay.h"

namespace mimic::machine {
namespace {

using namespace std::chrono_literals;
using Json = nlohmann::ordered_json;

constexpr auto kDeviceHostStart = 60s;  // 1,000 devices take less than 2 s; a loaded machine more
constexpr auto kGuestShutdown = 30s;    // a cloud image stops its services
constexpr auto kMonitorAnswer = 10s;    // a busy host may stop QEMU for a while
constexpr auto kQemuQuit = 5s;          // QEMU frees the guest's memory
constexpr auto kTermGrace = 2s;
constexpr int kReadyFd = 3;  // in a device host
constexpr size_t kReasonLines = 12;
constexpr size_t kPanicLines = 60;  // with its registers and calls
constexpr int kOrphanTries = 5000;  // a millisecond each; arbitrary

// Ends grandchildren that outlived their parents; this process is their subreaper. A kernel without
// CONFIG_PROC_CHILDREN does not name them: then PR_SET_PDEATHSIG has to do.
void kill_orphans() {
    const std::string list = fmt::format("/proc/self/task/{}/children", ::getpid());
    // Bounded: a process that is stuck in the kernel cannot be waited for.
    for (int tries = 0; tries < kOrphanTries && ::waitpid(-1, nullptr, WNOHANG) >= 0; ++tries) {
        const auto pids = read_small_file(list);
        if (!pids || pids->empty()) return;
        std::istringstream words(*pids);
        for (pid_t pid = 0; words >> pid;) ::kill(pid, SIGKILL);
        ::usleep(1000);
    }
}

/// Why a machine ends.
struct End {
    bool asked = false;  // by a person: not an error
    std::string reason;
    std::string log;  // its last lines explain the reason; empty: none does
    size_t lines = kReasonLines;
};

/// By the last words of its kernel (kernel/panic.c, kernel/reboot.c), which a guest may also print
/// as it likes: they are for people.
End why_guest_ended(const std::string& console) {
    constexpr std::string_view kPanic = "Kernel panic - not syncing: ";
    const auto lines = last_lines(console, 200);
    for (auto line = lines.rbegin(); line != lines.rend(); ++line) {
        if (const size_t at = line->find(kPanic); at != std::string::npos)
            return {
                false,
                "the guest's kernel panicked: " + terminal_text(line->substr(at + kPanic.size())),
                console, kPanicLines};
        if (line->find("reboot: Power down") != std::string::npos)
            return {false, "the guest powered off", console};
        if (line->find("reboot: Restarting system") != std::string::npos)
            return {false, "the guest rebooted", console};
    }
    return {false, "the guest powered off or rebooted (QEMU ended with exit status 0)", console};
}

struct Child {
    std::string what;
    std::string log;
    Process process;
    UniqueFd ready;      // readable when a device host of ours serves
    std::string socket;  // there when one of the user's serves; empty: of ours
};

// Whether somebody listens on the UNIX socket. Asked of the kernel: servers end when a client that
// only tries goes away, and a socket is in its folder before its server listens. A server may have
// bound it by another path, so the name decides, which is a device's.
bool is_listening(const std::string& path) {
    struct stat file {};
    if (::stat(path.c_str(), &file) != 0 || !S_ISSOCK(file.st_mode)) return false;
    const std::string name = path.substr(path.rfind('/') + 1);
    constexpr unsigned long kAcceptsConnections = 0x10000;  // __SO_ACCEPTCON, include/linux/net.h
    std::ifstream table("/proc/net/unix");
    for (std::string line; std::getline(table, line);) {
        // Num RefCount Protocol Flags Type St Inode Path
        std::istringstream fields(line);
        std::string skipped;
        unsigned long flags = 0;
        if (!(fields >> skipped >> skipped >> skipped >> std::hex >> flags)) continue;
        if ((flags & kAcceptsConnections) == 0) continue;
        if (line.ends_with("/" + name) || line.ends_with(" " + name)) return true;
    }
    return false;
}

class Supervisor {
public:
    Supervisor(std::string run_dir, UniqueFd lock, UniqueFd control)
        : run_dir_(std::move(run_dir)), lock_(std::move(lock)), control_(std::move(control)) {}

    int run();

private:
    Status prepare();
    Status start_device_hosts();
    Status start_device_host(const DeviceHostPlan& host, Child& child);
    static bool is_ready(Child& child);
    Status start_qemu();
    std::optional<End> wait_for_device_hosts();
    End supervise();
    std::optional<End> wait_once(std::optional<Duration> limit);
    std::optional<End> ended_child();
    bool died_by_fault(const Child& child, pid_t pid, const ExitState& state);
    std::optional<End> read_control();
    Result<Process> spawn(std::vector<std::string> argv, const std::string& log,
                          std::vector<std::pair<int, int>> pass_fds);
    void stop_all(const End& end);
    void stop_qemu(const End& end);
    void send(const Json& message);
    Status note_state(const std::string& reason = "");
    int finish(const End& end);

    const std::string run_dir_;
    UniqueFd lock_;
    UniqueFd control_;
    UniqueFd signals_;
    LaunchPlan plan_;
    std::vector<Child> children_;  // device hosts, then QEMU
    bool running_ = false;         // the guest has booted
    bool released_ = false;        // and nobody waits for it any more
    std::unique_ptr<SupervisorApi> api_;
    std::unique_ptr<LogKeeper> log_keeper_;
    std::unique_ptr<streams::Relay> streams_;
    bool degraded_ = false;  // a device host died by an injected fault
};

Status Supervisor::prepare() {
    ::prctl(PR_SET_CHILD_SUBREAPER, 1);
    ::umask(077);  // QEMU makes sockets and logs
    sigset_t watched;
    sigemptyset(&watched);
    for (const int number : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&watched, number);
    ::sigprocmask(SIG_BLOCK, &watched, nullptr);
    ::signal(SIGPIPE, SIG_IGN);
    signals_.reset(::signalfd(-1, &watched, SFD_CLOEXEC | SFD_NONBLOCK));
    if (!signals_) return fail_errno("signalfd");
    MIMIC_ASSIGN_OR_RETURN(const auto text, read_small_file(run_dir_ + "/launch.json"));
    MIMIC_ASSIGN_OR_RETURN(plan_, parse_launch_plan(text));
    plan_.state.supervisor = ProcessId::of(::getpid());
    // Its thread inherits the mask: signals are for this one.
    MIMIC_ASSIGN_OR_RETURN(api_, SupervisorApi::create(run_dir_, plan_.state));
    log_keeper_ = std::make_unique<LogKeeper>(
        LogKeeper::Options{.paths = log_paths(plan_.state_dir)});
    return note_state();
}

// Tells those who look from outside.
Status Supervisor::note_state(const std::string& reason) {
    if (api_) api_->update(plan_.state, reason);
    return write_machine_state(run_dir_, plan_.state);
}

Result<Process> Supervisor::spawn(std::vector<std::string> argv, const std::string& log,
                                  std::vector<std::pair<int, int>> pass_fds) {
    const UniqueFd log_fd(
        ::open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0600));
    if (!log_fd) return fail_errno("{}", log);
    SpawnOptions options;
    options.argv = std::move(argv);
    options.stdout_fd = log_fd.get();
    options.stderr_fd = log_fd.get();
    options.pass_fds = std::move(pass_fds);
    options.die_with_parent = true;
    return Process::spawn(options);
}

Status Supervisor::start_device_hosts() {
    const auto ours = std::count_if(plan_.device_hosts.begin(), plan_.device_hosts.end(),
                                    [](const auto& host) { return host.socket.empty(); });
    for (size_t i = 0; i < plan_.device_hosts.size(); ++i) {
        const DeviceHostPlan& host = plan_.device_hosts[i];
        Child child;
        child.log = plan_.state_dir + "/device-host.log";
        if (host.socket.empty()) {
            child.what = ours == 1 ? "the device host" : fmt::format("device host {}", i);
            MIMIC_TRY(start_device_host(host, child));
        } else {
            child.what = "the server of " + host.name;
            child.socket = host.socket;
            MIMIC_ASSIGN_OR_RETURN(child.process, spawn(host.argv, child.log, {}));
        }
        plan_.state.device_hosts.push_back(ProcessId::of(child.process.pid()));
        children_.push_back(std::move(child));
    }
    return note_state();
}

Status Supervisor::start_device_host(const DeviceHostPlan& host, Child& child) {
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0) return fail_errno("pipe");
    child.ready.reset(ends[0]);
    const UniqueFd writer(ends[1]);
    auto argv = host.argv;
    argv.insert(argv.end(), {"--ready-fd", std::to_string(kReadyFd)});
    MIMIC_ASSIGN_OR_RETURN(child.process,
                           spawn(std::move(argv), child.log, {{writer.get(), kReadyFd}}));
    return {};
}

// Whether the child serves now. End of file without a byte: it ends with an error that its log
// tells, and wait_once() sees it.
bool Supervisor::is_ready(Child& child) {
    if (!child.socket.empty()) return is_listening(child.socket);
    pollfd ready{.fd = child.ready.get(), .events = POLLIN, .revents = 0};
    char byte = 0;
    return ::poll(&ready, 1, 0) > 0 && ::read(child.ready.get(), &byte, 1) == 1;
}

std::optional<End> Supervisor::wait_for_device_hosts() {
    const TimePoint deadline = SteadyClock().now() + kDeviceHostStart;
    for (auto& child : children_) {
        while (!is_ready(child)) {
            const Duration left = deadline - SteadyClock().now();
            if (left <= Duration::zero())
                return End{false, child.what + " did not start in time", child.log};
            if (auto end = wait_once(std::min<Duration>(left, 20ms))) return end;
        }
        child.ready.reset();
    }
    return std::nullopt;
}

Status Supervisor::start_qemu() {
    Child child;
    child.what = "QEMU";
    child.log = plan_.state_dir + "/qemu.log";
    MIMIC_ASSIGN_OR_RETURN(child.process, spawn(plan_.qemu, child.log, {}));
    plan_.state.qemu = ProcessId::of(child.process.pid());
    children_.push_back(std::move(child));
    MIMIC_TRY(note_state());
    if (!plan_.stream_socket.empty()) {
        // Its thread inherits the mask of signals, as that of the API does.
        MIMIC_ASSIGN_OR_RETURN(
            streams_,
            streams::Relay::create(plan_.stream_socket, streams::relay_socket_path(run_dir_)));
    }
    send({{"event", "started"}});
    return {};
}

std::optional<End> Supervisor::ended_child() {
    for (auto& child : children_) {
        const pid_t pid = child.process.pid();
        const auto state = child.process.poll();
        if (!state || died_by_fault(child, pid, *state)) continue;
        if (&child == &children_.back() && child.what == "QEMU" && state->ok())
            return why_guest_ended(plan_.state_dir + "/console.log");
        return End{false, child.what + " " + state->str(), child.log};
    }
    return std::nullopt;
}

// Whether the child is a device host that killed itself because it was asked to (host-crash). The
// machine goes on without it: what the guest makes of that is the point of the fault.
bool Supervisor::died_by_fault(const Child& child, pid_t pid, const ExitState& state) {
    if (child.what == "QEMU" || state.signal != SIGKILL ||
        ::unlink(device_host::crash_note_path(run_dir_, pid).c_str()) != 0)
        return false;
    MIMIC_LOG("supervisor", kWarn, "Machine {}: {} was killed by an injected fault",
              plan_.state.name, child.what);
    degraded_ = true;
    if (running_) plan_.state.phase = "degraded";
    // For ps only.
    [[maybe_unused]] const Status noted = note_state();
    return true;
}

std::optional<End> Supervisor::read_control() {
    std::array<char, kMaxEndReason + 64> buffer{};
    const ssize_t count = ::recv(control_.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (count < 0 && (errno == EAGAIN || errno == EINTR)) return std::nullopt;
    if (count <= 0) return End{true, "mimic up was killed", ""};
    const std::string_view said(buffer.data(), static_cast<size_t>(count));
    if (const size_t stop = said.find(kStopMessage); stop != std::string_view::npos)
        return End{true, std::string(said.substr(stop + kStopMessage.size())), ""};
    if (said.starts_with("release") || said.starts_with("running")) {
        running_ = true;
        released_ = said.starts_with("release");
        if (released_) control_.reset();
        plan_.state.phase = degraded_ ? "degraded" : "running";
        if (auto written = note_state(); !written) return End{false, written.error().message(), ""};
    }
    return std::nullopt;
}

// Waits for anything that matters, at most `limit`, and handles it.
std::optional<End> Supervisor::wait_once(std::optional<Duration> limit) {
    std::vector<pollfd> fds{{.fd = signals_.get(), .events = POLLIN, .revents = 0},
                            {.fd = control_.get(), .events = POLLIN, .revents = 0}};
    for (const auto& child : children_)
        fds.push_back({.fd = child.process.pidfd(), .events = POLLIN, .revents = 0});
    const int timeout = limit ? static_cast<int>(
                                    std::chrono::ceil<std::chrono::milliseconds>(*limit).count())
                              : -1;
    if (::poll(fds.data(), fds.size(), timeout) <= 0) return std::nullopt;

    if (fds[0].revents != 0) {
        signalfd_siginfo info{};
        if (::read(signals_.get(), &info, sizeof info) == sizeof info)
            return End{
                true, info.ssi_signo == SIGTERM ? "stopped on request" : "stopped by a signal", ""};
    }
    // A child's end first: it tells more than the end of file that may follow from it.
    if (auto end = ended_child()) return end;
    if (fds[1].revents != 0 && control_) return read_control();
    return std::nullopt;
}

End Supervisor::supervise() {
    if (auto started = start_device_hosts(); !started)
        return {false, started.error().message(), ""};
    if (auto end = wait_for_device_hosts()) return *end;
    if (auto started = start_qemu(); !started) return {false, started.error().message(), ""};
    for (;;)
        if (auto end = wait_once(std::nullopt)) return *end;
}

void Supervisor::stop_qemu(const End& end) {
    Process& qemu = children_.back().process;
    if (!qemu.running()) return;
    auto monitor = QmpClient::connect(plan_.qmp_socket, kMonitorAnswer);
    if (monitor && end.asked && released_ && plan_.shut_down_guest &&
        (*monitor)->system_powerdown(kMonitorAnswer) && qemu.wait(kGuestShutdown))
        return;
    if (monitor && (*monitor)->quit(kMonitorAnswer) && qemu.wait(kQemuQuit)) return;
    qemu.stop(kTermGrace);
}

void Supervisor::stop_all(const End& end) {
    if (!children_.empty() && children_.back().what == "QEMU") stop_qemu(end);
    for (const auto& child : children_) child.process.signal(SIGTERM);
    for (auto& child : children_) child.process.stop(kTermGrace);
    kill_orphans();
}

void Supervisor::send(const Json& message) {
    if (!control_) return;
    const std::string line = message.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
    [[maybe_unused]] const ssize_t sent = ::send(control_.get(), line.data(), line.size(),
                                                 MSG_NOSIGNAL);
}

int Supervisor::finish(const End& end) {
    plan_.state.phase = "stopping";
    // For ps only; on a full disk the machine is stopped all the same.
    [[maybe_unused]] const Status noted = note_state(end.reason);
    const auto log = end.log.empty() ? std::vector<std::string>{} : last_lines(end.log, end.lines);
    stop_all(end);

    if (!plan_.state_dir.empty()) {
        if (auto noted_end = note_end(plan_.state_dir, plan_.state, end.reason, log, end.asked);
            !noted_end)
            MIMIC_LOG("supervisor", kError, "{}", noted_end.error().message());
    }
    if (!end.asked)
        MIMIC_LOG("supervisor", kError, "Machine {} ended: {}", plan_.state.name, end.reason);
    for (const auto& file : plan_.temporary_files) ::unlink(file.c_str());
    streams_.reset();  // the folder goes
    api_.reset();
    if (auto root = RunRoot::open()) {
        if (auto removed = root->remove({run_dir_, std::move(lock_)}); !removed)
            MIMIC_LOG("supervisor", kError, "{}", removed.error().message());
    }
    send({{"event", "ended"}, {"reason", end.reason}, {"log", log}});
    return end.asked ? 0 : 1;
}

int Supervisor::run() {
    if (auto prepared = prepare(); !prepared)
        return finish({false, prepared.error().message(), ""});
    return finish(supervise());
}

}  // namespace

int run_supervisor(const std::string& run_dir) {
    for (const int fd : {kSupervisorLockFd, kSupervisorControlFd})
        if (::fcntl(fd, F_SETFD, FD_CLOEXEC) != 0) {
            MIMIC_LOG("supervisor", kError, "Only mimic up starts this command");
            return 2;
        }
    return Supervisor(run_dir, UniqueFd(kSupervisorLockFd), UniqueFd(kSupervisorControlFd)).run();
}

}  // namespace mimic::machine
