// SPDX-License-Identifier: Apache-2.0
// DraFacts: how a kind of device appears in Kubernetes, as constant data. A device's folder has one
// in `dra.h` (src/devices/<name>/dra.h, `inline constexpr slices::DraFacts kDra`); `mimic-dra` and
// `mimic plan --format slices` walk it and name no device. Includes nothing of registers or PCI, so
// that the node agent links none of it.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace mimic::slices {

/// One attribute or capacity of a device that comes from a file in its class folder in sysfs.
struct DraAttribute {
    enum class Kind : uint8_t {
        kText,      // string
        kNumber,    // int: decimal, or 0x
        kVersion,   // register value 0xMMMMmmmm as "M.m.0"
        kCapacity,  // Quantity: a number of bytes
    };

    std::string_view id;     // C identifier; published as "<driver>/<id>"
    std::string_view sysfs;  // name of the attribute file
    Kind kind = Kind::kText;
    std::string_view doc{};
};

/// A bit of the status attribute that says that something is wrong.
struct DraFault {
    uint32_t mask = 0;
    std::string_view taint;    // published as "<driver>/<taint>"
    bool evicts = false;       // NoExecute, else NoSchedule
    std::string_view message;  // for the health stream
};

struct DraFacts {
    std::string_view driver;       // DRA driver name, a DNS subdomain: "foo.example.com"
    std::string_view sysfs_class;  // folder of /sys/class
    std::string_view node_prefix;  // of names there: "mock" of mock0; VF M of it is mock0_vfM
    std::string_view cdi_class;    // CDI kind "<vendor>/<class>": "foo"
    std::string_view cdi_vendor;   // "example.com"
    std::string_view env_prefix;   // of environment variables in a container: "MOCK_ACCEL"
    std::span<const DraAttribute> attributes{};
    /// File that the plugin writes 1 to when a device is prepared and 0 when it is not; also read
    /// for `faults`. Empty: none.
    std::string_view status_file{};
    std::span<const DraFault> faults{};
    std::string_view total_vfs_file{};  // of a PF, both empty: it has no VFs
    std::string_view num_vfs_file{};
};

}  // namespace mimic::slices
