// SPDX-License-Identifier: Apache-2.0
// The client against a server that does what the test says.
#include "kube/client.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>

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

TEST(KubeClient, JoinsThePagesOfAList) {
    std::vector<std::string> seen;
    HttpPeer peer([&seen](const PeerRequest& request, PeerReply& reply) {
        seen.push_back(request.path);
        const bool second = request.path.find("continue=t%2F1") != std::string::npos;
        reply.answer(200, second ? R"({"metadata":{"resourceVersion":"9"},"items":[{"b":2}]})"
                                 : R"({"metadata":{"resourceVersion":"9","continue":"t/1"},)"
                                   R"("items":[{"a":1}]})");
    });
    auto client = client_for(config_for(peer));
    const auto list = client.list(kSlices, "", {"spec.driver=d,spec.nodeName=n", "", 1});
    ASSERT_TRUE(list) << list.error().message;
    EXPECT_EQ((*list)["items"].dump(), R"([{"a":1},{"b":2}])");
    EXPECT_EQ((*list)["metadata"].dump(), R"({"resourceVersion":"9"})");
    EXPECT_THAT(seen, ElementsAre("/apis/resource.k8s.io/v1/resourceslices?limit=1&fieldSelector="
                                  "spec.driver%3Dd%2Cspec.nodeName%3Dn",
                                  HasSubstr("&continue=t%2F1")));
}

TEST(KubeClient, AListWhoseNextPageIsGoneIsAskedForAtOnce) {
    HttpPeer peer([](const PeerRequest& request, PeerReply& reply) {
        if (request.path.find("continue=") != std::string::npos)
            reply.answer(410, R"({"kind":"Status","code":410,"reason":"Expired"})");
        else if (request.path.find("limit=0") != std::string::npos)
            reply.answer(200, R"({"metadata":{"resourceVersion":"9"},"items":[{},{}]})");
        else
            reply.answer(200, R"({"metadata":{"continue":"t"},"items":[{}]})");
    });
    auto client = client_for(config_for(peer));
    const auto list = client.list(kSlices, "", {});
    ASSERT_TRUE(list) << list.error().message;
    EXPECT_EQ((*list)["items"].size(), 2u);
}

TEST(KubeClient, EachRefusalIsToldApart) {
    HttpPeer peer([](const PeerRequest& request, PeerReply& reply) {
        const auto status = std::stoi(request.path.substr(request.path.rfind('/') + 2));
        reply.answer(status,
                     fmt::format(R"({{"kind":"Status","code":{},"reason":"R{}","message":"m"}})",
                                 status, status),
                     status == 429 ? "retry-AFTER: 7\r\n" : "");
    });
    auto client = client_for(config_for(peer));
    for (const int status : {400, 401, 403, 404, 409, 410, 422, 429, 500, 503}) {
        const auto name = fmt::format("n{}", status);
        const nlohmann::json object{{"metadata", {{"name", name}}}};
        for (const auto& answer : {client.get(kNodes, "", name), client.update(kNodes, "", object),
                                   client.merge_patch(kNodes, "", name, object)}) {
            ASSERT_FALSE(answer);
            EXPECT_EQ(answer.error().status, status);
            EXPECT_EQ(answer.error().reason, fmt::format("R{}", status));
            EXPECT_EQ(answer.error().retry_after.has_value(), status == 429);
        }
        const auto removed = client.remove(kNodes, "", name);
        EXPECT_EQ(removed.has_value(), status == 404);  // gone is what was wanted
    }
    EXPECT_EQ(peer.connections(), 1);
}

class KubeFiles : public ::testing::Test {
protected:
    void SetUp() override {
        char name[] = "/tmp/kube-client-XXXXXX";
        ASSERT_NE(::mkdtemp(name), nullptr);
        folder_ = name;
    }
    void TearDown() override { (void)remove_tree(folder_); }
    std::string write(const std::string& name, const std::string& text) {
        EXPECT_TRUE(write_file_atomically(folder_ + "/" + name, text));
        return folder_ + "/" + name;
    }
    std::string folder_;
};

TEST_F(KubeFiles, ATokenIsReadAgainAndA401IsTriedWithTheNewOne) {
    std::atomic<bool> rotate{false};
    std::atomic<int> refusals{0};
    HttpPeer peer([&](const PeerRequest& request, PeerReply& reply) {
        const auto found = request.headers.find("authorization");
        const auto shown = found == request.headers.end() ? "" : found->second;
        if (rotate.exchange(false)) write("token", "two\n");
        if (shown == (std::string("Bearer ") + (refusals > 0 ? "two" : "one")))
            return reply.answer(200, "{}");
        ++refusals;
        reply.answer(401, R"({"kind":"Status","reason":"Unauthorized"})");
    });
    auto config = config_for(peer);
    config.token_file = write("token", "one\n");
    auto client = client_for(config);
    EXPECT_TRUE(client.get(kNodes, "", "n"));
    ++refusals;  // from here on only the second is good
    rotate = true;
    EXPECT_TRUE(client.get(kNodes, "", "n"));
    EXPECT_EQ(refusals, 2);
    write("token", "three");
    const auto stale = client.get(kNodes, "", "n");
    ASSERT_FALSE(stale);
    EXPECT_EQ(stale.error().status, 401);  // the file says the same: no second try
    EXPECT_EQ(refusals, 3);
    // A file that is empty for a moment, or has what no header may have: the last token serves.
    write("token", "two");
    EXPECT_TRUE(client.get(kNodes, "", "n"));
    for (const std::string bad : {"", "a\r\nX-Evil: 1", "a b"}) {
        write("token", bad);
        EXPECT_TRUE(client.get(kNodes, "", "n")) << bad;
        EXPECT_FALSE(client_for(config).get(kNodes, "", "n")) << bad;
    }
}

TEST_F(KubeFiles, TheServersCertificateIsChecked) {
    Authority authority, stranger;
    auto tls = std::make_unique<HttpPeer::Tls>();
    tls->server = authority.issue("api", {"IP:127.0.0.1", "DNS:api.test"});
    HttpPeer peer([](const PeerRequest&, PeerReply& reply) { reply.answer(200, "{}"); },
                  std::move(tls));
    const auto outcome = [](const ClientConfig& config) {
        auto client = client_for(config);
        const auto answer = client.get(kNodes, "", "n");
        EXPECT_TRUE(answer || answer.error().status == 0);
        return answer ? std::string("ok") : answer.error().message;
    };
    auto config = config_for(peer);
    EXPECT_THAT(outcome(config), HasSubstr("certificate"));  // the system knows no such authority
    config.ca_data = stranger.certificate();                 // called as the right one, too
    EXPECT_NE(outcome(config), "ok");
    config.ca_data = "no certificate";
    EXPECT_NE(outcome(config), "ok");
    config.ca_data = authority.certificate();
    EXPECT_EQ(outcome(config), "ok");
    config.ca_data.clear();
    config.ca_file = write("ca.crt", authority.certificate());
    EXPECT_EQ(outcome(config), "ok");
    config.ca_file = folder_ + "/missing";
    EXPECT_NE(outcome(config), "ok");
    config.ca_file = folder_ + "/ca.crt";
    config.tls_name = "api.test";
    EXPECT_EQ(outcome(config), "ok");
    config.tls_name = "other.test";
    EXPECT_THAT(outcome(config), HasSubstr("other.test"));
    config.tls_name.clear();
    config.server = fmt::format("https://localhost:{}", peer.port());  // a name that it lacks
    EXPECT_THAT(outcome(config), HasSubstr("localhost"));
    config.insecure = true;
    EXPECT_EQ(outcome(config), "ok");
}

TEST_F(KubeFiles, AClientCertificateSaysWhoWeAre) {
    Authority authority;
    auto tls = std::make_unique<HttpPeer::Tls>();
    tls->server = authority.issue("api", {"IP:127.0.0.1"});
    tls->client_authority = authority.certificate();
    HttpPeer peer(
        [](const PeerRequest& request, PeerReply& reply) {
            reply.answer(200, nlohmann::json{{"user", request.user}}.dump());
        },
        std::move(tls));
    auto config = config_for(peer);
    config.ca_data = authority.certificate();
    EXPECT_FALSE(client_for(config).get(kNodes, "", "n"));
    const auto pair = authority.issue("system:node:n1", {});
    config.certificate_data = pair.certificate;
    config.key_data = pair.key;
    auto answer = client_for(config).get(kNodes, "", "n");
    ASSERT_TRUE(answer) << answer.error().message;
    EXPECT_EQ((*answer)["user"], "system:node:n1");
    config.certificate_data.clear();
    config.key_data.clear();
    config.certificate_file = write("client.crt", pair.certificate);
    config.key_file = write("client.key", pair.key);
    answer = client_for(config).get(kNodes, "", "n");
    ASSERT_TRUE(answer) << answer.error().message;
    EXPECT_EQ((*answer)["user"], "system:node:n1");
    // One connection serves many requests, with credentials as files and as data.
    for (const bool data : {false, true}) {
        auto kept = config;
        if (data) {
            kept.ca_data = authority.certificate();
            kept.certificate_data = pair.certificate;
            kept.key_data = pair.key;
            kept.certificate_file.clear();
            kept.key_file.clear();
        }
        auto client = client_for(kept);
        const int before = peer.connections();
        for (int i = 0; i < 5; ++i) EXPECT_TRUE(client.get(kNodes, "", "n"));
        EXPECT_EQ(peer.connections(), before + 1);
    }
    config.key_file = write("client.key", authority.issue("other", {}).key);
    EXPECT_FALSE(client_for(config).get(kNodes, "", "n"));
}

TEST(KubeClient, CredentialsGoOverTlsOrStayOnThisMachine) {
    std::string shown;
    HttpPeer peer([&shown](const PeerRequest& request, PeerReply& reply) {
        shown = request.headers.contains("authorization") ? request.headers.at("authorization")
                                                          : "";
        reply.answer(200, "{}");
    });
    auto config = config_for(peer);
    config.token = "secret";
    EXPECT_TRUE(client_for(config).get(kNodes, "", "n"));
    EXPECT_EQ(shown, "Bearer secret");
    // The same machine by a name that does not say so.
    config.server = fmt::format("http://127.0.0.2:{}", peer.port());
    (void)client_for(config).get(kNodes, "", "n");
    config.server = fmt::format("http://[::ffff:127.0.0.1]:{}", peer.port());
    EXPECT_TRUE(client_for(config).get(kNodes, "", "n"));
    EXPECT_EQ(shown, "");
}

TEST(KubeClient, AddressesThatAreNoneAreRefused) {
    for (const std::string server :
         {"", "nonsense", "file:///etc/passwd", "https://user:pw@h", "https://h h", "ftp://h"}) {
        ClientConfig config;
        config.server = server;
        const auto answer = client_for(config).get(kNodes, "", "n");
        ASSERT_FALSE(answer) << server;
        EXPECT_EQ(answer.error().reason, "Refused") << server;
    }
}

}  // namespace
}  // namespace mimic::kube
