// SPDX-License-Identifier: Apache-2.0
#include "verify/verify_clone.h"

namespace mimic::verify {
namespace {

using topology::FunctionSpec;

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
bool is_comparable(const topology::DeviceSpec& device, const FunctionSpec& function,
                   const topology::BarSpec& bar) {
    if (bar.is_io && device.on_fabric) return false;
    const uint32_t kind = function.class_code;
    constexpr uint32_t kIde = 0x0101;
    if (kind >> 8 != kIde) return true;
    constexpr uint32_t kPrimaryNative = 1, kSecondaryNative = 4;
    if (bar.index < 2) return (kind & kPrimaryNative) != 0;
    return bar.index >= 4 || (kind & kSecondaryNative) != 0;
}

/// Linux shows the copy of the boot VGA's ROM that firmware left below 1 MiB, whether or not the
/// device has one (pci_fixup_video() of arch/x86/pci/fixup.c, Linux 6.1).
bool is_rom_shadow(const FunctionSpec& function, const ProbeRecord& record) {
    constexpr std::string_view kShadow = "0x00000000000c0000 ";
    const std::string* const line = record.find(fmt::format("resource{}", kRom));
    constexpr uint32_t kVga = 0x0300;
    return function.class_code >> 8 == kVga && line != nullptr && line->starts_with(kShadow);
}

}  // namespace

const ProbeRecord* find_pci_record(const Probe& probe, const std::string& bdf) {
    for (const auto* records : {&probe.pci, &probe.ports, &probe.others}) {
        const auto found = records->find(bdf);
        if (found != records->end()) return &found->second;
    }
    return nullptr;
}

void check_clone(const PlannedDevice& planned, const FunctionSpec& function, const Probe& probe,
                 Checker& check) {
    const ProbeRecord* const record = find_pci_record(probe, function.bdf.str());
    if (record == nullptr) return check.differs("PCI function", "present", "nothing");
    check_identity(planned, function, *record, check);
    for (const topology::BarSpec& bar : function.bars) {
        if (!is_comparable(planned.device, function, bar)) continue;
        check.equal(fmt::format("PCI BAR{} size", bar.index), fmt::format("{:#x}", bar.size),
                    fmt::format("{:#x}", resource_size(*record, bar.index)));
    }
    if (!is_rom_shadow(function, *record)) {
        check.equal("PCI ROM size", fmt::format("{:#x}", function.clone->rom_size),
                    fmt::format("{:#x}", resource_size(*record, kRom)));
    }
    // QEMU hides the SR-IOV capability of a device below one of its root ports.
    if (function.clone->total_vfs == 0 || !planned.device.on_fabric) return;
    check.fact(*record, "PCI ", "sriov_totalvfs", fmt::format("{}", function.clone->total_vfs));
}

void check_external(const PlannedDevice& planned, const FunctionSpec& function, const Probe& probe,
                    Checker& check) {
    const model::ExternalSpec& stated = *function.external;
    const ProbeRecord* const record = find_pci_record(probe, function.bdf.str());
    if (record == nullptr) return check.differs("PCI function", "present", "nothing");
    check.fact(*record, "PCI ", "numa_node", fmt::format("{}", planned.numa_node()));
    check.fact(*record, "PCI ", "parent", planned.parent);
    if (stated.vendor_id)
        check.fact(*record, "PCI ", "vendor", fmt::format("0x{:04x}", *stated.vendor_id));
    if (stated.device_id)
        check.fact(*record, "PCI ", "device", fmt::format("0x{:04x}", *stated.device_id));
    if (stated.class_code)
        check.fact(*record, "PCI ", "class", fmt::format("0x{:06x}", *stated.class_code));
    if (!stated.driver.empty()) check.fact(*record, "PCI ", "driver", stated.driver);
    for (const topology::BarSpec& bar : function.bars) {
        check.equal(fmt::format("PCI BAR{} size", bar.index), fmt::format("{:#x}", bar.size),
                    fmt::format("{:#x}", resource_size(*record, bar.index)));
    }
    if (stated.registers.empty()) return;
    const ProbeRecord* const registers = find_record(probe.regs, function.bdf.str(), "resource0",
                                                     check);
    if (registers == nullptr) return;
    for (const auto& one : stated.registers) {
        check.fact(*registers, "resource0 ", one.name,
                   fmt::format("0x{:0{}x}", one.value, 2 * one.bytes));
    }
}

}  // namespace mimic::verify
