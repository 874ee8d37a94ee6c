// SPDX-License-Identifier: Apache-2.0
#include "yaml/scalars.h"

#include <gtest/gtest.h>

namespace mimic::yaml {
namespace {

TEST(Scalars, Numbers) {
    EXPECT_EQ(parse_number("0"), 0u);
    EXPECT_EQ(parse_number("0x1F"), 31u);
    EXPECT_EQ(parse_number("18446744073709551615"), UINT64_MAX);
    for (const char* bad : {"", "0x", "-1", "+1", " 1", "1 ", "1.0", "1e3", "0x1g", "0b1", "1_000",
                            "18446744073709551616"}) {
        EXPECT_FALSE(parse_number(bad)) << bad;
    }
}

TEST(Scalars, Sizes) {
    EXPECT_EQ(parse_size("4097"), 4097u);
    EXPECT_EQ(parse_size("2G"), 2ull << 30);
    EXPECT_EQ(parse_size("1k"), 1024u);
    EXPECT_EQ(parse_size("16GiB"), 16ull << 30);
    EXPECT_EQ(parse_size("16383P"), 16383ull << 50);
    for (const char* bad : {"", "G", "iB", "16iB", "16GB", "16 G", "-1G", "0x10", "16384P", "1GG",
                            "1.5G", "99999999999999999999"}) {
        EXPECT_FALSE(parse_size(bad)) << bad;
    }
    EXPECT_EQ(format_size(0), "0");
    EXPECT_EQ(format_size(512ull << 20), "512M");
    EXPECT_EQ(format_size(4097), "4097");
}

TEST(Scalars, Durations) {
    EXPECT_EQ(parse_duration("10us"), 10'000'000u);
    EXPECT_EQ(parse_duration("1.5ns"), 1500u);
    EXPECT_EQ(parse_duration("1.250ns"), 1250u);
    EXPECT_EQ(parse_duration("1.5000ns"), 1500u);
    EXPECT_EQ(parse_duration("0s"), 0u);
    EXPECT_EQ(parse_duration("18446744s"), 18446744'000'000'000'000u);
    for (const char* bad : {"", "us", "1", "1 us", "-1us", "1.us", ".5us", "1.2.3us", "0.5ps",
                            "1.0001ns", "18446745s", "0x1us", "1US", "1e3us"}) {
        EXPECT_FALSE(parse_duration(bad)) << bad;
    }
}

TEST(Scalars, Frequencies) {
    EXPECT_EQ(parse_frequency("1GHz"), 1'000'000'000u);
    EXPECT_EQ(parse_frequency("2.4GHz"), 2'400'000'000u);
    EXPECT_EQ(parse_frequency("50Hz"), 50u);
    for (const char* bad : {"", "1", "1G", "1ghz", "0.5Hz", "Hz", "18446745THz"})
        EXPECT_FALSE(parse_frequency(bad)) << bad;
}

TEST(Scalars, Reals) {
    EXPECT_EQ(parse_real("0.5"), 0.5);
    EXPECT_EQ(parse_real("2"), 2.0);
    EXPECT_EQ(parse_real("1e3"), 1000.0);
    for (const char* bad : {"", "nan", "inf", "1e999", "1x", " 1", "0x1p3", "+1"})
        EXPECT_FALSE(parse_real(bad)) << bad;
}

TEST(Scalars, Labels) {
    for (const char* good : {"a", "0", "a-b", "node1"}) EXPECT_TRUE(is_label(good)) << good;
    for (const char* bad : {"", "-", "a-", "-a", "A", "a_b", "a.b", "a/b"}) {
        EXPECT_FALSE(is_label(bad)) << bad;
    }
    EXPECT_TRUE(is_label(std::string(63, 'a')));
    EXPECT_FALSE(is_label(std::string(64, 'a')));
}

TEST(Scalars, NearestWord) {
    constexpr std::string_view kWords[] = {"memory", "name", "numa_node"};
    EXPECT_EQ(nearest("memroy", kWords), "memory");
    EXPECT_EQ(nearest("numanode", kWords), "numa_node");
    EXPECT_EQ(nearest("colour", kWords), "");
    EXPECT_EQ(nearest(std::string(1 << 20, 'm'), kWords), "");
}

}  // namespace
}  // namespace mimic::yaml
