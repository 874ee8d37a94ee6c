// SPDX-License-Identifier: Apache-2.0
#include "dra/discovery/discovery.h"

#include <sys/inotify.h>

#include <algorithm>
#include <array>

#include "base/log.h"

namespace mimic::dra {
namespace {

constexpr auto kLongestWait = std::chrono::seconds(10);

}  // namespace

Discovery::Discovery(EventLoop& loop, const slices::DraFacts& facts, const Options& options,
                     InventoryStore& store)
    : loop_(loop), facts_(facts), options_(options), store_(store), judge_(facts, options.health) {}

Discovery::~Discovery() {
    *self_ = nullptr;
    if (inotify_) loop_.unwatch(inotify_.get());
}

Result<std::unique_ptr<Discovery>> Discovery::create(EventLoop& loop, const slices::DraFacts& facts,
                                                     const Options& options,
                                                     InventoryStore& store) {
    std::unique_ptr<Discovery> out(new Discovery(loop, facts, options, store));
    Discovery* const self = out.get();
    // Before the first scan: what happens meanwhile is told.
    auto events = KobjectEvents::create(loop, [self](const KobjectEvent* event) {
        const bool ours = event == nullptr || event->subsystem == "pci" ||
                          event->subsystem == self->facts_.sysfs_class;
        if (ours) self->scan_soon();
    });
    if (events) {
        out->events_ = std::move(*events);
    } else {
        MIMIC_LOG("dra", kWarn, "No events of devices ({}); looking every {} s",
                  events.error().message(),
                  std::chrono::duration_cast<std::chrono::seconds>(options.rescan_period).count());
    }
    out->inotify_.reset(::inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
    if (!out->inotify_) return fail_errno("inotify_init1");
    MIMIC_TRY(loop.watch(out->inotify_.get(), EPOLLIN, *out));
    MIMIC_TRY(out->scan_now());
    out->start_rescan_timer();
    out->start_refresh_timer();
    return out;
}

void Discovery::watch_class_folder() {
    if (watched_ >= 0 && watches_class_) return;
    const std::string above = options_.root + "/sys/class";
    const std::string folder = fmt::format("{}/{}", above, facts_.sysfs_class);
    constexpr uint32_t kEvents = IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO |
                                 IN_DELETE_SELF | IN_ONLYDIR | IN_DONT_FOLLOW;
    const int of_class = ::inotify_add_watch(inotify_.get(), folder.c_str(), kEvents);
    if (of_class >= 0) {
        if (watched_ >= 0 && watched_ != of_class) ::inotify_rm_watch(inotify_.get(), watched_);
        watched_ = of_class;
        watches_class_ = true;
    } else if (watched_ < 0) {
        watched_ = ::inotify_add_watch(inotify_.get(), above.c_str(), kEvents);
    }
}

void Discovery::on_fd_ready(uint32_t /*events*/) {
    alignas(inotify_event) std::array<char, 16384> buffer{};
    while (true) {
        const ssize_t size = ::read(inotify_.get(), buffer.data(), buffer.size());
        if (size <= 0) break;
        for (size_t at = 0; at + sizeof(inotify_event) <= static_cast<size_t>(size);) {
            const auto* const event = reinterpret_cast<const inotify_event*>(buffer.data() + at);
            // The folder that was watched has gone.
            if ((event->mask & IN_IGNORED) != 0 && event->wd == watched_) {
                watched_ = -1;
                watches_class_ = false;
            }
            at += sizeof(inotify_event) + event->len;
        }
    }
    scan_soon();
}

void Discovery::scan_soon() {
    if (debounce_.is_pending()) return;
    debounce_.start(loop_, options_.debounce,
                    [this] { [[maybe_unused]] const Status logged = scan_now(); });
}

Status Discovery::scan_now() {
    watch_class_folder();
    auto found = scan(options_.root, facts_, options_.vfs_on_demand);
    Status status;
    if (found) {
        for (const std::string& problem : found->problems) {
            if (std::find(problems_.begin(), problems_.end(), problem) == problems_.end())
                MIMIC_LOG("dra", kWarn, "{}", problem);
        }
        problems_ = std::move(found->problems);
        sightings_ = std::move(found->devices);
        last_error_.clear();
        publish();
    } else {
        // What was there stays: a folder that cannot be read is no reason to evict anybody.
        if (last_error_ != found.error().message())
            MIMIC_LOG("dra", kError, "Devices cannot be listed: {}", found.error().message());
        last_error_ = found.error().message();
        status = tl::unexpected<Error>(std::move(found).error());
    }
    const std::lock_guard lock(mutex_);
    ++scans_;
    return status;
}

void Discovery::publish() {
    store_.set(judge_.judge(sightings_, loop_.now()));
}

void Discovery::start_rescan_timer() {
    rescan_timer_.start(loop_, options_.rescan_period, [this] {
        [[maybe_unused]] const Status logged = scan_now();
        start_rescan_timer();
    });
}

void Discovery::start_refresh_timer() {
    refresh_timer_.start(loop_, options_.refresh_period, [this] {
        refresh(options_.root, facts_, &sightings_);
        publish();
        start_refresh_timer();
    });
}

uint64_t Discovery::scans() const {
    const std::lock_guard lock(mutex_);
    return scans_;
}

void Discovery::answer(const std::shared_ptr<bool>& done) {
    [[maybe_unused]] const Status logged = scan_now();
    const std::lock_guard lock(mutex_);
    *done = true;
    scanned_.notify_all();
}

InventoryPtr Discovery::rescan() {
    if (loop_.is_current()) {
        [[maybe_unused]] const Status logged = scan_now();
        return store_.snapshot();
    }
    // Its own flag: a scan that is under way may have passed what the caller waits for.
    const auto done = std::make_shared<bool>(false);
    loop_.post([self = self_, done] {
        if (*self != nullptr) (*self)->answer(done);
    });
    std::unique_lock lock(mutex_);
    scanned_.wait_for(lock, kLongestWait, [&done] { return *done; });
    return store_.snapshot();
}

}  // namespace mimic::dra
