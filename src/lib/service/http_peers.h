// SPDX-License-Identifier: Apache-2.0
// HttpServer::Peers: who is connected, since when, and whether it has shown that it may be. Silence
// is libmicrohttpd's to notice; this sees to it that a peer which sends a byte now and then does
// not stay for ever, and that strangers are only in each other's way. Private to the server.
#pragma once

#include <condition_variable>
#include <list>
#include <mutex>
#include <thread>

#include "base/task_runner.h"
#include "service/http_server.h"

struct MHD_Connection;

namespace mimic::service {

/// Thread-safe.
class HttpServer::Peers {
public:
    explicit Peers(HttpLimits limits);
    ~Peers();
    Peers(const Peers&) = delete;
    Peers& operator=(const Peers&) = delete;

    /// One connection. Its descriptor is libmicrohttpd's, open until closed() returns.
    struct Peer {
        int fd = -1;
        bool known = false;    // it has shown that it may be here
        bool dropped = false;  // and is about to be closed
        TimePoint deadline{};  // for the part of a request that is awaited
    };

    /// A new connection, a stranger's. With too many of them the oldest goes. Returns what the
    /// other calls name it by.
    Peer* opened(int fd);
    void closed(Peer* peer);

    /// The head of a request is there, and allowed. False if it would be one too many of those who
    /// are known.
    bool admit(Peer* peer);

    /// The whole request is there: the peer waits for us.
    void request_arrived(Peer* peer);

    /// The answer is sent: the next head is awaited.
    void answered(Peer* peer);

    /// nullptr if there was no memory for opened(). The calls above do nothing then, admit() is
    /// false.
    static Peer* of(MHD_Connection* connection);

private:
    void run();
    void drop(Peer& peer);

    const HttpLimits limits_;
    std::mutex mutex_;
    std::condition_variable changed_;
    std::list<Peer> peers_;  // oldest first
    unsigned known_ = 0;
    bool stopping_ = false;
    std::thread thread_;
};

}  // namespace mimic::service
