// SPDX-License-Identifier: Apache-2.0
#include "machine/exec_command.h"

#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <thread>

#include "base/private_files.h"
#include "base/terminal_text.h"
#include "guest_agent/guest_input.h"
#include "machine/down.h"
#include "machine/guest_commands.h"
#include "streams/guest_command.h"
#include "streams/raw_terminal.h"
#include "streams/relay.h"

namespace mimic::machine {
namespace {

using namespace std::chrono_literals;

/// How long an agent may take to answer, or other commands may keep it; `mimic up` has waited for
/// the boot before. A busy host may stop an emulated guest for 20 s.
constexpr auto kConnect = 60s;
constexpr auto kStreamPatience = 20s;
constexpr auto kAnyTime = std::chrono::hours(24 * 365);
constexpr auto kEndIsTold = 10s;  // a supervisor ends QEMU and notes why
constexpr int kMostSignals = 3;   // the last one is for us
constexpr int kBrokenPipe = 128 + SIGPIPE;

void exec_complain(std::string_view message) {
    // Much of it is what a guest said.
    fmt::print(stderr, "mimic: {}\n", terminal_lines(message));
}

bool takes_input(const ExecOptions& options) {
    if (options.input == Input::kNone) return false;
    if (options.input == Input::kAlways) return true;
    // A terminal takes what is typed: an end of file is no key.
    return options.terminal == (::isatty(STDIN_FILENO) == 1);
}

/// Blocks the signals that are for the command, and reads them.
UniqueFd watch_signals() {
    sigset_t mask;
    sigemptyset(&mask);
    for (const int number : {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGWINCH}) sigaddset(&mask, number);
    ::sigprocmask(SIG_BLOCK, &mask, nullptr);
    ::signal(SIGPIPE, SIG_IGN);  // whoever reads us may end first
    return UniqueFd(::signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK));
}

/// `mimic exec` by the stream port.
class StreamExec {
public:
    explicit StreamExec(const ExecOptions& options) : options_(options), fd_(watch_signals()) {}

    Result<int> run(const std::string& run_dir) {
        streams::CommandSpec spec = command_spec(options_);
        spec.output = [this](int stream, std::string_view data) {
            return write_patiently(
                stream == 2 ? STDERR_FILENO : STDOUT_FILENO, data, [this] { return hear(); },
                fd_.get());
        };
        spec.cancelled = [this] { return !hear(); };
        auto started = streams::GuestCommand::start(streams::relay_socket_path(run_dir),
                                                    std::move(spec), stream_patience(run_dir));
        if (!started) return ended(std::move(started).error());
        command_ = std::move(*started);
        MIMIC_ASSIGN_OR_RETURN(const auto raw, raw_terminal(options_));
        for (;;) {
            auto end = command_->step(1h, fd_.get());
            if (!end) return ended(std::move(end).error());
            if (*end) return (*end)->shell_status();
            if (Status heard = hear(); !heard) return ended(std::move(heard).error());
        }
    }

private:
    /// Passes on the signals that came. An error: one was for us.
    Status hear() {
        signalfd_siginfo info{};
        while (::read(fd_.get(), &info, sizeof info) == sizeof info) {
            const int number = static_cast<int>(info.ssi_signo);
            if (number == SIGWINCH) {
                if (command_) command_->resize(window_of_terminal());
                continue;
            }
            last_ = number;
            if (!command_) return fail(std::errc::interrupted, "interrupted");
            command_->signal(number);
            if (++count_ >= kMostSignals) return fail(std::errc::interrupted, "interrupted");
        }
        return {};
    }

    Result<int> ended(Error error) const {
        if (error.code() == std::errc::interrupted && last_ != 0) return 128 + last_;
        return tl::unexpected(std::move(error));
    }

    const ExecOptions& options_;
    UniqueFd fd_;  // of signals
    std::unique_ptr<streams::GuestCommand> command_;
    int count_ = 0;
    int last_ = 0;
};

Result<int> exec_by_streams(const std::string& run_dir, const ExecOptions& options) {
    return StreamExec(options).run(run_dir);
}

/// Why the machine of `run_dir` ended, if it does so within a moment; empty: it runs.
std::string why_gone(const std::string& run_dir) {
    const std::string name = run_dir.substr(run_dir.rfind('/') + 1);
    for (const TimePoint end = SteadyClock().now() + kEndIsTold; SteadyClock().now() < end;) {
        const auto running = running_machine_dir(name);
        if (!running) return fmt::format("{} (mimic logs {})", running.error().message(), name);
        std::this_thread::sleep_for(100ms);
    }
    return {};
}

Result<guest_agent::GuestAgent::ExecResult> ask_agent(const std::string& run_dir,
                                                      const ExecOptions& options) {
    MIMIC_ASSIGN_OR_RETURN(const auto agent, connect_to_agent(run_dir));
    const auto argv = agent_argv(options);
    if (!takes_input(options)) return agent->exec(argv, {}, kAnyTime);
    guest_agent::DescriptorInput input(STDIN_FILENO);
    return guest_agent::exec_with_input(*agent, argv, input);
}

Result<int> exec_by_agent(const std::string& run_dir, const ExecOptions& options) {
    const auto asked = ask_agent(run_dir, options);
    if (!asked) return tl::unexpected(agent_error(asked.error()));
    const auto& result = *asked;
    MIMIC_TRY(write_all(STDOUT_FILENO, result.out));
    MIMIC_TRY(write_all(STDERR_FILENO, result.err));
    if (result.truncated) exec_complain("the guest agent cut the output after 16 MiB");
    return result.signal != 0 ? 128 + result.signal : result.exit_status;
}

Result<int> exec(const std::string& run_dir, const ExecOptions& options) {
    MIMIC_TRY(check_terminal(options));
    auto by_streams = exec_by_streams(run_dir, options);
    if (by_streams) return by_streams;
    const auto code = by_streams.error().code();
    // Whoever read us has gone: maybe with the first output, before it was known that CMD runs.
    if (code == std::errc::broken_pipe) return kBrokenPipe;
    if (code != std::errc::not_supported && code != std::errc::argument_list_too_long)
        return by_streams;
    if (options.terminal)
        return tl::unexpected<Error>(
            std::move(by_streams).error().with_context("a terminal needs the guest's stream port"));
    sigset_t none;
    sigemptyset(&none);
    ::sigprocmask(SIG_SETMASK, &none, nullptr);  // the agent's way passes no signals
    return exec_by_agent(run_dir, options);
}

}  // namespace

Status write_patiently(int fd, std::string_view data, const std::function<Status()>& check,
                       int wake_fd) {
    struct stat st {};
    // What poll(2) promises of a pipe is one write of so much. Files never wait.
    const bool is_file = ::fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
    while (!data.empty()) {
        std::array<pollfd, 2> fds{pollfd{.fd = fd, .events = POLLOUT, .revents = 0},
                                  pollfd{.fd = wake_fd, .events = POLLIN, .revents = 0}};
        if (::poll(fds.data(), fds.size(), 1000) <= 0 || fds[0].revents == 0 || fds[1].revents != 0)
            MIMIC_TRY(check());
        if (fds[0].revents == 0) continue;
        const ssize_t count = ::write(
            fd, data.data(), is_file ? data.size() : std::min<size_t>(data.size(), PIPE_BUF));
        if (count < 0 && (errno == EINTR || errno == EAGAIN)) continue;
        if (count < 0) return fail_errno("write");
        data.remove_prefix(static_cast<size_t>(count));
    }
    return {};
}

Status check_terminal(const ExecOptions& options) {
    if (options.terminal && options.input == Input::kAlways && ::isatty(STDIN_FILENO) != 1)
        return fail(std::errc::invalid_argument,
                    "standard input is no terminal, which -i with -t wants; leave out -t");
    return {};
}

stream_window window_of_terminal() {
    winsize size{};
    if (::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0) ::ioctl(STDIN_FILENO, TIOCGWINSZ, &size);
    return {size.ws_row, size.ws_col};
}

streams::CommandSpec command_spec(const ExecOptions& options) {
    streams::CommandSpec spec{.argv = options.argv};
    if (options.terminal) {
        const char* const type = ::getenv("TERM");
        spec.environment.push_back(fmt::format("TERM={}", type != nullptr ? type : "vt100"));
        spec.window = window_of_terminal();
    }
    spec.environment.insert(spec.environment.end(), options.environment.begin(),
                            options.environment.end());
    spec.folder = options.folder;
    spec.terminal = options.terminal;
    spec.input = takes_input(options) ? STDIN_FILENO : -1;
    return spec;
}

Result<std::unique_ptr<streams::RawTerminal>> raw_terminal(const ExecOptions& options) {
    if (!options.terminal || !takes_input(options) || ::isatty(STDIN_FILENO) != 1)
        return std::unique_ptr<streams::RawTerminal>();
    return streams::RawTerminal::enter(STDIN_FILENO);
}

Error agent_error(Error error) {
    if (error.code() != std::errc::connection_reset) return error;
    return Error(std::errc::connection_aborted, error.message());
}

int exec_failure(const Error& error) {
    if (error.code() == std::errc::no_such_file_or_directory) return kExecNotFound;
    if (error.code() == std::errc::permission_denied ||
        error.code() == std::errc::executable_format_error)
        return kExecNotExecutable;
    return kExecFailed;
}

std::vector<std::string> agent_argv(const ExecOptions& options) {
    if (options.environment.empty() && options.folder.empty()) return options.argv;
    std::vector<std::string> argv{
        "/bin/sh", "-c", "[ -z \"$1\" ] || cd -- \"$1\" || exit 125; shift; exec env -- \"$@\"",
        "sh", options.folder};
    argv.insert(argv.end(), options.environment.begin(), options.environment.end());
    argv.insert(argv.end(), options.argv.begin(), options.argv.end());
    return argv;
}

Duration stream_patience(const std::string& run_dir) {
    if (::access((run_dir + "/ssh_key").c_str(), F_OK) == 0) return 0s;
    return kStreamPatience;
}

Result<std::unique_ptr<guest_agent::GuestAgent>> connect_to_agent(const std::string& run_dir) {
    auto agent = guest_agent::GuestAgent::connect(run_dir + "/qga.sock", kConnect);
    const std::string key = run_dir + "/ssh_key";
    if (agent || ::access(key.c_str(), F_OK) != 0) return agent;
    // An image of the user's: it may still boot, or have no agent.
    return fail(agent.error().code(),
                "{}; is qemu-guest-agent in the image, is cloud-init done? See 'mimic logs {}', or "
                "use ssh with the key {} (port: mimic ps --json)",
                agent.error().message(), run_dir.substr(run_dir.rfind('/') + 1), key);
}

int run_exec(const std::string& run_dir, const ExecOptions& options) {
    const Result<int> status = exec(run_dir, options);
    if (status) return *status;
    const std::string end = status.error().code() == std::errc::connection_aborted
                                ? why_gone(run_dir)
                                : std::string();
    exec_complain(end.empty() ? status.error().message() : end);
    return exec_failure(status.error());
}

}  // namespace mimic::machine
