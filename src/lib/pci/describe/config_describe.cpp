// SPDX-License-Identifier: Apache-2.0
#include "pci/describe/config_describe.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <bitset>

#include "pci/config/config_image.h"
#include "pci/config/pci_regs.h"
#include "pci/describe/config_rows.h"

namespace mimic::pci {
namespace rows {

uint32_t View::value(uint32_t at, unsigned width) const {
    uint32_t value = 0;
    for (uint32_t i = 0; i < width / 8; ++i) {
        const uint64_t place = uint64_t{offset} + at + i;
        if (place < image.size()) value |= uint32_t{image[place]} << (8 * i);
    }
    return value;
}

const CapabilityRows* extended_capability_rows(uint16_t id) {
    for (const auto part : {error_capabilities(), link_capabilities(), service_capabilities()}) {
        for (const CapabilityRows& one : part) {
            if (one.id == id) return &one;
        }
    }
    return nullptr;
}

DescribedRegister decode(const View& view, const RegisterRow& row, uint32_t index) {
    const uint32_t at = row.offset + index * row.stride;
    DescribedRegister out;
    out.name = row.array ? fmt::format("{}[{}]", row.name, index) : row.name;
    out.offset = uint64_t{view.offset} + at;
    out.width = row.width;
    out.value = view.value(at, row.width);
    out.doc = row.doc;
    out.fields.reserve(row.fields.size());
    for (const FieldRow& field : row.fields) {
        DescribedField one;
        one.name = field.name;
        one.lo = static_cast<unsigned>(std::countr_zero(field.mask));
        one.hi = static_cast<unsigned>(std::bit_width(field.mask)) - 1;
        one.value = (out.value & field.mask) >> one.lo;
        if (field.text != nullptr) one.text = field.text(one.value);
        out.fields.push_back(std::move(one));
    }
    return out;
}

namespace {

constexpr const char* kMemoryTypes[] = {"32 bits", "below 1 MiB", "64 bits", "reserved"};

constexpr RegisterRow kIoBar{
    "",
    0,
    32,
    "A window of I/O ports.",
    {{"IO_SPACE", regs::BAR_IO_SPACE},
     {"ADDRESS", regs::BAR_IO_ADDRESS, [](uint64_t value) { return hex_address(value << 2); }}}};
constexpr RegisterRow kMemoryBar{"",
                                 0,
                                 32,
                                 "A window of memory.",
                                 {{"IO_SPACE", regs::BAR_IO_SPACE},
                                  {"TYPE", bits(2, 1), named<kMemoryTypes>},
                                  {"PREFETCHABLE", regs::BAR_PREFETCHABLE},
                                  {"ADDRESS", regs::BAR_MEMORY_ADDRESS,
                                   [](uint64_t value) { return hex_address(value << 4); }}}};
constexpr RegisterRow kUpperBar{"", 0, 32, "The high half of the address before it."};

}  // namespace

void append_bars(const View& view, const BarRows& bars, std::vector<DescribedRegister>& out) {
    bool upper = false;
    uint32_t at = bars.at;
    for (unsigned i = 0; i < bars.count; ++i, at += 4) {
        if (at + 4 > view.size) return;
        const uint32_t value = view.u32(at);
        const bool io = (value & regs::BAR_IO_SPACE) != 0;
        RegisterRow row = upper ? kUpperBar : io ? kIoBar : kMemoryBar;
        row.offset = at;
        out.push_back(decode(view, row, 0));
        out.back().name = fmt::format("{}{}", bars.name, i);
        upper = !upper && !io && (value & 0x6) == regs::BAR_MEMORY_TYPE_64;
    }
}

void append_data(const View& view, uint32_t at, std::vector<DescribedRegister>& out) {
    for (uint32_t i = 0; at < view.size; ++i, at += 4) {
        RegisterRow row{.name = "DATA", .offset = at, .doc = "Nobody has a name for it."};
        row.width = 8 * std::min(view.size - at, 4U);
        out.push_back(decode(view, row, 0));
        out.back().name = fmt::format("DATA[{}]", i);
    }
}

std::string enabled(uint64_t value) {
    return value != 0 ? "Enabled" : "Disabled";
}
std::string hex_address(uint64_t value) {
    return fmt::format("{:#x}", value);
}
std::string link_speed(uint64_t value) {
    static constexpr const char* kSpeeds[] = {"none",    "2.5 GT/s", "5 GT/s", "8 GT/s",
                                              "16 GT/s", "32 GT/s",  "64 GT/s"};
    return name_in(kSpeeds, value);
}
std::string link_speeds(uint64_t value) {
    std::string text;
    for (unsigned i = 0; i < 7; ++i) {
        if ((value >> i & 1) != 0) text += (text.empty() ? "" : ", ") + link_speed(i + 1);
    }
    return text.empty() ? "none" : text;
}
std::string link_width(uint64_t value) {
    return fmt::format("x{}", value);
}
std::string payload_size(uint64_t value) {
    return value <= 5 ? fmt::format("{} bytes", 128U << value) : "reserved";
}
std::string plus_one(uint64_t value) {
    return fmt::format("{}", value + 1);
}
std::string name_in(std::span<const char* const> names, uint64_t value) {
    return value < names.size() ? names[value] : "reserved";
}

}  // namespace rows

namespace {

using rows::View;

constexpr rows::RegisterRow kCapabilityHeader[] = {
    {"CAPABILITY_ID", 0, 8, "What the capability is."},
    {"NEXT_CAPABILITY", 1, 8, "Where the next one lies; 0: nowhere."}};
constexpr rows::RegisterRow kExtendedHeader[] = {
    {"EXTENDED_CAPABILITY_HEADER",
     0,
     32,
     "What the capability is, and where the next one lies.",
     {{"ID", rows::bits(15, 0)},
      {"VERSION", rows::bits(19, 16)},
      {"NEXT_CAPABILITY", rows::bits(31, 20), rows::hex_address}}}};

constexpr uint32_t kHeaderSize = 64;
constexpr uint32_t kVmdOffset = 0x40;
constexpr uint32_t kVmdSize = 8;

void append_rows(const View& view, std::span<const rows::RegisterRow> table,
                 std::vector<DescribedRegister>& out) {
    for (const rows::RegisterRow& row : table) {
        const uint32_t count = row.count == nullptr ? 1 : row.count(view);
        for (uint32_t i = 0; i < count; ++i) {
            const uint64_t end = uint64_t{row.offset} + uint64_t{i} * row.stride + row.width / 8;
            if (end > view.size) break;
            out.push_back(rows::decode(view, row, i));
        }
    }
}

void sort_registers(std::vector<DescribedRegister>& registers) {
    std::stable_sort(registers.begin(), registers.end(),
                     [](const auto& a, const auto& b) { return a.offset < b.offset; });
}

class Describer {
public:
    explicit Describer(std::span<const uint8_t> image) : image_(image) {
        all_.image = image;
        all_.size = static_cast<uint32_t>(image.size());
        all_.bridge = (all_.value(regs::HEADER_TYPE, 8) & regs::HEADER_TYPE_LAYOUT) == 1;
    }

    ConfigDescription run() {
        if (image_.size() < kHeaderSize || image_.size() > 4096) {
            out_.problems.push_back(
                fmt::format("{} bytes are no configuration space", image_.size()));
            return std::move(out_);
        }
        ImageWalk walk = walk_image(image_);
        out_.problems = std::move(walk.problems);
        if (const auto* pcie = walk.find(regs::CAP_ID_PCIE, false); pcie != nullptr) {
            all_.port_type = all_.u16(pcie->offset + regs::PCIE_CAPABILITIES) >> 4 & 0xf;
            const uint32_t width = all_.u32(pcie->offset + regs::LNKCAP) >> 4 & 0x3f;
            all_.lanes = std::clamp<uint32_t>(width, 1, 32);
        }
        add_header();
        for (const ImageCapability& one : walk.capabilities) add_capability(one);
        add_vmd();
        add_rest();
        return std::move(out_);
    }

private:
    View view_of(uint32_t offset, uint32_t size) const {
        View view = all_;
        view.offset = offset;
        view.size = std::min(size, all_.size - offset);
        return view;
    }

    ConfigSection& section(std::string name, const View& view) {
        ConfigSection& one = out_.sections.emplace_back();
        one.name = std::move(name);
        one.offset = view.offset;
        one.size = view.size;
        for (uint32_t i = 0; i < view.size; ++i) covered_.set(view.offset + i);
        return one;
    }

    void add_header() {
        const View view = view_of(0, kHeaderSize);
        auto& registers = section("Header", view).registers;
        append_rows(view, rows::common_header_rows(), registers);
        append_rows(view, rows::header_rows(view.bridge), registers);
        rows::append_bars(view, {regs::BAR0, view.bridge ? 2U : 6U, "BAR"}, registers);
        sort_registers(registers);
    }

    void add_capability(const ImageCapability& one) {
        const View view = view_of(one.offset, one.size);
        const std::string_view known = capability_facts(one.id, one.extended).name;
        ConfigSection& part = section(
            known.empty() ? fmt::format("Capability {:#04x}", one.id) : std::string(known), view);
        part.id = one.id;
        part.extended = one.extended;
        auto& registers = part.registers;
        append_rows(
            view,
            one.extended ? std::span<const rows::RegisterRow>(kExtendedHeader) : kCapabilityHeader,
            registers);
        const rows::CapabilityRows* const table = one.extended
                                                      ? rows::extended_capability_rows(one.id)
                                                      : rows::capability_rows(one.id);
        if (table == nullptr) {
            rows::append_data(view, 4, registers);
        } else {
            append_rows(view, table->registers, registers);
            if (table->extra != nullptr) table->extra(view, registers);
        }
        sort_registers(registers);
    }

    // Intel's Volume Management Device keeps registers where no list leads.
    void add_vmd() {
        const bool is_vmd = all_.u16(regs::VENDOR_ID) == 0x8086 &&
                            all_.value(regs::CLASS_CODE, 24) == 0x010400;
        if (!is_vmd || all_.size < kVmdOffset + kVmdSize || covered_[kVmdOffset]) return;
        const View view = view_of(kVmdOffset, kVmdSize);
        append_rows(view, rows::vmd_rows(), section("Volume Management Device", view).registers);
    }

    // What lies in no list and is not zero: devices keep registers of their own there.
    void add_rest() {
        std::vector<DescribedRegister> rest;
        for (uint32_t at = kHeaderSize; at + 4 <= all_.size; at += 4) {
            if (covered_[at] || all_.u32(at) == 0) continue;
            rest.push_back(
                rows::decode(all_, {.name = "", .offset = at, .doc = "In no capability."}, 0));
            rest.back().name = fmt::format("DWORD_{:03X}", at);
        }
        if (rest.empty()) return;
        ConfigSection& part = out_.sections.emplace_back();
        part.name = "Other registers";
        part.offset = static_cast<uint32_t>(rest.front().offset);
        part.size = static_cast<uint32_t>(rest.back().offset) + 4 - part.offset;
        part.registers = std::move(rest);
    }

    std::span<const uint8_t> image_;
    View all_;
    std::bitset<4096> covered_;
    ConfigDescription out_;
};

}  // namespace

ConfigDescription describe_config(std::span<const uint8_t> image) {
    return Describer(image).run();
}

}  // namespace mimic::pci
