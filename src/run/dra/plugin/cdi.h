// SPDX-License-Identifier: Apache-2.0
// CDI specs: how a container runtime learns what a claim's devices are in a container. One file a
// claim, with devices "<claim's uid>-<device>", since runtimes cache specs and names must not come
// back. https://github.com/cncf-tags/container-device-interface/blob/main/SPEC.md
// Pure; any thread.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "dra/discovery/inventory.h"
#include "dra/plugin/record.h"
#include "slices/dra_facts.h"

namespace mimic::dra {

/// A file of the host that a container sees, read-only.
struct CdiMount {
    std::string host_path, container_path;
};

/// One device of a spec.
struct CdiDevice {
    std::string name;
    std::vector<std::string> env{};  // "NAME=value"
    std::vector<CdiMount> mounts{};
    std::string node{};       // in the container: "/dev/gpu0"; empty: none
    std::string host_node{};  // if it is elsewhere on the host; else empty
    unsigned node_major = 0, node_minor = 0;
};

/// "example.com/gpu"
std::string cdi_kind(const slices::DraFacts& facts);

/// Name of a prepared device in its spec: "<uid>-gpu0-vf1", with "-<shareID>" if it has one.
std::string cdi_name(const std::string& uid, const PreparedDevice& device);

/// File of a transient spec, as CDI's GenerateTransientSpecName() calls it:
/// "example.com-gpu_<id>.json".
std::string cdi_file_name(std::string_view kind, std::string_view id);

/// The id of cdi_file_name(), or "" if `file` is none of `kind`.
std::string cdi_file_id(std::string_view kind, std::string_view file);

/// The spec, with the smallest cdiVersion that has what it uses: a runtime refuses a version that
/// it does not know.
nlohmann::json cdi_spec(const std::string& kind, const std::vector<CdiDevice>& devices);

/// What a container gets of `device`: its char device, variables and its folder in sysfs.
/// `host_dir` is that folder without links.
CdiDevice describe_device(const slices::DraFacts& facts, const std::string& uid,
                          const PreparedDevice& prepared, const KnownDevice& device,
                          const std::string& host_dir);

}  // namespace mimic::dra
