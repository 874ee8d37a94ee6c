// SPDX-License-Identifier: Apache-2.0
// Reading an image. How it is laid out is in image_layout.cpp.
#include "pci/config/config_image.h"

#include <algorithm>
#include <bitset>

#include "pci/config/pci_regs.h"
#include "pci/function/sriov.h"

namespace mimic::pci {
namespace {

using enum CapabilityUse;

constexpr uint16_t kVpd = 0x03;

// PCI Code and ID Assignment Specification 1.14, chapters 2 and 3.
constexpr CapabilityFacts kFacts[] = {
    {0x00, false, "Null", 4, kCopied, ""},
    {0x01, false, "Power Management", 8, kModelled, ""},
    {kVpd, false, "Vital Product Data", 8, kModelled, "its contents: they read as zero"},
    {0x04, false, "Slot Identification", 4, kCopied, ""},
    {0x05, false, "MSI", 0, kModelled, ""},
    {0x07, false, "PCI-X", 0, kCopied, "all of it: a copy"},
    {0x08, false, "HyperTransport", 0, kCopied, "all of it: a copy"},
    {0x09, false, "Vendor Specific", 0, kCopied, "what is behind its registers"},
    {0x0a, false, "Debug port", 4, kCopied, "the debug port"},
    {0x0d, false, "Subsystem Vendor ID", 8, kModelled, ""},
    {0x10, false, "PCI Express", 0x3c, kModelled, ""},
    {0x11, false, "MSI-X", 12, kModelled, ""},
    {0x12, false, "SATA", 0, kCopied, "the index and data registers"},
    {0x13, false, "Advanced Features", 6, kCopied, "its FLR"},
    {0x14, false, "Enhanced Allocation", 0, kCopied, "the ranges that it allocates"},
    {0x00, true, "Null", 4, kCopied, ""},
    {0x01, true, "Advanced Error Reporting", 0, kModelled, ""},
    {0x02, true, "Virtual Channel", 0, kCopied, "virtual channels other than 0, arbitration"},
    {0x03, true, "Device Serial Number", 12, kModelled, ""},
    {0x04, true, "Power Budgeting", 16, kCopied, "data of other selectors"},
    {0x0b, true, "Vendor Specific (VSEC)", 0, kCopied, "what is behind its registers"},
    {0x0d, true, "Access Control Services", 0, kControls, "its effect on routing"},
    {0x0e, true, "Alternative Routing-ID", 8, kModelled, ""},
    {0x0f, true, "Address Translation Service", 8, kControls, "address translation"},
    {0x10, true, "SR-IOV", 0x40, kModelled, ""},
    {0x12, true, "Multicast", 0x30, kCopied, "multicast"},
    {0x13, true, "Page Request Interface", 16, kControls, "page requests"},
    {0x15, true, "Resizable BAR", 0, kCopied, "resizing: the BARs keep their size"},
    {0x16, true, "Dynamic Power Allocation", 0, kCopied, "power states"},
    {0x17, true, "TLP Processing Hints", 0, kControls, "steering tags"},
    {0x18, true, "Latency Tolerance Reporting", 8, kControls, "latency messages"},
    {0x19, true, "Secondary PCI Express", 0, kControls, "link equalization"},
    {0x1b, true, "Process Address Space ID", 8, kControls, "PASIDs"},
    {0x1d, true, "Downstream Port Containment", 0, kCopied, "containment"},
    {0x1e, true, "L1 PM Substates", 16, kControls, "link power states"},
    {0x1f, true, "Precision Time Measurement", 12, kControls, "time measurement"},
    {0x23, true, "Designated Vendor-Specific", 0, kCopied, "what is behind its registers"},
    {0x24, true, "VF Resizable BAR", 0, kCopied, "resizing: the VF BARs keep their size"},
    {0x25, true, "Data Link Feature", 12, kCopied, ""},
    {0x26, true, "Physical Layer 16.0 GT/s", 0, kCopied, "link equalization"},
    {0x27, true, "Lane Margining at the Receiver", 0, kCopied, "margining"},
    {0x2a, true, "Physical Layer 32.0 GT/s", 0, kCopied, "link equalization"},
    {0x2e, true, "Data Object Exchange", 24, kCopied, "the mailbox"},
    {0x2f, true, "Device 3", 0, kCopied, ""},
    {0x30, true, "Integrity and Data Encryption", 0, kCopied, "encryption"},
    {0x31, true, "Physical Layer 64.0 GT/s", 0, kCopied, "link equalization"},
};

constexpr CapabilityFacts kUnknown{0, false, "", 0, kCopied, "what is behind its registers"};

constexpr uint32_t kListLimit = (0x1000 - 0x40) / 4;  // a capability in each dword

void walk_standard(std::span<const uint8_t> image, ImageWalk& walk) {
    if ((image_u16(image, regs::STATUS) & regs::STATUS_CAPABILITIES_LIST) == 0) return;
    std::bitset<256> seen;
    uint32_t at = image_u16(image, regs::CAPABILITIES_POINTER) & 0xfcU;
    while (at != 0) {
        if (at < regs::FIRST_CAPABILITY || at + 4 > image.size()) {
            walk.problems.push_back(
                fmt::format("the capability list goes to {:#04x}, which is {}: it ends there", at,
                            at < regs::FIRST_CAPABILITY ? "in the header" : "not in the image"));
            return;
        }
        if (seen[at]) {
            walk.problems.push_back(
                fmt::format("the capability list comes back to {:#04x}: it ends there", at));
            return;
        }
        seen[at] = true;
        if (image[at] == 0xff) {
            walk.problems.push_back(
                fmt::format("no capability at {:#04x}: the list ends there", at));
            return;
        }
        walk.capabilities.push_back({.id = image[at], .offset = at});
        at = image[at + 1] & 0xfcU;
    }
}

void walk_extended(std::span<const uint8_t> image, ImageWalk& walk) {
    if (image.size() <= regs::FIRST_EXTENDED_CAPABILITY) return;
    std::bitset<4096> seen;
    uint32_t at = regs::FIRST_EXTENDED_CAPABILITY;
    for (uint32_t steps = 0; at != 0 && steps < kListLimit; ++steps) {
        if (at < regs::FIRST_EXTENDED_CAPABILITY || at + 4 > image.size() || seen[at]) {
            walk.problems.push_back(
                fmt::format("the extended capability list {} {:#05x}: it ends there",
                            at < image.size() && seen[at] ? "comes back to" : "goes to", at));
            return;
        }
        seen[at] = true;
        const uint32_t header = image_u32(image, at);
        const auto id = static_cast<uint16_t>(header);
        if (header == 0 || header == 0xffff'ffff) {
            if (at != regs::FIRST_EXTENDED_CAPABILITY) {
                walk.problems.push_back(
                    fmt::format("no extended capability at {:#05x}: the list ends there", at));
            }
            return;
        }
        walk.capabilities.push_back({.id = id,
                                     .version = static_cast<uint8_t>(header >> 16 & 0xf),
                                     .extended = true,
                                     .offset = at});
        at = header >> 20 & 0xffc;
    }
}

// Bytes of an MSI capability with this control register (7.7.1): what follows it is not its own.
uint32_t msi_length(uint32_t control) {
    const bool wide = (control & regs::MSI_CONTROL_64_BIT_ADDRESS) != 0;
    if ((control & regs::MSI_CONTROL_PER_VECTOR_MASKING) == 0) {
        return (wide ? regs::MSI_DATA_64 : regs::MSI_DATA_32) + 4;
    }
    return (wide ? regs::MSI_PENDING_64 : regs::MSI_PENDING_32) + 4;
}

// What the capability says about its own length; 0: nothing.
uint32_t own_length(std::span<const uint8_t> image, const ImageCapability& one) {
    if (!one.extended && one.id == regs::CAP_ID_VENDOR)
        return image_u16(image, one.offset + 2) & 0xffU;
    if (!one.extended && one.id == regs::CAP_ID_MSI) {
        return msi_length(image_u16(image, one.offset + regs::MSI_CONTROL));
    }
    if (one.extended && (one.id == regs::EXT_CAP_ID_VSEC || one.id == 0x23)) {
        return image_u32(image, one.offset + 4) >> 20;
    }
    return capability_facts(one.id, one.extended).size;
}

void measure(std::span<const uint8_t> image, ImageWalk& walk) {
    std::vector<uint32_t> starts;
    for (const ImageCapability& one : walk.capabilities) starts.push_back(one.offset);
    std::sort(starts.begin(), starts.end());
    for (ImageCapability& one : walk.capabilities) {
        const auto next = std::upper_bound(starts.begin(), starts.end(), one.offset);
        const uint32_t end = one.extended ? 0x1000 : 0x100;
        const uint32_t room = std::min({next == starts.end() ? end : *next, end,
                                        static_cast<uint32_t>(image.size())}) -
                              one.offset;
        const uint32_t wanted = own_length(image, one);
        one.size = wanted == 0 ? room : std::min(room, std::max(wanted, 4U));
        const bool is_own = capability_facts(one.id, one.extended).size == 0;
        if (is_own && wanted > room) {
            walk.problems.push_back(fmt::format(
                "capability {:#04x} at {:#05x} says that it has {} bytes, and has room for {}",
                one.id, one.offset, wanted, room));
        }
    }
}

}  // namespace

const CapabilityFacts& capability_facts(uint16_t id, bool extended) {
    for (const CapabilityFacts& facts : kFacts) {
        if (facts.id == id && facts.extended == extended) return facts;
    }
    return kUnknown;
}

const ImageCapability* ImageWalk::find(uint16_t id, bool extended) const {
    for (const ImageCapability& one : capabilities) {
        if (one.id == id && one.extended == extended) return &one;
    }
    return nullptr;
}

uint16_t image_u16(std::span<const uint8_t> image, size_t offset) {
    if (offset + 2 > image.size()) return 0;
    return static_cast<uint16_t>(image[offset] | image[offset + 1] << 8);
}

uint32_t image_u32(std::span<const uint8_t> image, size_t offset) {
    return image_u16(image, offset) | uint32_t{image_u16(image, offset + 2)} << 16;
}

ImageWalk walk_image(std::span<const uint8_t> image) {
    ImageWalk walk;
    if (image.size() < 64) return walk;
    if (image.size() == 64) {
        if ((image_u16(image, regs::STATUS) & regs::STATUS_CAPABILITIES_LIST) != 0) {
            walk.problems.push_back("capabilities exist but are not in the image's 64 bytes");
        }
        return walk;
    }
    walk_standard(image, walk);
    walk_extended(image, walk);
    measure(image, walk);
    return walk;
}

std::array<Bar, kBarCount> image_bars(std::span<const uint8_t> image, size_t offset,
                                      unsigned count) {
    std::array<Bar, kBarCount> bars{};
    for (unsigned i = 0; i < count; ++i) {
        const uint32_t value = image_u32(image, offset + 4 * i);
        const bool wide = (value & 0x6) == regs::BAR_MEMORY_TYPE_64;
        if (value == 0 || value == 0xffff'ffff) continue;
        if ((value & regs::BAR_IO_SPACE) != 0) {
            bars[i].type = BarType::kIo;
            continue;
        }
        bars[i].prefetchable = (value & regs::BAR_PREFETCHABLE) != 0;
        bars[i].type = wide && i + 1 < count ? BarType::kMemory64 : BarType::kMemory32;
        if (bars[i].type == BarType::kMemory64) ++i;
    }
    return bars;
}

std::optional<ImageSriov> image_sriov(std::span<const uint8_t> image, bool lowest_pf) {
    using namespace regs;
    const ImageWalk walk = walk_image(image);
    const ImageCapability* const cap = walk.find(EXT_CAP_ID_SRIOV, true);
    if (cap == nullptr || cap->size < SRIOV_SIZE) return std::nullopt;
    const auto u16 = [&](uint32_t at) { return image_u16(image, cap->offset + at); };
    ImageSriov out;
    out.offset = cap->offset;
    out.num_vfs = (u16(SRIOV_CONTROL) & SRIOV_CONTROL_VF_ENABLE) != 0 ? u16(SRIOV_NUM_VFS) : 0;
    out.options.total_vfs = u16(SRIOV_TOTAL_VFS);
    out.options.vf_device_id = u16(SRIOV_VF_DEVICE_ID);
    out.options.vf_bars = image_bars(image, cap->offset + SRIOV_VF_BAR0);
    out.options.stride = std::max<uint16_t>(u16(SRIOV_VF_STRIDE), 1);
    out.options.supported_pages = image_u32(image, cap->offset + SRIOV_SUPPORTED_PAGE_SIZES);
    out.options.at = cap->offset;
    out.options.lowest_pf = lowest_pf;
    // The offset that was read holds for the hierarchy of that moment. In the other one, devices
    // put their VFs a whole bus away, at the same device and function numbers; an offset of 0 would
    // be the PF itself.
    constexpr uint32_t kBus = 256;
    const uint32_t first = std::max<uint16_t>(u16(SRIOV_FIRST_VF_OFFSET), 1);
    const bool ari = (u16(SRIOV_CONTROL) & SRIOV_CONTROL_ARI_HIERARCHY) != 0;
    uint32_t with_ari = first;
    uint32_t without_ari = first;
    if (lowest_pf && !ari && first >= kBus) with_ari = std::max(first - kBus, 1U);
    if (lowest_pf && ari) without_ari = first == 1 ? kBus : first + kBus;
    out.options.first_offset = static_cast<uint16_t>(with_ari);
    out.options.first_offset_without_ari = static_cast<uint16_t>(std::min(without_ari, 0xffffU));
    return out;
}

FunctionOptions image_header(std::span<const uint8_t> image) {
    using namespace regs;
    FunctionOptions out;
    out.vendor_id = image_u16(image, VENDOR_ID);
    out.device_id = image_u16(image, DEVICE_ID);
    out.revision = static_cast<uint8_t>(image_u32(image, REVISION_ID));
    out.class_code = image_u32(image, REVISION_ID) >> 8;
    const uint32_t layout = image_u16(image, HEADER_TYPE) & HEADER_TYPE_LAYOUT;
    out.header = layout == 1 ? HeaderType::kBridge : HeaderType::kEndpoint;
    out.multifunction = (image_u16(image, HEADER_TYPE) & HEADER_TYPE_MULTI_FUNCTION) != 0;
    if (layout == 0) {
        out.subsystem_vendor_id = image_u16(image, SUBSYSTEM_VENDOR_ID);
        out.subsystem_id = image_u16(image, SUBSYSTEM_ID);
    }
    const auto pin = static_cast<uint8_t>(image_u16(image, INTERRUPT_LINE) >> 8);
    out.interrupt_pin = pin <= 4 ? pin : 0;
    return out;
}

}  // namespace mimic::pci
