// SPDX-License-Identifier: Apache-2.0
#include "machine/boot.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <map>
#include <nlohmann/json.hpp>

#include "base/interrupt.h"
#include "base/private_files.h"
#include "base/text_table.h"
#include "guest_agent/guest_agent.h"
#include "machine/boot_plan.h"
#include "machine/guest_slots.h"
#include "machine/migration.h"
#include "machine/supervisor.h"

namespace mimic::machine {
namespace {

using namespace std::chrono_literals;
using Json = nlohmann::ordered_json;

constexpr auto kSlice = 1s;         // how long a death or ^C may go unnoticed
constexpr auto kDriverGrace = 60s;  // from the agent's first answer; the driver is loaded before it
                                    // starts
constexpr auto kGlance = 10ms;      // between two looks for what takes no time
constexpr auto kLastWords = 5s;     // of a QEMU that could not load a snapshot
constexpr auto kResumed = 60s;      // a busy host may stop an emulated guest for 20 s
constexpr size_t kConsoleLines = 30;
constexpr size_t kConsoleLine = 1000;  // characters of a line that is looked at for a stage
constexpr auto kTeardown = 90s;        // longer than all the grace periods of a supervisor

std::string indented(const std::vector<std::string>& lines) {
    std::string text;
    for (const auto& line : lines) text += "\n    " + line;
    return text;
}

/// PFs that a guest's drivers must find, by the folder of /sys/class where they appear.
std::map<std::string, unsigned> expected_class_devices(const topology::Machine& machine) {
    std::map<std::string, unsigned> expected;
    for (const auto& device : machine.devices) {
        const std::string folder(device.functions.front().driver().sysfs_class);
        if (device.plugged && !folder.empty()) ++expected[folder];
    }
    return expected;
}

/// PFs among the names that ls printed: those of VFs have a '_'.
unsigned count_pfs(std::string_view listing) {
    unsigned found = 0;
    for (size_t at = 0; at < listing.size();) {
        const size_t stop = std::min(listing.find('\n', at), listing.size());
        const std::string_view name = listing.substr(at, stop - at);
        found += !name.empty() && name.find("_vf") == std::string_view::npos ? 1 : 0;
        at = stop + 1;
    }
    return found;
}

}  // namespace

Boot::Boot(const RunRoot& root, const topology::Machine& machine, ClaimedDir dir)
    : root_(root), machine_(machine), dir_(std::move(dir)) {}

Result<std::unique_ptr<Boot>> Boot::prepare(const RunRoot& root, const topology::Machine& machine,
                                            const BootOptions& options) {
    MIMIC_ASSIGN_OR_RETURN(auto claimed, root.claim(machine.name));
    std::unique_ptr<Boot> boot(new Boot(root, machine, std::move(claimed)));
    MIMIC_TRY(boot->fill_folder(options));
    return boot;
}

Status Boot::fill_folder(const BootOptions& options) {
    BootPlanner planner(machine_, options, dir_.path);
    MIMIC_ASSIGN_OR_RETURN(plan_, planner.make());
    absent_classes_ = options.own.absent_classes;
    for (const std::string& driver : options.own.absent_drivers)
        notes_.push_back(fmt::format(
            "the kernel has no driver {} ('modules' has none): what it would show is not verified",
            driver));
    const bool writable = std::any_of(machine_.shares.begin(), machine_.shares.end(),
                                      [](const auto& share) { return !share.readonly; });
    if (writable && ::geteuid() == 0)
        notes_.emplace_back(
            "QEMU runs as root: what the guest makes in a shared folder may be a set-user-ID "
            "program of root's or a device node of this host (docs/own-kernel.md)");
    qga_socket_ = planner.context().qga_socket;
    console_log_ = planner.context().console_log;
    incoming_ = options.incoming;
    return write_file_atomically(dir_.path + "/launch.json", to_json(plan_));
}

Boot::~Boot() {
    const bool started = supervisor_.running();
    control_.reset();
    if (started) {
        if (!supervisor_.wait(kTeardown)) supervisor_.stop(Duration::zero());
        // Finds nothing, unless the supervisor crashed or was killed.
        [[maybe_unused]] const Status cleaned = root_.clean_leftovers(machine_.name);
    } else if (dir_.lock) {
        for (const auto& file : plan_.temporary_files) ::unlink(file.c_str());
        [[maybe_unused]] const Status removed = root_.remove(std::move(dir_));
    }
}

// Stages are told in order; a guest that shows one again (it rebooted) does not go back.
void Boot::enter(BootStage stage) {
    auto& begun = times_[stage];
    if (begun || stage < stage_) return;
    begun = std::chrono::duration<double>(SteadyClock().now() - start_).count();
    stage_ = stage;
    if (stage_hook_) stage_hook_(stage);
}

// Looks at what the guest has printed since the last time. A log that became too long begins again,
// which no boot of ours makes it.
void Boot::follow_console() {
    const UniqueFd fd(::open(console_log_.c_str(), O_RDONLY | O_CLOEXEC));
    if (!fd) return;
    std::array<char, 16384> buffer{};
    for (;;) {
        const ssize_t count = ::pread(fd.get(), buffer.data(), buffer.size(),
                                      static_cast<off_t>(console_read_));
        if (count <= 0) break;
        console_read_ += static_cast<uint64_t>(count);
        for (const char c : std::string_view(buffer.data(), static_cast<size_t>(count))) {
            if (c != '\n' && console_line_.size() < kConsoleLine) {
                console_line_ += c;
                continue;
            }
            if (const auto stage = stage_of_line(console_line_)) enter(*stage);
            console_line_.clear();
        }
    }
    // SeaBIOS does not end its last line.
    if (const auto stage = stage_of_line(console_line_)) enter(*stage);
}

Status Boot::start() {
    start_ = SteadyClock().now();
    enter(BootStage::kDevices);
    std::array<int, 2> ends{};
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0)
        return fail_errno("cannot make a pair of sockets");
    control_.reset(ends[0]);
    const UniqueFd theirs(ends[1]);
    const std::string log = plan_.state_dir + "/supervisor.log";
    const UniqueFd log_fd(::open(
        log.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0600));
    if (!log_fd) return fail_errno("{}", log);
    SpawnOptions options;
    options.argv = {self_path(), "supervise", dir_.path};
    options.stdout_fd = log_fd.get();
    options.stderr_fd = log_fd.get();
    options.pass_fds = {{dir_.lock.get(), kSupervisorLockFd}, {theirs.get(), kSupervisorControlFd}};
    options.new_session = true;
    MIMIC_ASSIGN_OR_RETURN(supervisor_, Process::spawn(options));
    dir_.lock.reset();  // the supervisor has it
    return {};
}

void Boot::mark_running() {
    constexpr std::string_view kRunning = "running\n";
    [[maybe_unused]] const ssize_t sent = ::send(control_.get(), kRunning.data(), kRunning.size(),
                                                 MSG_NOSIGNAL);
}

void Boot::release() {
    constexpr std::string_view kRelease = "release\n";
    [[maybe_unused]] const ssize_t sent = ::send(control_.get(), kRelease.data(), kRelease.size(),
                                                 MSG_NOSIGNAL);
    // The supervisor closes its end once state.json says "running": whoever asks next finds it so.
    pollfd closed{.fd = control_.get(), .events = POLLIN, .revents = 0};
    ::poll(&closed, 1, 5000);
    control_.reset();
    supervisor_.release();
}

Status Boot::look_for_end(Duration wait) {
    for (const TimePoint end = SteadyClock().now() + wait; SteadyClock().now() < end;) {
        MIMIC_TRY(check_control());
        sleep_unless_interrupted(kGlance);
    }
    return {};
}

void Boot::begin_stop(std::string_view why) {
    if (!control_) return;
    // Not heard by a supervisor that has ended, which knows a reason of its own.
    const std::string line = fmt::format("{}{}", kStopMessage, why.substr(0, kMaxEndReason));
    [[maybe_unused]] const ssize_t sent = ::send(control_.get(), line.data(), line.size(),
                                                 MSG_NOSIGNAL);
    control_.reset();
}

Status Boot::check_control() {
    if (interrupted() != 0) return fail(std::errc::interrupted, "{}", ::strsignal(interrupted()));
    std::array<char, 8192> buffer{};
    const ssize_t count = ::recv(control_.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (count < 0 && (errno == EAGAIN || errno == EINTR)) return {};
    if (count <= 0) {
        const auto lines = last_lines(plan_.state_dir + "/supervisor.log", kConsoleLines);
        return fail(std::errc::state_not_recoverable, "the supervisor of {} died{}", machine_.name,
                    indented(lines));
    }
    received_.append(buffer.data(), static_cast<size_t>(count));
    for (size_t end = received_.find('\n'); end != std::string::npos; end = received_.find('\n')) {
        const Json message = Json::parse(received_.substr(0, end), nullptr, false);
        received_.erase(0, end + 1);
        if (!message.is_object()) continue;
        if (message.value("event", "") == "started") enter(BootStage::kFirmware);
        if (message.value("event", "") != "ended") continue;
        std::vector<std::string> lines;
        for (const auto& line : message.value("log", Json::array()))
            lines.push_back(line.get<std::string>());
        ended_ = true;
        return fail(std::errc::state_not_recoverable, "{}{}", message.value("reason", ""),
                    indented(lines));
    }
    return {};
}

/// What init said that it cannot do and did without.
void Boot::note_complaints() {
    constexpr std::string_view kCannot = "mimic: cannot ";
    constexpr std::string_view kHook = "mimic: the initrd hook ";
    for (const auto& line : last_lines(console_log_, 200))
        if (line.starts_with(kCannot) || line.starts_with(kHook))
            notes_.push_back(fmt::format("the guest: {} (mimic logs {})",
                                         line.substr(std::string_view("mimic: ").size()),
                                         machine_.name));
}

Status Boot::check_console() const {
    constexpr std::string_view kFailed = "mimic: failed: ";
    for (const auto& line : last_lines(console_log_, 200))
        if (line.starts_with(kFailed))
            return fail(std::errc::state_not_recoverable, "{}", line.substr(kFailed.size()));
        else if (line.find("Kernel panic - not syncing") != std::string::npos)
            return fail(std::errc::state_not_recoverable, "the guest's kernel panicked: {}",
                        line.substr(line.find("Kernel panic")));
        else if (plan_.state.ssh_port != 0 && line.starts_with("No bootable device"))
            return fail(std::errc::state_not_recoverable,
                        "the image has nothing that a BIOS boots; expected one with a boot loader "
                        "for BIOS, or 'firmware: uefi' for one with a boot loader for UEFI");
        else if (plan_.state.ssh_port != 0 &&
                 line.find("BdsDxe: No bootable option or device was found") != std::string::npos)
            return fail(std::errc::state_not_recoverable,
                        "the image has nothing that UEFI boots; expected one with an EFI system "
                        "partition, or 'firmware: bios' for one with a boot loader for BIOS");
    return {};
}

/// A guest in lock-step must not hear of us before it has done its own work: a byte for its agent
/// is an interrupt at a time that no seed decides.
Status Boot::wait_until_ready(TimePoint deadline) {
    constexpr std::string_view kReady = "mimic: ready";
    while (SteadyClock().now() < deadline) {
        MIMIC_TRY(check_control());
        follow_console();
        MIMIC_TRY(check_console());
        for (const auto& line : last_lines(console_log_, 200))
            if (line.starts_with(kReady)) return {};
        sleep_unless_interrupted(100ms);
    }
    return tl::unexpected(not_booted());
}

Error Boot::not_booted() const {
    if (!incoming_.empty())
        return Error(
            std::errc::timed_out,
            fmt::format("the restored guest does not answer within {:g} s: the machine is "
                        "slow (--timeout SECONDS), or {} was damaged; mimic snapshot takes "
                        "a new one",
                        std::chrono::duration<double>(timeout_).count(), incoming_));
    return Error(
        std::errc::timed_out,
        fmt::format("the guest did not finish booting in {:g} s; it is at: {}{} (more time: "
                    "--timeout SECONDS)",
                    std::chrono::duration<double>(timeout_).count(), boot_stage_name(stage_),
                    plan_.state.ssh_port != 0  ? ": neither qemu-guest-agent nor sshd answers"
                    : machine_.kernel.is_own() ? ". Its kernel is your own, and needs what "
                                                 "docs/own-kernel.md lists (CONFIG_BLK_DEV_INITRD, "
                                                 "CONFIG_DEVTMPFS, CONFIG_SERIAL_8250_CONSOLE, "
                                                 "CONFIG_VIRTIO_PCI, CONFIG_VIRTIO_CONSOLE ...)"
                                               : ""));
}

Status Boot::wait_for_agent(TimePoint deadline) {
    for (;;) {
        MIMIC_TRY(check_control());
        follow_console();
        MIMIC_TRY(check_console());
        const Duration left = deadline - SteadyClock().now();
        if (left <= Duration::zero()) return tl::unexpected(not_booted());
        auto agent = guest_agent::GuestAgent::connect(qga_socket_,
                                                      std::min<Duration>(left, kSlice));
        has_agent_ = agent.has_value();
        if (agent) return {};
        if (plan_.state.ssh_port != 0 && answers_ssh(plan_.state.ssh_port)) return {};
        // Most errors take no time, such as a socket that QEMU has not made yet.
        if (agent.error().code() != std::errc::timed_out) sleep_unless_interrupted(50ms);
    }
}

Status Boot::wait_for_drivers(TimePoint deadline) {
    if (!machine_.kernel.image.empty()) return {};
    const TimePoint end = std::min(deadline, SteadyClock().now() + kDriverGrace);
    for (const auto& [folder, expected] : expected_class_devices(machine_))
        if (!absent_classes_.contains(folder)) MIMIC_TRY(wait_for_driver(folder, expected, end));
    return {};
}

Status Boot::wait_for_driver(const std::string& folder, unsigned expected, TimePoint end) {
    unsigned found = 0;
    std::string why;
    do {
        MIMIC_TRY(check_control());
        const auto agent = guest_agent::GuestAgent::connect(qga_socket_, kSlice);
        const auto listing = agent ? (*agent)->exec({"ls", "-1", "/sys/class/" + folder}, "",
                                                    end - SteadyClock().now())
                                   : Result<guest_agent::GuestAgent::ExecResult>(
                                         tl::unexpected(agent.error()));
        found = listing ? count_pfs(listing->out) : 0;
        why = listing ? listing->err : listing.error().message();
        if (found >= expected) return {};
        sleep_unless_interrupted(200ms);
    } while (SteadyClock().now() < end);
    return fail(std::errc::timed_out, "the guest's driver {} found {} of {} {}", folder, found,
                counted(expected, "device"), why);
}

Error Boot::with_console(Error error) const {
    if (error.code() == std::errc::interrupted) return error;
    const auto lines = last_lines(console_log_, kConsoleLines);
    std::string text = fmt::format(
        "{}\n  after {:.1f} s, stage: {}", error.message(),
        std::chrono::duration<double>(SteadyClock().now() - start_).count(),
        boot_stage_name(stage_));
    text += lines.empty() ? "\n  (the guest printed nothing on its console)"
                          : fmt::format("\n  last lines of the console:{}", indented(lines));
    text += fmt::format("\n  logs: {}", plan_.state_dir);
    return Error(error.code(), std::move(text));
}

Status Boot::load_snapshot(TimePoint deadline) {
    // QEMU makes its monitor's socket once the device hosts serve.
    while (::access(plan_.qmp_socket.c_str(), F_OK) != 0) {
        MIMIC_TRY(check_control());
        if (SteadyClock().now() >= deadline) return tl::unexpected(not_booted());
        sleep_unless_interrupted(kGlance);
    }
    Status loaded = load_guest(plan_.qmp_socket, incoming_, deadline - SteadyClock().now());
    // Of a QEMU that ended, the supervisor knows the last words.
    const TimePoint last = SteadyClock().now() + kLastWords;
    while (!loaded && SteadyClock().now() < last) {
        MIMIC_TRY(check_control());
        sleep_unless_interrupted(kGlance);
    }
    return loaded;
}

Status Boot::resume_guest() {
    MIMIC_ASSIGN_OR_RETURN(const auto agent,
                           guest_agent::GuestAgent::connect(qga_socket_, kResumed));
    MIMIC_TRY(set_guest_clock(*agent));
    return put_devices_back(*agent, machine_);
}

Status Boot::wait_for_guest(Duration timeout) {
    timeout_ = timeout;
    const TimePoint deadline = SteadyClock().now() + timeout;
    Status up;
    if (machine_.time == topology::GuestTime::kLockStep) up = wait_until_ready(deadline);
    if (!incoming_.empty()) up = load_snapshot(deadline);
    if (up) up = wait_for_agent(deadline);
    if (up && !incoming_.empty()) up = resume_guest();
    if (up) {
        follow_console();
        enter(BootStage::kAgent);
        up = wait_for_drivers(deadline);
    }
    if (!up) return tl::unexpected(with_console(std::move(up).error()));
    enter(BootStage::kReady);
    note_complaints();
    return {};
}

Status Boot::wait_for_end() {
    for (;;) {
        MIMIC_TRY(check_control());
        pollfd readable{.fd = control_.get(), .events = POLLIN, .revents = 0};
        ::poll(&readable, 1, 1000);
    }
}

}  // namespace mimic::machine
