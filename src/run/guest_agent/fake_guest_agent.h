// SPDX-License-Identifier: Apache-2.0
// For tests: the other end of a GuestAgent, on a thread, that answers each line as the test says.
#pragma once

#include <sys/socket.h>
#include <unistd.h>

#include <functional>
#include <string>
#include <string_view>
#include <thread>

#include "base/unique_fd.h"

namespace mimic::guest_agent {

/// Calls `answer` for each line that comes and sends what it returns, newline included or not as
/// the test likes. Ends when either side hangs up; an answer of kHangUp does. `answer` runs on the
/// fake's own thread.
class FakeGuestAgent {
public:
    using Answer = std::function<std::string(const std::string& request)>;
    static constexpr std::string_view kHangUp = "hang up";

    explicit FakeGuestAgent(Answer answer) : answer_(std::move(answer)) {
        int fds[2];
        if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) != 0) std::abort();
        ours_.reset(fds[0]);
        client_.reset(fds[1]);
        thread_ = std::thread([this] { run(); });
    }
    /// On a connection that somebody else accepted, blocking.
    FakeGuestAgent(Answer answer, UniqueFd ours)
        : answer_(std::move(answer)), ours_(std::move(ours)), thread_([this] { run(); }) {}
    ~FakeGuestAgent() {
        ::shutdown(ours_.get(), SHUT_RDWR);
        thread_.join();
    }
    FakeGuestAgent(const FakeGuestAgent&) = delete;
    FakeGuestAgent& operator=(const FakeGuestAgent&) = delete;

    /// The end for the GuestAgent under test.
    UniqueFd take_client() { return std::move(client_); }

private:
    void run() {
        std::string buffer;
        char chunk[4096];
        for (;;) {
            const ssize_t count = ::recv(ours_.get(), chunk, sizeof(chunk), 0);
            if (count <= 0) return;
            buffer.append(chunk, static_cast<size_t>(count));
            for (size_t end; (end = buffer.find('\n')) != std::string::npos;) {
                const std::string text = answer_(buffer.substr(0, end));
                buffer.erase(0, end + 1);
                if (text == kHangUp) {
                    ::shutdown(ours_.get(), SHUT_RDWR);
                    return;
                }
                send_all(text);
            }
        }
    }
    void send_all(std::string_view text) {
        while (!text.empty()) {
            const ssize_t count = ::send(ours_.get(), text.data(), text.size(), MSG_NOSIGNAL);
            if (count <= 0) return;
            text.remove_prefix(static_cast<size_t>(count));
        }
    }

    Answer answer_;
    UniqueFd ours_;
    UniqueFd client_;
    std::thread thread_;
};

}  // namespace mimic::guest_agent
