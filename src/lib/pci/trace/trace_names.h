// SPDX-License-Identifier: Apache-2.0
// TraceNames: what the places that a function was accessed at are called: registers of its BARs
// (Function::register_blocks), of config space (config_describe.h) and of the MSI-X structures. For
// readers of a trace; nothing of this is on the path of an access.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "pci/trace/tracer.h"

namespace mimic::pci {

/// What an access touched.
struct TraceName {
    std::string reg;                                         // "CTRL", "COMMAND", "CTRL+2"
    std::vector<std::pair<std::string, uint64_t>> fields{};  // of a register that has more than one
    std::optional<uint32_t> interrupt{};                     // Function::doorbell_interrupt()
};

/// The names of one function, as it is now. Immutable, of its own: it outlives the function.
class TraceNames {
public:
    /// Reads without side effects. On the loop of `function`.
    explicit TraceNames(const Function& function);

    /// The register of an access event, with the fields of its value; nullopt for other events and
    /// where nothing has a name.
    std::optional<TraceName> find(const TraceEvent& event) const;

private:
    struct Field {
        std::string name;
        unsigned hi;
        unsigned lo;
    };
    struct Place {
        std::string name;
        uint32_t bytes;
        std::vector<Field> fields;
        std::optional<uint32_t> interrupt{};
    };
    // By offset.
    using Map = std::map<uint64_t, Place>;
    static constexpr unsigned kConfig = 6;

    void add_config(const Function& function);
    void add_msix(const Function& function);

    std::vector<Map> spaces_;  // BAR 0 to 5, config space
};

}  // namespace mimic::pci
