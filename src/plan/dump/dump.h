// SPDX-License-Identifier: Apache-2.0
// Dump: what `lspci -vvvnnxxxx` printed, as data: the configuration bytes of each function, and the
// few facts that only the text has. The text is hostile input: every problem is found with its
// line, and nothing in it is believed that the bytes can tell.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include <tl/expected.hpp>

namespace mimic::dump {

inline constexpr size_t kMaxDumpBytes = 64u << 20;  // arbitrary: 1024 functions have 20 MiB
inline constexpr size_t kMaxDumpFunctions = 1024;
inline constexpr size_t kMaxProblems = 20;

/// Something wrong with a dump. Line 0: the dump as a whole.
struct Problem {
    unsigned line = 0;
    std::string message;
};

/// Where a function was.
struct Address {
    uint32_t domain = 0;
    uint8_t bus = 0;
    uint8_t device = 0;
    uint8_t function = 0;

    auto operator<=>(const Address&) const = default;

    /// "01:00.0", or "10000:01:00.0" outside domain 0.
    std::string str() const;
};

/// "01:00.0" or "0000:01:00.0"; nullopt: no address. `rest` gets what follows.
std::optional<Address> parse_address(std::string_view text, std::string_view* rest = nullptr);

/// A "Region" or "Expansion ROM" line. It tells what the kernel thinks, which need not be what the
/// registers hold.
struct Region {
    unsigned line = 0;  // 0: there was none
    bool is_io = false;
    bool is_64bit = false;
    bool prefetchable = false;
    bool is_virtual = false;   // "[virtual]": the kernel has an address, the register has none
    bool is_enhanced = false;  // "[enhanced]": of the Enhanced Allocation capability
    std::optional<uint64_t> address;  // "<unassigned>" and the like: none
    uint64_t size = 0;                // 0: not said, or no size that a BAR has
    std::string odd_size;             // "17K" if it said that
};

/// One block of a dump.
struct DumpFunction {
    unsigned line = 0;  // of its heading
    Address address;
    std::string title;            // the heading behind the address; printable, not too long
    std::vector<uint8_t> config;  // 64, 256 or 4096 bytes
    std::array<Region, 6> regions;
    std::array<Region, 6> vf_regions;  // of the SR-IOV capability
    Region rom;
    std::vector<std::string> losses;  // what the text tells of and the bytes have not
};

/// A function of which nothing can be used.
struct LostFunction {
    unsigned line = 0;
    Address address;
    std::string why;  // for people, without the address
};

/// A whole dump.
struct Dump {
    std::vector<DumpFunction> functions;  // by address
    std::map<Address, unsigned> tree;     // line by address, of the lines of lspci -t
    std::vector<LostFunction> lost;       // bad ones; the others can be cloned
    std::vector<std::string> notes;       // odd, and survived

    const DumpFunction* find(const Address& address) const;
};

/// Parses a dump, in which lines of `lspci -t` may stand too. Only a broken format is a problem; a
/// function that cannot be used is in `lost`. Never throws or aborts, and takes time and memory in
/// proportion to the text, whatever it is. The problems are in line order, at most kMaxProblems;
/// there is at least one.
tl::expected<Dump, std::vector<Problem>> parse_dump(std::string_view text);

/// Whether `line` is one of `lspci -t`; used by parse_dump().
bool is_tree_line(std::string_view line);

/// Reads the lines of one tree into addresses. Thread-bound, short-lived.
class TreeText {
public:
    void line(std::string_view text, unsigned number);
    const std::map<Address, unsigned>& addresses() const { return addresses_; }

private:
    std::map<size_t, std::pair<uint32_t, uint8_t>> buses_;  // by the column of a branch
    std::map<Address, unsigned> addresses_;
    uint32_t domain_ = 0;
    uint8_t bus_ = 0;
};

}  // namespace mimic::dump
