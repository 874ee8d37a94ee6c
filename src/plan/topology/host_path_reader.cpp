// SPDX-License-Identifier: Apache-2.0
// Reads names of the host's files and folders: modules, initrd, share. Whether they are there is
// for who boots the machine to see: a plan is made where they need not be. docs/own-kernel.md.
#include <algorithm>
#include <set>

#include <fmt/format.h>

#include "topology/reader.h"

namespace mimic::topology {
namespace {

constexpr size_t kMaxPath = 4095;      // PATH_MAX without its NUL
constexpr size_t kMaxGuestPath = 100;  // arbitrary: all of them stand on the kernel's command line

bool is_guest_path_character(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           std::string_view("/._+@-").find(c) != std::string_view::npos;
}

bool is_below(std::string_view path, std::string_view folder) {
    return path == folder || (path.starts_with(folder) && path.substr(folder.size())[0] == '/');
}

Share read_share(const Fields& fields) {
    Share share;
    fields.require("host", "the path of a folder");
    fields.require("guest", "where the guest sees it");
    if (const auto host = fields.pattern("host", "the path of a folder"))
        share.host = read_host_path(fields, "host", *host).value_or(HostPath{});
    if (const auto guest = fields.pattern("guest", "where the guest sees it")) {
        if (const auto problem = guest_folder_problem(*guest))
            fields.problem(fields.where("guest"), *problem);
        share.guest = *guest;
    }
    share.readonly = fields.truth("readonly").value_or(false);
    return share;
}

}  // namespace

std::optional<std::string> guest_folder_problem(std::string_view path) {
    constexpr std::string_view kOfTheKernel[] = {"/proc", "/sys", "/dev", "/run"};
    constexpr std::string_view kOfTheSystem[] = {"/bin",     "/sbin", "/etc",      "/lib",
                                                 "/lib64",   "/usr",  "/usr/bin",  "/usr/sbin",
                                                 "/usr/lib", "/var",  "/lib/mimic"};
    const bool plain = path.size() > 1 && path.front() == '/' && path.back() != '/' &&
                       path.size() <= kMaxGuestPath &&
                       std::all_of(path.begin(), path.end(), is_guest_path_character);
    const std::string closed = std::string(path) + "/";
    if (!plain || closed.find("//") != std::string::npos ||
        closed.find("/./") != std::string::npos || closed.find("/../") != std::string::npos)
        return fmt::format(
            "'{}' as a place in the guest; expected an absolute path such as /src, at "
            "most {} of a-z, A-Z, 0-9, '/' and '._+@-', without '.' and '..'",
            path.substr(0, 70), kMaxGuestPath);
    const auto is_above = [&](std::string_view folder) { return is_below(path, folder); };
    if (std::find(std::begin(kOfTheSystem), std::end(kOfTheSystem), path) ==
            std::end(kOfTheSystem) &&
        std::none_of(std::begin(kOfTheKernel), std::end(kOfTheKernel), is_above))
        return std::nullopt;
    return fmt::format(
        "'{}' as a place in the guest, which its own system needs; expected another, "
        "such as /src",
        path);
}

std::optional<HostPath> read_host_path(const Fields& fields, std::string_view key,
                                       const std::string& path) {
    const bool good = !path.empty() && path.size() <= kMaxPath &&
                      std::none_of(path.begin(), path.end(),
                                   [](char c) { return (c >= 0 && c < 0x20) || c == 0x7f; });
    if (good) return HostPath{path, fields.where(key)};
    fields.problem(
        fields.where(key),
        fmt::format("{} is no path; expected 1 to {} characters that print", key, kMaxPath));
    return std::nullopt;
}

std::vector<HostPath> read_host_paths(const Fields& fields, std::string_view key,
                                      std::string_view expected) {
    const YamlNode* node = fields.find(key);
    if (!node) return {};
    std::vector<HostPath> out;
    if (node->kind != YamlNode::Kind::kSequence) {
        const auto text = fields.pattern(key, expected);
        if (const auto path = text ? read_host_path(fields, key, *text) : std::nullopt)
            out.push_back(*path);
        return out;
    }
    if (node->items.empty() || node->items.size() > kMaxHostFiles) {
        fields.problem(node->where, fmt::format("{} paths as '{}'; expected 1 to {}",
                                                node->items.size(), key, kMaxHostFiles));
        return {};
    }
    for (const YamlPtr& item : node->items) {
        if (item->kind != YamlNode::Kind::kScalar) {
            fields.problem(item->where,
                           fmt::format("{} in '{}'; expected {}", item->describe(), key, expected));
            continue;
        }
        if (auto path = read_host_path(fields, key, item->text)) {
            path->where = item->where;
            out.push_back(std::move(*path));
        }
    }
    return out;
}

void read_shares(const Fields& fields, const Scope& scope, Machine& machine, ReadState& state) {
    const YamlNode* list = fields.list("share", "a list of folders, each with host and guest");
    if (!list) return;
    if (list->items.size() > kMaxShares) {
        fields.problem(list->where, fmt::format("{} folders to share; expected at most {}",
                                                list->items.size(), kMaxShares));
        return;
    }
    std::set<std::string> places;
    for (const YamlPtr& item : list->items) {
        const Fields one(item, "share", kShareKeys, scope, state.diagnostics);
        Share share = read_share(one);
        if (!share.guest.empty() && !places.insert(share.guest).second)
            one.problem(one.where("guest"),
                        fmt::format("two shares at {}; expected a place for each", share.guest));
        machine.shares.push_back(std::move(share));
    }
}

}  // namespace mimic::topology
