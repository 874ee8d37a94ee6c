// SPDX-License-Identifier: Apache-2.0
// Names of PCI ids: what pci.ids (the database that lspci reads, package pci.ids of Debian) says of
// vendors, devices and classes. A reader of our own: pciutils' library is GPL-2.0, and libpciaccess
// knows no classes and keeps a tree that threads may not share.
#pragma once

#include <compare>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace mimic::gateway {

/// Vendor and device of a function.
struct PciId {
    uint16_t vendor = 0;
    uint16_t device = 0;
    auto operator<=>(const PciId&) const = default;
};

/// What they are called. Empty: the database does not say.
struct PciIdNames {
    std::string vendor;
    std::string device;
};

/// What a class code is called, from the general to the particular; each may be empty.
struct PciClassNames {
    std::string base;       // "Mass storage controller"
    std::string sub;        // "Non-Volatile memory controller"
    std::string interface;  // "NVM Express"
};

/// What is asked and, after look_up_pci_names(), answered.
struct PciNames {
    std::map<PciId, PciIdNames> ids;
    std::map<uint32_t, PciClassNames> classes;  // by class code of 24 bits
};

/// Fills in the names of the keys of `names` in one pass over `text`, which is a pci.ids. Lines
/// that are none of its format are passed over; a name is cut at 200 bytes and loses control
/// characters. Pure.
void look_up_pci_names(std::string_view text, PciNames& names);

/// A database that was read.
struct PciIdsFile {
    std::string path;
    std::string text;
};

/// Where distributions keep it.
std::vector<std::string> default_pci_ids_files();

/// The first of `paths` that can be read and is not larger than 16 MiB; nullopt: none.
std::optional<PciIdsFile> read_pci_ids(const std::vector<std::string>& paths);

}  // namespace mimic::gateway
