// SPDX-License-Identifier: Apache-2.0
// Screen: a terminal that is drawn on and read from, for commands that stay: `mimic top`,
// `mimic regs --watch`. ncurses knows terminals; this keeps it in one place and gives it back.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/task_runner.h"

namespace mimic::commands {

enum class LineLook : uint8_t { kNormal, kBold, kReverse };

/// One row of the screen. Text is fit for terminals (terminal_text()).
struct ScreenLine {
    std::string text;
    LineLook look = LineLook::kNormal;
};

/// Keys besides characters.
namespace keys {
inline constexpr int kUp = 0x1000;
inline constexpr int kDown = 0x1001;
inline constexpr int kPageUp = 0x1002;
inline constexpr int kPageDown = 0x1003;
inline constexpr int kHome = 0x1004;
inline constexpr int kEnd = 0x1005;
inline constexpr int kBackspace = 0x1006;
inline constexpr int kEnter = 0x1007;
inline constexpr int kEscape = 0x1008;
inline constexpr int kResize = 0x1009;
}  // namespace keys

/// The terminal of stdin and stdout until it is destroyed, which restores it. One at a time, on one
/// thread.
class Screen {
public:
    /// Errors: not_supported if stdin or stdout is no terminal, or TERM is not set, unknown or that
    /// of a terminal that cannot move its cursor: the caller prints lines instead.
    static Result<std::unique_ptr<Screen>> open();
    ~Screen();
    Screen(const Screen&) = delete;
    Screen& operator=(const Screen&) = delete;

    /// As of the last key or drawing; at least 1.
    size_t rows() const;
    size_t columns() const;

    /// Shows `lines` from the top on, cut at the edges.
    void draw(const std::vector<ScreenLine>& lines);

    /// The next key: a character, one of `keys`, or nullopt if `patience` passed or a signal came.
    std::optional<int> key(Duration patience);

private:
    Screen() = default;
    struct Terminal;
    std::unique_ptr<Terminal> terminal_;
};

/// Which of `lines` a window of `rows` shows, after `key` moved it.
class Scroll {
public:
    void move(int key, size_t lines, size_t rows);
    void clamp(size_t lines, size_t rows);
    size_t first() const { return first_; }

private:
    size_t first_ = 0;
};

}  // namespace mimic::commands
