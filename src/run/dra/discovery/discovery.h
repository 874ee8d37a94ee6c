// SPDX-License-Identifier: Apache-2.0
// Discovery: keeps an InventoryStore true. Events of the kernel and of the class folder ask for a
// scan, a timer for one in any case, and a faster one reads what changes without an event: status
// and error counters.
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/event_loop.h"
#include "base/timer.h"
#include "dra/discovery/health.h"
#include "dra/discovery/inventory_store.h"
#include "dra/discovery/kobject_events.h"

namespace mimic::dra {

/// Thread-bound to its loop, but for what says otherwise.
class Discovery final : private FdHandler {
public:
    struct Options {
        std::string root{};  // before /sys and /dev; empty: the machine's own
        bool vfs_on_demand = false;
        Duration rescan_period = std::chrono::seconds(10);
        Duration refresh_period = std::chrono::milliseconds(500);
        /// How long events are gathered: a driver that is loaded makes many.
        Duration debounce = std::chrono::milliseconds(50);
        HealthJudge::Options health{};
    };

    /// Scans once, so that `store` is right when this returns. `facts` is a constant of the
    /// program; `loop` and `store` outlive this. Errors: those of scan(), inotify_init1(2),
    /// epoll_ctl(2). Where the kernel's events cannot be had, the timers do.
    static Result<std::unique_ptr<Discovery>> create(EventLoop& loop, const slices::DraFacts& facts,
                                                     const Options& options, InventoryStore& store);
    ~Discovery();

    /// Looks again and returns what is there now. Thread-safe: another thread blocks for the loop,
    /// at most ten seconds, and then gets what was known before. Not for listeners of the store;
    /// who calls it has returned before this is destroyed.
    InventoryPtr rescan();

    /// Scans so far. Thread-safe.
    uint64_t scans() const;

private:
    Discovery(EventLoop& loop, const slices::DraFacts& facts, const Options& options,
              InventoryStore& store);
    void on_fd_ready(uint32_t events) override;  // inotify
    void watch_class_folder();
    void scan_soon();
    void answer(const std::shared_ptr<bool>& done);
    Status scan_now();
    void publish();
    void start_rescan_timer();
    void start_refresh_timer();

    EventLoop& loop_;
    const slices::DraFacts& facts_;
    const Options options_;
    InventoryStore& store_;
    HealthJudge judge_;
    std::vector<Sighting> sightings_;
    std::vector<std::string> problems_;  // of the last scan, so that each is logged once
    std::string last_error_;
    UniqueFd inotify_;
    int watched_ = -1;            // inotify's number of what is watched
    bool watches_class_ = false;  // the class folder itself, not the one above
    std::unique_ptr<KobjectEvents> events_;
    Timer debounce_;
    Timer rescan_timer_;
    Timer refresh_timer_;
    // Calls of rescan() that wait in the loop find this, or that it has gone.
    std::shared_ptr<Discovery*> self_ = std::make_shared<Discovery*>(this);

    mutable std::mutex mutex_;  // guards scans_, and the flags of waiting callers
    std::condition_variable scanned_;
    uint64_t scans_ = 0;
};

}  // namespace mimic::dra
