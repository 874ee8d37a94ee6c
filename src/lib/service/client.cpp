// SPDX-License-Identifier: Apache-2.0
#include "service/client.h"

#include <curl/curl.h>

#include <algorithm>
#include <memory>

namespace mimic::service {
namespace {

constexpr size_t kMaxAnswer = 16u << 20;

// The library wants to be told once a process, before its first use.
bool curl_works() {
    static const bool kWorks = ::curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK;
    return kWorks;
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

using Easy = std::unique_ptr<CURL, decltype(&::curl_easy_cleanup)>;
using Multi = std::unique_ptr<CURLM, decltype(&::curl_multi_cleanup)>;
using List = std::unique_ptr<curl_slist, decltype(&::curl_slist_free_all)>;

// One request on its way. Stays where it is: the library has its address.
class Exchange {
public:
    explicit Exchange(const ClientRequest& request)
        : request_(request),
          easy_(curl_works() ? ::curl_easy_init() : nullptr, &::curl_easy_cleanup),
          headers_(::curl_slist_append(nullptr, "Content-Type: application/json"),
                   &::curl_slist_free_all) {}
    Exchange(const Exchange&) = delete;
    Exchange& operator=(const Exchange&) = delete;

    CURL* easy() const { return easy_.get(); }
    void set_result(CURLcode code) { code_ = code; }

    // False without memory.
    bool prepare() {
        CURL* const curl = easy_.get();
        if (curl == nullptr || !headers_) return false;
        const std::string url = "http://localhost" + request_.path;
        const auto timeout = std::chrono::ceil<std::chrono::milliseconds>(request_.timeout).count();
        ::curl_easy_setopt(curl, CURLOPT_URL, url.c_str());
        ::curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, request_.socket_path.c_str());
        ::curl_easy_setopt(curl, CURLOPT_PROXY, "");  // whatever the environment says
        ::curl_easy_setopt(curl, CURLOPT_PATH_AS_IS, 1L);
        ::curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
        ::curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS,
                           static_cast<long>(std::max<int64_t>(timeout, 1)));
        ::curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, request_.method.c_str());
        ::curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, &take);
        ::curl_easy_setopt(curl, CURLOPT_WRITEDATA, &answer_.body);
        if (!request_.body.empty()) {
            ::curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers_.get());
            ::curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE,
                               static_cast<curl_off_t>(request_.body.size()));
            ::curl_easy_setopt(curl, CURLOPT_POSTFIELDS, request_.body.c_str());
        }
        return true;
    }

    // What became of it, once set_result() was called.
    Result<ClientAnswer> take_answer() {
        if (code_ != CURLE_OK)
            return fail(meaning(code_), "{}: {}", request_.socket_path,
                        ::curl_easy_strerror(code_));
        long status = 0;
        ::curl_easy_getinfo(easy_.get(), CURLINFO_RESPONSE_CODE, &status);
        answer_.status = static_cast<int>(status);
        return std::move(answer_);
    }

private:
    const ClientRequest& request_;
    const Easy easy_;
    const List headers_;
    ClientAnswer answer_;
    CURLcode code_ = CURLE_FAILED_INIT;
};

// Drives all that was added to `multi` to its end.
void drive(CURLM* multi) {
    int running = 1;
    while (running > 0) {
        if (::curl_multi_perform(multi, &running) != CURLM_OK) return;
        int left = 0;
        while (const CURLMsg* message = ::curl_multi_info_read(multi, &left)) {
            if (message->msg != CURLMSG_DONE) continue;
            char* exchange = nullptr;
            ::curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &exchange);
            reinterpret_cast<Exchange*>(exchange)->set_result(message->data.result);
        }
        if (running > 0) ::curl_multi_poll(multi, nullptr, 0, 1000, nullptr);
    }
}

}  // namespace

Result<ClientAnswer> send_request(const ClientRequest& request) {
    Exchange exchange(request);
    if (!exchange.prepare()) return fail(std::errc::not_enough_memory, "no HTTP client");
    exchange.set_result(::curl_easy_perform(exchange.easy()));
    return exchange.take_answer();
}

std::vector<Result<ClientAnswer>> send_requests(const std::vector<ClientRequest>& requests) {
    std::vector<Result<ClientAnswer>> answers;
    if (requests.size() == 1) {
        answers.push_back(send_request(requests.front()));
        return answers;
    }
    std::vector<std::unique_ptr<Exchange>> exchanges;
    const Multi multi(curl_works() ? ::curl_multi_init() : nullptr, &::curl_multi_cleanup);
    for (const auto& request : requests) {
        exchanges.push_back(std::make_unique<Exchange>(request));
        auto& exchange = *exchanges.back();
        if (!multi || !exchange.prepare()) continue;
        ::curl_easy_setopt(exchange.easy(), CURLOPT_PRIVATE, &exchange);
        ::curl_multi_add_handle(multi.get(), exchange.easy());
    }
    if (multi) drive(multi.get());
    for (const auto& exchange : exchanges) {
        if (multi && exchange->easy() != nullptr)
            ::curl_multi_remove_handle(multi.get(), exchange->easy());
        answers.push_back(exchange->take_answer());
    }
    return answers;
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

}  // namespace mimic::service
