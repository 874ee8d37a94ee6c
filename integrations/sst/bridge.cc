// SPDX-License-Identifier: Apache-2.0
#include "bridge.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

namespace mimic_sst {
namespace {

using Clock = std::chrono::steady_clock;

constexpr size_t kBlock = 256 << 10;     // read at once
constexpr size_t kMostUnread = 1 << 20;  // answers; beyond that a client's requests wait
constexpr size_t kMostInFlight = 1024;   // of a client that has asked for many
constexpr size_t kMostClients = 64;
constexpr uint32_t kFlags = SST_FLAG_PIPELINE | SST_FLAG_TIMED;

bool address_of(const std::string& path, sockaddr_un& address, std::string& error) {
    address = {};
    address.sun_family = AF_UNIX;
    if (path.empty() || path.size() >= sizeof address.sun_path) {
        error = "a socket's path has 1 to 107 bytes: " + path;
        return false;
    }
    std::memcpy(address.sun_path, path.data(), path.size());
    return true;
}

// A file that nobody serves any more is in the way.
void remove_stale(const std::string& path, const sockaddr_un& address) {
    struct stat info;
    if (::lstat(path.c_str(), &info) != 0 || !S_ISSOCK(info.st_mode)) return;
    const int probe = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (probe < 0) return;
    const auto* const generic = reinterpret_cast<const sockaddr*>(&address);
    if (::connect(probe, generic, sizeof address) != 0 && errno == ECONNREFUSED)
        ::unlink(path.c_str());
    ::close(probe);
}

}  // namespace

Bridge::Bridge(std::string path, std::chrono::milliseconds patience)
    : path_(std::move(path)), patience_(patience) {}

Bridge::~Bridge() {
    stop_ = true;
    if (wake_ >= 0) {
        const uint64_t one = 1;
        (void)!::write(wake_, &one, sizeof one);
    }
    if (thread_.joinable()) thread_.join();
    for (auto& each : all_) ::close(each.second.fd);
    if (listener_ >= 0) {
        ::close(listener_);
        ::unlink(path_.c_str());
    }
    if (wake_ >= 0) ::close(wake_);
}

bool Bridge::start(std::string& error) {
    sockaddr_un address;
    if (!address_of(path_, address, error)) return false;
    remove_stale(path_, address);
    const auto failed = [&](const char* what) {
        error = std::string(what) + " " + path_ + ": " + std::strerror(errno);
        if (listener_ >= 0) ::close(listener_);
        listener_ = -1;
        return false;
    };
    wake_ = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (wake_ < 0) return failed("eventfd for");
    listener_ = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (listener_ < 0) return failed("socket for");
    ::fchmod(listener_, 0600);
    if (::bind(listener_, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
        return failed("bind");
    if (::listen(listener_, 16) != 0) return failed("listen at");
    thread_ = std::thread([this] { run(); });
    return true;
}

bool Bridge::poll(Asked& asked) {
    if (!has_request()) return false;
    const std::lock_guard<std::mutex> lock(mutex_);
    asked = requests_.front();
    requests_.pop_front();
    waiting_.store(requests_.size(), std::memory_order_release);
    return true;
}

void Bridge::wait(std::chrono::microseconds limit) {
    std::unique_lock<std::mutex> lock(mutex_);
    came_.wait_for(lock, limit, [this] { return !requests_.empty(); });
}

void Bridge::answer(const Asked& asked, const SSTResponse& response, const sst_timing& timing) {
    bool first;
    {
        const std::lock_guard<std::mutex> lock(mutex_);
        first = answers_.empty();
        answers_.push_back({asked.client, response, timing});
        answers_.back().response.request_id = asked.request_id;
        answers_.back().response.user_data = asked.user_data;
    }
    if (!first) return;  // the thread has been woken, and takes all
    const uint64_t one = 1;
    (void)!::write(wake_, &one, sizeof one);
}

void Bridge::run() {
    std::vector<pollfd> watched;
    std::vector<uint64_t> ids;
    while (!stop_) {
        watched.assign({{listener_, POLLIN, 0}, {wake_, POLLIN, 0}});
        if (all_.size() >= kMostClients) watched[0].events = 0;
        ids.clear();
        for (auto& each : all_) {
            const Client& client = each.second;
            short events = client.sent < client.output.size() ? POLLOUT : 0;
            if (!client.ended && client.input.size() < kBlock) events |= POLLIN;
            watched.push_back({client.fd, events, 0});
            ids.push_back(each.first);
        }
        if (::poll(watched.data(), watched.size(), poll_timeout()) < 0 && errno != EINTR) break;
        if ((watched[1].revents & POLLIN) != 0) {
            uint64_t ignored;
            (void)!::read(wake_, &ignored, sizeof ignored);
        }
        for (size_t i = 0; i < ids.size(); ++i) {
            if (watched[i + 2].revents != 0)
                read_client(ids[i], all_[ids[i]], watched[i + 2].revents);
        }
        send_answers();
        if ((watched[0].revents & POLLIN) != 0) accept_client();
        look_at_times();
        forget_closed();
    }
}

int Bridge::poll_timeout() const {
    for (const auto& each : all_) {
        const Client& client = each.second;
        if (client.partial || client.sent < client.output.size())
            return static_cast<int>(std::max<int64_t>(patience_.count() / 4, 1));
    }
    return -1;
}

void Bridge::accept_client() {
    const int fd = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0) {
        // Without descriptors the listener stays readable; this thread does not spin on it.
        if (errno == EMFILE || errno == ENFILE || errno == ENOMEM)
            std::this_thread::sleep_for(std::chrono::milliseconds(50));
        return;
    }
    const uint64_t id = connections_.fetch_add(1, std::memory_order_acq_rel) + 1;
    all_[id].fd = fd;
    clients_.store(all_.size(), std::memory_order_release);
}

void Bridge::read_client(uint64_t id, Client& client, short events) {
    if ((events & (POLLHUP | POLLERR | POLLNVAL)) != 0) {  // nobody is left to answer
        ::close(std::exchange(client.fd, -1));
        return;
    }
    if ((events & POLLIN) != 0 && !client.ended) {
        const size_t before = client.input.size();
        client.input.resize(before + kBlock);
        const ssize_t got = ::recv(client.fd, client.input.data() + before, kBlock, 0);
        client.input.resize(before + static_cast<size_t>(std::max<ssize_t>(got, 0)));
        if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR)) client.ended = true;
    }
    take_requests(id, client);
    flush(client);
}

size_t Bridge::message_size(const Client& client) const {
    return sizeof(SSTRequest) + ((client.agreed & SST_FLAG_TIMED) != 0 ? sizeof(sst_submit) : 0);
}

bool Bridge::may_take(const Client& client) const {
    if (client.agreeing || client.input.size() < message_size(client)) return false;
    if (client.output.size() - client.sent >= kMostUnread) return false;
    const bool many = (client.agreed & SST_FLAG_PIPELINE) != 0;
    return client.in_flight < (many ? kMostInFlight : 1);
}

void Bridge::take_requests(uint64_t id, Client& client) {
    while (may_take(client)) take_request(id, client);
    const bool begun = !client.input.empty() && client.input.size() < message_size(client);
    if (begun && !client.partial) client.since = Clock::now();
    client.partial = begun;
    if (client.ended && begun) answer_part(client);
}

void Bridge::take_request(uint64_t id, Client& client) {
    Asked asked;
    std::memcpy(&asked.request, client.input.data(), sizeof asked.request);
    client.input.erase(client.input.begin(),
                       client.input.begin() + static_cast<std::ptrdiff_t>(message_size(client)));
    asked.client = id;
    asked.request_id = asked.request.request_id;
    asked.user_data = asked.request.user_data;
    // Only a request that is alone can change how those after it look.
    if (client.in_flight == 0 && client.agreed == 0 && (asked.request.flags & kFlags) != 0) {
        client.agreeing = true;
        client.agreed = asked.request.flags & kFlags;
    }
    ++client.in_flight;
    {
        const std::lock_guard<std::mutex> lock(mutex_);
        requests_.push_back(asked);
        waiting_.store(requests_.size(), std::memory_order_release);
    }
    came_.notify_one();
}

// Whoever sent it waits for an answer. Where the next would begin is not known, so it is the last.
void Bridge::answer_part(Client& client) {
    SSTRequest request{};
    std::memcpy(&request, client.input.data(), std::min(client.input.size(), sizeof request));
    client.input.clear();
    client.partial = false;
    client.ended = true;
    malformed_.fetch_add(1, std::memory_order_acq_rel);
    ++client.in_flight;
    SSTResponse response{};
    response.status = SST_STATUS_INVALID;
    response.request_id = request.request_id;
    response.user_data = request.user_data;
    put_answer(client, response, {});
}

void Bridge::send_answers() {
    std::vector<Given> given;
    {
        const std::lock_guard<std::mutex> lock(mutex_);
        given.swap(answers_);
    }
    for (Given& each : given) {
        const auto found = all_.find(each.client);
        if (found == all_.end() || found->second.fd < 0) continue;  // it has gone
        put_answer(found->second, each.response, each.timing);
    }
    for (auto& each : all_) {
        if (each.second.fd < 0) continue;
        take_requests(each.first, each.second);
        flush(each.second);
    }
}

void Bridge::put_answer(Client& client, SSTResponse& response, const sst_timing& timing) {
    if (client.in_flight == 0) return;
    --client.in_flight;
    const bool with_timing = !client.agreeing && (client.agreed & SST_FLAG_TIMED) != 0;
    response.reserved = client.agreeing ? client.agreed : 0;
    client.agreeing = false;
    if (client.sent == client.output.size()) client.since = Clock::now();
    const auto append = [&](const void* data, size_t size) {
        const auto* const bytes = static_cast<const uint8_t*>(data);
        client.output.insert(client.output.end(), bytes, bytes + size);
    };
    append(&response, sizeof response);
    if (with_timing) append(&timing, sizeof timing);
}

void Bridge::flush(Client& client) {
    while (client.fd >= 0 && client.sent < client.output.size()) {
        const ssize_t sent = ::send(client.fd, client.output.data() + client.sent,
                                    client.output.size() - client.sent, MSG_NOSIGNAL);
        if (sent > 0) {
            client.sent += static_cast<size_t>(sent);
            client.since = Clock::now();
        } else if (errno == EAGAIN) {
            return;
        } else if (errno != EINTR) {
            ::close(std::exchange(client.fd, -1));
        }
    }
    client.output.clear();
    client.sent = 0;
    if (client.fd >= 0 && client.ended && client.in_flight == 0 && client.input.empty())
        ::close(std::exchange(client.fd, -1));
}

void Bridge::look_at_times() {
    const auto now = Clock::now();
    for (auto& each : all_) {
        Client& client = each.second;
        if (client.fd < 0 || now - client.since < patience_) continue;
        if (client.sent < client.output.size()) {
            ::close(std::exchange(client.fd, -1));  // it does not read
        } else if (client.partial) {
            answer_part(client);
            flush(client);
        }
    }
}

void Bridge::forget_closed() {
    for (auto each = all_.begin(); each != all_.end();) {
        each = each->second.fd < 0 ? all_.erase(each) : std::next(each);
    }
    clients_.store(all_.size(), std::memory_order_release);
}

}  // namespace mimic_sst
