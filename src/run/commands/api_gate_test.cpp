// SPDX-License-Identifier: Apache-2.0
#include "commands/api_gate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <array>
#include <cstdlib>
#include <fstream>

namespace mimic::commands {
namespace {

constexpr std::array kAssets{
    page::Asset{.path = "/", .content_type = "text/html", .etag = "\"1\"", .content = "<p>page"},
    page::Asset{.path = "/404.html",
                .content_type = "text/html",
                .etag = "\"2\"",
                .content = "<p>nothing"}};
constexpr uint16_t kPort = 8080;

service::HttpRequest request(const std::string& path, const std::string& authorization = "",
                             const std::string& host = "127.0.0.1:8080") {
    service::HttpRequest made;
    made.method = "GET";
    made.path = path;
    made.host = host;
    made.authorization = authorization;
    return made;
}

class Gate : public testing::Test {
protected:
    Gate() { gate.set_port(kPort); }
    int status(const service::HttpRequest& head) {
        const auto refused = gate.guard(head);
        return refused ? refused->status : 0;
    }
    ApiGate gate{"0123456789abcdef", kAssets};
};

TEST_F(Gate, ApiWantsTheToken) {
    EXPECT_EQ(status(request("/v1/machines", "Bearer 0123456789abcdef")), 0);
    for (const char* wrong :
         {"", "Bearer", "Bearer ", "Bearer 0123456789abcde", "Bearer 0123456789abcdeg",
          "Bearer 0123456789abcdef0", "bearer 0123456789abcdef", "Basic 0123456789abcdef",
          "0123456789abcdef"})
        EXPECT_EQ(status(request("/v1/machines", wrong)), 401) << wrong;
    EXPECT_EQ(status(request("/metrics")), 401);
    EXPECT_EQ(status(request("/v1/nothing")), 401) << "does not say what there is";
    EXPECT_EQ(status(request("/v1")), 401);
}

TEST_F(Gate, FilesOfThePageNeedNone) {
    EXPECT_EQ(status(request("/")), 0);
}

// Whoever mistypes the address of the page reads that, not an error of the API.
TEST_F(Gate, AWrongAddressIsAPageToo) {
    for (const char* path : {"//", "/nothing", "/index.html", "/v1x", "/favicon.ico"}) {
        EXPECT_EQ(status(request(path)), 0) << path;
        const auto answer = gate.file(request(path));
        ASSERT_TRUE(answer) << path;
        EXPECT_EQ(answer->status, 404);
        EXPECT_EQ(answer->content_type, "text/html");
        EXPECT_EQ(answer->body, "<p>nothing");
    }
    EXPECT_FALSE(gate.file(request("/nothing", "Bearer 0123456789abcdef"))) << "a program asks";
    auto post = request("/nothing");
    post.method = "POST";
    EXPECT_EQ(status(post), 401);
    // Without a page there is only the API.
    ApiGate api("0123456789abcdef", {});
    api.set_port(kPort);
    EXPECT_EQ(api.guard(request("/nothing"))->status, 401);
    EXPECT_FALSE(api.file(request("/nothing")));
}

TEST_F(Gate, ForeignHostsAreRefusedEvenWithTheToken) {
    EXPECT_EQ(status(request("/", "", "localhost:8080")), 0);
    for (const char* host :
         {"", "127.0.0.1", "127.0.0.1:80", "evil.example:8080", "127.0.0.1:8080.",
          "127.0.0.1:8080@evil.example", "LOCALHOST.evil:8080"})
        EXPECT_EQ(status(request("/v1/machines", "Bearer 0123456789abcdef", host)), 421) << host;
    EXPECT_EQ(status(request("/", "", "evil.example:8080")), 421);
}

TEST_F(Gate, TheEndOfATunnelIsOneMoreName) {
    const std::string token = "Bearer 0123456789abcdef";
    EXPECT_EQ(status(request("/v1/machines", token, "127.0.0.1:9090")), 421);
    gate.set_tunnel(9090);
    EXPECT_EQ(status(request("/v1/machines", token, "127.0.0.1:9090")), 0);
    EXPECT_EQ(status(request("/v1/machines", token, "localhost:9090")), 0);
    EXPECT_EQ(status(request("/v1/machines", token)), 0);
    EXPECT_EQ(status(request("/v1/machines", "", "127.0.0.1:9090")), 401);
    EXPECT_EQ(status(request("/v1/machines", token, "example.com:9090")), 421);
    EXPECT_EQ(status(request("/v1/machines", token, "127.0.0.1:0")), 421);
}

TEST_F(Gate, LetsNobodyInBeforeThePortIsKnown) {
    const ApiGate closed("0123456789abcdef", kAssets);
    EXPECT_EQ(closed.guard(request("/", "", "127.0.0.1:0"))->status, 421);
}

TEST_F(Gate, AFileIsSentOnce) {
    const auto whole = gate.file(request("/"));
    ASSERT_TRUE(whole);
    EXPECT_EQ(whole->body, "<p>page");
    EXPECT_EQ(whole->content_type, "text/html");
    auto again = request("/");
    again.if_none_match = whole->etag;
    EXPECT_EQ(gate.file(again)->status, 304);
    EXPECT_EQ(gate.file(again)->body, "");
    auto post = request("/");
    post.method = "POST";
    EXPECT_EQ(gate.file(post)->status, 405);
    EXPECT_FALSE(gate.file(request("/v1/machines")));
}

TEST(Token, IsNewEachTime) {
    const auto first = make_token();
    const auto second = make_token();
    ASSERT_TRUE(first && second);
    EXPECT_EQ(first->size(), 64U);
    EXPECT_NE(*first, *second);
}

TEST(Token, FileIsOursAlone) {
    std::string path = testing::TempDir() + "tokenXXXXXX";
    ASSERT_GE(::mkstemp(path.data()), 0);
    const auto read = [&](const std::string& text, mode_t mode) {
        std::ofstream(path) << text;
        ::chmod(path.c_str(), mode);
        auto token = read_token(path);
        ::chmod(path.c_str(), 0600);
        return token;
    };
    EXPECT_EQ(*read("0123456789abcdef\nmore", 0600), "0123456789abcdef");
    EXPECT_EQ(read("0123456789abcdef", 0640).error().code(), std::errc::permission_denied);
    for (const std::string& text : {std::string(), std::string("short\n"), std::string(300, 'a'),
                                    std::string("0123456789 abcdef"), std::string(20, '\0')})
        EXPECT_EQ(read(text, 0600).error().code(), std::errc::invalid_argument) << text;
    ::remove(path.c_str());
    EXPECT_FALSE(read_token(path));
    EXPECT_FALSE(read_token("/dev/zero"));
}

}  // namespace
}  // namespace mimic::commands
