// SPDX-License-Identifier: Apache-2.0
// What `mimic regs` makes of the API's answer: text, changes, and nothing worse of answers that
// lie.
#include "commands/register_dump.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace mimic::commands {
namespace {

using Json = nlohmann::ordered_json;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

Json field(const char* name, unsigned hi, unsigned lo, const char* value, Json text = nullptr) {
    return {{"name", name}, {"hi", hi}, {"lo", lo}, {"value", value}, {"text", std::move(text)}};
}

Json reg(const char* name, const char* offset, unsigned width, const char* value,
         Json fields = Json::array()) {
    return {{"name", name},   {"offset", offset}, {"width", width},
            {"value", value}, {"doc", "A doc."},  {"fields", std::move(fields)}};
}

Json example(const char* command = "0x0002", const char* master = "0x0",
             const char* status = "0x00000000") {
    Json header = Json::array({reg("VENDOR_ID", "0x0", 16, "0x1de5"),
                               reg("COMMAND", "0x4", 16, command,
                                   Json::array({field("MEMORY_SPACE", 1, 1, "0x1"),
                                                field("BUS_MASTER", 2, 2, master)}))});
    Json express = Json::array(
        {reg("CAPABILITY_ID", "0x40", 8, "0x10"),
         reg("LNKSTA", "0x52", 16, "0x1105",
             Json::array({field("CURRENT_LINK_SPEED", 3, 0, "0x5", "32 GT/s")}))});
    Json map = Json::array(
        {reg("STATUS", "0x2c", 32, status, Json::array({field("VALUE", 31, 0, status)}))});
    Json sections = Json::array({{{"name", "Header"},
                                  {"id", nullptr},
                                  {"extended", false},
                                  {"offset", "0x0"},
                                  {"registers", header}},
                                 {{"name", "PCI Express"},
                                  {"id", "0x10"},
                                  {"extended", false},
                                  {"offset", "0x40"},
                                  {"registers", express}}});
    Json bars = Json::array(
        {{{"bar", 0},
          {"type", "memory32"},
          {"prefetchable", false},
          {"size", 4096},
          {"address", "0xfe000000"},
          {"maps",
           Json::array({{{"name", "mock_accel"}, {"offset", "0x0"}, {"registers", map}}})}}});
    const Json all{
        {"device", "gpu0"},
        {"time_ns", 5},
        {"config",
         {{"size", 256}, {"sections", sections}, {"problems", Json::array()}, {"hex", "e51d0100"}}},
        {"bars", bars}};
    return Json::parse(all.dump());  // numbers as they arrive: unsigned
}

RegisterDump dump_of(const Json& json) {
    auto dump = read_register_dump(json);
    EXPECT_TRUE(dump) << (dump ? "" : dump.error().message());
    return dump ? std::move(*dump) : RegisterDump{};
}

std::vector<std::string> texts(const std::vector<DumpLine>& lines) {
    std::vector<std::string> all;
    for (const auto& line : lines) all.push_back(line.text);
    return all;
}

std::vector<std::string> changes(const Json& before, const Json& now) {
    std::vector<std::string> all;
    for (const auto& one : compare_dumps(dump_of(before), dump_of(now))) all.push_back(one.line);
    return all;
}

TEST(RegisterDump, IsTextLikeThatOfLspci) {
    EXPECT_THAT(
        texts(dump_lines(dump_of(example()), {})),
        ElementsAre("[00] Header", "  000 VENDOR_ID = 1de5",
                    "  004 COMMAND = 0002: MEMORY_SPACE+ BUS_MASTER-", "[40] PCI Express (0x10)",
                    "  052 LNKSTA = 1105: CURRENT_LINK_SPEED=32 GT/s",
                    "BAR0: memory32, 4096 bytes at 0xfe000000", "BAR0 0x0 mock_accel",
                    "  02c STATUS = 00000000"));
}

TEST(RegisterDump, WrapsAndExplains) {
    DumpStyle style;
    style.docs = true;
    style.columns = 40;
    const auto lines = texts(dump_lines(dump_of(example()), style));
    EXPECT_THAT(lines, testing::Contains("  004 COMMAND = 0002: MEMORY_SPACE+"));
    EXPECT_THAT(lines, testing::Contains("        BUS_MASTER-"));
    EXPECT_THAT(lines, testing::Contains("        # A doc."));
}

TEST(RegisterDump, PrintsBytesAsLspciDoes) {
    EXPECT_THAT(hex_lines(dump_of(example()).config), ElementsAre("00: e5 1d 01 00"));
    const std::vector<uint8_t> bytes(4096, 0xff);
    const auto lines = hex_lines(bytes);
    ASSERT_EQ(lines.size(), 256u);
    EXPECT_THAT(lines[16], testing::StartsWith("100: ff"));
}

TEST(RegisterDump, NamesWhatChanged) {
    EXPECT_THAT(changes(example(), example()), IsEmpty());
    EXPECT_THAT(changes(example(), example("0x0006", "0x1")),
                ElementsAre("COMMAND.BUS_MASTER 0 -> 1"));
    EXPECT_THAT(changes(example(), example("0x0002", "0x0", "0x0000002a")),
                ElementsAre("BAR0.STATUS 0 -> 0x2a"));
    // A bit that no field names.
    EXPECT_THAT(changes(example(), example("0x0402")), ElementsAre("COMMAND 2 -> 0x402"));
}

TEST(RegisterDump, NamesWhatComesAndGoes) {
    auto without = example();
    without["config"]["sections"].erase(1);
    EXPECT_THAT(changes(without, example()),
                ElementsAre("CAPABILITY_ID appeared: 0x10", "LNKSTA appeared: 0x1105"));
    EXPECT_THAT(changes(example(), without),
                ElementsAre("[40] PCI Express (0x10) CAPABILITY_ID is gone",
                            "[40] PCI Express (0x10) LNKSTA is gone"));
}

TEST(RegisterDump, TextOfOthersIsHarmless) {
    auto json = example();
    json["config"]["sections"][0]["name"] = "\x1b[2J";
    json["config"]["sections"][0]["registers"][0]["name"] = "A\nB";
    json["config"]["problems"] = {"loop\x07"};
    const auto lines = texts(dump_lines(dump_of(json), {}));
    EXPECT_EQ(lines[0], "! loop?");
    EXPECT_EQ(lines[1], "[00] ?[2J");
    EXPECT_THAT(lines[2], HasSubstr("A?B"));
}

// Each member in turn becomes something else: an error, or a dump, and nothing worse.
void spoil(const Json& whole, const Json::json_pointer& at) {
    const Json& here = whole[at];
    for (const Json& wrong :
         {Json(), Json(-1), Json(1e300), Json("x"), Json("0xfffffffffffffffff"), Json::array({1}),
          Json::object(), Json(true), Json(uint64_t{1} << 63)}) {
        Json copy = whole;
        copy[at] = wrong;
        const auto dump = read_register_dump(copy);
        if (!dump) {
            EXPECT_EQ(dump.error().code(), std::errc::protocol_error);
            continue;
        }
        dump_lines(*dump, {});
        compare_dumps(*dump, *dump);
        hex_lines(dump->config);
    }
    if (here.is_object())
        for (const auto& [key, value] : here.items()) spoil(whole, at / key);
    if (here.is_array())
        for (size_t i = 0; i < here.size(); ++i) spoil(whole, at / i);
}

TEST(RegisterDump, AnswersThatLieAreErrors) {
    spoil(example(), Json::json_pointer());
    EXPECT_FALSE(read_register_dump({{"config", 1}}));
    auto field_order = example();
    field_order["config"]["sections"][0]["registers"][1]["fields"][0]["lo"] = 63u;
    EXPECT_FALSE(read_register_dump(field_order));
}

}  // namespace
}  // namespace mimic::commands
