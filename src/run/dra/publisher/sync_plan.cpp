// SPDX-License-Identifier: Apache-2.0
#include "dra/publisher/sync_plan.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <set>

#include "kube/answer.h"
#include "slices/slices.h"

namespace mimic::dra {
namespace {

using kube::member;
using kube::metadata_text;
using kube::text_member;
using nlohmann::json;

// A generation that is stored: above it there is room for more than anybody will write.
constexpr uint64_t kMaxGeneration = uint64_t{1} << 62;

const json& spec_of(const json& object) {
    static const json kNone = json::object();
    const auto* const spec = member(object, "spec");
    return spec != nullptr && spec->is_object() ? *spec : kNone;
}

const json& pool_of(const json& spec) {
    static const json kNone = json::object();
    const auto* const pool = member(spec, "pool");
    return pool != nullptr && pool->is_object() ? *pool : kNone;
}

std::optional<uint64_t> number(const json& object, const char* key) {
    const auto* const value = member(object, key);
    if (value == nullptr || !value->is_number_integer() || *value < 0) return std::nullopt;
    return value->get<uint64_t>();
}

// The index that a slice's name begins with, if it was made for one of these.
std::optional<size_t> index_of(const std::string& name, const DesiredSlices& desired) {
    size_t index = 0;
    const auto* const end = name.data() + name.size();
    const auto read = std::from_chars(name.data(), end, index, 16);
    if (read.ec != std::errc() || index >= desired.generate_names.size()) return std::nullopt;
    if (!name.starts_with(desired.generate_names[index])) return std::nullopt;
    return index;
}

bool is_going(const json& object) {
    return !metadata_text(object, "deletionTimestamp").empty();
}

// One of ours, as far as it is looked at.
struct Known {
    const json* object = nullptr;
    std::optional<size_t> index;
    uint64_t generation = 0;
};

bool is_owned_by(const json& object, const NodeOwner& owner) {
    if (owner.uid.empty()) return true;
    const auto* const metadata = member(object, "metadata");
    const auto* const owners = metadata ? member(*metadata, "ownerReferences") : nullptr;
    return owners != nullptr && owners->is_array() && owners->size() == 1 &&
           text_member(owners->front(), "uid") == owner.uid;
}

json owner_references(const NodeOwner& owner) {
    return json::array({{{"apiVersion", "v1"},
                         {"kind", "Node"},
                         {"name", owner.name},
                         {"uid", owner.uid},
                         {"controller", true}}});
}

// When each taint was added, by device, key, value and effect.
using TaintTimes = std::map<std::vector<std::string>, std::string>;

void collect_times(const json& spec, TaintTimes& times) {
    const auto* const devices = member(spec, "devices");
    if (devices == nullptr || !devices->is_array()) return;
    for (const auto& device : *devices) {
        const auto* const taints = member(device, "taints");
        if (taints == nullptr || !taints->is_array()) continue;
        for (const auto& taint : *taints) {
            auto time = text_member(taint, "timeAdded");
            if (time.empty()) continue;
            times.emplace(std::vector{text_member(device, "name"), text_member(taint, "key"),
                                      text_member(taint, "value"), text_member(taint, "effect")},
                          std::move(time));
        }
    }
}

// A taint that stays keeps its time, whichever slice its device is in: pods tolerate some for a
// while, which must not begin anew.
void apply_times(json& spec, const TaintTimes& times) {
    const auto devices = spec.find("devices");
    if (times.empty() || devices == spec.end()) return;
    for (auto& device : *devices) {
        const auto taints = device.find("taints");
        if (taints == device.end()) continue;
        for (auto& taint : *taints) {
            const auto known = times.find({text_member(device, "name"), text_member(taint, "key"),
                                           text_member(taint, "value"),
                                           text_member(taint, "effect")});
            if (known != times.end()) taint["timeAdded"] = known->second;
        }
    }
}

class Planner {
public:
    Planner(const DesiredSlices& desired, const NodeOwner& owner, const AdoptedSpecs& adopted)
        : desired_(desired), owner_(owner), adopted_(adopted), kept_(desired.specs.size()) {}

    std::vector<SyncAction> plan(std::span<const json> existing) {
        sort_out(existing);
        std::vector<bool> changed(kept_.size());
        size_t changes = 0;
        size_t missing = 0;
        for (size_t i = 0; i < kept_.size(); ++i) {
            if (kept_[i] == nullptr) {
                ++missing;
            } else if (!says(*kept_[i], i)) {
                changed[i] = true;
                ++changes;
            }
        }
        // One update is atomic; more than that need a generation of their own, or who allocates
        // would see a pool that is half old and half new.
        const bool keep = missing == 0 && changes <= 1;
        const uint64_t generation = keep ? generation_ : generation_ + 1;
        for (size_t i = 0; i < kept_.size(); ++i)
            if (kept_[i] != nullptr && (!keep || changed[i])) update(i, generation);
        for (size_t i = 0; i < kept_.size(); ++i)
            if (kept_[i] == nullptr) create(i, generation);
        return std::move(actions_);
    }

private:
    // Fills kept_ and generation_, and deletes what is of no use.
    void sort_out(std::span<const json> existing) {
        std::vector<Known> ours;
        for (const auto& object : existing) {
            const auto& spec = spec_of(object);
            // Never somebody else's, whatever a server lists.
            if (text_member(spec, "driver") != desired_.driver ||
                text_member(spec, "nodeName") != desired_.node ||
                metadata_text(object, "name").empty() || metadata_text(object, "uid").empty())
                continue;
            if (text_member(pool_of(spec), "name") != desired_.pool) {
                remove(object);
                continue;
            }
            collect_times(spec, times_);
            const auto generation = number(pool_of(spec), "generation");
            if (!generation || *generation > kMaxGeneration) {
                remove(object);
                continue;
            }
            generation_ = std::max(generation_, *generation);
            ours.push_back(
                {&object, index_of(metadata_text(object, "name"), desired_), *generation});
        }
        // Of two with one index the one that is right already stays, else the first by name.
        std::sort(ours.begin(), ours.end(), [](const Known& a, const Known& b) {
            return metadata_text(*a.object, "name") < metadata_text(*b.object, "name");
        });
        for (const auto& one : ours) {
            const bool useful = one.index && one.generation == generation_ &&
                                !is_going(*one.object);
            if (!useful) {
                remove(*one.object);
                continue;
            }
            auto& place = kept_[*one.index];
            if (place == nullptr) {
                place = one.object;
            } else if (!says(*place, *one.index) && says(*one.object, *one.index)) {
                remove(*place);
                place = one.object;
            } else {
                remove(*one.object);
            }
        }
    }

    // Whether `object` is what slice `index` should be, but for its generation.
    bool says(const json& object, size_t index) const {
        const auto& spec = spec_of(object);
        if (number(pool_of(spec), "resourceSliceCount") != desired_.specs.size()) return false;
        if (!is_owned_by(object, owner_)) return false;
        if (slices::same_content(spec, desired_.specs[index])) return true;
        const auto adopted = adopted_.find(index);
        return adopted != adopted_.end() &&
               slices::same_content(adopted->second.written, desired_.specs[index]) &&
               slices::same_content(adopted->second.stored, spec);
    }

    void remove(const json& object) {
        if (is_going(object)) return;  // somebody did already
        actions_.push_back({SyncAction::Kind::kDelete, metadata_text(object, "name"),
                            metadata_text(object, "uid"), metadata_text(object, "resourceVersion"),
                            0, nullptr});
    }

    json spec(size_t index, uint64_t generation) const {
        json spec = desired_.specs[index];
        spec["pool"]["generation"] = generation;
        spec["pool"]["resourceSliceCount"] = desired_.specs.size();
        apply_times(spec, times_);
        return spec;
    }

    void update(size_t index, uint64_t generation) {
        json object = *kept_[index];
        auto& metadata = object["metadata"];
        if (!owner_.uid.empty()) metadata["ownerReferences"] = owner_references(owner_);
        object["apiVersion"] = "resource.k8s.io/v1";  // items of a list have neither
        object["kind"] = "ResourceSlice";
        object["spec"] = spec(index, generation);
        actions_.push_back({SyncAction::Kind::kUpdate, text_member(metadata, "name"),
                            text_member(metadata, "uid"), text_member(metadata, "resourceVersion"),
                            index, std::move(object)});
    }

    void create(size_t index, uint64_t generation) {
        json object{{"apiVersion", "resource.k8s.io/v1"},
                    {"kind", "ResourceSlice"},
                    {"metadata",
                     {{"generateName", desired_.generate_names[index]},
                      {"labels", slices::slice_labels(desired_.driver)}}},
                    {"spec", spec(index, generation)}};
        if (!owner_.uid.empty()) object["metadata"]["ownerReferences"] = owner_references(owner_);
        actions_.push_back({SyncAction::Kind::kCreate, "", "", "", index, std::move(object)});
    }

    const DesiredSlices& desired_;
    const NodeOwner& owner_;
    const AdoptedSpecs& adopted_;
    std::vector<const json*> kept_;  // by index; nullptr: there is none
    uint64_t generation_ = 0;        // the highest that there is
    TaintTimes times_;
    std::vector<SyncAction> actions_;
};

// Which fields of `written` are in no member of `stored`, by their gates.
void find_dropped(const json& written, const json& stored, std::set<std::string>& gates) {
    static const std::map<std::string, const char*> kGates{
        {"taints", "DRADeviceTaints"},
        {"sharedCounters", "DRAPartitionableDevices"},
        {"consumesCounters", "DRAPartitionableDevices"},
        {"allowMultipleAllocations", "DRAConsumableCapacity"},
        {"requestPolicy", "DRAConsumableCapacity"},
        {"bindsToNode", "DRADeviceBindingConditions"},
        {"bindingConditions", "DRADeviceBindingConditions"},
    };
    // Of our own making, so not deep.
    if (written.is_object()) {
        for (const auto& [key, value] : written.items()) {
            const auto* const other = member(stored, key.c_str());
            const auto gate = kGates.find(key);
            if (other == nullptr && gate != kGates.end())
                gates.insert(gate->second);
            else if (other != nullptr)
                find_dropped(value, *other, gates);
        }
    } else if (written.is_array() && stored.is_array()) {
        for (size_t i = 0; i < std::min(written.size(), stored.size()); ++i)
            find_dropped(written[i], stored[i], gates);
    }
}

}  // namespace

Result<DesiredSlices> DesiredSlices::of(const slices::Pool& pool) {
    DesiredSlices desired;
    desired.driver = pool.driver;
    desired.node = pool.node;
    desired.pool = pool.name;
    MIMIC_ASSIGN_OR_RETURN(desired.specs, slices::slice_specs(pool, 0));
    for (size_t i = 0; i < desired.specs.size(); ++i)
        desired.generate_names.push_back(slices::generate_name(i, pool));
    return desired;
}

std::vector<SyncAction> plan_sync(std::span<const json> existing, const DesiredSlices& desired,
                                  const NodeOwner& owner, const AdoptedSpecs& adopted) {
    return Planner(desired, owner, adopted).plan(existing);
}

std::string dropped_fields(const json& written, const json& stored) {
    if (slices::same_content(written, stored)) return {};
    std::set<std::string> gates;
    find_dropped(written, stored, gates);
    if (gates.empty()) return "no known feature gate (an admission webhook, perhaps)";
    std::string text = "feature gate";
    for (const auto& gate : gates) text += " " + gate;
    return text;
}

}  // namespace mimic::dra
