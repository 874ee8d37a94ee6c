// SPDX-License-Identifier: Apache-2.0
// TraceDumper: writes what a trace ring held when something went wrong, so that one can look at it
// afterwards: <dir>/trace-<device>-<n>.jsonl, a trace file as src/lib/trace/file.h has it.
#pragma once

#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/result.h"
#include "base/task_runner.h"
#include "pci/trace/trace_names.h"
#include "pci/trace/trace_ring.h"
#include "trace/file.h"

namespace mimic::host {

/// Bytes of a ring that a dump has at most: the newest. Arbitrary; a loop copies that many in about
/// a millisecond.
inline constexpr uint64_t kMaxDumpBytes = uint64_t{4} << 20;

/// Dumps of a machine that are kept; a new one replaces the oldest, which says least about now.
inline constexpr size_t kMaxDumps = 8;

/// Time between two dumps of a process, so that a storm of errors does not fill a disk. Arbitrary.
inline constexpr Duration kDumpGap = std::chrono::seconds(5);

/// Thread-safe. Files are written by a thread of its own.
class TraceDumper {
public:
    struct Options {
        std::string dir;  // made when it is missing; empty: nothing is written
        trace::TraceHeader header{};
        /// Called with the path and the device of each file, on any thread.
        std::function<void(const std::string& path, const std::string& device)> written{};
    };

    /// A copy of what one loop knows. Owns all that it needs.
    struct Dump {
        std::string device;
        std::unique_ptr<pci::TraceRing> ring;
        std::map<std::string, pci::TraceNames, std::less<>> names{};
    };

    explicit TraceDumper(Options options);
    ~TraceDumper();
    TraceDumper(const TraceDumper&) = delete;
    TraceDumper& operator=(const TraceDumper&) = delete;

    /// Whether a dump would be written now: there is a folder, and the last one is long enough ago.
    /// True claims the time: the next kDumpGap is over.
    bool claim();

    enum class Rank : uint8_t {
        kOneOfMany,  // dropped if it comes while another is being written
        kLastWords,  // the process ends next: written behind the other
    };

    /// Writes soon, on a thread of its own.
    void submit(Dump dump, Rank rank = Rank::kOneOfMany);

    /// Writes now, on this thread.
    void write_now(const Dump& dump);

    /// Calls `done` once nothing is being written: at once, or on the thread that writes. For a
    /// process that is about to end, and whose loops go on until then.
    void when_written(std::function<void()> done);

    /// Ends the thread. What waits is written first; nothing is written any more.
    void stop();

    /// Files that this process wrote and that are still there, the oldest first.
    std::vector<std::string> paths() const;

private:
    Status write(const Dump& dump);
    void run();

    const Options options_;
    mutable std::mutex mutex_;
    std::condition_variable changed_;
    std::optional<Dump> waiting_;     // until it is written
    std::optional<Dump> last_words_;  // behind that
    std::function<void()> done_;      // of when_written()
    std::optional<TimePoint> last_;
    std::vector<std::string> paths_;
    bool ending_ = false;
    std::thread thread_;  // from the first dump on
};

/// A file for a dump, open for writing: a new one, 0600, through no link. Removes the oldest dumps
/// in `dir` so that it is the kMaxDumps-th at most. Errors: those of open(2).
struct DumpFile {
    std::string path;
    int fd = -1;  // the caller's to close
};
Result<DumpFile> create_dump_file(const std::string& dir, const std::string& device);

}  // namespace mimic::host
