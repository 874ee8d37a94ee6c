// SPDX-License-Identifier: Apache-2.0
// Rows of the tables that config_describe.cpp reads: a register is a row, a field is a mask with a
// name, and what the number means is a function of it. Private to src/lib/pci/config_*.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>
#include <vector>

#include "pci/describe/config_describe.h"

namespace mimic::pci::rows {

/// The bytes of one section, and what rows ask about the function.
struct View {
    std::span<const uint8_t> image;
    uint32_t offset = 0;     // of the section
    uint32_t size = 0;       // of the section: registers lie inside
    uint32_t port_type = 0;  // of the PCI Express capability
    uint32_t lanes = 1;      // Maximum Link Width
    bool bridge = false;

    /// Little-endian values at `at`, from the start of the section; zero beyond the image.
    uint32_t value(uint32_t at, unsigned width) const;
    uint32_t u16(uint32_t at) const { return value(at, 16); }
    uint32_t u32(uint32_t at) const { return value(at, 32); }
};

using TextOf = std::string (*)(uint64_t value);
using CountOf = uint32_t (*)(const View& view);

/// The bits [hi:lo] of a register.
constexpr uint32_t bits(unsigned hi, unsigned lo) {
    return (~uint32_t{0} >> (31 - (hi - lo))) << lo;
}
constexpr uint32_t bit(unsigned n) {
    return uint32_t{1} << n;
}

struct FieldRow {
    const char* name = "";
    uint32_t mask = 0;
    TextOf text = nullptr;
};

/// A register, or `count(view)` equal ones; a count of 0 says that this function has none.
struct RegisterRow {
    const char* name = "";
    uint32_t offset = 0;  // from the start of the section
    unsigned width = 32;
    const char* doc = "";
    std::initializer_list<FieldRow> fields = {};
    CountOf count = nullptr;  // one
    uint32_t stride = 0;
    bool array = false;  // named NAME[i]
};

/// More registers than rows can say.
using Extra = void (*)(const View& view, std::vector<DescribedRegister>& out);

struct CapabilityRows {
    uint16_t id = 0;
    std::span<const RegisterRow> registers;
    Extra extra = nullptr;
};

/// The rows of the header, without BARs: those of both layouts, and those of one.
std::span<const RegisterRow> common_header_rows();
std::span<const RegisterRow> header_rows(bool bridge);
std::span<const RegisterRow> pcie_rows();

/// The registers of Intel's Volume Management Device at 0x40.
std::span<const RegisterRow> vmd_rows();

/// Capabilities in the list at 0x100, in three parts.
std::span<const CapabilityRows> error_capabilities();
std::span<const CapabilityRows> link_capabilities();
std::span<const CapabilityRows> service_capabilities();

/// nullptr: nothing is known about the insides of this capability.
const CapabilityRows* capability_rows(uint16_t id);
const CapabilityRows* extended_capability_rows(uint16_t id);

/// One register, decoded. Precondition: it lies in the view.
DescribedRegister decode(const View& view, const RegisterRow& row, uint32_t index);

/// `count` BAR registers at `at`, called `name`0 ...
struct BarRows {
    uint32_t at;
    unsigned count;
    const char* name;
};

/// Decodes `bars` by the types that they say they have.
void append_bars(const View& view, const BarRows& bars, std::vector<DescribedRegister>& out);

/// Dwords from `at` to the end of the section that nobody has a name for: DATA[i].
void append_data(const View& view, uint32_t at, std::vector<DescribedRegister>& out);

// --- What numbers mean -----------------------------------------------------------------------

std::string enabled(uint64_t value);       // "Enabled", "Disabled"
std::string hex_address(uint64_t value);   // of a field that begins at the low bit of an address
std::string link_speed(uint64_t value);    // "32 GT/s"
std::string link_speeds(uint64_t value);   // of a vector: "2.5, 5, 8 GT/s"
std::string link_width(uint64_t value);    // "x16"
std::string payload_size(uint64_t value);  // "256 bytes"
std::string plus_one(uint64_t value);      // "64"

/// The text of number `value` in `names`, or "reserved".
std::string name_in(std::span<const char* const> names, uint64_t value);

template <const auto& Names>
std::string named(uint64_t value) {
    return name_in(Names, value);
}

}  // namespace mimic::pci::rows
