// SPDX-License-Identifier: Apache-2.0
// Peers that take places and time: connections that send a byte now and then, for ever, beside the
// one that has the token.
#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "base/unique_fd.h"
#include "service/http_server.h"
#include "service/router.h"

namespace mimic::service {
namespace {

using namespace std::chrono_literals;

constexpr auto kSoon = 60s;  // for what must come; a loaded machine is slow

class HttpPeersTest : public testing::Test {
protected:
    // "/page" is for everybody, all else for those that say "owner".
    void start(HttpLimits limits) {
        HttpServer::Options options;
        options.handler = [](const HttpRequest& request) {
            HttpResponse response;
            response.body = request.body;
            return response;
        };
        options.refuse = [](int status, const char* code, const char* sentence) {
            return refuse({status, code, sentence});
        };
        options.guard = [](const HttpRequest& head) -> std::optional<HttpResponse> {
            if (head.path == "/page" || head.authorization == "owner") return std::nullopt;
            return refuse({401, "unauthorized", "no token"});
        };
        options.is_proof = [](const HttpRequest& head) { return head.authorization == "owner"; };
        options.workers = 2;
        options.limits = limits;
        auto made = HttpServer::create_tcp(0, std::move(options));
        ASSERT_TRUE(made) << made.error().message();
        server_ = std::move(*made);
    }

    UniqueFd connected() const {
        UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_port = htons(server_->port());
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        if (::connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0)
            fd.reset();
        return fd;
    }

    static bool say(const UniqueFd& fd, std::string_view text) {
        return ::send(fd.get(), text.data(), text.size(), MSG_NOSIGNAL) ==
               static_cast<ssize_t>(text.size());
    }

    // The first line of an answer; "" if the connection ends, or nothing comes in kSoon.
    static std::string status_line(const UniqueFd& fd) {
        std::string all;
        while (all.find("\r\n") == std::string::npos) {
            std::array<char, 4096> buffer{};
            pollfd readable{.fd = fd.get(), .events = POLLIN, .revents = 0};
            if (::poll(&readable, 1, static_cast<int>(kSoon / 1ms)) <= 0) return "";
            const ssize_t count = ::recv(fd.get(), buffer.data(), buffer.size(), 0);
            if (count <= 0) return "";
            all.append(buffer.data(), static_cast<size_t>(count));
        }
        return all.substr(0, all.find("\r\n"));
    }

    static bool is_closed(const UniqueFd& fd) {
        char byte = 0;
        const ssize_t count = ::recv(fd.get(), &byte, 1, MSG_DONTWAIT);
        return count == 0 || (count < 0 && errno != EAGAIN && errno != EINTR);
    }

    // Sends "a" often, so that the connection is never idle. False if it is not closed in kSoon.
    static bool ends_although_it_talks(const UniqueFd& fd, std::string_view start) {
        say(fd, start);
        const auto give_up = std::chrono::steady_clock::now() + kSoon;
        while (std::chrono::steady_clock::now() < give_up) {
            if (is_closed(fd)) return true;
            say(fd, "a");
            std::this_thread::sleep_for(10ms);
        }
        return false;
    }

    static constexpr const char* kAsk = "GET / HTTP/1.1\r\nHost: x\r\nAuthorization: owner\r\n\r\n";

    std::unique_ptr<HttpServer> server_;
};

TEST_F(HttpPeersTest, HeadHasADeadlineHoweverOftenBytesCome) {
    start({.head = 300ms, .body = 1h});
    EXPECT_TRUE(ends_although_it_talks(connected(), "GET /"));
    EXPECT_TRUE(ends_although_it_talks(connected(), ""));
    // After an answer the next head has it, too: the peer is known, and has time for a body.
    UniqueFd second;
    std::string line;
    do {  // a busy machine may need longer for a head
        second = connected();
        line = say(second, kAsk) ? status_line(second) : "";
    } while (line.empty());
    EXPECT_EQ(line, "HTTP/1.1 200 OK");
    EXPECT_TRUE(ends_although_it_talks(second, "GET /"));
}

TEST_F(HttpPeersTest, BodyHasADeadlineHoweverOftenBytesCome) {
    start({.head = 1h, .body = 300ms});
    EXPECT_TRUE(ends_although_it_talks(connected(),
                                       "POST / HTTP/1.1\r\nHost: x\r\nAuthorization: owner\r\n"
                                       "Content-Length: 60000\r\n\r\n"));
}

TEST_F(HttpPeersTest, StrangerThatAsksAgainAndAgainLeaves) {
    start({.head = 300ms, .body = 1h});
    const UniqueFd stranger = connected();
    const auto give_up = std::chrono::steady_clock::now() + kSoon;
    bool ended = false;
    while (!ended && std::chrono::steady_clock::now() < give_up) {
        ended = !say(stranger, "GET /page HTTP/1.1\r\nHost: x\r\nAuthorization: mine\r\n\r\n") ||
                status_line(stranger).empty();
    }
    EXPECT_TRUE(ended);
}

// More strangers than there are places, all of whom talk all the time and come back when they are
// closed; no deadline helps. With one budget for all of them the owner would wait for ever.
TEST_F(HttpPeersTest, OwnerIsServedBesideStrangers) {
    const HttpLimits limits{.strangers = 64, .head = 1h, .body = 1h, .idle_seconds = 3600};
    start(limits);
    const UniqueFd before = connected();
    ASSERT_TRUE(say(before, kAsk));
    EXPECT_EQ(status_line(before), "HTTP/1.1 200 OK");

    std::vector<UniqueFd> strangers(size_t{4} * limits.strangers);
    for (auto& stranger : strangers) {
        stranger = connected();
        say(stranger, "G");
    }
    std::atomic<bool> stop = false;
    std::atomic<unsigned> came_back = 0;
    std::thread attack([&] {
        for (size_t i = 0; !stop; i = (i + 1) % strangers.size()) {
            if (is_closed(strangers[i])) {
                strangers[i] = connected();
                ++came_back;
            }
            say(strangers[i], "E");
            if (i % 8 == 0) std::this_thread::sleep_for(1ms);
        }
    });
    const auto give_up = std::chrono::steady_clock::now() + kSoon;
    unsigned served = 0;
    while (served < 20 && std::chrono::steady_clock::now() < give_up) {
        const UniqueFd owner = connected();
        say(owner, kAsk);
        // Without a turn on the CPU between connecting and asking, somebody else may have its
        // place.
        served += status_line(owner) == "HTTP/1.1 200 OK" ? 1 : 0;
    }
    EXPECT_EQ(served, 20u);
    // One who was there before is none of the oldest.
    EXPECT_TRUE(say(before, kAsk));
    EXPECT_EQ(status_line(before), "HTTP/1.1 200 OK");
    stop = true;
    attack.join();
    EXPECT_GT(came_back, 0u) << "no stranger was closed for another";
}

}  // namespace
}  // namespace mimic::service
