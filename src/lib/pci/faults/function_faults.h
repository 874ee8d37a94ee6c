// SPDX-License-Identifier: Apache-2.0
// FunctionFaults: the armed and active faults of one function. Pure logic: Function's entry points
// ask it before they serve an access, a message or DMA, and it calls back for what only a function,
// a slot or a process can do.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/task_runner.h"
#include "base/thread_bound.h"
#include "base/weak_ptr.h"
#include "memory/dma_space.h"
#include "pci/faults/fault.h"

namespace mimic::pci {

enum class FaultState : uint8_t {
    kArmed,    // waits for its trigger
    kActive,   // strikes whenever it can
    kDone,     // has struck as often as it should
    kCleared,  // ended by clear()
};

/// "armed", "active", "done" or "cleared".
std::string_view fault_state_name(FaultState state);

/// What became of a fault. A value.
struct FaultReport {
    uint64_t id = 0;  // counts up from 1 in the order of arming
    Fault fault;
    FaultState state = FaultState::kArmed;
    uint64_t strikes = 0;
    uint64_t accesses_left = 0;  // before a fault with after_accesses strikes
    std::string note;            // why a strike had no effect; empty: all had
};

/// A fault that a function does not take. A value.
struct FaultRefusal {
    std::string_view fault;  // of fault_names()
    std::string reason;      // for people
    bool for_now = false;    // it may take it later, so also now with a trigger
};

/// Thread-bound to the loop of the function. Callbacks are called on it, only from arm() and from
/// tasks of the runner, never from inside read(), write(), message() or dma().
class FunctionFaults final {
public:
    /// Accesses of config space count as those of this space; 0..5 are the BARs.
    static constexpr unsigned kConfigSpace = 7;

    /// What the function's messages are now.
    struct Messages {
        bool msix = false;     // else MSI
        uint32_t vectors = 0;  // 0: the guest has enabled none
    };

    /// What only others can do. An empty one: arm() refuses the faults that need it.
    struct Hooks {
        /// Sends the message now if the guest's enable bits permit. message() lets it pass.
        std::function<void(bool msix, uint32_t vector)> send_message;
        /// For irq-spurious: what there is to choose from.
        std::function<Messages()> messages;
        /// Reports an error through the function's AER capability. Returns why the guest is not
        /// told of it; empty: it is.
        std::function<std::string(const FaultError& error)> report_error;
        /// Why the fault could never strike the function, or could not now, as it is configured,
        /// connected and plugged; empty: it could. Neither hook: nothing speaks against a fault.
        std::function<std::string(const Fault& fault)> never;
        std::function<std::string(const Fault& fault)> not_now;
        /// Whether a write of this BAR at this offset is a doorbell.
        std::function<bool(unsigned bar, uint64_t offset)> is_doorbell;
        /// Guest memory as it is now, without faults; nullptr while there is none. For DMA that
        /// dma-slow holds up.
        std::function<memory::DmaSpace*()> dma;
        /// kSlotRemove, kSlotAdd, kLinkDown, kLinkUp of the slot that holds the function. May
        /// destroy the FunctionFaults.
        std::function<Status(FaultKind kind)> slot;
        /// What slot() would say, without doing it.
        std::function<Status(FaultKind kind)> try_slot;
        /// Why there is no slot(), where something better than that is known.
        std::string no_slot;
        /// The device has something behind it, a simulator, which is dead by sim-dead now, or lives
        /// again: backend_dead().
        std::function<void()> backend_changed;
        /// host-hang: keeps the loop from running for so long. host-crash: ends the process.
        std::function<void(Duration time)> hang;
        std::function<void()> crash;
        /// A fault was "armed", became "active", "struck" for the first time, is "done" or was
        /// "cleared". The only one that is called from anywhere, and it must not call back.
        std::function<void(const FaultReport& report, std::string_view state)> changed;
    };

    /// Faults that are armed or active at once.
    static constexpr size_t kMaxStanding = 64;  // arbitrary

    /// `runner` is borrowed and outlives this.
    FunctionFaults(Hooks hooks, TaskRunner& runner);
    ~FunctionFaults();
    FunctionFaults(const FunctionFaults&) = delete;
    FunctionFaults& operator=(const FunctionFaults&) = delete;

    /// Arms a fault of parse_fault(). Without a trigger it strikes, or becomes active, before this
    /// returns; only the two of the host strike kHostDelay later, so that who asked gets an answer.
    /// Errors: not_supported for what has no hook or could never strike; not_connected for what
    /// could not now and has no trigger; those of Hooks::slot; resource_unavailable_try_again over
    /// kMaxStanding; invalid_argument for two triggers.
    Status arm(const Fault& fault);
    static constexpr Duration kHostDelay = std::chrono::milliseconds(50);  // arbitrary

    /// The faults of fault_names() that arm() would refuse now, with default options and no
    /// trigger.
    std::vector<FaultRefusal> refusals() const;

    /// Ends all faults, also those that wait for their trigger. Messages and DMA that they hold up
    /// still happen at their time.
    void clear();

    /// Ends one of them, as clear() ends all. False: none that stands has this id.
    bool clear(uint64_t id);

    /// Those that stand, by id, then the last few that ended, in the order of their ends.
    std::vector<FaultReport> report() const;

    // --- Asked by the function ---------------------------------------------------------------

    /// Counts an access. True: `data` is filled (with ones) and the function must not serve it.
    bool read(unsigned space, uint64_t offset, std::span<uint8_t> data);

    /// Same; true: the write is swallowed.
    bool write(unsigned space, uint64_t offset, std::span<const uint8_t> data);

    /// True: the message must not be sent now. Called once the function's own masks let it pass.
    bool message(bool msix, uint32_t vector);

    /// `real`, or while DMA faults are active a space that applies them to `real`; nullptr for
    /// nullptr. Ask again in each turn of the loop.
    memory::DmaSpace* dma(memory::DmaSpace* real);

    /// What becomes of the next answer of what is behind the device. Counts a strike, if it does.
    struct AnswerStrike {
        std::optional<FaultKind> kind;  // one of the four of answers
        Duration delay{};
        uint64_t random = 0;
    };
    AnswerStrike backend_answer();

    /// Whether what is behind the device is dead. Asked for each request: a strike, if it is.
    bool backend_dead();
    bool is_backend_dead() const { return has_active(FaultKind::kBackendDead); }

    /// True while a message is sent that a fault held up or made: it passes message().
    bool sending() const { return sending_; }

    /// Accesses counted so far.
    uint64_t accesses() const { return accesses_; }

    /// Strikes of all faults so far, and those that stand now.
    uint64_t strikes() const { return strikes_; }
    size_t standing(FaultState state) const;

private:
    class FaultyDma;
    struct Standing;
    // What the active DMA faults do to one operation.
    struct DmaStrike {
        Duration delay{};
        bool fails = false;
        bool corrupts = false;
        uint64_t seed = 0;
    };

    Status check(const Fault& fault) const;
    std::string why_never(const Fault& fault) const;
    void count_access();
    Standing* find(uint64_t id);
    Status fire(uint64_t id);
    void fire_later(uint64_t id, Duration delay);
    void strike_spurious(uint64_t id);
    void kill_backend(uint64_t id, Duration delay);
    bool strike(Standing& standing);
    void note_strike(Standing& standing);
    void changed(const FaultReport& report, std::string_view state) const {
        if (hooks_.changed) hooks_.changed(report, state);
    }
    void activate(Standing& standing);
    void set_note(uint64_t id, std::string note);
    void end(uint64_t id, FaultState state);
    void send(bool msix, uint32_t vector);
    bool has_active(FaultKind kind) const;
    DmaStrike strike_dma();

    Hooks hooks_;
    TaskRunner& runner_;
    std::vector<std::unique_ptr<Standing>> standing_;  // by id
    std::deque<FaultReport> ended_;
    std::unique_ptr<FaultyDma> faulty_dma_;
    uint64_t accesses_ = 0;
    uint64_t strikes_ = 0;
    uint64_t last_id_ = 0;
    bool sending_ = false;  // a message of our own passes message()
    ThreadBound thread_;
    WeakOwner<FunctionFaults> weak_{this};  // for tasks that outlive this
};

}  // namespace mimic::pci
