// SPDX-License-Identifier: Apache-2.0
#include "host/function_state.h"

#include <charconv>
#include <nlohmann/json.hpp>
#include <vector>

#include "pci/config/pci_regs.h"
#include "pci/function/sriov.h"
#include "reg/bank.h"
#include "trace/event.h"

namespace mimic::host {
namespace {

using Json = nlohmann::ordered_json;

constexpr uint32_t kMsixEntry = 16;
constexpr std::string_view kLowHalf = ":low";  // of a register that waits for its high half

tl::unexpected<Error> bad(const pci::Function& function, std::string_view what) {
    return fail(std::errc::invalid_argument, "{}: no state of it: {}", function.name(), what);
}

// What lies between two pieces of bytes, or in front of one, is zero; nearer ones are one piece.
constexpr size_t kGap = 8;

char digit(unsigned value) {
    return "0123456789abcdef"[value & 15];
}

// {"0x4": "0701", ..}: most of a config space is zero, and a state lies in a small ring.
Json pieces_of(std::span<const uint8_t> bytes) {
    Json pieces = Json::object();
    for (size_t at = 0; at < bytes.size();) {
        if (bytes[at] == 0) {
            ++at;
            continue;
        }
        std::string text;
        const size_t start = at;
        for (size_t zeros = 0; at < bytes.size() && zeros < kGap; ++at) {
            zeros = bytes[at] == 0 ? zeros + 1 : 0;
            text.push_back(digit(bytes[at] >> 4U));
            text.push_back(digit(bytes[at]));
        }
        while (text.ends_with("00")) text.resize(text.size() - 2);
        pieces[trace::hex(start)] = text;
    }
    return pieces;
}

// Of `text` into `bytes` at `at`; false: it is none, or does not fit.
bool put_bytes(const std::string& text, uint64_t at, std::vector<uint8_t>& bytes) {
    if (text.size() % 2 != 0 || at > bytes.size() || text.size() / 2 > bytes.size() - at)
        return false;
    for (size_t i = 0; i < text.size(); i += 2) {
        const char* const from = text.data() + i;
        const auto parsed = std::from_chars(from, from + 2, bytes[at + i / 2], 16);
        if (parsed.ec != std::errc() || parsed.ptr != from + 2) return false;
    }
    return true;
}

// Pieces, or, as files of before have them, all bytes as one string.
std::optional<std::vector<uint8_t>> bytes_of(const Json& json, const char* key, size_t size) {
    const auto found = json.find(key);
    if (found == json.end()) return std::nullopt;
    std::vector<uint8_t> bytes(size);
    if (found->is_string()) {
        const auto& text = found->get_ref<const std::string&>();
        if (text.size() != 2 * size || !put_bytes(text, 0, bytes)) return std::nullopt;
        return bytes;
    }
    if (!found->is_object()) return std::nullopt;
    for (const auto& [where, piece] : found->items()) {
        const auto at = trace::parse_hex(where);
        if (!at || !piece.is_string() ||
            !put_bytes(piece.get_ref<const std::string&>(), *at, bytes))
            return std::nullopt;
    }
    return bytes;
}

std::vector<uint8_t> config_of(const pci::Function& function) {
    std::vector<uint8_t> bytes(function.config().size());
    function.config().read(0, bytes);
    return bytes;
}

uint32_t number_at(const std::vector<uint8_t>& bytes, uint32_t at, uint32_t size) {
    uint32_t value = 0;
    for (uint32_t i = 0; i < size; ++i) value |= uint32_t{bytes[at + i]} << (8 * i);
    return value;
}

// Where there is what is not written as it stands in a state; 0: the function has none. Asked of
// the function before anything of the state is in it.
struct Capabilities {
    explicit Capabilities(const pci::ConfigSpace& config)
        : power(config.find_capability(pci::regs::CAP_ID_PM)),
          msix(config.find_capability(pci::regs::CAP_ID_MSIX)),
          sriov(config.find_extended_capability(pci::regs::EXT_CAP_ID_SRIOV)) {}
    uint32_t power;
    uint32_t msix;
    uint32_t sriov;
};

// Whether ids, the lists of capabilities and what lies where are as in this function: they tell
// that it is the same kind, and the models rely on them.
bool is_same_kind(const pci::ConfigSpace& own, const std::vector<uint8_t>& bytes,
                  const Capabilities& caps) {
    using namespace pci::regs;
    const auto same = [&](uint32_t at) { return own.u32(at) == number_at(bytes, at, 4); };
    if (!same(VENDOR_ID) || !same(CAPABILITIES_POINTER)) return false;
    constexpr unsigned kMost = 256;  // capabilities; more than a config space holds
    unsigned steps = 0;
    for (uint32_t at = own.u8(CAPABILITIES_POINTER); at != 0 && steps < kMost; ++steps) {
        if (own.u16(at) != number_at(bytes, at, 2)) return false;
        at = own.u8(at + 1);
    }
    uint32_t at = own.size() > FIRST_EXTENDED_CAPABILITY ? FIRST_EXTENDED_CAPABILITY : 0;
    for (; at != 0 && steps < 2 * kMost; ++steps, at = own.u32(at) >> 20)
        if (!same(at)) return false;
    if (caps.msix != 0 && (!same(caps.msix + MSIX_TABLE) || !same(caps.msix + MSIX_PBA)))
        return false;
    if (caps.sriov == 0) return true;
    const uint32_t total = own.u16(caps.sriov + SRIOV_TOTAL_VFS);
    return number_at(bytes, caps.sriov + SRIOV_TOTAL_VFS, 2) == total &&
           number_at(bytes, caps.sriov + SRIOV_NUM_VFS, 2) <= total;
}

Result<std::vector<reg::Snapshot>> snapshots_of(const pci::Function& function, const Json& json) {
    const auto registers = json.find("registers");
    const auto blocks = function.register_blocks();
    if (registers == json.end() || !registers->is_array() || registers->size() != blocks.size())
        return bad(function, "its blocks of registers");
    std::vector<reg::Snapshot> snapshots;
    for (const Json& one : *registers) {
        const auto map = one.find("map");
        const auto hash = one.find("hash");
        const auto values = one.find("values");
        if (!one.is_object() || map == one.end() || !map->is_string() || hash == one.end() ||
            !hash->is_number_unsigned() || values == one.end() || !values->is_object())
            return bad(function, "a block of registers");
        reg::Snapshot snapshot{map->get<std::string>(), hash->get<uint64_t>(), {}};
        // Those that hold zero are left out.
        for (const auto& [name, value] : blocks[snapshots.size()].registers->snapshot().values)
            if (!name.ends_with(kLowHalf)) snapshot.values.emplace(name, 0);
        for (const auto& [name, value] : values->items()) {
            const auto number = trace::parse_hex(
                value.is_string() ? value.get_ref<const std::string&>() : std::string());
            if (!number) return bad(function, "the value of a register");
            snapshot.values.insert_or_assign(name, *number);
        }
        snapshots.push_back(std::move(snapshot));
    }
    return snapshots;
}

// Past masks and hooks, but only where something is stored.
void set_config(pci::Function& function, const std::vector<uint8_t>& bytes,
                const Capabilities& caps) {
    pci::ConfigSpace& config = function.config();
    for (uint32_t at = 0; at < bytes.size(); at += 4) {
        uint32_t value = number_at(bytes, at, 4);
        // VF Enable and the power state are written last, for what that does.
        if (caps.sriov != 0 && at == caps.sriov + pci::regs::SRIOV_CONTROL)
            value &= ~pci::regs::SRIOV_CONTROL_VF_ENABLE;
        if (caps.power != 0 && at == caps.power + pci::regs::PMCSR)
            value &= ~uint32_t{pci::regs::PMCSR_POWER_STATE};
        if (config.u32(at) != value) config.set_u32(at, value);
    }
}

}  // namespace

std::string capture_state(const pci::Function& function) {
    Json registers = Json::array();
    for (const auto& block : function.register_blocks()) {
        const reg::Snapshot snapshot = block.registers->snapshot();
        Json values = Json::object();
        for (const auto& [name, value] : snapshot.values)
            if (value != 0 || name.ends_with(kLowHalf)) values[name] = trace::hex(value);
        registers.push_back(
            {{"map", snapshot.map_name}, {"hash", snapshot.map_hash}, {"values", values}});
    }
    std::vector<uint8_t> table(size_t{kMsixEntry} * function.msix_vectors());
    if (const pci::MsixTable* const msix = function.msix_table(); msix != nullptr)
        msix->read(0, table);
    return Json{{"config", pieces_of(config_of(function))},
                {"msix", pieces_of(table)},
                {"registers", std::move(registers)}}
        .dump();
}

Status restore_state(pci::Function& function, const std::string& text) {
    const Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
    if (!json.is_object()) return bad(function, "no JSON object");
    const auto config = bytes_of(json, "config", function.config().size());
    const auto table = bytes_of(json, "msix", size_t{kMsixEntry} * function.msix_vectors());
    if (!config || !table) return bad(function, "its config space or MSI-X table");
    MIMIC_ASSIGN_OR_RETURN(const auto snapshots, snapshots_of(function, json));
    const Capabilities caps(function.config());
    if (!is_same_kind(function.config(), *config, caps))
        return bad(function, "it is that of another device");
    MIMIC_TRY(function.restore_registers(snapshots));
    set_config(function, *config, caps);
    if (caps.msix != 0) {
        const uint32_t where = function.config().u32(caps.msix + pci::regs::MSIX_TABLE);
        const uint64_t table_at = where & pci::regs::MSIX_OFFSET;
        for (uint32_t at = 0; at < table->size(); at += 4)
            function.restore_bar(where & pci::regs::MSIX_BIR, table_at + at,
                                 std::span(*table).subspan(at, 4));
    }
    const auto write_again = [&](uint32_t at) {
        function.config().write(at, std::span(*config).subspan(at, 2));
    };
    if (caps.sriov != 0) write_again(caps.sriov + pci::regs::SRIOV_CONTROL);
    if (caps.power != 0) write_again(caps.power + pci::regs::PMCSR);
    return {};
}

}  // namespace mimic::host
