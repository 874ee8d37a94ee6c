// SPDX-License-Identifier: Apache-2.0
#include "trace/event.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace mimic::trace {
namespace {

using Json = nlohmann::ordered_json;
using pci::TraceKind;

Event bar_write() {
    return {.sequence = 3,
            .time_ns = 81'934,
            .device = "gpu0",
            .kind = TraceKind::kBarWrite,
            .bar = 2,
            .address = 0x10,
            .size = 4,
            .data = {1, 0, 0, 0x80},
            .text = {},
            .reg = "CTRL",
            .fields = {{"ENABLE", 1}, {"MODE", 0}}};
}

TEST(Event, JsonOfAnAccess) {
    EXPECT_EQ(to_json(bar_write()).dump(),
              R"({"seq":3,"t":81934,"device":"gpu0","kind":"bar-write","bar":2,"addr":"0x10",)"
              R"("size":4,"value":"0x80000001","reg":"CTRL",)"
              R"("fields":{"ENABLE":"0x1","MODE":"0x0"}})");
}

// What is written is what is read, for every kind and flag.
TEST(Event, GoesThroughJsonUnchanged) {
    for (unsigned kind = 0; kind < pci::kTraceKinds; ++kind) {
        Event event = bar_write();
        event.kind = static_cast<TraceKind>(kind);
        event.flags = static_cast<uint8_t>(event.is_dma() ? pci::kTraceLater | pci::kTraceFailed
                                                          : pci::kTraceFaulted);
        event.value = event.is_access() || event.kind >= TraceKind::kState ? 0 : 2;
        event.text = "a \"text\"";
        const bool attached = event.kind == TraceKind::kAttach || event.kind == TraceKind::kDetach;
        if (attached || event.kind == TraceKind::kDmaMap) event.value = 0;
        if (event.kind == TraceKind::kError) event.address = 1;
        const bool has_data = event.is_access() || event.is_dma() ||
                              event.kind == TraceKind::kDmaData;
        if (!has_data) event.data.clear();
        const Json json = to_json(event);
        const auto back = parse_event(json);
        ASSERT_TRUE(back) << json << back.error().message();
        EXPECT_EQ(to_json(*back), json);
        EXPECT_EQ(back->value, event.value) << json;
        EXPECT_EQ(back->flags, event.flags) << json;
        EXPECT_EQ(back->data, event.data) << json;
    }
}

TEST(Event, ADoorbellHasALengthAndItsInterrupt) {
    Event event = bar_write();
    event.duration_ns = 1234;
    event.flags = pci::kTraceDoorbell;
    event.interrupt = 5;
    const Json json = to_json(event);
    EXPECT_EQ(json["dur"], 1234);
    EXPECT_EQ(json["interrupt"], 5);
    const auto back = parse_event(json);
    ASSERT_TRUE(back);
    EXPECT_EQ(back->duration_ns, 1234);
    EXPECT_EQ(back->interrupt, 5U);
}

TEST(Event, ARequestHasSimulatedTimes) {
    const Event event{.sequence = 1,
                      .time_ns = 5,
                      .device = "sst0",
                      .kind = TraceKind::kRequest,
                      .bar = 3,
                      .address = 1000,
                      .size = 2500,
                      .value = 42,
                      .data = {},
                      .text = "COMPUTE"};
    EXPECT_EQ(to_json(event).dump(),
              R"({"seq":1,"t":5,"device":"sst0","kind":"request","queue":3,"begun_ns":1000,)"
              R"("took_ns":2500,"value":"0x2a","text":"COMPUTE"})");
    EXPECT_EQ(parse_event(to_json(event))->size, 2500U);
}

TEST(Event, LongAccessesAreBytes) {
    Event event = bar_write();
    event.data.assign(12, 0xab);
    event.size = 12;
    const Json json = to_json(event);
    EXPECT_EQ(json["data"], "abababababababababababab");
    EXPECT_EQ(parse_event(json)->data, event.data);
}

TEST(Event, WrongMembersAreNamed) {
    const Json right = to_json(bar_write());
    const std::vector<std::pair<const char*, Json>> wrong{
        {"seq", -1},
        {"seq", "1"},
        {"seq", 1.5},
        {"t", -5},
        {"t", UINT64_MAX},
        {"t", INT64_MAX},
        {"device", 1},
        {"device", std::string(257, 'x')},
        {"kind", "bar-poke"},
        {"kind", nullptr},
        {"bar", 6},
        {"addr", 16},
        {"addr", "16"},
        {"addr", "0x"},
        {"addr", "0x11112222333344445"},
        {"addr", "0xg"},
        {"size", 0},
        {"size", 9},
        {"size", -1},
        {"size", UINT64_MAX},
        {"value", "0x100000000"},
        {"value", 1},
        {"fields", Json::array()},
        {"fields", {{"A", 1}}},
        {"reg", Json::object()},
        {"text", std::string(65 << 10, 'x')},
        {"later", 1},
        {"dur", -1},
        {"dur", INT64_MAX / 2},
    };
    for (const auto& [key, value] : wrong) {
        Json json = right;
        json[key] = value;
        const auto parsed = parse_event(json);
        ASSERT_FALSE(parsed) << key << " " << value;
        EXPECT_NE(parsed.error().message().find(std::string("\"") + key + "\""), std::string::npos)
            << parsed.error().message();
    }
    for (const char* key : {"seq", "t", "device", "kind", "bar", "addr", "size"}) {
        Json json = right;
        json.erase(key);
        EXPECT_FALSE(parse_event(json)) << key;
    }
    EXPECT_FALSE(parse_event(Json::array()));
}

TEST(Event, DataMustFitItsSize) {
    Json json = to_json(bar_write());
    json.erase("value");
    for (const char* data : {"0", "zz", "0102030405", "01 2"}) {
        json["data"] = data;
        EXPECT_FALSE(parse_event(json)) << data;
    }
    json["data"] = "01020304";
    EXPECT_TRUE(parse_event(json));
}

}  // namespace
}  // namespace mimic::trace
