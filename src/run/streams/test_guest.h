// SPDX-License-Identifier: Apache-2.0
// For tests: a relay whose guest is mimic-streamd as a process of this machine, or the test itself.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <iterator>
#include <string>

#include "base/private_files.h"
#include "base/unix_socket.h"
#include "streams/relay.h"

namespace mimic::streams {

inline constexpr auto kPatience = std::chrono::seconds(60);

/// Waits up to a minute for `is_true`.
template <typename Condition>
bool eventually(Condition is_true) {
    for (int tries = 0; tries < 6000; ++tries) {
        if (is_true()) return true;
        ::usleep(10'000);
    }
    return false;
}

class TestGuest {
public:
    TestGuest() {
        std::string pattern = "/tmp/mimic-streams-XXXXXX";
        EXPECT_NE(::mkdtemp(pattern.data()), nullptr);
        folder = pattern;
        listener = std::make_unique<UnixListener>(
            UnixListener::listen(port_socket_path(folder)).value());
        relay = Relay::create(port_socket_path(folder), socket()).value();
    }
    ~TestGuest() {
        relay.reset();
        stop();
        (void)remove_tree(folder);
    }
    TestGuest(const TestGuest&) = delete;
    TestGuest& operator=(const TestGuest&) = delete;

    std::string socket() const { return relay_socket_path(folder); }

    /// The guest's end of the port, blocking, as QEMU would have it.
    UniqueFd accept_port() {
        UniqueFd fd;
        EXPECT_TRUE(eventually([&] {
            auto accepted = listener->accept();
            if (accepted) fd = std::move(*accepted);
            return static_cast<bool>(fd);
        }));
        return fd;
    }

    /// The guest's program, on a port that stays when it ends.
    void start() {
        if (!port) port = accept_port();
        program = ::fork();
        if (program == 0) {
            ::fcntl(port.get(), F_SETFD, 0);
            const std::string number = std::to_string(port.get());
            ::execl(MIMIC_STREAMD, "mimic-streamd", "--fd", number.c_str(), nullptr);
            ::_exit(127);
        }
        ASSERT_GT(program, 0);
    }
    /// How many descriptors the guest's program has open.
    size_t open_files() const {
        const std::filesystem::path fds = "/proc/" + std::to_string(program) + "/fd";
        return static_cast<size_t>(std::distance(std::filesystem::directory_iterator(fds), {}));
    }
    void stop() {
        if (program <= 0) return;
        ::kill(program, SIGKILL);
        ::waitpid(program, nullptr, 0);
        program = 0;
    }

    std::string folder;
    std::unique_ptr<UnixListener> listener;
    std::unique_ptr<Relay> relay;
    UniqueFd port;
    pid_t program = 0;
};

}  // namespace mimic::streams
