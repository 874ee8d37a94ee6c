// SPDX-License-Identifier: Apache-2.0
// Printers: what people and C programs read about a map, made from its table. Used by tools/regdump
// for device READMEs and kernel headers, and by the command line for register dumps.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "reg/bank.h"

namespace mimic::reg {

/// Markdown: one summary table of all registers, then a field table for each register that has more
/// than one field or a hook. Ends with a newline.
std::string markdown(const MapView& map);

/// A C header with offset and field macros named <MAP>_<REGISTER>[_<FIELD>], for a Linux driver and
/// for user space. Registers of a block are <MAP>_<BLOCK>_<REGISTER> with offsets from the block's
/// start. Error invalid_argument if two macros would have one name, as with registers X (array) and
/// X_COUNT.
Result<std::string> c_header(const MapView& map);

/// One field of a register dump.
struct FieldValue {
    std::string name;
    uint64_t value = 0;
    unsigned hi = 0;
    unsigned lo = 0;
};

/// One line of a register dump.
struct RegisterValue {
    std::string name;     // element_name()
    uint64_t offset = 0;  // bytes in the BAR
    unsigned width = 0;   // bits
    uint64_t value = 0;   // as stored: write-only bits included
    std::vector<FieldValue> fields;
    const char* doc = "";  // as in the table
};

/// Every register of `bank` in the order of the table, without side effects.
std::vector<RegisterValue> dump(const BankCore& bank);

}  // namespace mimic::reg
