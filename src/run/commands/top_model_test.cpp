// SPDX-License-Identifier: Apache-2.0
// Rates, order, folding and text of `mimic top`.
#include "commands/top_model.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "commands/terminal_text.h"

namespace mimic::commands {
namespace {

using Json = nlohmann::ordered_json;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr int64_t kSecond = 1'000'000'000;

TopDevice device(const std::string& name, TopCounters counters, const std::string& pf = "") {
    TopDevice out;
    out.name = name;
    out.kind = pf.empty() ? "function" : "virtual-function";
    out.pf = pf;
    out.counters = counters;
    return out;
}

TopSample sample(int64_t time_ns, std::vector<TopDevice> devices) {
    return {time_ns, {{"box", "running", "", std::move(devices)}}};
}

std::vector<std::string> names(const std::vector<TopRow>& rows) {
    std::vector<std::string> all;
    for (const auto& row : rows) all.push_back(std::string(row.depth, '.') + row.name);
    return all;
}

const TopRow& row(const std::vector<TopRow>& rows, const std::string& name) {
    for (const auto& one : rows)
        if (one.name == name) return one;
    ADD_FAILURE() << "no row " << name;
    return rows.front();
}

TEST(TopModel, RatesAreOfTheTimeThatPassed) {
    TopModel model;
    model.update(sample(0, {device("gpu0", {100, 10, 1000})}));
    EXPECT_FALSE(row(model.rows({}), "gpu0").rates);
    model.update(sample(2 * kSecond, {device("gpu0", {300, 14, 5000})}));
    const auto rates = row(model.rows({}), "gpu0").rates;
    ASSERT_TRUE(rates);
    EXPECT_DOUBLE_EQ(rates->accesses, 100);
    EXPECT_DOUBLE_EQ(rates->interrupts, 2);
    EXPECT_DOUBLE_EQ(rates->dma_bytes, 2000);
}

TEST(TopModel, CountersThatGoBackAreNoRate) {
    TopModel model;
    model.update(sample(0, {device("gpu0", {100, 10, 1000})}));
    model.update(sample(kSecond, {device("gpu0", {5000, 3, 2000})}));
    EXPECT_FALSE(row(model.rows({}), "gpu0").rates);
    model.update(sample(2 * kSecond, {device("gpu0", {5010, 3, 2000})}));
    EXPECT_DOUBLE_EQ(row(model.rows({}), "gpu0").rates->accesses, 10);
    // Time that stands still is no reason to divide by zero.
    model.update(sample(2 * kSecond, {device("gpu0", {5020, 3, 2000})}));
    EXPECT_FALSE(row(model.rows({}), "gpu0").rates);
}

TEST(TopModel, DevicesComeAndGo) {
    TopModel model;
    model.update(sample(0, {device("gpu0", {1, 0, 0})}));
    model.update(sample(kSecond, {device("gpu1", {1, 0, 0})}));
    EXPECT_THAT(names(model.rows({})), ElementsAre("box", ".gpu1"));
    EXPECT_FALSE(row(model.rows({}), "gpu1").rates);
    model.update({2 * kSecond, {}});
    EXPECT_THAT(model.rows({}), IsEmpty());
    EXPECT_EQ(model.devices(), 0u);
}

TopModel busy_model() {
    TopModel model;
    auto pf = device("gpu2", {0, 0, 0});
    pf.vfs = 2;
    pf.total_vfs = 64;
    auto faulty = device("gpu10", {0, 0, 0});
    faulty.faults = 1;
    auto end = device("fabric0", {0, 0, 0});
    end.kind = "fabric";
    model.update(sample(0, {device("gpu2-vf1", {0, 0, 0}, "gpu2"), pf,
                            device("gpu2-vf0", {0, 0, 0}, "gpu2"), faulty, end}));
    pf.counters = {5, 1, 0};
    faulty.counters = {20, 0, 0};
    end.counters = {1000, 100, 0};
    model.update(sample(kSecond, {device("gpu2-vf1", {40, 0, 300}, "gpu2"), pf,
                                  device("gpu2-vf0", {10, 7, 100}, "gpu2"), faulty, end}));
    return model;
}

TEST(TopModel, SortsByEachKey) {
    const TopModel model = busy_model();
    TopView view;
    const auto order = [&](TopSort sort) {
        view.sort = sort;
        return names(model.rows(view));
    };
    EXPECT_THAT(order(TopSort::kName), ElementsAre("box", ".fabric0", ".gpu2", ".gpu10"));
    EXPECT_THAT(order(TopSort::kAccesses), ElementsAre("box", ".fabric0", ".gpu2", ".gpu10"));
    EXPECT_THAT(order(TopSort::kInterrupts), ElementsAre("box", ".fabric0", ".gpu2", ".gpu10"));
    EXPECT_THAT(order(TopSort::kDma), ElementsAre("box", ".gpu2", ".fabric0", ".gpu10"));
    EXPECT_THAT(order(TopSort::kFaults), ElementsAre("box", ".gpu10", ".fabric0", ".gpu2"));
    view.fold_vfs = false;
    EXPECT_THAT(order(TopSort::kAccesses),
                ElementsAre("box", ".fabric0", ".gpu10", ".gpu2", "..gpu2-vf1", "..gpu2-vf0"));
    EXPECT_THAT(order(TopSort::kName),
                ElementsAre("box", ".fabric0", ".gpu2", "..gpu2-vf0", "..gpu2-vf1", ".gpu10"));
}

TEST(TopModel, FoldedVfsCountForTheirPf) {
    const TopModel model = busy_model();
    TopView view;
    EXPECT_DOUBLE_EQ(row(model.rows(view), "gpu2").rates->accesses, 55);
    view.fold_vfs = false;
    EXPECT_DOUBLE_EQ(row(model.rows(view), "gpu2").rates->accesses, 5);
    EXPECT_DOUBLE_EQ(row(model.rows(view), "gpu2-vf0").rates->interrupts, 7);
    // The fabric's endpoint carries what its functions count.
    EXPECT_DOUBLE_EQ(row(model.rows(view), "box").rates->accesses, 75);
    EXPECT_EQ(row(model.rows(view), "gpu2").vfs, "2/64");
    EXPECT_EQ(row(model.rows(view), "box").faults, 1u);
}

TEST(TopModel, Filters) {
    const TopModel model = busy_model();
    TopView view;
    view.filter = "GPU10";
    EXPECT_THAT(names(model.rows(view)), ElementsAre("box", ".gpu10"));
    view.filter = "vf1";
    EXPECT_THAT(names(model.rows(view)), ElementsAre("box", ".gpu2"));
    view.fold_vfs = false;
    EXPECT_THAT(names(model.rows(view)), ElementsAre("box", ".gpu2", "..gpu2-vf1"));
    view.filter = "nothing";
    EXPECT_THAT(names(model.rows(view)), IsEmpty());
    view.filter = "box";
    EXPECT_EQ(model.rows(view).size(), 6u);
}

TEST(TopModel, AnOrphanVfHasARow) {
    TopModel model;
    model.update(sample(0, {device("vf9", {1, 0, 0}, "gone")}));
    EXPECT_THAT(names(model.rows({})), ElementsAre("box", ".vf9"));
}

TEST(TopModel, RequestsHaveAColumnWhereADeviceAnswersThem) {
    const auto sample_of = [](int64_t time_ns, uint64_t responses) {
        const auto devices = read_top_devices(
            Json::parse(fmt::format(R"({{"devices": [{{"name": "sst0", "counters":
                                       {{"model_responses": {}}}}}, {{"name": "gpu0"}}]}})",
                                    responses)));
        TopSample out = sample(time_ns, {});
        out.machines[0].devices = devices;
        return out;
    };
    TopModel model;
    model.update(sample_of(0, 10));
    model.update(sample_of(2'000'000'000, 110));
    const auto rows = model.rows({.sort = TopSort::kName, .filter = ""});
    ASSERT_EQ(rows.size(), 3u);
    EXPECT_FALSE(rows[1].answers);
    EXPECT_TRUE(rows[2].answers);
    EXPECT_DOUBLE_EQ(rows[2].rates->requests, 50);
    EXPECT_THAT(top_lines(rows, 120)[0], testing::HasSubstr("REQ/s"));
    EXPECT_EQ(top_json(rows)["machines"][0]["devices"][1]["requests_per_second"], 50.0);
}

TEST(TopModel, ReadsDevices) {
    const auto devices = read_top_devices(Json::parse(R"({"devices": [
        {"name": "gpu0", "kind": "function", "connected": true, "power_state": "D3hot",
         "bdf": "10000:01:00.0", "vfs": 2, "total_vfs": 8, "present": true, "link_up": true,
         "faults": {"armed": 1, "active": 2, "struck": 5},
         "counters": {"config_reads": 1, "config_writes": 2, "bar_reads": 4, "bar_writes": 8,
                      "interrupts": 3, "dma_read_bytes": 16, "dma_write_bytes": 32}},
        {"name": "slot", "present": false}, {"name": "down", "link_up": false}, {"name": "x\u001b"},
        {"name": 5}, 7, null, {"name": "odd", "counters": {"bar_reads": -1, "interrupts": "x"},
         "faults": [], "vfs": -2, "power_state": 3}]})"));
    ASSERT_EQ(devices.size(), 5u);
    EXPECT_EQ(devices[0].state, "D3hot");
    EXPECT_EQ(devices[0].counters.accesses, 15u);
    EXPECT_EQ(devices[0].counters.interrupts, 3u);
    EXPECT_EQ(devices[0].counters.dma_bytes, 48u);
    EXPECT_EQ(devices[0].faults, 3u);
    EXPECT_EQ(devices[0].struck, 5u);
    EXPECT_EQ(devices[1].state, "empty");
    EXPECT_EQ(devices[2].state, "link down");
    EXPECT_EQ(devices[3].name, "x?");
    EXPECT_EQ(devices[4].counters.accesses, 0u);
    for (const char* other : {"{}", "[]", "null", R"({"devices": {}})"})
        EXPECT_THAT(read_top_devices(Json::parse(other)), IsEmpty());
}

TEST(TopText, Rates) {
    const auto text = [](double value) {
        return rate_text(TopRates{value, 0, 0}, &TopRates::accesses);
    };
    EXPECT_EQ(text(0), "0");
    EXPECT_EQ(text(0.25), "0.2");
    EXPECT_EQ(text(12), "12");
    EXPECT_EQ(text(999), "999");
    EXPECT_EQ(text(999.6), "1.0k");
    EXPECT_EQ(text(12345), "12k");
    EXPECT_EQ(text(5.6e6), "5.6M");
    EXPECT_EQ(text(7e18), "7000000T");
    EXPECT_EQ(rate_text(std::nullopt, &TopRates::accesses), "-");
}

TEST(TopText, LinesFitAnyWidth) {
    const auto rows = busy_model().rows({});
    for (size_t columns = 1; columns < 160; ++columns) {
        for (const auto& line : top_lines(rows, columns)) EXPECT_LE(columns_of(line), columns);
    }
    const auto lines = top_lines(rows, 120);
    EXPECT_THAT(lines[0], HasSubstr("ACC/s"));
    EXPECT_THAT(lines[3], HasSubstr("2/64"));
    EXPECT_EQ(lines.size(), rows.size() + 1);
}

TEST(TopText, AddressesOfFabricsAreWhole) {
    TopRow vf;
    vf.name = "gpu0-vf1";
    vf.bdf = "10001:01:00.2";
    TopRow endpoint;
    endpoint.name = "old0";
    endpoint.bdf = "0000:01:00.0";
    const auto lines = top_lines({vf, endpoint}, 200);
    EXPECT_THAT(lines[1], HasSubstr("10001:01:00.2"));
    EXPECT_THAT(lines[2], HasSubstr("0000:01:00.0"));
}

TEST(TopText, Json) {
    const auto json = top_json(busy_model().rows({}));
    ASSERT_EQ(json["machines"].size(), 1u);
    EXPECT_EQ(json["machines"][0]["devices"].size(), 3u);
    EXPECT_DOUBLE_EQ(json["machines"][0]["accesses_per_second"].get<double>(), 75);
    EXPECT_EQ(json["machines"][0]["devices"][0]["bdf"], nullptr);
}

}  // namespace
}  // namespace mimic::commands
