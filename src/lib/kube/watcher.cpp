// SPDX-License-Identifier: Apache-2.0
#include "kube/watcher.h"

#include "kube/answer.h"

namespace mimic::kube {

Watcher::Watcher(std::shared_ptr<const ClientConfig> config, WatcherOptions options,
                 WatchHandler handler)
    : options_(std::move(options)),
      handler_(std::move(handler)),
      client_(std::move(config)),
      backoff_(options_.backoff) {}

void Watcher::run(const std::stop_token& stop) {
    client_.set_stop(stop);
    while (!stop.stop_requested()) {
        if (resource_version_.empty() && !list()) {
            if (!stop.stop_requested()) wait(error_, stop);
            continue;
        }
        watch(stop);
    }
}

void Watcher::wait(const ApiError& error, const std::stop_token& stop) {
    handler_.failed(error);
    (void)wait_for(backoff_.next(error.retry_after), stop);
}

bool Watcher::list() {
    auto listed = client_.list(options_.resource, options_.name_space, options_.list);
    if (!listed) {
        error_ = std::move(listed).error();
        return false;
    }
    resource_version_ = metadata_text(*listed, "resourceVersion");
    if (resource_version_.empty()) {
        error_ = {0, "", "the list has no resourceVersion", std::nullopt};
        return false;
    }
    std::vector<nlohmann::json> objects;
    auto& items = (*listed)["items"];
    objects.reserve(items.size());
    for (auto& item : items) objects.push_back(std::move(item));
    handler_.replaced(resource_version_, std::move(objects));
    return true;
}

void Watcher::watch(const std::stop_token& stop) {
    bool heard = false;
    const auto begin = std::chrono::steady_clock::now();
    const auto ended = client_.watch(options_.resource, options_.name_space, options_.list,
                                     resource_version_, stop, [this, &heard](WatchEvent event) {
                                         heard = true;
                                         const auto version = metadata_text(event.object,
                                                                            "resourceVersion");
                                         if (!version.empty()) resource_version_ = version;
                                         if (event.type != "BOOKMARK")
                                             handler_.changed(std::move(event));
                                     });
    if (stop.stop_requested()) return;
    // What told something or lasted has worked. Arbitrary: ten seconds and one.
    const auto lasted = std::chrono::steady_clock::now() - begin;
    if (heard || lasted > std::chrono::seconds(10)) backoff_.reset();
    if (ended) {
        // A server that ends every watch at once is not asked as often as it can answer.
        if (lasted < std::chrono::seconds(1)) (void)wait_for(backoff_.next(), stop);
        return;
    }
    // 410: that place is forgotten. Of other refusals (a version that it does not understand) the
    // cause may be that place, too; what is transient has another one.
    if (!ended.error().transient()) resource_version_.clear();
    if (ended.error().gone())
        (void)wait_for(backoff_.next(ended.error().retry_after), stop);
    else
        wait(ended.error(), stop);
}

}  // namespace mimic::kube
