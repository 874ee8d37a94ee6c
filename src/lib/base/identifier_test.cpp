// SPDX-License-Identifier: Apache-2.0
#include "base/identifier.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace mimic {
namespace {

using testing::HasSubstr;

TEST(IdentifierTest, UuidFillsBytesInPrintedOrderAndPrintsInLowerCase) {
    const auto id = parse_identifier("6BA7B810-9dad-11D1-80b4-00C04FD430C8");
    ASSERT_TRUE(id.has_value());
    EXPECT_THAT(id->uuid, testing::ElementsAre(0x6b, 0xa7, 0xb8, 0x10, 0x9d, 0xad, 0x11, 0xd1, 0x80,
                                               0xb4, 0x00, 0xc0, 0x4f, 0xd4, 0x30, 0xc8));
    EXPECT_FALSE(id->has_label());
    EXPECT_EQ(id->display(), "6ba7b810-9dad-11d1-80b4-00c04fd430c8");
}

TEST(IdentifierTest, AnyOtherTextIsTheLabelAndBeginsTheUuid) {
    const auto id = parse_identifier("NODE1-NUMA0-PF");
    ASSERT_TRUE(id.has_value());
    EXPECT_TRUE(id->has_label());
    EXPECT_EQ(id->display(), "NODE1-NUMA0-PF");
    EXPECT_EQ(std::string(id->uuid.begin(), id->uuid.end()), std::string("NODE1-NUMA0-PF\0\0", 16));
    EXPECT_EQ(id->label[14], 0);
    EXPECT_EQ(parse_identifier("MOCK-0000-0001-0000-000000000001")->display(),
              "MOCK-0000-0001-0000-000000000001");
}

TEST(IdentifierTest, AlmostUuidsAreLabelsWithCleanBytes) {
    for (const char* text :
         {"6ba7b810-9dad-11d1-80b4-00c04fd430cg", "6ba7b810+9dad-11d1-80b4-00c04fd430c8",
          "6ba7b8109-dad-11d1-80b4-00c04fd430c8", "6ba7b810-9dad-11d1-80b4-00c04fd430c"}) {
        const auto id = parse_identifier(text);
        ASSERT_TRUE(id.has_value());
        EXPECT_EQ(id->display(), text);
        EXPECT_EQ(id->uuid[0], '6');
    }
}

TEST(IdentifierTest, LengthsFrom1To63ArePossible) {
    EXPECT_TRUE(parse_identifier("x").has_value());
    EXPECT_EQ(parse_identifier(std::string(63, 'x'))->display(), std::string(63, 'x'));
    const auto empty = parse_identifier("");
    ASSERT_FALSE(empty.has_value());
    EXPECT_THAT(empty.error().message(), HasSubstr("empty"));
    const auto longer = parse_identifier(std::string(64, 'x'));
    ASSERT_FALSE(longer.has_value());
    EXPECT_THAT(longer.error().message(), HasSubstr("64 characters, at most 63"));
}

TEST(IdentifierTest, UnprintableBytesAreRefusedWithTheirPlace) {
    for (const char c : {'\0', '\n', '\x1f', '\x7f', '\x80', '\xff'}) {
        const auto id = parse_identifier(std::string("ab") + c);
        ASSERT_FALSE(id.has_value());
        EXPECT_THAT(id.error().message(), HasSubstr("byte 3"));
    }
    EXPECT_TRUE(parse_identifier(" ~").has_value());
}

TEST(IdentifierTest, SerialNumbersDifferAndAreLocallyAdministered) {
    const uint64_t one = parse_identifier("MOCK-0000-0001-0000-000000000001")->serial_number();
    const uint64_t two = parse_identifier("MOCK-0000-0001-0000-000000000002")->serial_number();
    EXPECT_NE(one, two);
    EXPECT_EQ((one >> 56) & 3, 2U);
    EXPECT_EQ((two >> 56) & 3, 2U);
}

}  // namespace
}  // namespace mimic
