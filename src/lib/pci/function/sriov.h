// SPDX-License-Identifier: Apache-2.0
// Sriov: what stands behind the SR-IOV capability of a PF: VFs that come and go with VF Enable,
// their routing ids, and the BARs that they share. PCIe 6.0, chapter 9.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "base/timer.h"
#include "pci/function/capabilities.h"
#include "pci/function/function.h"

namespace mimic::pci {

/// Without ARI, a VF's routing id is this much more than with it, unless the options say.
inline constexpr uint32_t kSriovNextBus = 255;

/// First VF Offset outside an ARI hierarchy; more than 16 bits if it cannot be.
inline uint32_t first_offset_without_ari(const SriovOptions& options) {
    return options.first_offset_without_ari != 0 ? options.first_offset_without_ari
                                                 : options.first_offset + kSriovNextBus;
}

/// Thread-bound with its PF. Made by CapabilityBuilder::add_sriov().
///
/// What the guest may do wrong: NumVFs above TotalVFs, or changed while VF Enable is set, and a
/// system page size that is not supported, are ignored (the register keeps its value). VF Enable
/// with NumVFs 0 enables none.
class Sriov {
public:
    /// A VF's BAR that answers at an address.
    struct Hit {
        Function* vf = nullptr;
        unsigned bar = 0;
        uint64_t start = 0;  // bus address of the BAR
        uint64_t size = 0;   // bytes
    };

    /// `pf` owns it; `cap`: offset of the capability.
    Sriov(Function& pf, uint32_t cap, const SriovOptions& options);
    Sriov(const Sriov&) = delete;
    Sriov& operator=(const Sriov&) = delete;
    ~Sriov();

    uint32_t total_vfs() const { return options_.total_vfs; }

    /// VFs that exist: NumVFs while VF Enable is set, else 0. They come in a later turn of the loop
    /// if a guest has toggled VF Enable so often in this one that too many wait to be freed.
    uint32_t num_vfs() const { return static_cast<uint32_t>(vfs_.size()); }

    /// VF `index`, or nullptr.
    Function* vf(uint32_t index) { return index < vfs_.size() ? vfs_[index].get() : nullptr; }

    /// Routing id of VF `index` minus that of the PF.
    uint32_t routing_id_offset(uint32_t index) const;

    /// The VF whose routing id is the PF's plus `offset`, or nullptr.
    Function* vf_at(uint32_t offset);

    /// VF MSE: VF BARs answer.
    bool memory_enabled() const;

    /// The VF BAR that holds bus address `address`, if memory is enabled.
    std::optional<Hit> decode(uint64_t address);

    /// Bus address of BAR `bar` of `vf`, which is one of ours.
    uint64_t vf_bar_address(const Function& vf, unsigned bar) const;

    /// BAR `bar` of one VF, in an SR-IOV hierarchy of this system page size.
    uint64_t aperture(unsigned bar) const;

    /// The PF's configuration space was reset: the routing ids again fit ARI Capable Hierarchy.
    void registers_reset();

    /// Clears VF Enable, as a reset of the PF does: the VFs are gone when it returns.
    void disable();

private:
    void control_written(const ConfigWrite& write);
    void num_vfs_written(const ConfigWrite& write);
    void page_size_written(const ConfigWrite& write);
    void align_bars();
    void update_routing_ids();
    void enable();
    bool must_wait(uint32_t wanted);
    void destroy_vfs();
    uint64_t bar_base(unsigned bar) const;
    bool enabled() const;

    Function& pf_;
    uint32_t cap_;
    SriovOptions options_;
    std::vector<std::unique_ptr<Function>> vfs_;
    // VFs that are gone and not yet freed: see destroy_vfs().
    std::shared_ptr<size_t> dying_ = std::make_shared<size_t>(0);
    Timer enable_later_;  // must_wait()
};

}  // namespace mimic::pci
