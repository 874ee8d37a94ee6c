// SPDX-License-Identifier: Apache-2.0
// LogPrinter: prints a log that somebody else writes, as it grows.
#pragma once

#include <atomic>
#include <string>
#include <string_view>
#include <thread>

#include "base/terminal_text.h"

namespace mimic::machine {

/// Thread-bound.
class LogPrinter {
public:
    struct Options {
        int out = 1;         // descriptor, borrowed
        bool raw = false;    // every byte; else as a TerminalFilter leaves them
        std::string prefix;  // of each line, which is printed when it is whole; empty: none
    };
    explicit LogPrinter(Options options) : options_(std::move(options)) {}

    /// Prints what is new in the file `fd`; false if `out` is gone.
    bool print_new(int fd);

    /// The end: what is left of a line or character. False as above.
    bool finish();

private:
    bool put(std::string_view text);
    bool put_lines(std::string_view text);

    const Options options_;
    TerminalFilter filter_;
    std::string line_;  // with a prefix, what came without its end
};

/// Prints the log at `path`, which need not be there yet, on a thread of its own until destroyed.
class LogEcho {
public:
    LogEcho(std::string path, LogPrinter::Options options);
    ~LogEcho();
    LogEcho(const LogEcho&) = delete;
    LogEcho& operator=(const LogEcho&) = delete;

private:
    void run(const std::string& path, LogPrinter printer) const;

    std::atomic<bool> ended_{false};
    std::thread thread_;
};

}  // namespace mimic::machine
