// SPDX-License-Identifier: Apache-2.0
// Fault: something that goes wrong with a function on request, by name. What each does to a
// function is function_faults.h; this is the vocabulary, shared by the control API and the command
// line. Error bits: PCIe Base Specification 6.0, 7.8.4 (Advanced Error Reporting).
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/task_runner.h"

namespace mimic::pci {

enum class FaultKind : uint8_t {
    kCorrectable,    // AER, Correctable Error Status bit Fault::aer_bit
    kUncorrectable,  // AER, Uncorrectable Error Status bit Fault::aer_bit
    kSlotRemove,
    kSlotAdd,
    kLinkDown,
    kLinkUp,
    kIrqLost,
    kIrqLate,
    kIrqSpurious,
    kDoorbellStuck,
    kAllOnes,
    kDmaSlow,
    kDmaFail,
    kDmaCorrupt,
    kBackendDrop,  // of what is behind a device: a simulator
    kBackendDelay,
    kBackendCorrupt,
    kBackendWrongId,
    kBackendDead,
    kHostHang,
    kHostCrash,
    kClear,  // ends all others of the function
};

/// Why a function below a root port that is not ours takes no AER fault.
inline constexpr const char* kNoRootPort =
    "no root port takes its error messages: one of a fabric (attach: fabric) does";

/// Options that a fault may take, as bits of FaultName::options.
inline constexpr unsigned kFaultSeverity = 1u << 0;
inline constexpr unsigned kFaultCount = 1u << 1;
inline constexpr unsigned kFaultDelay = 1u << 2;
inline constexpr unsigned kFaultVector = 1u << 3;

/// One line of the table of all faults.
struct FaultName {
    std::string_view name;
    FaultKind kind;
    uint8_t aer_bit;        // of the two AER kinds
    bool logs_header;       // the error comes with the header of a TLP (6.2.7)
    unsigned options;       // kFault...
    uint32_t count;         // default; 0: until cleared
    Duration delay;         // default
    std::string_view what;  // one line for people
};

/// All faults, in the order in which people are shown them. Immutable.
std::span<const FaultName> fault_names();

/// The same, names only.
std::vector<std::string> fault_name_list();

/// A fault to arm. A value. Made by parse_fault(); the trigger is set by the caller, at most one of
/// `at` and `after_accesses`.
struct Fault {
    FaultKind kind = FaultKind::kClear;
    std::string_view name = "clear";  // of fault_names()
    uint32_t aer_bit = 0;             // bit number in the status register, of the AER kinds
    bool logs_header = false;
    std::optional<bool> fatal;       // uncorrectable: set the severity first; else the guest's
    uint32_t count = 1;              // strikes; 0: until cleared
    Duration delay{};                // irq-late, dma-slow, sim-delay: how long; irq-spurious:
                                     // between two; host-hang, sim-dead: for how long
    std::optional<uint32_t> vector;  // irq-*: only this one; irq-spurious: random if absent
    std::optional<Duration> at;      // from when it is armed; neither trigger: at once
    std::optional<uint64_t> after_accesses;  // this many accesses are still served as ever
    uint64_t seed = 1;                       // of random bytes and vectors
};

inline constexpr Duration kMaxFaultAt = std::chrono::hours(24);              // arbitrary
inline constexpr Duration kMaxFaultDelay = std::chrono::hours(1);            // arbitrary
inline constexpr uint32_t kMaxFaultCount = 1'000'000;                        // arbitrary
inline constexpr uint64_t kMaxFaultAccesses = 1'000'000'000'000;             // arbitrary
inline constexpr uint32_t kMaxFaultVector = 2047;                            // PCIe 6.0, 7.7.2
inline constexpr Duration kMinSpuriousGap = std::chrono::microseconds(100);  // arbitrary

using FaultOptions = std::map<std::string, std::string>;

/// The fault of that name. Options: severity (fatal, nonfatal), count, delay ("10ms"), vector; each
/// fault takes those that FaultName::options says. Errors: invalid_argument, with what is allowed
/// and the nearest name. Thread-safe.
Result<Fault> parse_fault(std::string_view name, const FaultOptions& options);

/// "250us", "10ms", "1.5s", "0": a number with ns, us, ms or s. Errors: invalid_argument, also
/// above `max`. Thread-safe.
Result<Duration> parse_duration(std::string_view text, Duration max);

/// A decimal number of at most `max`, nothing else in `text`. `what` is for the error
/// (invalid_argument). Thread-safe.
Result<uint64_t> parse_count(std::string_view what, std::string_view text, uint64_t max);

/// An error as AER reports it, field by field what AerError (aer.h) has.
struct FaultError {
    bool correctable = false;
    uint32_t bit = 0;                  // the status register's bit, as a mask
    std::array<uint32_t, 4> header{};  // the TLP's, zeros for errors that log none
    std::optional<bool> fatal;         // set the severity first; absent: what the guest chose
};

/// The error that an AER fault reports. Requester, tag and address of the header come from the
/// seed. Other kinds are our bug.
FaultError fault_error(const Fault& fault);

/// Small generator of reproducible numbers (SplitMix64). A value.
class FaultRandom {
public:
    explicit FaultRandom(uint64_t seed) : state_(seed) {}
    uint64_t next();
    /// 0 .. bound - 1; bound >= 1.
    uint64_t below(uint64_t bound) { return next() % bound; }

private:
    uint64_t state_;
};

}  // namespace mimic::pci
