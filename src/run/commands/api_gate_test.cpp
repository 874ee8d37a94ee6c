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

constexpr page::Asset html(std::string_view path, std::string_view content) {
    return {.path = path, .content_type = "text/html", .etag = "\"1\"", .content = content};
}

constexpr std::array kAssets{
    html("/", "<p>page"),          html("/404.html", "<p>nothing"),
    html("/401.html", "<p>token"), html("/401-api.html", "<p>token of the API"),
    html("/421.html", "<p>name"),  html("/app.js", "script"),
    html("/style.css", "style")};
constexpr uint16_t kPort = 8080;
constexpr const char* kBrowser = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";

service::HttpRequest request(const std::string& path, const std::string& authorization = "",
                             const std::string& host = "127.0.0.1:8080") {
    service::HttpRequest made;
    made.accept = kBrowser;
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
    ApiGate gate{"0123456789abcdef", kAssets, true};
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
    ApiGate api("0123456789abcdef", kAssets, false);
    api.set_port(kPort);
    EXPECT_EQ(api.guard(request("/nothing"))->status, 401);
    EXPECT_FALSE(api.file(request("/nothing")));
}

// What is wrong is told in HTML to who opens an address, and in JSON to programs.
TEST_F(Gate, PeopleReadNoticesAndProgramsJson) {
    const auto refused = [](const ApiGate& asked, service::HttpRequest head, const char* accept) {
        head.accept = accept;
        auto answer = asked.guard(head);
        return answer ? *answer : asked.file(head).value_or(service::HttpResponse());
    };
    ApiGate api("0123456789abcdef", kAssets, false);
    api.set_port(kPort);
    const auto foreign = request("/", "", "evil.example:8080");
    EXPECT_EQ(refused(gate, request("/v1/machines"), kBrowser).body, "<p>token");
    EXPECT_EQ(refused(api, request("/v1/machines"), kBrowser).body, "<p>token of the API");
    EXPECT_EQ(refused(api, request("/"), kBrowser).body, "<p>token of the API");
    EXPECT_EQ(refused(gate, foreign, kBrowser).body, "<p>name");
    for (const char* accept :
         {"", "*/*", "application/json", "application/json, text/html;q=0.5", "image/webp,*/*"}) {
        for (const auto& answer :
             {refused(gate, request("/v1/machines"), accept),
              refused(gate, request("/nothing"), accept), refused(gate, foreign, accept),
              refused(api, request("/"), accept)}) {
            EXPECT_EQ(answer.content_type, "application/json") << accept;
            EXPECT_TRUE(answer.body.starts_with("{\"error\"")) << answer.body;
        }
    }
}

TEST_F(Gate, WithoutAPageOnlyWhatNoticesNeedIsServed) {
    ApiGate api("0123456789abcdef", kAssets, false);
    api.set_port(kPort);
    EXPECT_FALSE(api.guard(request("/style.css")));
    EXPECT_EQ(api.file(request("/style.css"))->body, "style");
    for (const char* path : {"/", "/app.js", "/404.html", "/401.html"}) {
        EXPECT_EQ(api.guard(request(path))->status, 401) << path;
        EXPECT_FALSE(api.file(request(path, "Bearer 0123456789abcdef"))) << path;
    }
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
    const ApiGate closed("0123456789abcdef", kAssets, true);
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
