// SPDX-License-Identifier: Apache-2.0
#include "pci/describe/function_registers.h"

#include <algorithm>
#include <array>

#include "pci/config/pci_regs.h"
#include "reg/describe.h"

namespace mimic::pci {
namespace {

struct MsixRow {
    const char* name;
    const char* doc;
};
// Of an entry, in the order of their offsets (7.7.2).
constexpr MsixRow kEntry[] = {{"MESSAGE_ADDRESS", "Where the message goes."},
                              {"MESSAGE_UPPER_ADDRESS", "Its high half."},
                              {"MESSAGE_DATA", "What it says."},
                              {"VECTOR_CONTROL", "Whether the vector is held back."}};

uint64_t little_endian(std::span<const uint8_t> bytes) {
    uint64_t value = 0;
    for (size_t i = bytes.size(); i-- > 0;) value = value << 8 | bytes[i];
    return value;
}

RegisterMap msix_table(const MsixTable& table, uint64_t offset, bool kept_by_vmm) {
    RegisterMap map{
        kept_by_vmm ? "MSI-X table (the VMM keeps the real one)" : "MSI-X table", offset, {}};
    map.registers.reserve(size_t{4} * table.vectors());
    std::array<uint8_t, regs::MSIX_ENTRY_SIZE> entry{};
    for (uint32_t vector = 0; vector < table.vectors(); ++vector) {
        table.read(uint64_t{vector} * entry.size(), entry);
        for (uint32_t i = 0; i < std::size(kEntry); ++i) {
            const auto value = little_endian(std::span(entry).subspan(size_t{4} * i, 4));
            DescribedRegister one{fmt::format("VECTOR[{}].{}", vector, kEntry[i].name),
                                  offset + uint64_t{vector} * entry.size() + uint64_t{4} * i,
                                  32,
                                  value,
                                  kEntry[i].doc,
                                  {}};
            if (4 * i == regs::MSIX_ENTRY_VECTOR_CONTROL)
                one.fields.push_back({"MASK", 0, 0, value & 1, ""});
            map.registers.push_back(std::move(one));
        }
    }
    return map;
}

RegisterMap msix_pending(const MsixTable& table, uint64_t offset) {
    RegisterMap map{"MSI-X pending bits", offset, {}};
    std::array<uint8_t, 8> word{};
    for (uint64_t at = 0; at < MsixTable::pba_size(table.vectors()); at += word.size()) {
        table.read_pba(at, word);
        map.registers.push_back({fmt::format("PENDING[{}]", at / word.size()),
                                 offset + at,
                                 64,
                                 little_endian(word),
                                 "A bit a vector that waits.",
                                 {}});
    }
    return map;
}

void add_msix(Function& function, std::vector<BarRegisters>& bars) {
    const MsixTable* const table = function.msix_table();
    const uint32_t cap = function.config().find_capability(regs::CAP_ID_MSIX);
    if (table == nullptr || cap == 0) return;
    const uint32_t place = function.config().u32(cap + regs::MSIX_TABLE);
    const uint32_t pending = function.config().u32(cap + regs::MSIX_PBA);
    const bool kept = function.slot() != nullptr && function.slot()->owns_msix_table();
    for (BarRegisters& bar : bars) {
        if ((place & regs::MSIX_BIR) == bar.bar)
            bar.maps.push_back(msix_table(*table, place & regs::MSIX_OFFSET, kept));
        if ((pending & regs::MSIX_BIR) == bar.bar)
            bar.maps.push_back(msix_pending(*table, pending & regs::MSIX_OFFSET));
    }
}

std::optional<uint64_t> address_of(const Function& function, unsigned bar) {
    const uint64_t address = function.bars()[bar].type == BarType::kIo
                                 ? uint64_t{function.config().u32(regs::BAR0 + 4 * bar) &
                                            regs::BAR_IO_ADDRESS}
                                 : function.bar_address(bar);
    return address != 0 ? std::optional(address) : std::nullopt;
}

}  // namespace

RegisterMap bank_map(std::string name, uint64_t offset, const reg::BankCore& bank) {
    RegisterMap map{std::move(name), offset, {}};
    for (reg::RegisterValue& value : reg::dump(bank)) {
        DescribedRegister one;
        one.name = std::move(value.name);
        one.offset = offset + value.offset;
        one.width = value.width;
        one.value = value.value;
        one.doc = value.doc;
        one.fields.reserve(value.fields.size());
        for (reg::FieldValue& field : value.fields)
            one.fields.push_back({std::move(field.name), field.hi, field.lo, field.value, ""});
        map.registers.push_back(std::move(one));
    }
    return map;
}

std::vector<uint8_t> config_bytes(const Function& function) {
    std::vector<uint8_t> bytes(function.config().size());
    function.config().read(0, bytes);
    return bytes;
}

std::vector<BarRegisters> bar_registers(Function& function, std::optional<unsigned> bar) {
    std::vector<BarRegisters> bars;
    for (unsigned i = 0; i < kBarCount; ++i) {
        const Bar& one = function.bars()[i];
        if (one.type == BarType::kNone || (bar && *bar != i)) continue;
        bars.push_back({i, one.type, one.prefetchable, one.size, address_of(function, i), {}});
    }
    for (const RegisterBlock& block : function.register_blocks()) {
        for (BarRegisters& one : bars)
            if (one.bar == block.bar && block.registers != nullptr)
                one.maps.push_back(bank_map(block.name, block.offset, *block.registers));
    }
    add_msix(function, bars);
    for (BarRegisters& one : bars) {
        std::stable_sort(one.maps.begin(), one.maps.end(),
                         [](const auto& a, const auto& b) { return a.offset < b.offset; });
    }
    return bars;
}

}  // namespace mimic::pci
