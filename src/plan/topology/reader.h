// SPDX-License-Identifier: Apache-2.0
// Readers: mappings of a topology file -> Machine, Switch and Device values, before placement.
// Shared state of one parse() is in ReadState; nothing outlives the call.
#pragma once

#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "topology/device_keys.h"
#include "topology/fields.h"
#include "topology/model.h"
#include "topology/templates.h"
#include "topology/yaml.h"

namespace mimic::topology {

/// What the readers of one file share. Thread-bound.
struct ReadState {
    Diagnostics& diagnostics;                     // owned by parse()
    Templates& templates;                         // owned by parse()
    model::Models models;                         // of the program
    const DeviceKeys& keys;                       // of those; owned by parse()
    size_t functions = 0;                         // so far, of all machines
    size_t switches = 0;                          // so far, of all machines
    std::map<std::string, Location> identifiers;  // uuids and labels so far

    size_t problem_count() const { return diagnostics.problems().size() + diagnostics.dropped(); }
};

/// Reads a `link:` mapping.
Link read_link(const YamlPtr& node, const Scope& scope, ReadState& state);

/// Reads what `machine` boots: kernel, image, kernel_args, run. Its architecture is known.
void read_boot(const Fields& fields, Machine& machine);

/// `path` as the value of `key`, or nothing and a problem if it can be none.
std::optional<HostPath> read_host_path(const Fields& fields, std::string_view key,
                                       const std::string& path);

/// One path or a list of them under `key`; empty without, or after a problem.
std::vector<HostPath> read_host_paths(const Fields& fields, std::string_view key,
                                      std::string_view expected);

/// Reads `share:`, folders of the host that the guest sees.
void read_shares(const Fields& fields, const Scope& scope, Machine& machine, ReadState& state);

/// Reads time and seed. What it boots, its CPUs and its accel are known.
void read_time(const Fields& fields, Machine& machine);

/// What time: lock-step means for the devices of `machine`, which are all read. Each has a process
/// of its own, for the guest waits for it: one that is slow would hold up the answers of the others
/// beyond what QEMU waits for. Reports those that a guest does not wait for.
void settle_lock_step(const Fields& fields, Machine& machine);

/// `numa_node` of an object of `machine`.
std::optional<unsigned> read_numa_node(const Fields& fields, const Machine& machine);

/// Reads `switches:` of a machine into `machine.switches`, with their parents and NUMA nodes.
void read_switches(const Fields& fields, const Scope& scope, Machine& machine, ReadState& state);

/// Reads where `device` goes: attach, root_port, switch, slot, hotplug, plugged, acs, ari, sriov,
/// and the NUMA node. `machine.switches` is complete. Wants to know whether there are VFs.
void read_attachment(const Fields& fields, const Machine& machine, DeviceSpec& device);

/// Reads the keys of a clone: config, bars, rom, vf_bars, vf_config, functions. `device` is
/// placed, and has its function 0.
void read_clone(const Fields& fields, const Scope& scope, DeviceSpec& device, ReadState& state);

/// Reports keys of `keys` that are there: '<key>' `why`.
void refuse_keys(const Fields& fields, Words keys, std::string_view why);

/// Reports those keys in a device that is no clone.
void refuse_image_keys(const Fields& fields);

/// Reads the keys of an external device. `device` is placed, and has its function 0.
void read_external(const Fields& fields, const Scope& scope, DeviceSpec& device, ReadState& state);

/// Reports those keys in a device that is not external; with `has_ids` but vendor_id and device_id.
void refuse_external_keys(const Fields& fields, bool has_ids);

/// Reads vendor_id and device_id for all functions of a device whose model leaves them to the file.
void read_ids(const Fields& fields, DeviceSpec& device);

/// Reads the settings of `function`'s model, and reports those of other models.
void read_settings(const Fields& fields, const Scope& scope, FunctionSpec& function,
                   ReadState& state);

/// Reports what the model finds wrong with `function`, unless its keys have problems already
/// (`before`: how many problems there were when its device began).
void check_function(const FunctionSpec& function, size_t before, ReadState& state);

/// A list of BARs under `key`; empty without, or after a problem.
std::vector<BarSpec> read_bar_list(const Fields& fields, const Scope& scope, std::string_view key,
                                   ReadState& state);

enum class PortKind : uint8_t { kRoot, kUpstream, kDownstream };

/// The image of a port of this kind under `key`; empty without, or after a problem.
std::vector<uint8_t> read_port_image(const Fields& fields, std::string_view key, PortKind kind);

/// Reads one item of `devices:` (with its count) into `machine.devices`. False: stop, there are too
/// many functions. `scope` has the machine's name and index.
bool read_device_item(const YamlPtr& item, const Scope& scope, Machine& machine, ReadState& state);

/// Reads one machine mapping (with its count) and appends to `model.machines`. False: stop, there
/// are too many.
bool read_machine_item(const YamlPtr& item, Model& model, ReadState& state);

}  // namespace mimic::topology
