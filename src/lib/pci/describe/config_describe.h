// SPDX-License-Identifier: Apache-2.0
// Configuration space in words: describe_config() decodes the bytes of a function into sections,
// registers and fields with the names of the PCIe Base Specification 6.0, chapter 7, for people and
// tools that look at a device. The rows are in config_header_rows.cpp, config_capability_rows.cpp,
// config_pcie_rows.cpp and config_extended_rows.cpp.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace mimic::pci {

/// Bits [hi:lo] of a register that was read.
struct DescribedField {
    std::string name;
    unsigned hi = 0;
    unsigned lo = 0;
    uint64_t value = 0;
    std::string text;  // "32 GT/s"; empty: the number is all there is
};

/// A register that was read.
struct DescribedRegister {
    std::string name;
    uint64_t offset = 0;  // bytes from the start of config space, or of what `maps` of a BAR says
    unsigned width = 0;   // bits: 8, 16, 24, 32 or 64
    uint64_t value = 0;
    std::string doc;  // a sentence; may be empty
    std::vector<DescribedField> fields;
};

/// The header or one capability.
struct ConfigSection {
    std::string name;            // "Header", "MSI-X", "PCI Express"
    std::optional<uint16_t> id;  // of a capability
    bool extended = false;       // in 0x100..0xfff, with a list of their own
    uint32_t offset = 0;
    uint32_t size = 0;                         // bytes
    std::vector<DescribedRegister> registers;  // in the order of their offsets
};

/// All of a configuration space.
struct ConfigDescription {
    std::vector<ConfigSection> sections;  // header, then the lists in their order
    std::vector<std::string> problems;    // where a list lies; it ends there
};

/// Decodes `image`: 64 bytes (only the header), 256 or 4096. Whatever is in it, the call ends, and
/// no register that does not lie in the image is in the result. Pure. Thread-safe.
ConfigDescription describe_config(std::span<const uint8_t> image);

}  // namespace mimic::pci
