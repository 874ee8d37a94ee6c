// SPDX-License-Identifier: Apache-2.0
// The client against a server that does what the test says.
#include "kube/client.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "base/private_files.h"
#include "kube/testing/http_peer.h"

namespace mimic::kube {
namespace {

using testing::Authority;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::HttpPeer;
using testing::PeerReply;
using testing::PeerRequest;

// A configuration that waits long enough for a machine that is busy.
ClientConfig config_for(const HttpPeer& peer) {
    ClientConfig config;
    config.server = peer.address();
    config.timeout = std::chrono::seconds(60);
    return config;
}

Client client_for(const ClientConfig& config) {
    return Client(std::make_shared<const ClientConfig>(config));
}

TEST(KubeClient, SendsEachVerbAsTheApiWantsIt) {
    std::vector<std::string> seen;
    HttpPeer peer([&seen](const PeerRequest& request, PeerReply& reply) {
        seen.push_back(request.method + " " + request.path + " " + request.body);
        reply.answer(200, R"({"metadata":{"name":"n"}})");
    });
    auto config = config_for(peer);
    config.token = "secret";
    auto client = client_for(config);
    const nlohmann::json object{{"metadata", {{"name", "a"}}}};
    EXPECT_TRUE(client.get(kNodes, "", "n1"));
    EXPECT_TRUE(client.create(kSlices, "", object));
    EXPECT_TRUE(client.update(kClaims, "ns", object, "status"));
    EXPECT_TRUE(client.merge_patch(kPods, "ns", "p", object));
    EXPECT_TRUE(client.remove(kSlices, "", "s", "u", "7"));
    EXPECT_THAT(
        seen,
        ElementsAre("GET /api/v1/nodes/n1 ",
                    "POST /apis/resource.k8s.io/v1/resourceslices {\"metadata\":{\"name\":\"a\"}}",
                    "PUT /apis/resource.k8s.io/v1/namespaces/ns/resourceclaims/a/status "
                    "{\"metadata\":{\"name\":\"a\"}}",
                    "PATCH /api/v1/namespaces/ns/pods/p {\"metadata\":{\"name\":\"a\"}}",
                    "DELETE /apis/resource.k8s.io/v1/resourceslices/s "
                    "{\"apiVersion\":\"v1\",\"kind\":\"DeleteOptions\",\"preconditions\":"
                    "{\"resourceVersion\":\"7\",\"uid\":\"u\"}}"));
    EXPECT_EQ(peer.connections(), 1);  // kept alive
}

TEST(KubeClient, NamesThatWouldBeAnotherPathAreRefusedHere) {
    HttpPeer peer([](const PeerRequest&, PeerReply& reply) { reply.answer(200, "{}"); });
    auto client = client_for(config_for(peer));
    for (const std::string name : {"", ".", "..", "a/b", "a%2fb", "a b", "a\r\nX: y", "a\n"}) {
        const auto answer = client.get(kNodes, "", name);
        ASSERT_FALSE(answer) << name;
        EXPECT_EQ(answer.error().status, 400);
        EXPECT_FALSE(answer.error().transient());
        EXPECT_FALSE(client.get(kPods, name, "p")) << name;
    }
    EXPECT_EQ(peer.connections(), 0);
    EXPECT_TRUE(client.get(kNodes, "", "a?b#c:d"));  // escaped
}

}  // namespace
}  // namespace mimic::kube
