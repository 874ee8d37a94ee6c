// SPDX-License-Identifier: Apache-2.0
// Function: one PCI function. A device model derives from it and knows neither its transport
// (slot.h) nor its process. PCIe Base Specification 6.0, chapter 7.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>

#include "base/result.h"
#include "base/task_runner.h"
#include "base/thread_bound.h"
#include "memory/dma_space.h"
#include "pci/capabilities/aer.h"
#include "pci/capabilities/msi.h"
#include "pci/capabilities/msix.h"
#include "pci/capabilities/pcie.h"
#include "pci/capabilities/power_management.h"
#include "pci/config/aer.h"
#include "pci/config/config_space.h"
#include "pci/faults/function_faults.h"
#include "pci/function/function_options.h"
#include "pci/function/model_hooks.h"
#include "pci/function/slot.h"
#include "pci/trace/function_counters.h"
#include "pci/trace/function_events.h"
#include "pci/trace/tracer.h"

namespace mimic::pci {

class FunctionDma;
class Sriov;
struct SriovOptions;

/// One PCI function: config space, BARs, interrupts, resets. Thread-bound to the loop that owns
/// it, from attach() to detach().
///
/// A model derives from it, adds capabilities in its factory (capabilities.h) and overrides
/// on_read(), on_write() and on_reset(). What the guest does wrong is answered as hardware would
/// (all ones, ignored); no call here fails.
class Function : public ModelHooks {
public:
    ~Function() override;
    Function(const Function&) = delete;
    Function& operator=(const Function&) = delete;

    /// As pci::validate(). Factories of models call this before they construct.
    static Status validate(const FunctionOptions& options) { return pci::validate(options); }

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

    /// Writes a BAR unseen: not counted, traced or faulted. For what puts back what a snapshot or
    /// recording holds, and for memory that a guest has mapped.
    void restore_bar(unsigned bar, uint64_t offset, std::span<const uint8_t> data) {
        route_write(bar, offset, data);
    }

    /// Resets config space (kFunctionLevel and kPower keep sticky bits), power state, pending
    /// interrupts and the interrupt pin, then calls on_reset(). A reset from inside on_reset() does
    /// nothing.
    void reset(ResetKind kind);

    /// A conventional reset that the link below a port brings: AER's sticky registers keep what
    /// they hold.
    void hot_reset();

    /// Plugs the function into `slot` (borrowed until detach(), which resets it with kDetach).
    void attach(Slot& slot);
    void detach();

    /// Detects `error`: sets status bits and logs, and tells the root complex if the guest has
    /// enabled that (6.2). A function without AER has only DEVSTA to show it.
    ErrorOutcome report_error(const AerError& error);

    // --- Capabilities, before attach() -------------------------------------------------------

    /// Takes over a capability whose registers are laid in config(), and gives it its behaviour.
    /// For CapabilityBuilder.
    void adopt(const PowerManagement& power);
    void adopt(const MsiCapability& msi);
    void adopt(MsixCapability&& msix);
    void adopt(const PcieCapability& pcie);
    void adopt(const AerCapability& aer);

    /// Lays the SR-IOV capability at offset `cap`: the function becomes a PF. become_vf(): one of
    /// `pf` from now on, or (nullptr) no longer; for Sriov.
    void become_pf(uint32_t cap, const SriovOptions& options);
    void become_vf(Function* pf) { physfn_ = pf; }

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

    /// Tells observer and tracer of `event`. For what the function does not see itself: its slot.
    void notify(const FunctionEvent& event);

    Status restore_registers(std::span<const reg::Snapshot> snapshots) override;

    // --- Facts -------------------------------------------------------------------------------

    const std::string& name() const { return options_.name; }
    const std::array<Bar, kBarCount>& bars() const { return options_.bars; }
    const FunctionOptions& options() const { return options_; }
    ConfigSpace& config() { return config_; }
    const ConfigSpace& config() const { return config_; }

    /// Vectors of the MSI-X capability, and messages of the MSI capability; 0 without one.
    uint32_t msix_vectors() const { return msix_ ? msix_->vectors() : 0; }
    uint32_t msi_vectors() const { return msi_ ? msi_->vectors() : 0; }

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
    const MsixTable* msix_table() const { return msix_ ? &msix_->table() : nullptr; }

    /// The SR-IOV capability of a PF, or nullptr.
    Sriov* sriov() { return sriov_.get(); }
    const Sriov* sriov() const { return sriov_.get(); }

    /// The PF of a VF that exists, else nullptr.
    Function* physical_function() { return physfn_; }

    /// Offset of the PCI Express capability in config space; 0: none.
    uint32_t pcie_capability() const { return pcie_ ? pcie_->offset() : 0; }

    /// Bus address that the guest gave memory BAR `bar`.
    uint64_t bar_address(unsigned bar) const;

    /// The slot, or nullptr while nothing is attached.
    Slot* slot() { return slot_; }

    /// Heap bytes of config space and MSI-X state, for the memory budget.
    size_t heap_bytes() const;

protected:
    explicit Function(FunctionOptions options);

    /// Calls `hook` before a guest's read of [offset, offset + size) of config space, of any part
    /// of it: for registers whose reads have side effects. One hook a function. It may set config
    /// space and access BARs; reads that a fault answers do not run it.
    void set_config_read_hook(uint32_t offset, uint32_t size, std::function<void()> hook) {
        config_read_hook_ = {offset, size, std::move(hook)};
    }

    /// Gives the mappable areas of `bar` another file of the same size (borrowed), or none (-1):
    /// then clients that attach now have to trap. Clients that have the old one keep it.
    void set_bar_file(unsigned bar, int fd) { options_.bars[bar].fd = fd; }

    /// Raises MSI-X vector or MSI message `vector` if the guest has enabled that and bus mastering,
    /// and the function is in D0; else nothing happens, as the specification says. One that the
    /// guest has masked becomes pending and goes out when the mask goes. Vectors out of range are
    /// our bug.
    void raise_msix(uint32_t vector);
    void raise_msi(uint32_t vector);

    /// Writes down a request that the model has answered: TraceKind::kRequest.
    void trace_request(const TraceEvent& event) {
        if (tracer_ != nullptr) trace(event);
    }

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

    /// Tells the slot that what decides which function answers where has changed; a change that a
    /// guest makes in config space, and resets, tell it themselves.
    void routing_changed() {
        if (slot_ != nullptr) slot_->routing_changed();
    }

private:
    // Who serves an access: the model, unless it meets the MSI-X table or PBA.
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

    uint64_t trace(const TraceEvent& event) { return tracer_->record(trace_source_, event); }
    void traced_write(Tracer* tracer, uint64_t number);
    void trace_message(TraceKind kind, uint32_t vector, bool swallowed);
    void fault_changed(const FaultReport& report, std::string_view state);
    std::string why_never(const Fault& fault) const;
    std::string why_not_now(const Fault& fault) const;
    FunctionFaults::Messages enabled_messages() const;

    void check_thread() const {
        if (slot_ != nullptr) thread_.check();
    }
    void build_rom();
    memory::DmaSpace* real_dma();
    void power_state_written(const ConfigWrite& write);

    // Which function's enables, masks and severities of errors hold: those of a VF are its PF's.
    Function& error_controls() { return physfn_ != nullptr ? *physfn_ : *this; }

    bool msi_enabled() const { return msi_ && msi_->enabled(); }
    bool msix_enabled() const { return msix_ && msix_->enabled(); }
    bool can_send_messages() const;
    bool msix_entries_count() const;
    void send(TraceKind kind, uint32_t vector);
    void deliver_pending();
    void interrupt_control_written();
    void update_intx();

    struct ConfigReadHook {
        uint32_t offset = 0;
        uint32_t size = 0;  // 0: none
        std::function<void()> call{};
        bool meets(uint32_t at, size_t bytes) const {
            return size > 0 && at < offset + size && uint64_t{at} + bytes > offset;
        }
    };

    FunctionOptions options_;
    ConfigSpace config_;
    ConfigReadHook config_read_hook_;
    MsixPlaces msix_places_;  // those of msix_, looked at in each access
    Slot* slot_ = nullptr;    // outlives the attachment: detach() comes first

    // Capabilities with behaviour; others are but registers.
    std::optional<PowerManagement> power_;
    std::optional<PcieCapability> pcie_;
    std::optional<AerCapability> aer_;
    std::unique_ptr<MsiCapability> msi_;
    std::unique_ptr<MsixCapability> msix_;
    std::unique_ptr<Sriov> sriov_;

    FunctionCounters counters_;
    Tracer* tracer_ = nullptr;
    FunctionObserver* observer_ = nullptr;
    std::unique_ptr<FunctionDma> dma_;  // from the first DMA on
    std::unique_ptr<FunctionFaults> faults_;
    Function* physfn_ = nullptr;  // set by the PF's Sriov, which outlives its VFs
    uint32_t trace_source_ = 0;
    bool watched_ = false;     // there are faults or a tracer: accesses take the longer way
    bool in_d0_ = true;        // PMCSR.POWER_STATE is 0; read by transports at each BAR access
    bool intx_level_ = false;  // the model's
    bool pin_ = false;         // as last driven at the slot
    bool resetting_ = false;   // hooks of a config write that resets must not reset again
    ThreadBound thread_;       // while attached; BAR accesses are checked by who passes them on
};

}  // namespace mimic::pci
