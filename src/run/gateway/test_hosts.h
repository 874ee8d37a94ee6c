// SPDX-License-Identifier: Apache-2.0
// For tests: processes that serve the control API as device hosts do, ones that answer whatever
// the test likes, and readers of events.
#pragma once

#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/unix_socket.h"
#include "control/api.h"
#include "control/test_targets.h"
#include "service/event_queue.h"

namespace mimic::gateway {

/// A folder of its own that ends with it.
class TestFolder {
public:
    TestFolder() : path(std::filesystem::temp_directory_path() / "mimic-XXXXXX") {
        if (::mkdtemp(path.data()) == nullptr) std::abort();
    }
    ~TestFolder() { std::filesystem::remove_all(path); }
    TestFolder(const TestFolder&) = delete;
    TestFolder& operator=(const TestFolder&) = delete;

    std::string operator/(const std::string& name) const { return path + "/" + name; }

    std::string path;
};

/// XDG_RUNTIME_DIR, while this lives.
class RuntimeFolder {
public:
    explicit RuntimeFolder(const std::string& path) {
        const char* const before = std::getenv("XDG_RUNTIME_DIR");  // NOLINT(concurrency-mt-unsafe)
        if (before != nullptr) before_ = before;
        ::setenv("XDG_RUNTIME_DIR", path.c_str(), 1);  // NOLINT(concurrency-mt-unsafe)
    }
    ~RuntimeFolder() {
        if (before_) {
            ::setenv("XDG_RUNTIME_DIR", before_->c_str(), 1);  // NOLINT(concurrency-mt-unsafe)
        } else {
            ::unsetenv("XDG_RUNTIME_DIR");  // NOLINT(concurrency-mt-unsafe)
        }
    }
    RuntimeFolder(const RuntimeFolder&) = delete;
    RuntimeFolder& operator=(const RuntimeFolder&) = delete;

private:
    std::optional<std::string> before_;
};

/// Serves `devices` at `socket` until it ends.
class TestHost {
public:
    TestHost(const std::string& socket, const std::string& machine,
             const std::vector<std::string>& devices)
        : process(machine), group_(pool_->loop(0), devices) {
        server_ = *control::ControlServer::create(
            {.socket_path = socket, .deadline = std::chrono::seconds(20), .process = &process},
            {&group_});
    }

    void reset(const std::string& device) {
        process.events.publish("reset", device, nlohmann::ordered_json::object());
    }

    service::ProcessContext process;

private:
    std::unique_ptr<LoopPool> pool_ = *LoopPool::create(1);
    control::FakeGroup group_;
    std::unique_ptr<control::ControlServer> server_;
};

/// Answers each request at `socket` with the same bytes.
class ScriptedHost {
public:
    enum class Then { kHangsUp, kHolds, kRepeats };

    ScriptedHost(const std::string& socket, std::string answer, Then then)
        : listener_(*UnixListener::listen(socket)),
          answer_(std::move(answer)),
          then_(then),
          thread_([this] { run(); }) {}
    ~ScriptedHost() {
        stop_ = true;
        thread_.join();
    }
    ScriptedHost(const ScriptedHost&) = delete;
    ScriptedHost& operator=(const ScriptedHost&) = delete;

    std::atomic<int> connections{0};

private:
    struct Peer {
        UniqueFd fd;
        std::string request;
        size_t sent = 0;
    };

    void run() {
        while (!stop_) {
            if (auto fd = listener_.accept(); fd && *fd) {
                ++connections;
                peers_.push_back({std::move(*fd), "", 0});
            }
            for (Peer& peer : peers_) serve(peer);
            std::erase_if(peers_, [](const Peer& peer) { return !peer.fd; });
            pollfd waiting{.fd = listener_.fd(), .events = POLLIN, .revents = 0};
            ::poll(&waiting, 1, 1);
        }
    }
    // A bit of it, without waiting.
    void serve(Peer& peer) {
        std::array<char, 4096> buffer{};
        const ssize_t got = ::recv(peer.fd.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
        if (got > 0) peer.request.append(buffer.data(), static_cast<size_t>(got));
        if (got == 0) return peer.fd.reset();
        if (peer.request.find("\r\n\r\n") == std::string::npos) return;
        const ssize_t sent = ::send(peer.fd.get(), answer_.data() + peer.sent,
                                    answer_.size() - peer.sent, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent > 0) peer.sent += static_cast<size_t>(sent);
        if (peer.sent < answer_.size()) return;
        if (then_ == Then::kHangsUp) peer.fd.reset();
        if (then_ == Then::kRepeats) peer.sent = 0;
    }

    UnixListener listener_;
    const std::string answer_;
    const Then then_;
    std::vector<Peer> peers_;
    std::atomic<bool> stop_{false};
    std::thread thread_;
};

/// What a reader gets until `wanted` is in it; all that came, if that takes 20 s.
inline std::string read_until(service::HttpStream& reader, const std::string& wanted) {
    std::string all;
    std::string chunk;
    for (int waits = 0; waits < 20'000 && all.find(wanted) == std::string::npos;) {
        switch (reader.read(chunk)) {
            case service::HttpStream::Next::kData:
                all += chunk;
                break;
            case service::HttpStream::Next::kEnd:
                return all + "<end>";
            case service::HttpStream::Next::kWait:
                ++waits;
                std::this_thread::sleep_for(std::chrono::milliseconds(1));
        }
    }
    return all;
}

}  // namespace mimic::gateway
