// SPDX-License-Identifier: Apache-2.0
// The routes of the control API: what they answer, when a loop does not, and whether the OpenAPI
// document says the same.
#include "control/api.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>
#include <nlohmann/json.hpp>
#include <set>

#include "control/test_document.h"
#include "control/test_targets.h"

namespace mimic::control {
namespace {

using namespace std::chrono_literals;
using nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;

// Two loops with two devices each.
class ControlApiTest : public testing::Test {
protected:
    struct Answer {
        int status = 0;
        json body;
        std::string allow;
    };

    Answer ask(const std::string& method, const std::string& path, const std::string& body = "",
               const std::string& type = "application/json",
               const std::multimap<std::string, std::string>& query = {}) {
        service::HttpRequest request{method, path, type, body};
        request.query = query;
        const auto response = api.handle(request);
        return {response.status, json::parse(response.body), response.allow};
    }
    static std::string code(const Answer& answer) { return answer.body["error"]["code"]; }

    // Keeps the first loop busy until the future is set.
    void hold(std::promise<void>& release) {
        std::promise<void> held;
        pool->loop(0).post([&held, future = release.get_future().share()] {
            held.set_value();
            future.wait();
        });
        held.get_future().wait();
    }

    std::unique_ptr<LoopPool> pool = *LoopPool::create(2);
    FakeGroup first{pool->loop(0), {"gpu0", "gpu1"}};
    FakeGroup second{pool->loop(1), {"nic0", "nic1"}};
    ControlApi api{{&first, &second}, 20s};
};

TEST_F(ControlApiTest, Version) {
    const auto answer = ask("GET", "/v1/version");
    EXPECT_EQ(answer.status, 200);
    EXPECT_EQ(answer.body["api"], 1);
    EXPECT_EQ(answer.body["pid"], ::getpid());
}

TEST_F(ControlApiTest, Devices) {
    const auto answer = ask("GET", "/v1/devices");
    ASSERT_EQ(answer.status, 200);
    std::vector<std::string> names;
    for (const auto& device : answer.body["devices"]) names.push_back(device["name"]);
    EXPECT_THAT(names, ElementsAre("gpu0", "gpu1", "nic0", "nic1"));
    EXPECT_EQ(answer.body["busy_loops"], 0);
    const auto one = ask("GET", "/v1/devices/nic1");
    EXPECT_EQ(one.status, 200);
    EXPECT_EQ(one.body["kind"], "function");
    EXPECT_EQ(one.body["connected"], true);
    EXPECT_EQ(one.body["counters"]["accesses"], 0);
}

TEST_F(ControlApiTest, FaultsComeAndGo) {
    const auto made = ask("POST", "/v1/devices/nic0/faults", R"({"fault": "all-ones"})");
    EXPECT_EQ(made.status, 201);
    EXPECT_EQ(made.body["device"], "nic0");
    EXPECT_EQ(made.body["faults"][0]["state"], "active");
    EXPECT_EQ(ask("POST", "/v1/devices/nic0/faults", R"({"fault": "bad-tlp"})").status, 201);
    EXPECT_EQ(second.devices[0]->errors, 1);
    EXPECT_EQ(ask("GET", "/v1/devices/nic0/faults").body["faults"].size(), 2U);
    EXPECT_EQ(ask("GET", "/v1/devices/nic1/faults").body["faults"].size(), 0U);
    EXPECT_EQ(ask("POST", "/v1/devices/nic0/faults", R"({"fault": "irq-lost"})").status, 201);
    const auto end = [&](const std::string& id) {
        return ask("DELETE", "/v1/devices/nic0/faults", "", "", {{"id", id}});
    };
    const auto one = end("1");
    EXPECT_EQ(one.status, 200);
    EXPECT_EQ(one.body["faults"][0]["fault"], "irq-lost");
    EXPECT_EQ(one.body["faults"][0]["state"], "active");
    EXPECT_EQ(end("1").status, 200);
    EXPECT_EQ(end("all").status, 400);
    EXPECT_EQ(ask("GET", "/v1/devices/nic0/faults").body["faults"][0]["state"], "active");
    const auto gone = ask("DELETE", "/v1/devices/nic0/faults");
    EXPECT_EQ(gone.status, 200);
    for (const auto& fault : gone.body["faults"]) EXPECT_NE(fault["state"], "active");
}

TEST_F(ControlApiTest, WhatIsNotThere) {
    const auto device = ask("GET", "/v1/devices/gpu2");
    EXPECT_EQ(device.status, 404);
    EXPECT_EQ(code(device), "unknown_device");
    EXPECT_THAT(device.body["error"]["nearest"], ElementsAre("gpu0", "gpu1"));
    EXPECT_EQ(code(ask("POST", "/v1/devices/gpu2/faults", R"({"fault": "remove"})")),
              "unknown_device");
    EXPECT_EQ(ask("GET", "/v1/devices/" + std::string(10'000, 'x')).status, 404);
    EXPECT_EQ(ask("GET", "/v1/devices/g\xff\n").status, 404);
    for (const char* path : {"", "/", "/v1", "/v1/", "/v1/devices/", "/v1/devices//faults",
                             "/v2/version", "/v1/devices/gpu0/", "/v1/devices/gpu0/faults/1",
                             "/v1/devices/a/b/faults", "/v1/version/"}) {
        const auto nothing = ask("GET", path);
        EXPECT_EQ(nothing.status, 404) << path;
        EXPECT_EQ(code(nothing), "not_found") << path;
    }
}

TEST_F(ControlApiTest, WrongMethods) {
    const auto answer = ask("PUT", "/v1/devices/gpu0/faults");
    EXPECT_EQ(answer.status, 405);
    EXPECT_EQ(answer.allow, "GET, POST, DELETE");
    EXPECT_EQ(code(answer), "method_not_allowed");
    EXPECT_EQ(ask("POST", "/v1/version").allow, "GET");
    EXPECT_EQ(ask("DELETE", "/v1/devices").status, 405);
    EXPECT_EQ(ask("get", "/v1/version").status, 405);
    EXPECT_EQ(api.handle({"HEAD", "/v1/version", "", ""}).status, 200);
}

TEST_F(ControlApiTest, WrongBodies) {
    EXPECT_EQ(ask("POST", "/v1/devices/gpu0/faults", "{").status, 400);
    const auto unknown = ask("POST", "/v1/devices/gpu0/faults", R"({"fault": "bad-tpl"})");
    EXPECT_EQ(unknown.status, 400);
    EXPECT_EQ(code(unknown), "unknown_fault");
    EXPECT_THAT(unknown.body["error"]["nearest"], testing::Contains("bad-tlp"));
    const auto type = ask("POST", "/v1/devices/gpu0/faults", R"({"fault": "bad-tlp"})",
                          "text/plain");
    EXPECT_EQ(type.status, 415);
    EXPECT_EQ(ask("POST", "/v1/devices/gpu0/faults", R"({"fault": "bad-tlp"})",
                  "application/json; charset=utf-8")
                  .status,
              201);
    EXPECT_EQ(ask("POST", "/v1/devices/gpu0/faults", R"({"fault": "bad-tlp"})", "").status, 201);
    EXPECT_EQ(first.devices[0]->errors, 2);
}

TEST_F(ControlApiTest, WhatTheDeviceCannotDo) {
    const auto answer = ask("POST", "/v1/devices/gpu0/faults", R"({"fault": "remove"})");
    EXPECT_EQ(answer.status, 409);
    EXPECT_EQ(code(answer), "not_possible");
    EXPECT_THAT(std::string(answer.body["error"]["message"]), HasSubstr("no hotplug slot"));
    for (size_t i = 0; i < pci::FunctionFaults::kMaxStanding; ++i)
        ASSERT_EQ(ask("POST", "/v1/devices/gpu0/faults", R"({"fault": "all-ones"})").status, 201);
    EXPECT_EQ(code(ask("POST", "/v1/devices/gpu0/faults", R"({"fault": "all-ones"})")),
              "too_many_faults");
}

// The page offers what is not in this list, so the list and POST must agree.
TEST_F(ControlApiTest, ListsWhatItWouldRefuse) {
    const auto listed = ask("GET", "/v1/devices/gpu0/faults").body["refused"];
    std::set<std::string> refused;
    for (const auto& one : listed) {
        EXPECT_NE(one["reason"], "");
        EXPECT_EQ(one["for_now"], false);
        refused.insert(one["fault"]);
    }
    EXPECT_TRUE(refused.contains("remove"));
    EXPECT_FALSE(refused.contains("bad-tlp"));
    for (const auto& name : pci::fault_name_list()) {
        const auto body = json{{"fault", name}}.dump();
        EXPECT_EQ(ask("POST", "/v1/devices/gpu0/faults", body).status,
                  refused.contains(name) ? 409 : 201)
            << name;
    }
}

TEST_F(ControlApiTest, AVfThatIsNotEnabledSaysSo) {
    const auto answer = ask("GET", "/v1/devices/gpu1-vf3");
    EXPECT_EQ(answer.status, 404);
    EXPECT_EQ(code(answer), "not_enabled");
    EXPECT_THAT(std::string(answer.body["error"]["message"]),
                HasSubstr("enabled 2 of the 4 VFs of gpu1"));
    for (const char* none : {"gpu1-vf4", "gpu1-vf", "gpu1-vf3x", "gpu1-vf-1", "gpu1-vf99999999999"})
        EXPECT_EQ(code(ask("GET", "/v1/devices/" + std::string(none))), "unknown_device") << none;
}

TEST_F(ControlApiTest, ABusyLoopHoldsUpOnlyItsOwn) {
    // Long enough for the loop that is not held, on a machine with a load of ten.
    ControlApi impatient({&first, &second}, 1s);
    std::promise<void> release;
    hold(release);
    const auto list = json::parse(impatient.handle({"GET", "/v1/devices", "", ""}).body);
    EXPECT_EQ(list["busy_loops"], 1);
    EXPECT_EQ(list["devices"].size(), 2U);
    EXPECT_EQ(impatient.handle({"GET", "/v1/devices/nic0", "", ""}).status, 200);
    const auto refused = impatient.handle(
        {"POST", "/v1/devices/gpu0/faults", "", R"({"fault": "bad-tlp"})"});
    EXPECT_EQ(refused.status, 503);
    release.set_value();
    // What was refused does not happen later.
    EXPECT_EQ(ask("GET", "/v1/devices/gpu0/faults").body["faults"].size(), 0U);
    EXPECT_EQ(first.devices[0]->errors, 0);
}

TEST(CallOn, ReturnsWhatTheLoopReturns) {
    const auto pool = *LoopPool::create(1);
    const auto got = call_on<int>(
        pool->loop(0), [&] { return pool->loop(0).is_current() ? 7 : 0; }, 20s);
    EXPECT_EQ(got, 7);
}

// --- The OpenAPI document --------------------------------------------------------------------

TEST(OpenApi, HasTheRoutesOfTheServer) {
    const auto document = json::parse(openapi_document());
    EXPECT_EQ(document["openapi"].get<std::string>().substr(0, 2), "3.");
    std::set<std::string> ids;
    for (const auto& [path, item] : document["paths"].items()) {
        for (const auto& [method, operation] : item.items()) {
            if (method == "parameters" || method == "x-served-by") continue;
            EXPECT_TRUE(ids.insert(operation.at("operationId")).second);
            EXPECT_FALSE(operation.at("responses").empty());
        }
    }
    EXPECT_EQ(documented_routes("device-host"), served_routes(ControlApi({}, 1s).routes()));
}

TEST(OpenApi, HasTheNamesOfAllFaults) {
    const auto document = json::parse(openapi_document());
    const auto& schema = document["components"]["schemas"]["FaultName"]["enum"];
    EXPECT_EQ(schema.get<std::vector<std::string>>(), pci::fault_name_list());
}

// Each "$ref" names something that is there.
TEST(OpenApi, RefersToWhatIsThere) {
    const auto document = json::parse(openapi_document());
    size_t references = 0;
    const auto flat = document.flatten();
    for (const auto& [key, value] : flat.items()) {
        if (!key.ends_with("/$ref")) continue;
        ++references;
        const auto target = value.get<std::string>();
        ASSERT_EQ(target.front(), '#');
        EXPECT_TRUE(document.contains(json::json_pointer(target.substr(1)))) << target;
    }
    EXPECT_GT(references, 10U);
}

// Answers have the members that the schemas promise, and no others.
TEST_F(ControlApiTest, AnswersFitTheirSchemas) {
    const auto schemas = json::parse(openapi_document())["components"]["schemas"];
    const auto expect_fits = [&](const json& answer, const std::string& name) {
        for (const auto& required : schemas[name]["required"])
            EXPECT_TRUE(answer.contains(required.get<std::string>())) << name << required;
        for (const auto& [key, value] : answer.items())
            EXPECT_TRUE(schemas[name]["properties"].contains(key)) << name << "." << key;
    };
    expect_fits(ask("GET", "/v1/version").body, "Version");
    const auto devices = ask("GET", "/v1/devices").body;
    expect_fits(devices, "DeviceList");
    expect_fits(devices["devices"][0], "Device");
    const auto faults =
        ask("POST", "/v1/devices/gpu0/faults",
            R"({"fault": "ecrc", "options": {"severity": "fatal"}, "after_accesses": 9})")
            .body;
    expect_fits(faults, "FaultList");
    expect_fits(faults["faults"][0], "Fault");
    expect_fits(faults["refused"][0], "FaultRefusal");
    expect_fits(ask("GET", "/x").body, "Error");
}

}  // namespace
}  // namespace mimic::control
