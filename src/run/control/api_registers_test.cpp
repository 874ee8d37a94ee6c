// SPDX-License-Identifier: Apache-2.0
// GET .../registers: what it answers for a function, its queries, and that the answer is what the
// OpenAPI document promises.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <regex>

#include "control/api.h"
#include "control/test_targets.h"
#include "pci/function/capabilities.h"
#include "pci/testing/function.h"
#include "reg/bank.h"
#include "reg/test_map.h"

namespace mimic::control {
namespace {

using namespace std::chrono_literals;
using nlohmann::json;

// A function with capabilities and a bank.
class Device final : public pci::Function {
public:
    Device() : Function(pci::TestFunction::default_options()) {
        pci::CapabilityBuilder builder(*this);
        EXPECT_TRUE(builder.add_power_management({}));
        EXPECT_TRUE(builder.add_pcie({.max_speed = pci::LinkSpeed::kGen5}));
        EXPECT_TRUE(builder.add_msix({.vectors = 2, .table_offset = 0x800, .pba_offset = 0xc00}));
        EXPECT_TRUE(builder.add_aer({}));
    }
    std::vector<pci::RegisterBlock> register_blocks() const override {
        return {{.bar = 0, .offset = 0, .name = "test", .registers = &bank}};
    }

    reg::Bank<reg::test::kNatural> bank{"device"};

private:
    void on_read(unsigned, uint64_t offset, std::span<uint8_t> data) override {
        bank.read(offset, data);
    }
    void on_write(unsigned, uint64_t offset, std::span<const uint8_t> data) override {
        bank.write(offset, data);
    }
    void on_reset(pci::ResetKind) override {}
};

class DeviceTarget final : public Target {
public:
    explicit DeviceTarget(Device* device) : device_(device) {}
    TargetInfo info() const override { return {"gpu0", "function", true, {}}; }
    pci::Function* function() override { return device_; }
    Status inject(const pci::Fault&) override { return {}; }
    std::vector<pci::FaultReport> faults() const override { return {}; }
    void clear_faults() override {}
    bool clear_fault(uint64_t /*id*/) override { return false; }
    std::vector<pci::FaultRefusal> refusals() const override { return {}; }

private:
    Device* device_;
};

class DeviceGroup final : public TargetGroup {
public:
    explicit DeviceGroup(EventLoop& loop) : loop_(loop) {}
    TaskRunner& runner() override { return loop_; }
    std::vector<std::string> names() override { return {"gpu0", "gone"}; }
    std::unique_ptr<Target> find(const std::string& name) override {
        if (name == "gpu0") return std::make_unique<DeviceTarget>(&device);
        if (name == "gone") return std::make_unique<DeviceTarget>(nullptr);
        return nullptr;
    }
    std::vector<TargetInfo> infos() override { return {}; }

    Device device;

private:
    EventLoop& loop_;
};

class RegistersTest : public testing::Test {
protected:
    json get(std::multimap<std::string, std::string> query = {}, int status = 200,
             const std::string& device = "gpu0") {
        service::HttpRequest request{"GET", "/v1/devices/" + device + "/registers", "", ""};
        request.query = std::move(query);
        const auto response = api.handle(request);
        EXPECT_EQ(response.status, status) << response.body.substr(0, 300);
        return json::parse(response.body);
    }
    static json find(const json& list, const std::string& name) {
        for (const auto& one : list)
            if (one["name"] == name) return one;
        ADD_FAILURE() << "no " << name;
        return json::object();
    }

    std::unique_ptr<LoopPool> pool = *LoopPool::create(1);
    DeviceGroup group{pool->loop(0)};
    ControlApi api{{&group}, 20s};
};

TEST_F(RegistersTest, ShowConfigAndBars) {
    const auto all = get();
    EXPECT_EQ(all["device"], "gpu0");
    EXPECT_GT(all["time_ns"].get<int64_t>(), 0);
    EXPECT_EQ(all["config"]["size"], 4096);
    EXPECT_EQ(all["config"]["hex"].get<std::string>().size(), 8192u);
    EXPECT_EQ(all["config"]["hex"].get<std::string>().substr(0, 8), "e51d0100");
    const auto header = find(all["config"]["sections"], "Header");
    EXPECT_EQ(header["id"], nullptr);
    const auto vendor = find(header["registers"], "VENDOR_ID");
    EXPECT_EQ(vendor["value"], "0x1de5");
    EXPECT_EQ(vendor["offset"], "0x0");
    EXPECT_EQ(vendor["width"], 16);
    const auto pcie = find(all["config"]["sections"], "PCI Express");
    EXPECT_EQ(pcie["id"], "0x10");
    const auto speed = find(find(pcie["registers"], "LNKCAP")["fields"], "MAX_LINK_SPEED");
    EXPECT_EQ(speed["text"], "32 GT/s");
    EXPECT_EQ(speed["value"], "0x5");
    EXPECT_EQ(speed["hi"], 3);
    ASSERT_EQ(all["bars"].size(), 1u);
    EXPECT_EQ(all["bars"][0]["type"], "memory32");
    EXPECT_EQ(all["bars"][0]["address"], nullptr);
    const auto map = find(all["bars"][0]["maps"], "test");
    EXPECT_EQ(find(map["registers"], "CTRL")["value"], "0x060f03a5");
    EXPECT_EQ(find(map["registers"], "ADDRESS")["value"], "0x1122334455667788");
    EXPECT_EQ(find(map["registers"], "MODE")["value"], "0x24");
}

TEST_F(RegistersTest, ShowOnlyWhatIsAskedFor) {
    EXPECT_FALSE(get({{"view", "config"}}).contains("bars"));
    EXPECT_FALSE(get({{"view", "bars"}}).contains("config"));
    const auto one = get({{"view", "bars"}, {"bar", "0"}});
    EXPECT_EQ(one["bars"].size(), 1u);
    EXPECT_EQ(get({{"bar", "3"}}, 404)["error"]["code"], "unknown_bar");
}

TEST_F(RegistersTest, RefuseWhatIsWrong) {
    for (const auto& query : std::vector<std::multimap<std::string, std::string>>{
             {{"view", "x"}},
             {{"view", ""}},
             {{"bar", "6"}},
             {{"bar", "-1"}},
             {{"bar", "0x1"}},
             {{"bar", "99999999999999999999999"}},
             {{"view", "config"}, {"bar", "0"}},
             {{"bar", "0"}, {"bar", "1"}},
             {{"veiw", "config"}},
             {{"view", std::string(5000, 'a') + "\xff"}}}) {
        EXPECT_EQ(get(query, 400)["error"]["code"], "bad_request");
    }
    EXPECT_EQ(get({}, 404, "gpu1")["error"]["nearest"][0], "gpu0");
    EXPECT_EQ(get({}, 409, "gone")["error"]["code"], "not_possible");
}

TEST_F(RegistersTest, HaveNoSideEffect) {
    const auto before = group.device.bank.snapshot();
    const auto first = get();
    for (int i = 0; i < 3; ++i) get();
    EXPECT_EQ(group.device.bank.snapshot().values, before.values);
    const auto again = get();
    EXPECT_EQ(again["config"], first["config"]);
    EXPECT_EQ(again["bars"], first["bars"]);
    EXPECT_EQ(group.device.counters().bar_reads, 0u);
    EXPECT_EQ(group.device.counters().config_reads, 0u);
}

// Follows a schema of the document into `value`; enough of OpenAPI for what these schemas use.
class Checker {
public:
    void check(const json& value, const json& schema, const std::string& where) {
        if (schema.contains("$ref")) {
            const std::string ref = schema["$ref"];
            return check(value, document_["components"]["schemas"][ref.substr(21)], where);
        }
        if (value.is_null()) {
            EXPECT_TRUE(schema.value("nullable", false)) << where;
            return;
        }
        const std::string type = schema["type"];
        if (type == "object") return check_object(value, schema, where);
        if (type == "array") {
            ASSERT_TRUE(value.is_array()) << where;
            for (const auto& one : value) check(one, schema["items"], where + "[]");
        }
        if (type == "string") {
            ASSERT_TRUE(value.is_string()) << where;
            if (schema.contains("pattern") && value.get<std::string>().size() < 100) {
                const std::regex pattern(schema["pattern"].get<std::string>());
                EXPECT_TRUE(std::regex_match(value.get<std::string>(), pattern)) << where << value;
            }
        }
        if (type == "integer") {
            EXPECT_TRUE(value.is_number_integer()) << where;
        }
        if (type == "boolean") {
            EXPECT_TRUE(value.is_boolean()) << where;
        }
        if (schema.contains("enum")) {
            EXPECT_THAT(schema["enum"], testing::Contains(value)) << where;
        }
    }

private:
    void check_object(const json& value, const json& schema, const std::string& where) {
        ASSERT_TRUE(value.is_object()) << where;
        for (const auto& key : schema["required"])
            EXPECT_TRUE(value.contains(key.get<std::string>())) << where << "." << key;
        for (const auto& [key, member] : value.items()) {
            ASSERT_TRUE(schema["properties"].contains(key)) << where << "." << key;
            check(member, schema["properties"][key], where + "." + key);
        }
    }

    const json document_ = json::parse(openapi_document());
};

TEST_F(RegistersTest, FitTheirSchema) {
    Checker().check(get(), {{"$ref", "#/components/schemas/Registers"}}, "Registers");
}

}  // namespace
}  // namespace mimic::control
