// SPDX-License-Identifier: Apache-2.0
// Rows of the extended capabilities about errors, access control and virtual functions: PCIe Base
// Specification 6.0, 7.7.11, 7.8.4, 7.8.8, 7.9.14, 9.3.3.
#include <fmt/format.h>

#include "pci/config/pci_regs.h"
#include "pci/describe/config_rows.h"

namespace mimic::pci::rows {
namespace {

using namespace regs;

constexpr const char* kTriggers[] = {"Disabled", "fatal", "non-fatal and fatal", "reserved"};
constexpr const char* kTriggerReasons[] = {"unmasked uncorrectable error", "ERR_NONFATAL",
                                           "ERR_FATAL", "see extension"};

std::string pages(uint64_t value) {
    std::string text;
    for (unsigned i = 0; i < 32; ++i) {
        if ((value >> i & 1) == 0) continue;
        const uint64_t kib = uint64_t{4} << i;
        text += fmt::format("{}{} {}", text.empty() ? "" : ", ", kib < 1024 ? kib : kib / 1024,
                            kib < 1024 ? "KiB" : "MiB");
    }
    return text.empty() ? "none" : text;
}
std::string error_source(uint64_t value) {
    return fmt::format("{:02x}:{:02x}.{}", value >> 8, value >> 3 & 31, value & 7);
}

// Root ports and event collectors have the registers behind the header log.
uint32_t root_errors(const View& view) {
    return view.port_type == 4 || view.port_type == 10;
}
uint32_t prefix_log(const View& view) {
    return (view.u32(AER_CONTROL) & bit(11)) != 0 ? 4 : 0;
}
uint32_t four(const View&) {
    return 4;
}
uint32_t egress_vector(const View& view) {
    if ((view.u16(ACS_CAPABILITY) & bit(5)) == 0) return 0;
    const uint32_t ports = view.u16(ACS_CAPABILITY) >> 8;
    return ((ports == 0 ? 256 : ports) + 31) / 32;
}
uint32_t containment_log(const View& view) {
    return (view.u16(4) & bit(5)) != 0;
}
uint32_t containment_header_log(const View& view) {
    return (view.u16(4) & bit(5)) != 0 ? 4 : 0;
}

constexpr std::initializer_list<FieldRow> kUncorrectable = {
    {"DATA_LINK_PROTOCOL", AER_DATA_LINK_PROTOCOL},
    {"SURPRISE_DOWN", AER_SURPRISE_DOWN},
    {"POISONED_TLP", AER_POISONED_TLP},
    {"FLOW_CONTROL_PROTOCOL", AER_FLOW_CONTROL_PROTOCOL},
    {"COMPLETION_TIMEOUT", AER_COMPLETION_TIMEOUT},
    {"COMPLETER_ABORT", AER_COMPLETER_ABORT},
    {"UNEXPECTED_COMPLETION", AER_UNEXPECTED_COMPLETION},
    {"RECEIVER_OVERFLOW", AER_RECEIVER_OVERFLOW},
    {"MALFORMED_TLP", AER_MALFORMED_TLP},
    {"ECRC", AER_ECRC},
    {"UNSUPPORTED_REQUEST", AER_UNSUPPORTED_REQUEST},
    {"ACS_VIOLATION", AER_ACS_VIOLATION},
    {"UNCORRECTABLE_INTERNAL", AER_UNCORRECTABLE_INTERNAL},
    {"MC_BLOCKED_TLP", AER_MC_BLOCKED_TLP},
    {"ATOMICOP_EGRESS_BLOCKED", AER_ATOMICOP_EGRESS_BLOCKED},
    {"TLP_PREFIX_BLOCKED", AER_TLP_PREFIX_BLOCKED},
    {"POISONED_TLP_EGRESS_BLOCKED", bit(26)},
    {"DMWR_EGRESS_BLOCKED", bit(27)}};
constexpr std::initializer_list<FieldRow> kCorrectable = {{"RECEIVER_ERROR", AER_RECEIVER_ERROR},
                                                          {"BAD_TLP", AER_BAD_TLP},
                                                          {"BAD_DLLP", AER_BAD_DLLP},
                                                          {"REPLAY_NUM_ROLLOVER", bit(8)},
                                                          {"REPLAY_TIMER_TIMEOUT", bit(12)},
                                                          {"ADVISORY_NON_FATAL", bit(13)},
                                                          {"CORRECTED_INTERNAL", bit(14)},
                                                          {"HEADER_LOG_OVERFLOW", bit(15)}};

constexpr RegisterRow kAer[] = {
    {"UNCORRECTABLE_STATUS", AER_UNCORRECTABLE_STATUS, 32,
     "Errors that were detected; ones are cleared by writing them.", kUncorrectable},
    {"UNCORRECTABLE_MASK", AER_UNCORRECTABLE_MASK, 32, "Errors that are not reported.",
     kUncorrectable},
    {"UNCORRECTABLE_SEVERITY", AER_UNCORRECTABLE_SEVERITY, 32, "Errors that are fatal.",
     kUncorrectable},
    {"CORRECTABLE_STATUS", AER_CORRECTABLE_STATUS, 32,
     "Errors that were detected; ones are cleared by writing them.", kCorrectable},
    {"CORRECTABLE_MASK", AER_CORRECTABLE_MASK, 32, "Errors that are not reported.", kCorrectable},
    {"AER_CONTROL",
     AER_CONTROL,
     32,
     "The first error, and checks of TLPs.",
     {{"FIRST_ERROR_POINTER", AER_CONTROL_FIRST_ERROR_POINTER},
      {"ECRC_GENERATION_CAPABLE", AER_CONTROL_ECRC_GENERATION_CAPABLE},
      {"ECRC_GENERATION_ENABLE", AER_CONTROL_ECRC_GENERATION_ENABLE},
      {"ECRC_CHECK_CAPABLE", AER_CONTROL_ECRC_CHECK_CAPABLE},
      {"ECRC_CHECK_ENABLE", AER_CONTROL_ECRC_CHECK_ENABLE},
      {"MULTIPLE_HEADER_CAPABLE", bit(9)},
      {"MULTIPLE_HEADER_ENABLE", bit(10)},
      {"TLP_PREFIX_LOG_PRESENT", bit(11)}}},
    {"HEADER_LOG", AER_HEADER_LOG, 32, "The TLP of the first error.", {}, four, 4, true},
    {"ROOT_ERROR_COMMAND",
     AER_ROOT_COMMAND,
     32,
     "Which error messages raise an interrupt.",
     {{"CORRECTABLE_REPORTING", bit(0)},
      {"NON_FATAL_REPORTING", bit(1)},
      {"FATAL_REPORTING", bit(2)}},
     root_errors},
    {"ROOT_ERROR_STATUS",
     AER_ROOT_STATUS,
     32,
     "Error messages that arrived; ones are cleared by writing them.",
     {{"CORRECTABLE", AER_ROOT_STATUS_CORRECTABLE},
      {"MULTIPLE_CORRECTABLE", AER_ROOT_STATUS_MULTIPLE_CORRECTABLE},
      {"UNCORRECTABLE", AER_ROOT_STATUS_UNCORRECTABLE},
      {"MULTIPLE_UNCORRECTABLE", AER_ROOT_STATUS_MULTIPLE_UNCORRECTABLE},
      {"FIRST_FATAL", AER_ROOT_STATUS_FIRST_FATAL},
      {"NON_FATAL", AER_ROOT_STATUS_NON_FATAL},
      {"FATAL", AER_ROOT_STATUS_FATAL},
      {"INTERRUPT_MESSAGE_NUMBER", bits(31, 27)}},
     root_errors},
    {"ERROR_SOURCE",
     AER_ROOT_SOURCE,
     32,
     "Who sent the first message of each kind.",
     {{"CORRECTABLE", bits(15, 0), error_source}, {"UNCORRECTABLE", bits(31, 16), error_source}},
     root_errors},
    {"TLP_PREFIX_LOG", 0x38, 32, "The prefixes of that TLP.", {}, prefix_log, 4, true},
};

constexpr RegisterRow kSerialNumber[] = {
    {"SERIAL_NUMBER_LOWER", DSN_LOWER, 32, "EUI-64 of the device, low half."},
    {"SERIAL_NUMBER_UPPER", DSN_UPPER, 32, "Its high half."},
};

constexpr RegisterRow kAcs[] = {
    {"ACS_CAPABILITY",
     ACS_CAPABILITY,
     16,
     "Checks and redirections that exist.",
     {{"SOURCE_VALIDATION", ACS_SOURCE_VALIDATION},
      {"TRANSLATION_BLOCKING", ACS_TRANSLATION_BLOCKING},
      {"P2P_REQUEST_REDIRECT", ACS_P2P_REQUEST_REDIRECT},
      {"P2P_COMPLETION_REDIRECT", ACS_P2P_COMPLETION_REDIRECT},
      {"UPSTREAM_FORWARDING", ACS_UPSTREAM_FORWARDING},
      {"P2P_EGRESS_CONTROL", bit(5)},
      {"DIRECT_TRANSLATED_P2P", bit(6)},
      {"ENHANCED", bit(7)},
      {"EGRESS_CONTROL_VECTOR_SIZE", bits(15, 8)}}},
    {"ACS_CONTROL",
     ACS_CONTROL,
     16,
     "Those that are on.",
     {{"SOURCE_VALIDATION", ACS_SOURCE_VALIDATION},
      {"TRANSLATION_BLOCKING", ACS_TRANSLATION_BLOCKING},
      {"P2P_REQUEST_REDIRECT", ACS_P2P_REQUEST_REDIRECT},
      {"P2P_COMPLETION_REDIRECT", ACS_P2P_COMPLETION_REDIRECT},
      {"UPSTREAM_FORWARDING", ACS_UPSTREAM_FORWARDING},
      {"P2P_EGRESS_CONTROL", bit(5)},
      {"DIRECT_TRANSLATED_P2P", bit(6)},
      {"IO_REQUEST_BLOCKING", bit(7)},
      {"DSP_MEMORY_TARGET_ACCESS", bits(9, 8)},
      {"USP_MEMORY_TARGET_ACCESS", bits(11, 10)},
      {"UNCLAIMED_REQUEST_REDIRECT", bit(12)}}},
    {"EGRESS_CONTROL_VECTOR",
     0x08,
     32,
     "A bit a peer that is blocked.",
     {},
     egress_vector,
     4,
     true},
};

constexpr RegisterRow kAri[] = {
    {"ARI_CAPABILITY",
     ARI_CAPABILITY,
     16,
     "The device's next function.",
     {{"MFVC_FUNCTION_GROUPS", bit(0)},
      {"ACS_FUNCTION_GROUPS", bit(1)},
      {"NEXT_FUNCTION_NUMBER", bits(15, 8)}}},
    {"ARI_CONTROL",
     0x06,
     16,
     "Function groups.",
     {{"MFVC_FUNCTION_GROUPS_ENABLE", bit(0)},
      {"ACS_FUNCTION_GROUPS_ENABLE", bit(1)},
      {"FUNCTION_GROUP", bits(6, 4)}}},
};

constexpr RegisterRow kSriov[] = {
    {"SRIOV_CAPABILITIES",
     SRIOV_CAPABILITIES,
     32,
     "What the PF can.",
     {{"VF_MIGRATION", bit(0)},
      {"ARI_PRESERVED", SRIOV_CAPABILITIES_ARI_PRESERVED},
      {"VF_10_BIT_TAG_REQUESTER", bit(2)},
      {"VF_MIGRATION_INTERRUPT_MESSAGE_NUMBER", bits(31, 21)}}},
    {"SRIOV_CONTROL",
     SRIOV_CONTROL,
     16,
     "Whether there are VFs.",
     {{"VF_ENABLE", SRIOV_CONTROL_VF_ENABLE, enabled},
      {"VF_MIGRATION_ENABLE", bit(1)},
      {"VF_MIGRATION_INTERRUPT_ENABLE", bit(2)},
      {"VF_MEMORY_SPACE", SRIOV_CONTROL_VF_MEMORY_SPACE},
      {"ARI_HIERARCHY", SRIOV_CONTROL_ARI_HIERARCHY},
      {"VF_10_BIT_TAG_REQUESTER_ENABLE", bit(5)}}},
    {"SRIOV_STATUS", SRIOV_STATUS, 16, "VF migration.", {{"VF_MIGRATION", bit(0)}}},
    {"INITIAL_VFS", SRIOV_INITIAL_VFS, 16, "VFs that there are at first."},
    {"TOTAL_VFS", SRIOV_TOTAL_VFS, 16, "VFs that there can be."},
    {"NUM_VFS", SRIOV_NUM_VFS, 16, "VFs that VF_ENABLE makes."},
    {"FUNCTION_DEPENDENCY_LINK", 0x12, 8, "The PF that this one depends on; itself: none."},
    {"FIRST_VF_OFFSET", SRIOV_FIRST_VF_OFFSET, 16, "Routing ids from the PF to its first VF."},
    {"VF_STRIDE", SRIOV_VF_STRIDE, 16, "Routing ids from a VF to the next."},
    {"VF_DEVICE_ID", SRIOV_VF_DEVICE_ID, 16, "Device id of the VFs."},
    {"SUPPORTED_PAGE_SIZES",
     SRIOV_SUPPORTED_PAGE_SIZES,
     32,
     "Alignments that VF BARs can have.",
     {{"SIZES", bits(31, 0), pages}}},
    {"SYSTEM_PAGE_SIZE",
     SRIOV_SYSTEM_PAGE_SIZE,
     32,
     "The one that they have.",
     {{"SIZE", bits(31, 0), pages}}},
    {"VF_MIGRATION_STATE_ARRAY_OFFSET",
     0x3c,
     32,
     "Where the state of a migration lies.",
     {{"BIR", bits(2, 0)}, {"OFFSET", bits(31, 3)}}},
};

void vf_bars(const View& view, std::vector<DescribedRegister>& out) {
    append_bars(view, {SRIOV_VF_BAR0, 6, "VF_BAR"}, out);
}

constexpr RegisterRow kContainment[] = {
    {"DPC_CAPABILITY",
     0x04,
     16,
     "What the port can contain.",
     {{"INTERRUPT_MESSAGE_NUMBER", bits(4, 0)},
      {"RP_EXTENSIONS", bit(5)},
      {"POISONED_TLP_EGRESS_BLOCKING", bit(6)},
      {"SOFTWARE_TRIGGERING", bit(7)},
      {"RP_PIO_LOG_SIZE", bits(11, 8)},
      {"DL_ACTIVE_ERR_COR_SIGNALING", bit(12)}}},
    {"DPC_CONTROL",
     0x06,
     16,
     "What triggers containment.",
     {{"TRIGGER_ENABLE", bits(1, 0), named<kTriggers>},
      {"COMPLETION_CONTROL", bit(2)},
      {"INTERRUPT_ENABLE", bit(3)},
      {"ERR_COR_ENABLE", bit(4)},
      {"POISONED_TLP_EGRESS_BLOCKING_ENABLE", bit(5)},
      {"SOFTWARE_TRIGGER", bit(6)},
      {"DL_ACTIVE_ERR_COR_ENABLE", bit(7)}}},
    {"DPC_STATUS",
     0x08,
     16,
     "Whether the link is contained.",
     {{"TRIGGER_STATUS", bit(0)},
      {"TRIGGER_REASON", bits(2, 1), named<kTriggerReasons>},
      {"INTERRUPT_STATUS", bit(3)},
      {"RP_BUSY", bit(4)},
      {"TRIGGER_REASON_EXTENSION", bits(6, 5)},
      {"RP_PIO_FIRST_ERROR_POINTER", bits(12, 8)}}},
    {"DPC_ERROR_SOURCE_ID", 0x0a, 16, "Who sent the message.", {{"ID", bits(15, 0), error_source}}},
    {"RP_PIO_STATUS", 0x0c, 32, "Errors of the root port's own requests.", {}, containment_log},
    {"RP_PIO_MASK", 0x10, 32, "Those that are not reported.", {}, containment_log},
    {"RP_PIO_SEVERITY", 0x14, 32, "Those that are uncorrectable.", {}, containment_log},
    {"RP_PIO_SYSERROR", 0x18, 32, "Those that are system errors.", {}, containment_log},
    {"RP_PIO_EXCEPTION", 0x1c, 32, "Those that are exceptions.", {}, containment_log},
    {"RP_PIO_HEADER_LOG", 0x20, 32, "The request.", {}, containment_header_log, 4, true},
};

constexpr CapabilityRows kErrorCapabilities[] = {
    {EXT_CAP_ID_AER, kAer}, {EXT_CAP_ID_DSN, kSerialNumber},     {EXT_CAP_ID_ACS, kAcs},
    {EXT_CAP_ID_ARI, kAri}, {EXT_CAP_ID_SRIOV, kSriov, vf_bars}, {0x1d, kContainment},
};

}  // namespace

std::span<const CapabilityRows> error_capabilities() {
    return kErrorCapabilities;
}

}  // namespace mimic::pci::rows
