// SPDX-License-Identifier: Apache-2.0
#include "base/log.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <ctime>

#include "base/terminal_text.h"

namespace mimic::log {
namespace {

constexpr std::array<std::string_view, 6> kNames = {"trace", "debug", "info",
                                                    "warn",  "error", "off"};

Level level_from_environment() {
    Level level = Level::kWarn;
    // NOLINTNEXTLINE(concurrency-mt-unsafe): runs once, and nothing here calls setenv(3)
    if (const char* text = std::getenv("MIMIC_LOG_LEVEL")) parse_level(text, level);
    return level;
}

std::atomic<Level>& current_level() {
    static std::atomic<Level> level{level_from_environment()};
    return level;
}

std::atomic<Format> current_format{Format::kText};

// Text in a JSON string: control characters are escaped, bytes that are no UTF-8 are left out by
// whoever reads it; terminal_lines() has seen to the rest.
std::string quoted(std::string_view text) {
    std::string out = "\"";
    for (const char c : text) {
        if (c == '"' || c == '\\') {
            out += '\\';
            out += c;
        } else if (static_cast<unsigned char>(c) < 0x20) {
            out += fmt::format("\\u{:04x}", static_cast<unsigned>(c));
        } else {
            out += c;
        }
    }
    return out + "\"";
}

std::string json_line(Level level, std::string_view category, std::string_view message) {
    timespec now{};
    ::clock_gettime(CLOCK_REALTIME, &now);
    tm utc{};
    ::gmtime_r(&now.tv_sec, &utc);
    std::array<char, 32> time{};
    const size_t length = std::strftime(time.data(), time.size(), "%Y-%m-%dT%H:%M:%S", &utc);
    return fmt::format(R"({{"time":"{}.{:03}Z","level":"{}","category":{},"message":{}}})"
                       "\n",
                       std::string_view(time.data(), length), now.tv_nsec / 1'000'000,
                       kNames[static_cast<size_t>(level)], quoted(category),
                       quoted(terminal_lines(message)));
}

}  // namespace

void set_format(Format format) {
    current_format.store(format, std::memory_order_relaxed);
}

Level level() {
    return current_level().load(std::memory_order_relaxed);
}

void set_level(Level level) {
    current_level().store(level, std::memory_order_relaxed);
}

bool parse_level(std::string_view text, Level& level) {
    for (size_t i = 0; i < kNames.size(); ++i) {
        if (kNames[i] == text) {
            level = static_cast<Level>(i);
            return true;
        }
    }
    return false;
}

void write(Level level, std::string_view category, std::string_view message) {
    if (current_format.load(std::memory_order_relaxed) == Format::kJson) {
        const auto line = json_line(level, category, message);
        [[maybe_unused]] const auto n = ::write(STDERR_FILENO, line.data(), line.size());
        return;
    }
    timespec now{};
    ::clock_gettime(CLOCK_MONOTONIC, &now);
    // Some messages quote a peer.
    const auto line = fmt::format("[{:6}.{:03}] {:5} {}: {}\n", now.tv_sec, now.tv_nsec / 1'000'000,
                                  kNames[static_cast<size_t>(level)], category,
                                  terminal_lines(message));
    [[maybe_unused]] const auto n = ::write(STDERR_FILENO, line.data(), line.size());
}

bool RateLimit::allow(TimePoint now, uint64_t& suppressed) {
    constexpr Duration kFirstGap = std::chrono::seconds(1);
    constexpr Duration kLongestGap = std::chrono::minutes(10);
    constexpr Duration kQuiet = std::chrono::minutes(1);
    if (now - last_ >= std::max(gap_, kQuiet)) {
        used_ = 0;
        gap_ = {};
    }
    last_ = now;
    if (used_ < burst_) {
        ++used_;
    } else if (now < next_) {
        ++dropped_;
        return false;
    }
    gap_ = used_ < burst_ ? Duration{} : std::clamp(2 * gap_, kFirstGap, kLongestGap);
    next_ = now + gap_;
    suppressed = dropped_;
    dropped_ = 0;
    return true;
}

std::string more_like_it(uint64_t suppressed) {
    return suppressed == 0 ? std::string() : fmt::format(" ({} more like it)", suppressed);
}

}  // namespace mimic::log
