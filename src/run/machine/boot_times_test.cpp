// SPDX-License-Identifier: Apache-2.0
#include "machine/boot_times.h"

#include <gtest/gtest.h>

#include <cstdlib>

#include "base/private_files.h"

namespace mimic::machine {
namespace {

BootTimes boot(double kernel, double ready) {
    BootTimes times;
    times[BootStage::kDevices] = 0;
    times[BootStage::kKernel] = kernel;
    times[BootStage::kReady] = ready;
    return times;
}

class BootTimesTest : public testing::Test {
protected:
    void SetUp() override {
        std::string name = testing::TempDir() + "mimic-times-XXXXXX";
        ASSERT_NE(::mkdtemp(name.data()), nullptr);
        folder_ = name;
    }
    void TearDown() override { EXPECT_TRUE(remove_tree(folder_)); }
    std::string folder_;
};

TEST_F(BootTimesTest, GuessesByTheMedianOfTheKind) {
    BootHistory history;
    EXPECT_FALSE(history.rest("a", BootStage::kKernel, 0));
    history.add("a", boot(1, 5));
    history.add("a", boot(1, 7));
    history.add("a", boot(1, 100));
    history.add("b", boot(1, 1000));
    EXPECT_EQ(history.rest("a", BootStage::kKernel, 2), 4);
    EXPECT_EQ(history.rest("a", BootStage::kKernel, 50), 0);
    EXPECT_FALSE(history.rest("a", BootStage::kInit, 0));  // no boot said when
    EXPECT_FALSE(history.rest("c", BootStage::kKernel, 0));
}

TEST_F(BootTimesTest, IsReadAsItWasWritten) {
    BootHistory history;
    history.add("x86_64 tcg 6.1", boot(1.25, 5.5));
    const std::string path = folder_ + "/times";
    ASSERT_TRUE(history.write(path));
    EXPECT_EQ(BootHistory::read(path).rest("x86_64 tcg 6.1", BootStage::kKernel, 0), 4.25);
    EXPECT_FALSE(BootHistory::read(folder_ + "/none").rest("x", BootStage::kKernel, 0));
}

TEST_F(BootTimesTest, KeepsABoundedNumber) {
    BootHistory history;
    for (int i = 0; i < 1000; ++i) history.add("a", boot(0, i));
    for (size_t i = 0; i < BootHistory::kMaxKinds; ++i) history.add(std::to_string(i), boot(0, 1));
    EXPECT_FALSE(history.rest("a", BootStage::kKernel, 0));  // the one that booted longest ago
    EXPECT_TRUE(history.rest("0", BootStage::kKernel, 0));
    const std::string path = folder_ + "/times";
    ASSERT_TRUE(history.write(path));
    EXPECT_LT(read_small_file(path)->size(), 10'000u);
}

TEST_F(BootTimesTest, DamagedFilesAreNoPast) {
    const std::string path = folder_ + "/times";
    for (const char* text :
         {"", "x", "[]", R"({"kinds": []})", R"({"kinds": {"a": 1}})", R"({"kinds": {"a": [1]}})",
          R"({"kinds": {"a": [[null, null, "x", -1, 1e300, {}, null]]}})",
          R"({"kinds": {"a": [[0, 0, 0, 0, 0, 0, -1]]}})"}) {
        ASSERT_TRUE(write_file_atomically(path, text));
        EXPECT_FALSE(BootHistory::read(path).rest("a", BootStage::kDevices, 0)) << text;
    }
}

TEST_F(BootTimesTest, KnowsTheMarksOfAConsole) {
    EXPECT_EQ(stage_of_line("[    0.000000] Linux version 6.1.0-41-amd64"), BootStage::kKernel);
    EXPECT_EQ(stage_of_line("mimic: init"), BootStage::kInit);
    EXPECT_EQ(stage_of_line("mimic: driver loaded"), BootStage::kDrivers);
    EXPECT_EQ(stage_of_line("SeaBIOS"), std::nullopt);
    EXPECT_EQ(stage_of_line("Booting from ROM.."), BootStage::kKernel);
    EXPECT_EQ(stage_of_line("Booting from ROM..mimic: init"), BootStage::kInit);
}

}  // namespace
}  // namespace mimic::machine
