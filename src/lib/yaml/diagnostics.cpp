// SPDX-License-Identifier: Apache-2.0
#include "yaml/diagnostics.h"

#include <algorithm>
#include <tuple>

#include <fmt/format.h>

#include "base/text_table.h"

namespace mimic::yaml {
namespace {

constexpr size_t kShownColumns = 100;  // of a source line

/// The text of line `number` (1-based) without its end, or empty.
std::string_view line_of(std::string_view text, unsigned number) {
    for (unsigned line = 1; line < number; ++line) {
        const size_t end = text.find('\n');
        if (end == std::string_view::npos) return {};
        text.remove_prefix(end + 1);
    }
    text = text.substr(0, text.find('\n'));
    if (text.ends_with('\r')) text.remove_suffix(1);
    return text;
}

/// Safe for any terminal. The language is ASCII, so nothing of use is lost.
std::string printable(std::string_view text) {
    std::string out(text);
    for (char& c : out) {
        if (c == '\t') c = ' ';
        if (static_cast<unsigned char>(c) < 0x20 || static_cast<unsigned char>(c) >= 0x7f) c = '?';
    }
    return out;
}

}  // namespace

Diagnostics::Diagnostics(std::string_view text, std::string_view file_name)
    : text_(text), file_name_(file_name) {}

void Diagnostics::add(Location where, std::string message) {
    for (const Problem& known : problems_) {
        if (known.where.line == where.line && known.where.column == where.column &&
            known.message == message) {
            return;
        }
    }
    if (problems_.size() < kMaxProblems) {
        problems_.push_back({where, std::move(message)});
    } else {
        ++dropped_;
    }
}

void Diagnostics::note(Location where, const std::string& message) {
    if (notes_.size() >= kMaxProblems) return;
    notes_.push_back(fmt::format("{}:{}:{}: {}", file_name_, where.line, where.column, message));
}

void Diagnostics::sort() {
    std::stable_sort(problems_.begin(), problems_.end(), [](const Problem& a, const Problem& b) {
        return std::tie(a.where.line, a.where.column) < std::tie(b.where.line, b.where.column);
    });
}

std::string Diagnostics::str() const {
    std::string out;
    for (const Problem& problem : problems_) {
        const std::string message = printable(problem.message);
        if (problem.where.line == 0) {
            out += fmt::format("{}: {}\n", file_name_, message);
            continue;
        }
        out += fmt::format("{}:{}:{}: {}\n", file_name_, problem.where.line, problem.where.column,
                           message);
        std::string_view line = line_of(text_, problem.where.line);
        size_t caret = problem.where.column > 0 ? problem.where.column - 1 : 0;
        caret = std::min(caret, line.size());
        if (caret >= kShownColumns) {  // keep some context before the caret
            const size_t cut = caret - kShownColumns / 2;
            line.remove_prefix(cut);
            caret -= cut;
        }
        out += fmt::format("  {}\n  {:>{}}\n", printable(line.substr(0, kShownColumns)), "^",
                           caret + 1);
    }
    if (dropped_ > 0)
        out += fmt::format("{}: and {} more\n", file_name_, counted(dropped_, "problem"));
    return out;
}

}  // namespace mimic::yaml
