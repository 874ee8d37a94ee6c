// SPDX-License-Identifier: Apache-2.0
// Rows of the extended capabilities about links and their power: PCIe Base Specification 6.0,
// 7.7.3 to 7.7.10, 7.8.2, 7.8.3, 7.9.1.
#include <fmt/format.h>

#include "pci/config/pci_regs.h"
#include "pci/describe/config_rows.h"

namespace mimic::pci::rows {
namespace {

constexpr const char* kPowerScales[] = {"x 1", "x 0.1", "x 0.01", "x 0.001"};
constexpr const char* kPowerTypes[] = {"PME Aux",
                                       "auxiliary",
                                       "idle",
                                       "sustained",
                                       "sustained, emergency power reduction",
                                       "maximum, emergency power reduction",
                                       "reserved",
                                       "maximum"};
constexpr const char* kRails[] = {"12 V",     "3.3 V",    "1.5 V or 1.8 V", "reserved",
                                  "reserved", "reserved", "reserved",       "thermal"};
constexpr const char* kUnits[] = {"2 us", "10 us", "100 us", "reserved"};

uint32_t lanes(const View& view) {
    return view.lanes;
}
// Virtual channels besides VC0, which is always there.
uint32_t channels(const View& view) {
    return 1 + (view.u32(4) & 7);
}

// Latency values are a number and a power of 32 nanoseconds (7.8.2.2).
std::string latency_scale(uint64_t value) {
    return value > 5 ? "reserved" : fmt::format("x {} ns", uint64_t{1} << (5 * value));
}

std::string preset(uint64_t value) {
    return fmt::format("P{}", value);
}
std::string margin_type(uint64_t value) {
    return value == 7 ? "no command" : fmt::format("type {}", value);
}

constexpr RegisterRow kLaneError{
    "", 0, 32, "A bit a lane that saw an error.", {{"LANES", bits(31, 0)}}};

constexpr RegisterRow kSecondary[] = {
    {"LNKCTL3",
     0x04,
     32,
     "Equalization and SKP ordered sets.",
     {{"PERFORM_EQUALIZATION", bit(0)},
      {"LINK_EQUALIZATION_REQUEST_INTERRUPT_ENABLE", bit(1)},
      {"LOWER_SKP_OS_GENERATION", bits(15, 9), link_speeds}}},
    {"LANE_ERROR_STATUS", 0x08, 32, kLaneError.doc, kLaneError.fields},
    {"LANE_EQUALIZATION_CONTROL",
     0x0c,
     16,
     "Presets at 8 GT/s.",
     {{"DOWNSTREAM_TRANSMITTER_PRESET", bits(3, 0), preset},
      {"DOWNSTREAM_RECEIVER_HINT", bits(6, 4)},
      {"UPSTREAM_TRANSMITTER_PRESET", bits(11, 8), preset},
      {"UPSTREAM_RECEIVER_HINT", bits(14, 12)}},
     lanes,
     2,
     true},
};

constexpr std::initializer_list<FieldRow> kEqualization = {{"EQUALIZATION_COMPLETE", bit(0)},
                                                           {"EQUALIZATION_PHASE_1", bit(1)},
                                                           {"EQUALIZATION_PHASE_2", bit(2)},
                                                           {"EQUALIZATION_PHASE_3", bit(3)},
                                                           {"LINK_EQUALIZATION_REQUEST", bit(4)}};
constexpr std::initializer_list<FieldRow> kPresets = {
    {"DOWNSTREAM_TRANSMITTER_PRESET", bits(3, 0), preset},
    {"UPSTREAM_TRANSMITTER_PRESET", bits(7, 4), preset}};

constexpr RegisterRow kPhysical16[] = {
    {"16GT_CAPABILITIES", 0x04, 32, "Nothing is defined."},
    {"16GT_CONTROL", 0x08, 32, "Nothing is defined."},
    {"16GT_STATUS", 0x0c, 32, "Equalization at 16 GT/s.", kEqualization},
    {"LOCAL_DATA_PARITY_MISMATCH", 0x10, 32, kLaneError.doc, kLaneError.fields},
    {"FIRST_RETIMER_DATA_PARITY_MISMATCH", 0x14, 32, kLaneError.doc, kLaneError.fields},
    {"SECOND_RETIMER_DATA_PARITY_MISMATCH", 0x18, 32, kLaneError.doc, kLaneError.fields},
    {"16GT_LANE_EQUALIZATION_CONTROL", 0x20, 8, "Presets at 16 GT/s.", kPresets, lanes, 1, true},
};

constexpr RegisterRow kPhysical32[] = {
    {"32GT_CAPABILITIES",
     0x04,
     32,
     "Equalization that can be left out, and training sets that can be changed.",
     {{"EQUALIZATION_BYPASS_TO_HIGHEST_RATE", bit(0)},
      {"NO_EQUALIZATION_NEEDED", bit(1)},
      {"MODIFIED_TS_USAGE_MODE_0", bit(8)},
      {"MODIFIED_TS_USAGE_MODE_1", bit(9)},
      {"MODIFIED_TS_USAGE_MODE_2", bit(10)}}},
    {"32GT_CONTROL",
     0x08,
     32,
     "What of that is not wanted.",
     {{"EQUALIZATION_BYPASS_TO_HIGHEST_RATE_DISABLE", bit(0)},
      {"NO_EQUALIZATION_NEEDED_DISABLE", bit(1)},
      {"MODIFIED_TS_USAGE_MODE_SELECTED", bits(10, 8)}}},
    {"32GT_STATUS",
     0x0c,
     32,
     "Equalization at 32 GT/s.",
     {{"EQUALIZATION_COMPLETE", bit(0)},
      {"EQUALIZATION_PHASE_1", bit(1)},
      {"EQUALIZATION_PHASE_2", bit(2)},
      {"EQUALIZATION_PHASE_3", bit(3)},
      {"LINK_EQUALIZATION_REQUEST", bit(4)},
      {"MODIFIED_TS_RECEIVED", bit(5)},
      {"RECEIVED_ENHANCED_LINK_BEHAVIOR", bits(7, 6)},
      {"TRANSMITTER_PRECODING_ON", bit(8)},
      {"TRANSMITTER_PRECODE_REQUEST", bit(9)},
      {"NO_EQUALIZATION_NEEDED_RECEIVED", bit(10)}}},
    {"RECEIVED_MODIFIED_TS_DATA_1", 0x10, 32, "From the other end."},
    {"RECEIVED_MODIFIED_TS_DATA_2", 0x14, 32, "From the other end."},
    {"TRANSMITTED_MODIFIED_TS_DATA_1", 0x18, 32, "To the other end."},
    {"TRANSMITTED_MODIFIED_TS_DATA_2", 0x1c, 32, "To the other end."},
    {"32GT_LANE_EQUALIZATION_CONTROL", 0x20, 8, "Presets at 32 GT/s.", kPresets, lanes, 1, true},
};

constexpr RegisterRow kPhysical64[] = {
    {"64GT_CAPABILITIES", 0x04, 32, "Nothing is defined."},
    {"64GT_CONTROL", 0x08, 32, "Nothing is defined."},
    {"64GT_STATUS", 0x0c, 32, "Equalization at 64 GT/s.", kEqualization},
    {"64GT_LANE_EQUALIZATION_CONTROL", 0x10, 8, "Presets at 64 GT/s.", kPresets, lanes, 1, true},
};

constexpr std::initializer_list<FieldRow> kMargin = {{"RECEIVER_NUMBER", bits(2, 0)},
                                                     {"MARGIN_TYPE", bits(5, 3), margin_type},
                                                     {"USAGE_MODEL", bit(6)},
                                                     {"MARGIN_PAYLOAD", bits(15, 8)}};

constexpr RegisterRow kMargining[] = {
    {"MARGINING_PORT_CAPABILITIES", 0x04, 16, "Who margins.", {{"USES_DRIVER_SOFTWARE", bit(0)}}},
    {"MARGINING_PORT_STATUS",
     0x06,
     16,
     "Whether margining can begin.",
     {{"READY", bit(0)}, {"SOFTWARE_READY", bit(1)}}},
    {"MARGINING_LANE_CONTROL", 0x08, 16, "What a lane is asked.", kMargin, lanes, 4, true},
    {"MARGINING_LANE_STATUS", 0x0a, 16, "What it answers.", kMargin, lanes, 4, true},
};

constexpr RegisterRow kDataLinkFeature[] = {
    {"DATA_LINK_FEATURE_CAPABILITIES",
     0x04,
     32,
     "What this end can.",
     {{"LOCAL_SCALED_FLOW_CONTROL", bit(0)}, {"EXCHANGE_ENABLE", bit(31), enabled}}},
    {"DATA_LINK_FEATURE_STATUS",
     0x08,
     32,
     "What the other end can.",
     {{"REMOTE_SCALED_FLOW_CONTROL", bit(0)}, {"REMOTE_VALID", bit(31)}}},
};

constexpr RegisterRow kL1Substates[] = {
    {"L1SS_CAPABILITIES",
     0x04,
     32,
     "Deeper states of L1 that exist.",
     {{"PCI_PM_L1_2", bit(0)},
      {"PCI_PM_L1_1", bit(1)},
      {"ASPM_L1_2", bit(2)},
      {"ASPM_L1_1", bit(3)},
      {"L1_PM_SUBSTATES", bit(4)},
      {"LINK_ACTIVATION", bit(5)},
      {"PORT_COMMON_MODE_RESTORE_TIME_US", bits(15, 8)},
      {"PORT_T_POWER_ON_SCALE", bits(17, 16), named<kUnits>},
      {"PORT_T_POWER_ON_VALUE", bits(23, 19)}}},
    {"L1SS_CONTROL_1",
     0x08,
     32,
     "Those that are on.",
     {{"PCI_PM_L1_2_ENABLE", bit(0)},
      {"PCI_PM_L1_1_ENABLE", bit(1)},
      {"ASPM_L1_2_ENABLE", bit(2)},
      {"ASPM_L1_1_ENABLE", bit(3)},
      {"LINK_ACTIVATION_INTERRUPT_ENABLE", bit(4)},
      {"LINK_ACTIVATION_CONTROL", bit(5)},
      {"COMMON_MODE_RESTORE_TIME_US", bits(15, 8)},
      {"LTR_L1_2_THRESHOLD_VALUE", bits(25, 16)},
      {"LTR_L1_2_THRESHOLD_SCALE", bits(31, 29), latency_scale}}},
    {"L1SS_CONTROL_2",
     0x0c,
     32,
     "How long the other end needs.",
     {{"T_POWER_ON_SCALE", bits(1, 0), named<kUnits>}, {"T_POWER_ON_VALUE", bits(7, 3)}}},
    {"L1SS_STATUS", 0x10, 32, "", {{"LINK_ACTIVATION", bit(0)}}},
};

constexpr std::initializer_list<FieldRow> kLatency = {{"VALUE", bits(9, 0)},
                                                      {"SCALE", bits(12, 10), latency_scale}};

constexpr RegisterRow kLtr[] = {
    {"MAX_SNOOP_LATENCY", 0x04, 16, "The longest that the device may ask for.", kLatency},
    {"MAX_NO_SNOOP_LATENCY", 0x06, 16, "The same without snooping.", kLatency},
};

constexpr RegisterRow kPowerBudgeting[] = {
    {"POWER_BUDGETING_DATA_SELECT", 0x04, 8, "Which data are shown."},
    {"POWER_BUDGETING_DATA",
     0x08,
     32,
     "Power that the function draws.",
     {{"BASE_POWER", bits(7, 0)},
      {"DATA_SCALE", bits(9, 8), named<kPowerScales>},
      {"PM_SUB_STATE", bits(12, 10)},
      {"PM_STATE", bits(14, 13)},
      {"TYPE", bits(17, 15), named<kPowerTypes>},
      {"POWER_RAIL", bits(20, 18), named<kRails>}}},
    {"POWER_BUDGET_CAPABILITY", 0x0c, 8, "", {{"SYSTEM_ALLOCATED", bit(0)}}},
};

constexpr RegisterRow kVirtualChannels[] = {
    {"PORT_VC_CAPABILITY_1",
     0x04,
     32,
     "Channels that there are.",
     {{"EXTENDED_VC_COUNT", bits(2, 0)},
      {"LOW_PRIORITY_EXTENDED_VC_COUNT", bits(6, 4)},
      {"REFERENCE_CLOCK", bits(9, 8)},
      {"PORT_ARBITRATION_TABLE_ENTRY_SIZE", bits(11, 10)}}},
    {"PORT_VC_CAPABILITY_2",
     0x08,
     32,
     "Arbitration that there is.",
     {{"VC_ARBITRATION", bits(7, 0)}, {"VC_ARBITRATION_TABLE_OFFSET", bits(31, 24)}}},
    {"PORT_VC_CONTROL",
     0x0c,
     16,
     "Arbitration that is used.",
     {{"LOAD_VC_ARBITRATION_TABLE", bit(0)}, {"VC_ARBITRATION_SELECT", bits(3, 1)}}},
    {"PORT_VC_STATUS", 0x0e, 16, "", {{"VC_ARBITRATION_TABLE", bit(0)}}},
    {"VC_RESOURCE_CAPABILITY",
     0x10,
     32,
     "What a channel can.",
     {{"PORT_ARBITRATION", bits(7, 0)},
      {"REJECT_SNOOP_TRANSACTIONS", bit(15)},
      {"MAXIMUM_TIME_SLOTS", bits(22, 16)},
      {"PORT_ARBITRATION_TABLE_OFFSET", bits(31, 24)}},
     channels,
     12,
     true},
    {"VC_RESOURCE_CONTROL",
     0x14,
     32,
     "Which traffic classes it carries.",
     {{"TC_VC_MAP", bits(7, 0)},
      {"LOAD_PORT_ARBITRATION_TABLE", bit(16)},
      {"PORT_ARBITRATION_SELECT", bits(19, 17)},
      {"VC_ID", bits(26, 24)},
      {"VC_ENABLE", bit(31), enabled}},
     channels,
     12,
     true},
    {"VC_RESOURCE_STATUS",
     0x1a,
     16,
     "Whether it is ready.",
     {{"PORT_ARBITRATION_TABLE", bit(0)}, {"VC_NEGOTIATION_PENDING", bit(1)}},
     channels,
     12,
     true},
};

constexpr CapabilityRows kLinkCapabilities[] = {
    {0x02, kVirtualChannels}, {0x09, kVirtualChannels},
    {0x04, kPowerBudgeting},  {0x18, kLtr},
    {0x19, kSecondary},       {0x1e, kL1Substates},
    {0x25, kDataLinkFeature}, {0x26, kPhysical16},
    {0x27, kMargining},       {0x2a, kPhysical32},
    {0x31, kPhysical64},
};

}  // namespace

std::span<const CapabilityRows> link_capabilities() {
    return kLinkCapabilities;
}

}  // namespace mimic::pci::rows
