// SPDX-License-Identifier: Apache-2.0
// SR-IOV capability: its registers, and what they say about routing ids and BARs of VFs. The VFs
// themselves are function/sriov.h. PCIe 6.0, 9.3.3.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <optional>

#include "base/result.h"
#include "pci/config/config_space.h"
#include "pci/function/function_options.h"

namespace mimic::pci {

/// Single Root I/O Virtualization. The VFs come from Function::make_vf().
struct SriovOptions {
    uint16_t total_vfs = 0;                 // 1 .. 0xff00; InitialVFs is the same
    uint16_t vf_device_id = 0;              // not ffff
    std::array<Bar, kBarCount> vf_bars{};   // of one VF; memory only
    uint16_t first_offset = 1;              // routing ids, from the PF's on, in an ARI hierarchy
    uint16_t first_offset_without_ari = 0;  // 0: kSriovNextBus more
    uint16_t stride = 1;
    bool lowest_pf = true;  // of its device: the only one with ARI Capable Hierarchy (9.3.3.3.5);
                            // others keep `first_offset` always
    uint32_t supported_pages = 0;  // Supported Page Sizes; without 4 KiB: all that 9.3.3.12 demands
    uint32_t at = 0;
};

/// Without ARI, a VF's routing id is this much more than with it, unless the options say.
inline constexpr uint32_t kSriovNextBus = 255;

/// First VF Offset outside an ARI hierarchy; more than 16 bits if it cannot be.
inline uint32_t first_offset_without_ari(const SriovOptions& options) {
    return options.first_offset_without_ari != 0 ? options.first_offset_without_ari
                                                 : options.first_offset + kSriovNextBus;
}

/// Thread-bound with its PF. What the guest may do wrong: NumVFs above TotalVFs, or changed while
/// VF Enable is set, and a system page size that is not supported, are ignored (the register keeps
/// its value).
class SriovRegisters {
public:
    /// Where an address lies in the BARs of VFs.
    struct Place {
        uint32_t index = 0;  // of the VF
        unsigned bar = 0;
        uint64_t start = 0;  // bus address of that VF's BAR
    };

    /// Checks `options` and places the capability in `config`, that of `owner`; returns its offset.
    /// Errors: those of place_single_extended(), EINVAL for options that no capability can say.
    static Result<uint32_t> place(ConfigSpace& config, const FunctionOptions& owner,
                                  const SriovOptions& options);

    /// Lays the registers at `cap` into `config` (borrowed). `enable_changed` is called when the
    /// guest has changed VF Enable, with its new value.
    SriovRegisters(ConfigSpace& config, uint32_t cap, const SriovOptions& options,
                   std::function<void(bool)> enable_changed);
    SriovRegisters(const SriovRegisters&) = delete;
    SriovRegisters& operator=(const SriovRegisters&) = delete;

    uint32_t total_vfs() const { return options_.total_vfs; }

    /// The registers NumVFs and VF Enable; and VF MSE with VF Enable: VF BARs answer.
    uint32_t num_vfs() const;
    bool enabled() const;
    bool memory_enabled() const;

    /// Clears VF Enable and VF MSE; nobody is told.
    void clear_enables();

    /// The PF's configuration space was reset: the routing ids again fit ARI Capable Hierarchy.
    void registers_reset() { update_routing_ids(); }

    /// Routing id of VF `index` minus that of the PF; and the index of a VF by it.
    uint32_t routing_id_offset(uint32_t index) const;
    std::optional<uint32_t> index_at(uint32_t offset) const;

    /// Bytes that one VF's share of VF BAR `bar` takes, in a hierarchy of this system page size.
    uint64_t aperture(unsigned bar) const;

    /// Bus address of BAR `bar` of VF `index`, and its size; 0: there is none.
    uint64_t bar_address(uint32_t index, unsigned bar) const;
    uint64_t bar_size(unsigned bar) const { return options_.vf_bars[bar].size; }

    /// The place of `address` in VF BAR `bar`, of which `vfs` VFs have a share; nullopt: none.
    std::optional<Place> decode(unsigned bar, uint64_t address, uint32_t vfs) const;

private:
    void control_written(const ConfigWrite& write);
    void num_vfs_written(const ConfigWrite& write);
    void page_size_written(const ConfigWrite& write);
    void align_bars();
    void update_routing_ids();
    uint64_t bar_base(unsigned bar) const;

    ConfigSpace& config_;
    uint32_t cap_;
    SriovOptions options_;
    std::function<void(bool)> enable_changed_;
};

}  // namespace mimic::pci
