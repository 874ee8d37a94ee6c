// SPDX-License-Identifier: Apache-2.0
#include "gateway/gateway.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>

#include "base/private_files.h"
#include "control/test_document.h"
#include "gateway/test_hosts.h"

namespace mimic::gateway {
namespace {

using nlohmann::json;

// A run root without machines.
class EmptyGateway : public testing::Test {
protected:
    EmptyGateway() : folder(testing::TempDir() + "mimic-gateway-XXXXXX") {
        EXPECT_NE(::mkdtemp(folder.data()), nullptr);
        const RuntimeFolder ours(folder);
        gateway = std::move(Gateway::create().value());
    }
    ~EmptyGateway() override { std::filesystem::remove_all(folder); }

    std::string folder;
    std::unique_ptr<Gateway> gateway;
};

TEST_F(EmptyGateway, HasTheRoutesOfTheDocument) {
    EXPECT_EQ(control::documented_routes("gateway"), control::served_routes(gateway->routes()));
}

// Before its supervisor has said anything of it.
TEST_F(EmptyGateway, AMachineIsStartingUntilItsStateSaysOtherwise) {
    const auto claimed = gateway->root().claim("box");
    ASSERT_TRUE(claimed);
    const auto phase = [&] {
        const auto answer = gateway->handle({"GET", "/v1/machines", "", ""});
        return json::parse(answer.body)["machines"][0].value("phase", "");
    };
    EXPECT_EQ(phase(), "starting");
    ASSERT_TRUE(write_file_atomically(claimed->path + "/launch.json", "{}"));
    ASSERT_TRUE(write_file_atomically(claimed->path + "/control-0.sock", ""));
    EXPECT_EQ(phase(), "starting");
    std::filesystem::remove(claimed->path + "/launch.json");
    EXPECT_EQ(phase(), "running");
}

TEST_F(EmptyGateway, KnowsNoMachine) {
    const auto asked = [&](const std::string& path) {
        service::HttpRequest request;
        request.method = "GET";
        request.path = path;
        return gateway->handle(request);
    };
    EXPECT_EQ(json::parse(asked("/v1/machines").body)["machines"], json::array());
    for (const char* path :
         {"/v1/machines/box", "/v1/machines/box/trace", "/v1/machines/../devices",
          "/v1/machines/box/events", "/v1/machines/box/devices/gpu0"})
        EXPECT_EQ(asked(path).status, 404) << path;
    // A page of another origin may send this without being asked whether it may.
    EXPECT_EQ(gateway->handle({"POST", "/v1/machines/box/devices/gpu0/faults", "text/plain", "{}"})
                  .status,
              415);
}

}  // namespace
}  // namespace mimic::gateway
