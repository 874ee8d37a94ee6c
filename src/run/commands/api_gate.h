// SPDX-License-Identifier: Apache-2.0
// ApiGate: who may ask what at a loopback port: the files of the page are for everybody, the API is
// for those that show the token. Any process and any web page of this computer can reach such a
// port, so a request must also name the port by a loopback name (a foreign name that resolves to
// 127.0.0.1 is DNS rebinding) and no answer permits another origin to read it.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "base/result.h"
#include "page/assets.h"
#include "service/api_error.h"
#include "service/http.h"

namespace mimic::commands {

/// Immutable but for the ports; thread-safe.
class ApiGate {
public:
    /// `assets`: the files of the page. Without `has_page` only those notices that say what to do
    /// are served, and what they need.
    ApiGate(std::string token, std::span<const page::Asset> assets, bool has_page)
        : token_(std::move(token)), assets_(assets), has_page_(has_page) {}

    /// The port that clients name in Host. 0, as at first: no request is let in.
    void set_port(uint16_t port) { port_ = port; }

    /// One more port that clients may name: that of a tunnel which ends at ours. 0: none.
    void set_tunnel(uint16_t port) { tunnel_ = port; }

    /// An answer for a request that must not be served: 421 for a foreign Host, 401 without the
    /// token. Where there is a page, all that is not of the API is for everybody. A person (Accept
    /// has text/html) reads a notice, a program JSON.
    std::optional<service::HttpResponse> guard(const service::HttpRequest& head) const;

    /// Whether the request shows the token; one for a file may do without.
    bool has_token(const service::HttpRequest& head) const { return is_token(head.authorization); }

    /// The file at the path of `request`, or, for who shows no token, that there is none; nullopt
    /// if the API is asked.
    std::optional<service::HttpResponse> file(const service::HttpRequest& request) const;

private:
    const page::Asset* find(std::string_view path) const;
    const page::Asset* find_open(std::string_view path) const;
    service::HttpResponse refusal(const service::HttpRequest& head, std::string_view notice,
                                  const service::ApiError& error) const;
    bool is_of_page(const service::HttpRequest& request) const;
    bool is_our_host(const std::string& host) const;
    bool is_token(const std::string& authorization) const;

    const std::string token_;
    const std::span<const page::Asset> assets_;
    const bool has_page_;
    std::atomic<uint16_t> port_{0};
    std::atomic<uint16_t> tunnel_{0};
};

/// 64 hexadecimal digits from the kernel's random numbers. Errors: those of getrandom(2).
Result<std::string> make_token();

/// The token in a file of ours that nobody else can read: its first line, 16 to 256 printable
/// characters without spaces. Errors: those of open(2), permission_denied, invalid_argument.
Result<std::string> read_token(const std::string& path);

}  // namespace mimic::commands
