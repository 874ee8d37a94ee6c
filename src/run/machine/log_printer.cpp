// SPDX-License-Identifier: Apache-2.0
#include "machine/log_printer.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "base/command_report.h"
#include "base/unique_fd.h"

namespace mimic::machine {
namespace {

constexpr int kEchoPauseMs = 100;           // between two looks, as mimic logs -f
constexpr size_t kLongestLine = 64u << 10;  // arbitrary: a guest need not end its lines

}  // namespace

bool LogPrinter::print_new(int fd) {
    struct stat info {};
    // The supervisor moves what is too long to another file, and begins this one again.
    if (::fstat(fd, &info) == 0 && info.st_size < ::lseek(fd, 0, SEEK_CUR))
        ::lseek(fd, 0, SEEK_SET);
    std::array<char, 65536> buffer{};
    for (;;) {
        const ssize_t count = ::read(fd, buffer.data(), buffer.size());
        if (count <= 0) return true;
        const std::string_view part(buffer.data(), static_cast<size_t>(count));
        if (!put_lines(options_.raw ? std::string(part) : filter_.pass(part))) return false;
    }
}

bool LogPrinter::finish() {
    if (!put_lines(filter_.finish())) return false;
    if (line_.empty()) return true;
    const std::string last = options_.prefix + line_ + "\n";
    line_.clear();
    return put(last);
}

bool LogPrinter::put_lines(std::string_view text) {
    if (options_.prefix.empty()) return put(text);
    std::string out;
    while (!text.empty()) {
        const size_t end = text.find('\n');
        line_ += text.substr(0, end);
        text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
        if (end == std::string_view::npos && line_.size() < kLongestLine) break;
        out += options_.prefix + line_ + "\n";
        line_.clear();
    }
    return put(out);
}

bool LogPrinter::put(std::string_view text) {
    while (!text.empty()) {
        const ssize_t written = ::write(options_.out, text.data(), text.size());
        if (written < 0 && errno == EINTR) continue;
        if (written < 0) {
            if (errno != EPIPE && options_.out == STDOUT_FILENO) report_lost_output();
            return false;
        }
        text.remove_prefix(static_cast<size_t>(written));
    }
    return true;
}

LogEcho::LogEcho(std::string path, LogPrinter::Options options)
    : thread_([this, path = std::move(path), options = std::move(options)] {
          run(path, LogPrinter(options));
      }) {}

LogEcho::~LogEcho() {
    ended_ = true;
    thread_.join();
}

void LogEcho::run(const std::string& path, LogPrinter printer) const {
    UniqueFd fd;
    for (bool last = false;; last = ended_) {
        if (!fd) fd.reset(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
        if (fd && !printer.print_new(fd.get())) return;
        if (last) break;  // after a look that began when all had been written
        ::poll(nullptr, 0, kEchoPauseMs);
    }
    printer.finish();
}

}  // namespace mimic::machine
