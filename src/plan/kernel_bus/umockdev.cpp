// SPDX-License-Identifier: Apache-2.0
#include "kernel_bus/umockdev.h"

#include <algorithm>
#include <array>
#include <string_view>

#include <fmt/format.h>

namespace mimic::kernel_bus {
namespace {

constexpr std::string_view kRoot = "sys/";

bool is_text(std::string_view bytes) {
    return std::all_of(bytes.begin(), bytes.end(),
                       [](char c) { return c == '\n' || (c >= ' ' && c <= '~'); });
}

std::string escaped(std::string_view text) {
    std::string out;
    for (const char c : text) {
        if (c == '\n') {
            out += "\\n";
        } else if (c == '\\') {
            out += "\\\\";
        } else {
            out += c;
        }
    }
    return out;
}

std::string hexadecimal(std::string_view bytes) {
    constexpr std::string_view kDigits = "0123456789ABCDEF";
    std::string out;
    out.reserve(2 * bytes.size());
    for (const char c : bytes) {
        const auto byte = static_cast<unsigned char>(c);
        out += kDigits[byte >> 4];
        out += kDigits[byte & 15];
    }
    return out;
}

std::string properties(std::string_view uevent, std::string_view subsystem) {
    std::string out;
    while (!uevent.empty()) {
        const size_t end = std::min(uevent.find('\n'), uevent.size() - 1) + 1;
        out += fmt::format("E: {}\n", uevent.substr(0, uevent.find('\n')));
        uevent.remove_prefix(end);
    }
    out += fmt::format("E: SUBSYSTEM={}\n", subsystem.substr(subsystem.rfind('/') + 1));
    return out;
}

std::string attribute(const std::string& name, const FileTree::Entry& entry) {
    if (entry.kind == FileTree::Kind::kLink) return fmt::format("L: {}={}\n", name, entry.content);
    if (is_text(entry.content)) return fmt::format("A: {}={}\n", name, escaped(entry.content));
    return fmt::format("H: {}={}\n", name, hexadecimal(entry.content));
}

}  // namespace

std::string umockdev_text(const FileTree& tree) {
    std::string out;
    const auto& entries = tree.entries();
    for (auto at = entries.begin(); at != entries.end(); ++at) {
        const std::string& path = at->first;
        if (!path.starts_with("sys/devices/") || at->second.kind != FileTree::Kind::kFolder) {
            continue;
        }
        const FileTree::Entry* const uevent = tree.find(path + "/uevent");
        const FileTree::Entry* const subsystem = tree.find(path + "/subsystem");
        if (uevent == nullptr || subsystem == nullptr) continue;
        if (!out.empty()) out += '\n';
        out += fmt::format("P: /{}\n", path.substr(kRoot.size()));
        out += properties(uevent->content, subsystem->content);
        const std::string prefix = path + "/";
        for (auto file = entries.lower_bound(prefix);
             file != entries.end() && file->first.starts_with(prefix); ++file) {
            const std::string name = file->first.substr(prefix.size());
            if (file->second.kind == FileTree::Kind::kFolder || name == "uevent" ||
                name == "subsystem" || name.find('/') != std::string::npos) {
                continue;
            }
            out += attribute(name, file->second);
        }
    }
    return out;
}

}  // namespace mimic::kernel_bus
