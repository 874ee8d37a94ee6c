// SPDX-License-Identifier: Apache-2.0
#include "pci/trace/trace_names.h"

#include <algorithm>
#include <cstring>

#include "pci/config/pci_regs.h"
#include "pci/describe/config_describe.h"
#include "pci/function/function.h"
#include "reg/bank.h"

namespace mimic::pci {
namespace {

constexpr uint32_t kEntryBytes = 16;  // of the MSI-X table: 7.7.2.2

}  // namespace

TraceNames::TraceNames(const Function& function) : spaces_(kConfig + 1) {
    for (const RegisterBlock& block : function.register_blocks()) {
        if (block.bar >= kBarCount || block.registers == nullptr) continue;
        for (const reg::RegisterInfo& info : block.registers->map().registers) {
            std::vector<Field> fields;
            for (const reg::Field& field : info.reg->fields)
                fields.push_back({field.name, field.hi, field.lo});
            for (uint32_t i = 0; i < info.elements; ++i) {
                const uint64_t at = block.offset + info.offset(i);
                spaces_[block.bar][at] = {reg::element_name(info, i), info.width_bytes, fields,
                                          function.doorbell_interrupt(block.bar, at)};
            }
        }
    }
    add_config(function);
    add_msix(function);
}

void TraceNames::add_config(const Function& function) {
    std::vector<uint8_t> image(function.config().size());
    function.config().read(0, image);
    for (const ConfigSection& section : describe_config(image).sections) {
        for (const DescribedRegister& reg : section.registers) {
            Place place{reg.name, reg.width / 8, {}};
            for (const DescribedField& field : reg.fields)
                place.fields.push_back({field.name, field.hi, field.lo});
            spaces_[kConfig].insert_or_assign(reg.offset, std::move(place));
        }
    }
}

void TraceNames::add_msix(const Function& function) {
    const ConfigSpace& config = function.config();
    constexpr uint8_t kMsixId = 0x11;
    const uint32_t cap = config.find_capability(kMsixId);
    if (cap == 0) return;
    constexpr uint32_t kBarIndicator = 7;
    const uint32_t table = config.u32(cap + 4);
    const uint32_t pba = config.u32(cap + 8);
    if ((table & kBarIndicator) < kBarCount) {
        Map& map = spaces_[table & kBarIndicator];
        constexpr const char* kWords[] = {"ADDRESS", "UPPER_ADDRESS", "DATA", "VECTOR_CONTROL"};
        for (uint32_t vector = 0; vector < function.msix_vectors(); ++vector) {
            for (uint32_t word = 0; word < 4; ++word) {
                const uint64_t at = (table & ~kBarIndicator) + vector * kEntryBytes + 4 * word;
                map[at] = {"MSIX[" + std::to_string(vector) + "]." + kWords[word], 4, {}};
            }
        }
    }
    if ((pba & kBarIndicator) < kBarCount) {
        for (uint32_t word = 0; word * 64 < function.msix_vectors(); ++word) {
            spaces_[pba & kBarIndicator][(pba & ~kBarIndicator) + 8 * word] = {
                "MSIX_PBA[" + std::to_string(word) + "]", 8, {}};
        }
    }
}

std::optional<TraceName> TraceNames::find(const TraceEvent& event) const {
    const bool is_config = event.kind == TraceKind::kConfigRead ||
                           event.kind == TraceKind::kConfigWrite;
    if (!is_config && event.kind != TraceKind::kBarRead && event.kind != TraceKind::kBarWrite)
        return std::nullopt;
    if (!is_config && event.bar >= kBarCount) return std::nullopt;
    const Map& map = spaces_[is_config ? kConfig : event.bar];
    const auto after = map.upper_bound(event.address);
    if (after == map.begin()) return std::nullopt;
    const auto& [offset, place] = *std::prev(after);
    const uint64_t inside = event.address - offset;
    if (inside >= place.bytes) return std::nullopt;
    TraceName result{.reg = place.name, .fields = {}, .interrupt = place.interrupt};
    if (inside != 0) result.reg += "+" + std::to_string(inside);
    if (inside != 0 || event.data.size() < place.bytes) return result;
    if (event.data.size() > place.bytes) result.reg += "..";
    if (place.fields.size() < 2 || place.bytes > sizeof(uint64_t)) return result;
    uint64_t value = 0;
    std::memcpy(&value, event.data.data(), place.bytes);
    for (const Field& field : place.fields) {
        if (field.hi > 63 || field.lo > field.hi) continue;
        const uint64_t mask = ~uint64_t{0} >> (63 - (field.hi - field.lo));
        result.fields.emplace_back(field.name, (value >> field.lo) & mask);
    }
    return result;
}

}  // namespace mimic::pci
