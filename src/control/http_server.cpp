// SPDX-License-Identifier: Apache-2.0
#include "control/http_server.h"

#include <fcntl.h>
#include <microhttpd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <cstdarg>
#include <cstdio>
#include <exception>
#include <string_view>

#include "base/log.h"

namespace mimic::control {
namespace {

// A body of unknown length is read this far to answer 413 properly; then the connection ends.
constexpr size_t kMaxDiscarded = 1024 * 1024;  // arbitrary

// One request while it arrives.
struct Arriving {
    HttpRequest request;
    size_t received = 0;
};

std::string header(MHD_Connection* connection, const char* name) {
    const char* value = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, name);
    return value != nullptr ? value : "";
}

bool peer_is_allowed(MHD_Connection* connection) {
    const auto* info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    if (info == nullptr) return false;
    ucred peer{};
    socklen_t length = sizeof peer;
    if (::getsockopt(info->connect_fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) != 0) return false;
    return peer.uid == 0 || peer.uid == ::geteuid();
}

// False if there are more parameters than are taken.
bool read_query(MHD_Connection* connection, HttpRequest& request) {
    const auto add = [](void* to, MHD_ValueKind /*kind*/, const char* key, const char* value) {
        auto& query = *static_cast<std::multimap<std::string, std::string>*>(to);
        if (query.size() > kMaxHttpQuery) return MHD_NO;
        query.emplace(key, value != nullptr ? value : "");
        return MHD_YES;
    };
    MHD_get_connection_values(connection, MHD_GET_ARGUMENT_KIND, add, &request.query);
    return request.query.size() <= kMaxHttpQuery;
}

bool announces_too_much(const std::string& length) {
    if (length.empty()) return false;
    size_t value = 0;
    const auto [end, error] = std::from_chars(length.data(), length.data() + length.size(), value);
    return error != std::errc() || value > kMaxHttpBody;
}

MHD_Result send(MHD_Connection* connection, const HttpResponse& answer) {
    MHD_Response* response = MHD_create_response_from_buffer(
        answer.body.size(), const_cast<char*>(answer.body.data()), MHD_RESPMEM_MUST_COPY);
    if (response == nullptr) return MHD_NO;
    MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, answer.content_type.c_str());
    MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
    if (!answer.allow.empty())
        MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, answer.allow.c_str());
    const MHD_Result queued = MHD_queue_response(connection, static_cast<unsigned>(answer.status),
                                                 response);
    MHD_destroy_response(response);
    return queued;
}

void log_from_library(void* /*context*/, const char* format, va_list arguments) {
    std::array<char, 256> text{};
    // NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized): libmicrohttpd passes a started list.
    std::vsnprintf(text.data(), text.size(), format, arguments);
    std::string_view line(text.data());
    while (line.ends_with('\n')) line.remove_suffix(1);
    MIMIC_LOG("control", kDebug, "{}", line);
}

}  // namespace

// What libmicrohttpd calls, on its thread.
struct HttpCallbacks {
    // The first call of a request has its head only; then come parts of the body; the last call
    // has none.
    static MHD_Result on_request(void* context, MHD_Connection* connection, const char* url,
                                 const char* method, const char* /*version*/, const char* data,
                                 size_t* size, void** state) {
        auto& server = *static_cast<HttpServer*>(context);
        try {
            if (*state == nullptr) return on_head(server, connection, url, method, state);
            auto& arriving = *static_cast<Arriving*>(*state);
            if (*size != 0) {
                arriving.received += *size;
                if (arriving.received > kMaxDiscarded) return MHD_NO;
                if (arriving.received <= kMaxHttpBody) arriving.request.body.append(data, *size);
                *size = 0;
                return MHD_YES;
            }
            if (arriving.received > kMaxHttpBody) return send(connection, too_large(server));
            return send(connection, server.handler_(arriving.request));
        } catch (const std::exception& error) {
            // We throw nothing; this is a library's, such as out of memory.
            MIMIC_LOG("control", kError, "A request failed: {}", error.what());
            return MHD_NO;
        }
    }

    static MHD_Result on_head(HttpServer& server, MHD_Connection* connection, const char* url,
                              const char* method, void** state) {
        if (!peer_is_allowed(connection))
            return send(connection,
                        server.refuse_(403, "forbidden", "this socket serves another user"));
        if (announces_too_much(header(connection, MHD_HTTP_HEADER_CONTENT_LENGTH)))
            return send(connection, too_large(server));
        auto arriving = std::make_unique<Arriving>();
        arriving->request.method = method;
        arriving->request.path = url;
        if (!read_query(connection, arriving->request))
            return send(connection,
                        server.refuse_(400, "bad_request", "too many parameters in the query"));
        arriving->request.content_type = header(connection, MHD_HTTP_HEADER_CONTENT_TYPE);
        *state = arriving.release();
        return MHD_YES;
    }

    static HttpResponse too_large(HttpServer& server) {
        return server.refuse_(413, "too_large", "a body has at most 65536 bytes");
    }

    static void on_end(void* /*context*/, MHD_Connection* /*connection*/, void** state,
                       MHD_RequestTerminationCode /*why*/) {
        delete static_cast<Arriving*>(*state);
        *state = nullptr;
    }
};

HttpServer::HttpServer(UnixListener listener, Handler handler, Refusal refuse)
    : listener_(std::move(listener)), handler_(std::move(handler)), refuse_(std::move(refuse)) {}

Result<std::unique_ptr<HttpServer>> HttpServer::create(const std::string& path, Handler handler,
                                                       Refusal refuse) {
    MIMIC_ASSIGN_OR_RETURN(auto listener, UnixListener::listen(path));
    std::unique_ptr<HttpServer> server(
        new HttpServer(std::move(listener), std::move(handler), std::move(refuse)));
    // The library closes the descriptor that it is given.
    UniqueFd copy(::fcntl(server->listener_.fd(), F_DUPFD_CLOEXEC, 0));
    if (!copy) return fail_errno("{}", path);
    server->daemon_ = MHD_start_daemon(
        MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_EPOLL | MHD_USE_ERROR_LOG, 0, nullptr, nullptr,
        &HttpCallbacks::on_request, server.get(),                //
        MHD_OPTION_EXTERNAL_LOGGER, &log_from_library, nullptr,  //
        MHD_OPTION_LISTEN_SOCKET, copy.get(),                    //
        MHD_OPTION_CONNECTION_LIMIT, kMaxHttpConnections,        //
        MHD_OPTION_CONNECTION_TIMEOUT, kHttpIdleSeconds,         //
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, kMaxHttpHead,        //
        MHD_OPTION_STRICT_FOR_CLIENT, 1,                         //
        MHD_OPTION_NOTIFY_COMPLETED, &HttpCallbacks::on_end, nullptr, MHD_OPTION_END);
    if (server->daemon_ == nullptr)
        return fail(std::errc::resource_unavailable_try_again, "{}: the HTTP server does not start",
                    path);
    [[maybe_unused]] const int given = copy.release();
    return server;
}

HttpServer::~HttpServer() {
    if (daemon_ != nullptr) MHD_stop_daemon(daemon_);
}

}  // namespace mimic::control
