// SPDX-License-Identifier: Apache-2.0
#include "machine/snapshot_folder.h"

#include <sys/stat.h>

#include <nlohmann/json.hpp>

#include "base/private_files.h"

namespace mimic::machine {
namespace {

using Json = nlohmann::ordered_json;

constexpr const char* kFormat = "mimic-snapshot";
constexpr unsigned kFormatVersion = 1;
constexpr const char* kOwn = "copy the snapshot to a folder of your own (cp -r)";
constexpr const char* kMend = "take a new one: mimic up FILE, then mimic snapshot NAME DIR";

/// Nobody else may have put anything in it.
Status check_folder(const std::string& folder) {
    MIMIC_TRY(check_owner(folder, kOwn));
    struct stat there {};
    if (::stat(folder.c_str(), &there) != 0) return fail_errno("{}", folder);
    if ((there.st_mode & (S_IWGRP | S_IWOTH)) != 0)
        return fail(std::errc::permission_denied,
                    "others may replace what is in {} (mode {:o}); chmod go-w {}, if it is as you "
                    "left it",
                    folder, there.st_mode & 07777, folder);
    return {};
}

}  // namespace

std::string to_json(const SnapshotManifest& manifest) {
    const Json json{{"format", kFormat},
                    {"version", kFormatVersion},
                    {"mimic", manifest.mimic},
                    {"qemu", manifest.qemu},
                    {"machine", manifest.machine},
                    {"accel", manifest.accel},
                    {"kernel", manifest.choices.kernel},
                    {"modules", manifest.choices.modules},
                    {"shares", manifest.choices.shares},
                    {"allow_shares", manifest.choices.allow_shares},
                    {"folder", manifest.choices.folder},
                    {"qemu_args", manifest.choices.qemu_args},
                    {"allow_commands", manifest.choices.allow_commands},
                    {"created", manifest.created},
                    {"guest_bytes", manifest.guest_bytes}};
    return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

Result<SnapshotManifest> parse_snapshot_manifest(std::string_view text) {
    try {
        const Json json = Json::parse(text);
        if (json.at("format") != kFormat)
            return fail(std::errc::invalid_argument, "the format is not \"{}\"", kFormat);
        if (json.at("version") != kFormatVersion)
            return fail(std::errc::not_supported,
                        "the format has version {}, this mimic reads version {}; {}",
                        json.at("version").dump(), kFormatVersion, kMend);
        SnapshotManifest manifest;
        json.at("mimic").get_to(manifest.mimic);
        json.at("qemu").get_to(manifest.qemu);
        json.at("machine").get_to(manifest.machine);
        json.at("accel").get_to(manifest.accel);
        json.at("kernel").get_to(manifest.choices.kernel);
        json.at("modules").get_to(manifest.choices.modules);
        json.at("shares").get_to(manifest.choices.shares);
        json.at("allow_shares").get_to(manifest.choices.allow_shares);
        json.at("folder").get_to(manifest.choices.folder);
        json.at("qemu_args").get_to(manifest.choices.qemu_args);
        json.at("allow_commands").get_to(manifest.choices.allow_commands);
        json.at("created").get_to(manifest.created);
        if (!json.at("guest_bytes").is_number_unsigned())
            return fail(std::errc::invalid_argument, "guest_bytes is no size");
        json.at("guest_bytes").get_to(manifest.guest_bytes);
        if (manifest.accel != "tcg" && manifest.accel != "kvm")
            return fail(std::errc::invalid_argument, "accel is neither \"tcg\" nor \"kvm\"");
        return manifest;
    } catch (const Json::exception& error) {
        return fail(std::errc::invalid_argument, "{}", error.what());
    }
}

std::string snapshot_manifest_path(const std::string& folder) {
    return folder + "/manifest.json";
}
std::string snapshot_topology_path(const std::string& folder) {
    return folder + "/topology.yaml";
}
std::string snapshot_guest_path(const std::string& folder) {
    return folder + "/guest.mem";
}

bool is_snapshot_folder(const std::string& path) {
    struct stat there {};
    return ::stat(path.c_str(), &there) == 0 && S_ISDIR(there.st_mode);
}

Result<SnapshotManifest> read_snapshot(const std::string& folder) {
    const std::string path = snapshot_manifest_path(folder);
    MIMIC_TRY(check_folder(folder));
    const auto text = read_small_file(path);
    if (!text && text.error().code() == std::errc::no_such_file_or_directory)
        return fail(std::errc::no_such_file_or_directory,
                    "{} is a folder and is no snapshot: it has no manifest.json; {}", folder,
                    kMend);
    if (!text) return tl::unexpected(text.error());
    auto manifest = parse_snapshot_manifest(*text);
    if (!manifest) return tl::unexpected(std::move(manifest).error().with_context(path));
    for (const std::string& file :
         {path, snapshot_topology_path(folder), snapshot_guest_path(folder)}) {
        struct stat there {};
        if (::lstat(file.c_str(), &there) != 0) return fail_errno("{}; {}", file, kMend);
        if (!S_ISREG(there.st_mode))
            return fail(std::errc::invalid_argument, "{} is no regular file; {}", file, kMend);
        MIMIC_TRY(check_owner(file, kOwn));
        if (file == snapshot_guest_path(folder) &&
            static_cast<uint64_t>(there.st_size) != manifest->guest_bytes)
            return fail(std::errc::invalid_argument,
                        "{} has {} bytes, and {} says {}: it was cut or changed; {}", file,
                        there.st_size, path, manifest->guest_bytes, kMend);
    }
    return manifest;
}

Status check_snapshot_versions(const std::string& folder, const SnapshotManifest& manifest,
                               std::string_view mimic, std::string_view qemu) {
    if (manifest.mimic != mimic)
        return fail(std::errc::not_supported,
                    "{} was taken by mimic {}, this is mimic {}: only the same version knows the "
                    "same machine; {}",
                    snapshot_manifest_path(folder), manifest.mimic, mimic, kMend);
    if (manifest.qemu != qemu)
        return fail(std::errc::not_supported,
                    "{} was taken with QEMU {}, and QEMU {} is here (MIMIC_QEMU chooses one); {}",
                    snapshot_manifest_path(folder), manifest.qemu, qemu, kMend);
    return {};
}

}  // namespace mimic::machine
