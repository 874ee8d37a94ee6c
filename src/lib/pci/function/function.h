// SPDX-License-Identifier: Apache-2.0
// Function: one PCI function, and Slot: what it is plugged into. A device model derives from
// Function and knows neither its transport (vfio-user endpoint, fabric) nor its process. PCIe Base
// Specification 6.0, chapter 7.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "base/task_runner.h"
#include "base/thread_bound.h"
#include "memory/dma_space.h"
#include "pci/config/aer.h"
#include "pci/config/config_space.h"
#include "pci/faults/function_faults.h"
#include "pci/function/msix_table.h"
#include "pci/trace/function_counters.h"
#include "pci/trace/function_events.h"
#include "pci/trace/tracer.h"

namespace mimic::reg {
class BankCore;
struct Snapshot;
}  // namespace mimic::reg

namespace mimic::pci {

class Function;
class FunctionDma;
class Sriov;

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

enum class ResetKind : uint8_t {
    kFunctionLevel,  // DEVCTL.INITIATE_FLR
    kConventional,   // fundamental or hot reset, DEVICE_RESET of vfio-user
    kPower,          // D3hot to D0 without No_Soft_Reset
    kDetach,         // the client went away
};

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

    /// `pf` has made its VFs (Function::sriov()), which want a slot each; or is about to
    /// destroy them. A slot that cannot show VFs ignores both.
    virtual void vfs_created(Function& /*pf*/) {}
    virtual void vfs_removing(Function& /*pf*/) {}
};

/// Registers of a model that lie in a BAR, for tools that read them by name.
struct RegisterBlock {
    unsigned bar = 0;
    uint64_t offset = 0;                       // of the bank's offset 0 in the BAR
    std::string name;                          // "mock-accel"; of several of one kind each its own
    const reg::BankCore* registers = nullptr;  // borrowed from the function
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

/// One PCI function: config space, BARs, interrupts, resets. Thread-bound to the loop that owns
/// it, from attach() to detach().
///
/// A model derives from it, adds capabilities in its factory (capabilities.h) and overrides
/// on_read(), on_write() and on_reset(). What the guest does wrong is answered as hardware would
/// (all ones, ignored); no call here fails.
class Function {
public:
    virtual ~Function();
    Function(const Function&) = delete;
    Function& operator=(const Function&) = delete;

    /// Errors (EINVAL) of options that no hardware could have: ids that mean "absent", BAR sizes,
    /// two BARs in one slot, mappable areas, config_size. Factories of models call this before they
    /// construct.
    static Status validate(const FunctionOptions& options);

    // --- Called by the transport -------------------------------------------------------------

    /// Reads data.size() bytes (1..4096) of config space at `offset`; bytes past its end read as
    /// ones.
    void config_read(uint32_t offset, std::span<uint8_t> data);

    /// Writes config space. Side effects (FLR, power state, MSI-X enable) happen before it returns.
    void config_write(uint32_t offset, std::span<const uint8_t> data);

    /// Reads or writes a BAR for a guest: data.size() bytes (1..8 from a guest, more from tools) of
    /// BAR `bar` at `offset`, little endian as on the wire. The caller has checked that [offset,
    /// offset + size) lies inside the BAR. Counted; faults stand between it and the model, and a
    /// tracer writes it down.
    void read_bar(unsigned bar, uint64_t offset, std::span<uint8_t> data) {
        ++counters_.bar_reads;
        if (watched_) return watched_read(bar, offset, data);
        route_read(bar, offset, data);
    }
    void write_bar(unsigned bar, uint64_t offset, std::span<const uint8_t> data) {
        ++counters_.bar_writes;
        if (watched_) return watched_write(bar, offset, data);
        route_write(bar, offset, data);
    }

    /// Writes a BAR unseen: neither counted nor traced, and no fault strikes. For what is no
    /// guest's access but puts back what a snapshot or recording holds, and for memory that a guest
    /// has mapped.
    void restore_bar(unsigned bar, uint64_t offset, std::span<const uint8_t> data) {
        route_write(bar, offset, data);
    }

    /// The expansion ROM image of at most 16 MiB, or empty. Read only. Asked for when the function
    /// is attached.
    virtual std::span<const uint8_t> rom() const { return {}; }

    /// Resets config space (kFunctionLevel and kPower keep sticky bits), power state, pending
    /// interrupts and the interrupt pin, then calls on_reset(). A reset from inside on_reset() does
    /// nothing.
    void reset(ResetKind kind);

    /// A conventional reset that the link below a port brings: AER's sticky registers keep what
    /// they hold.
    void hot_reset();

    /// Plugs the function into `slot` (borrowed until detach()). detach() resets it with
    /// kDetach.
    void attach(Slot& slot);
    void detach();

    /// Detects `error`: sets status bits and logs, and tells the root complex if the guest has
    /// enabled that (6.2). A function without AER has only DEVSTA to show it.
    ErrorOutcome report_error(const AerError& error);

    // --- Faults ------------------------------------------------------------------------------

    /// What FunctionFaults needs of this function; the hooks for its slot and its process are the
    /// caller's to add.
    FunctionFaults::Hooks fault_hooks();

    /// Lets `faults` stand between the guest and the function from now on; nullptr: nothing does.
    void set_faults(std::unique_ptr<FunctionFaults> faults);
    FunctionFaults* faults() { return faults_.get(); }
    const FunctionFaults* faults() const { return faults_.get(); }

    // --- Instruments -------------------------------------------------------------------------

    const FunctionCounters& counters() const { return counters_; }

    /// Who hears of rare events, and who writes down all accesses, messages and DMA, from now on;
    /// nullptr: nobody. Borrowed: both outlive the function or are taken away first. VFs get those
    /// that their PF has when they are made.
    void set_observer(FunctionObserver* observer) { observer_ = observer; }
    FunctionObserver* observer() const { return observer_; }
    void set_tracer(Tracer* tracer);
    Tracer* tracer() const { return tracer_; }

    /// The function's registers by name; empty for a model that declares none. The pointers live as
    /// long as the function.
    virtual std::vector<RegisterBlock> register_blocks() const { return {}; }

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
    virtual Status restore_registers(std::span<const reg::Snapshot> snapshots);

    /// Whether the model is in the middle of something that its registers do not tell, so that
    /// restore_registers() could not go on from them now.
    virtual bool at_work() const { return false; }

    /// Tells observer and tracer of `event`. For what the function does not see itself: its slot.
    void notify(const FunctionEvent& event);

    // --- Facts -------------------------------------------------------------------------------

    const std::string& name() const { return options_.name; }
    const std::array<Bar, kBarCount>& bars() const { return options_.bars; }
    const FunctionOptions& options() const { return options_; }
    ConfigSpace& config() { return config_; }
    const ConfigSpace& config() const { return config_; }

    /// Vectors of the MSI-X capability, and messages of the MSI capability; 0 without one.
    uint32_t msix_vectors() const { return msix_vectors_; }
    uint32_t msi_vectors() const { return msi_vectors_; }

    /// COMMAND.BUS_MASTER, and whether the power state is D0. In any other, transports answer BAR
    /// reads with all ones and drop BAR writes (5.3.1.4); config space works as ever.
    bool bus_master_enabled() const;
    bool in_d0() const { return in_d0_; }

    /// Whether BAR `bar` answers: in D0, with the memory or I/O space of COMMAND enabled. For
    /// transports that decode addresses themselves; behind a vfio-user client, which looks at
    /// COMMAND, in_d0() is enough.
    bool bar_accessible(unsigned bar) const;

    /// What the guest programmed for MSI-X vector `vector` or MSI message `vector` (modulo those it
    /// enabled).
    MsiMessage msix_message(uint32_t vector) const;
    MsiMessage msi_message(uint32_t vector) const;

    /// The MSI-X table and PBA, or nullptr without the capability.
    const MsixTable* msix_table() const { return msix_table_ ? &*msix_table_ : nullptr; }

    /// The SR-IOV capability of a PF, or nullptr.
    Sriov* sriov() { return sriov_.get(); }
    const Sriov* sriov() const { return sriov_.get(); }

    /// The PF of a VF that exists, else nullptr.
    Function* physical_function() { return physfn_; }

    /// Offset of the PCI Express capability in config space; 0: none.
    uint32_t pcie_capability() const { return pcie_cap_; }

    /// Bus address that the guest gave memory BAR `bar`.
    uint64_t bar_address(unsigned bar) const;

    /// The slot, or nullptr while nothing is attached.
    Slot* slot() { return slot_; }

    /// Heap bytes of config space and MSI-X state, for the memory budget.
    size_t heap_bytes() const;

protected:
    explicit Function(FunctionOptions options);

    /// The model's side of read_bar() and write_bar(): what faults have let through and is not in
    /// the MSI-X table or PBA. An access that straddles a border of these comes in parts.
    virtual void on_read(unsigned bar, uint64_t offset, std::span<uint8_t> data) = 0;
    virtual void on_write(unsigned bar, uint64_t offset, std::span<const uint8_t> data) = 0;

    /// The model's own state back to its reset values; config space is done already.
    virtual void on_reset(ResetKind kind) = 0;

    /// Gives the mappable areas of `bar` another file of the same size (borrowed), or none (-1):
    /// then clients that attach now have to trap. Clients that have the old one keep it.
    void set_bar_file(unsigned bar, int fd) { options_.bars[bar].fd = fd; }

    /// Whether a write of `bar` at `offset` rings a doorbell, for the fault that loses those and
    /// for the trace.
    virtual bool is_doorbell(unsigned /*bar*/, uint64_t /*offset*/) const { return false; }

    /// What a model does by itself. A fault of what it never does could not strike, and is refused.
    struct Habits {
        uint32_t vectors = ~0U;  // it sends messages 0 .. vectors - 1, as far as it has them
        bool dma = true;
        bool doorbells = false;  // is_doorbell() is true somewhere
    };
    virtual Habits habits() const { return {}; }

    /// The function was plugged in: slot() is there from now until on_reset(kDetach).
    virtual void on_attach() {}

    /// Makes VF `index` (0 .. NumVFs - 1) of a PF with an SR-IOV capability; `virtual_function` is
    /// set in its options, and its BARs are those of the capability. nullptr: the VF does not
    /// come to be.
    virtual std::unique_ptr<Function> make_vf(uint32_t /*index*/) { return nullptr; }

    /// The guest enabled `enabled` VFs, or disabled them (0). Called after the VFs were made, and
    /// before they go.
    virtual void on_vfs_changed(uint32_t /*enabled*/) {}

    /// Raises MSI-X vector or MSI message `vector` if the guest has enabled that and bus mastering,
    /// and the function is in D0; else nothing happens, as the specification says. One that the
    /// guest has masked becomes pending and goes out when the mask goes. Vectors out of range are
    /// our bug.
    void raise_msix(uint32_t vector);
    void raise_msi(uint32_t vector);

    /// Sets the model's interrupt level, which STATUS shows. The pin follows it in D0 while
    /// INTERRUPT_DISABLE, MSI and MSI-X are off. Ignored without an interrupt pin.
    void set_intx(bool asserted);

    /// DMA: DmaSpace::read() and write() for the function as it is now. `done` never runs after the
    /// function was reset or detached or has gone, which a guest can do to it, and to a VF, at any
    /// time: it may capture `this`. While the function may not master the bus (dma()) it runs at
    /// once with EPERM; what had begun before goes on.
    void dma_read(uint64_t iova, uint64_t size, memory::DmaSpace::ReadDone done);
    void dma_write(uint64_t iova, std::span<const std::byte> data,
                   memory::DmaSpace::WriteDone done);

    /// Guest memory, for span() and for what drives others by it, or nullptr while the guest has
    /// bus mastering off, in a state other than D0, or while detached. Ask again in each turn of
    /// the loop. The same is true of what its read() and write() are given as `done`.
    memory::DmaSpace* dma();

private:
    friend class CapabilityBuilder;
    friend class Sriov;

    void build_header();
    void build_endpoint_header();
    void build_bridge_header();
    void build_bars();
    void build_rom();

    // Called by CapabilityBuilder once the registers are defined.
    void bind_power_management(uint32_t cap);
    void bind_msi(uint32_t cap, uint32_t vectors);
    void bind_msix(uint32_t cap, uint32_t vectors, const MsixPlaces& places);
    void bind_pcie(uint32_t cap, bool flr);

    void check_thread() const {
        if (slot_ != nullptr) thread_.check();
    }
    memory::DmaSpace* real_dma();
    void route_read(unsigned bar, uint64_t offset, std::span<uint8_t> data) {
        if (msix_places_.may_hold(bar, offset, data.size())) [[unlikely]]
            return divide_read(bar, offset, data);
        on_read(bar, offset, data);
    }
    void route_write(unsigned bar, uint64_t offset, std::span<const uint8_t> data) {
        if (msix_places_.may_hold(bar, offset, data.size())) [[unlikely]]
            return divide_write(bar, offset, data);
        on_write(bar, offset, data);
    }
    void divide_read(unsigned bar, uint64_t offset, std::span<uint8_t> data);
    void divide_write(unsigned bar, uint64_t offset, std::span<const uint8_t> data);
    void watched_read(unsigned bar, uint64_t offset, std::span<uint8_t> data);
    void watched_write(unsigned bar, uint64_t offset, std::span<const uint8_t> data);
    uint64_t trace(const TraceEvent& event);
    void traced_write(Tracer* tracer, uint64_t number);
    void trace_message(TraceKind kind, uint32_t vector, bool swallowed);
    void fault_changed(const FaultReport& report, std::string_view state);
    std::string why_never(const Fault& fault) const;
    std::string why_not_now(const Fault& fault) const;
    FunctionFaults::Messages enabled_messages() const;
    Function& error_controls();
    bool is_fatal(const AerError& error);
    bool log_error(const AerError& error);
    void send_msix(uint32_t vector);
    void send_msi(uint32_t vector);
    void power_state_written(const ConfigWrite& write);
    bool msi_enabled() const;
    bool msix_enabled() const;
    bool can_send_messages() const;
    uint32_t msi_mask_offset() const;
    uint32_t msi_message_number(uint32_t vector) const;
    bool msix_masked(uint32_t vector) const;
    void deliver_pending_msi();
    void deliver_pending_msix();
    void interrupt_control_written();
    void update_intx();

    FunctionOptions options_;
    ConfigSpace config_;
    std::optional<MsixTable> msix_table_;
    MsixPlaces msix_places_;
    Slot* slot_ = nullptr;  // outlives the attachment: detach() comes first
    uint32_t msix_vectors_ = 0;
    uint32_t msi_vectors_ = 0;
    uint32_t msix_cap_ = 0;  // offset of the capability, 0: none
    uint32_t msi_cap_ = 0;
    uint32_t pm_cap_ = 0;
    uint32_t pcie_cap_ = 0;
    uint32_t aer_cap_ = 0;
    bool aer_log_valid_ = false;  // the header log is that of the First Error Pointer
    std::unique_ptr<Sriov> sriov_;
    FunctionCounters counters_;
    Tracer* tracer_ = nullptr;
    FunctionObserver* observer_ = nullptr;
    uint32_t trace_source_ = 0;
    bool watched_ = false;  // there are faults or a tracer: accesses take the longer way
    std::unique_ptr<FunctionDma> dma_;  // from the first DMA on
    std::unique_ptr<FunctionFaults> faults_;
    Function* physfn_ = nullptr;  // set by the PF's Sriov, which outlives its VFs
    bool in_d0_ = true;           // PMCSR.POWER_STATE is 0; read by transports at each BAR access
    bool intx_level_ = false;     // the model's
    bool pin_ = false;            // as last driven at the slot
    bool resetting_ = false;      // hooks of a config write that resets must not reset again
    ThreadBound thread_;          // while attached; BAR accesses are checked by who passes them on
};

}  // namespace mimic::pci
