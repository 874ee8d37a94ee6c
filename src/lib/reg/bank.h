// SPDX-License-Identifier: Apache-2.0
// Bank: the values of a map's registers in one device, and the one algorithm that serves every
// guest access. BankCore holds all code and knows no particular map; Bank<kMap> adds names checked
// at compile time. style.md, "Registers declared once", items 4 to 8.
//
// An access of any size and offset is cut at register borders, and each piece is decoded by itself:
//   - a whole register, or a part that the map's Narrow and Wide policies allow, is served;
//   - everything else is undecodable: reads give the map's Unmapped bytes, writes are ignored, both
//     are counted, and the first few offsets of a bank are logged once each.
// So an 8-byte access to two 4-byte registers reaches both, in order of their offsets, and the one
// that straddles two of them with natural-only policy reaches neither.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/check.h"
#include "base/result.h"
#include "reg/map.h"
#include "reg/map_view.h"

namespace mimic::reg {

/// A guest wrote a register. All values are those of the whole register.
struct WriteEvent {
    uint64_t now = 0;      // stored after the write, as access kinds decide
    uint64_t old = 0;      // stored before it
    uint64_t written = 0;  // what the guest wrote; zero in bytes that it did not write
    uint32_t index = 0;    // of arrays and blocks: flat index (register.h, Block)
};

/// A guest reads a register.
struct ReadEvent {
    uint64_t stored = 0;
    uint32_t index = 0;
};

/// Runs after storage and may call anything of the bank but its destructor.
using WriteHook = std::function<void(const WriteEvent&)>;

/// Runs before a read is answered and returns what the guest gets, less bits that it cannot read.
/// The value is not stored.
using ReadHook = std::function<uint64_t(const ReadEvent&)>;

/// Undecodable accesses since the bank's creation; an access counts once, whatever its size.
struct AccessCounters {
    uint64_t undecodable_reads = 0;
    uint64_t undecodable_writes = 0;
};

/// All values of a bank by name, as "CTRL", "UUID[2]" or "QUEUE[1].DOORBELL[0]". A low half that
/// waits for its high half (Wide::kCommitOnHigh) appears as "NAME:low".
struct Snapshot {
    std::string map_name;
    uint64_t map_hash = 0;
    std::map<std::string, uint64_t> values;
};

/// Name of element `index` of a register, as in a Snapshot. Precondition: index < info.elements.
std::string element_name(const RegisterInfo& info, uint32_t index);

/// See the head of the file. Thread-bound to the loop that owns the device. Not movable: hooks of a
/// device usually capture what owns the bank.
class BankCore {
public:
    /// `view` must have static storage; Bank<kMap> and map_test.h see to that. `device_name` is for
    /// logs and error messages. All registers get their reset values.
    BankCore(const MapView& view, std::string_view device_name);
    ~BankCore() = default;
    BankCore(const BankCore&) = delete;
    BankCore& operator=(const BankCore&) = delete;

    // --- Guest side: any offset and size; data is little endian, as on the wire
    // -------------------

    void read(uint64_t offset, std::span<uint8_t> data);
    void write(uint64_t offset, std::span<const uint8_t> data);

    /// As read(), but runs no hook, clears nothing, counts nothing and ignores Narrow and Wide: for
    /// command line dumps. Registers with a read hook show what is stored.
    void debug_read(uint64_t offset, std::span<uint8_t> data) const;

    // --- Device side
    // ------------------------------------------------------------------------------

    /// Every field to its reset value but those declared kPerDevice; held low halves are dropped.
    /// Runs no hook.
    void reset();

    /// Error function_not_supported, with the register's name, for a hook that the map declares and
    /// nobody has bound. A device's create() ends with it.
    Status check_bound() const;

    /// Runs no hook. Call it between accesses only.
    Snapshot snapshot() const;

    /// All values of `snapshot`, or none: invalid_argument for the hash of another map, for a name
    /// that is unknown or missing, for bits that the register does not have, and for per-device
    /// fields that differ from this device's. Runs no hook: the device recomputes what depends on
    /// registers.
    Status restore(const Snapshot& snapshot);

    /// The stored value of a register, and a new one. Bits without a field are dropped. For code
    /// that works on every map; a device uses Bank::get and set. Precondition: index <
    /// info.elements.
    uint64_t load(const RegisterInfo& info, uint32_t index) const;
    void store(const RegisterInfo& info, uint32_t index, uint64_t value);

    const MapView& map() const { return *view_; }
    const std::string& device_name() const { return device_name_; }
    const AccessCounters& counters() const { return counters_; }

    /// Bytes of heap that the bank holds, hooks' own captures excluded.
    size_t heap_bytes() const;

protected:
    void bind_read(const RegisterInfo& info, ReadHook hook);
    void bind_write(const RegisterInfo& info, WriteHook hook);

private:
    struct Restored;       // of restore()
    struct Piece;          // the part of an access that one register, or nothing, answers
    struct HeldHalf {      // a low half that waits for its high half
        uint32_t storage;  // place of the element, which identifies it
        uint32_t low;
    };

    Piece piece_at(uint64_t offset, size_t size) const;
    bool decodable(const Piece& piece) const;
    uint8_t* element(const RegisterInfo& info, uint32_t index) const;
    uint64_t read_piece(const Piece& piece);
    void write_piece(const Piece& piece, uint64_t data);
    void commit(const Piece& piece, uint64_t data, uint64_t lanes);
    bool take_held(uint32_t storage, uint32_t& low);
    void hold(uint32_t storage, uint32_t low);
    void read_slow(uint64_t offset, std::span<uint8_t> data);
    void note_undecodable(bool write, const Piece& piece, uint64_t offset, size_t size);
    Status restore_element(const Snapshot& snapshot, const RegisterInfo& info, uint32_t index,
                           Restored& out) const;

    const MapView* view_;
    std::unique_ptr<uint8_t[]> storage_;  // little endian, placed by RegisterInfo::storage
    std::vector<ReadHook> read_hooks_;
    std::vector<WriteHook> write_hooks_;
    std::vector<HeldHalf> held_;
    AccessCounters counters_;
    std::vector<uint64_t> logged_offsets_;
    std::string device_name_;
};

/// Text as a template argument: bank.get<CTRL, "ENABLE">().
template <size_t kSize>
struct FixedString {
    char text[kSize];

    consteval FixedString(const char (&literal)[kSize]) {  // NOLINT(google-explicit-constructor)
        std::copy_n(literal, kSize, text);
    }
    constexpr std::string_view view() const { return {text, kSize - 1}; }
};

/// The registers of `kMap` in one device. What a member gets wrong about the map (a register of
/// another map, a misspelt field, a hook that is not declared) does not compile. `index` counts the
/// elements of arrays and blocks (flat, register.h); one out of range is our bug and aborts, so a
/// device that computes it from guest data checks it first.
template <const auto& kMap>
class Bank final : public BankCore {
public:
    explicit Bank(std::string_view device_name) : BankCore(kView, device_name) {}

    /// The stored value of a field. Runs no read hook.
    template <const Register& Reg, FixedString FieldName>
    uint64_t get(uint32_t index = 0) const {
        constexpr Field kF = field<Reg, FieldName>();
        return (load(info<Reg>(), index) & kF.mask()) >> kF.lo;
    }

    /// Stores a field whatever its access kind; runs no hook. A value that the field cannot hold is
    /// our bug and aborts.
    template <const Register& Reg, FixedString FieldName>
    void set(uint64_t value, uint32_t index = 0) {
        constexpr Field kF = field<Reg, FieldName>();
        MIMIC_CHECK(value <= kF.max());
        const uint64_t others = load(info<Reg>(), index) & ~kF.mask();
        store(info<Reg>(), index, others | (value << kF.lo));
    }

    /// The stored value of a whole register.
    template <const Register& Reg>
    uint64_t value(uint32_t index = 0) const {
        return load(info<Reg>(), index);
    }
    template <const Register& Reg>
    void set_value(uint64_t value, uint32_t index = 0) {
        store(info<Reg>(), index, value);
    }

    /// An array as bytes in the order of their addresses (strings, UUIDs). The size of `bytes` must
    /// be that of all elements.
    template <const Register& Reg>
    void set_bytes(std::span<const uint8_t> bytes) {
        const RegisterInfo& r = info<Reg>();
        MIMIC_CHECK(bytes.size() == size_t{r.elements} * r.width_bytes);
        for (uint32_t i = 0; i < r.elements; ++i) {
            uint64_t value = 0;
            for (unsigned b = 0; b < r.width_bytes; ++b) {
                value |= uint64_t{bytes[size_t{i} * r.width_bytes + b]} << (8 * b);
            }
            store(r, i, value);
        }
    }
    template <const Register& Reg>
    std::vector<uint8_t> bytes() const {
        const RegisterInfo& r = info<Reg>();
        std::vector<uint8_t> result;
        for (uint32_t i = 0; i < r.elements; ++i) {
            const uint64_t value = load(r, i);
            for (unsigned b = 0; b < r.width_bytes; ++b) {
                result.push_back(static_cast<uint8_t>(value >> (8 * b)));
            }
        }
        return result;
    }

    /// Binds the hook that the table declares with kWrite or kRead; once each, in the device's
    /// constructor: bank_.on_write<CTRL>([this](const WriteEvent& event) { ... });
    template <const Register& Reg>
    void on_write(WriteHook hook) {
        static_assert((Reg.hooks & kWrite) != 0, "Declare .hooks = kWrite in the table first");
        bind_write(info<Reg>(), std::move(hook));
    }
    template <const Register& Reg>
    void on_read(ReadHook hook) {
        static_assert((Reg.hooks & kRead) != 0, "Declare .hooks = kRead in the table first");
        bind_read(info<Reg>(), std::move(hook));
    }

private:
    static_assert(kMap.valid());
    static constexpr MapView kView = kMap.view();

    template <const Register& Reg>
    static constexpr const RegisterInfo& info() {
        constexpr int kIndex = kMap.template index_of<Reg>();
        static_assert(kIndex >= 0, "The bank's map has no such register");
        return kMap.registers[static_cast<size_t>(kIndex < 0 ? 0 : kIndex)];
    }

    template <const Register& Reg, FixedString FieldName>
    static constexpr size_t find_field() {
        size_t i = 0;
        while (i < Reg.fields.size() && FieldName.view() != Reg.fields.begin()[i].name) ++i;
        return i;
    }
    template <const Register& Reg, FixedString FieldName>
    static constexpr Field field() {
        constexpr size_t kIndex = find_field<Reg, FieldName>();
        static_assert(kIndex < Reg.fields.size(), "The register has no field of this name");
        return Reg.fields.begin()[kIndex];
    }
};

}  // namespace mimic::reg
