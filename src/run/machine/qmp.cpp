// SPDX-License-Identifier: Apache-2.0
#include "machine/qmp.h"

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "base/unix_socket.h"

namespace mimic::machine {
namespace {

using Json = nlohmann::ordered_json;

constexpr size_t kMaxLine = 1u << 20;  // answers to our commands have a few hundred bytes

Status wait_for(int fd, short events, TimePoint deadline) {
    for (;;) {
        const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline -
                                                                       SteadyClock().now());
        if (left.count() <= 0)
            return fail(std::errc::timed_out, "QEMU's monitor did not answer in time");
        pollfd ready{.fd = fd, .events = events, .revents = 0};
        const int count = ::poll(&ready, 1,
                                 static_cast<int>(std::min<int64_t>(left.count(), 1 << 30)));
        if (count > 0) return {};
        if (count < 0 && errno != EINTR) return fail_errno("poll");
    }
}

Result<Json> parse_object(const std::string& line) {
    Json json = Json::parse(line, nullptr, false);
    if (!json.is_object())
        return fail(std::errc::protocol_error, "QEMU's monitor sent no JSON object");
    return json;
}

}  // namespace

Result<std::unique_ptr<QmpClient>> QmpClient::connect(const std::string& socket, Duration timeout) {
    const TimePoint deadline = SteadyClock().now() + timeout;
    MIMIC_ASSIGN_OR_RETURN(auto fd, unix_connect_now(socket));
    std::unique_ptr<QmpClient> client(new QmpClient(std::move(fd)));
    MIMIC_ASSIGN_OR_RETURN(const auto line, client->read_line(deadline));
    MIMIC_ASSIGN_OR_RETURN(const auto greeting, parse_object(line));
    if (!greeting.contains("QMP"))
        return fail(std::errc::protocol_error, "{} does not speak QMP", socket);
    const auto agreed = client->execute("qmp_capabilities", deadline - SteadyClock().now());
    if (!agreed) return tl::unexpected(agreed.error());
    return client;
}

Result<std::string> QmpClient::read_line(TimePoint deadline) {
    for (;;) {
        if (const size_t end = received_.find('\n'); end != std::string::npos) {
            std::string line = received_.substr(0, end);
            received_.erase(0, end + 1);
            return line;
        }
        if (received_.size() > kMaxLine)
            return fail(std::errc::protocol_error, "QEMU's monitor sent a line without end");
        MIMIC_TRY(wait_for(socket_.get(), POLLIN, deadline));
        std::array<char, 4096> buffer{};
        const ssize_t count = ::recv(socket_.get(), buffer.data(), buffer.size(), 0);
        if (count == 0) return fail(std::errc::connection_reset, "QEMU closed its monitor");
        if (count < 0) {
            if (errno == EINTR || errno == EAGAIN) continue;
            return fail_errno("QEMU's monitor");
        }
        received_.append(buffer.data(), static_cast<size_t>(count));
    }
}

Status QmpClient::send_line(std::string_view line, TimePoint deadline) {
    while (!line.empty()) {
        const ssize_t count = ::send(socket_.get(), line.data(), line.size(), MSG_NOSIGNAL);
        if (count >= 0) {
            line.remove_prefix(static_cast<size_t>(count));
        } else if (errno == EAGAIN) {
            MIMIC_TRY(wait_for(socket_.get(), POLLOUT, deadline));
        } else if (errno != EINTR) {
            return fail_errno("QEMU's monitor");
        }
    }
    return {};
}

Result<std::string> QmpClient::execute(std::string_view command, Duration timeout) {
    return execute(command, "{}", timeout);
}

Result<std::string> QmpClient::execute(std::string_view command, std::string_view arguments,
                                       Duration timeout) {
    const TimePoint deadline = SteadyClock().now() + timeout;
    const Json object = Json::parse(arguments, nullptr, false);
    if (!object.is_object())
        return fail(std::errc::invalid_argument, "{}: arguments are no JSON object", command);
    MIMIC_TRY(send_line(Json{{"execute", command}, {"arguments", object}}.dump() + "\n", deadline));
    for (;;) {
        MIMIC_ASSIGN_OR_RETURN(const auto line, read_line(deadline));
        MIMIC_ASSIGN_OR_RETURN(const auto answer, parse_object(line));
        if (answer.contains("event")) continue;
        if (const auto value = answer.find("return"); value != answer.end()) return value->dump();
        const auto error = answer.find("error");
        if (error == answer.end() || !error->is_object())
            return fail(std::errc::protocol_error, "QEMU's monitor sent neither answer nor error");
        const auto text = error->find("desc");
        return fail(
            std::errc::invalid_argument, "QEMU refused {}: {}", command,
            text != error->end() && text->is_string() ? text->get<std::string>() : "no reason");
    }
}

Result<std::string> QmpClient::status(Duration timeout) {
    MIMIC_ASSIGN_OR_RETURN(const auto text, execute("query-status", timeout));
    const Json json = Json::parse(text, nullptr, false);
    if (!json.is_object() || !json.contains("status") || !json["status"].is_string())
        return fail(std::errc::protocol_error, "query-status has no status");
    return json["status"].get<std::string>();
}

Status QmpClient::quit(Duration timeout) {
    const auto done = execute("quit", timeout);
    if (!done && done.error().code() != std::errc::connection_reset)
        return tl::unexpected(done.error());
    return {};
}

Status QmpClient::system_powerdown(Duration timeout) {
    const auto done = execute("system_powerdown", timeout);
    if (!done) return tl::unexpected(done.error());
    return {};
}

}  // namespace mimic::machine
