// SPDX-License-Identifier: Apache-2.0
// Rows of the configuration header: PCIe Base Specification 6.0, 7.5.1.
#include "pci/config/pci_regs.h"
#include "pci/describe/config_rows.h"

namespace mimic::pci::rows {
namespace {

using namespace regs;

// PCI Code and ID Assignment Specification, 1.
constexpr const char* kBaseClasses[] = {"Unclassified",
                                        "Mass storage controller",
                                        "Network controller",
                                        "Display controller",
                                        "Multimedia controller",
                                        "Memory controller",
                                        "Bridge",
                                        "Communication controller",
                                        "System peripheral",
                                        "Input device controller",
                                        "Docking station",
                                        "Processor",
                                        "Serial bus controller",
                                        "Wireless controller",
                                        "Intelligent controller",
                                        "Satellite communications controller",
                                        "Encryption controller",
                                        "Signal processing controller",
                                        "Processing accelerator",
                                        "Non-essential instrumentation"};
constexpr const char* kLayouts[] = {"Type 0 (endpoint)", "Type 1 (bridge)", "Type 2 (CardBus)"};
constexpr const char* kPins[] = {"none", "INTA", "INTB", "INTC", "INTD"};
constexpr const char* kDevsel[] = {"fast", "medium", "slow"};
constexpr const char* kIoWidths[] = {"16 bits", "32 bits"};
constexpr const char* kWindowWidths[] = {"32 bits", "64 bits"};

std::string class_text(uint64_t value) {
    return value == 0xff ? "Unassigned" : name_in(kBaseClasses, value);
}
std::string io_window(uint64_t value) {
    return hex_address(value << 12);
}
std::string memory_window(uint64_t value) {
    return hex_address(value << 20);
}
std::string rom_address(uint64_t value) {
    return hex_address(value << 11);
}

constexpr std::initializer_list<FieldRow> kRomFields = {
    {"ENABLE", EXPANSION_ROM_ENABLE, enabled}, {"ADDRESS", EXPANSION_ROM_ADDRESS, rom_address}};

// Both layouts have these.
constexpr RegisterRow kCommon[] = {
    {"VENDOR_ID", VENDOR_ID, 16, "Who made the device; ffff in a VF."},
    {"DEVICE_ID", DEVICE_ID, 16, "Which device it is; ffff in a VF."},
    {"COMMAND",
     COMMAND,
     16,
     "What the function may do on the bus.",
     {{"IO_SPACE", COMMAND_IO_SPACE},
      {"MEMORY_SPACE", COMMAND_MEMORY_SPACE},
      {"BUS_MASTER", COMMAND_BUS_MASTER},
      {"SPECIAL_CYCLES", bit(3)},
      {"MEMORY_WRITE_AND_INVALIDATE", bit(4)},
      {"VGA_PALETTE_SNOOP", bit(5)},
      {"PARITY_ERROR_RESPONSE", COMMAND_PARITY_ERROR_RESPONSE},
      {"IDSEL_STEPPING", bit(7)},
      {"SERR_ENABLE", COMMAND_SERR_ENABLE},
      {"FAST_BACK_TO_BACK", bit(9)},
      {"INTERRUPT_DISABLE", COMMAND_INTERRUPT_DISABLE}}},
    {"STATUS",
     STATUS,
     16,
     "Capabilities and errors; ones are cleared by writing them.",
     {{"IMMEDIATE_READINESS", bit(0)},
      {"INTERRUPT", STATUS_INTERRUPT},
      {"CAPABILITIES_LIST", STATUS_CAPABILITIES_LIST},
      {"66_MHZ", bit(5)},
      {"FAST_BACK_TO_BACK", bit(7)},
      {"MASTER_DATA_PARITY_ERROR", STATUS_MASTER_DATA_PARITY_ERROR},
      {"DEVSEL", bits(10, 9), named<kDevsel>},
      {"SIGNALED_TARGET_ABORT", STATUS_SIGNALED_TARGET_ABORT},
      {"RECEIVED_TARGET_ABORT", STATUS_RECEIVED_TARGET_ABORT},
      {"RECEIVED_MASTER_ABORT", STATUS_RECEIVED_MASTER_ABORT},
      {"SIGNALED_SYSTEM_ERROR", STATUS_SIGNALED_SYSTEM_ERROR},
      {"DETECTED_PARITY_ERROR", STATUS_DETECTED_PARITY_ERROR}}},
    {"REVISION_ID", REVISION_ID, 8, "Revision, by the vendor's counting."},
    {"CLASS_CODE",
     CLASS_CODE,
     24,
     "What kind of device it is.",
     {{"BASE_CLASS", bits(23, 16), class_text},
      {"SUBCLASS", bits(15, 8)},
      {"PROGRAMMING_INTERFACE", bits(7, 0)}}},
    {"CACHE_LINE_SIZE", CACHE_LINE_SIZE, 8, "In dwords; without effect on PCI Express."},
    {"LATENCY_TIMER", LATENCY_TIMER, 8, "Without effect on PCI Express."},
    {"HEADER_TYPE",
     HEADER_TYPE,
     8,
     "Layout of what follows.",
     {{"LAYOUT", HEADER_TYPE_LAYOUT, named<kLayouts>},
      {"MULTI_FUNCTION", HEADER_TYPE_MULTI_FUNCTION}}},
    {"BIST",
     BIST,
     8,
     "Built-in self test.",
     {{"CAPABLE", bit(7)}, {"START", bit(6)}, {"COMPLETION_CODE", bits(3, 0)}}},
    {"CAPABILITIES_POINTER", CAPABILITIES_POINTER, 8, "The first capability."},
    {"INTERRUPT_LINE", INTERRUPT_LINE, 8, "A note of firmware and the operating system."},
    {"INTERRUPT_PIN",
     INTERRUPT_PIN,
     8,
     "The legacy interrupt that the function uses.",
     {{"PIN", bits(7, 0), named<kPins>}}},
};

constexpr RegisterRow kEndpoint[] = {
    {"CARDBUS_CIS_POINTER", 0x28, 32, "Without effect on PCI Express."},
    {"SUBSYSTEM_VENDOR_ID", SUBSYSTEM_VENDOR_ID, 16, "Who made the board."},
    {"SUBSYSTEM_ID", SUBSYSTEM_ID, 16, "Which board it is."},
    {"EXPANSION_ROM", EXPANSION_ROM, 32, "Where the expansion ROM lies.", kRomFields},
    {"MIN_GNT", 0x3e, 8, "Without effect on PCI Express."},
    {"MAX_LAT", 0x3f, 8, "Without effect on PCI Express."},
};

constexpr RegisterRow kBridge[] = {
    {"PRIMARY_BUS", PRIMARY_BUS, 8, "The bus above."},
    {"SECONDARY_BUS", SECONDARY_BUS, 8, "The bus below."},
    {"SUBORDINATE_BUS", SUBORDINATE_BUS, 8, "The highest bus below."},
    {"SECONDARY_LATENCY_TIMER", 0x1b, 8, "Without effect on PCI Express."},
    {"IO_BASE",
     0x1c,
     8,
     "Start of the I/O window.",
     {{"WIDTH", bits(3, 0), named<kIoWidths>}, {"ADDRESS", bits(7, 4), io_window}}},
    {"IO_LIMIT",
     0x1d,
     8,
     "Last 4 KiB of the I/O window.",
     {{"WIDTH", bits(3, 0), named<kIoWidths>}, {"ADDRESS", bits(7, 4), io_window}}},
    {"SECONDARY_STATUS",
     SECONDARY_STATUS,
     16,
     "Errors on the bus below.",
     {{"66_MHZ", bit(5)},
      {"FAST_BACK_TO_BACK", bit(7)},
      {"MASTER_DATA_PARITY_ERROR", STATUS_MASTER_DATA_PARITY_ERROR},
      {"DEVSEL", bits(10, 9), named<kDevsel>},
      {"SIGNALED_TARGET_ABORT", STATUS_SIGNALED_TARGET_ABORT},
      {"RECEIVED_TARGET_ABORT", STATUS_RECEIVED_TARGET_ABORT},
      {"RECEIVED_MASTER_ABORT", STATUS_RECEIVED_MASTER_ABORT},
      {"RECEIVED_SYSTEM_ERROR", STATUS_SIGNALED_SYSTEM_ERROR},
      {"DETECTED_PARITY_ERROR", STATUS_DETECTED_PARITY_ERROR}}},
    {"MEMORY_BASE",
     MEMORY_BASE,
     16,
     "Start of the memory window.",
     {{"ADDRESS", MEMORY_WINDOW_ADDRESS, memory_window}}},
    {"MEMORY_LIMIT",
     MEMORY_LIMIT,
     16,
     "Last MiB of the memory window.",
     {{"ADDRESS", MEMORY_WINDOW_ADDRESS, memory_window}}},
    {"PREFETCHABLE_BASE",
     PREFETCHABLE_BASE,
     16,
     "Start of the prefetchable window, low half.",
     {{"WIDTH", bits(3, 0), named<kWindowWidths>},
      {"ADDRESS", MEMORY_WINDOW_ADDRESS, memory_window}}},
    {"PREFETCHABLE_LIMIT",
     PREFETCHABLE_LIMIT,
     16,
     "Last MiB of the prefetchable window, low half.",
     {{"WIDTH", bits(3, 0), named<kWindowWidths>},
      {"ADDRESS", MEMORY_WINDOW_ADDRESS, memory_window}}},
    {"PREFETCHABLE_BASE_UPPER", PREFETCHABLE_BASE_UPPER, 32, "Its high half."},
    {"PREFETCHABLE_LIMIT_UPPER", PREFETCHABLE_LIMIT_UPPER, 32, "Its high half."},
    {"IO_BASE_UPPER", 0x30, 16, "High half of IO_BASE's address."},
    {"IO_LIMIT_UPPER", 0x32, 16, "High half of IO_LIMIT's address."},
    {"EXPANSION_ROM", BRIDGE_EXPANSION_ROM, 32, "Where the expansion ROM lies.", kRomFields},
    {"BRIDGE_CONTROL",
     BRIDGE_CONTROL,
     16,
     "What the bridge does with the bus below.",
     {{"PARITY", BRIDGE_CONTROL_PARITY},
      {"SERR", BRIDGE_CONTROL_SERR},
      {"ISA", BRIDGE_CONTROL_ISA},
      {"VGA", BRIDGE_CONTROL_VGA},
      {"VGA_16", BRIDGE_CONTROL_VGA_16},
      {"MASTER_ABORT_MODE", bit(5)},
      {"BUS_RESET", BRIDGE_CONTROL_BUS_RESET},
      {"FAST_BACK_TO_BACK", bit(7)},
      {"PRIMARY_DISCARD_TIMER", bit(8)},
      {"SECONDARY_DISCARD_TIMER", bit(9)},
      {"DISCARD_TIMER_STATUS", bit(10)},
      {"DISCARD_TIMER_SERR", bit(11)}}},
};

// As Linux's vmd driver knows them; they are in no list.
constexpr RegisterRow kVmd[] = {
    {"VMCAP", 0x00, 32, "What the domain can.", {{"BUS_RESTRICT", bit(0)}}},
    {"VMCONFIG",
     0x04,
     32,
     "How the domain is set up.",
     {{"MSI_REMAP_DISABLE", bit(1)}, {"BUS_RESTRICTIONS", bits(9, 8)}}},
};

}  // namespace

std::span<const RegisterRow> vmd_rows() {
    return kVmd;
}

std::span<const RegisterRow> common_header_rows() {
    return kCommon;
}

std::span<const RegisterRow> header_rows(bool bridge) {
    return bridge ? std::span<const RegisterRow>(kBridge) : kEndpoint;
}

}  // namespace mimic::pci::rows
