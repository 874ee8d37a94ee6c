// SPDX-License-Identifier: Apache-2.0
// A virtio device on a vhost-user socket, asked over the control socket, as tools ask.
#include "host/virtio_target.h"

#include <stdlib.h>
#include <unistd.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "host/server.h"
#include "service/client.h"

namespace mimic::host {
namespace {

using Json = nlohmann::json;
using testing::HasSubstr;

class PlainDevice final : public virtio::Device {
public:
    PlainDevice()
        : Device({.name = "plain0", .virtio_id = 39, .queue_sizes = {8, 16}, .config_size = 6}) {}

private:
    void on_reset() override {}
    void on_kick(uint16_t) override {}
    void on_config_read(uint32_t offset, std::span<uint8_t> data) override {
        for (uint8_t& byte : data) byte = static_cast<uint8_t>(0x10 + offset++);
    }
};

class VirtioTargetTest : public testing::Test {
protected:
    VirtioTargetTest() {
        EXPECT_NE(::mkdtemp(folder.data()), nullptr);
        std::vector<Endpoint> endpoints;
        endpoints.push_back({.function = nullptr,
                             .device = std::make_unique<PlainDevice>(),
                             .socket_path = folder + "/plain0.sock",
                             .place = {.numa_node = 1, .bdf = "0000:01:00.0"}});
        auto made = Server::create(std::move(endpoints), {.control_socket = folder + "/control"});
        EXPECT_TRUE(made) << made.error().message();
        server = std::move(made).value();
    }
    ~VirtioTargetTest() override {
        server.reset();
        EXPECT_EQ(::rmdir(folder.c_str()), 0) << "no socket may be left";
    }
    service::ClientAnswer ask(const std::string& what, const std::string& method = "GET",
                              const std::string& body = "") const {
        const auto answer = service::send_request({folder + "/control", method, what, body});
        EXPECT_TRUE(answer) << answer.error().message();
        return answer.value_or(service::ClientAnswer{});
    }

    std::string folder = "/tmp/mimic-virtio.XXXXXX";
    std::unique_ptr<Server> server;
};

TEST_F(VirtioTargetTest, IsListedWithWhatQemuShowsOfIt) {
    const auto json = Json::parse(ask("/v1/devices/plain0").body);
    EXPECT_EQ(json["kind"], "vhost-user");
    EXPECT_EQ(json["connected"], false);
    EXPECT_EQ(json["vendor_id"], "0x1af4");
    EXPECT_EQ(json["device_id"], "0x1067");
    EXPECT_EQ(json["class_code"], "0x078000");
    EXPECT_EQ(json["bdf"], "0000:01:00.0");
    EXPECT_EQ(json["numa_node"], 1);
    EXPECT_EQ(json["counters"]["virtio_kicks"], 0);
    EXPECT_EQ(Json::parse(ask("/v1/devices").body)["devices"].size(), 1u);
    EXPECT_THAT(ask("/metrics").body,
                HasSubstr("mimic_device_virtio_buffers_total{machine=\"\",device=\"plain0\","
                          "direction=\"taken\"} 0"));
}

TEST_F(VirtioTargetTest, ShowsTheStateOfTheDeviceAndItsConfiguration) {
    const auto json = Json::parse(ask("/v1/devices/plain0/registers").body);
    ASSERT_TRUE(json.contains("state"));
    std::map<std::string, std::string> values;
    for (const auto& map : json["state"])
        for (const auto& reg : map["registers"])
            values[map["name"].get<std::string>() + "." + reg["name"].get<std::string>()] =
                reg["value"];
    EXPECT_EQ(values["virtio device.DEVICE_STATUS"], "0x00");
    EXPECT_EQ(values["virtio device.NUM_QUEUES"], "0x0002");
    EXPECT_EQ(values["queue 1.QUEUE_SIZE"], "0x0010");
    EXPECT_EQ(values["queue 1.QUEUE_ENABLE"], "0x0000");
    EXPECT_EQ(values["configuration.CONFIG_00"], "0x13121110");
    EXPECT_EQ(values["configuration.CONFIG_04"], "0x00001514");
    EXPECT_EQ(ask("/v1/devices/plain0/registers?view=config").status, 409);
}

TEST_F(VirtioTargetTest, TakesTheFaultsOfItsHostAndSaysWhyNoOthers) {
    const auto refused = ask("/v1/devices/plain0/faults", "POST", R"({"fault": "all-ones"})");
    EXPECT_EQ(refused.status / 100, 4);
    EXPECT_THAT(refused.body, HasSubstr("no PCI function here"));
    const auto removed = ask("/v1/devices/plain0/faults", "POST", R"({"fault": "remove"})");
    EXPECT_EQ(removed.status / 100, 4);
    const auto hang = ask("/v1/devices/plain0/faults", "POST",
                          R"({"fault": "host-hang", "options": {"delay": "1ms"}})");
    EXPECT_EQ(hang.status / 100, 2) << hang.body;
    // What was taken can be taken back.
    const auto clear = ask("/v1/devices/plain0/faults", "POST", R"({"fault": "clear"})");
    EXPECT_EQ(clear.status / 100, 2) << clear.body;
}

}  // namespace
}  // namespace mimic::host
