// SPDX-License-Identifier: Apache-2.0
// Result<T>: how a function reports that the world failed (a socket, a file, a VM). Bugs of ours
// are MIMIC_CHECK (check.h); misbehaving guests and peers are counted and answered, never an Error.
//
// gcc 12 has std::expected only with -std=c++23 and clang-14 not at all, so this aliases
// tl::expected.
#pragma once

#include <string>
#include <system_error>
#include <utility>

#include <fmt/format.h>
#include <tl/expected.hpp>

namespace mimic {

/// Why an operation failed: a code to branch on and a sentence for people. Immutable.
class Error {
public:
    Error(std::errc code, std::string message) : code_(code), message_(std::move(message)) {}

    /// Same, from errno as a system call left it; the message gets ": <strerror>" appended.
    static Error from_errno(int error_number, std::string_view what) {
        return Error(static_cast<std::errc>(error_number),
                     fmt::format("{}: {}", what, std::generic_category().message(error_number)));
    }

    std::errc code() const { return code_; }
    int errno_value() const { return static_cast<int>(code_); }
    const std::string& message() const { return message_; }

    /// The same error with "context: " in front, for a caller that knows more.
    Error with_context(std::string_view context) && {
        message_ = fmt::format("{}: {}", context, message_);
        return std::move(*this);
    }

private:
    std::errc code_;
    std::string message_;
};

template <typename T>
using Result = tl::expected<T, Error>;

using Status = Result<void>;

/// `return fail(std::errc::invalid_argument, "BAR {} has size {}", bar, size);`
template <typename... Args>
[[nodiscard]] tl::unexpected<Error> fail(std::errc code, fmt::format_string<Args...> format,
                                         Args&&... args) {
    return tl::unexpected<Error>(Error(code, fmt::format(format, std::forward<Args>(args)...)));
}

/// `return fail_errno("bind {}", path);` Reads errno before anything else can change it.
template <typename... Args>
[[nodiscard]] tl::unexpected<Error> fail_errno(fmt::format_string<Args...> format, Args&&... args) {
    const int error_number = errno;
    return tl::unexpected<Error>(
        Error::from_errno(error_number, fmt::format(format, std::forward<Args>(args)...)));
}

}  // namespace mimic

#define MIMIC_CONCAT_INNER(a, b) a##b
#define MIMIC_CONCAT(a, b) MIMIC_CONCAT_INNER(a, b)

/// Returns the error of `expression` (a Status or Result) from the enclosing function, if it has
/// one.
#define MIMIC_TRY(expression)                                                             \
    do {                                                                                  \
        if (auto mimic_try_result = (expression); !mimic_try_result)                      \
            return ::tl::unexpected<::mimic::Error>(std::move(mimic_try_result).error()); \
    } while (false)

/// `MIMIC_ASSIGN_OR_RETURN(auto fd, open_it(path));` Declares or assigns `lhs`, or returns the
/// error.
#define MIMIC_ASSIGN_OR_RETURN(lhs, expression) \
    MIMIC_ASSIGN_OR_RETURN_INNER(MIMIC_CONCAT(mimic_result_, __LINE__), lhs, expression)
// NOLINTBEGIN(bugprone-macro-parentheses): a name and a declaration cannot stand in parentheses.
#define MIMIC_ASSIGN_OR_RETURN_INNER(result, lhs, expression)                        \
    auto result = (expression);                                                      \
    if (!result) return ::tl::unexpected<::mimic::Error>(std::move(result).error()); \
    lhs = std::move(*result)
// NOLINTEND(bugprone-macro-parentheses)
