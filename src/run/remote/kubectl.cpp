// SPDX-License-Identifier: Apache-2.0
#include "remote/kubectl.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>

#include "base/private_files.h"
#include "base/terminal_text.h"
#include "base/unique_fd.h"

namespace mimic::remote {
namespace {

using namespace std::chrono_literals;

constexpr auto kAnswer = 60s;                // a cluster far away, a guest's agent that is busy
constexpr size_t kMaxAnswer = 1u << 20;      // run_capture() drops the rest
constexpr size_t kMaxName = 253;             // RFC 1123 subdomain, as the API has it
constexpr const char* kContainer = "mimic";  // of the chart's pods
constexpr int kFailed = 125;                 // as `mimic exec`

// A line a pod. Tabs are in none of these values.
constexpr const char* kColumns =
    "jsonpath={range .items[*]}{.metadata.name}{\"\\t\"}{.status.phase}{\"\\t\"}{.spec.nodeName}"
    "{\"\\t\"}{.metadata.labels.batch\\.kubernetes\\.io/job-completion-index}{\"\\t\"}"
    "{.metadata.creationTimestamp}{\"\\n\"}{end}";

std::vector<std::string> split(std::string_view text, char separator) {
    std::vector<std::string> parts;
    while (true) {
        const size_t end = text.find(separator);
        parts.emplace_back(text.substr(0, end));
        if (end == std::string_view::npos) return parts;
        text.remove_prefix(end + 1);
    }
}

std::optional<unsigned> index_of(const std::string& text) {
    unsigned value = 0;
    const auto parsed = std::from_chars(text.data(), text.data() + text.size(), value);
    if (text.empty() || parsed.ec != std::errc() || parsed.ptr != text.data() + text.size())
        return std::nullopt;
    return value;
}

/// Reads what there is and shows it; false at the end.
bool pass_on(int from, int to, TerminalFilter& filter) {
    std::array<char, 65536> buffer{};
    const ssize_t count = ::read(from, buffer.data(), buffer.size());
    if (count < 0) return errno == EINTR || errno == EAGAIN;
    const std::string text = count == 0 ? filter.finish()
                                        : filter.pass({buffer.data(), static_cast<size_t>(count)});
    return write_all(to, text) && count != 0;
}

struct Pipe {
    UniqueFd reader;
    UniqueFd writer;
};

Result<Pipe> make_pipe() {
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0) return fail_errno("pipe");
    return Pipe{UniqueFd(ends[0]), UniqueFd(ends[1])};
}

Result<machine::ExitState> run_filtered(machine::SpawnOptions options) {
    MIMIC_ASSIGN_OR_RETURN(auto out, make_pipe());
    MIMIC_ASSIGN_OR_RETURN(auto err, make_pipe());
    options.stdout_fd = out.writer.get();
    options.stderr_fd = err.writer.get();
    MIMIC_ASSIGN_OR_RETURN(auto process, machine::Process::spawn(options));
    out.writer.reset();
    err.writer.reset();
    std::array<TerminalFilter, 2> filters;
    const std::array<int, 2> targets{STDOUT_FILENO, STDERR_FILENO};
    std::array<pollfd, 2> streams{{{.fd = out.reader.get(), .events = POLLIN, .revents = 0},
                                   {.fd = err.reader.get(), .events = POLLIN, .revents = 0}}};
    while (streams[0].fd >= 0 || streams[1].fd >= 0) {
        if (::poll(streams.data(), streams.size(), -1) < 0) {
            if (errno == EINTR) continue;  // revents are those of the poll before
            return fail_errno("poll");
        }
        for (size_t i = 0; i < streams.size(); ++i)
            if (streams[i].revents != 0 && !pass_on(streams[i].fd, targets[i], filters[i]))
                streams[i].fd = -1;
    }
    // Closed pipes end it, at the latest when it writes.
    out.reader.reset();
    err.reader.reset();
    return *process.wait(std::chrono::hours(24 * 365));
}

Result<machine::ExitState> run_raw(const machine::SpawnOptions& options) {
    MIMIC_ASSIGN_OR_RETURN(auto process, machine::Process::spawn(options));
    return *process.wait(std::chrono::hours(24 * 365));
}

}  // namespace

bool is_pod_name(std::string_view text) {
    const auto is_alphanumeric = [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
    };
    return !text.empty() && text.size() <= kMaxName && is_alphanumeric(text.front()) &&
           is_alphanumeric(text.back()) && std::all_of(text.begin(), text.end(), [&](char c) {
               return is_alphanumeric(c) || c == '-' || c == '.';
           });
}

std::vector<std::string> Kubectl::argv(const std::vector<std::string>& words) const {
    std::vector<std::string> argv{options_.program};
    // With '=', so that no value is taken for an option.
    if (!options_.context.empty()) argv.push_back("--context=" + options_.context);
    if (!options_.name_space.empty()) argv.push_back("--namespace=" + options_.name_space);
    argv.insert(argv.end(), words.begin(), words.end());
    return argv;
}

std::vector<std::string> Kubectl::in_pod(const std::string& pod,
                                         const std::vector<std::string>& words,
                                         const std::vector<std::string>& flags) const {
    std::vector<std::string> all{"exec"};
    all.insert(all.end(), flags.begin(), flags.end());
    all.insert(all.end(), {pod, std::string("--container=") + kContainer, "--", "mimic"});
    all.insert(all.end(), words.begin(), words.end());
    return argv(all);
}

Result<std::string> Kubectl::capture(const std::vector<std::string>& command) const {
    MIMIC_ASSIGN_OR_RETURN(auto done, machine::run_capture(command, kAnswer));
    if (!done.exit.ok()) {
        std::string said = terminal_lines(done.err);
        while (said.ends_with('\n')) said.pop_back();
        return fail(std::errc::io_error, "{} {}: {}", options_.program, done.exit.str(),
                    said.substr(0, 2000));
    }
    if (done.out.size() >= kMaxAnswer)
        return fail(std::errc::message_size, "{} said more than {} MiB", options_.program,
                    kMaxAnswer >> 20);
    return std::move(done.out);
}

Result<std::string> Kubectl::ask(const std::string& pod,
                                 const std::vector<std::string>& words) const {
    return capture(in_pod(pod, words));
}

Result<std::vector<Pod>> Kubectl::pods(const std::string& more) const {
    MIMIC_ASSIGN_OR_RETURN(const auto text,
                           capture(argv({"get", "pods", "--selector=" + options_.selector + more,
                                         std::string("--output=") + kColumns})));
    std::vector<Pod> pods;
    for (const std::string& line : split(text, '\n')) {
        const auto parts = split(line, '\t');
        if (parts.size() != 5 || !is_pod_name(parts[0])) continue;
        pods.push_back({.name = parts[0],
                        .phase = parts[1],
                        .node = parts[2],
                        .index = index_of(parts[3]),
                        .created = parts[4]});
    }
    std::sort(pods.begin(), pods.end(), [](const Pod& a, const Pod& b) { return a.name < b.name; });
    return pods;
}

int run_through(const std::vector<std::string>& argv, Output output, bool pass_input) {
    machine::SpawnOptions options;
    options.argv = argv;
    options.stdin_fd = pass_input ? STDIN_FILENO : -1;
    options.die_with_parent = true;
    const auto ended = output == Output::kRaw ? run_raw(options) : run_filtered(std::move(options));
    if (!ended) {
        fmt::print(stderr, "mimic: error: {}\n", terminal_lines(ended.error().message()));
        return kFailed;
    }
    return ended->signal != 0 ? 128 + ended->signal : ended->code;
}

}  // namespace mimic::remote
