// SPDX-License-Identifier: Apache-2.0
// Rows of the remaining extended capabilities: addresses, hints, mailboxes and what is the vendor's
// own. PCIe Base Specification 6.0, 7.8 and 7.9; Address Translation Services 1.1.
#include <fmt/format.h>

#include <algorithm>

#include "pci/config/pci_regs.h"
#include "pci/describe/config_rows.h"

namespace mimic::pci::rows {
namespace {

using namespace regs;

constexpr const char* kTagModes[] = {"no steering tags", "interrupt vector", "device specific"};
constexpr const char* kTagPlaces[] = {"none", "this capability", "MSI-X table", "reserved"};
constexpr const char* kRequesters[] = {"Disabled", "TPH", "reserved", "TPH and extended TPH"};

// A BAR size is a power of two of MiB (7.8.6.3).
std::string bar_size(uint64_t value) {
    if (value > 43) return "reserved";
    const uint64_t mib = uint64_t{1} << value;
    if (mib < 1024) return fmt::format("{} MiB", mib);
    return mib < (1ULL << 20) ? fmt::format("{} GiB", mib >> 10) : fmt::format("{} TiB", mib >> 20);
}
std::string bar_sizes(uint64_t value) {
    std::string text;
    for (unsigned i = 0; i < 28; ++i) {
        if ((value >> i & 1) != 0) text += (text.empty() ? "" : ", ") + bar_size(i);
    }
    return text.empty() ? "none" : text;
}
std::string queue_depth(uint64_t value) {
    return value == 0 ? "32" : fmt::format("{}", value);
}
std::string smallest_unit(uint64_t value) {
    return fmt::format("{} bytes", uint64_t{4096} << value);
}
std::string granularity(uint64_t value) {
    if (value == 0) return "unknown";
    return value == 255 ? "> 254 ns" : fmt::format("{} ns", value);
}
std::string vendor(uint64_t value) {
    return fmt::format("{:04x}", value);
}

// 1 to 6, in the first control register (7.8.6.3).
uint32_t resizable(const View& view) {
    return std::min(view.u32(8) >> 5 & 7, 6U);
}
uint32_t steering_tags(const View& view) {
    const uint32_t capability = view.u32(4);
    return (capability >> 9 & 3) == 1 ? (capability >> 16 & 0x7ff) + 1 : 0;
}
uint32_t power_substates(const View& view) {
    return (view.u32(4) & 0x1f) + 1;
}

constexpr RegisterRow kAts[] = {
    {"ATS_CAPABILITY",
     0x04,
     16,
     "Translations that the function may ask for.",
     {{"INVALIDATE_QUEUE_DEPTH", bits(4, 0), queue_depth},
      {"PAGE_ALIGNED_REQUEST", bit(5)},
      {"GLOBAL_INVALIDATE", bit(6)},
      {"RELAXED_ORDERING", bit(7)}}},
    {"ATS_CONTROL",
     0x06,
     16,
     "Whether it does.",
     {{"SMALLEST_TRANSLATION_UNIT", bits(4, 0), smallest_unit}, {"ENABLE", bit(15), enabled}}},
};

constexpr RegisterRow kPri[] = {
    {"PRI_CONTROL", 0x04, 16, "Page requests.", {{"ENABLE", bit(0), enabled}, {"RESET", bit(1)}}},
    {"PRI_STATUS",
     0x06,
     16,
     "What became of them.",
     {{"RESPONSE_FAILURE", bit(0)},
      {"UNEXPECTED_PAGE_REQUEST_GROUP_INDEX", bit(1)},
      {"STOPPED", bit(8)},
      {"PRG_RESPONSE_PASID_REQUIRED", bit(15)}}},
    {"OUTSTANDING_PAGE_REQUEST_CAPACITY", 0x08, 32, "Requests that the function can hold."},
    {"OUTSTANDING_PAGE_REQUEST_ALLOCATION", 0x0c, 32, "Requests that it may make."},
};

constexpr RegisterRow kPasid[] = {
    {"PASID_CAPABILITY",
     0x04,
     16,
     "Address spaces that the function can tell apart.",
     {{"EXECUTE_PERMISSION", bit(1)},
      {"PRIVILEGED_MODE", bit(2)},
      {"MAX_PASID_WIDTH", bits(12, 8)}}},
    {"PASID_CONTROL",
     0x06,
     16,
     "Whether it does.",
     {{"ENABLE", bit(0), enabled},
      {"EXECUTE_PERMISSION_ENABLE", bit(1)},
      {"PRIVILEGED_MODE_ENABLE", bit(2)}}},
};

constexpr std::initializer_list<FieldRow> kSizes = {{"SIZES", bits(31, 4), bar_sizes}};
constexpr std::initializer_list<FieldRow> kSize = {
    {"BAR_INDEX", bits(2, 0)}, {"RESIZABLE_BARS", bits(7, 5)}, {"BAR_SIZE", bits(13, 8), bar_size}};

constexpr RegisterRow kResizableBar[] = {
    {"REBAR_CAPABILITY", 0x04, 32, "Sizes that a BAR can have.", kSizes, resizable, 8, true},
    {"REBAR_CONTROL", 0x08, 32, "The one that it has.", kSize, resizable, 8, true},
};

constexpr RegisterRow kVfResizableBar[] = {
    {"VF_REBAR_CAPABILITY", 0x04, 32, "Sizes that a VF BAR can have.", kSizes, resizable, 8, true},
    {"VF_REBAR_CONTROL", 0x08, 32, "The one that it has.", kSize, resizable, 8, true},
};

constexpr RegisterRow kPowerAllocation[] = {
    {"DPA_CAPABILITY",
     0x04,
     32,
     "Substates of D0.",
     {{"SUBSTATE_MAX", bits(4, 0)},
      {"TRANSITION_LATENCY_UNIT", bits(9, 8)},
      {"POWER_ALLOCATION_SCALE", bits(13, 12)}}},
    {"DPA_LATENCY_INDICATOR", 0x08, 32, "A bit a substate that takes the second latency."},
    {"DPA_STATUS",
     0x0c,
     16,
     "The substate.",
     {{"SUBSTATE_STATUS", bits(4, 0)}, {"SUBSTATE_CONTROL_ENABLED", bit(8)}}},
    {"DPA_CONTROL", 0x0e, 16, "The one that is wanted.", {{"SUBSTATE_CONTROL", bits(4, 0)}}},
    {"DPA_POWER_ALLOCATION", 0x10, 8, "Power of a substate.", {}, power_substates, 1, true},
};

constexpr RegisterRow kTph[] = {
    {"TPH_REQUESTER_CAPABILITY",
     0x04,
     32,
     "Hints that the function can give.",
     {{"NO_ST_MODE", bit(0)},
      {"INTERRUPT_VECTOR_MODE", bit(1)},
      {"DEVICE_SPECIFIC_MODE", bit(2)},
      {"EXTENDED_TPH_REQUESTER", bit(8)},
      {"ST_TABLE_LOCATION", bits(10, 9), named<kTagPlaces>},
      {"ST_TABLE_SIZE", bits(26, 16), plus_one}}},
    {"TPH_REQUESTER_CONTROL",
     0x08,
     32,
     "Those that it gives.",
     {{"ST_MODE_SELECT", bits(2, 0), named<kTagModes>},
      {"TPH_REQUESTER_ENABLE", bits(9, 8), named<kRequesters>}}},
    {"TPH_ST_ENTRY", 0x0c, 16, "A steering tag.", {}, steering_tags, 2, true},
};

constexpr RegisterRow kMulticast[] = {
    {"MULTICAST_CAPABILITY",
     0x04,
     16,
     "Groups that there can be.",
     {{"MAX_GROUP", bits(5, 0), plus_one},
      {"WINDOW_SIZE_REQUESTED", bits(13, 8)},
      {"ECRC_REGENERATION", bit(15)}}},
    {"MULTICAST_CONTROL",
     0x06,
     16,
     "Groups that there are.",
     {{"NUM_GROUP", bits(5, 0), plus_one}, {"ENABLE", bit(15), enabled}}},
    {"MULTICAST_BASE",
     0x08,
     32,
     "Where they lie.",
     {{"INDEX_POSITION", bits(5, 0)}, {"ADDRESS", bits(31, 12)}}},
    {"MULTICAST_BASE_UPPER", 0x0c, 32, "Its high half."},
    {"MULTICAST_RECEIVE_LOWER", 0x10, 32, "A bit a group that is accepted."},
    {"MULTICAST_RECEIVE_UPPER", 0x14, 32, "A bit a group that is accepted."},
    {"MULTICAST_BLOCK_ALL_LOWER", 0x18, 32, "A bit a group that is blocked."},
    {"MULTICAST_BLOCK_ALL_UPPER", 0x1c, 32, "A bit a group that is blocked."},
    {"MULTICAST_BLOCK_UNTRANSLATED_LOWER", 0x20, 32, "A bit a group that is blocked."},
    {"MULTICAST_BLOCK_UNTRANSLATED_UPPER", 0x24, 32, "A bit a group that is blocked."},
};

constexpr RegisterRow kPtm[] = {
    {"PTM_CAPABILITY",
     0x04,
     32,
     "Precision Time Measurement.",
     {{"REQUESTER", bit(0)},
      {"RESPONDER", bit(1)},
      {"ROOT", bit(2)},
      {"EPTM", bit(3)},
      {"LOCAL_CLOCK_GRANULARITY", bits(15, 8), granularity}}},
    {"PTM_CONTROL",
     0x08,
     32,
     "Whether it is used.",
     {{"ENABLE", bit(0), enabled},
      {"ROOT_SELECT", bit(1)},
      {"EFFECTIVE_GRANULARITY", bits(15, 8), granularity}}},
};

constexpr RegisterRow kDoe[] = {
    {"DOE_CAPABILITIES",
     0x04,
     32,
     "How the mailbox interrupts.",
     {{"INTERRUPT", bit(0)}, {"INTERRUPT_MESSAGE_NUMBER", bits(11, 1)}}},
    {"DOE_CONTROL",
     0x08,
     32,
     "What it is told.",
     {{"ABORT", bit(0)}, {"INTERRUPT_ENABLE", bit(1)}, {"GO", bit(31)}}},
    {"DOE_STATUS",
     0x0c,
     32,
     "What it is at.",
     {{"BUSY", bit(0)},
      {"INTERRUPT_STATUS", bit(1)},
      {"ERROR", bit(2)},
      {"DATA_OBJECT_READY", bit(31)}}},
    {"DOE_WRITE_DATA_MAILBOX", 0x10, 32, "A dword to the function."},
    {"DOE_READ_DATA_MAILBOX", 0x14, 32, "A dword from the function."},
};

constexpr RegisterRow kDevice3[] = {
    {"DEVCAP3",
     0x04,
     32,
     "What the device can, continued.",
     {{"DMWR_REQUEST_ROUTING", bit(0)},
      {"14_BIT_TAG_COMPLETER", bit(1)},
      {"14_BIT_TAG_REQUESTER", bit(2)},
      {"RECEIVER_L0P", bit(3)},
      {"PORT_L0P_EXIT_LATENCY", bits(6, 4)},
      {"RETIMER_L0P_EXIT_LATENCY", bits(9, 7)}}},
    {"DEVCTL3",
     0x08,
     32,
     "What the device may, continued.",
     {{"DMWR_REQUESTER_ENABLE", bit(0)},
      {"DMWR_EGRESS_BLOCKING", bit(1)},
      {"14_BIT_TAG_REQUESTER_ENABLE", bit(2)},
      {"L0P_ENABLE", bit(3)},
      {"TARGET_LINK_WIDTH", bits(6, 4)}}},
    {"DEVSTA3",
     0x0c,
     32,
     "What the link is, continued.",
     {{"INITIAL_LINK_WIDTH", bits(2, 0)}, {"SEGMENT_CAPTURED", bit(3)}, {"REMOTE_L0P", bit(4)}}},
};

constexpr RegisterRow kIde[] = {
    {"IDE_CAPABILITY",
     0x04,
     32,
     "Encryption of TLPs.",
     {{"LINK_IDE_STREAM", bit(0)},
      {"SELECTIVE_IDE_STREAMS", bit(1)},
      {"FLOW_THROUGH_IDE_STREAM", bit(2)},
      {"PARTIAL_HEADER_ENCRYPTION", bit(3)},
      {"AGGREGATION", bit(4)},
      {"PCRC", bit(5)},
      {"IDE_KM_PROTOCOL", bit(6)},
      {"SUPPORTED_ALGORITHMS", bits(12, 8)},
      {"LINK_IDE_TCS", bits(15, 13), plus_one},
      {"SELECTIVE_IDE_STREAM_COUNT", bits(23, 16), plus_one}}},
    {"IDE_CONTROL",
     0x08,
     32,
     "Streams that pass through.",
     {{"FLOW_THROUGH_ENABLE", bit(2), enabled}}},
};

constexpr RegisterRow kVsec[] = {
    {"VSEC_HEADER",
     VSEC_HEADER,
     32,
     "What it is, by the vendor's counting.",
     {{"VSEC_ID", bits(15, 0)}, {"VSEC_REVISION", bits(19, 16)}, {"VSEC_LENGTH", bits(31, 20)}}},
};
constexpr RegisterRow kDvsec[] = {
    {"DVSEC_HEADER_1",
     0x04,
     32,
     "Whose it is.",
     {{"DVSEC_VENDOR_ID", bits(15, 0), vendor},
      {"DVSEC_REVISION", bits(19, 16)},
      {"DVSEC_LENGTH", bits(31, 20)}}},
    {"DVSEC_ID", 0x08, 16, "What it is, by that vendor's counting."},
};

void vsec_data(const View& view, std::vector<DescribedRegister>& out) {
    append_data(view, VSEC_BODY, out);
}
void dvsec_data(const View& view, std::vector<DescribedRegister>& out) {
    append_data(view, 0x0c, out);
}
void ide_streams(const View& view, std::vector<DescribedRegister>& out) {
    append_data(view, 0x0c, out);
}

constexpr CapabilityRows kServiceCapabilities[] = {
    {EXT_CAP_ID_VSEC, kVsec, vsec_data},
    {0x0f, kAts},
    {0x12, kMulticast},
    {0x13, kPri},
    {0x15, kResizableBar},
    {0x16, kPowerAllocation},
    {0x17, kTph},
    {0x1b, kPasid},
    {0x1f, kPtm},
    {0x23, kDvsec, dvsec_data},
    {0x24, kVfResizableBar},
    {0x2e, kDoe},
    {0x2f, kDevice3},
    {0x30, kIde, ide_streams},
};

}  // namespace

std::span<const CapabilityRows> service_capabilities() {
    return kServiceCapabilities;
}

}  // namespace mimic::pci::rows
