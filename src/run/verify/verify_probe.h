// SPDX-License-Identifier: Apache-2.0
// What guest/init/probe printed in a guest, parsed. The guest is hostile: anything may stand there.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace mimic::verify {

/// One record: all that the guest said of one thing.
struct ProbeRecord {
    std::map<std::string, std::string> facts;
    std::vector<std::string> complaints;  // lines that are no key=value: error messages, at most 3

    /// The fact called `key`, or nullptr.
    const std::string* find(const std::string& key) const;
};

/// Everything, by kind of record and name. Immutable after parse_probe().
struct Probe {
    std::string kernel;                                // uname -r
    std::map<std::string, ProbeRecord> pci;            // by BDF
    std::map<std::string, ProbeRecord> regs;           // by BDF: registers through resource0
    std::map<std::string, ProbeRecord> class_devices;  // by name in the drivers' class folders
    std::map<std::string, ProbeRecord> info;           // by same: what the driver's ioctl says
    std::map<std::string, ProbeRecord> nodes;          // by "node0": NUMA nodes
    std::map<std::string, ProbeRecord> vmds;           // by BDF: endpoints of fabrics
    std::map<std::string, ProbeRecord> ports;          // by BDF: what else is in their domains
    std::map<std::string, ProbeRecord> others;         // by BDF: devices of any other vendor
    std::map<std::string, ProbeRecord> slots;          // by name in /sys/bus/pci/slots
};

/// Parses a probe's output. Errors: protocol_error for text that is too long, has no first line or
/// no @end, a record of an unknown kind or twice, more than 8192 records, a key twice in a record.
/// Values keep printable ASCII only. Pure.
Result<Probe> parse_probe(std::string_view text);

}  // namespace mimic::verify
