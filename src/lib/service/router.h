// SPDX-License-Identifier: Apache-2.0
// Router: which function answers which request, and what routes have in common: JSON in and out,
// parameters of the query, errors.
#pragma once

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "service/api_error.h"
#include "service/http.h"

namespace mimic::service {

/// One operation, as in the OpenAPI document.
struct Route {
    std::string_view method;
    std::string_view path;  // "/v1/devices/{name}"
};

/// What stands for the {...} of a route's path, in their order.
using PathNames = std::vector<std::string>;

/// A table of routes. handle() is as thread-safe as the handlers are; add() comes before.
class Router {
public:
    using Handler = std::function<HttpResponse(const HttpRequest& request, const PathNames& names)>;

    /// `route` lives as long as the program: a literal.
    void add(Route route, Handler handler);

    /// The answer of the handler, or 404, 405, or 415 for a body that is not JSON.
    HttpResponse handle(const HttpRequest& request) const;

    std::vector<Route> routes() const;

private:
    struct Entry {
        Route route;
        Handler handler;
    };
    std::vector<Entry> entries_;
};

/// `json` as an answer. Bytes that are no UTF-8 become U+FFFD.
HttpResponse answer(const nlohmann::ordered_json& json, int status = 200);

/// An answer that says what is wrong.
HttpResponse refuse(const ApiError& error);

/// Error 400 with code "bad_request".
tl::unexpected<ApiError> bad_request(std::string message, std::vector<std::string> nearest = {});

/// The body of a request as a JSON object. Errors: 415 for a media type that is not JSON, 400
/// bad_json, and bad_request for a value that is no object.
ApiResult<nlohmann::ordered_json> json_object(const HttpRequest& request);

/// That `json` has no members but `known`. Errors: bad_request with the nearest.
ApiResult<void> only_members(const nlohmann::ordered_json& json,
                             const std::vector<std::string>& known);

/// That the query has no parameters but `known`, each but those of `repeated` once. Errors:
/// bad_request with the nearest.
ApiResult<void> only_parameters(const HttpRequest& request, const std::vector<std::string>& known,
                                const std::vector<std::string>& repeated = {});

/// Parameter `name` of the query, if it is there.
std::optional<std::string> parameter(const HttpRequest& request, const std::string& name);

/// The same as a decimal number of at most `max`. Errors: bad_request.
ApiResult<std::optional<uint64_t>> number_parameter(const HttpRequest& request,
                                                    const std::string& name, uint64_t max);

/// `text` as part of a message: at most 64 bytes of it.
std::string shown(std::string_view text);

}  // namespace mimic::service
