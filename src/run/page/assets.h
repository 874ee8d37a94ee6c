// SPDX-License-Identifier: Apache-2.0
// The files of the page that `mimic web` serves, as part of the program: web/dist, embedded by
// CMake. How they are made is web/README.md.
#pragma once

#include <span>
#include <string_view>

namespace mimic::page {

/// One file. All views are of static storage.
struct Asset {
    std::string_view path;          // as in a URL: "/app.js"; index.html is "/"
    std::string_view content_type;  // with charset where it has one
    std::string_view etag;          // in its quotes; changes with the content
    std::string_view content;
};

/// All of them. Immutable.
std::span<const Asset> web_assets();

/// What a browser may do with them, for the header Content-Security-Policy: nothing but what comes
/// from the server itself.
inline constexpr std::string_view kContentSecurityPolicy =
    "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

}  // namespace mimic::page
