// SPDX-License-Identifier: Apache-2.0
// Rows of the capabilities in 0x40..0xff but PCI Express: PCIe Base Specification 6.0, 7.5.2, 7.7
// and 7.9; PCI Bus Power Management 1.2; PCI Code and ID Assignment Specification, 2.
#include <fmt/format.h>

#include "pci/config/pci_regs.h"
#include "pci/describe/config_rows.h"

namespace mimic::pci::rows {
namespace {

using namespace regs;

constexpr const char* kPowerStates[] = {"D0", "D1", "D2", "D3hot"};
constexpr const char* kAuxCurrents[] = {"0 mA",   "55 mA",  "100 mA", "160 mA",
                                        "220 mA", "270 mA", "320 mA", "375 mA"};
constexpr const char* kAllocations[] = {"memory",
                                        "memory, prefetchable",
                                        "I/O",
                                        "VF memory, prefetchable",
                                        "VF memory",
                                        "bridge memory",
                                        "bridge memory, prefetchable",
                                        "bridge I/O"};

std::string pme_support(uint64_t value) {
    std::string text;
    for (unsigned i = 0; i < 5; ++i) {
        if ((value >> i & 1) == 0) continue;
        text += fmt::format("{}{}", text.empty() ? "" : " ", i < 4 ? kPowerStates[i] : "D3cold");
    }
    return text.empty() ? "none" : text;
}
std::string messages(uint64_t value) {
    return value <= 5 ? fmt::format("{}", 1U << value) : "reserved";
}
std::string bar_number(uint64_t value) {
    return value < 6 ? fmt::format("BAR {}", value) : "reserved";
}
std::string times_eight(uint64_t value) {
    return hex_address(value << 3);
}
std::string dword_address(uint64_t value) {
    return hex_address(value << 2);
}

uint32_t msi_control(const View& view) {
    return view.u16(MSI_CONTROL);
}
uint32_t msi_64(const View& view) {
    return (msi_control(view) & MSI_CONTROL_64_BIT_ADDRESS) != 0;
}
uint32_t msi_32(const View& view) {
    return msi_64(view) == 0;
}
uint32_t msi_masks_64(const View& view) {
    return msi_64(view) != 0 && (msi_control(view) & MSI_CONTROL_PER_VECTOR_MASKING) != 0;
}
uint32_t msi_masks_32(const View& view) {
    return msi_64(view) == 0 && (msi_control(view) & MSI_CONTROL_PER_VECTOR_MASKING) != 0;
}
// Of a bridge's power management: its successor has no such byte in an endpoint.
uint32_t is_bridge(const View& view) {
    return view.bridge;
}

constexpr RegisterRow kPowerManagement[] = {
    {"PMC",
     PMC,
     16,
     "Power states that exist.",
     {{"VERSION", bits(2, 0)},
      {"PME_CLOCK", bit(3)},
      {"IMMEDIATE_READINESS", bit(4)},
      {"DEVICE_SPECIFIC_INITIALIZATION", bit(5)},
      {"AUX_CURRENT", bits(8, 6), named<kAuxCurrents>},
      {"D1_SUPPORT", PMC_D1_SUPPORT},
      {"D2_SUPPORT", PMC_D2_SUPPORT},
      {"PME_SUPPORT", bits(15, 11), pme_support}}},
    {"PMCSR",
     PMCSR,
     16,
     "The power state.",
     {{"POWER_STATE", PMCSR_POWER_STATE, named<kPowerStates>},
      {"NO_SOFT_RESET", PMCSR_NO_SOFT_RESET},
      {"PME_ENABLE", bit(8)},
      {"DATA_SELECT", bits(12, 9)},
      {"DATA_SCALE", bits(14, 13)},
      {"PME_STATUS", bit(15)}}},
    {"PMCSR_BSE",
     0x06,
     8,
     "Of a bridge: the bus below.",
     {{"B2_B3_SUPPORT", bit(6)}, {"BUS_POWER_CLOCK_CONTROL", bit(7)}},
     is_bridge},
    {"PM_DATA", 0x07, 8, "What DATA_SELECT asks for."},
};

constexpr RegisterRow kVpd[] = {
    {"VPD_ADDRESS",
     0x02,
     16,
     "Which dword of the product data is read or written.",
     {{"ADDRESS", bits(14, 0)}, {"FLAG", bit(15)}}},
    {"VPD_DATA", 0x04, 32, "That dword."},
};

constexpr RegisterRow kSlotId[] = {
    {"EXPANSION_SLOT",
     0x02,
     8,
     "Slots of the chassis.",
     {{"SLOTS", bits(4, 0)}, {"FIRST_IN_CHASSIS", bit(5)}}},
    {"CHASSIS_NUMBER", 0x03, 8, "Which chassis."},
};

constexpr RegisterRow kMsi[] = {
    {"MSI_CONTROL",
     MSI_CONTROL,
     16,
     "Messages that the function may send.",
     {{"ENABLE", MSI_CONTROL_ENABLE, enabled},
      {"MULTIPLE_MESSAGE_CAPABLE", MSI_CONTROL_MULTIPLE_MESSAGE_CAPABLE, messages},
      {"MULTIPLE_MESSAGE_ENABLE", MSI_CONTROL_MULTIPLE_MESSAGE_ENABLE, messages},
      {"64_BIT_ADDRESS", MSI_CONTROL_64_BIT_ADDRESS},
      {"PER_VECTOR_MASKING", MSI_CONTROL_PER_VECTOR_MASKING},
      {"EXTENDED_MESSAGE_DATA_CAPABLE", bit(9)},
      {"EXTENDED_MESSAGE_DATA_ENABLE", bit(10)}}},
    {"MSI_ADDRESS",
     MSI_ADDRESS,
     32,
     "Where messages go.",
     {{"ADDRESS", MSI_ADDRESS_MASK, dword_address}}},
    {"MSI_UPPER_ADDRESS", MSI_UPPER_ADDRESS, 32, "Its high half.", {}, msi_64},
    {"MSI_DATA", MSI_DATA_32, 16, "What messages say.", {}, msi_32},
    {"MSI_DATA", MSI_DATA_64, 16, "What messages say.", {}, msi_64},
    {"MSI_MASK", MSI_MASK_32, 32, "A bit a message that is held back.", {}, msi_masks_32},
    {"MSI_MASK", MSI_MASK_64, 32, "A bit a message that is held back.", {}, msi_masks_64},
    {"MSI_PENDING", MSI_PENDING_32, 32, "A bit a message that waits.", {}, msi_masks_32},
    {"MSI_PENDING", MSI_PENDING_64, 32, "A bit a message that waits.", {}, msi_masks_64},
};

constexpr RegisterRow kPcix[] = {
    {"PCIX_COMMAND", 0x02, 16, "PCI-X of an endpoint."},
    {"PCIX_STATUS", 0x04, 32, "PCI-X of an endpoint."},
};

constexpr RegisterRow kHyperTransport[] = {
    {"HT_COMMAND", 0x02, 16, "HyperTransport.", {{"CAPABILITY_TYPE", bits(15, 11)}}},
};

constexpr RegisterRow kVendor[] = {
    {"VENDOR_LENGTH", VENDOR_LENGTH, 8, "Bytes of this capability."},
    {"VENDOR_DATA", VENDOR_BODY, 8, "The vendor's own."},
};

constexpr RegisterRow kDebugPort[] = {
    {"DEBUG_PORT",
     0x02,
     16,
     "Where the debug port lies.",
     {{"OFFSET", bits(12, 0)}, {"BAR", bits(15, 13)}}},
};

constexpr RegisterRow kSsvid[] = {
    {"SSVID", 0x04, 16, "Subsystem vendor of a bridge."},
    {"SSID", 0x06, 16, "Subsystem of a bridge."},
};

constexpr RegisterRow kMsix[] = {
    {"MSIX_CONTROL",
     MSIX_CONTROL,
     16,
     "Vectors that the function may use.",
     {{"TABLE_SIZE", MSIX_CONTROL_TABLE_SIZE, plus_one},
      {"FUNCTION_MASK", MSIX_CONTROL_FUNCTION_MASK},
      {"ENABLE", MSIX_CONTROL_ENABLE, enabled}}},
    {"MSIX_TABLE",
     MSIX_TABLE,
     32,
     "Where the table lies.",
     {{"BIR", MSIX_BIR, bar_number}, {"OFFSET", MSIX_OFFSET, times_eight}}},
    {"MSIX_PBA",
     MSIX_PBA,
     32,
     "Where the pending bits lie.",
     {{"BIR", MSIX_BIR, bar_number}, {"OFFSET", MSIX_OFFSET, times_eight}}},
};

constexpr RegisterRow kSata[] = {
    {"SATACR0", 0x02, 16, "Revision.", {{"MINOR", bits(3, 0)}, {"MAJOR", bits(7, 4)}}},
    {"SATACR1",
     0x04,
     32,
     "Index and data pair.",
     {{"BAR_LOCATION", bits(3, 0)}, {"BAR_OFFSET", bits(23, 4)}}},
};

constexpr RegisterRow kAdvancedFeatures[] = {
    {"AF_LENGTH", 0x02, 8, "Bytes of this capability."},
    {"AF_CAPABILITIES", 0x03, 8, "", {{"TP", bit(0)}, {"FLR", bit(1)}}},
    {"AF_CONTROL", 0x04, 8, "", {{"INITIATE_FLR", bit(0)}}},
    {"AF_STATUS", 0x05, 8, "", {{"TP", bit(0)}}},
};

constexpr RegisterRow kEnhancedAllocation[] = {
    {"EA_ENTRIES", 0x02, 16, "Ranges that are fixed.", {{"ENTRIES", bits(5, 0)}}},
};

// The entries of Enhanced Allocation say how long they are (7.8.5.3).
void enhanced_allocation(const View& view, std::vector<DescribedRegister>& out) {
    static constexpr RegisterRow kEntry{"EA_ENTRY",
                                        0,
                                        32,
                                        "A fixed range.",
                                        {{"SIZE", bits(2, 0)},
                                         {"BAR_EQUIVALENT", bits(7, 4)},
                                         {"PRIMARY_PROPERTIES", bits(15, 8), named<kAllocations>},
                                         {"SECONDARY_PROPERTIES", bits(23, 16)},
                                         {"WRITABLE", bit(30)},
                                         {"ENABLE", bit(31), enabled}}};
    uint32_t at = view.bridge ? 8 : 4;
    const uint32_t entries = view.u16(2) & 0x3f;
    for (uint32_t i = 0; i < entries && at + 4 <= view.size; ++i) {
        RegisterRow row = kEntry;
        row.offset = at;
        out.push_back(decode(view, row, 0));
        out.back().name += fmt::format("[{}]", i);
        at += 4 + 4 * (view.u32(at) & 7);
    }
}

void vendor_data(const View& view, std::vector<DescribedRegister>& out) {
    append_data(view, 4, out);
}

constexpr CapabilityRows kCapabilities[] = {
    {CAP_ID_PM, kPowerManagement},
    {0x03, kVpd},
    {0x04, kSlotId},
    {CAP_ID_MSI, kMsi},
    {0x07, kPcix},
    {0x08, kHyperTransport, vendor_data},
    {CAP_ID_VENDOR, kVendor, vendor_data},
    {0x0a, kDebugPort},
    {CAP_ID_SSVID, kSsvid},
    {CAP_ID_MSIX, kMsix},
    {0x12, kSata},
    {0x13, kAdvancedFeatures},
    {0x14, kEnhancedAllocation, enhanced_allocation},
};

}  // namespace

const CapabilityRows* capability_rows(uint16_t id) {
    static const CapabilityRows kPcie{CAP_ID_PCIE, pcie_rows()};
    if (id == CAP_ID_PCIE) return &kPcie;
    for (const CapabilityRows& one : kCapabilities) {
        if (one.id == id) return &one;
    }
    return nullptr;
}

}  // namespace mimic::pci::rows
