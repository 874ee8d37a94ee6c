// SPDX-License-Identifier: Apache-2.0
#include "reg/describe.h"

#include <algorithm>
#include <iterator>
#include <set>
#include <string_view>

namespace mimic::reg {
namespace {

std::string upper(std::string_view text) {
    std::string result(text);
    for (char& c : result) {
        if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
    }
    return result;
}

/// "RO", "RW, W1C" ...: the access kinds of a register's fields, in order, each once.
std::string access_of(const Register& reg) {
    std::string result;
    for (const Field& field : reg.fields) {
        const std::string kind = upper(access_kind(field.access).name);
        if (result.find(kind) != std::string::npos) continue;
        result += (result.empty() ? "" : ", ") + kind;
    }
    return result.empty() ? "NONE" : result;
}

bool has_per_device(const RegisterInfo& info) {
    return info.per_device != 0;
}

std::string reset_text(const RegisterInfo& info) {
    if (has_per_device(info)) return "per device";
    return fmt::format("0x{:0{}X}", info.reset, info.width_bytes * 2);
}

std::string hooks_text(Hooks hooks) {
    if (hooks == (kRead | kWrite)) return "read, write";
    if (hooks == kRead) return "read";
    return hooks == kWrite ? "write" : "";
}

std::string offset_text(const RegisterInfo& info) {
    const Register& reg = *info.reg;
    std::string text = fmt::format("{}0x{:03X}", info.in_block() ? "+" : "", reg.offset);
    if (reg.count > 1) text += fmt::format(" + {} i", reg.stride);
    return text;
}

std::string size_text(const Register& reg) {
    return reg.count > 1 ? fmt::format("{} x {}", reg.count, reg.width)
                         : fmt::format("{}", reg.width);
}

std::string name_text(const RegisterInfo& info) {
    std::string name = info.in_block() ? fmt::format("{}.{}", info.block->name, info.reg->name)
                                       : std::string(info.reg->name);
    return info.reg->count > 1 ? name + "[i]" : name;
}

const char* policy_text(Narrow narrow) {
    return narrow == Narrow::kByteMerge ? "narrower accesses merge bytes"
                                        : "narrower accesses are undecodable";
}

const char* policy_text(Wide wide) {
    switch (wide) {
        case Wide::kCommitOnHigh:
            return "a 64-bit register written in halves changes with the high half";
        case Wide::kHalves:
            return "halves of 64-bit registers act at once";
        case Wide::kWholeOnly:
            return "64-bit registers take 8-byte accesses only";
    }
    return "";
}

void append_block(std::string& out, const Block& block) {
    out += fmt::format("\nBlock `{}`: {} ({})\nInstances at", block.name, block.doc, block.spec);
    const char* separator = " ";
    for (const uint32_t offset : block.offsets) {
        out += fmt::format("{}0x{:03X}", separator, offset);
        if (block.count > 1)
            out += fmt::format(" + {} j (j = 0..{})", block.stride, block.count - 1);
        separator = ", ";
    }
    out += ".\n";
}

void append_fields(std::string& out, const RegisterInfo& info) {
    out += fmt::format(
        "\n`{}` fields:\n\n| Bits | Field | Access | Reset | Description |\n"
        "|------|-------|--------|-------|-------------|\n",
        name_text(info));
    for (const Field& field : info.reg->fields) {
        const std::string bits = field.hi == field.lo ? fmt::format("{}", field.hi)
                                                      : fmt::format("{}:{}", field.hi, field.lo);
        const std::string reset = field.reset_by == ResetBy::kDevice
                                      ? std::string("per device")
                                      : fmt::format("{:#x}", field.reset);
        out += fmt::format("| {} | {} | {} | {} | {} |\n", bits, field.name,
                           upper(access_kind(field.access).name), reset, field.doc);
    }
}

/// Whether the only field adds nothing to the register's own line.
bool is_plain(const Register& reg) {
    return reg.fields.size() == 1 && reg.fields.begin()->hi == reg.width - 1 &&
           reg.fields.begin()->lo == 0;
}

/// Collects macros and refuses to define one twice.
class Macros {
public:
    void define(const std::string& name, const std::string& value) {
        if (!names_.insert(name).second && duplicate_.empty()) duplicate_ = name;
        text_ += fmt::format("#define {} {}\n", name, value);
    }
    void text(std::string_view text) { text_ += text; }
    const std::string& text() const { return text_; }
    const std::string& duplicate() const { return duplicate_; }

private:
    std::set<std::string> names_;
    std::string text_;
    std::string duplicate_;
};

/// A block comment no wider than a kernel line; one line if it fits.
std::string comment(const std::string& text) {
    constexpr size_t kColumns = 80;
    if (text.size() + 6 <= kColumns) return "/* " + text + " */\n";
    std::string out = "/*\n";
    std::string line = " *";
    size_t begin = 0;
    while (begin < text.size()) {
        const size_t end = std::min(text.find(' ', begin), text.size());
        const std::string word = text.substr(begin, end - begin);
        if (line.size() + 1 + word.size() > kColumns) {
            out += line + "\n";
            line = " *";
        }
        line += " " + word;
        begin = end + 1;
    }
    return out + line + "\n */\n";
}

void append_register(Macros& macros, const std::string& prefix, const RegisterInfo& info) {
    const Register& reg = *info.reg;
    const std::string name = prefix + (info.in_block() ? std::string(info.block->name) + "_" : "") +
                             reg.name;
    macros.text("\n" + comment(fmt::format("{}: {}, {} bits. {}", name_text(info), access_of(reg),
                                           size_text(reg), reg.doc)));
    macros.define(name, fmt::format("0x{:03x}", reg.offset));
    if (reg.count > 1) {
        macros.define(name + "_COUNT", fmt::format("{}", reg.count));
        macros.define(name + "_STRIDE", fmt::format("{:#x}", reg.stride));
    }
    for (const Field& field : reg.fields) {
        macros.define(
            fmt::format("{}_{}", name, field.name),
            fmt::format("GENMASK{}({}, {})", reg.width == 64 ? "_ULL" : "", field.hi, field.lo));
    }
    if (info.reset != 0 && !has_per_device(info)) {
        macros.define(name + "_RESET", reg.width == 64 ? fmt::format("0x{:016x}ULL", info.reset)
                                                       : fmt::format("0x{:08x}U", info.reset));
    }
}

constexpr std::string_view kGenmask =
    "\n#ifdef __KERNEL__\n"
    "#include <linux/bits.h>\n"
    "#else\n"
    "#ifndef GENMASK\n"
    "#define GENMASK(hi, lo) ((0xffffffffU >> (31 - (hi))) & (0xffffffffU << (lo)))\n"
    "#endif\n"
    "#ifndef GENMASK_ULL\n"
    "#define GENMASK_ULL(hi, lo) \\\n"
    "\t((0xffffffffffffffffULL >> (63 - (hi))) & (0xffffffffffffffffULL << (lo)))\n"
    "#endif\n"
    "#endif\n";

}  // namespace

std::string markdown(const MapView& map) {
    const MapOptions& o = map.options;
    std::string out = fmt::format(
        "BAR{}, {} bytes, little endian. Source: {}.\nAccess: {}; {};\nan offset without a "
        "register reads {} and ignores writes. Arrays: i = 0..count-1.\n\n"
        "| Offset | Register | Bits | Access | Reset | Hooks | Description | Specified in |\n"
        "|--------|----------|------|--------|-------|-------|-------------|--------------|\n",
        o.bar, o.bar_size_bytes, o.spec, policy_text(o.narrow), policy_text(o.wide),
        o.unmapped == Unmapped::kOnes ? "ones" : "zeros");
    for (const RegisterInfo& info : map.registers) {
        out += fmt::format("| {} | {} | {} | {} | {} | {} | {} | {} |\n", offset_text(info),
                           name_text(info), size_text(*info.reg), access_of(*info.reg),
                           reset_text(info), hooks_text(info.reg->hooks), info.reg->doc,
                           info.reg->spec);
    }
    const Block* last = nullptr;
    for (const RegisterInfo& info : map.registers) {
        if (info.in_block() && info.block != last) append_block(out, *info.block);
        last = info.block;
    }
    for (const RegisterInfo& info : map.registers) {
        if (!is_plain(*info.reg)) append_fields(out, info);
    }
    return out;
}

Result<std::string> c_header(const MapView& map) {
    const std::string name = upper(map.options.name);
    const std::string guard = name + "_REGS_H";
    const std::string prefix = name + "_";
    Macros macros;
    macros.text("/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */\n");
    macros.text(comment(fmt::format(
        "{} BAR{}, little endian. Generated by tools/regdump from src/devices/{}/registers.h: do "
        "not edit.",
        map.options.doc, map.options.bar, map.options.name)));
    macros.text(fmt::format("#ifndef {0}\n#define {0}\n", guard));
    macros.text(kGenmask);
    const Block* last = nullptr;
    for (const RegisterInfo& info : map.registers) {
        if (info.in_block() && info.block != last) {
            const std::string block = prefix + info.block->name;
            macros.text("\n" +
                        comment(fmt::format("Block {}. {}", info.block->name, info.block->doc)));
            macros.define(block, fmt::format("0x{:03x}", *info.block->offsets.begin()));
            if (info.block->instances() > 1) {
                macros.define(block + "_COUNT", fmt::format("{}", info.block->instances()));
            }
            if (info.block->count > 1) {
                macros.define(block + "_STRIDE", fmt::format("{:#x}", info.block->stride));
            }
        }
        last = info.block;
        append_register(macros, prefix, info);
    }
    macros.text(fmt::format("\n#endif /* {} */\n", guard));
    if (!macros.duplicate().empty()) {
        return fail(std::errc::invalid_argument, "Map {} defines macro {} twice", map.options.name,
                    macros.duplicate());
    }
    return macros.text();
}

std::vector<RegisterValue> dump(const BankCore& bank) {
    std::vector<RegisterValue> result;
    for (const RegisterInfo& info : bank.map().registers) {
        for (uint32_t i = 0; i < info.elements; ++i) {
            const uint64_t value = bank.load(info, i);
            RegisterValue line{element_name(info, i), info.offset(i), info.reg->width, value, {},
                               info.reg->doc};
            for (const Field& field : info.reg->fields) {
                line.fields.push_back(
                    {field.name, (value & field.mask()) >> field.lo, field.hi, field.lo});
            }
            result.push_back(std::move(line));
        }
    }
    return result;
}

}  // namespace mimic::reg
