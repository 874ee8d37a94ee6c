// SPDX-License-Identifier: Apache-2.0
#include "pci/capabilities/msix.h"

#include "pci/capabilities/placing.h"
#include "pci/config/pci_regs.h"

namespace mimic::pci {

using namespace regs;

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

Status check(const FunctionOptions& owner, const MsixOptions& options) {
    if (options.vectors < 1 || options.vectors > MSIX_MAX_VECTORS) {
        return fail(std::errc::invalid_argument, "{}: {} MSI-X vectors: want 1..2048", owner.name,
                    options.vectors);
    }
    const Range table{options.table_offset, MsixTable::table_size(options.vectors)};
    const Range pba{options.pba_offset, MsixTable::pba_size(options.vectors)};
    MIMIC_TRY(check_place(owner, "table", options.table_bar, table));
    MIMIC_TRY(check_place(owner, "PBA", options.pba_bar, pba));
    if (options.table_bar == options.pba_bar && overlap(table, pba)) {
        return fail(std::errc::invalid_argument,
                    "{}: MSI-X table {:#x}+{:#x} and PBA {:#x}+{:#x} overlap in BAR{}", owner.name,
                    table.offset, table.size, pba.offset, pba.size, options.table_bar);
    }
    return {};
}

}  // namespace

Result<MsixCapability> MsixCapability::lay(ConfigSpace& config, const FunctionOptions& owner,
                                           const MsixOptions& options) {
    MIMIC_TRY(check(owner, options));
    MIMIC_ASSIGN_OR_RETURN(const uint32_t cap,
                           place_single(config, owner.name, CAP_ID_MSIX, MSIX_SIZE, options.at));
    config.define_u16(cap + MSIX_CONTROL,
                      {.reset = options.vectors - 1,
                       .writable = MSIX_CONTROL_FUNCTION_MASK | MSIX_CONTROL_ENABLE});
    config.define_u32(cap + MSIX_TABLE, {.reset = options.table_offset | options.table_bar});
    config.define_u32(cap + MSIX_PBA, {.reset = options.pba_offset | options.pba_bar});
    const MsixPlaces places(
        {options.table_bar, options.table_offset, MsixTable::table_size(options.vectors)},
        {options.pba_bar, options.pba_offset, MsixTable::pba_size(options.vectors)});
    return MsixCapability(config, cap, options.vectors, places);
}

bool MsixCapability::enabled() const {
    return (config_->u16(cap_ + MSIX_CONTROL) & MSIX_CONTROL_ENABLE) != 0;
}

void MsixCapability::read(const MsixPlaces::Part& part, std::span<uint8_t> data) const {
    part.owner == MsixPlaces::Owner::kTable ? table_.read(part.offset, data)
                                            : table_.read_pba(part.offset, data);
}

bool MsixCapability::write(const MsixPlaces::Part& part, std::span<const uint8_t> data) {
    // The PBA is read only.
    return part.owner == MsixPlaces::Owner::kTable && table_.write(part.offset, data);
}

bool MsixCapability::masked(uint32_t vector, bool entries_count) const {
    const uint32_t control = config_->u16(cap_ + MSIX_CONTROL);
    if ((control & MSIX_CONTROL_FUNCTION_MASK) != 0) return true;
    return entries_count && table_.masked(vector);
}

bool MsixCapability::admit(uint32_t vector, bool entries_count) {
    if (!masked(vector, entries_count)) return true;
    table_.set_pending(vector, true);
    return false;
}

std::optional<uint32_t> MsixCapability::take_pending(uint32_t first, bool entries_count) {
    if (!table_.any_pending()) return std::nullopt;
    for (uint32_t vector = table_.next_pending(first); vector < vectors();
         vector = table_.next_pending(vector + 1)) {
        if (masked(vector, entries_count)) continue;
        table_.set_pending(vector, false);
        return vector;
    }
    return std::nullopt;
}

}  // namespace mimic::pci
