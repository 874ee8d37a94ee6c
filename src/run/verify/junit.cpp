// SPDX-License-Identifier: Apache-2.0
#include "verify/junit.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include "base/terminal_text.h"
#include "base/text_table.h"
#include "outputs/xml_text.h"

namespace mimic::verify {
namespace {

constexpr size_t kMaxJunitText = 2000;  // characters of one text: some readers keep reports whole

std::string attribute(std::string_view text) {
    return outputs::escape_xml(terminal_text(text, kMaxJunitText));
}

std::string failure_of(const std::vector<Difference>& differences) {
    std::string text = fmt::format(
        "      <failure type=\"difference\" message=\"{}\">",
        attribute(fmt::format("{}: expected {}, got {}{}", differences.front().what,
                              differences.front().expected, differences.front().got,
                              differences.size() == 1 ? "" : ", ...")));
    for (const Difference& one : differences)
        text += fmt::format("{}: expected {}, got {}\n", attribute(one.what),
                            attribute(one.expected), attribute(one.got));
    return text + "</failure>\n";
}

/// A case with what is in it; an empty `body`: it passed.
std::string junit_case(const std::string& machine, const std::string& name,
                       const std::string& body) {
    const std::string begin = fmt::format("    <testcase classname=\"{}\" name=\"{}\" time=\"0\"",
                                          attribute(machine), attribute(name));
    return body.empty() ? begin + "/>\n" : begin + ">\n" + body + "    </testcase>\n";
}

struct JunitCounts {
    size_t tests = 0;
    size_t failures = 0;
    size_t errors = 0;
    size_t skipped = 0;

    void add(const JunitCounts& other) {
        tests += other.tests;
        failures += other.failures;
        errors += other.errors;
        skipped += other.skipped;
    }
    std::string str() const {
        return fmt::format("tests=\"{}\" failures=\"{}\" errors=\"{}\" skipped=\"{}\"", tests,
                           failures, errors, skipped);
    }
};

std::string cases_of(const JunitMachine& machine, JunitCounts& counts) {
    if (!machine.error.empty()) {
        counts = {.tests = 1, .errors = 1};
        return junit_case(machine.name, "machine",
                          fmt::format("      <error type=\"not-asked\" message=\"{}\"/>\n",
                                      attribute(machine.error)));
    }
    std::string text;
    for (const FunctionVerdict& function : machine.verdict.functions) {
        std::string body;
        if (!function.differences.empty()) {
            body = failure_of(function.differences);
            ++counts.failures;
        } else if (function.in_empty_slot) {
            body = "      <skipped message=\"its hot-plug slot is empty\"/>\n";
            ++counts.skipped;
        }
        ++counts.tests;
        text += junit_case(machine.name, fmt::format("{} ({})", function.name, function.bdf), body);
    }
    const auto& others = machine.verdict.differences;
    ++counts.tests;
    counts.failures += others.empty() ? 0 : 1;
    return text + junit_case(machine.name, "machine", others.empty() ? "" : failure_of(others));
}

}  // namespace

std::string junit_xml(const std::vector<JunitMachine>& machines, std::time_t started) {
    // UTC without a zone, as the reports of other tools have it.
    const std::string time = fmt::format("{:%Y-%m-%dT%H:%M:%S}", fmt::gmtime(started));
    JunitCounts all;
    double seconds = 0;
    std::string suites;
    for (const JunitMachine& machine : machines) {
        JunitCounts counts;
        const std::string cases = cases_of(machine, counts);
        suites += fmt::format("  <testsuite name=\"{}\" {} time=\"{:.3f}\" timestamp=\"{}\">\n",
                              attribute(machine.name), counts.str(), machine.seconds, time);
        if (machine.error.empty())
            suites += fmt::format(
                "    <properties>\n      <property name=\"kernel\" value=\"{}\"/>\n"
                "      <property name=\"checks\" value=\"{}\"/>\n"
                "    </properties>\n",
                attribute(machine.verdict.kernel), machine.verdict.checks);
        suites += cases + "  </testsuite>\n";
        all.add(counts);
        seconds += machine.seconds;
    }
    return fmt::format(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
        "<testsuites name=\"mimic verify\" {} time=\"{:.3f}\">\n{}</testsuites>\n",
        all.str(), seconds, suites);
}

}  // namespace mimic::verify
