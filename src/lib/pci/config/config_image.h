// SPDX-License-Identifier: Apache-2.0
// Configuration space as somebody read it from real hardware: which capabilities are in it, and how
// a function is made that shows the same. PCIe Base Specification 6.0, 7.5 to 7.9; an image is
// hostile input, and whatever it says, walking and laying it out ends.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "pci/function/capabilities.h"
#include "pci/function/function.h"

namespace mimic::pci {

/// What becomes of a capability of an image.
enum class CapabilityUse : uint8_t {
    kModelled,  // it works: what CapabilityBuilder has, and those that are constants
    kControls,  // its control bits can be written and read back; nothing is behind them
    kCopied,    // read only, as in the image
};

/// What is known about one kind of capability.
struct CapabilityFacts {
    uint16_t id = 0;
    bool extended = false;
    std::string_view name;  // "Latency Tolerance Reporting"
    uint16_t size = 0;      // bytes; 0: not fixed
    CapabilityUse use = CapabilityUse::kCopied;
    std::string_view lost;  // what a copy does not do; empty: nothing to tell
};

/// The facts about `id`, or those of an unknown capability, whose name is empty.
const CapabilityFacts& capability_facts(uint16_t id, bool extended);

/// One capability in an image.
struct ImageCapability {
    uint16_t id = 0;
    uint8_t version = 0;  // of an extended one
    bool extended = false;
    uint32_t offset = 0;
    uint32_t size = 0;  // up to what follows, or what its kind or its own length field says
};

/// The lists of an image, in their order.
struct ImageWalk {
    std::vector<ImageCapability> capabilities;
    std::vector<std::string> problems;  // where a list lies; it ends there

    /// The first capability of a kind, or nullptr.
    const ImageCapability* find(uint16_t id, bool extended) const;
};

/// Walks the lists of `image`, of any size. Pure; never fails.
ImageWalk walk_image(std::span<const uint8_t> image);

/// Little-endian values of an image; zero beyond its end.
uint16_t image_u16(std::span<const uint8_t> image, size_t offset);
uint32_t image_u32(std::span<const uint8_t> image, size_t offset);

/// What an image says about SR-IOV, that of function 0 or (`lowest_pf` false) of another; VF BARs
/// have the types of the image and no sizes.
struct ImageSriov {
    uint32_t offset = 0;  // of the capability
    SriovOptions options;
    uint32_t num_vfs = 0;  // enabled when the image was read
};
std::optional<ImageSriov> image_sriov(std::span<const uint8_t> image, bool lowest_pf = true);

/// The BARs that the six registers at `offset` of the image describe: types, and no sizes. A
/// register that is zero is none: an address that nobody assigned cannot be told from no BAR.
std::array<Bar, kBarCount> image_bars(std::span<const uint8_t> image, size_t offset,
                                      unsigned count = kBarCount);

/// What the maker of a function knows besides the image.
struct ImageOptions {
    std::span<const uint8_t> image;        // 64, 256 or 4096 bytes
    std::array<Bar, kBarCount> vf_bars{};  // of one VF; without sizes: no SR-IOV
    bool lowest_pf = true;                 // function 0 of its device
    std::optional<PcieOptions> port{};     // of a bridge: its type, slot and ARI forwarding
};

/// Where lay_image() put what a model wants to know; 0: there is none, or only a copy.
struct ImageResult {
    uint32_t pcie = 0;
    uint32_t aer = 0;
    std::vector<std::string> copied;  // capabilities that could only be copied, and why
};

/// Lays the capabilities of an image into `function`, which was made with the image's ids and
/// BARs: at the same offsets, with the same values. Control registers begin with the values of the
/// image, as firmware leaves them; enable bits, status bits and addresses begin with zero. Errors:
/// EINVAL for an image of another size or a port whose image has no PCI Express capability of its
/// type.
Result<ImageResult> lay_image(Function& function, const ImageOptions& options);

/// FunctionOptions with all that the header of an image says; `bars` and `name` are the caller's.
FunctionOptions image_header(std::span<const uint8_t> image);

}  // namespace mimic::pci
