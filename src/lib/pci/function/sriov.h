// SPDX-License-Identifier: Apache-2.0
// Sriov: the VFs of a PF, which come and go with VF Enable. It alone makes them, plugs them in and
// buries them. PCIe 6.0, chapter 9; the registers are capabilities/sriov_registers.h.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "base/timer.h"
#include "pci/capabilities/sriov_registers.h"
#include "pci/function/slot.h"

namespace mimic::pci {

class Function;

/// Thread-bound with its PF. Made by CapabilityBuilder::add_sriov(). VF Enable with NumVFs 0
/// enables none.
class Sriov {
public:
    /// A VF's BAR that answers at an address.
    struct Hit {
        Function* vf = nullptr;
        unsigned bar = 0;
        uint64_t start = 0;  // bus address of the BAR
        uint64_t size = 0;   // bytes
    };

    /// The model's part: ModelHooks::make_vf() and on_vfs_changed().
    struct Hooks {
        std::function<std::unique_ptr<Function>(uint32_t index)> make_vf;
        std::function<void(uint32_t enabled)> vfs_changed;
    };

    /// `pf` owns it; `cap`: offset of the capability.
    Sriov(Function& pf, uint32_t cap, const SriovOptions& options, Hooks hooks);
    Sriov(const Sriov&) = delete;
    Sriov& operator=(const Sriov&) = delete;
    ~Sriov();

    uint32_t total_vfs() const { return registers_.total_vfs(); }

    /// VFs that exist: NumVFs while VF Enable is set, else 0. They come in a later turn of the loop
    /// if a guest has toggled VF Enable so often in this one that too many wait to be freed.
    uint32_t num_vfs() const { return static_cast<uint32_t>(vfs_.size()); }

    /// VF `index`, or nullptr.
    Function* vf(uint32_t index) {
        return index < vfs_.size() ? vfs_[index].function.get() : nullptr;
    }

    /// Routing id of VF `index` minus that of the PF.
    uint32_t routing_id_offset(uint32_t index) const { return registers_.routing_id_offset(index); }

    /// The VF whose routing id is the PF's plus `offset`, or nullptr.
    Function* vf_at(uint32_t offset);

    /// VF MSE: VF BARs answer.
    bool memory_enabled() const { return registers_.memory_enabled(); }

    /// The VF BAR that holds bus address `address`, if memory is enabled.
    std::optional<Hit> decode(uint64_t address);

    /// Bus address of BAR `bar` of `vf`; 0 if it is none of ours.
    uint64_t vf_bar_address(const Function& vf, unsigned bar) const;

    /// BAR `bar` of one VF, in an SR-IOV hierarchy of this system page size.
    uint64_t aperture(unsigned bar) const { return registers_.aperture(bar); }

    /// The PF's configuration space was reset: the routing ids again fit ARI Capable Hierarchy.
    void registers_reset() { registers_.registers_reset(); }

    /// Clears VF Enable, as a reset of the PF does: the VFs are gone when it returns.
    void disable();

private:
    // What belongs to one VF. Members go in reverse order: the slot is not needed after detach().
    struct Vf {
        std::unique_ptr<Function> function;
        std::unique_ptr<Slot> slot;  // null: not plugged in
    };
    class Dying;

    void enable();
    bool must_wait(uint32_t wanted);
    void bury();

    Function& pf_;
    Hooks hooks_;
    SriovRegisters registers_;
    std::vector<Vf> vfs_;
    // VFs that are gone and not yet freed: see bury().
    std::shared_ptr<size_t> dying_ = std::make_shared<size_t>(0);
    Timer enable_later_;  // must_wait()
};

}  // namespace mimic::pci
