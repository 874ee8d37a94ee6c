// SPDX-License-Identifier: Apache-2.0
// LoadFields: the members of one line of a load, each asked for once. What nobody asked for, and
// what is of another type or out of range, is an error. Private to load.cpp.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "mediator/schedule/simulate/load.h"

namespace mimic::mediator::schedule {

/// One object in `text`, no member of it twice. Errors: invalid_argument.
Result<nlohmann::ordered_json> parse_load_line(std::string_view text);

class LoadFields {
public:
    explicit LoadFields(const nlohmann::ordered_json& json) : json_(json) {}

    std::optional<uint64_t> number(const char* key, uint64_t least, uint64_t most,
                                   bool required = true);
    std::optional<std::string> text(const char* key);
    std::optional<bool> flag(const char* key);
    /// Microseconds in the file.
    std::optional<Lengths> lengths(const char* key, uint64_t least, uint64_t most, bool required);
    /// weight, priority and parallel; those that are not there stay as they are.
    void share(Share& share);

    /// The first problem.
    Status end();

private:
    const nlohmann::ordered_json* find(const char* key, bool required);
    void problem(std::string what);
    std::optional<Time> length(const nlohmann::ordered_json& json, const char* key, uint64_t least,
                               uint64_t most);

    const nlohmann::ordered_json& json_;
    std::set<std::string> asked_;
    std::string problem_;
};

}  // namespace mimic::mediator::schedule
