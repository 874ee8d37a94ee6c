// SPDX-License-Identifier: Apache-2.0
// HttpServer::Streams: answers that go on. libmicrohttpd suspends the connection of a stream that
// has nothing to say; a thread of this resumes it when there is something, or to keep it alive.
// Private to the server.
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "base/task_runner.h"
#include "service/http_server.h"

struct MHD_Connection;
struct MHD_Response;

namespace mimic::service {

class HttpServer::Streams {
public:
    Streams();
    ~Streams();
    Streams(const Streams&) = delete;
    Streams& operator=(const Streams&) = delete;

    /// The body of a response that begins with `first` and goes on with `stream`; nullptr if there
    /// are kMaxHttpStreams already, or without memory.
    MHD_Response* open(MHD_Connection* connection, std::string first,
                       std::shared_ptr<HttpStream> stream);

    /// Lets every stream end. Called before the server stops: a suspended connection cannot.
    void stop();

private:
    // One stream. Lives until libmicrohttpd frees its response.
    struct Stream {
        Streams& owner;
        MHD_Connection* const connection;
        const std::shared_ptr<HttpStream> source;
        std::string chunk;  // what is being sent, from `sent` on
        size_t sent = 0;
        TimePoint last{};        // when something was sent
        bool suspended = false;  // these two: guarded by mutex_
        bool woken = false;
    };

    static ssize_t on_read(void* context, uint64_t position, char* buffer, size_t size);
    static void on_free(void* context);
    bool next_chunk(Stream& stream, bool& ended);
    bool suspend(Stream& stream);
    void wake(Stream& stream);
    void run();

    static constexpr Duration kKeepAlive = std::chrono::seconds(5);  // as docs/instruments.md says

    std::mutex mutex_;
    std::condition_variable changed_;
    std::vector<Stream*> streams_;
    bool stopping_ = false;
    bool any_woken_ = false;
    std::thread thread_;
};

}  // namespace mimic::service
