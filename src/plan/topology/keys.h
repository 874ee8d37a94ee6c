// SPDX-License-Identifier: Apache-2.0
// The keys of the topology language, once: the parser accepts exactly these, and tests compare them
// with docs/schema/mimic-v1.schema.json and docs/topology.md.
#pragma once

#include <array>
#include <string_view>

#include "topology/yaml.h"

namespace mimic::topology {

inline constexpr std::array<std::string_view, 4> kFileKeys = {"version", "machine", "machines",
                                                              "templates"};
inline constexpr std::array<std::string_view, 21> kMachineKeys = {
    "name",        "count",  "template", "arch",  "interrupts", "cpus",     "memory",
    "numa",        "kernel", "modules",  "image", "firmware",   "initrd",   "run",
    "kernel_args", "share",  "time",     "seed",  "accel",      "switches", "devices"};
inline constexpr std::array<std::string_view, 3> kShareKeys = {"host", "guest", "readonly"};
inline constexpr std::array<std::string_view, 3> kNumaKeys = {"cpus", "memory", "distances"};
inline constexpr std::array<std::string_view, 9> kSwitchKeys = {
    "name", "count", "template", "numa_node", "parent", "link", "acs", "config", "port_config"};
/// Of a device, whatever its model. device_keys.h adds those of the models.
inline constexpr std::array<std::string_view, 21> kDeviceKeys = {
    "name",   "count",     "template", "model", "uuid",      "class",       "numa_node",
    "attach", "root_port", "switch",   "slot",  "link",      "hotplug",     "plugged",
    "acs",    "ari",       "sriov",    "vfs",   "isolation", "port_config", "transport"};
/// Of a device whose model has images (model::Source::kImages).
inline constexpr std::array<std::string_view, 6> kImageKeys = {"config",  "bars",      "rom",
                                                               "vf_bars", "vf_config", "functions"};
/// Of a device that is external (model::Source::kExternal), besides `class` and `bars`.
inline constexpr std::array<std::string_view, 6> kExternalKeys = {
    "socket", "command", "vendor_id", "device_id", "driver", "registers"};
inline constexpr std::array<std::string_view, 4> kExternalRegisterKeys = {"name", "offset", "bits",
                                                                          "value"};
inline constexpr std::array<std::string_view, 6> kFunctionKeys = {"number", "config",  "bars",
                                                                  "rom",    "vf_bars", "vf_config"};
inline constexpr std::array<std::string_view, 4> kBarKeys = {"index", "type", "prefetchable",
                                                             "size"};
inline constexpr std::array<std::string_view, 2> kLinkKeys = {"speed", "width"};
inline constexpr std::array<std::string_view, 2> kVfsKeys = {"count", "uuid"};
inline constexpr std::array<std::string_view, 1> kVfKeys = {"uuid"};

inline constexpr std::array<std::string_view, 2> kArchs = {"x86_64", "riscv64"};
inline constexpr std::array<std::string_view, 2> kInterrupts = {"msi", "intx"};
inline constexpr std::array<std::string_view, 2> kTimes = {"host", "lock-step"};
inline constexpr std::array<std::string_view, 3> kAccels = {"auto", "tcg", "kvm"};
inline constexpr std::array<std::string_view, 3> kKernels = {"6.1", "6.12", "newest"};
inline constexpr std::array<std::string_view, 2> kFirmwares = {"bios", "uefi"};
inline constexpr std::array<std::string_view, 2> kIsolations = {"shared", "process"};
inline constexpr std::array<std::string_view, 2> kTransports = {"pci", "vhost-user"};
inline constexpr std::array<std::string_view, 2> kAttachments = {"root-port", "fabric"};
inline constexpr std::array<std::string_view, 2> kSriovKinds = {"static", "native"};
inline constexpr std::array<std::string_view, 3> kBarTypes = {"memory32", "memory64", "io"};
inline constexpr std::array<std::string_view, 6> kLinkGenerations = {"gen1", "gen2", "gen3",
                                                                     "gen4", "gen5", "gen6"};
inline constexpr std::array<std::string_view, 6> kLinkSpeeds = {"2.5 GT/s", "5 GT/s",  "8 GT/s",
                                                                "16 GT/s",  "32 GT/s", "64 GT/s"};
inline constexpr std::array<std::string_view, 7> kLinkWidths = {"1",  "2",  "4", "8",
                                                                "12", "16", "32"};

}  // namespace mimic::topology
