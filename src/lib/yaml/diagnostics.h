// SPDX-License-Identifier: Apache-2.0
// Diagnostics: everything that is wrong with a topology file, each problem at its place with its
// source line.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace mimic::yaml {

/// A place in a file. 1-based; line 0: the file as a whole. Columns count bytes.
struct Location {
    unsigned line = 0;
    unsigned column = 0;
};

/// One thing that is wrong: what is there, and what was expected.
struct Problem {
    Location where;
    std::string message;  // "unknown key 'memroy'; expected one of ...; did you mean 'memory'?"
};

/// Collects problems and prints them. Thread-bound. Keeps a copy of the text for the source lines.
class Diagnostics {
public:
    static constexpr size_t kMaxProblems = 20;

    Diagnostics(std::string_view text, std::string_view file_name);

    /// Adds a problem. Beyond kMaxProblems it is only counted. The same message at the same place
    /// is added once.
    void add(Location where, std::string message);

    /// Adds what is no problem, but should be known: an old word. At most kMaxProblems are kept.
    void note(Location where, const std::string& message);

    /// "file:line:column: message" each, in file order.
    const std::vector<std::string>& notes() const { return notes_; }

    bool empty() const { return problems_.empty(); }
    const std::vector<Problem>& problems() const { return problems_; }

    /// Problems that were counted but not kept.
    size_t dropped() const { return dropped_; }

    /// Orders problems by place. parse() has done that.
    void sort();

    /// The report: per problem "file:line:column: message", the source line and a caret below the
    /// column. Bytes that are not printable ASCII are shown as '?', long lines are cut.
    std::string str() const;

private:
    std::string text_;
    std::string file_name_;
    std::vector<Problem> problems_;
    std::vector<std::string> notes_;
    size_t dropped_ = 0;
};

}  // namespace mimic::yaml
