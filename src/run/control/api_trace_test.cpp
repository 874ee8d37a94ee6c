// SPDX-License-Identifier: Apache-2.0
// The routes of the trace: two loops whose rings are merged by time, and bodies that are wrong.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "base/loop_pool.h"
#include "control/api.h"
#include "control/test_targets.h"
#include "control/trace_target.h"

namespace mimic::control {
namespace {

using namespace std::chrono_literals;
using nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;

// Events at the times it was given, of one device.
class FakeTrace final : public TraceTarget {
public:
    FakeTrace(std::string device, std::vector<int64_t> times)
        : device_(std::move(device)), times_(std::move(times)) {}

    TraceStatus status() const override {
        TraceStatus status{.settings = settings, .dumps = {}};
        status.events = times_.size();
        status.oldest = 1;
        status.next = times_.size() + 1;
        status.recorded_total = times_.size() + 5;
        status.overwritten_total = 5;
        status.dumps = {"/state/trace-0.jsonl"};
        return status;
    }
    void change(const TraceChange& change) override {
        if (change.devices) settings.devices = *change.devices;
        settings.all = !change.devices;
        settings.data_bytes = change.data_bytes.value_or(settings.data_bytes);
    }
    TraceSlice events(const TraceQuery& query) const override {
        TraceSlice result;
        result.slice.until_ns = 1000;
        uint64_t at = std::max<uint64_t>(query.since, 1);
        for (; at <= times_.size() && result.slice.events.size() < query.limit; ++at) {
            trace::Event event;
            event.sequence = at;
            event.time_ns = times_[at - 1];
            event.device = device_;
            event.kind = pci::TraceKind::kMsix;
            result.slice.events.push_back(event);
        }
        result.next = at;
        result.slice.more = at <= times_.size();
        return result;
    }

    TraceSettings settings;

private:
    const std::string device_;
    const std::vector<int64_t> times_;
};

class TracedGroup final : public TargetGroup {
public:
    TracedGroup(EventLoop& runner, std::vector<std::string> names, TraceTarget& trace)
        : group_(runner, std::move(names)), trace_(trace) {}
    TaskRunner& runner() override { return group_.runner(); }
    std::vector<std::string> names() override { return group_.names(); }
    std::unique_ptr<Target> find(const std::string& name) override { return group_.find(name); }
    std::vector<TargetInfo> infos() override { return group_.infos(); }
    TraceTarget* trace() override { return &trace_; }

private:
    FakeGroup group_;
    TraceTarget& trace_;
};

class TraceApi : public testing::Test {
protected:
    std::pair<int, json> ask(const std::string& method, const std::string& path,
                             const std::string& body = "",
                             const std::multimap<std::string, std::string>& query = {}) {
        service::HttpRequest request;
        request.method = method;
        request.path = path;
        request.content_type = "application/json";
        request.body = body;
        request.query = query;
        const auto response = api.handle(request);
        return {response.status, json::parse(response.body)};
    }
    static std::vector<int64_t> times(const json& answer) {
        std::vector<int64_t> result;
        for (const auto& event : answer["events"]) result.push_back(event["t"]);
        return result;
    }

    std::unique_ptr<LoopPool> pool = *LoopPool::create(2);
    FakeTrace one{"gpu0", {1, 4, 5}};
    FakeTrace two{"nic0", {2, 3, 6}};
    TracedGroup first{pool->loop(0), {"gpu0", "gpu1"}, one};
    TracedGroup second{pool->loop(1), {"nic0"}, two};
    ControlApi api{{&first, &second}, 20s};
};

TEST_F(TraceApi, EventsOfAllLoopsByTime) {
    const auto [status, answer] = ask("GET", "/v1/trace/events");
    EXPECT_EQ(status, 200);
    EXPECT_THAT(times(answer), ElementsAre(1, 2, 3, 4, 5, 6));
    EXPECT_EQ(answer["next"], "4.4");
    EXPECT_EQ(answer["lost"], 0);
    EXPECT_EQ(answer["more"], false);
}

TEST_F(TraceApi, ACursorGoesOnWhereItEnded) {
    std::string since;
    std::vector<int64_t> all;
    for (int i = 0; i < 10; ++i) {
        const auto [status, answer] = ask("GET", "/v1/trace/events", "",
                                          {{"since", since}, {"limit", "2"}});
        ASSERT_EQ(status, 200);
        EXPECT_LE(answer["events"].size(), 2U);
        for (const int64_t time : times(answer)) all.push_back(time);
        since = answer["next"];
    }
    EXPECT_THAT(all, ElementsAre(1, 2, 3, 4, 5, 6));
}

TEST_F(TraceApi, SettingsGoToTheLoopsThatHaveTheDevices) {
    const auto [status, answer] = ask("PUT", "/v1/trace",
                                      R"({"devices":["gpu1","nic0"],"data_bytes":16})");
    EXPECT_EQ(status, 200);
    EXPECT_EQ(answer["devices"], json({"gpu1", "nic0"}));
    EXPECT_THAT(one.settings.devices, ElementsAre("gpu1"));
    EXPECT_THAT(two.settings.devices, ElementsAre("nic0"));
    EXPECT_EQ(ask("GET", "/v1/trace").second["data_bytes"], 16);
    EXPECT_EQ(ask("PUT", "/v1/trace", R"({"devices":"all"})").second["devices"], "all");
}

// A loop of a sample, so that one that is busy takes nothing off a sum.
TEST_F(TraceApi, MetricsOfEachLoop) {
    two.settings.buffer_bytes = 65536;
    one.settings.enabled = false;
    service::HttpRequest request;
    request.method = "GET";
    request.path = "/metrics";
    const std::string text = api.handle(request).body;
    EXPECT_THAT(text, HasSubstr("mimic_trace_events_total{loop=\"0\"} 8\n"));
    EXPECT_THAT(text, HasSubstr("mimic_trace_events_total{loop=\"1\"} 8\n"));
    EXPECT_THAT(text, HasSubstr("mimic_trace_overwritten_total{loop=\"1\"} 5\n"));
    EXPECT_THAT(text, HasSubstr("mimic_trace_buffer_bytes{loop=\"0\"} 0\n"));
    EXPECT_THAT(text, HasSubstr("mimic_trace_buffer_bytes{loop=\"1\"} 65536\n"));
    EXPECT_THAT(text, HasSubstr("mimic_trace_dumps_total 0\n"));
}

TEST_F(TraceApi, FilesThatLoopsShareAreListedOnce) {
    EXPECT_THAT(ask("GET", "/v1/trace").second["dumps"], ElementsAre("/state/trace-0.jsonl"));
}

TEST_F(TraceApi, WrongRequestsSaySo) {
    for (const char* body : {R"({"enabled":1})", R"({"devices":"some"})", R"({"devices":[1]})",
                             R"({"devices":{}})", R"({"data_bytes":-1})", R"({"data_bytes":65537})",
                             R"({"data_bytes":"1"})", R"({"buffer_bytes":1})",
                             R"({"buffer_bytes":268435457})", R"({"buffers":1})", "[]", "{"}) {
        EXPECT_EQ(ask("PUT", "/v1/trace", body).first, 400) << body;
    }
    const auto [status, answer] = ask("PUT", "/v1/trace", R"({"devices":["gpu2"]})");
    EXPECT_EQ(status, 404);
    EXPECT_EQ(answer["error"]["code"], "unknown_device");
    EXPECT_EQ(answer["error"]["nearest"][0], "gpu0");
    EXPECT_THAT(one.settings.devices, ElementsAre()) << "nothing changes";
    const std::vector<std::multimap<std::string, std::string>> queries{
        {{"since", "x"}},
        {{"since", "1"}},
        {{"since", "1.2.3"}},
        {{"since", "1.-2"}},
        {{"since", "1.2."}},
        {{"limit", "0"}},
        {{"limit", "4097"}},
        {{"limit", "-1"}},
        {{"limits", "1"}},
        {{"limit", "1"}, {"limit", "2"}},
        {{"since", "99999999999999999999.1"}}};
    for (const auto& query : queries)
        EXPECT_EQ(ask("GET", "/v1/trace/events", "", query).first, 400)
            << query.begin()->first << "=" << query.begin()->second;
}

}  // namespace
}  // namespace mimic::control
