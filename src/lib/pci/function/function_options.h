// SPDX-License-Identifier: Apache-2.0
// FunctionOptions: what configuration space has to know about a function at its birth: ids, BARs,
// layout of its header. PCIe 6.0, 7.5.1.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "pci/config/config_space.h"

namespace mimic::pci {

inline constexpr unsigned kBarCount = 6;

enum class BarType : uint8_t { kNone, kIo, kMemory32, kMemory64 };

/// Part of a BAR that a client may map instead of trapping. Offset and size in bytes, multiples of
/// 4096.
struct MappableArea {
    uint64_t offset = 0;
    uint64_t size = 0;
};

/// One base address register, as sizing finds it. A 64-bit BAR takes the next slot too, which stays
/// kNone.
struct Bar {
    BarType type = BarType::kNone;
    bool prefetchable = false;
    uint64_t size = 0;  // bytes; a power of two, >= 16 for memory and >= 4 for I/O
                        // (PCI 3.0, 6.2.5.1)

    // Backing of `areas`, which start at `fd_offset` + area.offset in the file. Borrowed from the
    // function. -1: none. Clients get it and nobody can take it back from them: a function whose
    // file may hold what another client must not see or change makes a new one for each
    // (Function::set_bar_file()).
    int fd = -1;
    uint64_t fd_offset = 0;
    std::vector<MappableArea> areas{};
};

/// Layout of the configuration header (7.5.1).
enum class HeaderType : uint8_t { kEndpoint = 0, kBridge = 1 };

/// Everything config space needs to know about a function at its birth.
struct FunctionOptions {
    std::string name;  // for logs, as the topology calls it
    uint16_t vendor_id = 0;
    uint16_t device_id = 0;
    uint16_t subsystem_vendor_id = 0;
    uint16_t subsystem_id = 0;
    uint32_t class_code = 0;  // 24 bits: base class, subclass, programming interface
    uint8_t revision = 0;
    uint8_t interrupt_pin = 0;  // 0 none, 1 INTA .. 4 INTD
    std::array<Bar, kBarCount> bars{};
    uint32_t config_size = 4096;  // 4096 for PCI Express, 256 for conventional PCI
    bool multifunction = false;   // HEADER_TYPE bit 7: the device has more functions than number 0
    HeaderType header = HeaderType::kEndpoint;  // a bridge has BAR0 and BAR1 only

    /// A VF that the SR-IOV capability of a PF brings: ids read as ones, BARs and COMMAND as 9.3.4
    /// says. `bars` then are its shares of the PF's VF BARs.
    bool virtual_function = false;
};

/// Errors (EINVAL) of options that no hardware could have: ids that mean "absent", BAR sizes, two
/// BARs in one slot, mappable areas, config_size.
Status validate(const FunctionOptions& options);

/// Lays the header that `options` describe, which are valid, into `config`: ids, COMMAND and
/// STATUS, BARs, of a bridge its windows.
void lay_header(ConfigSpace& config, const FunctionOptions& options);

}  // namespace mimic::pci
