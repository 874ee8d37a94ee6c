// SPDX-License-Identifier: Apache-2.0
#include "service/http_streams.h"

#include <microhttpd.h>

#include <algorithm>

namespace mimic::service {
namespace {

constexpr size_t kBlock = size_t{16} << 10;  // arbitrary; what libmicrohttpd asks for at once

}  // namespace

HttpServer::Streams::Streams() : thread_([this] { run(); }) {}

HttpServer::Streams::~Streams() {
    stop();
}

void HttpServer::Streams::stop() {
    {
        const std::lock_guard lock(mutex_);
        stopping_ = true;
    }
    changed_.notify_all();
    if (thread_.joinable()) thread_.join();
}

MHD_Response* HttpServer::Streams::open(MHD_Connection* connection, std::string first,
                                        std::shared_ptr<HttpStream> source) {
    std::unique_ptr<Stream> stream(
        new Stream{*this, connection, std::move(source), std::move(first)});
    stream->last = SteadyClock().now();
    {
        const std::lock_guard lock(mutex_);
        if (stopping_ || streams_.size() >= kMaxHttpStreams) return nullptr;
        streams_.push_back(stream.get());
    }
    stream->source->set_waker([this, raw = stream.get()] { wake(*raw); });
    MHD_Response* const response = MHD_create_response_from_callback(
        MHD_SIZE_UNKNOWN, kBlock, &Streams::on_read, stream.get(), &Streams::on_free);
    if (response == nullptr) {
        on_free(stream.release());
        return nullptr;
    }
    [[maybe_unused]] const auto* const given = stream.release();
    return response;
}

ssize_t HttpServer::Streams::on_read(void* context, uint64_t /*position*/, char* buffer,
                                     size_t size) {
    auto& stream = *static_cast<Stream*>(context);
    bool ended = false;
    if (stream.sent == stream.chunk.size() && !stream.owner.next_chunk(stream, ended))
        return ended ? MHD_CONTENT_READER_END_OF_STREAM : 0;
    const size_t count = std::min(size, stream.chunk.size() - stream.sent);
    std::copy_n(stream.chunk.data() + stream.sent, count, buffer);
    stream.sent += count;
    stream.last = SteadyClock().now();
    return static_cast<ssize_t>(count);
}

// False: the connection is suspended until there is more, or the stream has `ended`.
bool HttpServer::Streams::next_chunk(Stream& stream, bool& ended) {
    for (;;) {
        stream.chunk.clear();
        stream.sent = 0;
        switch (stream.source->read(stream.chunk)) {
            case HttpStream::Next::kData:
                return true;
            case HttpStream::Next::kEnd:
                ended = true;
                return false;
            case HttpStream::Next::kWait:
                break;
        }
        if (SteadyClock().now() - stream.last >= kKeepAlive) {
            stream.chunk = ": keep-alive\n\n";
            return true;
        }
        {
            const std::lock_guard lock(mutex_);
            ended = stopping_;
        }
        if (ended || suspend(stream)) return false;
    }
}

// False if the source was woken since it was read.
bool HttpServer::Streams::suspend(Stream& stream) {
    const std::lock_guard lock(mutex_);
    if (stream.woken || stopping_) {
        stream.woken = false;
        return false;
    }
    stream.suspended = true;
    MHD_suspend_connection(stream.connection);
    return true;
}

void HttpServer::Streams::wake(Stream& stream) {
    {
        const std::lock_guard lock(mutex_);
        stream.woken = true;
        if (!stream.suspended) return;
        any_woken_ = true;
    }
    changed_.notify_all();
}

void HttpServer::Streams::run() {
    std::unique_lock lock(mutex_);
    for (;;) {
        // Half of what is allowed between two comments: none comes late.
        changed_.wait_for(lock, kKeepAlive / 2, [this] { return any_woken_ || stopping_; });
        any_woken_ = false;
        const TimePoint now = SteadyClock().now();
        std::vector<MHD_Connection*> resumed;
        for (Stream* const stream : streams_) {
            if (!stream->suspended) continue;
            if (!stream->woken && !stopping_ && now - stream->last < kKeepAlive) continue;
            stream->suspended = false;
            stream->woken = false;
            resumed.push_back(stream->connection);
        }
        const bool last = stopping_;
        lock.unlock();
        // A suspended connection stays where it is until it is resumed, so these are still there.
        for (MHD_Connection* const connection : resumed) MHD_resume_connection(connection);
        if (last) return;
        lock.lock();
    }
}

void HttpServer::Streams::on_free(void* context) {
    const std::unique_ptr<Stream> stream(static_cast<Stream*>(context));
    stream->source->set_waker({});
    const std::lock_guard lock(stream->owner.mutex_);
    std::erase(stream->owner.streams_, stream.get());
}

}  // namespace mimic::service
