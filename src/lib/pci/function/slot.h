// SPDX-License-Identifier: Apache-2.0
// Slot: what a function is plugged into. Implemented by transports (vfio-user endpoint, fabric).
#pragma once

#include <cstdint>
#include <memory>

#include "base/task_runner.h"
#include "memory/dma_space.h"
#include "pci/config/aer.h"

namespace mimic::pci {

class Function;

/// What a function may ask of its slot. Implemented by transports. Thread-bound with the function.
class Slot {
public:
    virtual ~Slot() = default;

    /// Sends the message of MSI-X vector or MSI message `vector`; the function has checked its
    /// enable bits.
    virtual void send_msix(uint32_t vector) = 0;
    virtual void send_msi(uint32_t vector) = 0;

    /// True where the client keeps the MSI-X table to itself and guest writes of it never arrive
    /// (vfio-user facts, 2.3): the function then ignores the mask bits of its own table, and
    /// send_msix() needs only the number. False where the table in the function's BAR is the real
    /// one: per-vector masks count, and the slot sends Function::msix_message().
    virtual bool owns_msix_table() const { return true; }

    /// Drives the function's interrupt pin. Repeating a level is harmless.
    virtual void set_intx(bool asserted) = 0;

    /// Memory for bus mastering. The reference lives as long as the slot.
    virtual memory::DmaSpace& dma() = 0;

    /// Time and deferred work, on the loop that owns the function.
    virtual TaskRunner& runner() = 0;

    /// Sends an error message towards the root complex; the function has checked its own enables.
    /// False: no root port took it. Endpoints of a VMM, whose root ports are not ours, have nobody
    /// to tell.
    virtual bool send_error(ErrorMessage) { return false; }
    virtual ErrorPath error_path() const { return ErrorPath::kNone; }

    /// Whether interrupt messages get out of the slot now.
    virtual bool message_path() const { return true; }

    /// A slot for VF `vf` of the function in this one, whose routing id is `rid_offset` more. The
    /// PF attaches the VF to it, and owns both. nullptr: this slot cannot show VFs.
    virtual std::unique_ptr<Slot> make_vf_slot(Function& /*vf*/, uint32_t /*rid_offset*/) {
        return nullptr;
    }

    /// What decides which function answers where may have changed: BARs, windows, bus numbers,
    /// power, VFs. For slots that remember a route.
    virtual void routing_changed() {}
};

}  // namespace mimic::pci
