// SPDX-License-Identifier: Apache-2.0
#include "dra/plugin/device_setup.h"

#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <climits>
#include <cstdlib>
#include <memory>
#include <thread>

#include "base/log.h"
#include "base/private_files.h"
#include "dra/plugin/cdi.h"
#include "dra/plugin/files.h"
#include "dra/plugin/json_fields.h"
#include "dra/plugin/names.h"

namespace mimic::dra {
namespace {

std::optional<uint32_t> parse_number(std::string_view text) {
    int base = 10;
    if (text.substr(0, 2) == "0x") {
        text.remove_prefix(2);
        base = 16;
    }
    uint32_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
    if (error != std::errc() || end != text.data() + text.size() || text.empty()) return {};
    return value;
}

std::optional<uint32_t> vf_index_of(const std::string& device) {
    const size_t at = device.rfind("-vf");
    if (at == std::string::npos) return {};
    return parse_number(std::string_view(device).substr(at + 3));
}

// Without links: what a container runtime mounts.
std::string real_path(const std::string& path) {
    const std::unique_ptr<char, decltype(&std::free)> real(::realpath(path.c_str(), nullptr),
                                                           std::free);
    return real == nullptr ? std::string() : std::string(real.get());
}

Status make_folder(const std::string& path) {
    if (::mkdir(path.c_str(), 0755) != 0 && errno != EEXIST)
        return fail_errno("cannot make {}", path);
    return {};
}

bool exists(const KnownDevice* device) {
    return device != nullptr && device->view.exists;
}

bool has(const PreparedClaim& claim, const std::string& device) {
    return std::any_of(claim.devices.begin(), claim.devices.end(),
                       [&](const auto& other) { return other.device == device && !other.admin; });
}

// Whether a claim but `uid` has the device, or, of a PF, one of its VFs.
bool in_use(const PluginState& state, const std::string& uid, const std::string& device,
            bool its_vfs) {
    return std::any_of(state.claims.begin(), state.claims.end(), [&](const auto& entry) {
        if (entry.first == uid) return false;
        const auto& devices = entry.second.devices;
        return its_vfs ? std::any_of(devices.begin(), devices.end(),
                                     [&](const auto& d) { return pf_of(d.device) == device; })
                       : has(entry.second, device);
    });
}

}  // namespace

std::string pf_of(const std::string& device) {
    return vf_index_of(device) ? device.substr(0, device.rfind("-vf")) : std::string();
}

DeviceSetup::DeviceSetup(SetupOptions options, DeviceSource& devices)
    : options_(std::move(options)),
      devices_(devices),
      kind_(cdi_kind(*options_.facts)),
      metadata_kind_(metadata_kind(std::string(options_.facts->driver))) {}

void DeviceSetup::at(Step step) const {
    if (options_.hook) options_.hook(step);
}

Status DeviceSetup::check_usable(const KnownDevice& device) const {
    const auto unreachable = fmt::format("{}/unreachable", options_.facts->driver);
    for (const auto& taint : device.view.taints) {
        if (taint.key == unreachable)
            return fail(std::errc::no_such_device, "device {} does not answer{}{}", device.name,
                        device.health_message.empty() ? "" : ": ", device.health_message);
    }
    return {};
}

Status DeviceSetup::plan(const PreparedClaim& claim, PluginState& state) {
    auto inventory = devices_.snapshot();
    bool looked_again = false;
    for (const auto& prepared : claim.devices) {
        if (!exists(inventory->find(prepared.device)) && !looked_again) {
            inventory = devices_.rescan();
            looked_again = true;
        }
        const KnownDevice* const device = inventory->find(prepared.device);
        if (exists(device)) {
            MIMIC_TRY(check_usable(*device));
            continue;
        }
        const std::string pf_name = pf_of(prepared.device);
        const KnownDevice* const pf = pf_name.empty() ? nullptr : inventory->find(pf_name);
        if (!exists(pf) || vf_index_of(prepared.device) >= pf->view.total_vfs)
            return fail(std::errc::no_such_device, "device {} is not there (any more)",
                        prepared.device);
        if (!options_.vfs_on_demand)
            return fail(std::errc::not_supported,
                        "VF {} does not exist, and the driver makes none (--vfs existing)",
                        prepared.device);
        MIMIC_TRY(check_usable(*pf));
        const auto path = fmt::format("{}/{}", pf->class_dir, options_.facts->num_vfs_file);
        MIMIC_ASSIGN_OR_RETURN(const auto text, read_attribute(path));
        const auto count = parse_number(text);
        if (!count) return fail(std::errc::io_error, "{} says '{}'", path, shown(text));
        if (*count != 0 && state.made_vfs.count(pf_name) == 0)
            return fail(std::errc::device_or_resource_busy,
                        "VF {} does not exist: somebody else enabled {} VFs of {}, and the number "
                        "cannot be changed while there are any",
                        prepared.device, *count, pf_name);
        state.made_vfs.insert(pf_name);
    }
    return {};
}

Status DeviceSetup::make_vfs_of(const KnownDevice& pf) {
    const auto path = fmt::format("{}/{}", pf.class_dir, options_.facts->num_vfs_file);
    MIMIC_ASSIGN_OR_RETURN(const auto text, read_attribute(path));
    if (parse_number(text).value_or(0) != 0) return {};
    // All at once: the number cannot be raised while a VF is in use.
    MIMIC_LOG("dra", kInfo, "Enabling {} VFs of {}", pf.view.total_vfs, pf.name);
    return write_attribute(path, fmt::format("{}\n", pf.view.total_vfs));
}

Status DeviceSetup::make_vfs(const PreparedClaim& claim, const PluginState& state) {
    std::set<std::string> pfs;
    for (const auto& device : claim.devices) {
        const auto pf = pf_of(device.device);
        if (state.made_vfs.count(pf) != 0) pfs.insert(pf);
    }
    if (pfs.empty()) return {};
    const auto inventory = devices_.snapshot();
    for (const auto& name : pfs) {
        const KnownDevice* const pf = inventory->find(name);
        if (!exists(pf))
            return fail(std::errc::no_such_device, "device {} is not there (any more)", name);
        MIMIC_TRY(make_vfs_of(*pf));
    }
    at(Step::kPrepareVfsMade);
    return {};
}

Result<InventoryPtr> DeviceSetup::wait_for(const PreparedClaim& claim) {
    constexpr std::chrono::milliseconds kPause(20);
    const auto deadline = std::chrono::steady_clock::now() + options_.vf_timeout;
    auto inventory = devices_.snapshot();
    while (true) {
        const auto missing = std::find_if(
            claim.devices.begin(), claim.devices.end(),
            [&](const auto& device) { return !exists(inventory->find(device.device)); });
        if (missing == claim.devices.end()) return inventory;
        if (pf_of(missing->device).empty() || std::chrono::steady_clock::now() >= deadline)
            return fail(std::errc::no_such_device, "device {} is not there{}", missing->device,
                        pf_of(missing->device).empty()
                            ? " (any more)"
                            : fmt::format("; it did not appear within {} ms after its PF was told "
                                          "to enable VFs",
                                          options_.vf_timeout.count()));
        std::this_thread::sleep_for(kPause);
        inventory = devices_.rescan();
    }
}

// Bit 0 says that somebody has the device; the others are the device's own.
Status DeviceSetup::set_allocated(const KnownDevice& device, bool allocated) const {
    constexpr uint32_t kAllocated = 1;
    if (options_.facts->status_file.empty()) return {};
    const auto path = fmt::format("{}/{}", device.class_dir, options_.facts->status_file);
    MIMIC_ASSIGN_OR_RETURN(const auto text, read_attribute(path));
    const uint32_t before = parse_number(text).value_or(0);
    const uint32_t after = allocated ? before | kAllocated : before & ~kAllocated;
    if (after == before) return {};
    return write_attribute(path, fmt::format("0x{:08x}\n", after));
}

Status DeviceSetup::apply(const PreparedClaim& claim, const PluginState& state) {
    MIMIC_TRY(make_vfs(claim, state));
    MIMIC_ASSIGN_OR_RETURN(const auto inventory, wait_for(claim));
    for (const auto& prepared : claim.devices) {
        const KnownDevice& device = *inventory->find(prepared.device);
        if (!prepared.admin) {
            auto set = set_allocated(device, true);
            if (!set)
                return tl::unexpected(std::move(set).error().with_context(
                    fmt::format("device {} does not take its status", prepared.device)));
        }
        if (device.dev_node.empty() && without_node_.insert(device.name).second)
            MIMIC_LOG("dra", kWarn,
                      "Device {} has no node in /dev; containers get its variables and sysfs "
                      "folder only",
                      device.name);
    }
    at(Step::kPrepareStatusWritten);
    MIMIC_TRY(write_metadata(claim, *inventory));
    at(Step::kPrepareMetadata);
    MIMIC_TRY(write_cdi(claim, *inventory));
    at(Step::kPrepareCdiWritten);
    return {};
}

std::string DeviceSetup::metadata_dir(const std::string& uid) const {
    return fmt::format("{}/dra-device-metadata/{}", options_.data_dir, uid);
}

std::string DeviceSetup::cdi_file(const std::string& kind, const std::string& uid) const {
    return fmt::format("{}/{}", options_.cdi_dir, cdi_file_name(kind, uid));
}

const PublishedAttributes& DeviceSetup::attributes(const Inventory& inventory) {
    if (attributes_version_ == inventory.version) return attributes_;
    std::vector<std::string> problems;  // the publisher says them
    const auto pool = pool_of(
        inventory, {.node = options_.pool, .vfs_on_demand = options_.vfs_on_demand}, &problems);
    attributes_.clear();
    for (const auto& device : pool.devices) attributes_[device.name] = device.attributes;
    attributes_version_ = inventory.version;
    return attributes_;
}

Status DeviceSetup::write_metadata(const PreparedClaim& claim, const Inventory& inventory) {
    const auto requests = requests_of(claim);
    if (requests.empty()) return {};
    const std::string driver(options_.facts->driver);
    const auto folder = metadata_dir(claim.uid);
    MIMIC_TRY(make_folder(fmt::format("{}/dra-device-metadata", options_.data_dir)));
    MIMIC_TRY(make_folder(folder));
    std::vector<CdiDevice> files;
    for (const auto& request : requests) {
        const auto file = fmt::format("{}/{}.json", folder, request);
        const auto object = device_metadata(claim, request, driver, attributes(inventory));
        MIMIC_TRY(replace_file(file, json_text(object) + "\n", {}));
        files.push_back({.name = fmt::format("{}-{}", claim.uid, request),
                         .mounts = {{file, metadata_path(claim, request, driver)}}});
    }
    return replace_file(cdi_file(metadata_kind_, claim.uid),
                        json_text(cdi_spec(metadata_kind_, files)) + "\n", {});
}

Status DeviceSetup::write_cdi(const PreparedClaim& claim, const Inventory& inventory) {
    if (claim.devices.empty()) return {};
    std::vector<CdiDevice> devices;
    for (const auto& prepared : claim.devices) {
        const KnownDevice& device = *inventory.find(prepared.device);
        devices.push_back(describe_device(*options_.facts, claim.uid, prepared, device,
                                          real_path(device.class_dir)));
    }
    return replace_file(cdi_file(kind_, claim.uid), json_text(cdi_spec(kind_, devices)) + "\n", {});
}

bool DeviceSetup::is_applied(const PreparedClaim& claim) const {
    return claim.devices.empty() ||
           (::access(cdi_file(kind_, claim.uid).c_str(), F_OK) == 0 &&
            ::access(cdi_file(metadata_kind_, claim.uid).c_str(), F_OK) == 0);
}

Status DeviceSetup::remove_files(const std::string& uid) {
    MIMIC_TRY(remove_file(cdi_file(kind_, uid)));
    MIMIC_TRY(remove_file(cdi_file(metadata_kind_, uid)));
    at(Step::kUnprepareCdiRemoved);
    MIMIC_TRY(remove_tree(metadata_dir(uid)));
    at(Step::kUnprepareMetadata);
    return {};
}

Status DeviceSetup::undo(const PreparedClaim& claim, PluginState& state) {
    auto files = remove_files(claim.uid);  // an error ends nothing that can be done
    const auto inventory = devices_.snapshot();
    for (const auto& prepared : claim.devices) {
        const KnownDevice* const device = inventory->find(prepared.device);
        if (prepared.admin || !exists(device)) continue;
        if (in_use(state, claim.uid, prepared.device, false)) continue;
        if (const auto set = set_allocated(*device, false); !set)
            // A device that is gone or hangs must not keep its pod from ending.
            MIMIC_LOG("dra", kWarn, "Device {} does not take its status: {}", prepared.device,
                      set.error().message());
    }
    at(Step::kUnprepareStatusCleared);
    for (const auto& prepared : claim.devices) {
        const auto pf_name = pf_of(prepared.device);
        if (state.made_vfs.count(pf_name) == 0) continue;
        if (in_use(state, claim.uid, pf_name, true)) continue;
        const KnownDevice* const pf = inventory->find(pf_name);
        if (exists(pf)) {
            MIMIC_LOG("dra", kInfo, "Removing the VFs of {}, which nobody uses any more", pf_name);
            const auto path = fmt::format("{}/{}", pf->class_dir, options_.facts->num_vfs_file);
            if (const auto removed = write_attribute(path, "0\n"); !removed) {
                MIMIC_LOG("dra", kWarn, "The VFs of {} stay for now: {}", pf_name,
                          removed.error().message());
                continue;  // remove_unused_vfs() tries again
            }
        }
        state.made_vfs.erase(pf_name);
        at(Step::kUnprepareVfsRemoved);
    }
    return files;
}

void DeviceSetup::remove_unused_vfs(PluginState& state) {
    if (state.made_vfs.empty()) return;
    const auto inventory = devices_.snapshot();
    for (auto it = state.made_vfs.begin(); it != state.made_vfs.end();) {
        if (in_use(state, "", *it, true)) {
            ++it;
            continue;
        }
        const KnownDevice* const pf = inventory->find(*it);
        const auto path = exists(pf)
                              ? fmt::format("{}/{}", pf->class_dir, options_.facts->num_vfs_file)
                              : "";
        if (!path.empty() && !write_attribute(path, "0\n")) {
            ++it;
            continue;
        }
        it = state.made_vfs.erase(it);
    }
}

std::set<std::string> DeviceSetup::uids_of_files() const {
    std::set<std::string> out;
    const std::unique_ptr<DIR, int (*)(DIR*)> dir(::opendir(options_.cdi_dir.c_str()), ::closedir);
    if (dir == nullptr) return out;
    // NOLINTNEXTLINE(concurrency-mt-unsafe): glibc's is safe for a stream of one's own
    while (const dirent* const entry = ::readdir(dir.get())) {
        for (const auto& kind : {kind_, metadata_kind_}) {
            const auto uid = cdi_file_id(kind, entry->d_name);
            if (is_uid(uid)) out.insert(uid);
        }
    }
    return out;
}

std::vector<std::string> DeviceSetup::cdi_ids(const PreparedClaim& claim, size_t index) const {
    const auto& device = claim.devices[index];
    std::vector<std::string> out = {fmt::format("{}={}", kind_, cdi_name(claim.uid, device))};
    // A request's file comes with the first of its devices, else it would be mounted twice.
    for (const auto& request : device.requests) {
        const auto first = std::find_if(
            claim.devices.begin(), claim.devices.end(), [&](const PreparedDevice& other) {
                return std::find(other.requests.begin(), other.requests.end(), request) !=
                       other.requests.end();
            });
        if (&*first == &device)
            out.push_back(fmt::format("{}={}-{}", metadata_kind_, claim.uid, request));
    }
    return out;
}

}  // namespace mimic::dra
