// SPDX-License-Identifier: Apache-2.0
// The parser against samples, cuts and lies.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "clone/dump.h"
#include "clone/test_samples.h"

namespace mimic::clone {
namespace {

using testing::HasSubstr;

/// "line: message" of the first problem, empty if there is none.
std::string first_problem(const std::string& text) {
    const auto dump = parse_dump(text);
    if (dump) return "";
    return fmt::format("{}: {}", dump.error().front().line, dump.error().front().message);
}

TEST(Dump, ReadsTheGpu) {
    const auto dump = parse_dump(sample("gpu"));
    ASSERT_TRUE(dump) << first_problem(sample("gpu"));
    ASSERT_EQ(dump->functions.size(), 1U);
    const DumpFunction& gpu = dump->functions[0];
    EXPECT_EQ(gpu.address.str(), "17:00.0");
    EXPECT_THAT(gpu.title, HasSubstr("[10de:20b5]"));
    EXPECT_EQ(gpu.config.size(), 4096U);
    EXPECT_EQ(gpu.regions[0].size, 16U << 20);
    EXPECT_EQ(gpu.regions[1].size, 16ULL << 30);
    EXPECT_TRUE(gpu.regions[1].is_64bit && gpu.regions[1].prefetchable);
    EXPECT_EQ(gpu.vf_regions[2].size, 2ULL << 30);
    EXPECT_EQ(gpu.rom.size, 512U << 10);
}

TEST(Dump, ReadsSeveralDevicesAndTheTree) {
    const auto dump = parse_dump(sample("switch"));
    ASSERT_TRUE(dump) << first_problem(sample("switch"));
    EXPECT_EQ(dump->functions.size(), 7U);
    std::vector<std::string> tree;
    for (const auto& [address, line] : dump->tree) tree.push_back(address.str());
    EXPECT_THAT(tree, testing::ElementsAre("3a:00.0", "3b:00.0", "3c:08.0", "3c:09.0", "3c:10.0",
                                           "3d:00.0", "3e:00.0"));
}

TEST(Dump, TakesWindowsLineEndsSpacesForTabsAndLspcisComplaints) {
    std::string text = "lspci: Unable to load libkmod resources: error -2\n" + sample("nvme");
    for (size_t at = 0; (at = text.find('\n', at)) != std::string::npos; at += 2) {
        text.replace(at, 1, "\r\n");
    }
    for (size_t at = 0; (at = text.find('\t', at)) != std::string::npos; at += 8) {
        text.replace(at, 1, "        ");
    }
    const auto dump = parse_dump(text);
    ASSERT_TRUE(dump) << first_problem(text);
    EXPECT_EQ(dump->functions[0].regions[0].size, 16384U);
    EXPECT_EQ(dump->notes.size(), 1U);
}

TEST(Dump, TakesDumpsOf64And256Bytes) {
    TestFunction small = endpoint("01:00.0");
    small.bytes.resize(64);
    EXPECT_EQ(first_problem(small.dump()), "");
    EXPECT_EQ(first_problem(endpoint("01:00.0").dump()), "");
    EXPECT_EQ(first_problem(endpoint("10000:01:00.0").dump()), "");
}

// A dump that ends too early is an error wherever it ends: its text says what must follow.
TEST(Dump, CutAnywhereIsAnError) {
    const std::string text = sample("nvme");
    const size_t whole = text.rfind("\nff0: ") + 1 + 5 + 16 * 3 - 1;
    for (size_t size = 0; size < whole; size += 5) {
        EXPECT_NE(first_problem(text.substr(0, size)), "") << "cut after " << size << " bytes";
    }
    EXPECT_EQ(first_problem(text.substr(0, whole)), "");
}

TEST(Dump, CutAtAnyLineOfSeveralDevicesNamesTheLine) {
    const std::string text = sample("nic");
    unsigned accepted = 0;
    unsigned line = 0;
    for (size_t at = text.find('\n'); at != std::string::npos; at = text.find('\n', at + 1)) {
        const auto dump = parse_dump(std::string_view(text).substr(0, at + 1));
        ++line;
        if (dump) {
            ++accepted;
            continue;
        }
        EXPECT_LE(dump.error().front().line, line);
        EXPECT_GT(dump.error().front().line, 0U);
    }
    EXPECT_EQ(accepted, 5U);  // behind each of the three devices, with or without an empty line
}

struct Lie {
    const char* name;
    std::string text;
    const char* problem;
};

class DumpLies : public testing::TestWithParam<Lie> {};

TEST_P(DumpLies, AreNamedWithTheirLine) {
    ASSERT_FALSE(GetParam().text.empty());
    EXPECT_THAT(first_problem(GetParam().text), HasSubstr(GetParam().problem));
}

const std::string kNvme = sample("nvme");
const std::string kSmall = endpoint("01:00.0").dump();

INSTANTIATE_TEST_SUITE_P(
    All, DumpLies,
    testing::Values(
        Lie{"Empty", " \n", "0: no device; expected the output of lspci -vvvnnxxxx"},
        Lie{"TreeOnly", "-[0000:00]-+-00.0\n           \\-01.0\n", "0: only the tree"},
        Lie{"Garbage", "hello\n", "1: 'hello'; expected a device's heading"},
        Lie{"Nul", std::string("01:00.0 \0 x\n", 12), "1: a NUL byte"},
        Lie{"LongLine", "01:00.0 " + std::string(100'000, 'x'), "1: a line of 100008 bytes"},
        Lie{"BytesFirst", kSmall.substr(kSmall.find('\n') + 1), "1: bytes without a device"},
        Lie{"NoBytes", "01:00.0 x\n\tControl: \n\n", "1: 01:00.0 has no bytes"},
        Lie{"ShortLine", replaced(kSmall, "\n20: 00 00", "\n20: 00"), "4: 20: has 15 bytes"},
        Lie{"LongerLine", replaced(kSmall, "\n20: 00", "\n20: 00 00"), "4: 20: has something else"},
        Lie{"NotHex", replaced(kSmall, "\n20: 00", "\n20: zz"), "4: 20: has"},
        Lie{"Gap", replaced(kSmall, "\n20: ", "\n30: "), "4: 30: where 20: should be"},
        Lie{"Again", replaced(kSmall, "\n20: ", "\n10: "), "4: the bytes of 10: again"},
        Lie{"OutOfOrder", replaced(kSmall, "\n20: ", "\n00: "), "4: the bytes of 00: again"},
        Lie{"Unaligned", replaced(kSmall, "\n20: ", "\n21: "), "4: 21: is no line"},
        Lie{"TooFar", replaced(sample("nvme"), "\nff0: ", "\n1000: "), "1000: is no line"},
        Lie{"Twice", kSmall + kSmall, "19: 01:00.0 again, first on line 1"},
        Lie{"Ids", replaced(kNvme, "[144d:a808]", "[144d:a809]"),
            "1: 01:00.0 is [144d:a809] here, and [144d:a808] in its bytes"},
        Lie{"SizeNoPowerOfTwo", replaced(kNvme, "[size=16K]", "[size=17K]"), "power of two"},
        Lie{"SizeZero", replaced(kNvme, "[size=16K]", "[size=0]"), "power of two"},
        Lie{"SizeOverflow", replaced(kNvme, "[size=16K]", "[size=99999999999999T]"),
            "power of two"},
        Lie{"SizeCut", replaced(kNvme, "[size=16K]\n", "[size=16\n"), "power of two"},
        Lie{"SizeLies", replaced(kNvme, "[size=16K]", "[size=2G]"), "is no multiple of that"},
        Lie{"Kind", replaced(kNvme, "(64-bit, non-pre", "(32-bit, non-pre"), "of another kind"},
        Lie{"RegionNumber", replaced(kNvme, "Region 0", "Region 7"), "'Region 7"},
        Lie{"Denied", replaced(kNvme, "Capabilities: [40]", "Capabilities: <access denied>"),
            "not allowed to read"}),
    [](const auto& one) { return std::string(one.param.name); });

TEST(Dump, ManyDevicesAreRefusedInTime) {
    std::string text;
    for (unsigned i = 0; i < 100'000; ++i) {
        text += fmt::format("{:04x}:{:02x}:{:02x}.0 x\n00: 86 80\n\n", i >> 13, i >> 5 & 255,
                            i & 31);
    }
    const auto dump = parse_dump(text);
    ASSERT_FALSE(dump);
    EXPECT_EQ(dump.error().size(), kMaxProblems);
    text.clear();
    for (unsigned i = 0; i < kMaxDumpFunctions + 5; ++i) {
        text += endpoint(fmt::format("{:02x}:{:02x}.0", i >> 5, i & 31)).dump();
    }
    EXPECT_THAT(first_problem(text), HasSubstr("more than 1024 functions"));
}

TEST(Dump, TreeLinesOfAnyKindEnd) {
    TreeText tree;
    for (const char* const line : {"-[", "-[0000:", "-[zz]-", "-[0000:00]-+-", " \\-", " +-1f.8",
                                   " +-20.0", "-[00]-+-1.", "|"}) {
        tree.line(line, 1);
    }
    EXPECT_TRUE(tree.addresses().empty());
}

}  // namespace
}  // namespace mimic::clone
