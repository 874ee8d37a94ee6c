// SPDX-License-Identifier: Apache-2.0
#include "machine/boot_display.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/text_table.h"

namespace mimic::machine {
namespace {

using namespace std::chrono_literals;

constexpr auto kRefresh = 500ms;
constexpr auto kPatience = 2s;    // a boot that is faster needs no words
constexpr size_t kTalkative = 4;  // with more machines, stages of each are too many lines
constexpr size_t kDefaultColumns = 80;

double seconds_between(TimePoint from, TimePoint to) {
    return std::chrono::duration<double>(to - from).count();
}

ProgressKind resolved(ProgressKind kind, std::FILE* out) {
    if (kind != ProgressKind::kAuto) return kind;
    return ::isatty(::fileno(out)) == 1 ? ProgressKind::kTerminal : ProgressKind::kLines;
}

size_t columns_of_terminal(std::FILE* out) {
    winsize size{};
    return ::ioctl(::fileno(out), TIOCGWINSZ, &size) == 0 && size.ws_col != 0 ? size.ws_col
                                                                              : kDefaultColumns;
}

// "about 6 s more"; empty without a past.
std::string rest_words(const std::optional<double>& rest) {
    if (!rest) return "";
    return *rest < 1 ? ", soon up" : fmt::format(", about {:.0f} s more", *rest);
}

}  // namespace

std::string boot_line(const std::map<std::string, BootDisplay::Row>& rows,
                      const BootHistory& history, TimePoint start, TimePoint now) {
    const std::string* slowest = nullptr;
    std::optional<double> longest;
    size_t up = 0;
    for (const auto& [name, row] : rows) {
        if (row.ended) {
            ++up;
            continue;
        }
        const auto rest = history.rest(row.kind, row.stage, seconds_between(row.stage_begun, now));
        if (slowest != nullptr && rest.value_or(0) <= longest.value_or(0)) continue;
        slowest = &name;
        longest = rest;
    }
    if (slowest == nullptr) return "";
    const std::string what = rows.size() == 1
                                 ? *slowest
                                 : fmt::format("{} ({} up): {}", counted(rows.size(), "machine"),
                                               up, *slowest);
    return fmt::format("booting {}: {}, {:.0f} s{}", what, boot_stage_name(rows.at(*slowest).stage),
                       seconds_between(start, now), rest_words(longest));
}

BootDisplay::BootDisplay(std::FILE* out, ProgressKind kind, const BootHistory& history)
    : out_(out), kind_(resolved(kind, out)), history_(history), start_(SteadyClock().now()) {
    if (kind_ == ProgressKind::kTerminal) thread_ = std::thread([this] { run(); });
}

BootDisplay::~BootDisplay() {
    {
        const std::lock_guard lock(mutex_);
        ending_ = true;
    }
    wake_.notify_all();
    if (thread_.joinable()) thread_.join();
    wipe();
}

void BootDisplay::begin(const std::string& machine, const std::string& kind) {
    const std::lock_guard lock(mutex_);
    const TimePoint now = SteadyClock().now();
    Row& row = rows_[machine];
    row = {.kind = kind, .stage_begun = now};
    tell(machine, row, now);
}

void BootDisplay::enter(const std::string& machine, BootStage stage) {
    const std::lock_guard lock(mutex_);
    const TimePoint now = SteadyClock().now();
    Row& row = rows_[machine];
    if (row.stage == stage) return;  // as begin() said
    row.stage = stage;
    row.stage_begun = now;
    tell(machine, row, now);
}

void BootDisplay::end(const std::string& machine) {
    const std::lock_guard lock(mutex_);
    rows_[machine].ended = true;
}

// Where nothing is written again: a line of its own.
void BootDisplay::tell(const std::string& machine, const Row& row, TimePoint now) {
    const double seconds = seconds_between(start_, now);
    const auto rest = history_.rest(row.kind, row.stage, 0);
    if (kind_ == ProgressKind::kJson) {
        const nlohmann::ordered_json event{
            {"event", "boot-stage"},
            {"machine", machine},
            {"stage", boot_stage_name(row.stage)},
            {"seconds", seconds},
            {"rest", rest ? nlohmann::ordered_json(*rest) : nlohmann::ordered_json()}};
        std::fputs((event.dump() + "\n").c_str(), out_);
        std::fflush(out_);
        return;
    }
    if (kind_ != ProgressKind::kLines || row.stage == BootStage::kReady) return;
    if (now - start_ < kPatience || rows_.size() > kTalkative) return;
    std::fputs(fmt::format("mimic: {}: {} after {:.1f} s{}\n", machine, boot_stage_name(row.stage),
                           seconds, rest_words(rest))
                   .c_str(),
               out_);
}

void BootDisplay::run() {
    std::unique_lock lock(mutex_);
    while (!ending_) {
        wake_.wait_for(lock, kRefresh, [this] { return ending_; });
        const TimePoint now = SteadyClock().now();
        const std::string text = now - start_ < kPatience ? ""
                                                          : boot_line(rows_, history_, start_, now);
        if (ending_ || text.empty()) continue;
        // A line that wraps cannot be written again.
        const size_t columns = columns_of_terminal(out_);
        std::fputs(("\rmimic: " + text.substr(0, columns > 8 ? columns - 8 : 0) + "\x1b[K").c_str(),
                   out_);
        std::fflush(out_);
        has_line_ = true;
    }
}

void BootDisplay::wipe() {
    if (!has_line_) return;
    std::fputs("\r\x1b[K", out_);
    std::fflush(out_);
}

}  // namespace mimic::machine
