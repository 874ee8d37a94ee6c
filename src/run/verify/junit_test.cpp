// SPDX-License-Identifier: Apache-2.0
// tests/cli/junit_test.py reads reports with an XML parser; here are counts and texts.
#include "verify/junit.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace mimic::verify {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

FunctionVerdict function(const std::string& name) {
    FunctionVerdict verdict;
    verdict.name = name;
    verdict.bdf = "0000:01:00.0";
    verdict.checks = 3;
    return verdict;
}

TEST(Junit, CountsWhatPassedFailedAndWasNotThere) {
    JunitMachine machine{.name = "lab", .seconds = 1.5};
    machine.verdict.kernel = "6.1.0";
    machine.verdict.checks = 12;
    machine.verdict.functions = {function("gpu0"), function("gpu1"), function("gpu2")};
    machine.verdict.functions[1].differences = {{"sysfs uuid", "a", "b"}, {"link", "x16", "x8"}};
    machine.verdict.functions[2].in_empty_slot = true;
    machine.verdict.differences = {{"NUMA node1", "a node", "nothing"}};
    const std::string xml = junit_xml({machine, {.name = "gone", .error = "no agent answers"}},
                                      1'769'860'800);
    EXPECT_THAT(xml, HasSubstr("<testsuites name=\"mimic verify\" tests=\"5\" failures=\"2\" "
                               "errors=\"1\" skipped=\"1\" time=\"1.500\">"));
    EXPECT_THAT(xml, HasSubstr("<testsuite name=\"lab\" tests=\"4\" failures=\"2\" errors=\"0\" "
                               "skipped=\"1\" time=\"1.500\" timestamp=\"2026-01-31T12:00:00\">"));
    EXPECT_THAT(xml, HasSubstr("<property name=\"kernel\" value=\"6.1.0\"/>"));
    EXPECT_THAT(xml, HasSubstr("<testcase classname=\"lab\" name=\"gpu0 (0000:01:00.0)\" "
                               "time=\"0\"/>"));
    EXPECT_THAT(xml, HasSubstr("message=\"sysfs uuid: expected a, got b, ...\">"
                               "sysfs uuid: expected a, got b\nlink: expected x16, got x8\n"
                               "</failure>"));
    EXPECT_THAT(xml, HasSubstr("<error type=\"not-asked\" message=\"no agent answers\"/>"));
}

TEST(Junit, NothingOfAGuestIsMarkupOrControl) {
    JunitMachine machine{.name = "lab"};
    machine.verdict.kernel = "6\"><x/>\x1b[2J\x01\xff";
    machine.verdict.functions = {function("gpu0")};
    machine.verdict.functions[0].differences = {
        {"a</failure>", "&\n]]>", std::string("\0\x7f\xc2\x9b", 4)}};
    const std::string xml = junit_xml({machine}, 0);
    for (const char* bad :
         {"<x/>", "\x1b", "\x01", "\xff", "\x7f", "\xc2\x9b", "a</failure>", "]]>"})
        EXPECT_THAT(xml, Not(HasSubstr(bad)));
    EXPECT_EQ(xml.find('\0'), std::string::npos);
    EXPECT_THAT(xml, HasSubstr("6&quot;&gt;&lt;x/&gt;"));
}

TEST(Junit, TextsOfGuestsAreBounded) {
    JunitMachine machine{.name = "lab"};
    machine.verdict.functions = {function("gpu0")};
    machine.verdict.functions[0].differences = {{"x", "y", std::string(1'000'000, 'z')}};
    EXPECT_LT(junit_xml({machine}, 0).size(), 10'000u);
}

}  // namespace
}  // namespace mimic::verify
