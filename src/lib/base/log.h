// SPDX-License-Identifier: Apache-2.0
// Logging to stderr by category and level. MIMIC_LOG(category, level, "Format {}", ...) costs one
// compare when off. Levels: error = the asked-for action did not happen; warn = odd but survived;
// info = a rare change an operator wants; debug and trace = for developers. What a guest or peer
// can trigger goes through RateLimit.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <string_view>

#include <fmt/format.h>

#include "base/task_runner.h"

namespace mimic::log {

enum class Level : uint8_t { kTrace, kDebug, kInfo, kWarn, kError, kOff };

/// Lowest level that is printed. Default: MIMIC_LOG_LEVEL in the environment (trace ... off), else
/// warn. Thread-safe.
Level level();
void set_level(Level level);

/// Parses "trace", "debug", "info", "warn", "error", "off"; returns false on anything else.
bool parse_level(std::string_view text, Level& level);

/// How lines look: "[  12.345] warn  dra: text", or one JSON object a line with "time" (RFC 3339,
/// UTC), "level", "category" and "message", for collectors of logs.
enum class Format : uint8_t { kText, kJson };
void set_format(Format format);

/// Prints one line. Thread-safe; a line is written with one write(2), so lines of threads do not
/// mix.
void write(Level level, std::string_view category, std::string_view message);

/// Lets through `burst` events, then one a second, and ever fewer while they go on: each waits
/// twice as long as the one before, up to ten minutes. So one who never stops fills no log, and is
/// not forgotten either. Begins anew after a quiet minute, or as long as the last wait was. One for
/// each kind of event: a flood of one must not hide the only one of another. Thread-bound.
class RateLimit {
public:
    explicit RateLimit(uint32_t burst = 5) : burst_(burst) {}

    /// True if this event should be logged; `suppressed` gets the number dropped since the last one
    /// that was.
    bool allow(TimePoint now, uint64_t& suppressed);

private:
    uint32_t burst_;
    uint32_t used_ = 0;
    uint64_t dropped_ = 0;
    Duration gap_{};    // between the last event let through and the next
    TimePoint next_{};  // when one is let through again
    TimePoint last_{};  // event of any fate
};

/// What to put behind a message that RateLimit let through: " (7 more like it)", or nothing.
std::string more_like_it(uint64_t suppressed);

}  // namespace mimic::log

#define MIMIC_LOG(category, log_level, ...)                               \
    do {                                                                  \
        if (::mimic::log::Level::log_level >= ::mimic::log::level())      \
            ::mimic::log::write(::mimic::log::Level::log_level, category, \
                                fmt::format(__VA_ARGS__));                \
    } while (false)
