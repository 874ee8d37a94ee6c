// SPDX-License-Identifier: Apache-2.0
#include "dra/simulate/template.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <nlohmann/json.hpp>

#include "slices/slices.h"

namespace mimic::dra {
namespace {

using nlohmann::json;

// Reads one object of the list. The first thing that does not fit ends it, with its path.
class SliceReader {
public:
    Status read(const json& object, std::vector<slices::Pool>& pools);

private:
    using Members = std::map<std::string, json>;

    Result<const json*> need(const json& object, const char* key, json::value_t type);
    Result<std::string> need_text(const json& object, const char* key);
    Status only(const json& object, std::initializer_list<std::string_view> known);
    Result<slices::Pool*> pool_of(const json& spec, std::vector<slices::Pool>& pools);
    Result<slices::Device> device(const json& object);
    Result<slices::Attribute> attribute(const std::string& name, const json& object);
    Result<slices::Capacity> capacity(const std::string& name, const json& object);
    Result<slices::Counters> counters(const json& object, const char* name_key);
    Result<slices::Taint> taint(const json& object);
    Result<uint64_t> amount(const json& object, const char* key);

    std::string place_;  // of messages: the device that is read
};

Result<const json*> SliceReader::need(const json& object, const char* key, json::value_t type) {
    const auto found = object.is_object() ? object.find(key) : object.end();
    if (!object.is_object() || found == object.end() || found->type() != type) {
        return fail(std::errc::invalid_argument, "{}: no {} of the right type", place_, key);
    }
    return &*found;
}

Result<std::string> SliceReader::need_text(const json& object, const char* key) {
    MIMIC_ASSIGN_OR_RETURN(const json* const text, need(object, key, json::value_t::string));
    return text->get<std::string>();
}

// What we would drop is an error: the simulated slices are those of the plan, or none.
Status SliceReader::only(const json& object, std::initializer_list<std::string_view> known) {
    for (const auto& [key, value] : object.items()) {
        if (std::find(known.begin(), known.end(), key) == known.end()) {
            return fail(std::errc::invalid_argument, "{}: {} is not simulated", place_, key);
        }
    }
    return {};
}

Result<uint64_t> SliceReader::amount(const json& object, const char* key) {
    MIMIC_ASSIGN_OR_RETURN(const std::string text, need_text(object, key));
    return parse_quantity(text);
}

Result<slices::Attribute> SliceReader::attribute(const std::string& name, const json& object) {
    if (object.is_object() && object.size() == 1) {
        const auto only_one = object.begin();
        if (only_one.key() == "int" && only_one->is_number_integer()) {
            return only_one->get<int64_t>();
        }
        if (only_one.key() == "bool" && only_one->is_boolean()) return only_one->get<bool>();
        if (only_one.key() == "string" && only_one->is_string()) {
            return only_one->get<std::string>();
        }
        if (only_one.key() == "version" && only_one->is_string()) {
            return slices::Version{only_one->get<std::string>()};
        }
    }
    return fail(std::errc::invalid_argument, "{}: attribute {} has no value of a known type",
                place_, name);
}

Result<slices::Capacity> SliceReader::capacity(const std::string& name, const json& object) {
    slices::Capacity capacity;
    MIMIC_ASSIGN_OR_RETURN(capacity.value, amount(object, "value"));
    MIMIC_TRY(only(object, {"value", "requestPolicy"}));
    const auto policy = object.find("requestPolicy");
    if (policy == object.end()) return capacity;
    slices::Capacity::RequestPolicy read;
    MIMIC_ASSIGN_OR_RETURN(read.default_value, amount(*policy, "default"));
    MIMIC_ASSIGN_OR_RETURN(const json* const range,
                           need(*policy, "validRange", json::value_t::object));
    if (policy->size() != 2) {
        return fail(std::errc::invalid_argument, "{}: requestPolicy of {} is not simulated", place_,
                    name);
    }
    MIMIC_TRY(only(*range, {"min", "max", "step"}));
    MIMIC_ASSIGN_OR_RETURN(read.min, amount(*range, "min"));
    MIMIC_ASSIGN_OR_RETURN(read.max, amount(*range, "max"));
    if (range->contains("step")) {
        MIMIC_ASSIGN_OR_RETURN(read.step, amount(*range, "step"));
    }
    capacity.request_policy = read;
    return capacity;
}

Result<slices::Counters> SliceReader::counters(const json& object, const char* name_key) {
    slices::Counters out;
    MIMIC_ASSIGN_OR_RETURN(out.set, need_text(object, name_key));
    MIMIC_ASSIGN_OR_RETURN(const json* const values,
                           need(object, "counters", json::value_t::object));
    for (const auto& [name, value] : values->items()) {
        MIMIC_ASSIGN_OR_RETURN(out.values[name], amount(value, "value"));
    }
    return out;
}

Result<slices::Taint> SliceReader::taint(const json& object) {
    slices::Taint out;
    MIMIC_ASSIGN_OR_RETURN(out.key, need_text(object, "key"));
    MIMIC_ASSIGN_OR_RETURN(const std::string effect, need_text(object, "effect"));
    if (object.contains("value")) {
        MIMIC_ASSIGN_OR_RETURN(out.value, need_text(object, "value"));
    }
    using Effect = slices::Taint::Effect;
    static constexpr std::array<std::pair<std::string_view, Effect>, 3> kEffects = {
        {{"None", Effect::kNone},
         {"NoSchedule", Effect::kNoSchedule},
         {"NoExecute", Effect::kNoExecute}}};
    for (const auto& [text, value] : kEffects) {
        if (text == effect) {
            out.effect = value;
            return out;
        }
    }
    return fail(std::errc::invalid_argument, "{}: unknown effect of a taint", place_);
}

Result<slices::Device> SliceReader::device(const json& object) {
    slices::Device out;
    MIMIC_ASSIGN_OR_RETURN(out.name, need_text(object, "name"));
    place_ = "device " + out.name.substr(0, slices::kMaxLabel);
    MIMIC_TRY(only(object, {"name", "attributes", "capacity", "consumesCounters", "taints",
                            "allowMultipleAllocations"}));
    if (object.contains("attributes")) {
        MIMIC_ASSIGN_OR_RETURN(const json* const all,
                               need(object, "attributes", json::value_t::object));
        for (const auto& [name, value] : all->items()) {
            MIMIC_ASSIGN_OR_RETURN(out.attributes[name], attribute(name, value));
        }
    }
    if (object.contains("capacity")) {
        MIMIC_ASSIGN_OR_RETURN(const json* const all,
                               need(object, "capacity", json::value_t::object));
        for (const auto& [name, value] : all->items()) {
            MIMIC_ASSIGN_OR_RETURN(out.capacity[name], capacity(name, value));
        }
    }
    if (object.contains("consumesCounters")) {
        MIMIC_ASSIGN_OR_RETURN(const json* const all,
                               need(object, "consumesCounters", json::value_t::array));
        for (const json& one : *all) {
            MIMIC_ASSIGN_OR_RETURN(out.consumes.emplace_back(), counters(one, "counterSet"));
        }
    }
    if (object.contains("taints")) {
        MIMIC_ASSIGN_OR_RETURN(const json* const all, need(object, "taints", json::value_t::array));
        for (const json& one : *all) {
            MIMIC_ASSIGN_OR_RETURN(out.taints.emplace_back(), taint(one));
        }
    }
    if (object.contains("allowMultipleAllocations")) {
        MIMIC_ASSIGN_OR_RETURN(const json* const allowed,
                               need(object, "allowMultipleAllocations", json::value_t::boolean));
        out.allow_multiple_allocations = allowed->get<bool>();
    }
    return out;
}

Result<slices::Pool*> SliceReader::pool_of(const json& spec, std::vector<slices::Pool>& pools) {
    slices::Pool pool;
    MIMIC_ASSIGN_OR_RETURN(pool.driver, need_text(spec, "driver"));
    MIMIC_ASSIGN_OR_RETURN(pool.node, need_text(spec, "nodeName"));
    MIMIC_ASSIGN_OR_RETURN(const json* const named, need(spec, "pool", json::value_t::object));
    MIMIC_ASSIGN_OR_RETURN(pool.name, need_text(*named, "name"));
    if (!pools.empty() && pools.front().driver != pool.driver) {
        return fail(std::errc::invalid_argument,
                    "slices of two drivers ({} and {}); one is simulated at a time",
                    pools.front().driver, pool.driver);
    }
    for (slices::Pool& known : pools) {
        if (known.name == pool.name) return &known;
    }
    return &pools.emplace_back(std::move(pool));
}

Status SliceReader::read(const json& object, std::vector<slices::Pool>& pools) {
    place_ = "list";
    MIMIC_ASSIGN_OR_RETURN(const std::string kind, need_text(object, "kind"));
    if (kind != "ResourceSlice") {
        return fail(std::errc::invalid_argument, "the list has a {}", kind);
    }
    MIMIC_ASSIGN_OR_RETURN(const json* const spec, need(object, "spec", json::value_t::object));
    MIMIC_TRY(only(*spec, {"driver", "nodeName", "pool", "devices", "sharedCounters"}));
    MIMIC_ASSIGN_OR_RETURN(slices::Pool* const pool, pool_of(*spec, pools));
    if (spec->contains("sharedCounters")) {
        MIMIC_ASSIGN_OR_RETURN(const json* const all,
                               need(*spec, "sharedCounters", json::value_t::array));
        for (const json& one : *all) {
            MIMIC_ASSIGN_OR_RETURN(pool->counter_sets.emplace_back(), counters(one, "name"));
        }
    }
    if (spec->contains("devices")) {
        MIMIC_ASSIGN_OR_RETURN(const json* const all, need(*spec, "devices", json::value_t::array));
        for (const json& one : *all) {
            MIMIC_ASSIGN_OR_RETURN(pool->devices.emplace_back(), device(one));
        }
    }
    return {};
}

}  // namespace

Result<uint64_t> parse_quantity(std::string_view text) {
    static constexpr std::array<std::pair<std::string_view, uint64_t>, 13> kUnits = {
        {{"", 1},
         {"k", 1000},
         {"M", 1000'000},
         {"G", 1000'000'000},
         {"T", 1000'000'000'000},
         {"P", 1000'000'000'000'000},
         {"E", 1000'000'000'000'000'000},
         {"Ki", uint64_t{1} << 10},
         {"Mi", uint64_t{1} << 20},
         {"Gi", uint64_t{1} << 30},
         {"Ti", uint64_t{1} << 40},
         {"Pi", uint64_t{1} << 50},
         {"Ei", uint64_t{1} << 60}}};
    uint64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error == std::errc()) {
        const auto used = static_cast<size_t>(end - text.data());
        for (const auto& [unit, factor] : kUnits) {
            if (text.substr(used) == unit && value <= slices::kMaxQuantity / factor) {
                return value * factor;
            }
        }
    }
    return fail(std::errc::invalid_argument, "a quantity that is no whole number below 2^63");
}

Result<std::vector<slices::Pool>> pools_of_list(std::string_view text) {
    // The parser needs no stack for a level, and nothing here follows levels that it does not know.
    const json list = json::parse(text, nullptr, false);
    const auto items = list.is_object() ? list.find("items") : list.end();
    if (!list.is_object() || items == list.end() || !items->is_array()) {
        return fail(std::errc::invalid_argument, "this is no list of ResourceSlices");
    }
    std::vector<slices::Pool> pools;
    for (const json& object : *items) MIMIC_TRY(SliceReader().read(object, pools));
    if (pools.empty()) return fail(std::errc::invalid_argument, "the list has no ResourceSlice");
    for (const slices::Pool& pool : pools) MIMIC_TRY(slices::check(pool));
    return pools;
}

}  // namespace mimic::dra
