// SPDX-License-Identifier: Apache-2.0
#include "service/http_server.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <cstdarg>
#include <cstdio>
#include <exception>
#include <string_view>

#include "base/check.h"
#include "base/log.h"
#include "service/http_peers.h"
#include "service/http_streams.h"

namespace mimic::service {
namespace {

// A body that is too large is read this far, so that a client which is still sending gets the 413
// and no closed connection. More is not worth it: 413 at once where it is announced, else the end.
constexpr size_t kMaxDiscarded = size_t{1} << 20;  // arbitrary

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
    return error != std::errc() || value > kMaxDiscarded;
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

// What libmicrohttpd calls, on its threads.
struct HttpCallbacks {
    // The first call of a request has its head only; then come parts of the body; the last call
    // has none.
    // NOLINTNEXTLINE(readability-function-size): libmicrohttpd says which parameters there are.
    static MHD_Result on_request(void* context, MHD_Connection* connection, const char* url,
                                 const char* method, const char* /*version*/, const char* data,
                                 size_t* size, void** state) {
        auto& server = *static_cast<HttpServer*>(context);
        try {
            if (*state == nullptr) {
                auto arriving = std::make_unique<Arriving>();
                arriving->request.method = method;
                arriving->request.path = url;
                return on_head(server, connection, std::move(arriving), state);
            }
            auto& arriving = *static_cast<Arriving*>(*state);
            if (*size != 0) {
                arriving.received += *size;
                if (arriving.received > kMaxDiscarded) return MHD_NO;
                if (arriving.received <= kMaxHttpBody) arriving.request.body.append(data, *size);
                *size = 0;
                return MHD_YES;
            }
            server.peers_->request_arrived(HttpServer::Peers::of(connection));
            if (arriving.received > kMaxHttpBody)
                return send(server, connection, too_large(server));
            return send(server, connection, server.options_.handler(arriving.request));
        } catch (const std::exception& error) {
            // We throw nothing; this is a library's, such as out of memory.
            MIMIC_LOG("control", kError, "A request failed: {}", error.what());
            return MHD_NO;
        }
    }

    static MHD_Result on_head(HttpServer& server, MHD_Connection* connection,
                              std::unique_ptr<Arriving> arriving, void** state) {
        const auto refuse = [&](int status, const char* code, const char* sentence) {
            return send(server, connection, server.options_.refuse(status, code, sentence));
        };
        if (server.listener_ && !peer_is_allowed(connection))
            return refuse(403, "forbidden", "this socket serves another user");
        HttpRequest& request = arriving->request;
        request.content_type = header(connection, MHD_HTTP_HEADER_CONTENT_TYPE);
        request.host = header(connection, MHD_HTTP_HEADER_HOST);
        request.authorization = header(connection, MHD_HTTP_HEADER_AUTHORIZATION);
        request.last_event_id = header(connection, "Last-Event-ID");
        request.if_none_match = header(connection, MHD_HTTP_HEADER_IF_NONE_MATCH);
        request.accept = header(connection, MHD_HTTP_HEADER_ACCEPT);
        if (server.options_.guard) {
            if (const auto refused = server.options_.guard(request))
                return send(server, connection, *refused);
        }
        const bool is_known = !server.options_.is_proof || server.options_.is_proof(request);
        if (is_known && !server.peers_->admit(HttpServer::Peers::of(connection)))
            return refuse(503, "too_many_connections", "too many connections are open");
        if (announces_too_much(header(connection, MHD_HTTP_HEADER_CONTENT_LENGTH)))
            return send(server, connection, too_large(server));
        if (!read_query(connection, request))
            return refuse(400, "bad_request", "too many parameters in the query");
        *state = arriving.release();
        return MHD_YES;
    }

    static MHD_Result send(HttpServer& server, MHD_Connection* connection,
                           const HttpResponse& answer) {
        MHD_Response* response = nullptr;
        if (answer.stream) {
            response = server.streams_->open(connection, answer.body, answer.stream);
            if (response == nullptr)
                return send(server, connection,
                            server.options_.refuse(503, "too_many_streams",
                                                   "too many streams are open; try again later"));
        } else {
            response = MHD_create_response_from_buffer(
                answer.body.size(), const_cast<char*>(answer.body.data()), MHD_RESPMEM_MUST_COPY);
        }
        if (response == nullptr) return MHD_NO;
        add_headers(response, server.options_, answer);
        if (server.options_.counters != nullptr) server.options_.counters->count(answer.status);
        const MHD_Result queued = MHD_queue_response(
            connection, static_cast<unsigned>(answer.status), response);
        MHD_destroy_response(response);
        return queued;
    }

    static void add_headers(MHD_Response* response, const HttpServer::Options& options,
                            const HttpResponse& answer) {
        const auto add = [response](const char* name, const std::string& value) {
            if (!value.empty()) MHD_add_response_header(response, name, value.c_str());
        };
        add(MHD_HTTP_HEADER_CONTENT_TYPE, answer.content_type);
        add(MHD_HTTP_HEADER_ALLOW, answer.allow);
        add(MHD_HTTP_HEADER_ETAG, answer.etag);
        // What has an ETag is asked for again each time, and often not sent.
        add(MHD_HTTP_HEADER_CACHE_CONTROL, answer.etag.empty() ? "no-store" : "no-cache");
        add("X-Content-Type-Options", "nosniff");
        add("Content-Security-Policy", options.policy);
        add("Referrer-Policy", options.policy.empty() ? "" : "no-referrer");
        add(MHD_HTTP_HEADER_WWW_AUTHENTICATE, answer.status == 401 ? "Bearer" : "");
    }

    static HttpResponse too_large(HttpServer& server) {
        return server.options_.refuse(413, "too_large", "a body has at most 65536 bytes");
    }

    static void on_end(void* context, MHD_Connection* connection, void** state,
                       MHD_RequestTerminationCode /*why*/) {
        delete static_cast<Arriving*>(*state);
        *state = nullptr;
        static_cast<HttpServer*>(context)->peers_->answered(HttpServer::Peers::of(connection));
    }

    // A connection begins or has ended; its descriptor is open in both cases.
    static void on_connection(void* context, MHD_Connection* connection, void** peer,
                              MHD_ConnectionNotificationCode what) {
        auto& peers = *static_cast<HttpServer*>(context)->peers_;
        if (what == MHD_CONNECTION_NOTIFY_STARTED) {
            const auto* info = MHD_get_connection_info(connection,
                                                       MHD_CONNECTION_INFO_CONNECTION_FD);
            try {
                *peer = peers.opened(info->connect_fd);
            } catch (const std::exception&) {  // no memory; it is served as nobody's
                *peer = nullptr;
            }
        } else {
            peers.closed(static_cast<HttpServer::Peers::Peer*>(*peer));
        }
    }
};

void HttpCounters::count(int status) {
    const std::lock_guard lock(mutex_);
    ++by_status_[status];
}

std::map<int, uint64_t> HttpCounters::by_status() const {
    const std::lock_guard lock(mutex_);
    return by_status_;
}

HttpServer::HttpServer(Options options)
    : options_(std::move(options)),
      peers_(std::make_unique<Peers>(options_.limits)),
      streams_(std::make_unique<Streams>()) {}

Result<std::unique_ptr<HttpServer>> HttpServer::create(const std::string& path, Options options) {
    MIMIC_ASSIGN_OR_RETURN(auto listener, UnixListener::listen(path));
    std::unique_ptr<HttpServer> server(new HttpServer(std::move(options)));
    server->listener_.emplace(std::move(listener));
    if (auto started = server->start(server->listener_->fd()); !started)
        return tl::unexpected(std::move(started).error().with_context(path));
    return server;
}

Result<std::unique_ptr<HttpServer>> HttpServer::create_tcp(uint16_t port, Options options) {
    return create_at("127.0.0.1", port, std::move(options));
}

Result<std::unique_ptr<HttpServer>> HttpServer::create_at(const std::string& address, uint16_t port,
                                                          Options options) {
    MIMIC_CHECK(options.guard != nullptr);
    sockaddr_in v4{};
    v4.sin_family = AF_INET;
    v4.sin_port = htons(port);
    sockaddr_in6 v6{};
    v6.sin6_family = AF_INET6;
    v6.sin6_port = htons(port);
    const bool is_v4 = ::inet_pton(AF_INET, address.c_str(), &v4.sin_addr) == 1;
    // "::" takes IPv4, too; a machine without IPv6 has 0.0.0.0, which v4 is.
    bool is_v6 = !is_v4 && ::inet_pton(AF_INET6, address.empty() ? "::" : address.c_str(),
                                       &v6.sin6_addr) == 1;
    if (!is_v4 && !is_v6)
        return fail(std::errc::invalid_argument, "'{}' is no address in numbers", address);
    UniqueFd socket(
        ::socket(is_v6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!socket && errno == EAFNOSUPPORT && address.empty()) {
        is_v6 = false;
        socket.reset(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    }
    if (!socket) return fail_errno("socket");
    const int yes = 1;
    ::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    auto* const generic = is_v6 ? reinterpret_cast<sockaddr*>(&v6)
                                : reinterpret_cast<sockaddr*>(&v4);
    socklen_t length = is_v6 ? sizeof v6 : sizeof v4;
    if (::bind(socket.get(), generic, length) != 0 || ::listen(socket.get(), SOMAXCONN) != 0 ||
        ::getsockname(socket.get(), generic, &length) != 0)
        return fail_errno("{} port {}", address, port);
    std::unique_ptr<HttpServer> server(new HttpServer(std::move(options)));
    server->port_ = ntohs(is_v6 ? v6.sin6_port : v4.sin_port);
    MIMIC_TRY(server->start(socket.get()));
    return server;
}

Status HttpServer::start(int listener) {
    // The library closes the descriptor that it is given.
    UniqueFd copy(::fcntl(listener, F_DUPFD_CLOEXEC, 0));
    if (!copy) return fail_errno("cannot listen");
    const bool pool = options_.workers > 1;
    // The library takes no connection above this. Strangers never fill it: the last share is of
    // those that were told to go and have not yet been closed.
    const unsigned places = kMaxHttpConnections + 2 * options_.limits.strangers;
    daemon_ = MHD_start_daemon(MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_EPOLL | MHD_USE_ERROR_LOG |
                                   MHD_ALLOW_SUSPEND_RESUME,
                               0, nullptr, nullptr, &HttpCallbacks::on_request, this,        //
                               MHD_OPTION_EXTERNAL_LOGGER, &log_from_library, nullptr,       //
                               MHD_OPTION_LISTEN_SOCKET, copy.get(),                         //
                               MHD_OPTION_CONNECTION_LIMIT, places,                          //
                               MHD_OPTION_CONNECTION_TIMEOUT, options_.limits.idle_seconds,  //
                               MHD_OPTION_CONNECTION_MEMORY_LIMIT, kMaxHttpHead,             //
                               MHD_OPTION_STRICT_FOR_CLIENT, 1,                              //
                               MHD_OPTION_NOTIFY_COMPLETED, &HttpCallbacks::on_end, this,
                               MHD_OPTION_NOTIFY_CONNECTION, &HttpCallbacks::on_connection, this,
                               pool ? MHD_OPTION_THREAD_POOL_SIZE : MHD_OPTION_END,
                               options_.workers, MHD_OPTION_END);
    if (daemon_ == nullptr)
        return fail(std::errc::resource_unavailable_try_again, "the HTTP server does not start");
    [[maybe_unused]] const int given = copy.release();
    return {};
}

HttpServer::~HttpServer() {
    streams_->stop();
    if (daemon_ != nullptr) MHD_stop_daemon(daemon_);
}

}  // namespace mimic::service
