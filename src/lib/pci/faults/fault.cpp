// SPDX-License-Identifier: Apache-2.0
#include "pci/faults/fault.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <vector>

#include "base/check.h"
#include "base/nearest.h"

namespace mimic::pci {
namespace {

using namespace std::chrono_literals;

constexpr auto kCor = FaultKind::kCorrectable;
constexpr auto kUnc = FaultKind::kUncorrectable;
constexpr unsigned kIrqOptions = kFaultCount | kFaultVector;

// Bit numbers: PCIe 6.0, 7.8.4.5 (correctable) and 7.8.4.2 (uncorrectable).
constexpr FaultName kNames[] = {
    {"receiver-error", kCor, 0, false, 0, 1, {}, "AER correctable: a bad symbol on the link"},
    {"bad-tlp", kCor, 6, false, 0, 1, {}, "AER correctable: a TLP with a wrong LCRC"},
    {"bad-dllp", kCor, 7, false, 0, 1, {}, "AER correctable: a DLLP with a wrong CRC"},
    {"replay-rollover", kCor, 8, false, 0, 1, {}, "AER correctable: a TLP was replayed too often"},
    {"replay-timeout", kCor, 12, false, 0, 1, {}, "AER correctable: no ACK came in time"},
    {"advisory-non-fatal",
     kCor,
     13,
     true,
     0,
     1,
     {},
     "AER correctable: an error that another agent handles"},
    {"corrected-internal",
     kCor,
     14,
     false,
     0,
     1,
     {},
     "AER correctable: an error inside the device, mended"},
    {"header-log-overflow",
     kCor,
     15,
     false,
     0,
     1,
     {},
     "AER correctable: more errors than headers could be logged"},

    {"data-link-protocol",
     kUnc,
     4,
     false,
     kFaultSeverity,
     1,
     {},
     "AER uncorrectable: a wrong sequence number"},
    {"surprise-down",
     kUnc,
     5,
     false,
     kFaultSeverity,
     1,
     {},
     "AER uncorrectable: the link went down unannounced"},
    {"poisoned-tlp",
     kUnc,
     12,
     true,
     kFaultSeverity,
     1,
     {},
     "AER uncorrectable: data marked as bad arrived"},
    {"flow-control",
     kUnc,
     13,
     false,
     kFaultSeverity,
     1,
     {},
     "AER uncorrectable: credits do not add up"},
    {"completion-timeout",
     kUnc,
     14,
     false,
     kFaultSeverity,
     1,
     {},
     "AER uncorrectable: a read was not answered"},
    {"completer-abort",
     kUnc,
     15,
     true,
     kFaultSeverity,
     1,
     {},
     "AER uncorrectable: a request was aborted"},
    {"unexpected-completion",
     kUnc,
     16,
     true,
     kFaultSeverity,
     1,
     {},
     "AER uncorrectable: an answer that nobody asked for"},
    {"receiver-overflow",
     kUnc,
     17,
     false,
     kFaultSeverity,
     1,
     {},
     "AER uncorrectable: a TLP found no buffer"},
    {"malformed-tlp",
     kUnc,
     18,
     true,
     kFaultSeverity,
     1,
     {},
     "AER uncorrectable: a TLP that breaks the rules"},
    {"ecrc",
     kUnc,
     19,
     true,
     kFaultSeverity,
     1,
     {},
     "AER uncorrectable: the end-to-end CRC is wrong"},
    {"unsupported-request",
     kUnc,
     20,
     true,
     kFaultSeverity,
     1,
     {},
     "AER uncorrectable: nobody takes the request"},
    {"acs-violation",
     kUnc,
     21,
     true,
     kFaultSeverity,
     1,
     {},
     "AER uncorrectable: access control forbids the request"},
    {"internal",
     kUnc,
     22,
     false,
     kFaultSeverity,
     1,
     {},
     "AER uncorrectable: an error inside the device"},
    {"mc-blocked",
     kUnc,
     23,
     true,
     kFaultSeverity,
     1,
     {},
     "AER uncorrectable: a multicast TLP was blocked"},
    {"atomicop-blocked",
     kUnc,
     24,
     true,
     kFaultSeverity,
     1,
     {},
     "AER uncorrectable: an AtomicOp was blocked at an egress"},
    {"tlp-prefix-blocked",
     kUnc,
     25,
     true,
     kFaultSeverity,
     1,
     {},
     "AER uncorrectable: a TLP prefix was blocked"},

    {"remove", FaultKind::kSlotRemove, 0, false, 0, 1, {}, "the card is pulled from its slot"},
    {"add", FaultKind::kSlotAdd, 0, false, 0, 1, {}, "the card is put back into its slot"},
    {"link-down", FaultKind::kLinkDown, 0, false, 0, 1, {}, "the slot's link goes down"},
    {"link-up", FaultKind::kLinkUp, 0, false, 0, 1, {}, "the slot's link comes up again"},

    {"irq-lost",
     FaultKind::kIrqLost,
     0,
     false,
     kIrqOptions,
     1,
     {},
     "an interrupt message is not sent"},
    {"irq-late", FaultKind::kIrqLate, 0, false, kIrqOptions | kFaultDelay, 1, 10ms,
     "an interrupt message is sent late"},
    {"irq-spurious", FaultKind::kIrqSpurious, 0, false, kIrqOptions | kFaultDelay, 1, 1ms,
     "an interrupt message is sent for nothing"},

    {"doorbell-stuck",
     FaultKind::kDoorbellStuck,
     0,
     false,
     kFaultCount,
     1,
     {},
     "a write of a doorbell does nothing"},
    {"all-ones",
     FaultKind::kAllOnes,
     0,
     false,
     0,
     0,
     {},
     "every read gives ones and every write is lost, until cleared"},

    {"dma-slow", FaultKind::kDmaSlow, 0, false, kFaultCount | kFaultDelay, 1, 10ms,
     "an access of guest memory takes long"},
    {"dma-fail",
     FaultKind::kDmaFail,
     0,
     false,
     kFaultCount,
     1,
     {},
     "an access of guest memory fails"},
    {"dma-corrupt",
     FaultKind::kDmaCorrupt,
     0,
     false,
     kFaultCount,
     1,
     {},
     "an access of guest memory moves wrong bytes"},

    {"sim-drop",
     FaultKind::kBackendDrop,
     0,
     false,
     kFaultCount,
     1,
     {},
     "an answer of the simulator behind the device is lost"},
    {"sim-delay", FaultKind::kBackendDelay, 0, false, kFaultCount | kFaultDelay, 1, 10ms,
     "an answer of the simulator comes late"},
    {"sim-corrupt",
     FaultKind::kBackendCorrupt,
     0,
     false,
     kFaultCount,
     1,
     {},
     "an answer of the simulator has wrong bytes"},
    {"sim-wrong-id",
     FaultKind::kBackendWrongId,
     0,
     false,
     kFaultCount,
     1,
     {},
     "an answer of the simulator is for no request that there is"},
    {"sim-dead",
     FaultKind::kBackendDead,
     0,
     false,
     kFaultDelay,
     0,
     {},
     "the simulator is gone for so long; 0: until cleared"},

    {"host-hang", FaultKind::kHostHang, 0, false, kFaultDelay, 1, 10s,
     "the loop that serves the device stops for a while"},
    {"host-crash",
     FaultKind::kHostCrash,
     0,
     false,
     0,
     1,
     {},
     "the process that serves the device is killed"},
    {"clear", FaultKind::kClear, 0, false, 0, 1, {}, "ends all faults of the device"},
};

struct OptionName {
    std::string_view name;
    unsigned bit;
};
constexpr OptionName kOptions[] = {{"severity", kFaultSeverity},
                                   {"count", kFaultCount},
                                   {"delay", kFaultDelay},
                                   {"vector", kFaultVector}};

std::vector<std::string> allowed_options(const FaultName& entry) {
    std::vector<std::string> names;
    for (const auto& option : kOptions)
        if ((entry.options & option.bit) != 0) names.emplace_back(option.name);
    return names;
}

// What of a name that came from outside goes into a message or a comparison.
std::string_view shortened(std::string_view text) {
    return text.substr(0, 64);
}

Status apply_option(Fault& fault, unsigned bit, const std::string& value) {
    switch (bit) {
        case kFaultSeverity:
            if (value != "fatal" && value != "nonfatal")
                return fail(std::errc::invalid_argument,
                            "severity \"{}\" is neither fatal nor nonfatal", shortened(value));
            fault.fatal = value == "fatal";
            return {};
        case kFaultCount: {
            MIMIC_ASSIGN_OR_RETURN(const auto count, parse_count("count", value, kMaxFaultCount));
            fault.count = static_cast<uint32_t>(count);
            return {};
        }
        case kFaultDelay: {
            MIMIC_ASSIGN_OR_RETURN(fault.delay, parse_duration(value, kMaxFaultDelay));
            if (fault.kind == FaultKind::kIrqSpurious && fault.delay < kMinSpuriousGap)
                return fail(std::errc::invalid_argument,
                            "delay \"{}\" is less than 100us, the least time between two spurious "
                            "interrupts",
                            shortened(value));
            if (fault.delay == Duration::zero())
                return fail(std::errc::invalid_argument, "delay \"{}\" is no delay",
                            shortened(value));
            return {};
        }
        default: {
            MIMIC_ASSIGN_OR_RETURN(const auto vector,
                                   parse_count("vector", value, kMaxFaultVector));
            fault.vector = static_cast<uint32_t>(vector);
            return {};
        }
    }
}

// First word of the header that an error would log: format, type and a length of one.
uint32_t header_start(uint32_t bit, bool correctable) {
    if (correctable) return 0x00000001;  // a memory read
    switch (bit) {
        case 12:
            return 0x40004001;  // a memory write with EP, the poison bit
        case 16:
            return 0x4a000001;  // a completion with data
        case 23:
            return 0x40000001;  // a memory write
        case 24:
            return 0x4c000001;  // a FetchAdd
        default:
            return 0x00000001;
    }
}

}  // namespace

std::span<const FaultName> fault_names() {
    return kNames;
}

std::vector<std::string> fault_name_list() {
    std::vector<std::string> names;
    for (const auto& entry : kNames) names.emplace_back(entry.name);
    return names;
}

Result<uint64_t> parse_count(std::string_view what, std::string_view text, uint64_t max) {
    uint64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size() || value > max)
        return fail(std::errc::invalid_argument, "{} \"{}\" is no number from 0 to {}", what,
                    shortened(text), max);
    return value;
}

Result<Duration> parse_duration(std::string_view text, Duration max) {
    struct Unit {
        std::string_view name;
        double nanoseconds;
    };
    constexpr Unit kUnits[] = {{"ns", 1}, {"us", 1e3}, {"ms", 1e6}, {"s", 1e9}};
    const auto wrong = [&] {
        return fail(std::errc::invalid_argument,
                    "\"{}\" is no time from 0 to {}s; write it as 250us, 10ms or 1.5s",
                    shortened(text), max / std::chrono::seconds(1));
    };
    double value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value,
                                              std::chars_format::fixed);
    // from_chars() takes "inf" and "nan" too.
    if (error != std::errc() || !std::isfinite(value) || std::signbit(value)) return wrong();
    const std::string_view unit = text.substr(static_cast<size_t>(end - text.data()));
    if (unit.empty() && value == 0) return Duration::zero();
    for (const auto& known : kUnits) {
        if (unit != known.name) continue;
        const double nanoseconds = value * known.nanoseconds;
        if (nanoseconds > static_cast<double>(max.count())) return wrong();
        return Duration(std::llround(nanoseconds));
    }
    return wrong();
}

Result<Fault> parse_fault(std::string_view name, const FaultOptions& options) {
    const auto* const entry = std::find_if(std::begin(kNames), std::end(kNames),
                                           [&](const auto& known) { return known.name == name; });
    if (entry == std::end(kNames)) {
        const auto near = nearest_names(shortened(name), fault_name_list(), 1);
        return fail(std::errc::invalid_argument, "no fault \"{}\"{}", shortened(name),
                    near.empty() ? "; mimic inject --list names all"
                                 : fmt::format("; did you mean {}?", near.front()));
    }
    Fault fault;
    fault.kind = entry->kind;
    fault.name = entry->name;
    fault.aer_bit = entry->aer_bit;
    fault.logs_header = entry->logs_header;
    fault.count = entry->count;
    fault.delay = entry->delay;
    for (const auto& [key, value] : options) {
        const auto* const option = std::find_if(
            std::begin(kOptions), std::end(kOptions), [&key = key, entry](const auto& known) {
                return known.name == key && (entry->options & known.bit) != 0;
            });
        if (option == std::end(kOptions)) {
            const auto allowed = allowed_options(*entry);
            return fail(
                std::errc::invalid_argument, "{} has no option \"{}\"{}", name, shortened(key),
                allowed.empty() ? "; it takes none" : did_you_mean(shortened(key), allowed));
        }
        if (auto applied = apply_option(fault, option->bit, value); !applied)
            return tl::unexpected(std::move(applied).error().with_context(name));
    }
    return fault;
}

FaultError fault_error(const Fault& fault) {
    MIMIC_CHECK(fault.kind == kCor || fault.kind == kUnc);
    FaultError error;
    error.correctable = fault.kind == kCor;
    error.bit = 1u << fault.aer_bit;
    error.fatal = fault.fatal;
    if (!fault.logs_header) return error;
    FaultRandom random(fault.seed);
    const uint32_t start = header_start(fault.aer_bit, error.correctable);
    const auto requester = static_cast<uint32_t>(random.below(1u << 16));
    const auto tag = static_cast<uint32_t>(random.below(1u << 8));
    const auto address = static_cast<uint32_t>(random.next()) & ~3u;
    if (start >> 24 == 0x4a) {
        // Completer, byte count 4; requester, tag, lower address (2.2.9).
        error.header = {start, (requester << 16) | 4u, (requester ^ 0x0100u) << 16 | tag << 8, 0};
    } else {
        // Requester, tag, byte enables; a 32-bit address (2.2.7).
        error.header = {start, requester << 16 | tag << 8 | 0x0fu, address, 0};
    }
    return error;
}

uint64_t FaultRandom::next() {
    // Constants of the published SplitMix64 algorithm.
    state_ += 0x9e3779b97f4a7c15u;
    uint64_t mixed = state_;
    mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9u;
    mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111ebu;
    return mixed ^ (mixed >> 31);
}

}  // namespace mimic::pci
