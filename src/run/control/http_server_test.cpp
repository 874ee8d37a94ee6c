// SPDX-License-Identifier: Apache-2.0
// The HTTP server and its client over real sockets: hostile bytes, large, slow and many clients,
// and those of another user.
#include "service/http_server.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>

#include "control/api.h"
#include "control/test_targets.h"
#include "service/client.h"

namespace mimic::control {
namespace {

using namespace std::chrono_literals;
using testing::AnyOf;
using testing::HasSubstr;
using testing::StartsWith;

class HttpServerTest : public testing::Test {
protected:
    HttpServerTest() {
        std::string pattern = testing::TempDir() + "mimic-control-XXXXXX";
        dir = ::mkdtemp(pattern.data());
        server = *ControlServer::create({socket_path(), 20s}, {&group});
    }
    ~HttpServerTest() override {
        server.reset();
        std::filesystem::remove_all(dir);
    }
    std::string socket_path() const { return dir + "/control-0.sock"; }

    // Sends `bytes` and returns all that comes back until the server closes or is silent for
    // `patience`, before its first byte for `first`.
    std::string raw(std::string_view bytes, Duration patience = 500ms, Duration first = 20s) {
        const auto fd = unix_connect(socket_path());
        if (!fd) return "no connection";
        // The server may close early; that is no failure of the test.
        size_t sent = 0;
        while (sent < bytes.size()) {
            const ssize_t count = ::send(fd->get(), bytes.data() + sent, bytes.size() - sent,
                                         MSG_NOSIGNAL);
            if (count <= 0) break;
            sent += static_cast<size_t>(count);
        }
        return rest(fd->get(), patience, first);
    }
    static std::string rest(int fd, Duration patience, Duration first) {
        std::string all;
        std::array<char, 4096> buffer{};
        for (;;) {
            pollfd readable{.fd = fd, .events = POLLIN, .revents = 0};
            const Duration wait = all.empty() ? first : patience;
            if (::poll(&readable, 1, static_cast<int>(wait / 1ms)) <= 0) return all;
            const ssize_t count = ::recv(fd, buffer.data(), buffer.size(), 0);
            if (count <= 0) return all;
            all.append(buffer.data(), static_cast<size_t>(count));
        }
    }
    service::ClientAnswer ask(const std::string& method, const std::string& path,
                              const std::string& body = "") {
        auto answer = service::send_request({socket_path(), method, path, body, 20s});
        EXPECT_TRUE(answer) << answer.error().message();
        return answer.value_or(service::ClientAnswer{});
    }
    void expect_alive() { EXPECT_EQ(ask("GET", "/v1/version").status, 200); }

    std::string dir;
    std::unique_ptr<LoopPool> pool = *LoopPool::create(1);
    FakeGroup group{pool->loop(0), {"gpu0"}};
    std::unique_ptr<ControlServer> server;
};

TEST_F(HttpServerTest, ServesTheClient) {
    const auto made = ask("POST", "/v1/devices/gpu0/faults", R"({"fault": "bad-tlp"})");
    EXPECT_EQ(made.status, 201);
    EXPECT_THAT(made.body, HasSubstr("\"done\""));
    EXPECT_EQ(ask("GET", "/v1/devices/" + service::percent_encode("no such")).status, 404);
    EXPECT_THAT(ask("GET", "/v1/devices/" + service::percent_encode("gpu 0")).body,
                HasSubstr("\\\"gpu 0\\\""));
    EXPECT_EQ(ask("GET", "/v1/openapi.json").body, openapi_document());
}

TEST_F(HttpServerTest, SocketIsPrivateAndGoesWithTheServer) {
    struct stat info {};
    ASSERT_EQ(::stat(socket_path().c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 0777, 0600U);
    EXPECT_FALSE(ControlServer::create({socket_path(), 1s}, {&group}));
    expect_alive();
    server.reset();
    EXPECT_NE(::stat(socket_path().c_str(), &info), 0);
    const auto refused = service::send_request({socket_path(), "GET", "/v1/version", "", 1s});
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code(), std::errc::connection_refused);
}

TEST_F(HttpServerTest, BodiesAreBounded) {
    EXPECT_EQ(
        ask("POST", "/v1/devices/gpu0/faults", std::string(service::kMaxHttpBody, ' ')).status,
        400);
    EXPECT_EQ(
        ask("POST", "/v1/devices/gpu0/faults", std::string(service::kMaxHttpBody + 1, ' ')).status,
        413);
    // Whoever is still sending gets the answer, too.
    for (int i = 0; i < 20; ++i)
        EXPECT_EQ(ask("POST", "/v1/devices/gpu0/faults", std::string(900'000, ' ')).status, 413);
    // Announced, not sent.
    EXPECT_THAT(raw("POST /v1/devices/gpu0/faults HTTP/1.1\r\nHost: x\r\nContent-Length: "
                    "99999999999999999\r\n\r\n"),
                HasSubstr("413"));
    EXPECT_THAT(raw("POST /v1/devices/gpu0/faults HTTP/1.1\r\nHost: x\r\nContent-Length: "
                    "99999999999999999999999\r\n\r\n"),
                AnyOf(HasSubstr("413"), HasSubstr("400")));
    // Not announced.
    std::string chunked =
        "POST /v1/devices/gpu0/faults HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
    for (int i = 0; i < 20; ++i) chunked += "1000\r\n" + std::string(4096, ' ') + "\r\n";
    EXPECT_THAT(raw(chunked + "0\r\n\r\n"), HasSubstr("413"));
    for (int i = 0; i < 1000; ++i) chunked += "1000\r\n" + std::string(4096, ' ') + "\r\n";
    raw(chunked, 500ms, 500ms);  // the connection ends, whatever is said before
    expect_alive();
}

TEST_F(HttpServerTest, HeadsAreBounded) {
    EXPECT_THAT(raw("GET /" + std::string(100'000, 'a') + " HTTP/1.1\r\nHost: x\r\n\r\n"),
                HasSubstr("414"));
    EXPECT_THAT(
        raw("GET /v1/version HTTP/1.1\r\nHost: x\r\nX: " + std::string(100'000, 'a') + "\r\n\r\n"),
        AnyOf(HasSubstr("431"), HasSubstr("413")));
    std::string many = "GET /v1/version HTTP/1.1\r\nHost: x\r\n";
    for (int i = 0; i < 20'000; ++i) many += "A: b\r\n";
    EXPECT_THAT(raw(many + "\r\n"), AnyOf(HasSubstr("431"), HasSubstr("413")));
    expect_alive();
}

TEST_F(HttpServerTest, QueriesAreDecodedAndBounded) {
    service::HttpRequest seen;
    const auto other = *service::HttpServer::create(
        dir + "/query.sock", {.handler =
                                  [&seen](const service::HttpRequest& request) {
                                      seen = request;
                                      return service::HttpResponse{};
                                  },
                              .refuse =
                                  [](int status, const char* code, const char* sentence) {
                                      return service::refuse({status, code, sentence});
                                  }});
    const auto get = [&](const std::string& path) {
        return service::send_request({dir + "/query.sock", "GET", path, "", 20s})->status;
    };
    EXPECT_EQ(get("/x%20y?a=1&b=two%20words&a=%26&empty=&bare"), 200);
    EXPECT_EQ(seen.path, "/x y");
    EXPECT_THAT(seen.query,
                testing::ElementsAre(testing::Pair("a", "1"), testing::Pair("a", "&"),
                                     testing::Pair("b", "two words"), testing::Pair("bare", ""),
                                     testing::Pair("empty", "")));
    std::string most = "/?";
    for (size_t i = 0; i < service::kMaxHttpQuery; ++i) most += "a=&";
    most.pop_back();
    EXPECT_EQ(get(most), 200);
    EXPECT_EQ(get(most + "&a="), 400);
}

TEST_F(HttpServerTest, HostileBytes) {
    const std::string zeros(100, '\0');
    for (const std::string& bytes :
         {std::string("\r\n\r\n\r\n"), zeros, std::string(5000, '\xff'), std::string("GET\r\n\r\n"),
          std::string("GET /v1/version\r\n\r\n"), std::string("GET /v1/version HTTP/9.9\r\n\r\n"),
          std::string("GET /v1/version HTTP/1.1\r\n\r\n"),  // no Host
          std::string("GET /%zz%00%ff HTTP/1.1\r\nHost: x\r\n\r\n"),
          std::string("GET /v1/devices/..%2f..%2fetc HTTP/1.1\r\nHost: x\r\n\r\n"),
          std::string(
              "POST /v1/devices/gpu0/faults HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n{}"),
          std::string(
              "POST /v1/devices/gpu0/faults HTTP/1.1\r\nHost: x\r\nContent-Length: x\r\n\r\n{}"),
          std::string("POST /v1/devices/gpu0/faults HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: "
                      "chunked\r\n\r\nzz\r\n"),
          std::string("POST /v1/devices/gpu0/faults HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: "
                      "chunked\r\n\r\nffffffffffffffffff\r\n"),
          std::string("\x16\x03\x01\x02\x00\x01\x00")}) {
        const auto answer = raw(bytes, 100ms, 100ms);
        if (!answer.empty()) {
            EXPECT_THAT(answer, StartsWith("HTTP/1."));
        }
        EXPECT_THAT(answer, testing::Not(HasSubstr("HTTP/1.1 20"))) << bytes;
    }
    expect_alive();
}

TEST_F(HttpServerTest, SlowAndIdleClientsHoldUpNobody) {
    std::vector<UniqueFd> clients;
    for (const std::string_view start :
         {"", "GET /v1",
          "POST /v1/devices/gpu0/faults HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{"}) {
        auto fd = unix_connect(socket_path());
        ASSERT_TRUE(fd);
        ASSERT_EQ(::send(fd->get(), start.data(), start.size(), MSG_NOSIGNAL),
                  static_cast<ssize_t>(start.size()));
        clients.push_back(std::move(*fd));
    }
    // One that asks a lot and reads nothing.
    auto deaf = unix_connect_now(socket_path());
    ASSERT_TRUE(deaf);
    const std::string request = "GET /v1/openapi.json HTTP/1.1\r\nHost: x\r\n\r\n";
    for (int i = 0; i < 2000; ++i)
        if (::send(deaf->get(), request.data(), request.size(), MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
            break;
    for (int i = 0; i < 20; ++i) expect_alive();
}

TEST_F(HttpServerTest, ConnectionsAreBounded) {
    const std::string request = "GET /v1/version HTTP/1.1\r\nHost: x\r\n\r\n";
    std::vector<UniqueFd> clients;
    const auto ask_and_stay = [&] {
        auto fd = unix_connect(socket_path());
        if (!fd || ::send(fd->get(), request.data(), request.size(), MSG_NOSIGNAL) < 0)
            return std::string("no connection");
        std::array<char, 12> start{};
        if (::recv(fd->get(), start.data(), start.size(), MSG_WAITALL) !=
            static_cast<ssize_t>(start.size()))
            return std::string("no answer");
        clients.push_back(std::move(*fd));
        return std::string(start.data(), start.size());
    };
    for (unsigned i = 0; i < service::kMaxHttpConnections; ++i)
        ASSERT_EQ(ask_and_stay(), "HTTP/1.1 200");
    // Too many: one more is told so, until another goes.
    EXPECT_EQ(ask_and_stay(), "HTTP/1.1 503");
    clients.clear();
    std::string last;
    for (int tries = 0; tries < 1000 && last != "HTTP/1.1 200"; ++tries) {
        last = ask_and_stay();
        clients.clear();
        std::this_thread::sleep_for(10ms);
    }
    expect_alive();
}

TEST_F(HttpServerTest, OneConnectionManyRequests) {
    const std::string one = "GET /v1/version HTTP/1.1\r\nHost: x\r\n\r\n";
    const std::string last = "GET /v1/version HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    const auto all = raw(one + one + last, 5s);
    size_t answers = 0;
    for (size_t at = all.find("HTTP/1.1 200"); at != std::string::npos;
         at = all.find("HTTP/1.1 200", at + 1))
        ++answers;
    EXPECT_EQ(answers, 3U);
    const auto head = raw("HEAD /v1/version HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 5s);
    EXPECT_THAT(head, StartsWith("HTTP/1.1 200"));
    EXPECT_TRUE(head.ends_with("\r\n\r\n"));
    const auto wrong = raw(
        "PUT /v1/version HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        5s);
    EXPECT_THAT(wrong, HasSubstr("405"));
    EXPECT_THAT(wrong, HasSubstr("Allow: GET"));
}

TEST_F(HttpServerTest, OtherUsersAreRefused) {
    if (::geteuid() != 0) GTEST_SKIP() << "only root can become another user";
    ASSERT_EQ(::chmod(dir.c_str(), 0755), 0);
    ASSERT_EQ(::chmod(socket_path().c_str(), 0666), 0);
    // As nobody, with calls that are safe after fork().
    const pid_t child = ::fork();
    if (child == 0) {
        if (::setgid(65534) != 0 || ::setuid(65534) != 0) ::_exit(1);
        const auto fd = unix_connect(socket_path());
        if (!fd) ::_exit(2);
        const std::string_view request = "GET /v1/version HTTP/1.1\r\nHost: x\r\n\r\n";
        if (::send(fd->get(), request.data(), request.size(), MSG_NOSIGNAL) < 0) ::_exit(3);
        std::array<char, 12> start{};
        if (::recv(fd->get(), start.data(), start.size(), MSG_WAITALL) != 12) ::_exit(4);
        ::_exit(std::string_view(start.data(), start.size()) == "HTTP/1.1 403" ? 0 : 5);
    }
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_EQ(WEXITSTATUS(status), 0);
    expect_alive();
}

TEST_F(HttpServerTest, EndsWhileClientsAreConnected) {
    const auto idle = unix_connect(socket_path());
    ASSERT_TRUE(idle);
    expect_alive();
    server.reset();
    EXPECT_EQ(rest(idle->get(), 5s, 5s), "");
}

}  // namespace
}  // namespace mimic::control
