// SPDX-License-Identifier: Apache-2.0
#include "sim_server/register_server.h"

#include <sys/epoll.h>

#include <cstring>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/log.h"
#include "base/stream.h"
#include "base/timer.h"
#include "base/unix_socket.h"

namespace mimic::sim_server {
namespace {

constexpr uint64_t kDeviceSize = 4096;
constexpr Duration kAcceptPause = std::chrono::milliseconds(100);

class SocketRegisterServer;

class Connection final : private FdHandler {
public:
    Connection(SocketRegisterServer& server, uint64_t id, UniqueFd fd)
        : server_(server), id_(id), stream_(std::move(fd)) {}
    ~Connection();
    Status start();

private:
    void on_fd_ready(uint32_t events) override;
    void take_accesses();
    void take(const RegisterRequest& request);
    void answer_part();
    void answer(bool success, uint64_t data);
    void close();

    SocketRegisterServer& server_;
    const uint64_t id_;
    Stream stream_;
    bool busy_ = false;
    bool ended_ = false;
    Timer patience_;
    WeakOwner<Connection> weak_{this};
};

class SocketRegisterServer final : public RegisterServer, private FdHandler {
public:
    SocketRegisterServer(const RegisterServerOptions& options, UnixListener listener,
                         EventLoop& loop)
        : options_(options),
          listener_(std::move(listener)),
          loop_(loop),
          device_(RegisterDevice::create(options.device, loop)) {}
    ~SocketRegisterServer() override { loop_.unwatch(listener_.fd()); }

    Status start() { return loop_.watch(listener_.fd(), EPOLLIN, *this); }

    Counters counters() const override {
        Counters counters = counters_;
        counters.clients = connections_.size();
        return counters;
    }
    RegisterDevice& device() override { return *device_; }
    const std::string& path() const override { return options_.path; }

    EventLoop& loop() { return loop_; }
    const RegisterServerOptions& options() const { return options_; }
    Counters& count() { return counters_; }

    void lost(uint64_t id) {
        const auto found = connections_.find(id);
        if (found == connections_.end()) return;
        gone_.push_back(std::move(found->second));
        connections_.erase(found);
        if (!reap_.is_pending()) reap_.post(loop_, [this] { gone_.clear(); });
    }

private:
    void on_fd_ready(uint32_t) override {
        for (;;) {
            auto fd = listener_.accept();
            if (!fd) {
                MIMIC_LOG("sim", kWarn, "{}", fd.error().message());
                loop_.unwatch(listener_.fd());
                accept_.start(loop_, kAcceptPause, [this] { (void)start(); });
                return;
            }
            if (!*fd) return;
            if (connections_.size() >= options_.max_clients) continue;
            auto connection = std::make_unique<Connection>(*this, ++last_id_, std::move(*fd));
            if (!connection->start()) continue;
            ++counters_.connections;
            connections_[last_id_] = std::move(connection);
            if (loop_.share_is_over()) return;
        }
    }

    const RegisterServerOptions options_;
    UnixListener listener_;
    EventLoop& loop_;
    std::unique_ptr<RegisterDevice> device_;
    Counters counters_;
    uint64_t last_id_ = 0;
    std::unordered_map<uint64_t, std::unique_ptr<Connection>> connections_;
    std::vector<std::unique_ptr<Connection>> gone_;
    Timer reap_;
    Timer accept_;
};

Connection::~Connection() {
    if (stream_) server_.loop().unwatch(stream_.fd());
}

Status Connection::start() {
    return server_.loop().watch(stream_.fd(), EPOLLIN, *this);
}

void Connection::on_fd_ready(uint32_t events) {
    if ((events & (EPOLLHUP | EPOLLERR)) != 0) return close();
    // A client that waits for answers sends nothing meanwhile; one that sends this much is no QEMU.
    if (stream_.in_size() >= Stream::kMostAtOnce) return close();
    if (!ended_ && stream_.fill() == Stream::Got::kEnd) {
        ended_ = true;
        if (!server_.loop().rewatch(stream_.fd(), 0)) return close();  // else it stays readable
    }
    take_accesses();
}

void Connection::take_accesses() {
    while (stream_ && !busy_ && stream_.in_size() >= sizeof(RegisterRequest)) {
        RegisterRequest request;
        std::memcpy(&request, stream_.in().data(), sizeof request);
        stream_.in().drop(sizeof request);
        take(request);
    }
    if (!stream_ || busy_) return;
    if (ended_) {
        if (stream_.in_size() != 0) {  // a part of one
            answer_part();
        }
        return close();
    }
    if (stream_.in_size() == 0) return patience_.cancel();
    if (patience_.is_pending()) return;
    patience_.start(server_.loop(), server_.options().patience, [this] {
        answer_part();
        close();
    });
}

void Connection::take(const RegisterRequest& request) {
    ++server_.count().requests;
    const auto base = server_.options().base;
    const uint64_t offset = base ? request.address - *base : request.address & (kDeviceSize - 1);
    const unsigned size = request.size;
    const bool known = request.type <= 1 && (size == 1 || size == 2 || size == 4 || size == 8);
    if (!known || offset >= kDeviceSize || size > kDeviceSize - offset) {
        ++server_.count().malformed;
        return answer(false, 0);
    }
    if (request.type == 1) {
        server_.device().write(offset, size, request.data);
        return answer(true, 0);
    }
    busy_ = true;
    server_.device().read(offset, size, [weak = weak_.ptr()](uint64_t value) {
        Connection* const self = weak.get();
        if (self == nullptr) return;
        self->busy_ = false;
        self->answer(true, value);
        // Not from within take_accesses(), whose loop goes on by itself.
        if (self->stream_ && (self->ended_ || self->stream_.in_size() != 0))
            self->server_.loop().post([weak] {
                if (Connection* const later = weak.get()) later->take_accesses();
            });
    });
}

void Connection::answer_part() {
    ++server_.count().malformed;
    ++server_.count().parts;
    answer(false, 0);
}

void Connection::answer(bool success, uint64_t data) {
    RegisterResponse response{};
    response.success = success ? 1 : 0;
    response.data = data;
    std::memcpy(stream_.out().grow(sizeof response), &response, sizeof response);
    ++server_.count().answers;
    // A client that lets 16-byte answers fill its socket reads none of them.
    if (!stream_.flush() || stream_.out_size() != 0) close();
}

void Connection::close() {
    if (!stream_) return;
    server_.loop().unwatch(stream_.fd());
    stream_.close();
    patience_.cancel();
    server_.lost(id_);
}

}  // namespace

Result<std::unique_ptr<RegisterServer>> RegisterServer::create(const RegisterServerOptions& options,
                                                               EventLoop& loop) {
    MIMIC_ASSIGN_OR_RETURN(auto listener, UnixListener::listen(options.path));
    auto server = std::make_unique<SocketRegisterServer>(options, std::move(listener), loop);
    MIMIC_TRY(server->start());
    return server;
}

}  // namespace mimic::sim_server
