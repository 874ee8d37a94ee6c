// SPDX-License-Identifier: Apache-2.0
#include "dra/publisher/publisher.h"

#include <algorithm>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <optional>
#include <thread>

#include "base/log.h"
#include "base/terminal_text.h"
#include "dra/publisher/pool_sync.h"
#include "kube/answer.h"
#include "kube/watcher.h"

namespace mimic::dra {
namespace {

using SteadyTime = std::chrono::steady_clock::time_point;

SteadyTime now() {
    return std::chrono::steady_clock::now();
}

constexpr SteadyTime kNever = SteadyTime::max();

// Of one answer, and of all slices of a node: 128 devices take 100 kB. Arbitrary otherwise.
constexpr size_t kMaxAnswer = size_t{16} << 20;

std::shared_ptr<const kube::ClientConfig> bounded(const kube::ClientConfig& config) {
    auto copy = std::make_shared<kube::ClientConfig>(config);
    copy->max_answer = std::min(copy->max_answer, kMaxAnswer);
    return copy;
}

std::string text_of(const kube::ApiError& error) {
    return error.status == 0 ? error.message
                             : fmt::format("{} {}: {}", error.status, error.reason, error.message);
}

}  // namespace

class Publisher::Impl {
public:
    explicit Impl(PublisherConfig config)
        : config_(std::move(config)),
          client_config_(bounded(*config_.client)),
          client_(client_config_),
          backoff_(config_.backoff),
          foreign_(config_.foreign) {
        watching_ = std::jthread([this](const std::stop_token& stop) { watch(stop); });
        writing_ = std::jthread([this](const std::stop_token& stop) { write(stop); });
    }
    ~Impl() {
        // Both at once: each may take a second.
        watching_.request_stop();
        writing_.request_stop();
    }
    Impl(const Impl&) = delete;
    Impl& operator=(const Impl&) = delete;

    void publish(const slices::Pool& pool);
    PublisherStats stats() const;

private:
    void watch(const std::stop_token& stop);
    void write(const std::stop_token& stop);
    // Waits until something is due; false when stopping.
    bool wait_until_due(const std::stop_token& stop);
    void act();
    std::optional<kube::ApiError> find_owner();
    void heard_list();
    void heard(const kube::WatchEvent& event);
    void failed(const kube::ApiError& error);
    void finish(const SyncStep& step);
    // With mutex_ held.
    void due_in(std::chrono::milliseconds wait) {
        due_ = std::min(due_, now() + wait);
        ++pokes_;
        changed_.notify_all();
    }
    // Counts and logs. With mutex_ held.
    void note_error(log::RateLimit& limit, const std::string& text);

    const PublisherConfig config_;
    const std::shared_ptr<const kube::ClientConfig> client_config_;  // shared by both clients
    PoolSync sync_;

    // Of the writing thread.
    kube::Client client_;
    kube::Backoff backoff_;

    mutable std::mutex mutex_;  // everything below
    std::condition_variable_any changed_;
    uint64_t pokes_ = 0;       // that changed_ was notified
    SteadyTime due_ = kNever;  // when act() runs next
    SteadyTime not_before_{};  // whatever is due
    bool synced_ = false;      // a list has been seen
    bool wanted_ = false;      // publish() has been called with something good
    bool owner_known_ = false;
    bool acting_ = false;           // act() writes: what it did is not in `stats_` yet
    bool foreign_pending_ = false;  // a wait for the change of somebody else is under way
    SteadyTime last_foreign_{};
    SteadyTime next_adoption_{};
    std::optional<SteadyTime> published_at_;  // of what is not written yet
    kube::Backoff foreign_;
    PublisherStats stats_;  // but for what stats() adds
    // What is wrong now, of three kinds that come and go apart.
    std::string pool_error_, write_error_, watch_error_;
    SteadyTime watch_failed_{};
    log::RateLimit watch_log_, write_log_, note_log_;

    // Last: they end first.
    std::jthread watching_;
    std::jthread writing_;
};

void Publisher::Impl::note_error(log::RateLimit& limit, const std::string& text) {
    ++stats_.errors;
    uint64_t suppressed = 0;
    if (limit.allow(now(), suppressed))
        MIMIC_LOG("publisher", kError, "{}{}", text, log::more_like_it(suppressed));
}

void Publisher::Impl::publish(const slices::Pool& pool) {
    if (pool.driver != config_.driver || pool.node != config_.node) {
        const std::lock_guard lock(mutex_);
        pool_error_ = fmt::format("A pool of {} on {} is not ours to publish",
                                  terminal_text(pool.driver), terminal_text(pool.node));
        note_error(write_log_, pool_error_);
        return;
    }
    const auto news = sync_.want(pool);
    const std::lock_guard lock(mutex_);
    if (!news) {
        pool_error_ = "The devices cannot be published: " +
                      terminal_text(news.error().message(), 2000);
        note_error(write_log_, pool_error_);
        return;
    }
    wanted_ = true;
    pool_error_.clear();
    if (!*news) return;
    if (!published_at_) published_at_ = now();
    // What the server refused may be mended now; what it had no time for is not.
    due_in({});
}

PublisherStats Publisher::Impl::stats() const {
    PublisherStats copy;
    // Before the counters: whoever sees that the slices are as they should be sees the writes, too.
    const bool settled = sync_.settled();
    {
        const std::lock_guard lock(mutex_);
        copy = stats_;
        const bool watch_fails = now() - watch_failed_ < 2 * config_.backoff.longest;
        copy.last_error = !pool_error_.empty()    ? pool_error_
                          : !write_error_.empty() ? write_error_
                          : watch_fails           ? watch_error_
                                                  : "";
        copy.settled = settled && !acting_;
    }
    copy.slices = sync_.slice_count();
    return copy;
}

void Publisher::Impl::watch(const std::stop_token& stop) {
    kube::WatchHandler handler;
    handler.replaced = [this](const std::string& version, std::vector<nlohmann::json> objects) {
        sync_.replaced(version, std::move(objects));
        heard_list();
    };
    handler.changed = [this](const kube::WatchEvent& event) { heard(event); };
    handler.failed = [this](const kube::ApiError& error) { failed(error); };
    kube::WatcherOptions options{kube::kSlices};
    options.list.field_selector = fmt::format("spec.driver={},spec.nodeName={}", config_.driver,
                                              config_.node);
    options.list.page_size = 50;  // pages of a node whose slices are full stay below 10 MB
    options.backoff = config_.backoff;
    while (!stop.stop_requested()) {
        try {
            kube::Watcher(client_config_, options, handler).run(stop);
        } catch (const std::exception& error) {
            // No memory, mostly. A node agent goes on.
            failed({0, "", error.what(), std::nullopt});
            (void)kube::wait_for(std::chrono::seconds(1), stop);
        }
    }
}

void Publisher::Impl::heard_list() {
    const std::lock_guard lock(mutex_);
    ++stats_.lists;
    synced_ = true;
    watch_error_.clear();
    if (now() >= next_adoption_) {
        sync_.forget_adopted();
        next_adoption_ = now() + config_.adopt_again;
    }
    due_in({});
}

void Publisher::Impl::heard(const kube::WatchEvent& event) {
    const auto news = sync_.changed(event);
    if (news == PoolSync::News::kNone) return;
    const std::lock_guard lock(mutex_);
    ++stats_.foreign_changes;
    watch_error_.clear();
    // Slices whose owner is another Node than there is now are deleted for ever.
    if (news == PoolSync::News::kDeletion) owner_known_ = false;
    if (foreign_pending_) return;
    foreign_pending_ = true;
    if (now() - last_foreign_ > 2 * config_.foreign.longest) foreign_.reset();
    last_foreign_ = now();
    due_in(foreign_.next());
}

void Publisher::Impl::failed(const kube::ApiError& error) {
    const std::lock_guard lock(mutex_);
    watch_error_ = "The slices cannot be watched: " + text_of(error);
    watch_failed_ = now();
    note_error(watch_log_, watch_error_);
}

bool Publisher::Impl::wait_until_due(const std::stop_token& stop) {
    std::unique_lock lock(mutex_);
    while (!stop.stop_requested()) {
        auto wake = now() + std::chrono::hours(1);  // somebody pokes earlier
        if (synced_ && wanted_) {
            const auto at = std::max(due_, not_before_);
            if (now() >= at) {
                due_ = now() + config_.recheck;
                foreign_pending_ = false;
                return true;
            }
            wake = std::min(wake, at);
        }
        changed_.wait_until(lock, stop, wake, [this, seen = pokes_] { return pokes_ != seen; });
    }
    return false;
}

void Publisher::Impl::write(const std::stop_token& stop) {
    client_.set_stop(stop);
    while (wait_until_due(stop)) {
        try {
            act();
        } catch (const std::exception& error) {
            const std::lock_guard lock(mutex_);
            acting_ = false;
            write_error_ = std::string("The slices cannot be written: ") + error.what();
            note_error(write_log_, write_error_);
            not_before_ = now() + backoff_.next();
            due_in({});
        }
    }
}

std::optional<kube::ApiError> Publisher::Impl::find_owner() {
    auto node = client_.get(kube::kNodes, "", config_.node);
    if (node) {
        const auto uid = kube::metadata_text(*node, "uid");
        if (!uid.empty()) {
            sync_.set_owner({config_.node, uid});
            return std::nullopt;
        }
        return kube::ApiError{0, "", "it has no uid", std::nullopt};
    }
    if (node.error().not_found())
        node.error().message =
            "there is none of that name: has it been renamed, or has its kubelet not registered?";
    return std::move(node).error();
}

void Publisher::Impl::act() {
    bool owner_known = false;
    {
        const std::lock_guard lock(mutex_);
        owner_known = owner_known_;
    }
    // Nothing to write: no reason to ask.
    if (owner_known && sync_.settled()) return finish({});
    {
        const std::lock_guard lock(mutex_);
        acting_ = true;
    }
    if (!owner_known) {
        if (auto error = find_owner()) {
            SyncStep step;
            ++step.errors;
            error->message = fmt::format("node {}: {}", config_.node, error->message);
            step.error = std::move(error);
            return finish(step);
        }
        const std::lock_guard lock(mutex_);
        owner_known_ = true;
    }
    finish(sync_.step(client_));
}

void Publisher::Impl::finish(const SyncStep& step) {
    const bool settled = sync_.settled();
    const std::lock_guard lock(mutex_);
    acting_ = false;
    stats_.writes += step.writes;
    stats_.conflicts += step.conflicts;
    if (step.errors > 1) stats_.errors += step.errors - 1;  // note_error() counts one
    for (const auto& note : step.notes) {
        uint64_t suppressed = 0;
        if (note_log_.allow(now(), suppressed))
            MIMIC_LOG("publisher", kWarn, "{}{}", note, log::more_like_it(suppressed));
    }
    if (step.error) {
        if (step.error->reason == "Stopped") return;
        write_error_ = "The slices cannot be written: " + text_of(*step.error);
        if (step.errors > 0) note_error(write_log_, write_error_);  // conflicts are no news
        const auto wait = backoff_.next(step.error->retry_after);
        // A refusal is of what was asked for: something new need not wait. The server's state is
        // of no interest to a new wish.
        not_before_ = step.error->transient() ? now() + wait : SteadyTime{};
        due_in(wait);
        return;
    }
    backoff_.reset();
    not_before_ = {};
    if (!settled) return due_in({});  // changed meanwhile
    write_error_.clear();
    if (published_at_) {
        stats_.last_sync_seconds = std::chrono::duration<double>(now() - *published_at_).count();
        published_at_.reset();
    }
}

Publisher::Publisher(PublisherConfig config) : impl_(std::make_unique<Impl>(std::move(config))) {}
Publisher::~Publisher() = default;

void Publisher::publish(const slices::Pool& pool) {
    impl_->publish(pool);
}

PublisherStats Publisher::stats() const {
    return impl_->stats();
}

}  // namespace mimic::dra
