// SPDX-License-Identifier: Apache-2.0
#include "slices/slices.h"

#include <algorithm>
#include <array>

namespace mimic::slices {
namespace {

using nlohmann::json;

const char* effect_text(Taint::Effect effect) {
    switch (effect) {
        case Taint::Effect::kNone:
            return "None";
        case Taint::Effect::kNoSchedule:
            return "NoSchedule";
        case Taint::Effect::kNoExecute:
            return "NoExecute";
    }
    return "NoSchedule";
}

struct AttributeJson {
    json operator()(int64_t value) const { return {{"int", value}}; }
    json operator()(bool value) const { return {{"bool", value}}; }
    json operator()(const std::string& value) const { return {{"string", value}}; }
    json operator()(const Version& value) const { return {{"version", value.text}}; }
};

json capacity_json(const Capacity& capacity) {
    json out = {{"value", quantity(capacity.value)}};
    if (!capacity.request_policy) return out;
    const Capacity::RequestPolicy& policy = *capacity.request_policy;
    json range = {{"min", quantity(policy.min)}, {"max", quantity(policy.max)}};
    if (policy.step != 0) range["step"] = quantity(policy.step);
    out["requestPolicy"] = {{"default", quantity(policy.default_value)}, {"validRange", range}};
    return out;
}

json counters_json(const Counters& counters, const char* name_key) {
    json values = json::object();
    for (const auto& [name, value] : counters.values) values[name] = {{"value", quantity(value)}};
    return {{name_key, counters.set}, {"counters", values}};
}

// Members without a value are left out, as the API server does when it gives an object back.
json device_json(const Device& device) {
    json out = {{"name", device.name}};
    for (const auto& [name, value] : device.attributes) {
        out["attributes"][name] = std::visit(AttributeJson{}, value);
    }
    for (const auto& [name, capacity] : device.capacity) {
        out["capacity"][name] = capacity_json(capacity);
    }
    for (const Counters& consumed : device.consumes) {
        out["consumesCounters"].push_back(counters_json(consumed, "counterSet"));
    }
    for (const Taint& taint : device.taints) {
        json one = {{"key", taint.key}, {"effect", effect_text(taint.effect)}};
        if (!taint.value.empty()) one["value"] = taint.value;
        out["taints"].push_back(std::move(one));
    }
    if (device.allow_multiple_allocations) out["allowMultipleAllocations"] = true;
    return out;
}

bool has_extras(const Device& device) {
    return !device.taints.empty() || !device.consumes.empty();
}

// How many devices go into each slice. Boundaries are multiples of kMaxDevicesWithExtras, and a
// device's slice depends on no device farther away than kMaxDevices: so a taint that comes or goes
// halves or joins one slice, and no device moves over a boundary that stays.
std::vector<std::span<const Device>> device_groups(std::span<const Device> devices) {
    static_assert(kMaxDevices == 2 * kMaxDevicesWithExtras);
    std::vector<std::span<const Device>> groups;
    while (!devices.empty()) {
        const auto block = devices.first(std::min(devices.size(), kMaxDevices));
        devices = devices.subspan(block.size());
        if (block.size() > kMaxDevicesWithExtras &&
            std::any_of(block.begin(), block.end(), has_extras)) {
            groups.push_back(block.first(kMaxDevicesWithExtras));
            groups.push_back(block.subspan(kMaxDevicesWithExtras));
        } else {
            groups.push_back(block);
        }
    }
    return groups;
}

// What does not count when contents are compared.
json without_bookkeeping(const json& spec) {
    json out = spec;
    if (!out.is_object()) return out;
    if (const auto pool = out.find("pool"); pool != out.end() && pool->is_object()) {
        pool->erase("generation");
        pool->erase("resourceSliceCount");
    }
    const auto devices = out.find("devices");
    if (devices == out.end() || !devices->is_array()) return out;
    for (json& device : *devices) {
        if (!device.is_object()) continue;
        const auto taints = device.find("taints");
        if (taints == device.end() || !taints->is_array()) continue;
        for (json& taint : *taints) {
            if (taint.is_object()) taint.erase("timeAdded");
        }
    }
    return out;
}

}  // namespace

Result<std::vector<json>> slice_specs(const Pool& pool, uint64_t generation) {
    MIMIC_TRY(check(pool));
    std::vector<json> specs;
    const auto add = [&specs, &pool]() -> json& {
        return specs.emplace_back(json{
            {"driver", pool.driver}, {"nodeName", pool.node}, {"pool", {{"name", pool.name}}}});
    };
    for (size_t first = 0; first < pool.counter_sets.size(); first += kMaxCounterSets) {
        json& spec = add();
        const size_t end = std::min(first + kMaxCounterSets, pool.counter_sets.size());
        for (size_t index = first; index < end; ++index) {
            spec["sharedCounters"].push_back(counters_json(pool.counter_sets[index], "name"));
        }
    }
    for (const std::span<const Device> group : device_groups(pool.devices)) {
        json& spec = add();
        for (const Device& device : group) spec["devices"].push_back(device_json(device));
    }
    // An empty pool says that the driver lives.
    if (specs.empty()) add();
    for (json& spec : specs) {
        spec["pool"]["generation"] = generation;
        spec["pool"]["resourceSliceCount"] = specs.size();
    }
    return specs;
}

bool same_content(const json& a, const json& b) {
    return without_bookkeeping(a) == without_bookkeeping(b);
}

std::string generate_name(size_t index, const Pool& pool) {
    std::string name = fmt::format("{:05x}-{}-{}", index, pool.driver, pool.node);
    if (name.size() > kMaxGenerateName - 1) name.resize(kMaxGenerateName - 1);
    while (name.back() == '-' || name.back() == '.') name.pop_back();
    return name + "-";
}

json slice_labels(const std::string& driver) {
    return {{"driver", driver}};
}

Result<json> slice_list(std::span<const Pool> pools) {
    json items = json::array();
    for (const Pool& pool : pools) {
        MIMIC_ASSIGN_OR_RETURN(std::vector<json> specs, slice_specs(pool, 1));
        for (size_t index = 0; index < specs.size(); ++index) {
            items.push_back({{"apiVersion", "resource.k8s.io/v1"},
                             {"kind", "ResourceSlice"},
                             {"metadata",
                              {{"generateName", generate_name(index, pool)},
                               {"labels", slice_labels(pool.driver)}}},
                             {"spec", std::move(specs[index])}});
        }
    }
    return json{{"apiVersion", "v1"}, {"kind", "List"}, {"items", std::move(items)}};
}

std::string quantity(uint64_t value) {
    static constexpr std::array<const char*, 7> kBinary = {"", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"};
    static constexpr std::array<const char*, 7> kDecimal = {"", "k", "M", "G", "T", "P", "E"};
    const bool binary = value % 1024 == 0;
    const unsigned base = binary ? 1024 : 1000;
    size_t unit = 0;
    while (value != 0 && value % base == 0) {
        value /= base;
        ++unit;
    }
    return fmt::format("{}{}", value, binary ? kBinary.at(unit) : kDecimal.at(unit));
}

}  // namespace mimic::slices
