// SPDX-License-Identifier: Apache-2.0
#include "verify/verify_replica.h"

namespace mimic::verify {
namespace {

using Json = nlohmann::json;

constexpr unsigned kRom = 6;  // its line in "resource"

/// Bytes of line `index` of "resource", 0 for none.
uint64_t resource_size(const ProbeRecord& record, unsigned index) {
    const std::string* const line = record.find(fmt::format("resource{}", index));
    if (line == nullptr) return 0;
    const size_t space = line->find(' ');
    const size_t second = space == std::string::npos ? space : line->find(' ', space + 1);
    if (second == std::string::npos) return 0;
    const auto start = parse_number(std::string_view(*line).substr(0, space));
    const auto end = parse_number(std::string_view(*line).substr(space + 1, second - space - 1));
    return start && end && *end > *start ? *end - *start + 1 : 0;
}

/// Whether Linux's resource of a BAR is that of its register. On a fabric it is not for I/O, which
/// has no addresses there (docs/clone.md, "What is not"): Linux forgets the size or keeps it, by
/// version. The first four of an IDE controller in compatibility mode are the legacy ports,
/// whatever its registers say (pci_setup_device() of drivers/pci/probe.c, Linux 6.1).
bool is_comparable(const Json& device, const Json& function, const Json& bar) {
    if (bar.at("type") == "io" && text_of(device, "attach") == "fabric") return false;
    const auto kind = parse_number(text_of(function, "class")).value_or(0);
    constexpr uint64_t kIde = 0x0101;
    if (kind >> 8 != kIde) return true;
    const auto index = bar.at("index").get<unsigned>();
    constexpr uint64_t kPrimaryNative = 1, kSecondaryNative = 4;
    if (index < 2) return (kind & kPrimaryNative) != 0;
    return index >= 4 || (kind & kSecondaryNative) != 0;
}

/// Linux shows the copy of the boot VGA's ROM that firmware left below 1 MiB, whether or not the
/// device has one (pci_fixup_video() of arch/x86/pci/fixup.c, Linux 6.1).
bool is_rom_shadow(const Json& function, const ProbeRecord& record) {
    constexpr std::string_view kShadow = "0x00000000000c0000 ";
    const std::string* const line = record.find(fmt::format("resource{}", kRom));
    return text_of(function, "class").starts_with("0x0300") && line != nullptr &&
           line->starts_with(kShadow);
}

}  // namespace

const ProbeRecord* find_pci_record(const Probe& probe, const std::string& bdf) {
    for (const auto* records : {&probe.pci, &probe.ports, &probe.others}) {
        const auto found = records->find(bdf);
        if (found != records->end()) return &found->second;
    }
    return nullptr;
}

void check_replica(const Json& device, const Json& function, const Probe& probe, Checker& check) {
    const ProbeRecord* const record = find_pci_record(probe, text_of(function, "bdf"));
    if (record == nullptr) return check.differs("PCI function", "present", "nothing");
    for (const char* key : {"vendor", "device", "class"}) {
        check.fact(*record, "PCI ", key, text_of(function, key));
    }
    check.fact(*record, "PCI ", "numa_node",
               fmt::format("{}", function.at("numa_node").get<int>()));
    check.fact(*record, "PCI ", "parent", text_of(device, "port"));
    for (const Json& bar : function.at("bars")) {
        if (!is_comparable(device, function, bar)) continue;
        const auto index = bar.at("index").get<unsigned>();
        check.equal(fmt::format("PCI BAR{} size", index),
                    fmt::format("{:#x}", bar.at("size").get<uint64_t>()),
                    fmt::format("{:#x}", resource_size(*record, index)));
    }
    if (!is_rom_shadow(function, *record)) {
        check.equal("PCI ROM size", fmt::format("{:#x}", function.at("rom").get<uint64_t>()),
                    fmt::format("{:#x}", resource_size(*record, kRom)));
    }
    // QEMU hides the SR-IOV capability of an endpoint.
    const auto total = function.at("total_vfs").get<unsigned>();
    if (total == 0 || text_of(device, "attach") != "fabric") return;
    check.fact(*record, "PCI ", "sriov_totalvfs", fmt::format("{}", total));
}

}  // namespace mimic::verify
