// SPDX-License-Identifier: Apache-2.0
#include "pci/function/sriov.h"

#include <utility>

#include "base/check.h"
#include "pci/function/function.h"

namespace mimic::pci {

// VFs that are gone, counted until they are freed.
class Sriov::Dying {
public:
    Dying(std::vector<Vf> vfs, std::shared_ptr<size_t> count)
        : vfs_(std::move(vfs)), count_(std::move(count)) {}
    ~Dying() { *count_ -= vfs_.size(); }
    Dying(const Dying&) = delete;
    Dying& operator=(const Dying&) = delete;

private:
    std::vector<Vf> vfs_;
    std::shared_ptr<size_t> count_;
};

Sriov::Sriov(Function& pf, uint32_t cap, const SriovOptions& options, Hooks hooks)
    : pf_(pf),
      hooks_(std::move(hooks)),
      registers_(pf.config(), cap, options, [this](bool on) { on ? enable() : bury(); }) {}

Sriov::~Sriov() = default;

// --- VFs -------------------------------------------------------------------------------------

void Sriov::enable() {
    const uint32_t wanted = registers_.num_vfs();
    if (must_wait(wanted)) return;
    for (uint32_t i = 0; i < wanted; ++i) {
        std::unique_ptr<Function> vf = hooks_.make_vf(i);
        if (!vf) break;
        MIMIC_CHECK(vf->options().virtual_function);
        vf->become_vf(&pf_);
        vf->set_observer(pf_.observer());
        vf->set_tracer(pf_.tracer());
        vfs_.push_back({std::move(vf), nullptr});
    }
    pf_.notify({.kind = FunctionEventKind::kVfs, .value = num_vfs()});
    if (Slot* const slot = pf_.slot()) {
        for (uint32_t i = 0; i < num_vfs(); ++i) {
            vfs_[i].slot = slot->make_vf_slot(*vfs_[i].function, routing_id_offset(i));
            if (vfs_[i].slot) vfs_[i].function->attach(*vfs_[i].slot);
        }
        slot->routing_changed();
    }
    hooks_.vfs_changed(num_vfs());
}

// A guest can toggle VF Enable a thousand times in a turn of the loop, in which nothing is freed,
// and VFs have descriptors and mappings of their own: there are never more than twice TotalVFs.
// Software expects to wait after it has set VF Enable (9.3.3.3.1), for much longer than a turn.
bool Sriov::must_wait(uint32_t wanted) {
    if (pf_.slot() == nullptr || *dying_ + wanted <= 2 * size_t{total_vfs()}) return false;
    if (enable_later_.is_pending()) return true;
    // Behind the task that frees them.
    enable_later_.post(pf_.slot()->runner(), [this] {
        if (registers_.enabled() && vfs_.empty()) enable();
    });
    return true;
}

void Sriov::bury() {
    if (vfs_.empty()) return;
    pf_.notify({.kind = FunctionEventKind::kVfs, .value = 0});
    hooks_.vfs_changed(0);
    Slot* const slot = pf_.slot();
    if (slot != nullptr) slot->routing_changed();
    for (const Vf& vf : vfs_) {
        vf.function->detach();
        vf.function->become_vf(nullptr);
    }
    // One of them may be further up the stack: its DMA can reach the PF.
    if (slot != nullptr) {
        *dying_ += vfs_.size();
        auto dead = std::make_shared<Dying>(std::move(vfs_), dying_);
        slot->runner().post([dead]() mutable { dead.reset(); });
    }
    vfs_.clear();
}

void Sriov::disable() {
    registers_.clear_enables();
    enable_later_.cancel();
    bury();
}

// --- Routing ids and addresses ---------------------------------------------------------------

Function* Sriov::vf_at(uint32_t offset) {
    const auto index = registers_.index_at(offset);
    return index ? vf(*index) : nullptr;
}

uint64_t Sriov::vf_bar_address(const Function& vf, unsigned bar) const {
    for (size_t i = 0; i < vfs_.size(); ++i) {
        if (vfs_[i].function.get() == &vf) {
            return registers_.bar_address(static_cast<uint32_t>(i), bar);
        }
    }
    return 0;
}

std::optional<Sriov::Hit> Sriov::decode(uint64_t address) {
    if (!memory_enabled() || vfs_.empty()) return std::nullopt;
    for (unsigned bar = 0; bar < kBarCount; ++bar) {
        const auto place = registers_.decode(bar, address, num_vfs());
        if (!place) continue;
        Function* const vf = vfs_[place->index].function.get();
        if (!vf->bar_accessible(bar)) continue;
        return Hit{vf, bar, place->start, registers_.bar_size(bar)};
    }
    return std::nullopt;
}

}  // namespace mimic::pci
