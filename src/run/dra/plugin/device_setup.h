// SPDX-License-Identifier: Apache-2.0
// DeviceSetup: what preparing a claim does to the node, and how it is undone: VFs, the device's
// status, metadata files, CDI specs. Everything here may be repeated, so that what was cut off half
// way can be done or undone again.
#pragma once

#include <chrono>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "base/result.h"
#include "dra/plugin/metadata.h"
#include "dra/plugin/record.h"
#include "dra/plugin/sources.h"
#include "dra/plugin/steps.h"

namespace mimic::dra {

struct SetupOptions {
    const slices::DraFacts* facts = nullptr;  // a constant of the program
    std::string pool;                         // of this node
    std::string data_dir;                     // for metadata files; the same path on the host
    std::string cdi_dir;
    bool vfs_on_demand = false;
    std::chrono::milliseconds vf_timeout = std::chrono::seconds(10);  // for VFs to appear
    StepHook hook{};
};

/// One call at a time. `devices` is borrowed and outlives it.
class DeviceSetup {
public:
    DeviceSetup(SetupOptions options, DeviceSource& devices);

    /// That the claim's devices can be prepared now. Notes in `state` the PFs whose VFs apply()
    /// will make, before it does. Errors: no_such_device for one that is gone or does not answer,
    /// not_supported for a VF that does not exist and may not be made.
    Status plan(const PreparedClaim& claim, PluginState& state);

    /// Does all of it, again if need be. After an error some of it is done: undo().
    Status apply(const PreparedClaim& claim, const PluginState& state);

    /// The reverse; `state` still has the claim, and loses PFs whose VFs are removed. A device that
    /// is gone is no error; files that cannot be removed are, and the rest is done nevertheless.
    Status undo(const PreparedClaim& claim, PluginState& state);

    /// Whether the files that the container runtime reads are there.
    bool is_applied(const PreparedClaim& claim) const;

    /// Removes VFs that we made and no claim has.
    void remove_unused_vfs(PluginState& state);

    /// Uids that CDI specs of ours are for.
    std::set<std::string> uids_of_files() const;

    /// Removes the files of a claim, whatever it was. Errors: those of unlink(2).
    Status remove_files(const std::string& uid);

    /// Ids of a prepared device for the kubelet; the device's own first.
    std::vector<std::string> cdi_ids(const PreparedClaim& claim, size_t index) const;

    const SetupOptions& options() const { return options_; }

private:
    void at(Step step) const;
    Status check_usable(const KnownDevice& device) const;
    Status make_vfs(const PreparedClaim& claim, const PluginState& state);
    Status make_vfs_of(const KnownDevice& pf);
    Result<InventoryPtr> wait_for(const PreparedClaim& claim);
    Status set_allocated(const KnownDevice& device, bool allocated) const;
    Status write_metadata(const PreparedClaim& claim, const Inventory& inventory);
    Status write_cdi(const PreparedClaim& claim, const Inventory& inventory);
    const PublishedAttributes& attributes(const Inventory& inventory);
    std::string metadata_dir(const std::string& uid) const;
    std::string cdi_file(const std::string& kind, const std::string& uid) const;

    const SetupOptions options_;
    DeviceSource& devices_;
    const std::string kind_, metadata_kind_;
    PublishedAttributes attributes_;  // of the inventory of attributes_version_
    uint64_t attributes_version_ = UINT64_MAX;
    std::set<std::string> without_node_;  // devices of which the log has said so
};

/// Kubernetes' name of the PF of a VF ("gpu0" of "gpu0-vf1"), or "" for what is none.
std::string pf_of(const std::string& device);

}  // namespace mimic::dra
