// SPDX-License-Identifier: Apache-2.0
// Names, options and times of faults, right and wrong; the errors that they report.
#include "pci/faults/fault.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

namespace mimic::pci {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

std::string error_of(std::string_view name, const FaultOptions& options = {}) {
    const auto fault = parse_fault(name, options);
    return fault ? "" : fault.error().message();
}

TEST(FaultNames, AreUniqueAndExplained) {
    std::set<std::string_view> names;
    for (const auto& entry : fault_names()) {
        EXPECT_TRUE(names.insert(entry.name).second) << entry.name;
        EXPECT_FALSE(entry.what.empty()) << entry.name;
        const auto fault = parse_fault(entry.name, {});
        ASSERT_TRUE(fault) << entry.name;
        EXPECT_EQ(fault->kind, entry.kind);
        EXPECT_EQ(fault->name, entry.name);
    }
    EXPECT_EQ(names.size(), fault_name_list().size());
}

TEST(FaultNames, ErrorBitsAreThoseOfTheSpecification) {
    // PCIe 6.0, 7.8.4.5 and 7.8.4.2, as masks.
    uint32_t correctable = 0;
    uint32_t uncorrectable = 0;
    for (const auto& entry : fault_names()) {
        const auto fault = *parse_fault(entry.name, {});
        if (fault.kind == FaultKind::kCorrectable) correctable |= fault_error(fault).bit;
        if (fault.kind == FaultKind::kUncorrectable) uncorrectable |= fault_error(fault).bit;
    }
    EXPECT_EQ(correctable, 0x0000f1c1U);
    EXPECT_EQ(uncorrectable, 0x03fff030U);
}

TEST(ParseFault, TakesItsOptions) {
    const auto late = parse_fault("irq-late",
                                  {{"count", "3"}, {"delay", "250us"}, {"vector", "7"}});
    ASSERT_TRUE(late);
    EXPECT_EQ(late->count, 3U);
    EXPECT_EQ(late->delay, 250us);
    EXPECT_EQ(late->vector, 7U);
    EXPECT_EQ(parse_fault("internal", {{"severity", "fatal"}})->fatal, true);
    EXPECT_EQ(parse_fault("internal", {{"severity", "nonfatal"}})->fatal, false);
    EXPECT_EQ(parse_fault("internal", {})->fatal, std::nullopt);
    EXPECT_EQ(parse_fault("dma-fail", {{"count", "0"}})->count, 0U);
    EXPECT_EQ(parse_fault("host-hang", {})->delay, 10s);
    EXPECT_EQ(parse_fault("dma-slow", {})->delay, 10ms);
    EXPECT_EQ(parse_fault("all-ones", {})->count, 0U);
}

TEST(ParseFault, SaysWhatIsWrong) {
    EXPECT_THAT(error_of("remov"), HasSubstr("no fault \"remov\"; did you mean remove?"));
    EXPECT_THAT(error_of(""), HasSubstr("no fault \"\""));
    for (const char* fault : {"irq-late", "dma-slow", "host-hang"})
        EXPECT_THAT(error_of(fault, {{"delay", "0"}}), HasSubstr("is no delay")) << fault;
    EXPECT_THAT(error_of("irq-lost", {{"cuont", "1"}}), HasSubstr("did you mean count?"));
    EXPECT_THAT(error_of("irq-lost", {{"delay", "1ms"}}), HasSubstr("has no option \"delay\""));
    EXPECT_THAT(error_of("remove", {{"count", "1"}}), HasSubstr("it takes none"));
    EXPECT_THAT(error_of("bad-tlp", {{"severity", "fatal"}}), HasSubstr("it takes none"));
    EXPECT_THAT(error_of("ecrc", {{"severity", "Fatal"}}), HasSubstr("neither fatal nor nonfatal"));
    EXPECT_THAT(error_of("irq-spurious", {{"delay", "99us"}}), HasSubstr("less than 100us"));
    for (const char* value :
         {"", "-1", "+1", "1.5", "0x10", "1 ", " 1", "1000001", "99999999999999999999"})
        EXPECT_THAT(error_of("dma-fail", {{"count", value}}), HasSubstr("from 0 to 1000000"))
            << value;
    for (const char* value : {"2048", "any"})
        EXPECT_THAT(error_of("irq-lost", {{"vector", value}}), HasSubstr("from 0 to 2047"));
    for (const char* value : {"", "10", "ms", "-1ms", "-0ms", "1h", "1 ms", "1ms ", "nan", "inf",
                              "infs", "1e3ms", "3601s", "0x1s"})
        EXPECT_THAT(error_of("host-hang", {{"delay", value}}), HasSubstr("is no time")) << value;
}

TEST(ParseFault, BoundsWhatItRepeats) {
    const std::string longest(100'000, 'x');
    EXPECT_LT(error_of(longest).size(), 200U);
    EXPECT_LT(error_of("dma-fail", {{longest, "1"}}).size(), 200U);
    EXPECT_LT(error_of("dma-fail", {{"count", longest}}).size(), 200U);
    EXPECT_LT(error_of("dma-slow", {{"delay", longest}}).size(), 200U);
    EXPECT_LT(error_of("ecrc", {{"severity", longest}}).size(), 200U);
}

TEST(ParseDuration, KnowsUnits) {
    EXPECT_EQ(parse_duration("0", 1s), 0ns);
    EXPECT_EQ(parse_duration("17ns", 1s), 17ns);
    EXPECT_EQ(parse_duration("1.5s", 2s), 1500ms);
    EXPECT_EQ(parse_duration("1s", 1s), 1s);
    EXPECT_FALSE(parse_duration("1001ms", 1s));
}

TEST(FaultError, CarriesAHeaderWhereHardwareLogsOne) {
    Fault fault = *parse_fault("poisoned-tlp", {{"severity", "fatal"}});
    const FaultError first = fault_error(fault);
    EXPECT_FALSE(first.correctable);
    EXPECT_EQ(first.fatal, true);
    EXPECT_EQ(first.header[0], 0x40004001U);
    EXPECT_EQ(first.header[1] & 0xffU, 0x0fU);
    EXPECT_EQ(first.header[2] & 3U, 0U);
    EXPECT_EQ(fault_error(fault).header, first.header);
    fault.seed = 2;
    EXPECT_NE(fault_error(fault).header, first.header);
    EXPECT_EQ(fault_error(*parse_fault("completion-timeout", {})).header,
              (std::array<uint32_t, 4>{}));
    EXPECT_EQ(fault_error(*parse_fault("unexpected-completion", {})).header[0] >> 24, 0x4aU);
}

}  // namespace
}  // namespace mimic::pci
