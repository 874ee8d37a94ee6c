// SPDX-License-Identifier: Apache-2.0
// What a worker does with a node: see what the server has, plan, carry the plan out.
#include <algorithm>
#include <random>

#include "base/log.h"
#include "dra/publisher/sync_plan.h"
#include "dra/simulate/simulation.h"
#include "kube/answer.h"
#include "slices/slices.h"

namespace mimic::dra {
namespace {

using nlohmann::json;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr milliseconds kLongestDelay = seconds(60);
constexpr int kRemoveTries = 5;
constexpr milliseconds kLongestRemovePause = seconds(5);

KnownSlice known(const json& object) {
    return {kube::metadata_text(object, "name"), kube::metadata_text(object, "uid"),
            kube::metadata_text(object, "resourceVersion")};
}

// A slice of this node and driver with a name; what the selectors asked for.
bool is_slice_of(const json& object, const slices::Pool& pool) {
    const json* const spec = kube::member(object, "spec");
    return spec != nullptr && kube::text_member(*spec, "driver") == pool.driver &&
           kube::text_member(*spec, "nodeName") == pool.node &&
           !kube::metadata_text(object, "name").empty();
}

// Between half and all of `delay`, so that nodes that failed together do not come back together.
milliseconds with_jitter(milliseconds delay) {
    // Nothing that a seed repeats depends on this.
    thread_local std::minstd_rand random{std::random_device()()};
    return delay / 2 + milliseconds(static_cast<int64_t>(random()) % (delay.count() / 2 + 1));
}

}  // namespace

void Simulation::work(const std::stop_token& stop) {
    kube::Client client = new_client(stop);
    while (const auto node = queue_.take()) {
        observed_.begin(*node);
        Slices left;
        const auto done = sync(*node, client, left);
        if (done) {
            nodes_[*node].failures = 0;
            if (observed_.finish(*node, std::move(left))) {
                nodes_[*node].look = true;
                queue_.add(*node);
            }
        } else {
            observed_.give_up(*node);
            nodes_[*node].look = true;
            if (!stop.stop_requested()) retry(*node, done.error());
        }
        queue_.done(*node);
    }
}

void Simulation::retry(size_t node, const kube::ApiError& error) {
    ++counters_.retries;
    Node& entry = nodes_[node];
    const unsigned failures = std::min(entry.failures++, 16u);
    milliseconds delay = with_jitter(
        std::min(settings_.first_pause * (1 << failures), kLongestDelay));
    if (error.conflict()) delay = milliseconds(0);  // somebody was faster: look again at once
    if (error.retry_after) {
        delay = std::max(delay, *error.retry_after);
        queue_.hold_until(WorkQueue::Clock::now() + *error.retry_after);
    }
    // The first failure of a node may be anything; that it goes on is what somebody should know.
    if (failures == 3 || (!error.transient() && !error.conflict())) {
        MIMIC_LOG("simulate", kError, "Cannot publish {}: {} {}; next try in {} ms",
                  fleet_.name(node), error.status, error.message, delay.count());
    }
    queue_.add(node, delay);
}

kube::ApiResult<void> Simulation::ensure_node(size_t node, kube::Client& client) {
    const std::string name = fleet_.name(node);
    const json object = {{"apiVersion", "v1"},
                         {"kind", "Node"},
                         {"metadata",
                          {{"name", name},
                           {"annotations", {{"kwok.x-k8s.io/node", "fake"}}},
                           {"labels", {{"kubernetes.io/hostname", name}}}}}};
    auto made = client.create(kube::kNodes, "", object);
    counters_.request("create", made ? 201 : made.error().status);
    if (!made && made.error().conflict()) {
        made = client.get(kube::kNodes, "", name);
        counters_.request("get", made ? 200 : made.error().status);
    } else if (made) {
        nodes_[node].created = true;
    }
    if (!made) return tl::unexpected(std::move(made).error());
    nodes_[node].uid = kube::metadata_text(*made, "uid");
    return {};
}

// Full objects: of those that we left, one by one; of all that there are if somebody said so.
kube::ApiResult<std::vector<json>> Simulation::existing(size_t node, kube::Client& client) {
    std::vector<json> found;
    const slices::Pool pool{.driver = fleet_.driver(), .name = {}, .node = fleet_.name(node)};
    if (!nodes_[node].look.exchange(false)) {
        for (const KnownSlice& slice : observed_.slices(node)) {
            auto object = client.get(kube::kSlices, "", slice.name);
            counters_.request("get", object ? 200 : object.error().status);
            if (!object && object.error().not_found()) continue;
            if (!object) return tl::unexpected(std::move(object).error());
            if (is_slice_of(*object, pool)) {
                found.push_back(std::move(*object));
            } else {
                ++counters_.strange;
            }
        }
        return found;
    }
    auto list = client.list(
        kube::kSlices, "",
        {.field_selector = "spec.driver=" + pool.driver + ",spec.nodeName=" + pool.node});
    counters_.request("list", list ? 200 : list.error().status);
    if (!list) return tl::unexpected(std::move(list).error());
    for (json& object : (*list)["items"]) {
        if (is_slice_of(object, pool)) {
            found.push_back(std::move(object));
        } else {
            ++counters_.strange;
        }
    }
    return found;
}

// What an update of a pool is decides the publisher's rule, for a node that is there and for one
// that is not.
kube::ApiResult<void> Simulation::sync(size_t node, kube::Client& client, Slices& left) {
    if (settings_.create_nodes && nodes_[node].uid.empty()) {
        if (auto made = ensure_node(node, client); !made) return made;
    }
    const auto desired = DesiredSlices::of(fleet_.desired(node));
    if (!desired) {
        return tl::unexpected(kube::ApiError{422, "", desired.error().message(), std::nullopt});
    }
    const bool asked_to_look = nodes_[node].look;
    auto found = existing(node, client);
    if (!found) return tl::unexpected(std::move(found).error());
    const NodeOwner owner{fleet_.name(node), nodes_[node].uid};
    const std::vector<SyncAction> actions = plan_sync(*found, *desired, owner);
    for (const json& object : *found) left.push_back(known(object));
    for (const SyncAction& action : actions) {
        std::erase_if(left, [&action](const KnownSlice& one) { return one.name == action.name; });
        if (auto done = carry_out(action, client, left); !done) return done;
    }
    if (asked_to_look && published_ && !actions.empty()) ++counters_.restored;
    return {};
}

kube::ApiResult<void> Simulation::carry_out(const SyncAction& action, kube::Client& client,
                                            Slices& left) {
    if (action.kind == SyncAction::Kind::kDelete) {
        auto gone = client.remove(kube::kSlices, "", action.name, action.uid,
                                  action.resource_version);
        counters_.request("delete", gone ? 200 : gone.error().status);
        if (gone) ++counters_.removed;
        return gone;
    }
    const bool is_new = action.kind == SyncAction::Kind::kCreate;
    auto written = is_new ? client.create(kube::kSlices, "", action.object)
                          : client.update(kube::kSlices, "", action.object);
    counters_.request(is_new ? "create" : "update", !written ? written.error().status
                                                    : is_new ? 201
                                                             : 200);
    if (!written) return tl::unexpected(std::move(written).error());
    ++counters_.published;
    left.push_back(known(*written));
    return {};
}

bool Simulation::remove_all(milliseconds limit) {
    std::stop_source timeout;
    std::atomic<size_t> next = 0;
    std::atomic<size_t> failures = 0;
    const auto work = [&] {
        kube::Client client = new_client(timeout.get_token());
        for (size_t node = next++; node < fleet_.size(); node = next++) {
            if (!remove_node(node, client)) ++failures;
        }
    };
    std::jthread watchdog([&timeout, limit](const std::stop_token& done) {
        std::mutex mutex;
        std::condition_variable_any never;
        std::unique_lock lock(mutex);
        if (!never.wait_for(lock, done, limit, [&done] { return done.stop_requested(); })) {
            timeout.request_stop();
        }
    });
    std::vector<std::jthread> workers;
    for (unsigned worker = 0; worker < settings_.workers; ++worker) workers.emplace_back(work);
    workers.clear();  // joins
    return failures == 0;
}

kube::ApiResult<void> Simulation::remove_once(size_t node, kube::Client& client) {
    // A try that failed may have left slices that we do not know.
    if (nodes_[node].failures != 0) nodes_[node].look = true;
    auto found = existing(node, client);
    if (!found) return tl::unexpected(std::move(found).error());
    for (const json& object : *found) {
        const KnownSlice slice = known(object);
        auto gone = client.remove(kube::kSlices, "", slice.name, slice.uid);
        counters_.request("delete", gone ? 200 : gone.error().status);
        if (!gone) return gone;
    }
    if (!nodes_[node].created) return {};
    return client.remove(kube::kNodes, "", fleet_.name(node), nodes_[node].uid);
}

bool Simulation::remove_node(size_t node, kube::Client& client) {
    kube::ApiResult<void> gone;
    for (int attempt = 0; attempt < kRemoveTries; ++attempt) {
        gone = remove_once(node, client);
        if (gone || !gone.error().transient() || gone.error().reason == "Stopped") break;
        nodes_[node].look = true;
        std::this_thread::sleep_for(std::min(
            gone.error().retry_after.value_or(settings_.first_pause), kLongestRemovePause));
    }
    if (!gone) {
        MIMIC_LOG("simulate", kError, "Cannot delete the slices of {}: {}", fleet_.name(node),
                  gone.error().message);
    }
    return gone.has_value();
}

}  // namespace mimic::dra
