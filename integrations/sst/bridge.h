// SPDX-License-Identifier: Apache-2.0
// Bridge: the simulator's socket for a simulation that must not wait for it. A thread of its own
// talks to clients; the simulation's thread looks at one word of memory a cycle.
//
// Knows neither SST nor Mimic's libraries, only the bytes (sim/sst_protocol.h), so that an element
// library needs nothing but its sst-core.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "sim/sst_protocol.h"

namespace mimic_sst {

/// A request and the connection that it came by.
struct Asked {
    uint64_t client = 0;
    uint64_t request_id = 0;
    uint64_t user_data = 0;
    SSTRequest request;
};

/// Serves one socket. Every request is answered, by the simulation or, when it came in parts only,
/// by the bridge (INVALID, and the client is closed). Clients come and go. One request in flight a
/// client, or many where it has said SST_FLAG_PIPELINE. Methods are for one thread, the
/// simulation's; they never wait for a client.
class Bridge {
public:
    /// `patience`: how long a request may take to come in whole, and a client not to read.
    explicit Bridge(std::string path,
                    std::chrono::milliseconds patience = std::chrono::milliseconds(5000));
    ~Bridge();
    Bridge(const Bridge&) = delete;
    Bridge& operator=(const Bridge&) = delete;

    /// Listens (mode 0600; a stale socket file is replaced) and starts the thread. False: `error`
    /// says why.
    bool start(std::string& error);

    /// Whether poll() would find something: one load.
    bool has_request() const { return waiting_.load(std::memory_order_acquire) != 0; }
    bool poll(Asked& asked);

    /// Sleeps until there is a request or `limit` is over.
    void wait(std::chrono::microseconds limit);

    /// `response.request_id`, `user_data` and `reserved` are set here.
    void answer(const Asked& asked, const SSTResponse& response, const sst_timing& timing);

    uint64_t connections() const { return connections_.load(std::memory_order_acquire); }
    uint64_t clients() const { return clients_.load(std::memory_order_acquire); }
    uint64_t malformed() const { return malformed_.load(std::memory_order_acquire); }

private:
    struct Client {
        int fd = -1;
        std::vector<uint8_t> input;
        std::vector<uint8_t> output;
        size_t sent = 0;
        uint32_t agreed = 0;
        bool agreeing = false;
        bool ended = false;
        bool partial = false;
        size_t in_flight = 0;
        std::chrono::steady_clock::time_point since{};  // of the part, or of unread answers
    };
    struct Given {
        uint64_t client;
        SSTResponse response;
        sst_timing timing;
    };

    void run();
    int poll_timeout() const;
    void accept_client();
    void read_client(uint64_t id, Client& client, short events);
    void take_requests(uint64_t id, Client& client);
    void take_request(uint64_t id, Client& client);
    bool may_take(const Client& client) const;
    size_t message_size(const Client& client) const;
    void answer_part(Client& client);
    void send_answers();
    void put_answer(Client& client, SSTResponse& response, const sst_timing& timing);
    void flush(Client& client);
    void look_at_times();
    void forget_closed();

    const std::string path_;
    const std::chrono::milliseconds patience_;
    int listener_ = -1;
    int wake_ = -1;
    std::atomic<bool> stop_{false};
    std::atomic<uint64_t> waiting_{0};
    std::atomic<uint64_t> connections_{0};
    std::atomic<uint64_t> clients_{0};
    std::atomic<uint64_t> malformed_{0};
    std::map<uint64_t, Client> all_;  // the thread's

    std::mutex mutex_;  // guards the two below
    std::deque<Asked> requests_;
    std::vector<Given> answers_;
    std::condition_variable came_;
    std::thread thread_;
};

}  // namespace mimic_sst
