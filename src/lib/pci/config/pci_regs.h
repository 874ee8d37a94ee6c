// SPDX-License-Identifier: Apache-2.0
// Offsets and fields of the configuration registers that Mimic implements, named as in the PCIe
// Base Specification 6.0, chapter 7: REGISTER is an offset from its structure, REGISTER_FIELD a
// mask in the register. capabilities_test.cpp compares them with the kernel's <linux/pci_regs.h>.
#pragma once

#include <cstdint>

namespace mimic::pci::regs {

// --- Common header (7.5.1.1) and type 0 (7.5.1.2) --------------------------------------------
inline constexpr uint32_t VENDOR_ID = 0x00;
inline constexpr uint32_t DEVICE_ID = 0x02;
inline constexpr uint32_t COMMAND = 0x04;
inline constexpr uint32_t COMMAND_IO_SPACE = 1U << 0;
inline constexpr uint32_t COMMAND_MEMORY_SPACE = 1U << 1;
inline constexpr uint32_t COMMAND_BUS_MASTER = 1U << 2;
inline constexpr uint32_t COMMAND_PARITY_ERROR_RESPONSE = 1U << 6;
inline constexpr uint32_t COMMAND_SERR_ENABLE = 1U << 8;
inline constexpr uint32_t COMMAND_INTERRUPT_DISABLE = 1U << 10;
inline constexpr uint32_t STATUS = 0x06;
inline constexpr uint32_t STATUS_INTERRUPT = 1U << 3;
inline constexpr uint32_t STATUS_CAPABILITIES_LIST = 1U << 4;
inline constexpr uint32_t STATUS_MASTER_DATA_PARITY_ERROR = 1U << 8;
inline constexpr uint32_t STATUS_SIGNALED_TARGET_ABORT = 1U << 11;
inline constexpr uint32_t STATUS_RECEIVED_TARGET_ABORT = 1U << 12;
inline constexpr uint32_t STATUS_RECEIVED_MASTER_ABORT = 1U << 13;
inline constexpr uint32_t STATUS_SIGNALED_SYSTEM_ERROR = 1U << 14;
inline constexpr uint32_t STATUS_DETECTED_PARITY_ERROR = 1U << 15;
inline constexpr uint32_t REVISION_ID = 0x08;
inline constexpr uint32_t CLASS_CODE = 0x09;  // 3 bytes: programming interface, subclass, base
                                              // class
inline constexpr uint32_t CACHE_LINE_SIZE = 0x0c;
inline constexpr uint32_t LATENCY_TIMER = 0x0d;
inline constexpr uint32_t HEADER_TYPE = 0x0e;
inline constexpr uint32_t HEADER_TYPE_LAYOUT = 0x7f;  // 0: endpoint, 1: bridge
inline constexpr uint32_t HEADER_TYPE_MULTI_FUNCTION = 1U << 7;
inline constexpr uint32_t BIST = 0x0f;
inline constexpr uint32_t BAR0 = 0x10;
inline constexpr uint32_t BAR_IO_SPACE = 1U << 0;
inline constexpr uint32_t BAR_MEMORY_TYPE_64 = 2U << 1;
inline constexpr uint32_t BAR_PREFETCHABLE = 1U << 3;
inline constexpr uint32_t BAR_MEMORY_ADDRESS = ~0xfU;
inline constexpr uint32_t BAR_IO_ADDRESS = ~0x3U;
inline constexpr uint32_t SUBSYSTEM_VENDOR_ID = 0x2c;
inline constexpr uint32_t SUBSYSTEM_ID = 0x2e;
inline constexpr uint32_t EXPANSION_ROM = 0x30;
inline constexpr uint32_t EXPANSION_ROM_ENABLE = 1U << 0;
inline constexpr uint32_t EXPANSION_ROM_ADDRESS = ~0x7ffU;
inline constexpr uint32_t CAPABILITIES_POINTER = 0x34;
inline constexpr uint32_t INTERRUPT_LINE = 0x3c;
inline constexpr uint32_t INTERRUPT_PIN = 0x3d;

// --- Type 1: bridges (7.5.1.3) ---------------------------------------------------------------
inline constexpr uint32_t PRIMARY_BUS = 0x18;
inline constexpr uint32_t SECONDARY_BUS = 0x19;
inline constexpr uint32_t SUBORDINATE_BUS = 0x1a;
inline constexpr uint32_t SECONDARY_STATUS = 0x1e;
inline constexpr uint32_t MEMORY_BASE = 0x20;
inline constexpr uint32_t MEMORY_LIMIT = 0x22;
inline constexpr uint32_t MEMORY_WINDOW_ADDRESS = 0xfff0;  // bits 31:20 of the address
inline constexpr uint32_t PREFETCHABLE_BASE = 0x24;
inline constexpr uint32_t PREFETCHABLE_LIMIT = 0x26;
inline constexpr uint32_t PREFETCHABLE_64_BIT = 0x1;
inline constexpr uint32_t PREFETCHABLE_BASE_UPPER = 0x28;
inline constexpr uint32_t PREFETCHABLE_LIMIT_UPPER = 0x2c;
inline constexpr uint32_t BRIDGE_EXPANSION_ROM = 0x38;
inline constexpr uint32_t BRIDGE_CONTROL = 0x3e;
inline constexpr uint32_t BRIDGE_CONTROL_PARITY = 1U << 0;
inline constexpr uint32_t BRIDGE_CONTROL_SERR = 1U << 1;
inline constexpr uint32_t BRIDGE_CONTROL_ISA = 1U << 2;
inline constexpr uint32_t BRIDGE_CONTROL_VGA = 1U << 3;
inline constexpr uint32_t BRIDGE_CONTROL_VGA_16 = 1U << 4;
inline constexpr uint32_t BRIDGE_CONTROL_BUS_RESET = 1U << 6;

inline constexpr uint32_t FIRST_CAPABILITY = 0x40;
inline constexpr uint32_t FIRST_EXTENDED_CAPABILITY = 0x100;

// --- Capability identifiers (PCI Code and ID Assignment Specification, 2 and 3) --------------
inline constexpr uint8_t CAP_ID_PM = 0x01;
inline constexpr uint8_t CAP_ID_MSI = 0x05;
inline constexpr uint8_t CAP_ID_VENDOR = 0x09;
inline constexpr uint8_t CAP_ID_SSVID = 0x0d;
inline constexpr uint8_t CAP_ID_PCIE = 0x10;
inline constexpr uint8_t CAP_ID_MSIX = 0x11;
inline constexpr uint16_t EXT_CAP_ID_AER = 0x0001;
inline constexpr uint16_t EXT_CAP_ID_DSN = 0x0003;
inline constexpr uint16_t EXT_CAP_ID_VSEC = 0x000b;
inline constexpr uint16_t EXT_CAP_ID_ACS = 0x000d;
inline constexpr uint16_t EXT_CAP_ID_ARI = 0x000e;
inline constexpr uint16_t EXT_CAP_ID_SRIOV = 0x0010;

// --- Power Management (7.5.2; PCI Power Management 1.2, chapter 3) ---------------------------
inline constexpr uint32_t PM_SIZE = 8;
inline constexpr uint32_t PMC = 0x02;
inline constexpr uint32_t PMC_VERSION_1_2 = 3;
inline constexpr uint32_t PMC_D1_SUPPORT = 1U << 9;
inline constexpr uint32_t PMC_D2_SUPPORT = 1U << 10;
inline constexpr uint32_t PMCSR = 0x04;
inline constexpr uint32_t PMCSR_POWER_STATE = 0x3;
inline constexpr uint32_t PMCSR_NO_SOFT_RESET = 1U << 3;

// --- MSI (7.7.1) -----------------------------------------------------------------------------
inline constexpr uint32_t MSI_CONTROL = 0x02;
inline constexpr uint32_t MSI_CONTROL_ENABLE = 1U << 0;
inline constexpr uint32_t MSI_CONTROL_MULTIPLE_MESSAGE_CAPABLE = 0x7U << 1;
inline constexpr uint32_t MSI_CONTROL_MULTIPLE_MESSAGE_ENABLE = 0x7U << 4;
inline constexpr uint32_t MSI_CONTROL_64_BIT_ADDRESS = 1U << 7;
inline constexpr uint32_t MSI_CONTROL_PER_VECTOR_MASKING = 1U << 8;
inline constexpr uint32_t MSI_CONTROL_EXTENDED_DATA_CAPABLE = 1U << 9;
inline constexpr uint32_t MSI_ADDRESS = 0x04;
inline constexpr uint32_t MSI_ADDRESS_MASK = ~0x3U;
inline constexpr uint32_t MSI_DATA_32 = 0x08;
inline constexpr uint32_t MSI_MASK_32 = 0x0c;
inline constexpr uint32_t MSI_PENDING_32 = 0x10;
inline constexpr uint32_t MSI_UPPER_ADDRESS = 0x08;  // from here on with 64-bit addresses
inline constexpr uint32_t MSI_DATA_64 = 0x0c;
inline constexpr uint32_t MSI_MASK_64 = 0x10;
inline constexpr uint32_t MSI_PENDING_64 = 0x14;

// --- MSI-X (7.7.2) ---------------------------------------------------------------------------
inline constexpr uint32_t MSIX_SIZE = 12;
inline constexpr uint32_t MSIX_CONTROL = 0x02;
inline constexpr uint32_t MSIX_CONTROL_TABLE_SIZE = 0x7ff;  // vectors - 1
inline constexpr uint32_t MSIX_CONTROL_FUNCTION_MASK = 1U << 14;
inline constexpr uint32_t MSIX_CONTROL_ENABLE = 1U << 15;
inline constexpr uint32_t MSIX_TABLE = 0x04;
inline constexpr uint32_t MSIX_PBA = 0x08;
inline constexpr uint32_t MSIX_BIR = 0x7;
inline constexpr uint32_t MSIX_OFFSET = ~0x7U;
inline constexpr uint32_t MSIX_ENTRY_SIZE = 16;
inline constexpr uint32_t MSIX_ENTRY_VECTOR_CONTROL = 12;
inline constexpr uint32_t MSIX_VECTOR_CONTROL_MASK = 1U << 0;
inline constexpr uint32_t MSIX_MAX_VECTORS = 2048;

// --- PCI Express (7.5.3) ---------------------------------------------------------------------
inline constexpr uint32_t PCIE_SIZE = 0x3c;
inline constexpr uint32_t PCIE_CAPABILITIES = 0x02;
inline constexpr uint32_t PCIE_CAPABILITIES_VERSION = 2;
inline constexpr uint32_t PCIE_CAPABILITIES_PORT_TYPE = 0xfU << 4;
inline constexpr uint32_t PCIE_CAPABILITIES_SLOT = 1U << 8;  // Slot Implemented
inline constexpr uint32_t DEVCAP = 0x04;
inline constexpr uint32_t DEVCAP_MAX_PAYLOAD_SIZE = 0x7;
inline constexpr uint32_t DEVCAP_EXTENDED_TAG = 1U << 5;
inline constexpr uint32_t DEVCAP_ROLE_BASED_ERROR_REPORTING = 1U << 15;
inline constexpr uint32_t DEVCAP_FLR = 1U << 28;
inline constexpr uint32_t DEVCTL = 0x08;
inline constexpr uint32_t DEVCTL_ERROR_REPORTING = 0xf;  // correctable, non-fatal, fatal,
                                                         // unsupported request
inline constexpr uint32_t DEVCTL_RELAXED_ORDERING = 1U << 4;
inline constexpr uint32_t DEVCTL_MAX_PAYLOAD_SIZE = 0x7U << 5;
inline constexpr uint32_t DEVCTL_EXTENDED_TAG = 1U << 8;
inline constexpr uint32_t DEVCTL_NO_SNOOP = 1U << 11;
inline constexpr uint32_t DEVCTL_MAX_READ_REQUEST_SIZE = 0x7U << 12;
inline constexpr uint32_t DEVCTL_MAX_READ_REQUEST_512 = 0x2U << 12;
inline constexpr uint32_t DEVCTL_INITIATE_FLR = 1U << 15;
inline constexpr uint32_t DEVSTA = 0x0a;
inline constexpr uint32_t DEVSTA_ERRORS = 0xf;  // correctable, non-fatal, fatal, unsupported
                                                // request
inline constexpr uint32_t DEVSTA_CORRECTABLE = 1U << 0;  // and so in DEVCTL's enables
inline constexpr uint32_t DEVSTA_NON_FATAL = 1U << 1;
inline constexpr uint32_t DEVSTA_FATAL = 1U << 2;
inline constexpr uint32_t DEVSTA_UNSUPPORTED_REQUEST = 1U << 3;
inline constexpr uint32_t DEVSTA_TRANSACTIONS_PENDING = 1U << 5;
inline constexpr uint32_t LNKCAP = 0x0c;
inline constexpr uint32_t LNKCAP_MAX_LINK_SPEED = 0xf;
inline constexpr uint32_t LNKCAP_MAX_LINK_WIDTH = 0x3fU << 4;
inline constexpr uint32_t LNKCAP_SURPRISE_DOWN = 1U << 19;  // Surprise Down Error Reporting Capable
inline constexpr uint32_t LNKCAP_DLL_ACTIVE = 1U << 20;     // Data Link Layer Link Active Reporting
inline constexpr uint32_t LNKCAP_ASPM_OPTIONALITY = 1U << 22;
inline constexpr uint32_t LNKCTL = 0x10;
inline constexpr uint32_t LNKCTL_ASPM_CONTROL = 0x3;
inline constexpr uint32_t LNKCTL_RCB = 1U << 3;
inline constexpr uint32_t LNKCTL_LINK_DISABLE = 1U << 4;
inline constexpr uint32_t LNKCTL_RETRAIN = 1U << 5;
inline constexpr uint32_t LNKCTL_COMMON_CLOCK = 1U << 6;
inline constexpr uint32_t LNKCTL_EXTENDED_SYNCH = 1U << 7;
inline constexpr uint32_t LNKCTL_HW_AUTONOMOUS_WIDTH_DISABLE = 1U << 9;
inline constexpr uint32_t LNKSTA = 0x12;
inline constexpr uint32_t LNKSTA_CURRENT_LINK_SPEED = 0xf;
inline constexpr uint32_t LNKSTA_NEGOTIATED_LINK_WIDTH = 0x3fU << 4;
inline constexpr uint32_t LNKSTA_SLOT_CLOCK = 1U << 12;
inline constexpr uint32_t LNKSTA_DLL_ACTIVE = 1U << 13;
inline constexpr uint32_t SLTCAP = 0x14;
inline constexpr uint32_t SLTCAP_SURPRISE = 1U << 5;
inline constexpr uint32_t SLTCAP_HOT_PLUG = 1U << 6;
inline constexpr uint32_t SLTCAP_NO_COMMAND_COMPLETED = 1U << 18;
inline constexpr uint32_t SLTCAP_SLOT_NUMBER_SHIFT = 19;
inline constexpr uint32_t SLTCTL = 0x18;
inline constexpr uint32_t SLTCTL_EVENTS = 0x1f;  // enables of the events in SLTSTA's low bits
inline constexpr uint32_t SLTCTL_HOT_PLUG_INTERRUPT = 1U << 5;
inline constexpr uint32_t SLTCTL_INDICATORS = 0xfU << 6;
inline constexpr uint32_t SLTCTL_DLL_STATE_CHANGED = 1U << 12;
inline constexpr uint32_t SLTSTA = 0x1a;
inline constexpr uint32_t SLTSTA_PRESENCE_CHANGED = 1U << 3;
inline constexpr uint32_t SLTSTA_PRESENCE = 1U << 6;
inline constexpr uint32_t SLTSTA_DLL_STATE_CHANGED = 1U << 8;
inline constexpr uint32_t SLTSTA_EVENTS = 0x1fU | SLTSTA_DLL_STATE_CHANGED;
inline constexpr uint32_t ROOTCTL = 0x1c;
inline constexpr uint32_t ROOTCTL_WRITABLE = 0xf;
inline constexpr uint32_t ROOTSTA = 0x20;
inline constexpr uint32_t DEVCAP2 = 0x24;
inline constexpr uint32_t DEVCAP2_COMPLETION_TIMEOUT_AB = 0x3;
inline constexpr uint32_t DEVCAP2_COMPLETION_TIMEOUT_DISABLE = 1U << 4;
inline constexpr uint32_t DEVCAP2_ARI_FORWARDING = 1U << 5;
inline constexpr uint32_t DEVCAP2_10_BIT_TAG_COMPLETER = 1U << 16;
inline constexpr uint32_t DEVCTL2 = 0x28;
inline constexpr uint32_t DEVCTL2_COMPLETION_TIMEOUT = 0xf;
inline constexpr uint32_t DEVCTL2_COMPLETION_TIMEOUT_DISABLE = 1U << 4;
inline constexpr uint32_t DEVCTL2_ARI_FORWARDING = 1U << 5;
inline constexpr uint32_t LNKCAP2 = 0x2c;
inline constexpr uint32_t LNKCTL2 = 0x30;
inline constexpr uint32_t LNKCTL2_TARGET_LINK_SPEED = 0xf;
inline constexpr uint32_t LNKCTL2_ENTER_COMPLIANCE = 1U << 4;
inline constexpr uint32_t LNKCTL2_HW_AUTONOMOUS_SPEED_DISABLE = 1U << 5;
inline constexpr uint32_t LNKCTL2_TRANSMIT_MARGIN = 0x7U << 7;
inline constexpr uint32_t LNKCTL2_ENTER_MODIFIED_COMPLIANCE = 1U << 10;
inline constexpr uint32_t LNKCTL2_COMPLIANCE_SOS = 1U << 11;
inline constexpr uint32_t LNKCTL2_COMPLIANCE_PRESET = 0xfU << 12;
inline constexpr uint32_t LNKSTA2 = 0x32;
inline constexpr uint32_t LNKSTA2_EQUALIZATION = 0xfU << 1;  // complete, phases 1 to 3
inline constexpr uint32_t LNKSTA2_LINK_EQUALIZATION_REQUEST = 1U << 5;

// --- Advanced Error Reporting (7.8.4) --------------------------------------------------------
inline constexpr uint32_t AER_SIZE = 0x2c;  // without root port registers and TLP prefix log
inline constexpr uint32_t AER_UNCORRECTABLE_STATUS = 0x04;
inline constexpr uint32_t AER_UNCORRECTABLE_MASK = 0x08;
inline constexpr uint32_t AER_UNCORRECTABLE_SEVERITY = 0x0c;
inline constexpr uint32_t AER_DATA_LINK_PROTOCOL = 1U << 4;
inline constexpr uint32_t AER_SURPRISE_DOWN = 1U << 5;
inline constexpr uint32_t AER_POISONED_TLP = 1U << 12;
inline constexpr uint32_t AER_FLOW_CONTROL_PROTOCOL = 1U << 13;
inline constexpr uint32_t AER_COMPLETION_TIMEOUT = 1U << 14;
inline constexpr uint32_t AER_COMPLETER_ABORT = 1U << 15;
inline constexpr uint32_t AER_UNEXPECTED_COMPLETION = 1U << 16;
inline constexpr uint32_t AER_RECEIVER_OVERFLOW = 1U << 17;
inline constexpr uint32_t AER_MALFORMED_TLP = 1U << 18;
inline constexpr uint32_t AER_ECRC = 1U << 19;
inline constexpr uint32_t AER_UNSUPPORTED_REQUEST = 1U << 20;
inline constexpr uint32_t AER_ACS_VIOLATION = 1U << 21;
inline constexpr uint32_t AER_UNCORRECTABLE_INTERNAL = 1U << 22;
inline constexpr uint32_t AER_MC_BLOCKED_TLP = 1U << 23;
inline constexpr uint32_t AER_ATOMICOP_EGRESS_BLOCKED = 1U << 24;
inline constexpr uint32_t AER_TLP_PREFIX_BLOCKED = 1U << 25;
inline constexpr uint32_t AER_CORRECTABLE_STATUS = 0x10;
inline constexpr uint32_t AER_CORRECTABLE_MASK = 0x14;
inline constexpr uint32_t AER_RECEIVER_ERROR = 1U << 0;
inline constexpr uint32_t AER_BAD_TLP = 1U << 6;
inline constexpr uint32_t AER_BAD_DLLP = 1U << 7;
inline constexpr uint32_t AER_REPLAY_NUM_ROLLOVER = 1U << 8;
inline constexpr uint32_t AER_REPLAY_TIMER_TIMEOUT = 1U << 12;
inline constexpr uint32_t AER_ADVISORY_NON_FATAL = 1U << 13;
inline constexpr uint32_t AER_CORRECTED_INTERNAL = 1U << 14;
inline constexpr uint32_t AER_HEADER_LOG_OVERFLOW = 1U << 15;
inline constexpr uint32_t AER_CONTROL = 0x18;  // Advanced Error Capabilities and Control
inline constexpr uint32_t AER_CONTROL_FIRST_ERROR_POINTER = 0x1f;
inline constexpr uint32_t AER_CONTROL_ECRC_GENERATION_CAPABLE = 1U << 5;
inline constexpr uint32_t AER_CONTROL_ECRC_GENERATION_ENABLE = 1U << 6;
inline constexpr uint32_t AER_CONTROL_ECRC_CHECK_CAPABLE = 1U << 7;
inline constexpr uint32_t AER_CONTROL_ECRC_CHECK_ENABLE = 1U << 8;
inline constexpr uint32_t AER_HEADER_LOG = 0x1c;  // 16 bytes

inline constexpr uint32_t AER_ROOT_SIZE = 0x38;  // with the registers of root ports
inline constexpr uint32_t AER_ROOT_COMMAND = 0x2c;
inline constexpr uint32_t AER_ROOT_COMMAND_ENABLES = 0x7;  // correctable, non-fatal, fatal
inline constexpr uint32_t AER_ROOT_STATUS = 0x30;
inline constexpr uint32_t AER_ROOT_STATUS_CORRECTABLE = 1U << 0;
inline constexpr uint32_t AER_ROOT_STATUS_MULTIPLE_CORRECTABLE = 1U << 1;
inline constexpr uint32_t AER_ROOT_STATUS_UNCORRECTABLE = 1U << 2;
inline constexpr uint32_t AER_ROOT_STATUS_MULTIPLE_UNCORRECTABLE = 1U << 3;
inline constexpr uint32_t AER_ROOT_STATUS_FIRST_FATAL = 1U << 4;
inline constexpr uint32_t AER_ROOT_STATUS_NON_FATAL = 1U << 5;
inline constexpr uint32_t AER_ROOT_STATUS_FATAL = 1U << 6;
inline constexpr uint32_t AER_ROOT_SOURCE = 0x34;  // correctable in the low half

// --- ACS (7.7.11), ARI (7.8.8), SR-IOV (9.3.3) -----------------------------------------------
inline constexpr uint32_t ACS_SIZE = 8;
inline constexpr uint32_t ACS_CAPABILITY = 0x04;
inline constexpr uint32_t ACS_CONTROL = 0x06;
inline constexpr uint32_t ACS_SOURCE_VALIDATION = 1U << 0;
inline constexpr uint32_t ACS_TRANSLATION_BLOCKING = 1U << 1;
inline constexpr uint32_t ACS_P2P_REQUEST_REDIRECT = 1U << 2;
inline constexpr uint32_t ACS_P2P_COMPLETION_REDIRECT = 1U << 3;
inline constexpr uint32_t ACS_UPSTREAM_FORWARDING = 1U << 4;
inline constexpr uint32_t ARI_SIZE = 8;
inline constexpr uint32_t ARI_CAPABILITY = 0x04;  // 15:8 next function number
inline constexpr uint32_t SRIOV_SIZE = 0x40;
inline constexpr uint32_t SRIOV_CAPABILITIES = 0x04;
inline constexpr uint32_t SRIOV_CAPABILITIES_ARI_PRESERVED = 1U << 1;
inline constexpr uint32_t SRIOV_CAPABILITIES_10_BIT_TAG = 1U << 2;
inline constexpr uint32_t SRIOV_CONTROL = 0x08;
inline constexpr uint32_t SRIOV_CONTROL_VF_ENABLE = 1U << 0;
inline constexpr uint32_t SRIOV_CONTROL_VF_MEMORY_SPACE = 1U << 3;
inline constexpr uint32_t SRIOV_CONTROL_ARI_HIERARCHY = 1U << 4;
inline constexpr uint32_t SRIOV_CONTROL_10_BIT_TAG = 1U << 5;
inline constexpr uint32_t SRIOV_STATUS = 0x0a;
inline constexpr uint32_t SRIOV_INITIAL_VFS = 0x0c;
inline constexpr uint32_t SRIOV_TOTAL_VFS = 0x0e;
inline constexpr uint32_t SRIOV_NUM_VFS = 0x10;
inline constexpr uint32_t SRIOV_FIRST_VF_OFFSET = 0x14;
inline constexpr uint32_t SRIOV_VF_STRIDE = 0x16;
inline constexpr uint32_t SRIOV_VF_DEVICE_ID = 0x1a;
inline constexpr uint32_t SRIOV_SUPPORTED_PAGE_SIZES = 0x1c;
inline constexpr uint32_t SRIOV_SYSTEM_PAGE_SIZE = 0x20;
inline constexpr uint32_t SRIOV_VF_BAR0 = 0x24;

// --- Device Serial Number (7.9.3), Vendor-Specific (7.9.4), VSEC (7.9.5) ---------------------
inline constexpr uint32_t DSN_SIZE = 12;
inline constexpr uint32_t DSN_LOWER = 0x04;
inline constexpr uint32_t DSN_UPPER = 0x08;
inline constexpr uint32_t VENDOR_LENGTH = 0x02;
inline constexpr uint32_t VENDOR_BODY = 0x03;
inline constexpr uint32_t VSEC_HEADER = 0x04;  // 15:0 id, 19:16 revision, 31:20 length
inline constexpr uint32_t VSEC_BODY = 0x08;

}  // namespace mimic::pci::regs
