// SPDX-License-Identifier: Apache-2.0
#include "dra/simulate/simulation.h"

#include <algorithm>
#include <functional>
#include <unordered_map>

#include "base/log.h"
#include "dra/simulate/churn.h"
#include "kube/answer.h"

namespace mimic::dra {
namespace {

using nlohmann::json;
using std::chrono::milliseconds;
using std::chrono::seconds;

// Objects of a page. Arbitrary: a page of slices with 128 devices each has some ten megabytes, and
// ten times as much while it is read.
constexpr unsigned kPage = 100;
// Pages of a list that are followed: more than a million objects.
constexpr unsigned kMaxPages = 20'000;
// The longest between two tries to list or watch.
constexpr milliseconds kLongestPause = seconds(30);

// Waits, but no longer than until the stop.
void pause(milliseconds time, const std::stop_token& stop) {
    std::mutex mutex;
    std::condition_variable_any never;
    std::unique_lock lock(mutex);
    never.wait_for(lock, stop, time, [] { return false; });
}

// Calls `each` for each object of a list, page by page, so that only one page is in memory.
// `version` gets what a watch may begin at.
kube::ApiResult<void> for_each_page(kube::Client& client, const std::string& path,
                                    const std::function<void(const json&)>& each,
                                    std::string& version) {
    std::string next;
    for (unsigned page = 0; page < kMaxPages; ++page) {
        auto text = client.get_text(fmt::format("{}limit={}{}", path, kPage, next));
        if (!text) return tl::unexpected(std::move(text).error());
        const json answer = kube::parse_object(*text, kube::max_values(text->size()));
        const json* const items = kube::member(answer, "items");
        if (items == nullptr || !(items->is_array() || items->is_null())) {
            return tl::unexpected(kube::ApiError{0, "", "the answer is no list", std::nullopt});
        }
        for (const json& item : *items) each(item);
        version = kube::metadata_text(answer, "resourceVersion");
        const std::string token = kube::metadata_text(answer, "continue");
        if (token.empty()) return {};
        // The token is the server's, and base64 in practice.
        next = "&continue=";
        for (const char c : token) {
            next += fmt::format("%{:02X}", static_cast<unsigned char>(c));
        }
    }
    return tl::unexpected(kube::ApiError{0, "", "the list has no end", std::nullopt});
}

}  // namespace

Simulation::Simulation(Fleet fleet, std::shared_ptr<const kube::ClientConfig> config,
                       SimulationSettings settings)
    : fleet_(std::move(fleet)),
      config_(std::move(config)),
      settings_(settings),
      observed_(fleet_.size()),
      queue_(fleet_.size()),
      nodes_(fleet_.size()) {}

Simulation::~Simulation() {
    stop();
}

kube::Client Simulation::new_client(const std::stop_token& stop) const {
    kube::Client client(config_);
    client.set_stop(stop);
    return client;
}

void Simulation::start() {
    const std::stop_token stop = stop_.get_token();
    threads_.emplace_back([this, stop] { conduct(stop); });
    for (unsigned worker = 0; worker < settings_.workers; ++worker) {
        threads_.emplace_back([this, stop] { work(stop); });
    }
}

void Simulation::stop() {
    stop_.request_stop();
    queue_.close();
    threads_.clear();  // joins
}

bool Simulation::wait_published(milliseconds limit) {
    const auto end = WorkQueue::Clock::now() + limit;
    while (!published_ && WorkQueue::Clock::now() < end && !stop_.stop_requested()) {
        pause(std::min<milliseconds>(limit, milliseconds(20)), stop_.get_token());
    }
    return published_;
}

// First everything is published, with nothing beside it that would take the server's time; then
// the watch begins.
void Simulation::conduct(const std::stop_token& stop) {
    kube::Client client = new_client(stop);
    std::string version;
    milliseconds wait = settings_.first_pause;
    while (!stop.stop_requested() && !(find_nodes(client) && find_slices(client, version))) {
        pause(wait, stop);
        wait = std::min(wait * 2, kLongestPause);
    }
    const auto begin = WorkQueue::Clock::now();
    for (size_t node = 0; node < fleet_.size(); ++node) queue_.add(node);
    while (!stop.stop_requested() && !queue_.wait_idle(seconds(1))) {
    }
    if (stop.stop_requested()) return;
    publishing_time_ = WorkQueue::Clock::now() - begin;
    published_ = true;

    std::jthread churning;
    if (settings_.churn > 0) churning = std::jthread([this, stop] { churn(stop); });
    wait = settings_.first_pause;
    while (!stop.stop_requested()) {
        if (find_slices(client, version)) {
            wait = settings_.first_pause;
            watch(client, version, stop);
        } else {
            pause(wait, stop);
            wait = std::min(wait * 2, kLongestPause);
        }
    }
}

// Who owns our slices: Node objects that are there already.
bool Simulation::find_nodes(kube::Client& client) {
    std::string version;
    size_t found = 0;
    const auto listed = for_each_page(
        client, "/api/v1/nodes?",
        [this, &found](const json& object) {
            const auto node = fleet_.find(kube::metadata_text(object, "name"));
            if (!node) return;
            nodes_[*node].uid = kube::metadata_text(object, "uid");
            ++found;
        },
        version);
    counters_.request("list", listed ? 200 : listed.error().status);
    if (!listed) {
        MIMIC_LOG("simulate", kError, "Cannot list nodes: {}", listed.error().message);
        return false;
    }
    if (found < fleet_.size() && !settings_.create_nodes) {
        MIMIC_LOG("simulate", kWarn,
                  "{} of {} nodes are not there; their slices will have no owner, and no pod goes "
                  "there (--create-nodes makes them)",
                  fleet_.size() - found, fleet_.size());
    }
    return true;
}

// Compares what the server has with what we know, and has workers look at each node that differs.
bool Simulation::find_slices(kube::Client& client, std::string& version) {
    std::unordered_map<size_t, Slices> found;
    const auto listed = for_each_page(
        client,
        "/apis/resource.k8s.io/v1/resourceslices?fieldSelector=spec.driver%3D" + fleet_.driver() +
            "&",
        [this, &found](const json& object) {
            const json* const spec = kube::member(object, "spec");
            const auto node = fleet_.find(spec != nullptr ? kube::text_member(*spec, "nodeName")
                                                          : "");
            if (!node) return;
            found[*node].push_back({kube::metadata_text(object, "name"),
                                    kube::metadata_text(object, "uid"),
                                    kube::metadata_text(object, "resourceVersion")});
        },
        version);
    counters_.request("list", listed ? 200 : listed.error().status);
    if (!listed) {
        MIMIC_LOG("simulate", kError, "Cannot list slices: {}", listed.error().message);
        return false;
    }
    for (size_t node = 0; node < fleet_.size(); ++node) {
        const auto listed_here = found.find(node);
        if (!observed_.differs(node, listed_here == found.end() ? Slices() : listed_here->second)) {
            continue;
        }
        nodes_[node].look = true;
        if (published_) queue_.add(node);
    }
    return true;
}

void Simulation::watch(kube::Client& client, std::string version, const std::stop_token& stop) {
    milliseconds wait = settings_.first_pause;
    while (!stop.stop_requested()) {
        const auto begin = WorkQueue::Clock::now();
        const auto ended = client.watch(
            kube::kSlices, "", {.field_selector = "spec.driver=" + fleet_.driver()}, version, stop,
            [this, &version](const kube::WatchEvent& event) { see(event, version); });
        counters_.request("watch", ended ? 200 : ended.error().status);
        if (!ended && (ended.error().gone() || !ended.error().transient())) {
            MIMIC_LOG("simulate", kInfo, "Listing again: {}", ended.error().message);
            pause(settings_.first_pause, stop);
            return;
        }
        // A watch that lasted is no failure, however it ended.
        if (WorkQueue::Clock::now() - begin > kLongestPause) wait = settings_.first_pause;
        if (ended) continue;
        MIMIC_LOG("simulate", kWarn, "The watch ended: {}", ended.error().message);
        pause(std::max(wait, ended.error().retry_after.value_or(milliseconds(0))), stop);
        wait = std::min(wait * 2, kLongestPause);
    }
}

void Simulation::see(const kube::WatchEvent& event, std::string& version) {
    KnownSlice slice{kube::metadata_text(event.object, "name"),
                     kube::metadata_text(event.object, "uid"),
                     kube::metadata_text(event.object, "resourceVersion")};
    if (!slice.version.empty()) version = slice.version;
    if (event.type == "BOOKMARK") return;
    const json* const spec = kube::member(event.object, "spec");
    if (spec == nullptr || slice.name.empty()) {
        ++counters_.strange;
        return;
    }
    const auto node = fleet_.find(kube::text_member(*spec, "nodeName"));
    if (!node) return;
    ++counters_.events;
    if (!observed_.see(*node, event.type == "DELETED", slice)) return;
    nodes_[*node].look = true;
    queue_.add(*node);
}

// Changes are spread evenly. Who falls behind (a clock that jumps, a machine that slept) does not
// catch up.
void Simulation::churn(const std::stop_token& stop) {
    Churn churn(fleet_, settings_.seed);
    const auto period = std::chrono::duration_cast<WorkQueue::Clock::duration>(
        std::chrono::duration<double>(1 / settings_.churn));
    auto due = WorkQueue::Clock::now();
    for (uint64_t done = 0; !stop.stop_requested(); ++done) {
        if (settings_.churn_steps != 0 && done == settings_.churn_steps) return;
        const auto step = churn.next();
        fleet_.set(step.node, step.device, step.state);
        queue_.add(step.node);
        ++counters_.churned;
        due += period;
        const auto now = WorkQueue::Clock::now();
        if (due + seconds(1) < now) due = now;
        if (due > now) pause(std::chrono::ceil<milliseconds>(due - now), stop);
    }
}

std::string Simulation::metrics() const {
    return counters_.text({{"nodes", static_cast<double>(fleet_.size())},
                           {"devices", static_cast<double>(fleet_.devices())},
                           {"ill_devices", static_cast<double>(fleet_.ill())},
                           {"slices", static_cast<double>(observed_.total())},
                           {"queue_length", static_cast<double>(queue_.length())},
                           {"published", published_ ? 1.0 : 0.0},
                           {"publishing_seconds", publishing_time().count()}});
}

}  // namespace mimic::dra
