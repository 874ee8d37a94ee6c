// SPDX-License-Identifier: Apache-2.0
#include "host/function_state.h"

#include <array>
#include <nlohmann/json.hpp>
#include <vector>

#include "pci/pci_regs.h"
#include "pci/sriov.h"
#include "reg/bank.h"
#include "trace/event.h"

namespace mimic::host {
namespace {

using Json = nlohmann::ordered_json;

constexpr uint32_t kMsixId = 0x11;
constexpr uint32_t kSriovId = 0x10;
constexpr uint32_t kMsixEntry = 16;

tl::unexpected<Error> bad(const pci::Function& function, std::string_view what) {
    return fail(std::errc::invalid_argument, "{}: no state of it: {}", function.name(), what);
}

std::string hex_of(std::span<const uint8_t> bytes) {
    std::string text;
    for (const uint8_t byte : bytes) text += fmt::format("{:02x}", byte);
    return text;
}

std::optional<std::vector<uint8_t>> bytes_of(const Json& json, const char* key, size_t size) {
    const auto found = json.find(key);
    if (found == json.end() || !found->is_string()) return std::nullopt;
    const auto& text = found->get_ref<const std::string&>();
    if (text.size() != 2 * size) return std::nullopt;
    std::vector<uint8_t> bytes;
    for (size_t i = 0; i < size; ++i) {
        const auto byte = trace::parse_hex("0x" + text.substr(2 * i, 2));
        if (!byte) return std::nullopt;
        bytes.push_back(static_cast<uint8_t>(*byte));
    }
    return bytes;
}

std::vector<uint8_t> config_of(const pci::Function& function) {
    std::vector<uint8_t> bytes(function.config().size());
    function.config().read(0, bytes);
    return bytes;
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
        for (const auto& [name, value] : values->items()) {
            const auto number = trace::parse_hex(
                value.is_string() ? value.get_ref<const std::string&>() : std::string());
            if (!number) return bad(function, "the value of a register");
            snapshot.values.emplace(name, *number);
        }
        snapshots.push_back(std::move(snapshot));
    }
    return snapshots;
}

// Past masks and hooks, but only where something is stored.
void set_config(pci::Function& function, const std::vector<uint8_t>& bytes, uint32_t sriov) {
    pci::ConfigSpace& config = function.config();
    for (uint32_t at = 0; at < bytes.size(); at += 4) {
        uint32_t value = 0;
        for (uint32_t i = 0; i < 4; ++i) value |= uint32_t{bytes[at + i]} << (8 * i);
        // VF Enable is written last, for what it does.
        if (sriov != 0 && at == sriov + pci::regs::SRIOV_CONTROL)
            value &= ~pci::regs::SRIOV_CONTROL_VF_ENABLE;
        if (config.u32(at) != value) config.set_u32(at, value);
    }
}

}  // namespace

std::string capture_state(const pci::Function& function) {
    Json registers = Json::array();
    for (const auto& block : function.register_blocks()) {
        const reg::Snapshot snapshot = block.registers->snapshot();
        Json values = Json::object();
        for (const auto& [name, value] : snapshot.values) values[name] = trace::hex(value);
        registers.push_back(
            {{"map", snapshot.map_name}, {"hash", snapshot.map_hash}, {"values", values}});
    }
    std::vector<uint8_t> table(size_t{kMsixEntry} * function.msix_vectors());
    if (const pci::MsixTable* const msix = function.msix_table(); msix != nullptr)
        msix->read(0, table);
    return Json{{"config", hex_of(config_of(function))},
                {"msix", hex_of(table)},
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
    // Ids and the lists of capabilities tell that it is the same kind of function.
    const std::vector<uint8_t> own = config_of(function);
    if (!std::equal(own.begin(), own.begin() + 4, config->begin()) ||
        own[pci::regs::CAPABILITIES_POINTER] != (*config)[pci::regs::CAPABILITIES_POINTER])
        return bad(function, "it is that of another device");
    MIMIC_TRY(function.restore_registers(snapshots));
    const uint32_t sriov = function.config().find_extended_capability(kSriovId);
    set_config(function, *config, sriov);
    const uint32_t msix = function.config().find_capability(kMsixId);
    if (msix != 0) {
        const uint32_t where = function.config().u32(msix + 4);
        for (uint32_t at = 0; at < table->size(); at += 4)
            function.bar_write(where & 7, (where & ~7U) + at, std::span(*table).subspan(at, 4));
    }
    if (sriov == 0) return {};
    const std::array<uint8_t, 2> control{(*config)[sriov + pci::regs::SRIOV_CONTROL],
                                         (*config)[sriov + pci::regs::SRIOV_CONTROL + 1]};
    function.config().write(sriov + pci::regs::SRIOV_CONTROL, control);
    return {};
}

}  // namespace mimic::host
