// SPDX-License-Identifier: Apache-2.0
#include "kube/request.h"

#include <curl/curl.h>

#include <algorithm>
#include <cctype>

#include "base/log.h"
#include "base/private_files.h"
#include "base/terminal_text.h"
#include "kube/answer.h"

namespace mimic::kube {

// Where the server is, taken apart once. (Not in the unnamed namespace: a class of the header
// has one, and files are compiled together.)
struct ServerPlace {
    std::string host;  // IPv6 in brackets
    std::string port;
    bool encrypted = true;
    bool this_machine = false;
};

namespace {

using std::chrono::milliseconds;
using SteadyTime = std::chrono::steady_clock::time_point;

constexpr size_t kMaxHeaders = size_t{64} << 10;    // of one answer, 1xx before it included
constexpr size_t kMaxErrorText = size_t{64} << 10;  // what is kept of an answer that is an error
constexpr size_t kMaxToken = size_t{64} << 10;
constexpr milliseconds kPoll{500};  // a stop wakes earlier; this is for time limits

// The library wants to be told once a process, before its first use.
bool curl_is_ready() {
    static const bool kReady = ::curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK;
    return kReady;
}

using Easy = std::unique_ptr<CURL, decltype(&::curl_easy_cleanup)>;
using Multi = std::unique_ptr<CURLM, decltype(&::curl_multi_cleanup)>;
using List = std::unique_ptr<curl_slist, decltype(&::curl_slist_free_all)>;
using Url = std::unique_ptr<CURLU, decltype(&::curl_url_cleanup)>;

void append(List& list, const std::string& line) {
    // Null without memory: then the list stays as it was, and curl reports what follows from it.
    if (curl_slist* const longer = ::curl_slist_append(list.get(), line.c_str())) {
        (void)list.release();
        list.reset(longer);
    }
}

// Whether `text` can stand in a header as it is.
bool is_header_text(std::string_view text) {
    return std::all_of(text.begin(), text.end(), [](char c) { return c > 0x20 && c < 0x7f; });
}

std::string url_part(CURLU* url, CURLUPart part, unsigned flags) {
    char* text = nullptr;
    if (::curl_url_get(url, part, &text, flags) != CURLUE_OK) return {};
    std::string copy(text);
    ::curl_free(text);
    return copy;
}

std::optional<ServerPlace> place_of(const std::string& server) {
    const Url url(::curl_url(), &::curl_url_cleanup);
    if (!url || ::curl_url_set(url.get(), CURLUPART_URL, server.c_str(), 0) != CURLUE_OK)
        return std::nullopt;
    const auto scheme = url_part(url.get(), CURLUPART_SCHEME, 0);
    // Credentials in an address would be sent in ways that nobody asked for.
    if ((scheme != "https" && scheme != "http") || !url_part(url.get(), CURLUPART_USER, 0).empty())
        return std::nullopt;
    ServerPlace place;
    place.host = url_part(url.get(), CURLUPART_HOST, 0);
    place.port = url_part(url.get(), CURLUPART_PORT, CURLU_DEFAULT_PORT);
    place.encrypted = scheme == "https";
    place.this_machine = place.host == "localhost" || place.host == "127.0.0.1" ||
                         place.host == "[::1]";
    return place;
}

// What came of one request so far; curl's callbacks fill it.
struct Received {
    size_t max_answer = 0;
    bool streams = false;  // there is a sink
    CURL* curl = nullptr;
    size_t header_bytes = 0;
    size_t body_bytes = 0;
    long status = 0;  // of the body that is coming
    Answer answer;
    std::string pending;  // for the sink
    const char* too_large = nullptr;
    SteadyTime last_byte{};
};

size_t take_header(char* data, size_t size, size_t count, void* context) {
    auto& received = *static_cast<Received*>(context);
    const std::string_view line(data, size * count);
    received.last_byte = std::chrono::steady_clock::now();
    received.header_bytes += line.size();
    if (received.header_bytes > kMaxHeaders) {
        received.too_large = "its headers are too long";
        return 0;
    }
    if (line.starts_with("HTTP/")) received.answer.retry_after.reset();  // of a 1xx
    constexpr std::string_view kRetry = "retry-after:";
    const bool retry = line.size() > kRetry.size() &&
                       std::equal(kRetry.begin(), kRetry.end(), line.begin(), [](char a, char b) {
                           return a == std::tolower(static_cast<unsigned char>(b));
                       });
    if (retry)
        received.answer.retry_after = parse_retry_after(line.substr(kRetry.size()),
                                                        std::chrono::system_clock::now());
    return line.size();
}

size_t take_body(char* data, size_t size, size_t count, void* context) {
    auto& received = *static_cast<Received*>(context);
    const std::string_view bytes(data, size * count);
    received.last_byte = std::chrono::steady_clock::now();
    if (received.status == 0)
        ::curl_easy_getinfo(received.curl, CURLINFO_RESPONSE_CODE, &received.status);
    if (received.streams && received.status == 200) {
        received.pending += bytes;
        return bytes.size();
    }
    received.body_bytes += bytes.size();
    if (received.body_bytes > received.max_answer) {
        received.too_large = "it is too long";
        return 0;
    }
    const bool is_error = received.status >= 300;
    auto& body = received.answer.body;
    body += is_error ? bytes.substr(0, kMaxErrorText - std::min(kMaxErrorText, body.size()))
                     : bytes;
    return bytes.size();
}

}  // namespace

class Connection::Impl {
public:
    explicit Impl(std::shared_ptr<const ClientConfig> config)
        : config_(std::move(config)),
          multi_(curl_is_ready() ? ::curl_multi_init() : nullptr, &::curl_multi_cleanup),
          easy_(multi_ ? ::curl_easy_init() : nullptr, &::curl_easy_cleanup),
          place_(place_of(config_->server)) {
        if (config_->insecure)
            MIMIC_LOG("kube", kWarn,
                      "{}: its certificate is not checked, as its configuration says",
                      terminal_text(config_->server));
    }

    ApiResult<Answer> send(const Request& request, const std::stop_token& stop);

private:
    ApiResult<Answer> attempt(const Request& request, const std::string& token,
                              const std::stop_token& stop);
    void prepare(const Request& request, const List& headers, Received& received);
    void prepare_tls();
    List headers(const Request& request, const std::string& token) const;
    ApiResult<std::string> token();
    // Runs what is prepared to its end: what curl says of it, or nothing if a limit, a stop or the
    // sink's error ended it.
    std::optional<CURLcode> drive(const Request& request, const std::stop_token& stop,
                                  Received& received, ApiResult<void>& sink_result);
    ApiError no_answer(std::string_view why) const {
        return {0, "", terminal_text(fmt::format("{}: {}", config_->server, why), 300),
                std::nullopt};
    }

    const std::shared_ptr<const ClientConfig> config_;  // shared by all clients of a process
    Multi multi_;                                       // keeps the connection between requests
    Easy easy_;
    std::optional<ServerPlace> place_;
    std::string last_token_;  // of the token file
    char why_[CURL_ERROR_SIZE] = {};
};

ApiResult<std::string> Connection::Impl::token() {
    if (config_->token_file.empty()) return config_->token;
    // Read each time: the kubelet replaces it every hour, and a page of memory costs less than
    // knowing when.
    auto text = read_small_file(config_->token_file);
    if (!text) {
        if (!last_token_.empty()) return last_token_;
        return tl::unexpected(no_answer(text.error().message()));
    }
    while (!text->empty() && std::isspace(static_cast<unsigned char>(text->back())) != 0)
        text->pop_back();
    if (text->empty() || text->size() > kMaxToken || !is_header_text(*text)) {
        if (!last_token_.empty()) return last_token_;
        return tl::unexpected(no_answer(config_->token_file + " holds no token"));
    }
    last_token_ = *text;
    return std::move(*text);
}

List Connection::Impl::headers(const Request& request, const std::string& token) const {
    List list(nullptr, &::curl_slist_free_all);
    append(list, "Accept: application/json");
    append(list, "Expect:");  // a round trip that nobody needs
    if (!request.body.empty()) append(list, fmt::format("Content-Type: {}", request.content_type));
    if (!token.empty()) append(list, "Authorization: Bearer " + token);
    if (!config_->tls_name.empty())
        append(list, fmt::format("Host: {}:{}", place_->host, place_->port));
    return list;
}

void Connection::Impl::prepare_tls() {
    CURL* const curl = easy_.get();
    const auto& config = *config_;
    ::curl_easy_setopt(curl, CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2));
    if (config.insecure) {
        ::curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, 0L);
        ::curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, 0L);
    }
    const auto blob = [curl](CURLoption option, const std::string& data) {
        // Not copied: the configuration outlives the request.
        curl_blob value{const_cast<char*>(data.data()), data.size(), CURL_BLOB_NOCOPY};
        ::curl_easy_setopt(curl, option, &value);
    };
    if (!config.ca_file.empty() || !config.ca_data.empty()) {
        // Only what we were given, not the system's as well.
        ::curl_easy_setopt(curl, CURLOPT_CAPATH, nullptr);
        ::curl_easy_setopt(curl, CURLOPT_CAINFO,
                           config.ca_file.empty() ? nullptr : config.ca_file.c_str());
        if (config.ca_file.empty()) blob(CURLOPT_CAINFO_BLOB, config.ca_data);
        ::curl_easy_setopt(curl, CURLOPT_CA_CACHE_TIMEOUT, 0L);  // files are read again
    }
    if (!config.certificate_file.empty())
        ::curl_easy_setopt(curl, CURLOPT_SSLCERT, config.certificate_file.c_str());
    else if (!config.certificate_data.empty())
        blob(CURLOPT_SSLCERT_BLOB, config.certificate_data);
    if (!config.key_file.empty())
        ::curl_easy_setopt(curl, CURLOPT_SSLKEY, config.key_file.c_str());
    else if (!config.key_data.empty())
        blob(CURLOPT_SSLKEY_BLOB, config.key_data);
}

void Connection::Impl::prepare(const Request& request, const List& headers, Received& received) {
    CURL* const curl = easy_.get();
    ::curl_easy_reset(curl);  // keeps connections
    std::string url = config_->server + request.path;
    if (!config_->tls_name.empty()) {
        // The name goes where TLS looks for it, the connection where the server is.
        const auto path = config_->server.find('/', config_->server.find("://") + 3);
        url = fmt::format("https://{}:{}{}{}", config_->tls_name, place_->port,
                          path == std::string::npos ? "" : config_->server.substr(path),
                          request.path);
    }
    ::curl_easy_setopt(curl, CURLOPT_URL, url.c_str());
    ::curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    ::curl_easy_setopt(curl, CURLOPT_PROXY, "");  // whatever the environment says
    ::curl_easy_setopt(curl, CURLOPT_PATH_AS_IS, 1L);
    ::curl_easy_setopt(curl, CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1));
    ::curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    ::curl_easy_setopt(curl, CURLOPT_QUICK_EXIT, 1L);  // no waiting for a resolver's thread
    ::curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, why_);
    ::curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers.get());
    const auto agent = config_->user_agent.empty() ? "mimic/" MIMIC_VERSION : config_->user_agent;
    ::curl_easy_setopt(curl, CURLOPT_USERAGENT, agent.c_str());
    const auto limit = static_cast<long>(std::clamp<int64_t>(config_->timeout.count(), 1, 3600000));
    ::curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, limit);
    if (!request.sink) ::curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, limit);
    // A watch is silent for minutes, and a machine that lost its power does not say so.
    ::curl_easy_setopt(curl, CURLOPT_TCP_KEEPALIVE, 1L);
    ::curl_easy_setopt(curl, CURLOPT_TCP_KEEPIDLE, 30L);
    ::curl_easy_setopt(curl, CURLOPT_TCP_KEEPINTVL, 10L);
    ::curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, &take_header);
    ::curl_easy_setopt(curl, CURLOPT_HEADERDATA, &received);
    ::curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, &take_body);
    ::curl_easy_setopt(curl, CURLOPT_WRITEDATA, &received);
    if (!request.body.empty()) {
        ::curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE,
                           static_cast<curl_off_t>(request.body.size()));
        ::curl_easy_setopt(curl, CURLOPT_POSTFIELDS, request.body.c_str());
    }
    ::curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, request.method.c_str());
    if (place_->encrypted) prepare_tls();
}

std::optional<CURLcode> Connection::Impl::drive(const Request& request, const std::stop_token& stop,
                                                Received& received, ApiResult<void>& sink_result) {
    CURLM* const multi = multi_.get();
    const std::stop_callback wake(stop, [multi] { ::curl_multi_wakeup(multi); });
    const auto begin = std::chrono::steady_clock::now();
    received.last_byte = begin;
    int running = 1;
    while (running > 0) {
        if (::curl_multi_perform(multi, &running) != CURLM_OK) return CURLE_FAILED_INIT;
        if (!received.pending.empty()) {
            sink_result = request.sink(received.pending);
            received.pending.clear();
            if (!sink_result) return std::nullopt;
        }
        if (stop.stop_requested()) {
            received.answer.stopped = true;
            return std::nullopt;
        }
        if (running == 0) break;
        if (request.sink) {
            const auto now = std::chrono::steady_clock::now();
            // Until the answer begins the time limit is that of any request.
            const bool begun = received.header_bytes > 0;
            if (!begun && now - begin > config_->timeout) return CURLE_OPERATION_TIMEDOUT;
            if (begun &&
                (now - received.last_byte > request.silence || now - begin > request.longest))
                return std::nullopt;
        }
        const auto wait = request.sink ? std::min(kPoll, request.silence / 2) : kPoll;
        ::curl_multi_poll(multi, nullptr, 0, static_cast<int>(std::max<int64_t>(wait.count(), 1)),
                          nullptr);
    }
    int left = 0;
    while (const CURLMsg* const message = ::curl_multi_info_read(multi, &left))
        if (message->msg == CURLMSG_DONE) return message->data.result;
    return CURLE_FAILED_INIT;
}

ApiResult<Answer> Connection::Impl::attempt(const Request& request, const std::string& token,
                                            const std::stop_token& stop) {
    Received received;
    received.max_answer = config_->max_answer;
    received.streams = static_cast<bool>(request.sink);
    received.curl = easy_.get();
    const List header_list = headers(request, token);
    List connect_to(nullptr, &::curl_slist_free_all);
    prepare(request, header_list, received);
    if (!config_->tls_name.empty()) {
        append(connect_to, fmt::format("::{}:{}", place_->host, place_->port));
        ::curl_easy_setopt(easy_.get(), CURLOPT_CONNECT_TO, connect_to.get());
    }
    why_[0] = '\0';
    if (::curl_multi_add_handle(multi_.get(), easy_.get()) != CURLM_OK)
        return tl::unexpected(no_answer("no HTTP client"));
    ApiResult<void> sink_result;
    const auto code = drive(request, stop, received, sink_result);
    long status = 0;
    ::curl_easy_getinfo(easy_.get(), CURLINFO_RESPONSE_CODE, &status);
    ::curl_multi_remove_handle(multi_.get(), easy_.get());
    if (!sink_result) return tl::unexpected(std::move(sink_result).error());
    received.answer.status = static_cast<int>(status);
    if (!code) return std::move(received.answer);  // stopped, or a stream that we ended
    if (*code == CURLE_OK) {
        if (status < 200) return tl::unexpected(no_answer("its answer is no HTTP"));
        return std::move(received.answer);
    }
    // A watch whose connection broke is one that ended: the caller goes on where it was.
    if (request.sink && status == 200) return std::move(received.answer);
    const char* const why = received.too_large != nullptr ? received.too_large
                            : why_[0] != '\0'             ? why_
                                                          : ::curl_easy_strerror(*code);
    return tl::unexpected(no_answer(received.too_large != nullptr
                                        ? fmt::format("its answer is refused: {}", why)
                                        : std::string(why)));
}

ApiResult<Answer> Connection::Impl::send(const Request& request, const std::stop_token& stop) {
    if (!easy_) return tl::unexpected(no_answer("no HTTP client"));
    if (!place_) return tl::unexpected(refused("\"" + config_->server + "\" is no address"));
    const bool safe = place_->encrypted || place_->this_machine;
    std::string secret;
    if (safe) {
        auto now = token();
        if (!now) return tl::unexpected(std::move(now).error());
        secret = std::move(*now);
    }
    auto answer = attempt(request, secret, stop);
    if (!answer || answer->status != 401 || answer->stopped || !safe) return answer;
    // It may have been replaced since it was read; nothing was carried out, so again is no harm.
    const auto now = token();
    if (!now || *now == secret) return answer;
    return attempt(request, *now, stop);
}

Connection::Connection(std::shared_ptr<const ClientConfig> config)
    : impl_(std::make_unique<Impl>(std::move(config))) {}
Connection::~Connection() = default;

ApiResult<Answer> Connection::send(const Request& request, const std::stop_token& stop) {
    return impl_->send(request, stop);
}

}  // namespace mimic::kube
