// SPDX-License-Identifier: Apache-2.0
// What a command of `mimic` says: words for people on standard error, one document for programs on
// standard output. All of it passes here, so that `--json` can give what went wrong to programs,
// too (docs/reference/json.md). Process-wide, since a process is one command. Thread-safe.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace mimic {

/// Prints "mimic: error: <message>" to standard error, as terminal_lines() leaves it, and keeps it
/// for reported_errors().
void report_error(std::string_view message);

/// The same for a report of several lines that has a beginning of its own: it is printed as it is,
/// with a newline. Of "mimic: error: " in front of it, nothing is kept.
void report_text(std::string_view report);

/// Prints the JSON text `document` and a newline to standard output. False if that cannot be
/// written, which was reported then.
bool print_document(std::string_view document);

/// Reports, once, that standard output cannot be written.
void report_lost_output();

/// Writes what is still buffered for standard output. False if that could not be written, or
/// anything printed before, also where report_lost_output() was the last to hear of it; it is
/// reported then. A pipe whose reader has gone is no error: `mimic ps | head -n 1`.
bool flush_output();

/// What was reported so far, in order; at most the first 100.
std::vector<std::string> reported_errors();

/// Whether print_document() printed anything.
bool has_printed_document();

/// Forgets all of it; for tests.
void reset_command_report();

}  // namespace mimic
