// SPDX-License-Identifier: Apache-2.0
#include "commands/screen.h"

#include <unistd.h>

#include <algorithm>
#include <clocale>
#include <cstdlib>

// Wide characters: names may have them.
// NOLINTBEGIN(readability-identifier-naming): the library's switches.
#define NCURSES_WIDECHAR 1
#define NCURSES_NOMACROS 1
// NOLINTEND(readability-identifier-naming)
#include <curses.h>
#include <term.h>
// <term.h> makes macros of everyday words.
#undef lines
#undef columns

namespace mimic::commands {

struct Screen::Terminal {
    SCREEN* screen = nullptr;
    ~Terminal() {
        if (screen == nullptr) return;
        ::endwin();
        ::delscreen(screen);
    }
};

Result<std::unique_ptr<Screen>> Screen::open() {
    const char* const type = std::getenv("TERM");  // NOLINT(concurrency-mt-unsafe): one thread
    if (::isatty(STDIN_FILENO) == 0 || ::isatty(STDOUT_FILENO) == 0)
        return fail(std::errc::not_supported, "this is no terminal");
    if (type == nullptr || *type == '\0') return fail(std::errc::not_supported, "TERM is not set");
    // Names are UTF-8, and ncurses asks the locale how to write them.
    if (std::setlocale(LC_CTYPE, "") == nullptr ||  // NOLINT(concurrency-mt-unsafe): one thread
        MB_CUR_MAX == 1)
        std::setlocale(LC_CTYPE, "C.UTF-8");  // NOLINT(concurrency-mt-unsafe): one thread
    // setupterm() says what newterm() would end the program for.
    int found = 0;
    if (::setupterm(type, STDOUT_FILENO, &found) != OK)
        return fail(std::errc::not_supported, "the terminal \"{}\" is not known", type);
    const bool can_move = cursor_address != nullptr;
    ::del_curterm(cur_term);
    if (!can_move)
        return fail(std::errc::not_supported, "the terminal \"{}\" cannot move its cursor", type);
    auto terminal = std::make_unique<Terminal>();
    terminal->screen = ::newterm(nullptr, stdout, stdin);
    if (terminal->screen == nullptr)
        return fail(std::errc::not_supported, "the terminal \"{}\" cannot be used", type);
    ::set_term(terminal->screen);
    ::cbreak();
    ::noecho();
    ::nonl();
    ::keypad(stdscr, TRUE);
    ::set_escdelay(25);  // ms; a key that begins with Escape is quicker
    ::curs_set(0);
    std::unique_ptr<Screen> screen(new Screen);
    screen->terminal_ = std::move(terminal);
    return screen;
}

Screen::~Screen() = default;

size_t Screen::rows() const {
    return static_cast<size_t>(std::max(1, ::getmaxy(stdscr)));
}

size_t Screen::columns() const {
    return static_cast<size_t>(std::max(1, ::getmaxx(stdscr)));
}

void Screen::draw(const std::vector<ScreenLine>& all) {
    ::werase(stdscr);
    const int height = static_cast<int>(rows());
    for (int row = 0; row < height && static_cast<size_t>(row) < all.size(); ++row) {
        const ScreenLine& line = all[static_cast<size_t>(row)];
        const chtype look = line.look == LineLook::kBold      ? A_BOLD
                            : line.look == LineLook::kReverse ? A_REVERSE
                                                              : A_NORMAL;
        ::wattrset(stdscr, static_cast<int>(look));
        if (::wmove(stdscr, row, 0) == ERR) break;
        // A character takes at most 4 bytes, and curses cuts what is too wide.
        ::waddnstr(stdscr, line.text.c_str(),
                   static_cast<int>(std::min(line.text.size(), 4 * columns())));
        // What did not fit has wrapped into the next row, which is drawn over, or is the end.
    }
    ::wattrset(stdscr, A_NORMAL);
    ::wrefresh(stdscr);
}

std::optional<int> Screen::key(Duration patience) {
    const auto wait = std::chrono::ceil<std::chrono::milliseconds>(patience).count();
    ::wtimeout(stdscr, static_cast<int>(std::clamp<int64_t>(wait, 0, 60'000)));
    const int key = ::wgetch(stdscr);
    switch (key) {
        case ERR:
            return std::nullopt;
        case KEY_UP:
            return keys::kUp;
        case KEY_DOWN:
            return keys::kDown;
        case KEY_PPAGE:
            return keys::kPageUp;
        case KEY_NPAGE:
            return keys::kPageDown;
        case KEY_HOME:
            return keys::kHome;
        case KEY_END:
            return keys::kEnd;
        case KEY_BACKSPACE:
        case 8:
        case 127:
            return keys::kBackspace;
        case KEY_ENTER:
        case '\r':
        case '\n':
            return keys::kEnter;
        case 27:
            return keys::kEscape;
        case KEY_RESIZE:
            return keys::kResize;
        case 'L' & 0x1f:
            // All again, as everywhere: something else may have written to the terminal.
            ::clearok(curscr, TRUE);
            return keys::kResize;
        default:
            return key;
    }
}

void Scroll::move(int key, size_t lines, size_t rows) {
    const size_t page = std::max<size_t>(rows, 2) - 1;
    switch (key) {
        case keys::kUp:
            first_ -= std::min<size_t>(first_, 1);
            break;
        case keys::kDown:
            ++first_;
            break;
        case keys::kPageUp:
            first_ -= std::min(first_, page);
            break;
        case keys::kPageDown:
            first_ += page;
            break;
        case keys::kHome:
            first_ = 0;
            break;
        case keys::kEnd:
            first_ = lines;
            break;
        default:
            break;
    }
    clamp(lines, rows);
}

void Scroll::clamp(size_t lines, size_t rows) {
    first_ = std::min(first_, lines > rows ? lines - rows : 0);
}

}  // namespace mimic::commands
