// SPDX-License-Identifier: Apache-2.0
#include "control/fault_json.h"

#include <nlohmann/json.hpp>

#include "base/nearest.h"

namespace mimic::control {
namespace {

using Json = nlohmann::ordered_json;

constexpr auto kReplaceBadText = Json::error_handler_t::replace;
constexpr size_t kMaxOptions = 16;  // arbitrary; no fault has more than three

tl::unexpected<service::ApiError> bad(std::string code, std::string message,
                                      std::vector<std::string> nearest = {}) {
    return tl::unexpected<service::ApiError>(
        service::ApiError{400, std::move(code), std::move(message), std::move(nearest)});
}

// Text of an option's value: a string, or a number as people write it.
std::optional<std::string> option_text(const Json& value) {
    if (value.is_string()) return value.get<std::string>();
    if (value.is_number_unsigned()) return std::to_string(value.get<uint64_t>());
    return std::nullopt;
}

// A member that is a number of 0 .. max, or absent.
service::ApiResult<std::optional<uint64_t>> number(const Json& body, const char* key,
                                                   uint64_t max) {
    const auto found = body.find(key);
    if (found == body.end()) return std::nullopt;
    if (!found->is_number_unsigned() || found->get<uint64_t>() > max)
        return bad("bad_request", fmt::format("\"{}\" is no number from 0 to {}", key, max));
    return found->get<uint64_t>();
}

service::ApiResult<pci::FaultOptions> options_of(const Json& body) {
    pci::FaultOptions options;
    const auto found = body.find("options");
    if (found == body.end()) return options;
    if (!found->is_object()) return bad("bad_request", "\"options\" is no object");
    if (found->size() > kMaxOptions) return bad("bad_request", "\"options\" has too many members");
    for (const auto& [key, value] : found->items()) {
        const auto text = option_text(value);
        if (!text)
            return bad("bad_request",
                       fmt::format("option \"{}\" is neither a string nor a number >= 0",
                                   key.substr(0, 64)));
        options[key] = *text;
    }
    return options;
}

}  // namespace

service::ApiResult<pci::Fault> parse_fault_body(const std::string& text) {
    const Json body = Json::parse(text, nullptr, /*allow_exceptions=*/false);
    if (body.is_discarded()) return bad("bad_json", "the body is no JSON");
    if (!body.is_object()) return bad("bad_request", "the body is no JSON object");
    const std::vector<std::string> known{"fault", "options", "at_us", "after_accesses", "seed"};
    for (const auto& [key, value] : body.items()) {
        if (std::find(known.begin(), known.end(), key) != known.end()) continue;
        const std::string shown = key.substr(0, 64);
        return bad("bad_request",
                   fmt::format("no member \"{}\"{}", shown, did_you_mean(shown, known)),
                   nearest_names(shown, known));
    }
    const auto name = body.find("fault");
    if (name == body.end()) return bad("bad_request", "\"fault\" is missing");
    if (!name->is_string()) return bad("bad_request", "\"fault\" is no string");

    const auto wanted = name->get<std::string>();
    const auto names = pci::fault_name_list();
    if (std::find(names.begin(), names.end(), wanted) == names.end()) {
        const std::string shown = wanted.substr(0, 64);
        return bad("unknown_fault", fmt::format("no fault \"{}\"", shown),
                   nearest_names(shown, names));
    }
    auto options = options_of(body);
    if (!options) return tl::unexpected(std::move(options).error());
    auto fault = pci::parse_fault(wanted, *options);
    if (!fault) return bad("bad_request", fault.error().message());

    const auto at = number(body, "at_us",
                           static_cast<uint64_t>(pci::kMaxFaultAt / std::chrono::microseconds(1)));
    if (!at) return tl::unexpected(at.error());
    if (*at) fault->at = std::chrono::microseconds(**at);
    const auto after = number(body, "after_accesses", pci::kMaxFaultAccesses);
    if (!after) return tl::unexpected(after.error());
    fault->after_accesses = *after;
    const auto seed = number(body, "seed", UINT64_MAX);
    if (!seed) return tl::unexpected(seed.error());
    fault->seed = seed->value_or(1);
    if (fault->at && fault->after_accesses)
        return bad("bad_request", "\"at_us\" and \"after_accesses\" exclude each other");
    return *fault;
}

std::string fault_body(const std::string& name, const pci::FaultOptions& options,
                       const pci::Fault& triggers) {
    Json body{{"fault", name}, {"options", Json::object()}, {"seed", triggers.seed}};
    for (const auto& [key, value] : options) body["options"][key] = value;
    if (triggers.at) body["at_us"] = *triggers.at / std::chrono::microseconds(1);
    if (triggers.after_accesses) body["after_accesses"] = *triggers.after_accesses;
    return body.dump(-1, ' ', false, kReplaceBadText);
}

Json fault_report_json(const pci::FaultReport& report) {
    const pci::Fault& fault = report.fault;
    Json json{{"id", report.id},
              {"fault", fault.name},
              {"state", pci::fault_state_name(report.state)},
              {"strikes", report.strikes},
              {"count", fault.count},
              {"seed", fault.seed}};
    if (fault.fatal) json["severity"] = *fault.fatal ? "fatal" : "nonfatal";
    if (fault.vector) json["vector"] = *fault.vector;
    if (fault.delay != Duration::zero())
        json["delay_us"] = fault.delay / std::chrono::microseconds(1);
    if (fault.at) json["at_us"] = *fault.at / std::chrono::microseconds(1);
    if (fault.after_accesses) {
        json["after_accesses"] = *fault.after_accesses;
        json["accesses_left"] = report.accesses_left;
    }
    if (!report.note.empty()) json["note"] = report.note;
    return json;
}

}  // namespace mimic::control
