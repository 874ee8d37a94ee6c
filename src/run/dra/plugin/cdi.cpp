// SPDX-License-Identifier: Apache-2.0
#include "dra/plugin/cdi.h"

#include <algorithm>

#include <fmt/format.h>

#include "dra/plugin/names.h"

namespace mimic::dra {
namespace {

using nlohmann::json;

constexpr size_t kMaxValue = 256;  // of a variable that comes from sysfs; arbitrary

bool begins_with_digit(const std::string& name) {
    return !name.empty() && name.front() >= '0' && name.front() <= '9';
}

// SPEC.md, "Released versions": what came with which. Mounts, nodes and variables are of 0.3.0.
std::string_view needed_version(const std::string& kind, const std::vector<CdiDevice>& devices) {
    const auto class_name = std::string_view(kind).substr(kind.find('/') + 1);
    if (class_name.find('.') != std::string_view::npos) return "0.6.0";
    const bool has_0_5 = std::any_of(devices.begin(), devices.end(), [](const CdiDevice& device) {
        return begins_with_digit(device.name) || !device.host_node.empty();
    });
    return has_0_5 ? "0.5.0" : "0.3.0";
}

json edits_of(const CdiDevice& device) {
    json edits = json::object();
    if (!device.env.empty()) edits["env"] = device.env;
    if (!device.node.empty()) {
        json node = {{"path", device.node},
                     {"type", "c"},
                     {"major", device.node_major},
                     {"minor", device.node_minor},
                     {"permissions", "rw"}};
        if (!device.host_node.empty()) node["hostPath"] = device.host_node;
        edits["deviceNodes"] = json::array({std::move(node)});
    }
    for (const auto& mount : device.mounts) {
        edits["mounts"].push_back({{"hostPath", mount.host_path},
                                   {"containerPath", mount.container_path},
                                   {"options", {"ro", "bind", "nosuid", "nodev", "noexec"}}});
    }
    return edits;
}

// Variables of a device: "<prefix>_X", which the last of several devices wins, and
// "<prefix>_<DEVICE>_X", which all have.
class Variables {
public:
    Variables(const slices::DraFacts& facts, const std::string& device)
        : prefix_(facts.env_prefix), own_(fmt::format("{}_{}", prefix_, as_variable(device))) {}

    // A value that is not fit for a variable is left out: sysfs may say anything.
    void add(std::string_view name, const std::string& value) {
        if (value.empty() || !is_printable(value, kMaxValue)) return;
        out_.push_back(fmt::format("{}_{}={}", prefix_, name, value));
        out_.push_back(fmt::format("{}_{}={}", own_, name, value));
    }

    std::vector<std::string> take() { return std::move(out_); }

private:
    const std::string prefix_, own_;
    std::vector<std::string> out_;
};

std::string base_name(const std::string& path) {
    return path.substr(path.rfind('/') + 1);
}

}  // namespace

std::string cdi_kind(const slices::DraFacts& facts) {
    return fmt::format("{}/{}", facts.cdi_vendor, facts.cdi_class);
}

std::string cdi_name(const std::string& uid, const PreparedDevice& device) {
    return device.share_id.empty() ? fmt::format("{}-{}", uid, device.device)
                                   : fmt::format("{}-{}-{}", uid, device.device, device.share_id);
}

std::string cdi_file_name(std::string_view kind, std::string_view id) {
    std::string name = fmt::format("{}_{}.json", kind, id);
    std::replace(name.begin(), name.end(), '/', '-');
    return name;
}

std::string cdi_file_id(std::string_view kind, std::string_view file) {
    constexpr std::string_view kEnd = ".json";
    std::string begin = fmt::format("{}_", kind);
    std::replace(begin.begin(), begin.end(), '/', '-');
    if (file.size() <= begin.size() + kEnd.size() || file.substr(0, begin.size()) != begin ||
        file.substr(file.size() - kEnd.size()) != kEnd)
        return "";
    return std::string(file.substr(begin.size(), file.size() - begin.size() - kEnd.size()));
}

json cdi_spec(const std::string& kind, const std::vector<CdiDevice>& devices) {
    json out = {
        {"cdiVersion", needed_version(kind, devices)}, {"kind", kind}, {"devices", json::array()}};
    for (const auto& device : devices)
        out["devices"].push_back({{"name", device.name}, {"containerEdits", edits_of(device)}});
    return out;
}

CdiDevice describe_device(const slices::DraFacts& facts, const std::string& uid,
                          const PreparedDevice& prepared, const KnownDevice& device,
                          const std::string& host_dir) {
    CdiDevice out{.name = cdi_name(uid, prepared)};
    Variables variables(facts, prepared.device);
    variables.add("DEVICE", device.view.node);
    variables.add("PCI_ADDRESS", device.view.pci_address);
    for (const auto& attribute : facts.attributes) {
        const auto found = device.view.files.find(std::string(attribute.sysfs));
        if (found != device.view.files.end())
            variables.add(as_variable(attribute.sysfs), found->second);
    }
    if (!device.dev_node.empty()) {
        out.node = "/dev/" + base_name(device.dev_node);
        if (out.node != device.dev_node) out.host_node = device.dev_node;
        out.node_major = device.dev_major;
        out.node_minor = device.dev_minor;
        variables.add("DEVICE_NODE", out.node);
    }
    if (!host_dir.empty()) {
        // Not below /sys: no mount point can be made there, and runtimes mask parts of it.
        const auto path = fmt::format("/run/{}/{}", facts.driver, base_name(device.class_dir));
        out.mounts.push_back({host_dir, path});
        variables.add("SYSFS", path);
    }
    out.env = variables.take();
    for (const auto& [name, value] : prepared.env)
        out.env.push_back(fmt::format("{}={}", name, value));
    return out;
}

}  // namespace mimic::dra
