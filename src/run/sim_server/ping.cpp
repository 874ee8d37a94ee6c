// SPDX-License-Identifier: Apache-2.0
#include "sim_server/ping.h"

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstring>

#include "base/unique_fd.h"
#include "base/unix_socket.h"
#include "sim/socket/wire.h"

namespace mimic::sim_server {
namespace {

using Steady = std::chrono::steady_clock;

constexpr std::array kTypes = {"NOOP",  "ECHO",  "COMPUTE",  "READ",
                               "WRITE", "RESET", "GET_INFO", "CONFIGURE"};
constexpr uint32_t kUnknownType = 99;
constexpr uint64_t kUnits = 1000;
constexpr size_t kPart = 100;

// Blocking, with a deadline: what a program that asks one thing after the other needs.
class Asker {
public:
    Asker(UniqueFd fd, Duration timeout) : fd_(std::move(fd)), timeout_(timeout) {
        timeval limit{};
        limit.tv_sec = timeout.count() / 1'000'000'000;
        limit.tv_usec = timeout.count() / 1000 % 1'000'000;
        ::setsockopt(fd_.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
        ::setsockopt(fd_.get(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    }

    bool send(const void* data, size_t size) {
        return ::send(fd_.get(), data, size, MSG_NOSIGNAL) == static_cast<ssize_t>(size);
    }

    // How many bytes of `size` came in time.
    size_t receive(void* data, size_t size) {
        size_t got = 0;
        while (got < size) {
            const ssize_t more = ::recv(fd_.get(), static_cast<char*>(data) + got, size - got, 0);
            if (more <= 0) {
                ended_ = more == 0;
                break;
            }
            got += static_cast<size_t>(more);
        }
        return got;
    }

    // Whether bytes come that nobody asked for.
    bool has_more() {
        pollfd ready{fd_.get(), POLLIN, 0};
        char byte;
        return ::poll(&ready, 1, 0) > 0 && ::recv(fd_.get(), &byte, 1, MSG_PEEK) > 0;
    }

    bool ended() const { return ended_; }
    Duration timeout() const { return timeout_; }

private:
    UniqueFd fd_;
    Duration timeout_;
    bool ended_ = false;
};

SSTRequest request_for(uint32_t type, uint64_t id) {
    SSTRequest request{};
    request.type = type;
    request.request_id = id;
    request.user_data = ~id;
    switch (type) {
        case SST_REQ_ECHO:
            for (size_t i = 0; i < SST_MAX_DATA_SIZE; ++i)
                request.payload.data[i] = static_cast<uint8_t>(i * 7 + 1);
            break;
        case SST_REQ_COMPUTE:
            request.payload.compute.compute_units = kUnits;
            break;
        case SST_REQ_READ:
        case SST_REQ_WRITE:
            request.payload.memory.size = 8;
            if (type == SST_REQ_WRITE)
                std::memcpy(request.payload.data + sizeof request.payload.memory, "mimicsim", 8);
            break;
        case SST_REQ_CONFIGURE:
            request.payload.config.param_id = SST_PARAM_CLOCK_HZ;
            request.payload.config.value = 1'000'000'000;
            break;
        default:
            break;
    }
    return request;
}

std::string detail_of(const SSTRequest& request, const SSTResponse& response) {
    if (response.status != SST_STATUS_OK) return "";
    switch (request.type) {
        case SST_REQ_COMPUTE:
            return fmt::format("{} units: {} cycles, done at {}", kUnits,
                               uint64_t{response.payload.compute.cycles},
                               uint64_t{response.payload.compute.timestamp});
        case SST_REQ_GET_INFO:
            return fmt::format("version {:#x}, capabilities {:#x}, {} units, {} bytes of memory",
                               uint32_t{response.payload.info.version},
                               uint32_t{response.payload.info.capabilities},
                               uint64_t{response.payload.info.max_compute_units},
                               uint64_t{response.payload.info.memory_size});
        case SST_REQ_ECHO:
        case SST_REQ_READ:
        case SST_REQ_WRITE:
            return fmt::format("{} bytes", uint64_t{response.result});
        case SST_REQ_CONFIGURE:
            return fmt::format("clock was {} Hz", uint64_t{response.result});
        default:
            return "";
    }
}

// What the protocol asks of an answer, or "".
std::string mistake_in(const SSTRequest& request, const SSTResponse& response) {
    if (response.request_id != request.request_id) return "another request_id";
    if (response.user_data != request.user_data) return "another user_data";
    if (response.status > SST_STATUS_NO_DEVICE) return "a status that does not exist";
    if (request.type > SST_REQ_CONFIGURE && response.status == SST_STATUS_OK)
        return "OK to a type that does not exist";
    if (request.type == SST_REQ_NOOP && response.status != SST_STATUS_OK) return "NOOP must be OK";
    if (request.type == SST_REQ_ECHO && response.status == SST_STATUS_OK &&
        (response.result != SST_MAX_DATA_SIZE ||
         std::memcmp(response.payload.data, request.payload.data, SST_MAX_DATA_SIZE) != 0))
        return "other data than it was sent";
    return "";
}

PingLine ask(Asker& asker, const SSTRequest& request, std::string name) {
    PingLine line;
    line.request = std::move(name);
    line.good = false;
    const auto start = Steady::now();
    SSTResponse response{};
    if (!asker.send(&request, sizeof request)) {
        line.answer = "-";
        line.detail = "the server takes no request";
        return line;
    }
    const size_t got = asker.receive(&response, sizeof response);
    line.microseconds = std::chrono::duration<double, std::micro>(Steady::now() - start).count();
    if (got != sizeof response) {
        line.answer = "-";
        line.detail = fmt::format("{} of {} bytes came{}", got, sizeof response,
                                  asker.ended() ? ", then the end" : " in time");
        return line;
    }
    line.answer = status_word(response.status);
    line.detail = mistake_in(request, response);
    if (line.detail.empty() && asker.has_more()) line.detail = "more than an answer came";
    line.good = line.detail.empty();
    if (line.good) line.detail = detail_of(request, response);
    return line;
}

PingLine ask_latency(Asker& asker, unsigned count) {
    std::vector<double> times;
    for (unsigned i = 0; i < count; ++i) {
        const auto line = ask(asker, request_for(SST_REQ_NOOP, 1000 + i), "");
        if (!line.good) {
            auto bad = line;
            bad.request = fmt::format("NOOP, {} of {}", i + 1, count);
            return bad;
        }
        times.push_back(line.microseconds);
    }
    std::sort(times.begin(), times.end());
    PingLine line;
    line.request = fmt::format("NOOP x {}", count);
    line.answer = "OK";
    line.microseconds = times[times.size() / 2];
    line.detail = fmt::format("{:.1f} us least, {:.1f} half, {:.1f} of 99%", times.front(),
                              times[times.size() / 2], times[times.size() * 99 / 100]);
    return line;
}

// What it can beyond Linux SST's protocol.
PingLine ask_flags(Asker& asker) {
    SSTRequest request = request_for(SST_REQ_NOOP, 50);
    request.flags = SST_FLAG_PIPELINE | SST_FLAG_TIMED;
    SSTResponse response{};
    PingLine line;
    line.request = "NOOP with flags";
    line.good = asker.send(&request, sizeof request) &&
                asker.receive(&response, sizeof response) == sizeof response;
    line.answer = line.good ? status_word(response.status) : "-";
    const uint32_t agreed = response.reserved;
    line.detail = fmt::format(
        "{}, {}", (agreed & SST_FLAG_PIPELINE) != 0 ? "many in flight" : "one in flight",
        (agreed & SST_FLAG_TIMED) != 0 ? "simulated times" : "no times");
    return line;
}

// A part of a request, and nothing more: an answer or the end, but no silence.
PingLine ask_part(const PingOptions& options, UniqueFd fd) {
    PingLine line;
    line.request = fmt::format("{} bytes of a request", kPart);
    const auto start = Steady::now();
    const int end_of_writing = fd.get();
    Asker asker(std::move(fd), options.timeout);
    const SSTRequest request = request_for(SST_REQ_ECHO, 60);
    SSTResponse response{};
    const bool sent = asker.send(&request, kPart);
    ::shutdown(end_of_writing, SHUT_WR);
    const size_t got = sent ? asker.receive(&response, sizeof response) : 0;
    line.microseconds = std::chrono::duration<double, std::micro>(Steady::now() - start).count();
    if (got == sizeof response) {
        line.answer = status_word(response.status);
        line.good = response.status != SST_STATUS_OK;
        line.detail = line.good ? "" : "OK to a part of a request";
    } else {
        line.answer = "-";
        line.good = got == 0 && asker.ended();
        line.detail = line.good ? "closed" : "neither an answer nor the end";
    }
    return line;
}

}  // namespace

std::string status_word(uint32_t status) {
    constexpr std::array kWords = {"OK", "ERROR", "BUSY", "INVALID", "TIMEOUT", "NO_DEVICE"};
    if (status < kWords.size()) return kWords[status];
    return fmt::format("status {}", status);
}

Result<std::vector<PingLine>> ping(const PingOptions& options) {
    MIMIC_ASSIGN_OR_RETURN(auto fd, unix_connect(options.path));
    std::vector<PingLine> lines;
    {
        Asker asker(std::move(fd), options.timeout);
        // WRITE before READ, so that READ has something to find.
        constexpr std::array kOrder = {0u, 1u, 6u, 7u, 2u, 4u, 3u, 5u};
        uint64_t id = 1;
        for (const uint32_t type : kOrder) {
            lines.push_back(ask(asker, request_for(type, id++), kTypes[type]));
            if (lines.back().answer == "-") return lines;  // nobody knows where the next begins
        }
        lines.push_back(
            ask(asker, request_for(kUnknownType, id), fmt::format("type {}", kUnknownType)));
        if (lines.back().answer == "-") return lines;
        if (options.count != 0) lines.push_back(ask_latency(asker, options.count));
        if (lines.back().answer == "-") return lines;
        lines.push_back(ask_flags(asker));
    }
    if (!options.parts) return lines;
    MIMIC_ASSIGN_OR_RETURN(auto another, unix_connect(options.path));
    lines.push_back(ask_part(options, std::move(another)));
    return lines;
}

}  // namespace mimic::sim_server
