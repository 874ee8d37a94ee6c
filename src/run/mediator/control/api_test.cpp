// SPDX-License-Identifier: Apache-2.0
// The mediator's control API over a real engine in simulated time.
#include "mediator/control/api.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <set>

#include "mediator/control/openapi.h"
#include "mediator/engine/testing/engine_rig.h"

namespace mimic::mediator {
namespace {

using nlohmann::json;
using namespace std::chrono_literals;
using testing::HasSubstr;

// Runs what is posted at once: the test is the loop.
class Inline final : public TaskRunner {
public:
    explicit Inline(TaskRunner& time) : time_(time) {}
    void post(Task task) override {
        if (!stuck) task();
    }
    void post_delayed(Task task, Duration delay) override {
        time_.post_delayed(std::move(task), delay);
    }
    TimePoint now() const override { return time_.now(); }
    bool is_current() const override { return true; }

    bool stuck = false;  // nothing that is posted runs

private:
    TaskRunner& time_;
};

class MediatorApiTest : public testing::Test {
protected:
    struct Answered {
        int status = 0;
        json body;
    };

    Answered ask(const std::string& method, const std::string& path, const std::string& body = "") {
        const auto response = api.handle(
            {method, path, body.empty() ? "" : "application/json", body});
        return {response.status, json::parse(response.body)};
    }
    std::string code(const Answered& answer) { return answer.body["error"]["code"]; }
    // A job of the VM from arrival to answer; its error.
    uint32_t work(RigClient& client, uint64_t id) {
        client.ask(id, rig_job(1000));
        rig.time.run_all();
        return client.error_of(id);
    }

    EngineRig rig;
    Inline loop{rig.time};
    service::ProcessContext process{"test"};
    std::unique_ptr<AuditLog> audit = *AuditLog::open("test", "");
    Result<Config> next = rig_config(2);
    bool drained = false;
    MediatorApi api{{.engine = rig.engine.get(),
                     .loop = &loop,
                     .process = &process,
                     .audit = audit.get(),
                     .sockets = [] { return ServerCounters{.open = 3}; },
                     .config_file = "/etc/m.yaml",
                     .read_config = [this] { return next; },
                     .apply = [this](const Config& config) { return rig.engine->reload(config); },
                     .drain =
                         [this](bool on) {
                             drained = false;
                             rig.engine->drain(on, [this] { drained = true; });
                             rig.time.run();
                         },
                     .drained = [this] { return drained; },
                     .deadline = 10ms}};
};

TEST_F(MediatorApiTest, TellsWhatItIs) {
    auto& client = rig.connect(7);
    EXPECT_EQ(work(client, 1), VGPU_OK);
    const auto status = ask("GET", "/v1/mediator");
    ASSERT_EQ(status.status, 200);
    EXPECT_EQ(status.body["name"], "test");
    EXPECT_EQ(status.body["rule"], "fair");
    EXPECT_EQ(status.body["jobs"], 1);
    EXPECT_EQ(status.body["connections"], 1);
    EXPECT_EQ(status.body["sockets"]["open"], 3);
    EXPECT_EQ(status.body["pools"][0]["backends"][0]["name"], "A0");
    const auto vm = ask("GET", "/v1/mediator/vms/7");
    ASSERT_EQ(vm.status, 200);
    EXPECT_EQ(vm.body["counters"]["done"], 1);
    EXPECT_EQ(vm.body["counters"]["service_ns"], 1'000'000);
    EXPECT_EQ(vm.body["latency"]["count"], 1);
    EXPECT_EQ(vm.body["quarantine"], nullptr);
    EXPECT_EQ(ask("GET", "/v1/mediator/vms").body["vms"][0], vm.body);
    EXPECT_EQ(ask("GET", "/v1/mediator/pools").body["pools"], status.body["pools"]);
}

TEST_F(MediatorApiTest, UnknownVmsAreNamed) {
    for (const char* method : {"GET", "PATCH"}) {
        const auto answer = ask(method, "/v1/mediator/vms/99",
                                method == std::string("PATCH") ? R"({"weight": 3})" : "");
        EXPECT_EQ(answer.status, 404) << method;
        EXPECT_EQ(code(answer), "unknown_vm");
    }
    for (const char* name : {"x", "-1", "4294967296", "1x", "%20"})
        EXPECT_EQ(ask("GET", std::string("/v1/mediator/vms/") + name).status, 400) << name;
    EXPECT_EQ(ask("DELETE", "/v1/mediator/vms/99/quarantine").status, 404);
}

TEST_F(MediatorApiTest, ChangesWeightAndLimits) {
    rig.connect(7);
    const auto changed = ask(
        "PATCH", "/v1/mediator/vms/7",
        R"({"weight": 400, "limits": {"queue_depth": 2, "job_timeout_s": 1.5}})");
    ASSERT_EQ(changed.status, 200) << changed.body;
    EXPECT_EQ(changed.body["weight"], 400);
    EXPECT_EQ(changed.body["limits"]["queue_depth"], 2);
    EXPECT_EQ(changed.body["limits"]["job_timeout_s"], 1.5);
    EXPECT_EQ(changed.body["limits"]["parallel"], 1);  // as it was
    EXPECT_EQ(rig.vm(7).weight, 400U);
    EXPECT_EQ(rig.vm(7).limits.job_timeout, 1500ms);
    EXPECT_EQ(rig.audited("weight"), 1U);
}

TEST_F(MediatorApiTest, BadChangesChangeNothing) {
    rig.connect(7);
    const auto before = ask("GET", "/v1/mediator/vms/7").body;
    for (const char* body : {"{}",
                             "[]",
                             "7",
                             R"({"weight": 0})",
                             R"({"weight": 10001})",
                             R"({"weight": "9"})",
                             R"({"weight": -1})",
                             R"({"weight": 1.5})",
                             R"({"wait": 1})",
                             R"({"limits": 3})",
                             R"({"limits": {"rate": -1}})",
                             R"({"limits": {"rate": "fast"}})",
                             R"({"limits": {"queue_depth": 0}, "weight": 9})",
                             R"({"limits": {"parallel": 4294967297}})",
                             R"({"limits": {"job_timeout_s": 0}})",
                             R"({"limits": {"job_timeout_s": 1e300}})",
                             R"({"limits": {"burst": 5}, "weight": 9})",
                             R"({"limits": {"memory_bytes": 18446744073709551615}})",
                             R"({"limits": {"raet": 1}})",
                             "{"})
        EXPECT_EQ(ask("PATCH", "/v1/mediator/vms/7", body).status, 400) << body;
    EXPECT_EQ(ask("GET", "/v1/mediator/vms/7").body, before);
}

TEST_F(MediatorApiTest, QuarantineKeepsOutAndReleaseLetsIn) {
    auto& client = rig.connect(7);
    const auto out = ask("PUT", "/v1/mediator/vms/7/quarantine",
                         R"({"reason": "noise", "release_in_s": 60})");
    ASSERT_EQ(out.status, 200) << out.body;
    EXPECT_EQ(out.body["quarantine"]["reason"], "noise");
    EXPECT_EQ(out.body["quarantine"]["release_in_s"], 60.0);
    client.ask(1, rig_job(1));
    rig.time.run();
    EXPECT_EQ(client.error_of(1), VGPU_ERROR_QUARANTINED);
    EXPECT_EQ(ask("GET", "/v1/mediator").body["quarantined"], 1);
    const auto in = ask("DELETE", "/v1/mediator/vms/7/quarantine");
    EXPECT_EQ(in.status, 200);
    EXPECT_EQ(in.body["quarantine"], nullptr);
    EXPECT_EQ(work(client, 2), VGPU_OK);
    EXPECT_EQ(ask("PUT", "/v1/mediator/vms/7/quarantine", "{}").body["quarantine"],
              json({{"reason", "by hand"}, {"release_in_s", nullptr}}));
    for (const char* body : {R"({"reason": 3})", R"({"release_in_s": -1})", R"({"why": ""})",
                             R"({"release_in_s": 604801})"})
        EXPECT_EQ(ask("PUT", "/v1/mediator/vms/7/quarantine", body).status, 400) << body;
}

TEST_F(MediatorApiTest, ReloadTakesWhatTheFileSays) {
    EXPECT_EQ(ask("POST", "/v1/mediator/reload").status, 200);
    EXPECT_EQ(rig.engine->status().pools.at(0).backends.size(), 2U);
    next = fail(std::errc::invalid_argument, "m.yaml:3:1: no");
    const auto bad = ask("POST", "/v1/mediator/reload");
    EXPECT_EQ(bad.status, 422);
    EXPECT_THAT(bad.body["error"]["message"].get<std::string>(), HasSubstr("m.yaml:3:1"));
    EXPECT_EQ(rig.engine->status().pools.at(0).backends.size(), 2U);
}

TEST_F(MediatorApiTest, DrainTakesNoneAndEndsThoseInFlight) {
    auto& client = rig.connect(7);
    client.ask(1, rig_job(1000));
    const auto on = ask("PUT", "/v1/mediator/drain", R"({"on": true})");
    ASSERT_EQ(on.status, 200);
    EXPECT_EQ(on.body, json({{"draining", true}, {"drained", false}}));
    client.ask(2, rig_job(1000));
    rig.time.run_all();
    EXPECT_EQ(client.error_of(1), VGPU_OK);
    EXPECT_NE(client.error_of(2), VGPU_OK);
    EXPECT_EQ(ask("GET", "/v1/mediator").body["drained"], true);
    EXPECT_EQ(ask("PUT", "/v1/mediator/drain", R"({"on": false})").body["drained"], false);
    EXPECT_EQ(work(client, 3), VGPU_OK);
    for (const char* body : {"{}", R"({"on": 1})", R"({"off": true})"})
        EXPECT_EQ(ask("PUT", "/v1/mediator/drain", body).status, 400) << body;
}

TEST_F(MediatorApiTest, ALoopThatHangsIsBusy) {
    loop.stuck = true;
    for (const char* path : {"/v1/mediator", "/v1/mediator/vms", "/v1/mediator/vms/7"}) {
        const auto answer = ask("GET", path);
        EXPECT_EQ(answer.status, 503) << path;
        EXPECT_EQ(code(answer), "busy");
    }
    EXPECT_EQ(ask("GET", "/v1/version").status, 200);
}

TEST_F(MediatorApiTest, MetricsCountWhatHappened) {
    auto& client = rig.connect(7, 1, 'A', Priority::kHigh);
    work(client, 1);
    work(client, 2);
    const std::string text = api.handle({"GET", "/metrics", "", ""}).body;
    for (const char* line :
         {"vgpu_jobs_total 2\n", "vgpu_vm_jobs_total{vm_id=\"7\"} 2\n",
          "vgpu_vm_latency_p99_us{vm_id=\"7\"} 1024\n",
          "mimic_mediator_vm_latency_seconds_count{vm=\"7\",pool=\"A\",class=\"high\"} 2\n",
          "mimic_mediator_vm_latency_seconds_bucket{vm=\"7\",pool=\"A\",class=\"high\",le=\"+Inf\"}"
          " 2\n",
          "mimic_mediator_vm_execution_seconds_sum{vm=\"7\",pool=\"A\",class=\"high\"} 0.002\n",
          "mimic_mediator_vm_queue_depth{vm=\"7\"} 0\n",
          "mimic_mediator_pool_fairness{pool=\"A\"} 1\n",
          "mimic_mediator_backend_ready{pool=\"A\",backend=\"A0\"} 1\n",
          "mimic_mediator_sockets_open 3\n"})
        EXPECT_THAT(text, HasSubstr(line));
}

// --- The OpenAPI document --------------------------------------------------------------------

TEST_F(MediatorApiTest, DocumentHasTheRoutes) {
    const auto document = json::parse(openapi_document());
    std::set<std::string> documented;
    for (const auto& [path, item] : document["paths"].items()) {
        if (!item.at("x-served-by").get<std::set<std::string>>().contains("mediator")) continue;
        for (const auto& [method, operation] : item.items()) {
            if (method == "parameters" || method == "x-served-by") continue;
            std::string upper = method;
            std::transform(upper.begin(), upper.end(), upper.begin(), ::toupper);
            documented.insert(upper + " " + path);
        }
    }
    std::set<std::string> served;
    for (const auto& route : api.routes())
        served.insert(std::string(route.method) + " " + std::string(route.path));
    EXPECT_EQ(documented, served);
}

// Answers have the members that the schemas promise, and no others.
TEST_F(MediatorApiTest, AnswersFitTheirSchemas) {
    rig.connect(7);
    const auto schemas = json::parse(openapi_document())["components"]["schemas"];
    const auto expect_fits = [](const json& answer, const json& schema, const std::string& name) {
        for (const auto& required : schema["required"])
            EXPECT_TRUE(answer.contains(required.get<std::string>())) << name << required;
        for (const auto& [key, value] : answer.items())
            EXPECT_TRUE(schema["properties"].contains(key)) << name << "." << key;
    };
    const auto status = ask("GET", "/v1/mediator").body;
    expect_fits(status, schemas["Mediator"], "Mediator");
    for (const char* part : {"sockets", "audit"})
        expect_fits(status[part], schemas["Mediator"]["properties"][part], part);
    expect_fits(status["pools"][0], schemas["Pool"], "Pool");
    expect_fits(status["pools"][0]["backends"][0], schemas["Backend"], "Backend");
    const auto vm = ask("PUT", "/v1/mediator/vms/7/quarantine", "{}").body;
    expect_fits(vm, schemas["Vm"], "Vm");
    expect_fits(vm["limits"], schemas["VmLimits"], "VmLimits");
    expect_fits(vm["latency"], schemas["Times"], "Times");
    for (const char* part : {"counters", "quarantine"})
        expect_fits(vm[part], schemas["Vm"]["properties"][part], part);
}

}  // namespace
}  // namespace mimic::mediator
