// SPDX-License-Identifier: Apache-2.0
// ReplayPlayer: replays the events of one function and its VFs. Private to replay.cpp.
//
// An event is either fed (what the guest or the world did) or expected (what the function did).
// When the model does something, it must be the next event of that function that is not done yet:
// so each is compared where it happens, and DMA whose bytes are known is answered at once, as it
// was when it was recorded.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "pci/trace/function_events.h"
#include "replay/replay.h"
#include "replay/replay_slot.h"
#include "topology/model.h"

namespace mimic::replay {

/// Thread-bound.
class ReplayPlayer final : private ReplayHost, private pci::FunctionObserver {
public:
    /// `events` are indices into file.events, of functions of `device` that one root makes, in the
    /// order of the file. All are borrowed.
    ReplayPlayer(const trace::TraceFile& file, std::span<const size_t> events,
                 std::unique_ptr<pci::Function> root, bool on_fabric, ReplayResult& result);
    ~ReplayPlayer();

    /// Until the end, the first difference, or what stops it.
    void run();

    /// Which of `events` stopped it; where the next one may begin that can be started from.
    size_t stopped_at() const { return stopped_at_; }

    /// Whether a function that one root called `root` makes may be started from `event`.
    static bool is_start(const trace::Event& event, const std::string& root);

private:
    // DMA that the model waits for.
    struct Waiting {
        std::string device;
        pci::TraceKind kind;
        uint64_t address;
        uint64_t size;
        memory::DmaSpace::ReadDone read;
        memory::DmaSpace::WriteDone written;
    };

    const trace::Event& event(size_t at) const { return file_.events[events_[at]]; }
    bool over() const { return result_.difference || !result_.stopped.empty(); }
    pci::Function* find(const std::string& name);
    bool start(size_t at);
    bool make_vfs(const std::string& wanted);
    bool is_untraced(const pci::Function& function, const trace::Event& access) const;
    bool has_untraced(const pci::Function& function) const;
    std::vector<uint8_t> dma_bytes(size_t at) const;
    void note_power(const trace::Event& event, bool in_d0);
    void play(size_t at);
    void feed(size_t at);
    void feed_read(size_t at);
    void feed_write(size_t at);
    void complete(size_t at);
    void world(size_t at);
    void await(size_t at);
    bool feed_next_read(size_t at);
    size_t next_of(const std::string& device) const { return next_of(device, cursor_); }
    size_t next_of(const std::string& device, size_t from) const;
    void differ(size_t at, const std::string& now);
    void unexpected(const std::string& device, const std::string& now);
    void stop(size_t at, const std::string& why);
    void note(const std::string& text);
    bool expect(const pci::Function& function, pci::TraceKind kind, uint64_t value,
                const std::string& now);
    bool expect_dma(const pci::Function& function, pci::TraceKind kind, uint64_t address,
                    uint64_t size, size_t& at);
    void attach(pci::Function& function);

    void sent(const pci::Function& function, pci::TraceKind kind, uint64_t value) override;
    void dma_read(const pci::Function& function, uint64_t iova, uint64_t size,
                  memory::DmaSpace::ReadDone done) override;
    void dma_write(const pci::Function& function, uint64_t iova, std::span<const std::byte> data,
                   memory::DmaSpace::WriteDone done) override;
    void on_event(const pci::Function& function, const pci::FunctionEvent& event) override;

    const trace::TraceFile& file_;
    const std::span<const size_t> events_;
    const bool on_fabric_;
    ReplayResult& result_;
    VirtualTime time_;
    std::vector<bool> done_;
    size_t cursor_ = 0;
    bool quiet_ = true;  // while a start is prepared, nothing is compared
    size_t stopped_at_ = 0;
    std::set<std::string> started_;
    std::set<std::string> from_state_;     // of those, whose memory nobody knows
    std::map<std::string, bool> swallow_;  // an event that the replay itself makes
    std::deque<Waiting> waiting_;
    std::map<const pci::Function*, std::unique_ptr<ReplaySlot>> slots_;
    std::unique_ptr<pci::Function> root_;
};

}  // namespace mimic::replay
