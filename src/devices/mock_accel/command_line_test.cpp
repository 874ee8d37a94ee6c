// SPDX-License-Identifier: Apache-2.0
#include "devices/mock_accel/command_line.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace mimic::mock_accel {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

Result<CommandLine> parse(std::vector<std::string_view> arguments) {
    return parse_command_line(arguments);
}

void expect_refused(std::vector<std::string_view> arguments, const char* message) {
    const auto line = parse_command_line(arguments);
    ASSERT_FALSE(line.has_value()) << message;
    EXPECT_THAT(line.error().message(), HasSubstr(message));
}

uint32_t total_vfs(const CommandLine& line) {
    return std::get<StaticVfs>(std::get<Pf>(line.device.role).vfs).total;
}

uint32_t vf_index(const CommandLine& line) {
    return std::get<StaticVf>(line.device.role).index;
}

TEST(CommandLineTest, DefaultsAreThoseOfSeed001) {
    const auto line = parse({"/tmp/a.sock"});
    ASSERT_TRUE(line.has_value());
    EXPECT_EQ(line->action, CommandLine::Action::kServe);
    EXPECT_EQ(line->socket_path, "/tmp/a.sock");
    EXPECT_FALSE(line->verbose);
    EXPECT_FALSE(line->device.is_vf());
    EXPECT_EQ(line->device.identifier, "MOCK-0000-0001");
    EXPECT_EQ(line->device.memory_size_bytes, 16ULL << 30);
    EXPECT_EQ(total_vfs(*line), 4U);
    EXPECT_EQ(parse({"--vf", "s"})->device.memory_size_bytes, 2ULL << 30);
    EXPECT_EQ(vf_index(*parse({"--vf", "s"})), 0U);
}

TEST(CommandLineTest, ExamplesOfSeed001) {
    const auto pf = parse(
        {"-u", "MOCK-PF-0", "-m", "16G", "--total-vfs", "4", "/tmp/mock-pf-0.sock"});
    ASSERT_TRUE(pf.has_value());
    EXPECT_EQ(pf->device.identifier, "MOCK-PF-0");
    EXPECT_EQ(total_vfs(*pf), 4U);
    const auto vf = parse({"-u", "MOCK-VF-0", "-m", "2G", "--vf", "/tmp/mock-vf-0-0.sock"});
    ASSERT_TRUE(vf.has_value());
    EXPECT_TRUE(vf->device.is_vf());
    EXPECT_EQ(vf->device.memory_size_bytes, 2ULL << 30);
    EXPECT_TRUE(parse({"-v", "-u", "MOCK-NUMA0-0001", "/tmp/mock-accel-0.sock"})->verbose);
    EXPECT_EQ(vf_index(*parse({"--vf", "--vf-index", "3", "s"})), 3U);
}

TEST(CommandLineTest, FormsOfGetoptLong) {
    EXPECT_EQ(parse({"-vuID", "-m64K", "s"})->device.identifier, "ID");
    EXPECT_EQ(total_vfs(*parse({"s", "--total-vfs=7"})), 7U);
    EXPECT_EQ(total_vfs(*parse({"--total", "0", "s"})), 0U);
    EXPECT_EQ(parse({"--", "-v"})->socket_path, "-v");
    EXPECT_EQ(parse({"-m", "1G", "-m", "2G", "s"})->device.memory_size_bytes, 2ULL << 30);
    EXPECT_TRUE(parse({"--vf", "s"})->device.is_vf());  // an exact name is not ambiguous
    expect_refused({"--v", "s"}, "ambiguous");
}

TEST(CommandLineTest, HelpAndVersionWinOverWhatFollows) {
    EXPECT_EQ(parse({"--help"})->action, CommandLine::Action::kHelp);
    EXPECT_EQ(parse({"-h", "--nonsense"})->action, CommandLine::Action::kHelp);
    EXPECT_EQ(parse({"-vh"})->action, CommandLine::Action::kHelp);
    EXPECT_EQ(parse({"--version", "a", "b"})->action, CommandLine::Action::kVersion);
    for (const char* option :
         {"-v ", "-u UUID", "-m SIZE", "--vf ", "--vf-index N", "--total-vfs N"}) {
        EXPECT_THAT(std::string(usage()), HasSubstr(option));
    }
}

TEST(CommandLineTest, IgnoredOptionsAreWarnedOf) {
    EXPECT_THAT(parse({"--vf", "--total-vfs", "2", "s"})->warnings,
                ElementsAre("--total-vfs is ignored with --vf."));
    EXPECT_THAT(parse({"--vf-index", "2", "s"})->warnings,
                ElementsAre("--vf-index is ignored without --vf."));
    EXPECT_THAT(parse({"s"})->warnings, ElementsAre());
}

TEST(CommandLineTest, BadArgumentsAreNamed) {
    expect_refused({}, "socket path is missing");
    expect_refused({"a", "b"}, "two socket paths, 'a' and 'b'");
    expect_refused({""}, "socket path is empty");
    expect_refused({"-x", "s"}, "unknown option '-x'");
    expect_refused({"-\x01", "s"}, "unknown option '-?'");
    expect_refused({"--frobnicate", "s"}, "unknown option '--frobnicate'");
    expect_refused({"s", "-u"}, "-u needs a value");
    expect_refused({"s", "--total-vfs"}, "--total-vfs needs a value");
    expect_refused({"--vf=1", "s"}, "--vf takes no value");
    expect_refused({"--=1", "s"}, "unknown option '--'");
    expect_refused({"-u", "", "s"}, "-u: the identifier is empty");
    expect_refused({"-u", "a\tb", "s"}, "byte 2 of the identifier");
    for (const char* count : {"8", "-1", "", "1x", "99999999999", " 1"}) {
        expect_refused({"--total-vfs", count, "s"}, "needs a number from 0 to 7");
    }
    expect_refused({"--vf", "--vf-index", "7", "s"}, "--vf-index needs a number from 0 to 6");
    expect_refused({"-m", "16Q", "s"}, "-m: '16Q' is no size");
}

TEST(CommandLineTest, SizesHaveSuffixesOfEitherCase) {
    EXPECT_EQ(parse_size("4096"), 4096U);
    EXPECT_EQ(parse_size("64K"), 65536U);
    EXPECT_EQ(parse_size("512m"), 512ULL << 20);
    EXPECT_EQ(parse_size("16g"), 16ULL << 30);
    EXPECT_EQ(parse_size("1T"), 1ULL << 40);
    EXPECT_EQ(parse_size("18446744073709551615"), ~uint64_t{0});
    EXPECT_EQ(parse_size("17179869183G"), 17179869183ULL << 30);
}

TEST(CommandLineTest, BadSizesAreRefused) {
    for (const char* text :
         {"", "G", "-1", "+1", " 1", "1 ", "1GB", "1.5G", "0x10", "16P", "1G1"}) {
        const auto size = parse_size(text);
        ASSERT_FALSE(size.has_value()) << text;
        EXPECT_THAT(size.error().message(), HasSubstr("is no size")) << text;
    }
    for (const char* text : {"18446744073709551616", "17179869184G", "16777216T"}) {
        const auto size = parse_size(text);
        ASSERT_FALSE(size.has_value()) << text;
        EXPECT_THAT(size.error().message(), HasSubstr("more than 64 bits")) << text;
    }
    EXPECT_FALSE(parse_size("0").has_value());
    EXPECT_FALSE(parse_size("0G").has_value());
}

}  // namespace
}  // namespace mimic::mock_accel
