// SPDX-License-Identifier: Apache-2.0
// All registers of a function, for tools that look at it: copies of what is stored. Nothing here
// runs a hook, clears a bit, counts as an access or meets a fault, so looking changes nothing.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "pci/describe/config_describe.h"
#include "pci/function/function.h"
#include "reg/bank.h"

namespace mimic::pci {

/// Registers that lie together in a BAR.
struct RegisterMap {
    std::string name;                          // of the map, or "MSI-X table"
    uint64_t offset = 0;                       // in the BAR
    std::vector<DescribedRegister> registers;  // with offsets in the BAR
};

struct BarRegisters {
    unsigned bar = 0;
    BarType type = BarType::kNone;
    bool prefetchable = false;
    uint64_t size = 0;
    std::optional<uint64_t> address;  // on the bus, if the guest gave it one
    std::vector<RegisterMap> maps;    // in the order of their offsets
};

/// The registers of a bank, from `offset` on.
RegisterMap bank_map(std::string name, uint64_t offset, const reg::BankCore& bank);

/// Configuration space as it is stored, for describe_config(). On the loop of `function`.
std::vector<uint8_t> config_bytes(const Function& function);

/// The BARs of `function`, or only `bar`: those that it declares (Function::register_blocks()), and
/// its MSI-X table and pending bits. On its loop.
std::vector<BarRegisters> bar_registers(Function& function, std::optional<unsigned> bar = {});

}  // namespace mimic::pci
