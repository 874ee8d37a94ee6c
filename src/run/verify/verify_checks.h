// SPDX-License-Identifier: Apache-2.0
// The checks of verify, one function a layer: PCI, registers through resource0, class device,
// ioctl, state.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "verify/verify.h"

namespace mimic::verify {

/// "12", "0x1f" or, as sysfs prints it, "-1" (all ones). Nothing for any other text. Pure.
std::optional<uint64_t> parse_number(std::string_view text);

/// The string `key` of a plan, which is ours: one that lacks it is a bug, and throws.
inline std::string text_of(const nlohmann::json& object, const char* key) {
    return object.at(key).get<std::string>();
}

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

/// The fact's text, or "nothing". Pure.
std::string or_nothing(const std::string* text);

/// The record called `name`; if there is none, says so in `check` and returns nullptr. A record
/// without facts gives the guest's own words.
const ProbeRecord* find_record(const std::map<std::string, ProbeRecord>& records,
                               const std::string& name, const std::string& what, Checker& check);

enum class LinkState : uint8_t { kTrained, kDown };

/// Maximum, and where it is trained current, speed and width. `layer` as in "PCI ".
void check_link(const nlohmann::json& link, LinkState state, const std::string& layer,
                const ProbeRecord& record, Checker& check);

/// Ids, class, NUMA node, port above, link, BARs and driver of /sys/bus/pci/devices/BDF.
void check_pci(const nlohmann::json& device, const nlohmann::json& function, const Probe& probe,
               Checker& check);

/// Every register but those that are state, through resource0.
void check_registers(const nlohmann::json& function, const Probe& probe, Checker& check);

/// Attributes and links of /sys/class/mock-accel/NAME; `pf` is the name of its PF there.
void check_class_device(const nlohmann::json& function, const std::string& pf, const Probe& probe,
                        Checker& check);

/// Every register but those that are state, as the driver's GET_INFO ioctl gives them.
void check_driver_info(const nlohmann::json& function, const Probe& probe, Checker& check);

/// STATUS and NUM_VFS: the same through resource0, sysfs and ioctl, and in their range.
void check_state(const nlohmann::json& function, const Probe& probe, Checker& check);

}  // namespace mimic::verify
