// SPDX-License-Identifier: Apache-2.0
// Reads what only devices with `model: external` have. docs/topology.md, "External".
#include <algorithm>

#include <fmt/format.h>

#include "topology/reader.h"

namespace mimic::topology {
namespace {

constexpr size_t kMaxCommand = 64;     // words; arbitrary
constexpr size_t kMaxText = 4096;      // of a word or a path; arbitrary, as PATH_MAX
constexpr size_t kMaxRegisters = 256;  // arbitrary
constexpr std::string_view kSocketWord = "{socket}";

/// A name that may stand in a shell's list: a driver's, a register's.
bool is_word(std::string_view text) {
    return !text.empty() && text.size() <= 63 && std::all_of(text.begin(), text.end(), [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               c == '_' || c == '-' || c == '.';
    });
}

void read_command(const Fields& fields, model::ExternalSpec& external) {
    const YamlNode* const list = fields.list("command", "a list: a program and its arguments");
    if (list == nullptr) return;
    bool has_socket = false;
    for (const YamlPtr& item : list->items) {
        const bool good = item->kind == YamlNode::Kind::kScalar && item->text.size() <= kMaxText &&
                          item->text.find('\0') == std::string::npos;
        if (!good || external.command.size() == kMaxCommand) {
            fields.problem(item->where, fmt::format("{} in 'command'; expected at most {} texts",
                                                    item->describe(), kMaxCommand));
            return;
        }
        external.command.push_back(item->text);
        has_socket |= item->text.find(kSocketWord) != std::string::npos;
    }
    if (!has_socket) {
        fields.problem(fields.where("command"),
                       fmt::format("'command' without {}, where the server's socket goes; expected "
                                   "it in an argument",
                                   kSocketWord));
    }
}

template <typename T>
void read_id(const Fields& fields, std::string_view key, uint64_t most, std::optional<T>& to) {
    if (const auto number = fields.number(key, {0, most})) to = static_cast<T>(*number);
}

void read_register(const YamlPtr& item, const Scope& scope, model::ExternalSpec& external,
                   ReadState& state) {
    const Fields fields(item, "register", kExternalRegisterKeys, scope, state.diagnostics);
    fields.require("name", "a name");
    fields.require("offset", "an offset in BAR0");
    fields.require("value", "a number");
    model::ExternalSpec::Register one;
    if (const auto name = fields.text("name", "a name of A-Z, a-z, 0-9, '_', '-' and '.'")) {
        one.name = *name;
        if (!is_word(*name)) {
            fields.problem(fields.where("name"),
                           fmt::format("register name '{}'; expected 1 to 63 of A-Z, a-z, 0-9, "
                                       "'_', '-' and '.'",
                                       name->substr(0, 70)));
        }
    }
    constexpr std::string_view kBits[] = {"8", "16", "32", "64"};
    one.bytes = 1u << fields.choice("bits", kBits).value_or(2);
    one.offset = fields.number("offset", {0, 1u << 30}).value_or(0);
    const uint64_t most = one.bytes == 8 ? UINT64_MAX : (uint64_t{1} << (8 * one.bytes)) - 1;
    one.value = fields.number("value", {0, most}).value_or(0);
    if (one.offset % one.bytes != 0) {
        fields.problem(fields.where("offset"),
                       fmt::format("offset {:#x} of a register of {} bits; expected a multiple of "
                                   "its size",
                                   one.offset, 8 * one.bytes));
    }
    external.registers.push_back(std::move(one));
}

}  // namespace

void read_external(const Fields& fields, const Scope& scope, DeviceSpec& device, ReadState& state) {
    constexpr std::string_view kNotOfExternals[] = {"uuid", "sriov", "vfs"};
    refuse_keys(fields, kNotOfExternals, "of an external device, which its server describes");
    model::ExternalSpec external;
    if (const auto socket = fields.text("socket", "a path")) external.socket = *socket;
    read_command(fields, external);
    if (external.socket.empty() == external.command.empty()) {
        fields.problem(fields.where(external.socket.empty() ? "model" : "socket"),
                       "an external device wants 'socket', a server that runs, or 'command', one "
                       "to start; expected one of them");
    }
    if (external.socket.size() > kMaxText || external.socket.find('\0') != std::string::npos)
        fields.problem(fields.where("socket"), "'socket' is no path");
    FunctionSpec& function = device.functions.front();
    read_id(fields, "vendor_id", 0xffff, external.vendor_id);
    read_id(fields, "device_id", 0xffff, external.device_id);
    read_id(fields, "class", 0xffffff, external.class_code);
    function.vendor_id = external.vendor_id.value_or(0);
    function.device_id = external.device_id.value_or(0);
    function.class_code = external.class_code.value_or(0);
    if (fields.find("bars")) {
        external.has_bars = true;
        function.bars = read_bar_list(fields, scope, "bars", state);
    }
    if (const auto driver = fields.text("driver", "the name of a driver")) {
        external.driver = *driver;
        if (!is_word(*driver)) fields.problem(fields.where("driver"), "'driver' is no name of one");
    }
    if (const YamlNode* const list = fields.list("registers", "a list of registers of BAR0")) {
        if (list->items.size() > kMaxRegisters) {
            fields.problem(fields.where("registers"),
                           fmt::format("{} registers; expected at most {}", list->items.size(),
                                       kMaxRegisters));
            return;
        }
        for (const YamlPtr& item : list->items) read_register(item, scope, external, state);
    }
    function.external = std::move(external);
    if (device.on_fabric) {
        fields.problem(fields.where("attach"),
                       "an external device on a fabric, whose functions Mimic serves itself; "
                       "expected attach: root-port");
    }
}

void read_ids(const Fields& fields, DeviceSpec& device) {
    std::optional<uint16_t> vendor;
    std::optional<uint16_t> own;
    read_id(fields, "vendor_id", 0xfffe, vendor);
    read_id(fields, "device_id", 0xfffe, own);
    for (FunctionSpec& function : device.functions) {
        function.vendor_id = vendor.value_or(function.vendor_id);
        function.device_id = own.value_or(function.device_id);
    }
}

void refuse_external_keys(const Fields& fields, bool has_ids) {
    constexpr std::string_view kOnlyExternals[] = {"socket", "command", "driver", "registers"};
    constexpr std::string_view kIds[] = {"vendor_id", "device_id"};
    refuse_keys(fields, kOnlyExternals, "of a device that is not external");
    if (!has_ids) refuse_keys(fields, kIds, "of a device whose model says them");
}

}  // namespace mimic::topology
