// SPDX-License-Identifier: Apache-2.0
#include "trace/writer.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <utility>

namespace mimic::trace {
namespace {

using Json = nlohmann::ordered_json;
using pci::TraceKind;

std::vector<Event> session() {
    std::vector<Event> events;
    const auto add = [&events](const char* device, TraceKind kind) -> Event& {
        Event& event = events.emplace_back();
        event.sequence = events.size();
        event.time_ns = 5'000'000'000 + 1'500'250 * static_cast<int64_t>(events.size() - 1);
        event.device = device;
        event.kind = kind;
        return event;
    };
    Event& config = add("gpu0", TraceKind::kConfigWrite);
    config.address = 4;
    config.size = 2;
    config.data = {6, 0};
    config.reg = "COMMAND";
    config.fields = {{"IO_SPACE", 0}, {"MEMORY_SPACE", 1}, {"BUS_MASTER", 1}};
    Event& read = add("gpu0", TraceKind::kBarRead);
    read.address = 0x1c;
    read.size = 4;
    read.data = {0xff, 0xff, 0xff, 0xff};
    read.flags = pci::kTraceFaulted;
    Event& dma = add("nic0", TraceKind::kDmaRead);
    dma.address = 0x1000;
    dma.size = 64;
    dma.data.assign(64, 0xab);
    dma.flags = pci::kTraceLater;
    Event& map = add("nic0", TraceKind::kDmaMap);
    map.address = 0x2000;
    map.size = 4096;
    map.bar = 2;
    add("gpu0", TraceKind::kMsix).value = 3;
    add("gpu0", TraceKind::kReset).value = 0;
    Event& error = add("gpu0", TraceKind::kError);
    error.value = 0x10;
    error.address = 2;
    add("gpu0", TraceKind::kVfs).value = 2;
    Event& fault = add("gpu0", TraceKind::kFault);
    fault.value = 1;
    fault.text = "irq-lost armed";
    return events;
}

std::string written(Format format, uint64_t lost = 0) {
    std::string text;
    const auto writer = make_writer(format, [&text](std::string_view more) { text += more; });
    writer->begin({.mimic = "0.1.0",
                   .machine = "box",
                   .topology = "",
                   .devices = {"gpu0", "nic0"},
                   .data_bytes = 0});
    for (const Event& event : session()) writer->event(event);
    writer->end(session().size(), lost);
    return text;
}

TEST(Writer, Text) {
    EXPECT_EQ(
        written(Format::kText, 7),
        "   +0.000000 gpu0  config write COMMAND(0x4) = 0x6 MEMORY_SPACE BUS_MASTER\n"
        "   +0.001500 gpu0  BAR0 read 0x1c = 0xffffffff (answered by a fault)\n"
        "   +0.003000 nic0  DMA read 0x1000, 64 bytes: ab ab ab ab ab ab ab ab ab ab ab ab ab "
        "ab ab ab .. (ends)\n"
        "   +0.004500 nic0  DMA map 0x2000, 4096 bytes for writing\n"
        "   +0.006001 gpu0  MSI-X vector 3\n"
        "   +0.007501 gpu0  reset (function level)\n"
        "   +0.009001 gpu0  error 0x10, fatal\n"
        "   +0.010501 gpu0  2 VFs\n"
        "   +0.012002 gpu0  fault 1: irq-lost armed\n"
        "(7 events were overwritten before they were read)\n");
}

TEST(Writer, JsonLinesAreATraceFile) {
    const std::string text = written(Format::kJsonLines);
    EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 11);
    EXPECT_EQ(text.substr(text.rfind("{\"end\"")), "{\"end\":true,\"events\":9,\"lost\":0}\n");
}

// The fields that the format's description demands of each phase that is used.
TEST(Writer, PerfettoOpensIt) {
    const Json json = Json::parse(written(Format::kPerfetto), nullptr, false);
    ASSERT_TRUE(json.is_object());
    EXPECT_EQ(json["displayTimeUnit"], "ns");
    std::map<std::string, int> phases;
    double last = 0;
    for (const Json& event : json["traceEvents"]) {
        const auto phase = event.at("ph").get<std::string>();
        ++phases[phase];
        EXPECT_TRUE(event.at("name").is_string());
        EXPECT_TRUE(event.at("pid").is_number_integer());
        if (phase == "M") {
            if (event["name"] == "thread_sort_index") {
                EXPECT_TRUE(event.at("args").at("sort_index").is_number_integer());
                continue;
            }
            EXPECT_TRUE(event["name"] == "process_name" || event["name"] == "thread_name");
            EXPECT_TRUE(event.at("args").at("name").is_string());
            continue;
        }
        ASSERT_TRUE(event.at("ts").is_number());
        EXPECT_GE(event["ts"].get<double>(), last);
        last = event["ts"].get<double>();
        if (phase == "i") {
            EXPECT_EQ(event.at("s"), "t");
            EXPECT_TRUE(event.at("tid").is_number_integer());
            EXPECT_TRUE(event.at("cat").is_string());
        } else {
            EXPECT_EQ(phase, "C");
            for (const auto& [key, value] : event.at("args").items())
                EXPECT_TRUE(value.is_number()) << key;
        }
    }
    EXPECT_EQ(phases["M"], 5);
    EXPECT_EQ(phases["i"], 9);
    EXPECT_EQ(phases["C"], 3);
    EXPECT_NE(written(Format::kPerfetto).find("\"ts\":5001500.250}"), std::string::npos);
}

TEST(Writer, FormatsByName) {
    EXPECT_EQ(*parse_format("perfetto"), Format::kPerfetto);
    const auto wrong = parse_format("json");
    ASSERT_FALSE(wrong);
    EXPECT_NE(wrong.error().message().find("jsonl"), std::string::npos);
}

}  // namespace
}  // namespace mimic::trace
