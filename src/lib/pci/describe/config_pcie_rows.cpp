// SPDX-License-Identifier: Apache-2.0
// Rows of the PCI Express capability: PCIe Base Specification 6.0, 7.5.3.
#include <fmt/format.h>

#include "pci/config/pci_regs.h"
#include "pci/describe/config_rows.h"

namespace mimic::pci::rows {
namespace {

using namespace regs;

constexpr const char* kPortTypes[] = {"Endpoint",
                                      "Legacy Endpoint",
                                      "reserved",
                                      "reserved",
                                      "Root Port",
                                      "Upstream Port",
                                      "Downstream Port",
                                      "PCI Express to PCI Bridge",
                                      "PCI to PCI Express Bridge",
                                      "Root Complex Integrated Endpoint",
                                      "Root Complex Event Collector"};
constexpr const char* kPhantom[] = {"none", "1 bit", "2 bits", "3 bits"};
constexpr const char* kL0sAcceptable[] = {"64 ns", "128 ns", "256 ns", "512 ns",
                                          "1 us",  "2 us",   "4 us",   "no limit"};
constexpr const char* kL1Acceptable[] = {"1 us",  "2 us",  "4 us",  "8 us",
                                         "16 us", "32 us", "64 us", "no limit"};
constexpr const char* kL0sExit[] = {"< 64 ns", "< 128 ns", "< 256 ns", "< 512 ns",
                                    "< 1 us",  "< 2 us",   "< 4 us",   "> 4 us"};
constexpr const char* kL1Exit[] = {"< 1 us",  "< 2 us",  "< 4 us",  "< 8 us",
                                   "< 16 us", "< 32 us", "< 64 us", "> 64 us"};
constexpr const char* kAspmSupport[] = {"none", "L0s", "L1", "L0s L1"};
constexpr const char* kAspmControl[] = {"Disabled", "L0s", "L1", "L0s L1"};
constexpr const char* kRcb[] = {"64 bytes", "128 bytes"};
constexpr const char* kIndicators[] = {"reserved", "On", "Blink", "Off"};
constexpr const char* kTimeouts[] = {
    "50 us to 50 ms", "50 us to 100 us", "1 ms to 10 ms", "reserved",    "reserved",
    "16 ms to 55 ms", "65 ms to 210 ms", "reserved",      "reserved",    "260 ms to 900 ms",
    "1 s to 3.5 s",   "reserved",        "reserved",      "4 s to 13 s", "17 s to 64 s"};
constexpr const char* kTimeoutRanges[] = {
    "none",     "A",        "B",        "A B",      "reserved", "reserved", "B C",   "A B C",
    "reserved", "reserved", "reserved", "reserved", "reserved", "reserved", "B C D", "A B C D"};
constexpr const char* kTphCompleter[] = {"none", "TPH", "reserved", "TPH and extended TPH"};
constexpr const char* kObffSupport[] = {"none", "message", "WAKE#", "message and WAKE#"};
constexpr const char* kObffControl[] = {"Disabled", "message A", "message B", "WAKE#"};
constexpr const char* kDeemphasis[] = {"-6 dB", "-3.5 dB"};
constexpr const char* kEmergency[] = {"none", "device-specific trigger",
                                      "form factor or device-specific trigger", "reserved"};
constexpr const char* kScale[] = {"x 1", "x 0.1", "x 0.01", "x 0.001"};

std::string prefixes(uint64_t value) {
    return fmt::format("{}", value == 0 ? 4 : value);
}
std::string requester(uint64_t value) {
    return fmt::format("{:02x}:{:02x}.{}", value >> 8, value >> 3 & 31, value & 7);
}
std::string power(uint64_t value) {
    return value == 0 ? "On" : "Off";
}
std::string latch(uint64_t value) {
    return value == 0 ? "closed" : "open";
}
std::string presence(uint64_t value) {
    return value == 0 ? "empty" : "present";
}

// Who has which registers (7.5.3, table 7-17), by the port type and the capability's version.
constexpr uint32_t kRootPort = 4;
constexpr uint32_t kDownstreamPort = 6;
constexpr uint32_t kIntegratedEndpoint = 9;
constexpr uint32_t kEventCollector = 10;

uint32_t version(const View& view) {
    return view.u16(PCIE_CAPABILITIES) & 0xf;
}
uint32_t link(const View& view) {
    return view.port_type != kIntegratedEndpoint && view.port_type != kEventCollector;
}
uint32_t slot(const View& view) {
    return (view.u16(PCIE_CAPABILITIES) & PCIE_CAPABILITIES_SLOT) != 0 &&
           (view.port_type == kRootPort || view.port_type == kDownstreamPort);
}
uint32_t root(const View& view) {
    return view.port_type == kRootPort || view.port_type == kEventCollector;
}
uint32_t second(const View& view) {
    return version(view) >= 2;
}
uint32_t second_link(const View& view) {
    return version(view) >= 2 && link(view) != 0;
}

constexpr RegisterRow kDevice[] = {
    {"PCIE_CAPABILITIES",
     PCIE_CAPABILITIES,
     16,
     "What kind of port it is.",
     {{"VERSION", bits(3, 0)},
      {"PORT_TYPE", PCIE_CAPABILITIES_PORT_TYPE, named<kPortTypes>},
      {"SLOT", PCIE_CAPABILITIES_SLOT},
      {"INTERRUPT_MESSAGE_NUMBER", bits(13, 9)},
      {"FLIT_MODE", bit(15)}}},
    {"DEVCAP",
     DEVCAP,
     32,
     "What the device can.",
     {{"MAX_PAYLOAD_SIZE", DEVCAP_MAX_PAYLOAD_SIZE, payload_size},
      {"PHANTOM_FUNCTIONS", bits(4, 3), named<kPhantom>},
      {"EXTENDED_TAG", DEVCAP_EXTENDED_TAG},
      {"L0S_ACCEPTABLE_LATENCY", bits(8, 6), named<kL0sAcceptable>},
      {"L1_ACCEPTABLE_LATENCY", bits(11, 9), named<kL1Acceptable>},
      {"ROLE_BASED_ERROR_REPORTING", DEVCAP_ROLE_BASED_ERROR_REPORTING},
      {"ERR_COR_SUBCLASS", bit(16)},
      {"SLOT_POWER_LIMIT_VALUE", bits(25, 18)},
      {"SLOT_POWER_LIMIT_SCALE", bits(27, 26), named<kScale>},
      {"FLR", DEVCAP_FLR}}},
    {"DEVCTL",
     DEVCTL,
     16,
     "What the device may; INITIATE_FLR resets the function.",
     {{"CORRECTABLE", DEVSTA_CORRECTABLE},
      {"NON_FATAL", DEVSTA_NON_FATAL},
      {"FATAL", DEVSTA_FATAL},
      {"UNSUPPORTED_REQUEST", DEVSTA_UNSUPPORTED_REQUEST},
      {"RELAXED_ORDERING", DEVCTL_RELAXED_ORDERING},
      {"MAX_PAYLOAD_SIZE", DEVCTL_MAX_PAYLOAD_SIZE, payload_size},
      {"EXTENDED_TAG", DEVCTL_EXTENDED_TAG},
      {"PHANTOM_FUNCTIONS", bit(9)},
      {"AUX_POWER_PM", bit(10)},
      {"NO_SNOOP", DEVCTL_NO_SNOOP},
      {"MAX_READ_REQUEST_SIZE", DEVCTL_MAX_READ_REQUEST_SIZE, payload_size},
      {"INITIATE_FLR", DEVCTL_INITIATE_FLR}}},
    {"DEVSTA",
     DEVSTA,
     16,
     "Errors that were detected; ones are cleared by writing them.",
     {{"CORRECTABLE", DEVSTA_CORRECTABLE},
      {"NON_FATAL", DEVSTA_NON_FATAL},
      {"FATAL", DEVSTA_FATAL},
      {"UNSUPPORTED_REQUEST", DEVSTA_UNSUPPORTED_REQUEST},
      {"AUX_POWER", bit(4)},
      {"TRANSACTIONS_PENDING", DEVSTA_TRANSACTIONS_PENDING},
      {"EMERGENCY_POWER_REDUCTION", bit(6)}}},
    {"LNKCAP",
     LNKCAP,
     32,
     "What the link can.",
     {{"MAX_LINK_SPEED", LNKCAP_MAX_LINK_SPEED, link_speed},
      {"MAX_LINK_WIDTH", LNKCAP_MAX_LINK_WIDTH, link_width},
      {"ASPM_SUPPORT", bits(11, 10), named<kAspmSupport>},
      {"L0S_EXIT_LATENCY", bits(14, 12), named<kL0sExit>},
      {"L1_EXIT_LATENCY", bits(17, 15), named<kL1Exit>},
      {"CLOCK_POWER_MANAGEMENT", bit(18)},
      {"SURPRISE_DOWN", LNKCAP_SURPRISE_DOWN},
      {"DLL_ACTIVE", LNKCAP_DLL_ACTIVE},
      {"LINK_BANDWIDTH_NOTIFICATION", bit(21)},
      {"ASPM_OPTIONALITY", LNKCAP_ASPM_OPTIONALITY},
      {"PORT_NUMBER", bits(31, 24)}},
     link},
    {"LNKCTL",
     LNKCTL,
     16,
     "What the link may.",
     {{"ASPM_CONTROL", LNKCTL_ASPM_CONTROL, named<kAspmControl>},
      {"RCB", LNKCTL_RCB, named<kRcb>},
      {"LINK_DISABLE", LNKCTL_LINK_DISABLE},
      {"RETRAIN", LNKCTL_RETRAIN},
      {"COMMON_CLOCK", LNKCTL_COMMON_CLOCK},
      {"EXTENDED_SYNCH", LNKCTL_EXTENDED_SYNCH},
      {"CLOCK_POWER_MANAGEMENT", bit(8)},
      {"HW_AUTONOMOUS_WIDTH_DISABLE", LNKCTL_HW_AUTONOMOUS_WIDTH_DISABLE},
      {"LINK_BANDWIDTH_MANAGEMENT_INTERRUPT", bit(10)},
      {"LINK_AUTONOMOUS_BANDWIDTH_INTERRUPT", bit(11)},
      {"SRIS_CLOCKING", bit(12)},
      {"FLIT_MODE_DISABLE", bit(13)},
      {"DRS_SIGNALING", bits(15, 14)}},
     link},
    {"LNKSTA",
     LNKSTA,
     16,
     "What the link is.",
     {{"CURRENT_LINK_SPEED", LNKSTA_CURRENT_LINK_SPEED, link_speed},
      {"NEGOTIATED_LINK_WIDTH", LNKSTA_NEGOTIATED_LINK_WIDTH, link_width},
      {"LINK_TRAINING", bit(11)},
      {"SLOT_CLOCK", LNKSTA_SLOT_CLOCK},
      {"DLL_ACTIVE", LNKSTA_DLL_ACTIVE},
      {"LINK_BANDWIDTH_MANAGEMENT", bit(14)},
      {"LINK_AUTONOMOUS_BANDWIDTH", bit(15)}},
     link},
    {"SLTCAP",
     SLTCAP,
     32,
     "What the slot below the port can.",
     {{"ATTENTION_BUTTON", bit(0)},
      {"POWER_CONTROLLER", bit(1)},
      {"MRL_SENSOR", bit(2)},
      {"ATTENTION_INDICATOR", bit(3)},
      {"POWER_INDICATOR", bit(4)},
      {"SURPRISE", SLTCAP_SURPRISE},
      {"HOT_PLUG", SLTCAP_HOT_PLUG},
      {"SLOT_POWER_LIMIT_VALUE", bits(14, 7)},
      {"SLOT_POWER_LIMIT_SCALE", bits(16, 15), named<kScale>},
      {"INTERLOCK", bit(17)},
      {"NO_COMMAND_COMPLETED", SLTCAP_NO_COMMAND_COMPLETED},
      {"SLOT_NUMBER", bits(31, SLTCAP_SLOT_NUMBER_SHIFT)}},
     slot},
    {"SLTCTL",
     SLTCTL,
     16,
     "Which events of the slot raise an interrupt.",
     {{"ATTENTION_BUTTON_PRESSED", bit(0)},
      {"POWER_FAULT_DETECTED", bit(1)},
      {"MRL_SENSOR_CHANGED", bit(2)},
      {"PRESENCE_CHANGED", SLTSTA_PRESENCE_CHANGED},
      {"COMMAND_COMPLETED", bit(4)},
      {"HOT_PLUG_INTERRUPT", SLTCTL_HOT_PLUG_INTERRUPT},
      {"ATTENTION_INDICATOR", bits(7, 6), named<kIndicators>},
      {"POWER_INDICATOR", bits(9, 8), named<kIndicators>},
      {"POWER_CONTROLLER", bit(10), power},
      {"INTERLOCK", bit(11)},
      {"DLL_STATE_CHANGED", SLTCTL_DLL_STATE_CHANGED},
      {"AUTO_SLOT_POWER_LIMIT_DISABLE", bit(13)}},
     slot},
    {"SLTSTA",
     SLTSTA,
     16,
     "Events of the slot; ones are cleared by writing them.",
     {{"ATTENTION_BUTTON_PRESSED", bit(0)},
      {"POWER_FAULT_DETECTED", bit(1)},
      {"MRL_SENSOR_CHANGED", bit(2)},
      {"PRESENCE_CHANGED", SLTSTA_PRESENCE_CHANGED},
      {"COMMAND_COMPLETED", bit(4)},
      {"MRL_SENSOR_STATE", bit(5), latch},
      {"PRESENCE", SLTSTA_PRESENCE, presence},
      {"INTERLOCK", bit(7)},
      {"DLL_STATE_CHANGED", SLTSTA_DLL_STATE_CHANGED}},
     slot},
    {"ROOTCTL",
     ROOTCTL,
     16,
     "What the root complex does with error messages.",
     {{"SERR_CORRECTABLE", bit(0)},
      {"SERR_NON_FATAL", bit(1)},
      {"SERR_FATAL", bit(2)},
      {"PME_INTERRUPT", bit(3)},
      {"RRS_VISIBILITY", bit(4)}},
     root},
    {"ROOTCAP", 0x1e, 16, "What the root complex can.", {{"RRS_VISIBILITY", bit(0)}}, root},
    {"ROOTSTA",
     ROOTSTA,
     32,
     "Power management events from below.",
     {{"PME_REQUESTER_ID", bits(15, 0), requester},
      {"PME_STATUS", bit(16)},
      {"PME_PENDING", bit(17)}},
     root},
    {"DEVCAP2",
     DEVCAP2,
     32,
     "What the device can, continued.",
     {{"COMPLETION_TIMEOUT_RANGES", bits(3, 0), named<kTimeoutRanges>},
      {"COMPLETION_TIMEOUT_DISABLE", DEVCAP2_COMPLETION_TIMEOUT_DISABLE},
      {"ARI_FORWARDING", DEVCAP2_ARI_FORWARDING},
      {"ATOMICOP_ROUTING", bit(6)},
      {"ATOMICOP_32", bit(7)},
      {"ATOMICOP_64", bit(8)},
      {"CAS_128", bit(9)},
      {"NO_RO_PR_PR_PASSING", bit(10)},
      {"LTR", bit(11)},
      {"TPH_COMPLETER", bits(13, 12), named<kTphCompleter>},
      {"10_BIT_TAG_COMPLETER", DEVCAP2_10_BIT_TAG_COMPLETER},
      {"10_BIT_TAG_REQUESTER", bit(17)},
      {"OBFF", bits(19, 18), named<kObffSupport>},
      {"EXTENDED_FMT", bit(20)},
      {"END_END_TLP_PREFIX", bit(21)},
      {"MAX_END_END_TLP_PREFIXES", bits(23, 22), prefixes},
      {"EMERGENCY_POWER_REDUCTION", bits(25, 24), named<kEmergency>},
      {"EMERGENCY_POWER_REDUCTION_INITIALIZATION", bit(26)},
      {"FRS", bit(31)}},
     second},
    {"DEVCTL2",
     DEVCTL2,
     16,
     "What the device may, continued.",
     {{"COMPLETION_TIMEOUT", DEVCTL2_COMPLETION_TIMEOUT, named<kTimeouts>},
      {"COMPLETION_TIMEOUT_DISABLE", DEVCTL2_COMPLETION_TIMEOUT_DISABLE},
      {"ARI_FORWARDING", DEVCTL2_ARI_FORWARDING},
      {"ATOMICOP_REQUESTER", bit(6)},
      {"ATOMICOP_EGRESS_BLOCKING", bit(7)},
      {"IDO_REQUEST", bit(8)},
      {"IDO_COMPLETION", bit(9)},
      {"LTR", bit(10)},
      {"EMERGENCY_POWER_REDUCTION_REQUEST", bit(11)},
      {"10_BIT_TAG_REQUESTER", bit(12)},
      {"OBFF", bits(14, 13), named<kObffControl>},
      {"END_END_TLP_PREFIX_BLOCKING", bit(15)}},
     second},
    {"LNKCAP2",
     LNKCAP2,
     32,
     "What the link can, continued.",
     {{"SUPPORTED_LINK_SPEEDS", bits(7, 1), link_speeds},
      {"CROSSLINK", bit(8)},
      {"LOWER_SKP_OS_GENERATION", bits(15, 9), link_speeds},
      {"LOWER_SKP_OS_RECEPTION", bits(22, 16), link_speeds},
      {"RETIMER_PRESENCE", bit(23)},
      {"TWO_RETIMERS", bit(24)},
      {"DRS", bit(31)}},
     second_link},
    {"LNKCTL2",
     LNKCTL2,
     16,
     "What the link may, continued.",
     {{"TARGET_LINK_SPEED", LNKCTL2_TARGET_LINK_SPEED, link_speed},
      {"ENTER_COMPLIANCE", LNKCTL2_ENTER_COMPLIANCE},
      {"HW_AUTONOMOUS_SPEED_DISABLE", LNKCTL2_HW_AUTONOMOUS_SPEED_DISABLE},
      {"SELECTABLE_DEEMPHASIS", bit(6), named<kDeemphasis>},
      {"TRANSMIT_MARGIN", LNKCTL2_TRANSMIT_MARGIN},
      {"ENTER_MODIFIED_COMPLIANCE", LNKCTL2_ENTER_MODIFIED_COMPLIANCE},
      {"COMPLIANCE_SOS", LNKCTL2_COMPLIANCE_SOS},
      {"COMPLIANCE_PRESET", LNKCTL2_COMPLIANCE_PRESET}},
     second_link},
    {"LNKSTA2",
     LNKSTA2,
     16,
     "What the link is, continued.",
     {{"CURRENT_DEEMPHASIS", bit(0), named<kDeemphasis>},
      {"EQUALIZATION_COMPLETE", bit(1)},
      {"EQUALIZATION_PHASE_1", bit(2)},
      {"EQUALIZATION_PHASE_2", bit(3)},
      {"EQUALIZATION_PHASE_3", bit(4)},
      {"LINK_EQUALIZATION_REQUEST", LNKSTA2_LINK_EQUALIZATION_REQUEST},
      {"RETIMER_PRESENCE", bit(6)},
      {"TWO_RETIMERS", bit(7)},
      {"CROSSLINK_RESOLUTION", bits(9, 8)},
      {"DOWNSTREAM_COMPONENT_PRESENCE", bits(14, 12)},
      {"DRS_MESSAGE", bit(15)}},
     second_link},
};

}  // namespace

std::span<const RegisterRow> pcie_rows() {
    return kDevice;
}

}  // namespace mimic::pci::rows
