// SPDX-License-Identifier: Apache-2.0
// Registers of a device as the control API gives them (schema Registers), for `mimic regs`: read
// from JSON that is believed no more than any peer, compared, and written for people.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "base/result.h"

namespace mimic::commands {

struct DumpField {
    std::string name;
    unsigned hi = 0;
    unsigned lo = 0;
    uint64_t value = 0;
    std::string text;  // what the value means; may be empty
};

struct DumpRegister {
    std::string name;
    uint64_t offset = 0;
    unsigned width = 32;
    uint64_t value = 0;
    std::string doc;
    std::vector<DumpField> fields;
};

/// Registers with a heading: the header, a capability, a map in a BAR.
struct DumpPart {
    std::string title;   // "[40] Power Management (0x1)", "BAR0 adder"
    std::string prefix;  // of register names in lines about changes: "BAR0." or nothing
    std::vector<DumpRegister> registers;
};

/// One look at a device. Text in it is fit for a terminal.
struct RegisterDump {
    std::string device;
    std::vector<DumpPart> parts;
    std::vector<std::string> problems;  // of the configuration space
    std::vector<uint8_t> config;        // its bytes; empty if they were not asked for
};

/// Errors: protocol_error for JSON that is not of the schema, or holds more than 100,000 registers.
Result<RegisterDump> read_register_dump(const nlohmann::ordered_json& json);

/// A value that differs between two looks.
struct RegisterChange {
    size_t part = 0;  // of the later look
    size_t reg = 0;
    std::string line;  // "COMMAND.BUS_MASTER 0 -> 1"
};

/// What changed, a line for each field, or for a register where no field says it. Registers that
/// are in one of the looks only are named "appeared" or "is gone", up to a few of them.
std::vector<RegisterChange> compare_dumps(const RegisterDump& before, const RegisterDump& now);

struct DumpStyle {
    bool docs = false;     // with sentences
    size_t columns = 100;  // at which fields are wrapped
};

/// A line of the dump, and the register that it belongs to (its part's heading: no register).
struct DumpLine {
    static constexpr size_t kNone = ~size_t{0};
    std::string text;
    size_t part = kNone;
    size_t reg = kNone;
};

/// The dump for people: headings, then "  04 COMMAND = 0006: MEMORY_SPACE+ BUS_MASTER+ ...".
std::vector<DumpLine> dump_lines(const RegisterDump& dump, const DumpStyle& style);

/// Configuration space as `lspci -xxxx` prints it, 16 bytes a line.
std::vector<std::string> hex_lines(const std::vector<uint8_t>& config);

}  // namespace mimic::commands
