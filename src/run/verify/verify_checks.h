// SPDX-License-Identifier: Apache-2.0
// The checks of verify, one function a layer: PCI, registers through resource0, class device,
// ioctl, state. What each layer must show is what the device's model expects.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "model/function_spec.h"
#include "topology/model.h"
#include "verify/verify.h"

namespace mimic::verify {

/// "12", "0x1f" or, as sysfs prints it, "-1" (all ones). Nothing for any other text. Pure.
std::optional<uint64_t> parse_number(std::string_view text);

/// Counts checks and keeps those that failed. Borrows both for its life.
class Checker {
public:
    Checker(std::vector<Difference>& differences, size_t& checks)
        : differences_(differences), checks_(checks) {}

    /// Counts one check; a difference if the texts differ.
    void equal(const std::string& what, const std::string& expected, const std::string& got);

    /// Same for the fact `key` of a record; "nothing" if the guest does not have it.
    void fact(const ProbeRecord& record, const std::string& layer, const std::string& key,
              const std::string& expected);

    void differs(std::string what, std::string expected, std::string got);

private:
    std::vector<Difference>& differences_;
    size_t& checks_;
};

/// A device of the plan, and what of it depends on where it is.
struct PlannedDevice {
    const topology::Machine& machine;
    const topology::DeviceSpec& device;
    std::string parent;      // name of the device above it in sysfs
    std::string class_name;  // of its PF in the driver's class folder; empty without

    const topology::FunctionSpec& pf() const { return device.functions.front(); }
    int numa_node() const;
    bool has_native_vfs() const { return device.native_sriov && pf().total_vfs > 0; }

    /// Name of one of its functions in the driver's class folder; empty without.
    std::string class_name_of(const topology::FunctionSpec& function) const;
};

/// The fact's text, or "nothing". Pure.
std::string or_nothing(const std::string* text);

/// The record called `name`; if there is none, says so in `check` and returns nullptr. A record
/// without facts gives the guest's own words.
const ProbeRecord* find_record(const std::map<std::string, ProbeRecord>& records,
                               const std::string& name, const std::string& what, Checker& check);

enum class LinkState : uint8_t { kTrained, kDown };

/// Maximum, and where it is trained current, speed and width. `layer` as in "PCI ".
void check_link(const topology::Link& link, LinkState state, const std::string& layer,
                const ProbeRecord& record, Checker& check);

/// "16 GT/s x16": the link that a record of the PCI core's has now, in the plan's words; "Unknown
/// x63" of a device that answers all ones. Empty if it says none. Pure.
std::string link_shown(const ProbeRecord& record);

/// Ids, class, NUMA node and what is above, as a record of the PCI core's shows them.
void check_identity(const PlannedDevice& planned, const topology::FunctionSpec& function,
                    const ProbeRecord& record, Checker& check);

/// check_identity(), and link, BARs and driver of /sys/bus/pci/devices/BDF.
/// `driverless`: nothing is said of the driver.
void check_pci(const PlannedDevice& planned, const topology::FunctionSpec& function,
               const Probe& probe, Checker& check, bool driverless = false);

/// Every register but those that are state, through resource0.
void check_registers(const PlannedDevice& planned, const topology::FunctionSpec& function,
                     const Probe& probe, Checker& check);

/// Attributes and links in the driver's class folder.
void check_class_device(const PlannedDevice& planned, const topology::FunctionSpec& function,
                        const Probe& probe, Checker& check);

/// Every field but those that are state, as the driver's ioctl gives them.
void check_driver_info(const PlannedDevice& planned, const topology::FunctionSpec& function,
                       const Probe& probe, Checker& check);

/// What changes while the device runs: the same through all layers, and in its range.
void check_state(const PlannedDevice& planned, const topology::FunctionSpec& function,
                 const Probe& probe, Checker& check);

}  // namespace mimic::verify
