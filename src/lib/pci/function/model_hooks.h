// SPDX-License-Identifier: Apache-2.0
// ModelHooks: what a device model does for pci::Function, which calls it. What a model calls is in
// function.h.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"

namespace mimic::reg {
class BankCore;
struct Snapshot;
}  // namespace mimic::reg

namespace mimic::pci {

class Function;

enum class ResetKind : uint8_t {
    kFunctionLevel,  // DEVCTL.INITIATE_FLR
    kConventional,   // fundamental or hot reset, DEVICE_RESET of vfio-user
    kPower,          // D3hot to D0 without No_Soft_Reset
    kDetach,         // the client went away
};

/// Registers of a model that lie in a BAR, for tools that read them by name.
struct RegisterBlock {
    unsigned bar = 0;
    uint64_t offset = 0;                       // of the bank's offset 0 in the BAR
    std::string name;                          // of the map; of several of one kind each its own
    const reg::BankCore* registers = nullptr;  // borrowed from the function
};

/// Base of Function. Called on the loop that owns the function.
class ModelHooks {
public:
    virtual ~ModelHooks() = default;

    /// The expansion ROM image of at most 16 MiB, or empty. Read only. Asked for when the function
    /// is attached.
    virtual std::span<const uint8_t> rom() const { return {}; }

    /// The function's registers by name; empty for a model that declares none. The pointers live as
    /// long as the function.
    virtual std::vector<RegisterBlock> register_blocks() const { return {}; }

    /// What the model has counted since it was made, beside pci::FunctionCounters. Names begin with
    /// "model_" and live as long as the program.
    virtual std::vector<std::pair<const char*, uint64_t>> model_counters() const { return {}; }

    /// The MSI-X vector by which the model says that what a doorbell at `offset` of `bar` asked for
    /// is done; nullopt: there is none, or not always the same. For readers of a trace.
    virtual std::optional<uint32_t> doorbell_interrupt(unsigned /*bar*/,
                                                       uint64_t /*offset*/) const {
        return std::nullopt;
    }

    /// Makes the registers, block by block in the order of register_blocks(), what they were in
    /// another function of the same kind, so that the model goes on from there as that one did.
    /// Config space, the MSI-X table and device memory are not among them. Errors: not_supported
    /// for a model that cannot, or not from this state; invalid_argument for what does not fit.
    virtual Status restore_registers(std::span<const reg::Snapshot> snapshots) = 0;

    /// Whether the model is in the middle of something that its registers do not tell, so that
    /// restore_registers() could not go on from them now.
    virtual bool at_work() const { return false; }

protected:
    ModelHooks() = default;

    /// The model's side of read_bar() and write_bar(): what faults have let through and is not in
    /// the MSI-X table or PBA. An access that straddles a border of these comes in parts.
    virtual void on_read(unsigned bar, uint64_t offset, std::span<uint8_t> data) = 0;
    virtual void on_write(unsigned bar, uint64_t offset, std::span<const uint8_t> data) = 0;

    /// The model's own state back to its reset values; config space is done already.
    virtual void on_reset(ResetKind kind) = 0;

    /// Whether a write of `bar` at `offset` rings a doorbell, for the fault that loses those and
    /// for the trace.
    virtual bool is_doorbell(unsigned /*bar*/, uint64_t /*offset*/) const { return false; }

    /// What a model does by itself. A fault of what it never does could not strike, and is refused.
    struct Habits {
        uint32_t vectors = ~0U;  // it sends messages 0 .. vectors - 1, as far as it has them
        bool dma = true;
        bool doorbells = false;  // is_doorbell() is true somewhere
        bool backend = false;    // there is a simulator behind it, which it asks faults() for
    };
    virtual Habits habits() const { return {}; }

    /// FunctionFaults::is_backend_dead() is another now.
    virtual void on_backend_changed() {}

    /// The function was plugged in: slot() is there from now until on_reset(kDetach).
    virtual void on_attach() {}

    /// Makes VF `index` (0 .. NumVFs - 1) of a PF with an SR-IOV capability; `virtual_function` is
    /// set in its options, and its BARs are those of the capability. nullptr: the VF does not
    /// come to be.
    virtual std::unique_ptr<Function> make_vf(uint32_t index);

    /// The guest enabled `enabled` VFs, or disabled them (0). Called after the VFs were made, and
    /// before they go.
    virtual void on_vfs_changed(uint32_t /*enabled*/) {}
};

}  // namespace mimic::pci
