// SPDX-License-Identifier: Apache-2.0
#include "base/command_report.h"

#include <gtest/gtest.h>

namespace mimic {
namespace {

class CommandReportTest : public ::testing::Test {
protected:
    void SetUp() override { reset_command_report(); }
    void TearDown() override { reset_command_report(); }
};

TEST_F(CommandReportTest, KeepsWhatIsToldToPeople) {
    testing::internal::CaptureStderr();
    report_error("no machine \x1b[2Jlab");
    report_text("mimic: error: file.yaml:\n  a list");
    report_text("file.yaml:2:1: error: a word\n");
    EXPECT_EQ(testing::internal::GetCapturedStderr(),
              "mimic: error: no machine lab\nmimic: error: file.yaml:\n  a list\n"
              "file.yaml:2:1: error: a word\n");
    EXPECT_EQ(reported_errors(), (std::vector<std::string>{"no machine lab", "file.yaml:\n  a list",
                                                           "file.yaml:2:1: error: a word"}));
}

TEST_F(CommandReportTest, KeepsABoundedNumber) {
    testing::internal::CaptureStderr();
    for (int i = 0; i < 1000; ++i) report_error("again");
    EXPECT_EQ(reported_errors().size(), 100u);
    testing::internal::GetCapturedStderr();
}

TEST_F(CommandReportTest, KnowsWhetherADocumentWasPrinted) {
    EXPECT_FALSE(has_printed_document());
    testing::internal::CaptureStdout();
    EXPECT_TRUE(print_document("{}"));
    EXPECT_TRUE(print_document("{}\n"));
    EXPECT_EQ(testing::internal::GetCapturedStdout(), "{}\n{}\n");
    EXPECT_TRUE(has_printed_document());
    EXPECT_TRUE(reported_errors().empty());
}

TEST_F(CommandReportTest, SaysOnceThatOutputIsLost) {
    testing::internal::CaptureStderr();
    EXPECT_TRUE(flush_output());
    report_lost_output();
    report_lost_output();
    EXPECT_FALSE(flush_output());
    EXPECT_EQ(testing::internal::GetCapturedStderr(),
              "mimic: error: standard output cannot be written\n");
    EXPECT_EQ(reported_errors().size(), 1u);
}

}  // namespace
}  // namespace mimic
