// SPDX-License-Identifier: Apache-2.0
// The parser against samples, cuts and lies.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "dump/dump.h"
#include "dump/test_samples.h"

namespace mimic::dump {
namespace {

using testing::HasSubstr;

/// "line: message" of the first problem, empty if there is none.
std::string first_problem(const std::string& text) {
    const auto dump = parse_dump(text);
    if (dump) return "";
    return fmt::format("{}: {}", dump.error().front().line, dump.error().front().message);
}

std::string problem_text_of(const std::vector<Problem>& problems) {
    std::string out;
    for (const Problem& one : problems) out += one.message + "\n";
    return out;
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

// A dump that ends too early is an error wherever it ends, but where lspci -x or -xxx ends: then
// its text says what is missing.
TEST(Dump, CutAnywhereIsAnError) {
    const std::string text = sample("nvme");
    const auto end_of = [&text](const char* line) {
        const size_t at = text.rfind(line);
        return text.find('\n', at + 1);
    };
    std::vector<size_t> sizes;
    for (size_t size = 0; size < end_of("\nff0: "); size += 97) sizes.push_back(size);
    for (const char* const line : {"\n30: ", "\nf0: ", "\n100: ", "\nff0: "}) {
        for (size_t size = end_of(line) - 3; size < end_of(line) + 3; ++size) {
            if (size < end_of("\nff0: ")) sizes.push_back(size);
        }
    }
    for (const size_t size : sizes) {
        const auto dump = parse_dump(std::string_view(text).substr(0, size));
        const bool is_whole = size == end_of("\n30: ") || size == end_of("\n30: ") + 1 ||
                              size == end_of("\nf0: ") || size == end_of("\nf0: ") + 1;
        ASSERT_EQ(dump.has_value(), is_whole) << "cut after " << size << " bytes";
        if (dump) {
            EXPECT_THAT(dump->functions.at(0).losses, testing::Not(testing::IsEmpty()));
        }
    }
    EXPECT_EQ(first_problem(text.substr(0, end_of("\nff0: "))), "");
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
    // Behind each of the three devices, with or without an empty line, and where -x and -xxx end.
    EXPECT_EQ(accepted, 11U);
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
            "1: 01:00.0 cannot be cloned: it is [144d:a809] in its heading, and [144d:a808] in "
            "its"},
        Lie{"SizeZero", replaced(kNvme, "[size=16K]", "[size=0]"), "expected a size"},
        Lie{"SizeOverflow", replaced(kNvme, "[size=16K]", "[size=99999999999999T]"),
            "expected a size"},
        Lie{"SizeCut", replaced(kNvme, "[size=16K]\n", "[size=16\n"), "expected a size"},
        Lie{"Utf16",
            std::string("\xff\xfe"
                        "0\0001\0:\0",
                        8),
            "0: UTF-16 text"},
        Lie{"Utf16WithoutAMark", std::string("0\0001\0:\0000\0", 8), "0: UTF-16 text"},
        Lie{"Utf16BigEndian", std::string("\0000\0001\0:\0000", 8), "0: UTF-16 text"},
        Lie{"Gzip", "\x1f\x8b\x08", "0: a file packed by gzip"},
        Lie{"NoBytesLast", kSmall + "02:00.0 x\n\n", "19: 02:00.0 has no bytes"},
        Lie{"RegionNumber", replaced(kNvme, "Region 0", "Region 7"), "'Region 7"},
        Lie{"Denied", replaced(kSmall, "A device\n", "A device\n\tCapabilities: <access denied>\n"),
            "2: lspci was not allowed to read"}),
    [](const auto& one) { return std::string(one.param.name); });

// What is odd about one function is told, and the others are there.
TEST(Dump, OneBadFunctionIsOneLoss) {
    const std::string good = endpoint("01:00.0").dump();
    const auto lost = [&good](const std::string& bad) -> std::string {
        for (const std::string& text : {bad + good, good + bad + endpoint("03:00.0").dump()}) {
            const auto dump = parse_dump(text);
            if (!dump) return problem_text_of(dump.error());
            if (dump->lost.size() != 1) return "not one loss";
        }
        return parse_dump(bad + good)->lost[0].why;
    };
    EXPECT_THAT(lost("02:00.0 x\n\n"), HasSubstr("it has no bytes in the dump"));
    EXPECT_THAT(lost("02:00.0 x\nWARNING: Cannot show hex-dump of the config space\n\n"),
                HasSubstr("lspci could not read"));
    EXPECT_THAT(lost(replaced(endpoint("02:00.0").dump(), "A device", "A [8086:ffff]")),
                HasSubstr("[8086:ffff] in its heading"));
}

TEST(Dump, RegionsOfTheKernelAreMarked) {
    TestFunction device = endpoint("01:00.0");
    device.text =
        "\tRegion 0: [virtual] Memory at 843000000000 (32-bit, non-prefetchable) [size=1G]\n"
        "\tRegion 1: Memory at 3f6 (type 3, non-prefetchable) [virtual] [size=960K]\n"
        "\tRegion 2: Memory at <unassigned> (32-bit, non-prefetchable) [enhanced] [size=4K]\n"
        "\tRegion 3: I/O ports at 01f0 [size=8]\n"
        "\tExpansion ROM at 000c0000 [virtual] [disabled] [size=128K]\n";
    const auto dump = parse_dump(device.dump());
    ASSERT_TRUE(dump);
    const DumpFunction& read = dump->functions[0];
    EXPECT_TRUE(read.regions[0].is_virtual);
    EXPECT_EQ(read.regions[0].address, 0x8430'0000'0000U);
    EXPECT_EQ(read.regions[0].size, 1U << 30);
    EXPECT_TRUE(read.regions[1].is_virtual);
    EXPECT_EQ(read.regions[1].size, 0U);
    EXPECT_EQ(read.regions[1].odd_size, "[size=960K]");
    EXPECT_TRUE(read.regions[2].is_enhanced);
    EXPECT_FALSE(read.regions[2].address);
    EXPECT_TRUE(read.regions[3].is_io);
    EXPECT_EQ(read.regions[3].address, 0x1f0U);
    EXPECT_EQ(read.rom.address, 0xc0000U);
}

TEST(Dump, ByteOrderMarkIsSkippedAndTold) {
    const auto dump = parse_dump("\xef\xbb\xbf" + endpoint("01:00.0").dump());
    ASSERT_TRUE(dump);
    EXPECT_THAT(dump->notes, testing::ElementsAre(HasSubstr("byte order mark")));
}

// lspci -vvv -xxx: the text goes on where the bytes end.
TEST(Dump, CapabilitiesBehindTheBytesAreListed) {
    TestFunction device = endpoint("01:00.0");
    device.text =
        "\tCapabilities: [100 v2] Advanced Error Reporting\n"
        "\tCapabilities: [40] Power Management version 3\n"
        "\tCapabilities: [150 v1] Alternative Routing-ID Interpretation (ARI)\n";
    const auto dump = parse_dump(device.dump());
    ASSERT_TRUE(dump);
    EXPECT_THAT(dump->functions[0].losses,
                testing::ElementsAre(HasSubstr("[100] Advanced Error Reporting: in the text"),
                                     HasSubstr("[150] Alternative Routing-ID")));
}

TEST(Dump, CapabilitiesDeniedForOneFunctionAreALoss) {
    TestFunction denied = endpoint("01:00.0");
    denied.text = "\tCapabilities: <access denied>\n";
    TestFunction read = endpoint("02:00.0");
    read.text = "\tCapabilities: [40] Power Management version 3\n";
    const auto dump = parse_dump(denied.dump() + read.dump());
    ASSERT_TRUE(dump);
    EXPECT_THAT(dump->functions[0].losses, testing::ElementsAre(HasSubstr("not allowed")));
}

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
}  // namespace mimic::dump
