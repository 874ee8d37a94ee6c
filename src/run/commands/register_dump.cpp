// SPDX-License-Identifier: Apache-2.0
#include "commands/register_dump.h"

#include <algorithm>
#include <charconv>
#include <map>
#include <nlohmann/json.hpp>

#include "commands/terminal_text.h"
#include "service/peer_json.h"

namespace mimic::commands {
namespace {

using Json = nlohmann::ordered_json;

constexpr size_t kMaxRegisters = 100'000;  // 2,048 vectors have 8,224
constexpr size_t kMaxConfig = 4096;

tl::unexpected<Error> bad(const char* what) {
    return fail(std::errc::protocol_error, "the device host's answer is no register dump: {}",
                what);
}

std::string printable(const Json& json, const char* key) {
    return terminal_text(service::string_member(json, key));
}

Result<uint64_t> hex_of(const Json& json, const char* key) {
    const Json* const found = service::find_member(json, key);
    if (found == nullptr || !found->is_string()) return bad(key);
    const std::string& text = found->get_ref<const std::string&>();
    uint64_t value = 0;
    if (text.size() < 3 || !text.starts_with("0x")) return bad(key);
    const auto end = text.data() + text.size();
    const auto parsed = std::from_chars(text.data() + 2, end, value, 16);
    if (parsed.ec != std::errc() || parsed.ptr != end) return bad(key);
    return value;
}

Result<unsigned> number_of(const Json& json, const char* key, unsigned max) {
    const Json* const found = service::find_member(json, key);
    if (found == nullptr || !found->is_number_unsigned() || found->get<uint64_t>() > max)
        return bad(key);
    return found->get<unsigned>();
}

Result<DumpRegister> read_register(const Json& json) {
    DumpRegister out;
    out.name = printable(json, "name");
    out.doc = printable(json, "doc");
    MIMIC_ASSIGN_OR_RETURN(out.offset, hex_of(json, "offset"));
    MIMIC_ASSIGN_OR_RETURN(out.width, number_of(json, "width", 64));
    MIMIC_ASSIGN_OR_RETURN(out.value, hex_of(json, "value"));
    const Json* const fields = service::find_member(json, "fields");
    if (fields == nullptr || !fields->is_array() || fields->size() > 64) return bad("fields");
    for (const auto& one : *fields) {
        DumpField field;
        field.name = printable(one, "name");
        field.text = printable(one, "text");
        MIMIC_ASSIGN_OR_RETURN(field.hi, number_of(one, "hi", 63));
        MIMIC_ASSIGN_OR_RETURN(field.lo, number_of(one, "lo", 63));
        MIMIC_ASSIGN_OR_RETURN(field.value, hex_of(one, "value"));
        if (field.lo > field.hi) return bad("lo");
        out.fields.push_back(std::move(field));
    }
    return out;
}

class Reader {
public:
    Result<RegisterDump> read(const Json& json) {
        out_.device = printable(json, "device");
        if (const Json* const config = service::find_member(json, "config"); config != nullptr)
            MIMIC_TRY(read_config(*config));
        if (const Json* const bars = service::find_member(json, "bars"); bars != nullptr)
            MIMIC_TRY(read_bars(*bars));
        if (const Json* const state = service::find_member(json, "state"); state != nullptr)
            MIMIC_TRY(read_state(*state));
        return std::move(out_);
    }

private:
    Status read_part(DumpPart part, const Json& json) {
        const Json* const registers = service::find_member(json, "registers");
        if (registers == nullptr || !registers->is_array()) return bad("registers");
        registers_ += registers->size();
        if (registers_ > kMaxRegisters) return bad("there are too many registers");
        for (const auto& one : *registers) {
            MIMIC_ASSIGN_OR_RETURN(auto reg, read_register(one));
            part.registers.push_back(std::move(reg));
        }
        out_.parts.push_back(std::move(part));
        return {};
    }

    Status read_config(const Json& config) {
        const Json* const sections = service::find_member(config, "sections");
        if (sections == nullptr || !sections->is_array()) return bad("sections");
        for (const auto& one : *sections) {
            MIMIC_ASSIGN_OR_RETURN(const uint64_t offset, hex_of(one, "offset"));
            const std::string id = printable(one, "id");
            MIMIC_TRY(read_part({fmt::format("[{:02x}] {}{}", offset, printable(one, "name"),
                                             id.empty() ? "" : " (" + id + ")"),
                                 "",
                                 {}},
                                one));
        }
        if (const Json* const problems = service::find_member(config, "problems");
            problems != nullptr && problems->is_array()) {
            for (const auto& one : *problems) {
                if (one.is_string()) out_.problems.push_back(terminal_text(one.get<std::string>()));
            }
        }
        return read_hex(config);
    }

    Status read_hex(const Json& config) {
        const Json* const hex = service::find_member(config, "hex");
        if (hex == nullptr || !hex->is_string()) return bad("hex");
        const std::string& text = hex->get_ref<const std::string&>();
        if (text.size() % 2 != 0 || text.size() > 2 * kMaxConfig) return bad("hex");
        for (size_t at = 0; at < text.size(); at += 2) {
            uint8_t byte = 0;
            const char* const end = text.data() + at + 2;
            const auto parsed = std::from_chars(text.data() + at, end, byte, 16);
            if (parsed.ec != std::errc() || parsed.ptr != end) return bad("hex");
            out_.config.push_back(byte);
        }
        return {};
    }

    Status read_bars(const Json& bars) {
        if (!bars.is_array()) return bad("bars");
        for (const auto& bar : bars) {
            MIMIC_ASSIGN_OR_RETURN(const unsigned number, number_of(bar, "bar", 5));
            const std::string name = fmt::format("BAR{}", number);
            const std::string address = printable(bar, "address");
            const Json* const size = service::find_member(bar, "size");
            const Json* const prefetchable = service::find_member(bar, "prefetchable");
            const bool is_prefetchable = prefetchable != nullptr && prefetchable->is_boolean() &&
                                         prefetchable->get<bool>();
            out_.parts.push_back(
                {fmt::format(
                     "{}: {}{}, {} bytes at {}", name, printable(bar, "type"),
                     is_prefetchable ? " prefetchable" : "",
                     size != nullptr && size->is_number_unsigned() ? size->get<uint64_t>() : 0,
                     address.empty() ? "no address" : address),
                 name + ".",
                 {}});
            const Json* const maps = service::find_member(bar, "maps");
            if (maps == nullptr || !maps->is_array()) return bad("maps");
            for (const auto& map : *maps) {
                MIMIC_ASSIGN_OR_RETURN(const uint64_t offset, hex_of(map, "offset"));
                MIMIC_TRY(
                    read_part({fmt::format("{} {:#x} {}", name, offset, printable(map, "name")),
                               name + ".",
                               {}},
                              map));
            }
        }
        return {};
    }

    // Of a device that is no PCI function here.
    Status read_state(const Json& state) {
        if (!state.is_array()) return bad("state");
        for (const auto& map : state) {
            const std::string name = printable(map, "name");
            MIMIC_TRY(read_part({name, name + ".", {}}, map));
        }
        return {};
    }

    RegisterDump out_;
    size_t registers_ = 0;
};

// --- For people ------------------------------------------------------------------------------

// A value as people write it: small numbers as they are.
std::string number_text(uint64_t value) {
    return value < 10 ? fmt::format("{}", value) : fmt::format("{:#x}", value);
}

bool is_plain(const DumpRegister& reg) {
    return reg.fields.empty() || (reg.fields.size() == 1 && reg.fields[0].text.empty() &&
                                  reg.fields[0].hi - reg.fields[0].lo + 1 == reg.width);
}

// As lspci: NAME+ and NAME- for a bit, NAME=text for the rest.
std::string field_text(const DumpField& field) {
    const bool is_switch = field.text.empty() || field.text == "Enabled" ||
                           field.text == "Disabled";
    if (field.hi == field.lo && is_switch) return field.name + (field.value != 0 ? "+" : "-");
    return field.name + "=" + (field.text.empty() ? number_text(field.value) : field.text);
}

// The list's plumbing is in the JSON, not in the way.
bool is_plumbing(const DumpRegister& reg) {
    return reg.name == "CAPABILITY_ID" || reg.name == "NEXT_CAPABILITY" ||
           reg.name == "EXTENDED_CAPABILITY_HEADER";
}

// The lines of a register: as many as its fields need.
std::vector<std::string> register_lines(const DumpRegister& reg, const DumpStyle& style) {
    std::vector<std::string> lines;
    std::string line = fmt::format("  {:03x} {} = {:0{}x}", reg.offset, reg.name, reg.value,
                                   reg.width / 4);
    if (!is_plain(reg)) {
        line += ":";
        for (const DumpField& field : reg.fields) {
            const std::string text = field_text(field);
            if (columns_of(line) + 1 + columns_of(text) > style.columns) {
                lines.push_back(std::move(line));
                line = "       ";
            }
            line += " " + text;
        }
    }
    lines.push_back(std::move(line));
    if (style.docs && !reg.doc.empty()) lines.push_back("        # " + reg.doc);
    return lines;
}

// --- Comparing -------------------------------------------------------------------------------

std::string value_text(const DumpField& field) {
    return field.text.empty() ? number_text(field.value) : field.text;
}

uint64_t mask_of(const DumpField& field) {
    return (~uint64_t{0} >> (63 - (field.hi - field.lo))) << field.lo;
}

// Lines about one register whose value changed.
std::vector<std::string> change_lines(const std::string& name, const DumpRegister& before,
                                      const DumpRegister& now) {
    std::vector<std::string> lines;
    uint64_t rest = before.value ^ now.value;
    if (!is_plain(now) && before.fields.size() == now.fields.size()) {
        for (size_t i = 0; i < now.fields.size(); ++i) {
            const DumpField& field = now.fields[i];
            if (field.value == before.fields[i].value) continue;
            lines.push_back(fmt::format("{}.{} {} -> {}", name, field.name,
                                        value_text(before.fields[i]), value_text(field)));
            rest &= ~mask_of(field);
        }
    }
    if (rest != 0) {
        lines.push_back(
            fmt::format("{} {} -> {}", name, number_text(before.value), number_text(now.value)));
    }
    return lines;
}

}  // namespace

Result<RegisterDump> read_register_dump(const Json& json) {
    return Reader().read(json);
}

std::vector<DumpLine> dump_lines(const RegisterDump& dump, const DumpStyle& style) {
    std::vector<DumpLine> lines;
    for (const auto& problem : dump.problems) lines.push_back({"! " + problem});
    for (size_t part = 0; part < dump.parts.size(); ++part) {
        lines.push_back({dump.parts[part].title, part});
        for (size_t i = 0; i < dump.parts[part].registers.size(); ++i) {
            const DumpRegister& reg = dump.parts[part].registers[i];
            if (!style.docs && is_plumbing(reg)) continue;
            for (auto& line : register_lines(reg, style))
                lines.push_back({std::move(line), part, i});
        }
    }
    return lines;
}

std::vector<std::string> hex_lines(const std::vector<uint8_t>& config) {
    std::vector<std::string> lines;
    for (size_t at = 0; at < config.size(); at += 16) {
        std::string line = fmt::format("{:02x}:", at);
        for (size_t i = at; i < std::min(at + 16, config.size()); ++i)
            line += fmt::format(" {:02x}", config[i]);
        lines.push_back(std::move(line));
    }
    return lines;
}

std::vector<RegisterChange> compare_dumps(const RegisterDump& before, const RegisterDump& now) {
    // A part and a register are what they are called: a capability may come where another was.
    using Key = std::pair<std::string, std::string>;
    std::map<Key, const DumpRegister*> old;
    std::map<std::string, unsigned> names;  // in how many parts a name is
    for (const auto& part : before.parts) {
        for (const auto& reg : part.registers) old[{part.title, reg.name}] = &reg;
    }
    for (const auto& part : now.parts) {
        for (const auto& reg : part.registers) ++names[part.prefix + reg.name];
    }
    std::vector<RegisterChange> changes;
    for (size_t p = 0; p < now.parts.size(); ++p) {
        const DumpPart& part = now.parts[p];
        for (size_t r = 0; r < part.registers.size(); ++r) {
            const DumpRegister& reg = part.registers[r];
            const auto found = old.find({part.title, reg.name});
            const std::string name = (names[part.prefix + reg.name] > 1 ? part.title + " "
                                                                        : part.prefix) +
                                     reg.name;
            if (found == old.end()) {
                changes.push_back(
                    {p, r, fmt::format("{} appeared: {}", name, number_text(reg.value))});
                continue;
            }
            if (found->second->value != reg.value) {
                for (auto& line : change_lines(name, *found->second, reg))
                    changes.push_back({p, r, std::move(line)});
            }
            old.erase(found);
        }
    }
    for (const auto& [key, reg] : old) {
        changes.push_back({DumpLine::kNone, DumpLine::kNone,
                           fmt::format("{} {} is gone", key.first, key.second)});
    }
    return changes;
}

}  // namespace mimic::commands
