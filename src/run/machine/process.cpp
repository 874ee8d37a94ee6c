// SPDX-License-Identifier: Apache-2.0
#include "machine/process.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <sstream>

namespace mimic::machine {
namespace {

// Descriptors are moved at least this far up before fork(), so that placing them never hits one of
// them.
constexpr int kParking = 64;
constexpr size_t kMaxCapture = 1u << 20;

ExitState exit_state_of(int wait_status) {
    ExitState state;
    if (WIFSIGNALED(wait_status)) {
        state.signal = WTERMSIG(wait_status);
    } else {
        state.code = WEXITSTATUS(wait_status);
    }
    return state;
}

Result<UniqueFd> park(int fd) {
    UniqueFd parked(::fcntl(fd, F_DUPFD_CLOEXEC, kParking));
    if (!parked) return fail_errno("dup of descriptor {}", fd);
    return parked;
}

// All that the child needs, made before fork(): afterwards only async-signal-safe calls are
// allowed.
struct Prepared {
    std::vector<char*> argv;
    std::vector<std::string> environment;
    std::vector<char*> envp;
    std::string program;
    std::vector<std::pair<UniqueFd, int>> fds;  // {source, target}
    UniqueFd report;                            // errno of a failed start goes here
    pid_t parent = 0;
    bool die_with_parent = false;
    bool new_session = false;
};

Result<std::string> find_program(const std::string& name) {
    if (name.find('/') != std::string::npos) return name;
    const char* path = std::getenv("PATH");
    std::istringstream folders(path != nullptr ? path : "/usr/bin:/bin");
    for (std::string folder; std::getline(folders, folder, ':');) {
        std::string candidate = folder.empty() ? name : folder + "/" + name;
        if (::access(candidate.c_str(), X_OK) == 0) return candidate;
    }
    return fail(std::errc::no_such_file_or_directory, "{} is not in PATH", name);
}

std::vector<std::string> merged_environment(const SpawnOptions& options) {
    std::vector<std::string> merged;
    for (char** entry = ::environ; entry != nullptr && *entry != nullptr; ++entry) {
        const std::string_view text(*entry);
        const std::string_view name = text.substr(0, text.find('='));
        bool replaced = false;
        for (const auto& [key, value] : options.environment) replaced |= key == name;
        if (!replaced) merged.emplace_back(text);
    }
    for (const auto& [key, value] : options.environment) merged.push_back(key + "=" + value);
    return merged;
}

Result<Prepared> prepare(const SpawnOptions& options) {
    Prepared prepared;
    MIMIC_ASSIGN_OR_RETURN(prepared.program, find_program(options.argv.at(0)));
    for (const auto& argument : options.argv)
        prepared.argv.push_back(const_cast<char*>(argument.c_str()));  // execve(2) changes nothing
    prepared.argv.push_back(nullptr);
    prepared.environment = merged_environment(options);
    for (auto& entry : prepared.environment) prepared.envp.push_back(entry.data());
    prepared.envp.push_back(nullptr);

    UniqueFd null;
    if (options.stdin_fd < 0) {
        null.reset(::open("/dev/null", O_RDONLY | O_CLOEXEC));
        if (!null) return fail_errno("/dev/null");
    }
    std::vector<std::pair<int, int>> wanted = options.pass_fds;
    wanted.emplace_back(options.stdin_fd < 0 ? null.get() : options.stdin_fd, STDIN_FILENO);
    if (options.stdout_fd >= 0) wanted.emplace_back(options.stdout_fd, STDOUT_FILENO);
    if (options.stderr_fd >= 0) wanted.emplace_back(options.stderr_fd, STDERR_FILENO);
    for (const auto& [source, target] : wanted) {
        MIMIC_ASSIGN_OR_RETURN(auto parked, park(source));
        prepared.fds.emplace_back(std::move(parked), target);
    }
    prepared.parent = ::getpid();
    prepared.die_with_parent = options.die_with_parent;
    prepared.new_session = options.new_session;
    return prepared;
}

[[noreturn]] void give_up(const Prepared& prepared) {
    const int error_number = errno;
    [[maybe_unused]] const ssize_t written = ::write(prepared.report.get(), &error_number,
                                                     sizeof error_number);
    ::_exit(127);
}

[[noreturn]] void run_child(const Prepared& prepared) {
    if (prepared.new_session) ::setsid();
    if (prepared.die_with_parent) {
        if (::prctl(PR_SET_PDEATHSIG, SIGKILL) != 0) give_up(prepared);
        if (::getppid() != prepared.parent) ::_exit(127);  // it died before prctl() took effect
    }
    for (int number = 1; number < NSIG; ++number) {
        if (number == SIGKILL || number == SIGSTOP) continue;
        ::signal(number, SIG_DFL);  // fails for the few numbers that libc keeps to itself
    }
    sigset_t none;
    sigemptyset(&none);
    ::sigprocmask(SIG_SETMASK, &none, nullptr);
    // Whatever our own parent left open must not stay open for as long as a machine runs.
    ::close_range(3, ~0u, CLOSE_RANGE_CLOEXEC);
    for (const auto& [source, target] : prepared.fds)
        if (::dup2(source.get(), target) < 0) give_up(prepared);
    ::execve(prepared.program.c_str(), prepared.argv.data(), prepared.envp.data());
    give_up(prepared);
}

// Reads all that is there into `text`; false at the end of the stream.
bool drain(int fd, std::string& text) {
    std::array<char, 16384> buffer{};
    const ssize_t count = ::read(fd, buffer.data(), buffer.size());
    if (count < 0) return errno == EINTR || errno == EAGAIN;
    if (count == 0) return false;
    const size_t room = kMaxCapture - std::min(kMaxCapture, text.size());
    text.append(buffer.data(), std::min(room, static_cast<size_t>(count)));
    return true;
}

int remaining_ms(TimePoint deadline) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - SteadyClock().now());
    return static_cast<int>(std::clamp<int64_t>(left.count(), 0, 1 << 30));
}

}  // namespace

std::string ExitState::str() const {
    if (signal != 0)
        return fmt::format("was killed by signal {} ({})", signal, ::strsignal(signal));
    return fmt::format("ended with exit status {}", code);
}

Result<Process> Process::spawn(const SpawnOptions& options) {
    MIMIC_ASSIGN_OR_RETURN(auto prepared, prepare(options));
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0) return fail_errno("pipe");
    const UniqueFd reader(ends[0]);
    {
        const UniqueFd writer(ends[1]);
        MIMIC_ASSIGN_OR_RETURN(prepared.report, park(writer.get()));
    }
    const pid_t pid = ::fork();
    if (pid < 0) return fail_errno("fork");
    if (pid == 0) run_child(prepared);

    Process process;
    process.pid_ = pid;
    prepared.report.reset();
    int error_number = 0;
    ssize_t count = 0;
    do {
        count = ::read(reader.get(), &error_number, sizeof error_number);
    } while (count < 0 && errno == EINTR);
    if (count > 0) {
        ::waitpid(pid, nullptr, 0);
        process.pid_ = -1;
        return tl::unexpected(Error::from_errno(error_number, "cannot start " + prepared.program));
    }
    process.pidfd_.reset(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
    if (!process.pidfd_) {
        // Ended here: Process::wait() could not be woken by its end.
        const int pidfd_error = errno;
        ::kill(pid, SIGKILL);
        ::waitpid(pid, nullptr, 0);
        process.pid_ = -1;
        return tl::unexpected(Error::from_errno(pidfd_error, "pidfd_open"));
    }
    return process;
}

Process::Process(Process&& other) noexcept
    : pid_(std::exchange(other.pid_, -1)), pidfd_(std::move(other.pidfd_)) {}

Process& Process::operator=(Process&& other) noexcept {
    if (this != &other) {
        stop(Duration::zero());
        pid_ = std::exchange(other.pid_, -1);
        pidfd_ = std::move(other.pidfd_);
    }
    return *this;
}

Process::~Process() {
    stop(Duration::zero());
}

std::optional<ExitState> Process::poll() {
    return wait(Duration::zero());
}

std::optional<ExitState> Process::wait(Duration timeout) {
    if (pid_ <= 0) return std::nullopt;
    const TimePoint deadline = SteadyClock().now() + timeout;
    for (;;) {
        int status = 0;
        const pid_t got = ::waitpid(pid_, &status, WNOHANG);
        if (got == pid_ || (got < 0 && errno == ECHILD)) {
            pid_ = -1;
            pidfd_.reset();
            return exit_state_of(got < 0 ? 0 : status);
        }
        const int left = remaining_ms(deadline);
        if (left == 0) return std::nullopt;
        pollfd ended{.fd = pidfd_.get(), .events = POLLIN, .revents = 0};
        ::poll(&ended, 1, left);
    }
}

void Process::signal(int number) const {
    if (pid_ > 0) ::kill(pid_, number);
}

std::optional<ExitState> Process::stop(Duration grace) {
    if (pid_ <= 0) return std::nullopt;
    if (auto ended = poll()) return ended;
    if (grace > Duration::zero()) {
        signal(SIGTERM);
        if (auto ended = wait(grace)) return ended;
    }
    signal(SIGKILL);
    return wait(std::chrono::hours(1));
}

pid_t Process::release() {
    pidfd_.reset();
    return std::exchange(pid_, -1);
}

Result<Captured> run_capture(const std::vector<std::string>& argv, Duration timeout) {
    const TimePoint deadline = SteadyClock().now() + timeout;
    std::array<int, 2> out{};
    std::array<int, 2> err{};
    if (::pipe2(out.data(), O_CLOEXEC) != 0) return fail_errno("pipe");
    const UniqueFd out_reader(out[0]);
    UniqueFd out_writer(out[1]);
    if (::pipe2(err.data(), O_CLOEXEC) != 0) return fail_errno("pipe");
    const UniqueFd err_reader(err[0]);
    UniqueFd err_writer(err[1]);

    SpawnOptions options;
    options.argv = argv;
    options.stdout_fd = out_writer.get();
    options.stderr_fd = err_writer.get();
    options.die_with_parent = true;
    MIMIC_ASSIGN_OR_RETURN(auto process, Process::spawn(options));
    out_writer.reset();
    err_writer.reset();

    Captured captured;
    std::array<pollfd, 2> streams{{{.fd = out_reader.get(), .events = POLLIN, .revents = 0},
                                   {.fd = err_reader.get(), .events = POLLIN, .revents = 0}}};
    while (streams[0].fd >= 0 || streams[1].fd >= 0) {
        const int left = remaining_ms(deadline);
        if (left == 0) break;
        if (::poll(streams.data(), streams.size(), left) < 0) {
            if (errno == EINTR) continue;  // revents are those of the poll before
            return fail_errno("poll");
        }
        if (streams[0].revents != 0 && !drain(out_reader.get(), captured.out)) streams[0].fd = -1;
        if (streams[1].revents != 0 && !drain(err_reader.get(), captured.err)) streams[1].fd = -1;
    }
    const auto ended = process.wait(deadline - SteadyClock().now());
    if (!ended)
        return fail(std::errc::timed_out, "{} did not end within {} s", argv[0],
                    std::chrono::ceil<std::chrono::seconds>(timeout).count());
    captured.exit = *ended;
    return captured;
}

std::optional<uint64_t> process_start_time(pid_t pid) {
    if (pid <= 0) return std::nullopt;
    std::ifstream file(fmt::format("/proc/{}/stat", pid));
    std::string text;
    if (!std::getline(file, text)) return std::nullopt;
    // The second field is the name in parentheses and may hold anything: what follows starts after
    // the last ')'.
    const size_t close = text.rfind(')');
    if (close == std::string::npos) return std::nullopt;
    std::istringstream fields(text.substr(close + 1));
    std::string state;
    fields >> state;
    if (state == "Z" || state == "X") return std::nullopt;
    std::string skipped;
    for (int field = 4; field < 22; ++field) fields >> skipped;
    uint64_t start = 0;
    if (!(fields >> start)) return std::nullopt;
    return start;
}

std::string self_path() {
    std::array<char, 4096> buffer{};
    const ssize_t length = ::readlink("/proc/self/exe", buffer.data(), buffer.size());
    return length > 0 ? std::string(buffer.data(), static_cast<size_t>(length)) : "mimic";
}

}  // namespace mimic::machine
