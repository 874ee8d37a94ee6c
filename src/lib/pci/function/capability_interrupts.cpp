// SPDX-License-Identifier: Apache-2.0
// Layouts of the MSI and MSI-X capabilities, and where an MSI-X table may lie. PCIe 6.0, 7.7.1
// and 7.7.2.
#include <bit>

#include "pci/function/capabilities.h"

namespace mimic::pci {
namespace {

struct Range {
    uint64_t offset;
    uint64_t size;
};

bool overlap(Range a, Range b) {
    return a.offset < b.offset + b.size && b.offset < a.offset + a.size;
}

// Whether `range` of BAR `index` can hold an MSI-X structure.
Status check_place(const FunctionOptions& function, const char* what, uint32_t index, Range range) {
    if (index >= kBarCount || (function.bars[index].type != BarType::kMemory32 &&
                               function.bars[index].type != BarType::kMemory64)) {
        return fail(std::errc::invalid_argument, "{}: MSI-X {} in BAR{}, which is no memory BAR",
                    function.name, what, index);
    }
    const Bar& bar = function.bars[index];
    if (range.offset % 8 != 0 || range.offset >= bar.size || range.size > bar.size - range.offset) {
        return fail(
            std::errc::invalid_argument,
            "{}: MSI-X {} at {:#x}+{:#x} must be 8-byte aligned inside BAR{} of {:#x} bytes",
            function.name, what, range.offset, range.size, index, bar.size);
    }
    for (const MappableArea& area : bar.areas) {
        if (overlap(range, {area.offset, area.size})) {
            return fail(std::errc::invalid_argument,
                        "{}: MSI-X {} at {:#x}+{:#x} lies in a mappable area of BAR{}",
                        function.name, what, range.offset, range.size, index);
        }
    }
    return {};
}

}  // namespace

Result<uint32_t> CapabilityBuilder::add_msi(const MsiOptions& options) {
    using namespace regs;
    if (!std::has_single_bit(options.vectors) || options.vectors > 32) {
        return fail(std::errc::invalid_argument, "{}: {} MSI vectors: want a power of two, 1..32",
                    function_.name(), options.vectors);
    }
    const bool wide = options.address_64;
    const uint32_t data = wide ? MSI_DATA_64 : MSI_DATA_32;
    const uint32_t mask = wide ? MSI_MASK_64 : MSI_MASK_32;
    const uint32_t size = options.per_vector_masking ? mask + 8 : data + 2;

    ConfigSpace& config = function_.config_;
    MIMIC_TRY(require_single(CAP_ID_MSI));
    MIMIC_ASSIGN_OR_RETURN(const uint32_t cap, config.add_capability(CAP_ID_MSI, size, options.at));
    const auto capable = static_cast<uint32_t>(std::countr_zero(options.vectors));
    config.define_u16(cap + MSI_CONTROL,
                      {.reset = (capable << 1) | (wide ? MSI_CONTROL_64_BIT_ADDRESS : 0) |
                                (options.per_vector_masking ? MSI_CONTROL_PER_VECTOR_MASKING : 0),
                       .writable = MSI_CONTROL_ENABLE | MSI_CONTROL_MULTIPLE_MESSAGE_ENABLE});
    config.define_u32(cap + MSI_ADDRESS, {.writable = MSI_ADDRESS_MASK});
    if (wide) config.define_u32(cap + MSI_UPPER_ADDRESS, {.writable = 0xffff'ffff});
    config.define_u16(cap + data, {.writable = 0xffff});
    if (options.per_vector_masking) {
        const auto vectors = static_cast<uint32_t>((uint64_t{1} << options.vectors) - 1);
        config.define_u32(cap + mask, {.writable = vectors});
    }
    function_.bind_msi(cap, options.vectors);
    return cap;
}

Status CapabilityBuilder::check_msix(const MsixOptions& options) const {
    if (options.vectors < 1 || options.vectors > regs::MSIX_MAX_VECTORS) {
        return fail(std::errc::invalid_argument, "{}: {} MSI-X vectors: want 1..2048",
                    function_.name(), options.vectors);
    }
    const Range table{options.table_offset, MsixTable::table_size(options.vectors)};
    const Range pba{options.pba_offset, MsixTable::pba_size(options.vectors)};
    MIMIC_TRY(check_place(function_.options(), "table", options.table_bar, table));
    MIMIC_TRY(check_place(function_.options(), "PBA", options.pba_bar, pba));
    if (options.table_bar == options.pba_bar && overlap(table, pba)) {
        return fail(std::errc::invalid_argument,
                    "{}: MSI-X table {:#x}+{:#x} and PBA {:#x}+{:#x} overlap in BAR{}",
                    function_.name(), table.offset, table.size, pba.offset, pba.size,
                    options.table_bar);
    }
    return {};
}

Result<uint32_t> CapabilityBuilder::add_msix(const MsixOptions& options) {
    using namespace regs;
    MIMIC_TRY(check_msix(options));
    ConfigSpace& config = function_.config_;
    MIMIC_TRY(require_single(CAP_ID_MSIX));
    MIMIC_ASSIGN_OR_RETURN(const uint32_t cap,
                           config.add_capability(CAP_ID_MSIX, MSIX_SIZE, options.at));
    config.define_u16(cap + MSIX_CONTROL,
                      {.reset = options.vectors - 1,
                       .writable = MSIX_CONTROL_FUNCTION_MASK | MSIX_CONTROL_ENABLE});
    config.define_u32(cap + MSIX_TABLE, {.reset = options.table_offset | options.table_bar});
    config.define_u32(cap + MSIX_PBA, {.reset = options.pba_offset | options.pba_bar});
    function_.bind_msix(
        cap, options.vectors,
        MsixPlaces(
            {options.table_bar, options.table_offset, MsixTable::table_size(options.vectors)},
            {options.pba_bar, options.pba_offset, MsixTable::pba_size(options.vectors)}));
    return cap;
}

}  // namespace mimic::pci
