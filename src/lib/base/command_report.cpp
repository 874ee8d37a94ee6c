// SPDX-License-Identifier: Apache-2.0
#include "base/command_report.h"

#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <mutex>
#include <utility>

#include <fmt/format.h>

#include "base/terminal_text.h"

namespace mimic {
namespace {

constexpr size_t kMaxReported = 100;  // arbitrary: a command that says more is not read to its end
constexpr std::string_view kPrefix = "mimic: error: ";

struct CommandReport {
    std::mutex mutex;
    std::vector<std::string> errors;
    bool has_document = false;
    bool has_lost_output = false;  // and said so
};

CommandReport& the_report() {
    static CommandReport report;
    return report;
}

void keep(std::string_view text) {
    CommandReport& report = the_report();
    const std::lock_guard lock(report.mutex);
    if (report.errors.size() < kMaxReported) report.errors.emplace_back(text);
}

// Whoever ignores SIGPIPE may have met EPIPE long ago.
bool reader_has_gone() {
    pollfd out{.fd = STDOUT_FILENO, .events = POLLOUT, .revents = 0};
    return ::poll(&out, 1, 0) > 0 && (out.revents & POLLERR) != 0;
}

}  // namespace

void report_error(std::string_view message) {
    const std::string text = terminal_lines(message);
    keep(text);
    std::fputs(fmt::format("{}{}\n", kPrefix, text).c_str(), stderr);
}

void report_text(std::string_view report) {
    std::string text = terminal_lines(report);
    while (text.ends_with('\n')) text.pop_back();
    keep(text.starts_with(kPrefix) ? std::string_view(text).substr(kPrefix.size()) : text);
    std::fputs((text + "\n").c_str(), stderr);
}

bool print_document(std::string_view document) {
    {
        CommandReport& report = the_report();
        const std::lock_guard lock(report.mutex);
        report.has_document = true;
    }
    const bool printed = std::fwrite(document.data(), 1, document.size(), stdout) ==
                             document.size() &&
                         (document.ends_with('\n') || std::fputc('\n', stdout) != EOF) &&
                         std::fflush(stdout) == 0;
    if (!printed) report_lost_output();
    return printed;
}

void report_lost_output() {
    {
        CommandReport& report = the_report();
        const std::lock_guard lock(report.mutex);
        if (std::exchange(report.has_lost_output, true)) return;
    }
    report_error("standard output cannot be written");
}

bool flush_output() {
    {
        CommandReport& report = the_report();
        const std::lock_guard lock(report.mutex);
        if (report.has_lost_output) return false;
    }
    const bool flushed = std::fflush(stdout) == 0;
    if (flushed && std::ferror(stdout) == 0) return true;
    if ((!flushed && errno == EPIPE) || reader_has_gone()) return true;
    report_lost_output();
    return false;
}

std::vector<std::string> reported_errors() {
    CommandReport& report = the_report();
    const std::lock_guard lock(report.mutex);
    return report.errors;
}

bool has_printed_document() {
    CommandReport& report = the_report();
    const std::lock_guard lock(report.mutex);
    return report.has_document;
}

void reset_command_report() {
    CommandReport& report = the_report();
    const std::lock_guard lock(report.mutex);
    report.errors.clear();
    report.has_document = false;
    report.has_lost_output = false;
}

}  // namespace mimic
