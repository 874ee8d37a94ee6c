// SPDX-License-Identifier: Apache-2.0
// FunctionEvent: what seldom happens to a function and people want to hear of, and
// FunctionObserver, who hears it. What often happens (accesses, DMA, interrupts) is counted
// (function_counters.h) and traced (tracer.h) instead.
#pragma once

#include <cstdint>
#include <string_view>

namespace mimic::pci {

class Function;

enum class FunctionEventKind : uint8_t {
    kAttach,  // plugged into a slot
    kDetach,  // pulled out of it
    kReset,   // value: ResetKind
    kPower,   // value: the power state that the guest chose, 0 to 3
    kError,   // value: the bit of the AER status register; correctable, fatal
    kVfs,     // of a PF; value: VFs enabled now
    kSlot,    // of a port: what is in its slot or on its link has changed; present, link_up
    kFault,   // value: the fault's id; text: its name; state
};

/// One event. A value, but `text` and `state` are borrowed for the call.
struct FunctionEvent {
    FunctionEventKind kind = FunctionEventKind::kAttach;
    uint64_t value = 0;
    bool correctable = false;
    bool fatal = false;
    bool present = false;
    bool link_up = false;
    std::string_view text{};
    std::string_view state{};  // "armed", "struck" (for the first time), "active", "done",
                               // "cleared"
};

/// Hears the events of the functions that it was given to. Called on the loop of the function, from
/// inside whatever happens: it must not call back into the function, but for const members.
class FunctionObserver {
public:
    virtual void on_event(const Function& function, const FunctionEvent& event) = 0;

protected:
    ~FunctionObserver() = default;
};

}  // namespace mimic::pci
