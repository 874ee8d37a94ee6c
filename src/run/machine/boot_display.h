// SPDX-License-Identifier: Apache-2.0
// BootDisplay: tells who waits for machines to boot how far they are, and about how long it will
// take. On a terminal one line that is written again and again; elsewhere a line when a stage
// begins; for programs a JSON line for that.
#pragma once

#include <condition_variable>
#include <cstdio>
#include <map>
#include <mutex>
#include <string>
#include <thread>

#include "base/task_runner.h"
#include "machine/boot_times.h"

namespace mimic::machine {

/// kAuto: kTerminal where standard error is one, else kLines.
enum class ProgressKind { kAuto, kTerminal, kLines, kJson, kNone };

/// Thread-safe; its own thread writes and ends with the object.
class BootDisplay {
public:
    /// What is shown of one machine; for tests, too.
    struct Row {
        std::string kind;  // of BootHistory
        BootStage stage = BootStage::kDevices;
        TimePoint stage_begun{};
        bool ended = false;  // up, or failed
    };

    /// `out` and `history` are borrowed for the object's life.
    BootDisplay(std::FILE* out, ProgressKind kind, const BootHistory& history);
    ~BootDisplay();
    BootDisplay(const BootDisplay&) = delete;
    BootDisplay& operator=(const BootDisplay&) = delete;

    /// A boot of `kind` begins.
    void begin(const std::string& machine, const std::string& kind);
    /// It is at `stage` now.
    void enter(const std::string& machine, BootStage stage);
    /// It is up, or has failed.
    void end(const std::string& machine);

private:
    void run();
    void tell(const std::string& machine, const Row& row, TimePoint now);
    void wipe();

    std::FILE* const out_;
    const ProgressKind kind_;
    const BootHistory& history_;
    const TimePoint start_;
    std::mutex mutex_;
    std::condition_variable wake_;
    std::map<std::string, Row> rows_;
    bool has_line_ = false;  // on the terminal
    bool ending_ = false;
    std::thread thread_;
};

/// "booting lab: kernel for 3 s, about 6 s more", of all rows; the one that takes longest is shown.
/// Pure.
std::string boot_line(const std::map<std::string, BootDisplay::Row>& rows,
                      const BootHistory& history, TimePoint start, TimePoint now);

}  // namespace mimic::machine
