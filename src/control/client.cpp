// SPDX-License-Identifier: Apache-2.0
#include "control/client.h"

#include <curl/curl.h>

#include <algorithm>
#include <memory>

namespace mimic::control {
namespace {

constexpr size_t kMaxAnswer = 16u << 20;

// The library wants to be told once a process, before its first use.
bool curl_works() {
    static const bool works = ::curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK;
    return works;
}

size_t take(char* data, size_t size, size_t count, void* context) {
    auto& body = *static_cast<std::string*>(context);
    if (body.size() + size * count > kMaxAnswer) return 0;
    body.append(data, size * count);
    return size * count;
}

std::errc meaning(CURLcode code) {
    switch (code) {
        case CURLE_COULDNT_CONNECT:
            return std::errc::connection_refused;
        case CURLE_OPERATION_TIMEDOUT:
            return std::errc::timed_out;
        case CURLE_WRITE_ERROR:
            return std::errc::message_size;
        case CURLE_GOT_NOTHING:
        case CURLE_RECV_ERROR:
        case CURLE_SEND_ERROR:
        case CURLE_PARTIAL_FILE:
            return std::errc::connection_reset;
        default:
            return std::errc::protocol_error;
    }
}

}  // namespace

Result<ClientAnswer> send_request(const ClientRequest& request) {
    using Easy = std::unique_ptr<CURL, decltype(&::curl_easy_cleanup)>;
    using List = std::unique_ptr<curl_slist, decltype(&::curl_slist_free_all)>;
    const Easy easy(curl_works() ? ::curl_easy_init() : nullptr, &::curl_easy_cleanup);
    const List headers(::curl_slist_append(nullptr, "Content-Type: application/json"),
                       &::curl_slist_free_all);
    if (!easy || !headers) return fail(std::errc::not_enough_memory, "no HTTP client");
    CURL* const curl = easy.get();
    ClientAnswer answer;
    const std::string url = "http://localhost" + request.path;
    const auto timeout = std::chrono::ceil<std::chrono::milliseconds>(request.timeout).count();
    ::curl_easy_setopt(curl, CURLOPT_URL, url.c_str());
    ::curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, request.socket_path.c_str());
    ::curl_easy_setopt(curl, CURLOPT_PROXY, "");  // whatever the environment says
    ::curl_easy_setopt(curl, CURLOPT_PATH_AS_IS, 1L);
    ::curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    ::curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, static_cast<long>(std::max<int64_t>(timeout, 1)));
    ::curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, request.method.c_str());
    ::curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, &take);
    ::curl_easy_setopt(curl, CURLOPT_WRITEDATA, &answer.body);
    if (!request.body.empty()) {
        ::curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers.get());
        ::curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE,
                           static_cast<curl_off_t>(request.body.size()));
        ::curl_easy_setopt(curl, CURLOPT_POSTFIELDS, request.body.c_str());
    }
    const CURLcode code = ::curl_easy_perform(curl);
    if (code != CURLE_OK)
        return fail(meaning(code), "{}: {}", request.socket_path, ::curl_easy_strerror(code));
    long status = 0;
    ::curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    answer.status = static_cast<int>(status);
    return answer;
}

std::string percent_encode(std::string_view text) {
    std::string encoded;
    for (const char c : text) {
        const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                           (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '~';
        encoded += plain ? std::string(1, c)
                         : fmt::format("%{:02X}", static_cast<unsigned char>(c));
    }
    return encoded;
}

}  // namespace mimic::control
