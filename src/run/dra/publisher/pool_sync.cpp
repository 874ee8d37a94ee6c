// SPDX-License-Identifier: Apache-2.0
#include "dra/publisher/pool_sync.h"

#include <algorithm>
#include <charconv>

#include "kube/answer.h"
#include "slices/slices.h"

namespace mimic::dra {
namespace {

using kube::metadata_text;
using nlohmann::json;

// Slices that are remembered. Arbitrary: a pool of 128 devices has three, and a server must not
// choose how much memory a node agent takes.
constexpr size_t kMaxObjects = 1000;

// Versions are numbers that grow, all kinds of objects together (KEP-5504). Nothing if one is not.
std::optional<uint64_t> version_number(const std::string& version) {
    uint64_t number = 0;
    const auto* const end = version.data() + version.size();
    const auto read = std::from_chars(version.data(), end, number);
    if (read.ec != std::errc() || read.ptr != end) return std::nullopt;
    return number;
}

bool is_older(const std::string& a, const std::string& b) {
    const auto first = version_number(a);
    const auto second = version_number(b);
    return first && second && *first < *second;
}

}  // namespace

Result<bool> PoolSync::want(const slices::Pool& pool) {
    MIMIC_ASSIGN_OR_RETURN(auto desired, DesiredSlices::of(pool));
    const std::lock_guard lock(mutex_);
    const bool same = desired_ && desired_->specs == desired.specs;
    desired_ = std::move(desired);
    return !same;
}

void PoolSync::set_owner(NodeOwner owner) {
    const std::lock_guard lock(mutex_);
    owner_ = std::move(owner);
}

void PoolSync::put(json object) {
    auto name = metadata_text(object, "name");
    if (name.empty()) return;
    const auto known = objects_.find(name);
    if (known != objects_.end() && is_older(metadata_text(object, "resourceVersion"),
                                            metadata_text(known->second, "resourceVersion")))
        return;
    if (known == objects_.end() && objects_.size() >= kMaxObjects) return;
    // A third of an object, and nothing that anybody here reads.
    if (const auto metadata = object.find("metadata"); metadata != object.end())
        metadata->erase("managedFields");
    objects_.insert_or_assign(std::move(name), std::move(object));
}

// An answer may come after the watch has told of the object's end: then it is gone, and putting it
// back would hide that until the next list.
void PoolSync::put_answer(json object) {
    const auto version = version_number(metadata_text(object, "resourceVersion"));
    const auto seen = version_number(seen_);
    if (version && seen && *version <= *seen && !objects_.contains(metadata_text(object, "name")))
        return;
    put(std::move(object));
}

void PoolSync::replaced(const std::string& resource_version, std::vector<json> objects) {
    const std::lock_guard lock(mutex_);
    seen_ = resource_version;
    // What was written after that list is not in it and yet there.
    std::erase_if(objects_, [&](const auto& entry) {
        return !is_older(resource_version, metadata_text(entry.second, "resourceVersion"));
    });
    std::set<std::string> still;
    for (auto& object : objects) {
        const auto name = metadata_text(object, "name");
        if (deleted_.contains(name))
            still.insert(name);  // that list is older than its end
        else
            put(std::move(object));
    }
    deleted_ = std::move(still);
    synced_ = true;
}

PoolSync::News PoolSync::changed(const kube::WatchEvent& event) {
    const auto name = metadata_text(event.object, "name");
    const auto version = metadata_text(event.object, "resourceVersion");
    const std::lock_guard lock(mutex_);
    if (!version.empty()) seen_ = version;
    if (deleted_.contains(name)) {
        if (event.type == "DELETED") deleted_.erase(name);
        return News::kNone;
    }
    const auto known = objects_.find(name);
    // Ours most likely; if not, the write fails, or the step's end finds that something is to do.
    const bool ours = busy_ && (busy_->empty() ? known == objects_.end() && event.type == "ADDED"
                                               : name == *busy_);
    if (event.type == "DELETED") {
        if (known == objects_.end() ||
            is_older(version, metadata_text(known->second, "resourceVersion")))
            return News::kNone;
        objects_.erase(known);
        return ours ? News::kNone : News::kDeletion;
    }
    if (known != objects_.end()) {
        const auto own = metadata_text(known->second, "resourceVersion");
        if (version == own || is_older(version, own)) return News::kNone;
    }
    put(event.object);
    return ours ? News::kNone : News::kChange;
}

std::vector<SyncAction> PoolSync::plan() const {
    if (!desired_ || !synced_) return {};
    std::vector<json> objects;
    objects.reserve(objects_.size());
    for (const auto& [name, object] : objects_) objects.push_back(object);
    return plan_sync(objects, *desired_, owner_, adopted_);
}

bool PoolSync::settled() const {
    const std::lock_guard lock(mutex_);
    return desired_ && synced_ && plan().empty();
}

size_t PoolSync::slice_count() const {
    const std::lock_guard lock(mutex_);
    return objects_.size();
}

void PoolSync::forget_adopted() {
    const std::lock_guard lock(mutex_);
    adopted_.clear();
}

void PoolSync::written(const SyncAction& action, json stored, SyncStep& step) {
    const auto* const spec = kube::member(stored, "spec");
    const auto& asked = action.object["spec"];
    const std::lock_guard lock(mutex_);
    if (spec != nullptr) {
        if (const auto dropped = dropped_fields(asked, *spec); !dropped.empty()) {
            // Asking again and again would not bring them back.
            step.notes.push_back(fmt::format("{}: the API server left out fields: {}",
                                             metadata_text(stored, "name"), dropped));
            adopted_[action.index] = {asked, *spec};
        } else {
            adopted_.erase(action.index);
        }
    }
    put_answer(std::move(stored));
}

void PoolSync::refresh(kube::Client& client, const std::string& name) {
    auto now = client.get(kube::kSlices, "", name);
    const std::lock_guard lock(mutex_);
    if (now)
        put_answer(std::move(*now));
    else if (now.error().not_found())
        objects_.erase(name);
}

std::optional<kube::ApiError> PoolSync::write(kube::Client& client, const SyncAction& action,
                                              SyncStep& step) {
    if (action.kind == SyncAction::Kind::kDelete) {
        auto removed = client.remove(kube::kSlices, "", action.name, action.uid,
                                     action.resource_version);
        if (!removed) return std::move(removed).error();
        const std::lock_guard lock(mutex_);
        // If its event has come, there is nothing to wait for.
        if (objects_.erase(action.name) > 0) deleted_.insert(action.name);
        return std::nullopt;
    }
    auto stored = action.kind == SyncAction::Kind::kUpdate
                      ? client.update(kube::kSlices, "", action.object)
                      : client.create(kube::kSlices, "", action.object);
    if (!stored) return std::move(stored).error();
    written(action, std::move(*stored), step);
    return std::nullopt;
}

SyncStep PoolSync::step(kube::Client& client) {
    std::vector<SyncAction> actions;
    {
        const std::lock_guard lock(mutex_);
        actions = plan();
    }
    SyncStep step;
    const auto set_busy = [this](std::optional<std::string> name) {
        const std::lock_guard lock(mutex_);
        busy_ = std::move(name);
    };
    for (const auto& action : actions) {
        set_busy(action.name);
        auto error = write(client, action, step);
        set_busy(std::nullopt);
        if (!error) {
            ++step.writes;
            continue;
        }
        // Somebody was faster than we. The watch tells what is there now, but perhaps not soon.
        const bool stale = error->conflict() || (error->not_found() && !action.name.empty());
        ++(stale ? step.conflicts : step.errors);
        step.error = std::move(error);
        if (step.error->transient()) break;
        if (stale && !action.name.empty()) refresh(client, action.name);
    }
    return step;
}

}  // namespace mimic::dra
