// SPDX-License-Identifier: Apache-2.0
#include "host/trace_dump.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <utility>

#include "base/log.h"
#include "base/private_files.h"
#include "base/unique_fd.h"

namespace mimic::host {
namespace {

constexpr std::string_view kPrefix = "trace-";
constexpr std::string_view kSuffix = ".jsonl";
constexpr int kNumberTries = 100;  // arbitrary: numbers that another process took at the same time

// N of "trace-<device>-N.jsonl"; nullopt for any other name.
std::optional<uint64_t> dump_number(std::string_view name) {
    if (!name.starts_with(kPrefix) || !name.ends_with(kSuffix)) return std::nullopt;
    name.remove_suffix(kSuffix.size());
    const size_t dash = name.rfind('-');
    if (dash < kPrefix.size()) return std::nullopt;
    uint64_t number = 0;
    const char* const end = name.data() + name.size();
    const auto parsed = std::from_chars(name.data() + dash + 1, end, number);
    if (parsed.ec != std::errc() || parsed.ptr != end) return std::nullopt;
    return number;
}

// All dumps of a folder, by number.
std::vector<std::pair<uint64_t, std::string>> dumps_in(const std::string& dir) {
    std::vector<std::pair<uint64_t, std::string>> dumps;
    DIR* const open = ::opendir(dir.c_str());
    if (open == nullptr) return dumps;
    // One thread reads this stream.
    while (const dirent* const entry = ::readdir(open)) {  // NOLINT(concurrency-mt-unsafe)
        if (const auto number = dump_number(entry->d_name))
            dumps.emplace_back(*number, entry->d_name);
    }
    ::closedir(open);
    std::sort(dumps.begin(), dumps.end());
    return dumps;
}

// A name of a device has no slash, but who knows who made it.
std::string file_part(std::string_view device) {
    std::string part(device.substr(0, 64));
    std::replace_if(
        part.begin(), part.end(),
        [](char c) { return c == '/' || c == '\0' || static_cast<unsigned char>(c) < ' '; }, '_');
    return part;
}

Status write_all(int fd, std::string_view text) {
    while (!text.empty()) {
        const ssize_t done = ::write(fd, text.data(), text.size());
        if (done < 0 && errno == EINTR) continue;
        if (done < 0) return fail_errno("cannot write a dump");
        text.remove_prefix(static_cast<size_t>(done));
    }
    return {};
}

}  // namespace

Result<DumpFile> create_dump_file(const std::string& dir, const std::string& device) {
    auto dumps = dumps_in(dir);
    uint64_t number = dumps.empty() ? 0 : dumps.back().first + 1;
    for (size_t i = 0; i + kMaxDumps <= dumps.size(); ++i)
        ::unlink((dir + "/" + dumps[i].second).c_str());
    for (int i = 0; i < kNumberTries; ++i, ++number) {
        DumpFile file{fmt::format("{}/{}{}-{}{}", dir, kPrefix, file_part(device), number, kSuffix),
                      -1};
        file.fd = ::open(file.path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
                         0600);
        if (file.fd >= 0) return file;
        if (errno != EEXIST) break;
    }
    return fail_errno("cannot make a dump in {}", dir);
}

TraceDumper::TraceDumper(Options options) : options_(std::move(options)) {}

TraceDumper::~TraceDumper() {
    stop();
}

void TraceDumper::stop() {
    {
        const std::lock_guard lock(mutex_);
        ending_ = true;
        changed_.notify_all();
    }
    if (thread_.joinable()) thread_.join();
}

bool TraceDumper::claim() {
    if (options_.dir.empty()) return false;
    const std::lock_guard lock(mutex_);
    const TimePoint now = SteadyClock().now();
    if (last_ && now - *last_ < kDumpGap) return false;
    last_ = now;
    return true;
}

void TraceDumper::submit(Dump dump, Rank rank) {
    if (options_.dir.empty()) return;
    const std::lock_guard lock(mutex_);
    if (ending_ || (waiting_ && rank == Rank::kOneOfMany)) return;
    (waiting_ ? last_words_ : waiting_) = std::move(dump);
    if (!thread_.joinable()) thread_ = std::thread([this] { run(); });
    changed_.notify_all();
}

void TraceDumper::run() {
    std::unique_lock lock(mutex_);
    for (;;) {
        changed_.wait(lock, [this] { return waiting_ || ending_; });
        if (!waiting_) return;
        const Dump dump = std::move(*waiting_);
        lock.unlock();
        write_now(dump);
        lock.lock();
        waiting_ = std::exchange(last_words_, std::nullopt);
        if (waiting_) continue;
        const auto done = std::exchange(done_, nullptr);
        if (!done) continue;
        lock.unlock();
        done();
        lock.lock();
    }
}

void TraceDumper::when_written(std::function<void()> done) {
    {
        const std::lock_guard lock(mutex_);
        if (waiting_) {
            done_ = std::move(done);
            return;
        }
    }
    done();
}

void TraceDumper::write_now(const Dump& dump) {
    if (options_.dir.empty()) return;
    if (const Status written = write(dump); !written)
        MIMIC_LOG("trace", kWarn, "{}: no dump: {}", dump.device, written.error().message());
}

Status TraceDumper::write(const Dump& dump) {
    MIMIC_TRY(make_dirs(options_.dir));
    MIMIC_ASSIGN_OR_RETURN(const DumpFile file, create_dump_file(options_.dir, dump.device));
    const UniqueFd fd(file.fd);
    trace::TraceHeader header = options_.header;
    header.data_bytes = dump.ring->dma_bytes();
    std::string text = trace::header_line(header);
    uint64_t events = 0;
    Status status;
    dump.ring->read(0, [&](const pci::TraceRecord& record) {
        const auto names = dump.names.find(record.source);
        text += trace::event_line(trace::event_of(
            record, names != dump.names.end() ? names->second.find(record.event) : std::nullopt));
        ++events;
        constexpr size_t kPiece = 256U << 10;
        if (text.size() < kPiece) return true;
        status = write_all(fd.get(), text);
        text.clear();
        return status.has_value();
    });
    text += trace::end_line(events, dump.ring->overwritten());
    if (status) status = write_all(fd.get(), text);
    if (!status) {
        ::unlink(file.path.c_str());
        return status;
    }
    MIMIC_LOG("trace", kInfo, "{}: the last {} events are in {}", dump.device, events, file.path);
    {
        const std::lock_guard lock(mutex_);
        paths_.push_back(file.path);
    }
    if (options_.written) options_.written(file.path, dump.device);
    return {};
}

std::vector<std::string> TraceDumper::paths() const {
    const std::lock_guard lock(mutex_);
    std::vector<std::string> there;
    for (const std::string& path : paths_)
        if (::access(path.c_str(), F_OK) == 0) there.push_back(path);
    return there;
}

}  // namespace mimic::host
