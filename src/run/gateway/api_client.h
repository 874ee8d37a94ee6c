// SPDX-License-Identifier: Apache-2.0
// ApiClient: how commands of `mimic` ask the control API. Requests go to a Gateway in this process,
// which is what `mimic api` serves to others; commands use nothing else of a running machine.
#pragma once

#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

#include "base/result.h"
#include "gateway/gateway.h"

namespace mimic::gateway {

/// Thread-safe but for its own construction. Requests block, see Gateway.
///
/// Errors of all requests are ready for people: what the API said, and the nearest name where one
/// is unknown. Codes: no_such_file_or_directory for an unknown machine, device or resource;
/// invalid_argument for a request that is wrong; timed_out for a process that does not answer;
/// connection_reset for one that ended meanwhile; protocol_error for the rest.
class ApiClient {
public:
    using Json = nlohmann::ordered_json;

    /// Errors: those of Gateway::create().
    static Result<ApiClient> open();

    /// `target`: path and query, percent-encoded, "/v1/machines/box/devices?x=y".
    Result<Json> get(const std::string& target) const;
    Result<Json> post(const std::string& target, const Json& body) const;
    Result<Json> put(const std::string& target, const Json& body) const;
    Result<Json> remove(const std::string& target) const;

    /// The answer as it is, for what is no JSON (/metrics). Errors as above.
    Result<std::string> get_text(const std::string& target) const;

    /// "/v1/machines/<machine>". Errors: invalid_argument for what cannot be a machine's name.
    static Result<std::string> machine_path(std::string_view machine);

    /// "/v1/machines/<machine>/devices/<device>". Errors as above, and no_such_file_or_directory
    /// for what cannot be a device's name.
    static Result<std::string> device_path(std::string_view machine, std::string_view device);

    /// `error` of a request about `device`, with the names of the machine's devices where there is
    /// none of that name and none is near.
    Error with_devices(const std::string& machine, const std::string& device, Error error) const;

private:
    explicit ApiClient(std::unique_ptr<Gateway> gateway) : gateway_(std::move(gateway)) {}
    Result<std::string> request(const std::string& method, const std::string& target,
                                const std::string& body) const;

    std::unique_ptr<Gateway> gateway_;
};

/// The request of `method` for `target`, as a server would read it off the wire. Errors:
/// invalid_argument for a target that is no path or has escapes that are none.
Result<service::HttpRequest> parse_target(const std::string& method, std::string_view target);

}  // namespace mimic::gateway
