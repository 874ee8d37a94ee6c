// SPDX-License-Identifier: Apache-2.0
// Errors as PCI Express names and signals them: what a function detects (AerError) and what travels
// to the root complex (ErrorMessage). PCIe 6.0, 6.2 and 7.8.4.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

namespace mimic::pci {

/// The three messages of 2.2.8.3.
enum class ErrorMessage : uint8_t { kCorrectable, kNonFatal, kFatal };

/// What became of an error that a function detected.
enum class ErrorOutcome : uint8_t {
    kReported,    // a root port has its message
    kMasked,      // only its status bit is set
    kNotEnabled,  // the guest wants no messages of this function
    kLost,        // its message reached no root port
};

/// Whether error messages of a function get to a root port that tells the guest.
enum class ErrorPath : uint8_t {
    kNone,    // never: there is no such root port
    kClosed,  // not now: out of its slot, or a link on the way is down
    kOpen,
};

/// One error. `bit` is one bit of the AER status register for its kind: regs::AER_BAD_TLP ..
/// for a correctable, regs::AER_POISONED_TLP .. for an uncorrectable one.
struct AerError {
    bool correctable = false;
    uint32_t bit = 0;
    std::array<uint32_t, 4> header{};  // of the TLP, for the header log; zero: none known

    /// Severity of an uncorrectable error: written to the severity register before the error
    /// happens. Left out: what the guest configured.
    std::optional<bool> fatal{};
};

}  // namespace mimic::pci
