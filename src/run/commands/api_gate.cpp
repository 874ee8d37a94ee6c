// SPDX-License-Identifier: Apache-2.0
#include "commands/api_gate.h"

#include <fcntl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>

#include "base/unique_fd.h"
#include "service/router.h"

namespace mimic::commands {
namespace {

constexpr size_t kTokenBytes = 32;
constexpr size_t kMinToken = 16;
constexpr size_t kMaxToken = 256;
constexpr std::string_view kScheme = "Bearer ";

// Browsers name text/html when a person opens an address; programs do not, and curl and most
// libraries say */*.
bool is_for_a_person(std::string_view accept) {
    return accept.find("text/html") < accept.find("application/json");
}

// Takes as long for a wrong first character as for a wrong last one.
bool same_secret(std::string_view a, std::string_view b) {
    unsigned difference = a.size() == b.size() ? 0 : 1;
    for (size_t i = 0; i < std::min(a.size(), b.size()); ++i)
        difference |= static_cast<unsigned char>(a[i]) ^ static_cast<unsigned char>(b[i]);
    return difference == 0;
}

}  // namespace

std::optional<service::HttpResponse> ApiGate::guard(const service::HttpRequest& head) const {
    if (!is_our_host(head.host))
        return refusal(head, "/421.html",
                       {421, "wrong_host",
                        "this port is 127.0.0.1 or localhost, and has no other name; behind a "
                        "tunnel, mimic web --tunnel-port PORT takes the port of its other end"});
    if (find_open(head.path) != nullptr || is_of_page(head) || is_token(head.authorization))
        return std::nullopt;
    return refusal(head, has_page_ ? "/401.html" : "/401-api.html",
                   {401, "unauthorized",
                    "this needs the header Authorization: Bearer TOKEN, with the token that mimic "
                    "api or mimic web printed when it began, or that its --token-file holds"});
}

service::HttpResponse ApiGate::refusal(const service::HttpRequest& head, std::string_view notice,
                                       const service::ApiError& error) const {
    service::HttpResponse response = service::refuse(error);
    const page::Asset* asset = is_for_a_person(head.accept) ? find(notice) : nullptr;
    if (asset == nullptr) return response;
    response.content_type = asset->content_type;
    response.body = asset->content;
    return response;
}

std::optional<service::HttpResponse> ApiGate::file(const service::HttpRequest& request) const {
    const page::Asset* asset = find_open(request.path);
    if (asset == nullptr && is_of_page(request) && !is_token(request.authorization))
        return refusal(request, "/404.html",
                       {404, "not_found",
                        fmt::format("there is nothing at {}: the page is at /, the API begins with "
                                    "/v1 and wants a token",
                                    service::shown(request.path))});
    if (asset == nullptr) return std::nullopt;
    if (request.method != "GET" && request.method != "HEAD") {
        auto refused = service::refuse({405, "method_not_allowed", "this resource allows GET"});
        refused.allow = "GET";
        return refused;
    }
    service::HttpResponse response;
    response.content_type = asset->content_type;
    response.etag = asset->etag;
    if (request.if_none_match == asset->etag) {
        response.status = 304;
    } else {
        response.body = asset->content;
    }
    return response;
}

// What is for everybody. Without the page that is what the notices are drawn with.
const page::Asset* ApiGate::find_open(std::string_view path) const {
    return has_page_ || path == "/style.css" || path == "/icon.svg" ? find(path) : nullptr;
}

const page::Asset* ApiGate::find(std::string_view path) const {
    const auto found = std::find_if(assets_.begin(), assets_.end(),
                                    [&](const page::Asset& asset) { return asset.path == path; });
    return found != assets_.end() ? &*found : nullptr;
}

// A person who mistyped the address gets words; a program that asks the API gets its errors.
bool ApiGate::is_of_page(const service::HttpRequest& request) const {
    const std::string& path = request.path;
    const bool is_api = path == "/v1" || path.starts_with("/v1/") || path == "/metrics";
    return has_page_ && !is_api && (request.method == "GET" || request.method == "HEAD");
}

bool ApiGate::is_our_host(const std::string& host) const {
    const uint16_t port = port_;
    if (port == 0) return false;
    const uint16_t tunnel = tunnel_;
    return std::ranges::any_of(std::array{"127.0.0.1", "localhost"}, [&](const char* name) {
        return host == fmt::format("{}:{}", name, port) ||
               (tunnel != 0 && host == fmt::format("{}:{}", name, tunnel));
    });
}

bool ApiGate::is_token(const std::string& authorization) const {
    return authorization.starts_with(kScheme) &&
           same_secret(std::string_view(authorization).substr(kScheme.size()), token_);
}

Result<std::string> make_token() {
    std::array<unsigned char, kTokenBytes> bytes{};
    // Up to 256 bytes come whole (getrandom(2)).
    if (::getrandom(bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size()))
        return fail_errno("no random numbers for a token");
    std::string token;
    for (const unsigned char byte : bytes) token += fmt::format("{:02x}", byte);
    return token;
}

Result<std::string> read_token(const std::string& path) {
    const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK));
    struct stat facts {};
    if (!fd || ::fstat(fd.get(), &facts) != 0) return fail_errno("{}", path);
    if (!S_ISREG(facts.st_mode) || facts.st_uid != ::geteuid() || (facts.st_mode & 077) != 0)
        return fail(std::errc::permission_denied,
                    "{}: the file of a token is yours and nobody else can read it (chmod 600)",
                    path);
    std::array<char, kMaxToken + 2> text{};
    const ssize_t size = ::read(fd.get(), text.data(), text.size());
    if (size < 0) return fail_errno("{}", path);
    std::string token(text.data(), static_cast<size_t>(size));
    token.resize(std::min(token.find('\n'), token.size()));
    const bool printable = std::ranges::all_of(token, [](char c) { return c > ' ' && c <= '~'; });
    if (token.size() < kMinToken || token.size() > kMaxToken || !printable)
        return fail(std::errc::invalid_argument,
                    "{}: a token is a line of {} to {} printable characters without spaces", path,
                    kMinToken, kMaxToken);
    return token;
}

}  // namespace mimic::commands
