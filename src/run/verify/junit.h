// SPDX-License-Identifier: Apache-2.0
// Verdicts as a JUnit report, which CI systems show: a suite for each machine, a case for each
// function of its plan and one for the machine itself. docs/verify.md describes it.
#pragma once

#include <ctime>
#include <string>
#include <vector>

#include "verify/verify.h"

namespace mimic::verify {

/// What came of one machine: a verdict, or why there is none.
struct JunitMachine {
    std::string name;
    Verdict verdict{};
    std::string error{};  // not empty: the guest could not be asked
    double seconds = 0;   // that it took
};

/// The report, UTF-8. Texts of guests are shown as terminal_text() leaves them, so nothing of them
/// is markup or a control character. `started`: seconds since 1970. Pure.
std::string junit_xml(const std::vector<JunitMachine>& machines, std::time_t started);

}  // namespace mimic::verify
