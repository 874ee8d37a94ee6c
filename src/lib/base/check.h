// SPDX-License-Identifier: Apache-2.0
// MIMIC_CHECK: an invariant of ours. Aborts in every build when false. Never used on what a guest,
// a peer, a file or an API answer says.
#pragma once

#include <cstdio>
#include <cstdlib>

namespace mimic {

[[noreturn]] inline void check_failed(const char* file, int line, const char* expression) {
    std::fprintf(stderr, "%s:%d: bug in mimic: %s does not hold\n", file, line, expression);
    std::abort();
}

}  // namespace mimic

#define MIMIC_CHECK(expression)             \
    (static_cast<bool>(expression) ? void() \
                                   : ::mimic::check_failed(__FILE__, __LINE__, #expression))
