// SPDX-License-Identifier: Apache-2.0
#include "sim_server/words.h"

#include <array>
#include <charconv>
#include <cmath>
#include <functional>
#include <optional>
#include <span>
#include <utility>
#include <vector>

namespace mimic::sim_server {
namespace {

constexpr double kMostExact = 9007199254740992.0;  // 2^53

// The number that `text` begins with; what follows it stays in `text`.
std::optional<double> take_number(std::string_view& text) {
    double value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || !std::isfinite(value) || value < 0) return std::nullopt;
    text.remove_prefix(static_cast<size_t>(end - text.data()));
    return value;
}

struct Unit {
    std::string_view word;
    double factor;
};

// A number and one of `units`; nullopt for anything else.
std::optional<uint64_t> scaled(std::string_view text, std::span<const Unit> units) {
    const auto number = take_number(text);
    if (!number) return std::nullopt;
    for (const auto& unit : units) {
        if (text != unit.word) continue;
        const double value = *number * unit.factor;
        if (value > kMostExact * 1024) return std::nullopt;
        return static_cast<uint64_t>(std::llround(value));
    }
    return std::nullopt;
}

constexpr std::array kTimes = {Unit{"", 1e3},   Unit{"ps", 1},   Unit{"ns", 1e3},
                               Unit{"us", 1e6}, Unit{"ms", 1e9}, Unit{"s", 1e12}};
constexpr std::array kBytes = {Unit{"", 1}, Unit{"K", 0x1p10}, Unit{"M", 0x1p20}, Unit{"G", 0x1p30},
                               Unit{"T", 0x1p40}};
constexpr std::array kRates = {Unit{"", 1},    Unit{"k", 1e3},  Unit{"K", 1e3}, Unit{"M", 1e6},
                               Unit{"G", 1e9}, Unit{"T", 1e12}, Unit{"P", 1e15}};

template <typename Number>
Status take_count(std::string_view key, std::string_view text, Number& number) {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc() || end != text.data() + text.size())
        return fail(std::errc::invalid_argument, "{}: '{}' is no number that fits", key, text);
    return {};
}

template <typename Value>
Status take_value(std::string_view key, Result<Value> parsed, Value& place) {
    if (!parsed) return tl::unexpected<Error>(std::move(parsed).error().with_context(key));
    place = *parsed;
    return {};
}

Status unknown_word(std::string_view key, std::string_view text) {
    return fail(std::errc::invalid_argument, "{}: '{}' is not known", key, text);
}

using Take = std::function<Status(std::string_view key, std::string_view text, sim::ModelSpec&)>;
struct Key {
    std::string_view word;
    Take take;
};

template <typename Member>
Take time(Member member) {
    return [member](auto key, auto text, auto& model) {
        return take_value(key, parse_time(text), model.*member);
    };
}
template <typename Member>
Take rate(Member member) {
    return [member](auto key, auto text, auto& model) {
        return take_value(key, parse_rate(text), model.*member);
    };
}
template <typename Member>
Take count(Member member) {
    return
        [member](auto key, auto text, auto& model) { return take_count(key, text, model.*member); };
}
template <typename Member, typename Parse>
Take choice(Member member, Parse parse) {
    return [member, parse](auto key, auto text, auto& model) -> Status {
        const auto value = parse(text);
        if (!value) return unknown_word(key, text);
        model.*member = *value;
        return {};
    };
}
Take text_of(std::string sim::ModelSpec::*member) {
    return [member](auto, auto text, auto& model) -> Status {
        model.*member = std::string(text);
        return {};
    };
}

const std::vector<Key>& keys() {
    using M = sim::ModelSpec;
    static const std::vector<Key> all = {
        {"name", text_of(&M::name)},
        {"latency", time(&M::latency)},
        {"per-unit", time(&M::per_unit)},
        {"bandwidth", rate(&M::bandwidth)},
        {"bytes-per-unit", rate(&M::bytes_per_unit)},
        {"peak", rate(&M::peak)},
        {"operations-per-unit", rate(&M::operations_per_unit)},
        {"shared", count(&M::shared)},
        {"penalty", count(&M::penalty)},
        {"rows", count(&M::rows)},
        {"columns", count(&M::columns)},
        {"dataflow", choice(&M::dataflow, sim::dataflow)},
        {"m", count(&M::m)},
        {"n", count(&M::n)},
        {"k", count(&M::k)},
        {"element-bytes", count(&M::element_bytes)},
        {"file", text_of(&M::file)},
        {"lookup", choice(&M::lookup, sim::lookup)},
        {"jitter", count(&M::jitter)},
    };
    return all;
}

Status take_key(std::string_view pair, sim::ModelSpec& model) {
    const auto equals = pair.find('=');
    const std::string_view word = pair.substr(0, equals);
    for (const auto& key : keys()) {
        if (key.word != word) continue;
        if (equals == std::string_view::npos)
            return fail(std::errc::invalid_argument, "{}: a value is missing, {}=VALUE", word,
                        word);
        return key.take(word, pair.substr(equals + 1), model);
    }
    std::string known;
    for (const auto& key : keys()) {
        known += known.empty() ? "" : ", ";
        known += key.word;
    }
    return fail(std::errc::invalid_argument, "'{}' is no key of a model; there are {}", word,
                known);
}

}  // namespace

Result<sim::SimTime> parse_time(std::string_view text) {
    if (const auto value = scaled(text, kTimes)) return *value;
    return fail(std::errc::invalid_argument, "'{}' is no time (10us, 1.5ms; ps, ns, us, ms, s)",
                text);
}

Result<uint64_t> parse_bytes(std::string_view text) {
    if (const auto value = scaled(text, kBytes)) return *value;
    return fail(std::errc::invalid_argument, "'{}' is no size (4K, 256M, 1G)", text);
}

Result<uint64_t> parse_rate(std::string_view text) {
    std::string_view number = text;
    for (const std::string_view end : {"Hz", "B/s", "/s", "B"}) {
        if (number.ends_with(end)) {
            number.remove_suffix(end.size());
            break;
        }
    }
    if (const auto value = scaled(number, kRates)) return *value;
    return fail(std::errc::invalid_argument, "'{}' is no rate (100, 12.5G, 1GHz)", text);
}

Result<sim::ModelSpec> parse_model(std::string_view text) {
    const auto colon = text.find(':');
    const std::string_view word = text.substr(0, colon);
    const auto kind = sim::model_kind(word);
    if (!kind) {
        std::string known;
        for (const auto each : sim::kModelKinds) {
            known += known.empty() ? "" : ", ";
            known += sim::word(each);
        }
        return fail(std::errc::invalid_argument, "'{}' is no latency model; there are {}", word,
                    known);
    }
    sim::ModelSpec model;
    model.kind = *kind;
    std::string_view rest = colon == std::string_view::npos ? "" : text.substr(colon + 1);
    while (!rest.empty()) {
        const auto comma = rest.find(',');
        MIMIC_TRY(take_key(rest.substr(0, comma), model));
        rest = comma == std::string_view::npos ? "" : rest.substr(comma + 1);
    }
    return model;
}

Result<RegisterServerOptions> parse_registers(std::string_view text) {
    const auto equals = text.rfind('=');
    if (equals == std::string_view::npos || equals == 0)
        return fail(std::errc::invalid_argument, "'{}': PATH=echo or PATH=compute is meant", text);
    RegisterServerOptions options;
    options.path = std::string(text.substr(0, equals));
    std::string_view kind = text.substr(equals + 1);
    if (const auto at = kind.find('@'); at != std::string_view::npos) {
        std::string_view base = kind.substr(at + 1);
        kind = kind.substr(0, at);
        if (!base.starts_with("0x"))
            return fail(std::errc::invalid_argument, "'{}': the base is hexadecimal, 0x...", text);
        base.remove_prefix(2);
        uint64_t value = 0;
        const auto [end, error] = std::from_chars(base.data(), base.data() + base.size(), value,
                                                  16);
        if (error != std::errc() || end != base.data() + base.size())
            return fail(std::errc::invalid_argument, "'{}': '0x{}' is no address", text, base);
        options.base = value;
    }
    if (kind != "echo" && kind != "compute")
        return fail(std::errc::invalid_argument, "'{}': no device '{}', there are echo and compute",
                    text, kind);
    options.device.kind = kind == "echo" ? DeviceKind::kEcho : DeviceKind::kCompute;
    return options;
}

}  // namespace mimic::sim_server
