// SPDX-License-Identifier: Apache-2.0
// Where the replay of a function begins, and what it cannot know there.
#include <algorithm>
#include <array>
#include <utility>

#include "host/function_state.h"
#include "pci/config/pci_regs.h"
#include "pci/function/sriov.h"
#include "reg/bank.h"
#include "replay/replay_player.h"

namespace mimic::replay {
namespace {

using pci::TraceKind;

// Whether [offset, offset + size) meets [start, start + length).
bool overlaps(uint64_t offset, uint64_t size, uint64_t start, uint64_t length) {
    return offset < start + length && start < offset + size;
}

}  // namespace

pci::Function* ReplayPlayer::find(const std::string& name) {
    if (root_->name() == name) return root_.get();
    pci::Sriov* const sriov = root_->sriov();
    for (uint32_t i = 0; sriov != nullptr && i < sriov->num_vfs(); ++i)
        if (sriov->vf(i)->name() == name) return sriov->vf(i);
    return nullptr;
}

void ReplayPlayer::attach(pci::Function& function) {
    ReplayHost& host = *this;
    auto slot = std::make_unique<ReplaySlot>(host, time_, function, !on_fabric_);
    // A VF of before may have had the same address; its tasks may still hold its slot.
    pci::Slot& upstream = *slot;
    slots_[&function] = std::move(slot);
    function.attach(upstream);
}

bool ReplayPlayer::is_start(const trace::Event& event, const std::string& root) {
    return event.kind == TraceKind::kState ||
           (event.device == root &&
            (event.kind == TraceKind::kAttach || event.kind == TraceKind::kReset));
}

// Enables all VFs of a PF that nobody traced; false: `wanted` is none of them.
bool ReplayPlayer::make_vfs(const std::string& wanted) {
    if (find(wanted) == nullptr && root_->sriov() != nullptr) {
        const uint32_t cap = root_->config().find_extended_capability(pci::regs::EXT_CAP_ID_SRIOV);
        root_->config().set_u16(cap + pci::regs::SRIOV_NUM_VFS,
                                root_->config().u16(cap + pci::regs::SRIOV_TOTAL_VFS));
        constexpr uint32_t kEnable = pci::regs::SRIOV_CONTROL_VF_ENABLE |
                                     pci::regs::SRIOV_CONTROL_VF_MEMORY_SPACE;
        const std::array<uint8_t, 2> control{static_cast<uint8_t>(kEnable), 0};
        root_->config().write(cap + pci::regs::SRIOV_CONTROL, control);
    }
    return find(wanted) != nullptr;
}

// Makes the device of event `at` what it was then, if the event says so.
bool ReplayPlayer::start(size_t at) {
    const trace::Event& first = event(at);
    time_.advance(TimePoint(Duration(first.time_ns)));
    if (!is_start(first, root_->name())) return false;
    const bool is_state = first.kind == TraceKind::kState;
    const bool is_root = first.device == root_->name();
    // Its VFs began before it: what they are now is known, and its state would make new ones.
    if (is_root && is_state && !started_.empty()) return false;
    quiet_ = true;
    if (is_root && root_->slot() != nullptr) {
        // VFs of a PF that is reset or plugged in are gone.
        root_->detach();
        started_.clear();
        from_state_.clear();
        waiting_.clear();
    }
    if (root_->slot() == nullptr) attach(*root_);
    if (!is_root && !make_vfs(first.device)) {
        stop(at, "there is no such VF");
        return false;
    }
    pci::Function* const function = find(first.device);
    if (is_state) {
        if (const Status restored = host::restore_state(*function, first.text); !restored) {
            stop(at, restored.error().message());
            return false;
        }
        from_state_.insert(first.device);
        note_power(first, function->in_d0());
    } else if (first.kind == TraceKind::kReset) {
        if (first.value > static_cast<uint64_t>(pci::ResetKind::kDetach)) {
            stop(at, "there is no such reset");
            return false;
        }
        function->reset(static_cast<pci::ResetKind>(first.value));
        // VFs that it ended are not known here.
        const size_t next = next_of(first.device, at + 1);
        if (next != SIZE_MAX && event(next).kind == TraceKind::kVfs && event(next).value == 0)
            done_[next] = true;
    }
    quiet_ = false;
    started_.insert(first.device);
    return true;
}

// Whether the BAR that `access` reads holds there what no event need have told: memory that a guest
// maps, or that was filled before the state that the function began with, which has registers only.
bool ReplayPlayer::is_untraced(const pci::Function& function, const trace::Event& access) const {
    if (access.is_config()) return false;
    if (!on_fabric_) {
        for (const pci::MappableArea& area : function.bars()[access.bar].areas)
            if (overlaps(access.address, access.size, area.offset, area.size)) return true;
    }
    if (!from_state_.contains(access.device)) return false;
    for (const pci::RegisterBlock& block : function.register_blocks()) {
        if (block.bar == access.bar && overlaps(access.address, access.size, block.offset,
                                                block.registers->map().options.bar_size_bytes))
            return false;
    }
    const uint32_t cap = function.config().find_capability(pci::regs::CAP_ID_MSIX);
    if (cap == 0) return true;
    for (const auto& [place, size] :
         {std::pair{cap + pci::regs::MSIX_TABLE, uint64_t{16} * function.msix_vectors()},
          std::pair{cap + pci::regs::MSIX_PBA,
                    pci::MsixTable::pba_size(function.msix_vectors())}}) {
        const uint32_t where = function.config().u32(place);
        if ((where & pci::regs::MSIX_BIR) == access.bar &&
            overlaps(access.address, access.size, where & pci::regs::MSIX_OFFSET, size))
            return false;
    }
    return true;
}

// Whether what `function` writes by DMA may come from such memory.
bool ReplayPlayer::has_untraced(const pci::Function& function) const {
    if (on_fabric_ && !from_state_.contains(function.name())) return false;
    return std::ranges::any_of(function.bars(),
                               [](const pci::Bar& bar) { return !bar.areas.empty(); });
}

void ReplayPlayer::note_power(const trace::Event& event, bool in_d0) {
    if (in_d0) return;
    note(event.device +
         " was not in D0 for a time: accesses of its BARs in that time are not in a trace (reads "
         "gave ones, writes were dropped)");
}

}  // namespace mimic::replay
