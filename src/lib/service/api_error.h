// SPDX-License-Identifier: Apache-2.0
// ApiError: what is wrong with a request of the control API, and its JSON.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"

namespace mimic::service {

/// What is wrong with a request. A value.
struct ApiError {
    int status = 400;
    std::string code;
    std::string message;
    std::vector<std::string> nearest{};
};

template <typename T>
using ApiResult = tl::expected<T, ApiError>;

/// {"error": {"code", "message", "nearest"}}. Bytes that are no UTF-8 become U+FFFD.
std::string error_body(const ApiError& error);

}  // namespace mimic::service
