// SPDX-License-Identifier: Apache-2.0
// The other ends of the simulator's socket as Linux SST's are: blocking, one request in flight,
// one write() and one read() a message, on a thread of the test.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "base/event_loop.h"
#include "base/unique_fd.h"
#include "base/unix_socket.h"
#include "sim/socket/client.h"
#include "sim/sst_protocol.h"

namespace mimic::sim::testing {

/// A folder for sockets that goes with the test.
class SocketFolder {
public:
    SocketFolder();
    ~SocketFolder();
    std::string path(const std::string& name = "sst.sock") const { return folder_ + "/" + name; }

private:
    std::string folder_;
};

/// Turns of `loop` until `done` holds; false after a minute.
bool run_until(EventLoop& loop, const std::function<bool()>& done);

SSTRequest request_of(uint32_t type, uint64_t id, uint64_t user_data = 0);

/// Reads or writes exactly `size` bytes, however often it takes. False: the peer has gone.
bool read_exactly(int fd, void* data, size_t size);
bool write_exactly(int fd, const void* data, size_t size);

/// A simulator of a test: serves one client after the other on a thread, with `serve` for each
/// connection until it returns.
class PeerServer {
public:
    using Serve = std::function<void(int fd)>;
    PeerServer(const std::string& path, Serve serve);
    /// Also ends what `serve` waits for on its connection.
    ~PeerServer();

private:
    void run();

    UnixListener listener_;
    Serve serve_;
    std::atomic<bool> stop_{false};
    std::atomic<int> fd_{-1};
    std::thread thread_;
};

/// What an observer was told.
struct Events final : SimulatorObserver {
    void on_event(const SSTEvent& event) override { all.push_back(event); }
    size_t count(uint32_t type, uint64_t data) const;
    std::vector<SSTEvent> all;
};

}  // namespace mimic::sim::testing
