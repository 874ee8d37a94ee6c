// SPDX-License-Identifier: Apache-2.0
// MockAccel: an accelerator that computes nothing and tells the truth about itself: identity,
// memory size, place among its VFs, and a status word with an interrupt; and that moves memory, by
// a DMA engine with rings. The device of the mock-device project; README.md describes it.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "base/identifier.h"
#include "base/log.h"
#include "base/result.h"
#include "devices/mock_accel/device_memory.h"
#include "devices/mock_accel/engine.h"
#include "devices/mock_accel/engine_port.h"
#include "devices/mock_accel/model.h"
#include "devices/mock_accel/registers.h"
#include "pci/function/capabilities.h"
#include "pci/function/function.h"
#include "reg/bank.h"

namespace mimic::mock_accel {

inline constexpr uint32_t kStatusVector = 0;
inline constexpr uint32_t kFirstRingVector = 1;  // ring i has vector 1 + i

enum class Role : uint8_t { kPf, kVf };

/// A VF that the SR-IOV capability of a PF brings. What it does not say it has from its PF.
struct NativeVf {
    std::string name;        // for logs, as the topology calls it
    std::string identifier;  // a UUID or a label: base/identifier.h
    uint64_t memory_size_bytes = kDefaultVfMemoryBytes;
    uint32_t capabilities = kDefaultCapabilities;
    std::optional<uint32_t> rings{};  // 0 to 8; left out: 1
};

/// The VFs of a PF: none; static ones, functions 1 to 7 of the slot, each a device of its own
/// (StaticVf); or those of an SR-IOV capability, for a slot that can show VFs (the fabric).
struct NoVfs {};
struct StaticVfs {
    uint32_t total = 0;  // 0 to 7: what TOTAL_VFS says
};
struct NativeVfs {
    uint64_t memory_bar_bytes = 0;  // BAR2 of each, as Options::memory_bar_bytes
    std::vector<NativeVf> vfs{};    // 1 to 64
};

/// What a function is to its slot.
struct Pf {
    std::variant<NoVfs, StaticVfs, NativeVfs> vfs{};
    bool multifunction = false;  // the slot has more functions: set it on function 0
};
struct StaticVf {
    uint32_t index = 0;  // 0 to 6
};

/// Everything that differs between two mock-accels.
struct Options {
    std::string name;  // for logs, as the topology calls it
    std::variant<Pf, StaticVf> role{};
    std::string identifier;  // a UUID or a label: base/identifier.h
    uint64_t memory_size_bytes = kDefaultPfMemoryBytes;
    uint32_t capabilities = kDefaultCapabilities;
    uint32_t class_code = 0;  // 24 bits; mock-device shows 0x000000 ("Non-VGA unclassified device")
    pci::LinkSpeed link_speed = pci::LinkSpeed::kGen4;
    uint32_t link_width = 16;         // lanes: 1, 2, 4, 8, 12, 16 or 32
    std::optional<uint32_t> rings{};  // of the DMA engine, 0 to 8; left out: 4 for a PF, 1 for a VF
    uint64_t memory_bar_bytes = 0;    // BAR2, device memory: a power of two from 4096 on; 0: none

    bool is_vf() const { return std::holds_alternative<StaticVf>(role); }
};

/// One function, PF or VF. Thread-bound to the loop that owns it. The guest side is
/// pci::Function's.
class MockAccel final : public pci::Function, private EnginePort {
public:
    /// Error invalid_argument, beginning with the device's name, for options out of range.
    static Result<std::unique_ptr<MockAccel>> create(const Options& options);

    /// STATUS, read and written from the device's side. A new value raises MSI-X vector 0.
    uint32_t status() const;
    void set_status(uint32_t status);

    /// NUM_VFS, as the driver left it; of a native PF, VFs that exist.
    uint32_t num_vfs() const;

    Role role() const { return role_; }
    const Identifier& identifier() const { return identifier_; }

    /// What the driver prints in sysfs for this device: the label, or the UUID in lower case.
    std::string display_uuid() const { return identifier_.display(); }

    /// The registers, for dumps (reg::dump) and snapshots. Without side effects.
    const reg::BankCore& registers() const { return bank_; }

    std::vector<pci::RegisterBlock> register_blocks() const override;
    std::optional<uint32_t> doorbell_interrupt(unsigned bar, uint64_t offset) const override;

    /// Device memory, the bytes of BAR2; empty without.
    std::span<std::byte> device_memory() override;

    /// All register values; config space and device memory are not among them. restore() raises no
    /// interrupt, and leaves every ring disabled: memory, where its descriptors are, is not part of
    /// a snapshot, so the driver has to enable it again. Errors: those of reg::BankCore::restore(),
    /// and invalid_argument for a NUM_VFS above TOTAL_VFS and for rings that cannot be so.
    reg::Snapshot snapshot() const { return bank_.snapshot(); }
    Status restore(const reg::Snapshot& snapshot);

    /// As restore(), but rings that were enabled go on. Error not_supported while one of them had
    /// descriptors to do: what it had read of them is not in its registers.
    Status restore_registers(std::span<const reg::Snapshot> snapshots) override;
    bool at_work() const override;

private:
    // One function as its maker sees it: `native`, that a PF makes it; then its index is in role.
    struct Plan {
        const Options& options;
        bool native = false;

        Role role() const { return options.is_vf() ? Role::kVf : Role::kPf; }
        const NativeVfs* native_vfs() const;
    };

    MockAccel(const Plan& plan, const Identifier& identifier, std::unique_ptr<DeviceMemory> memory);

    static Result<std::unique_ptr<MockAccel>> make(const Plan& plan);
    static Status check(const Plan& plan);
    static Status check_native_vfs(const Options& pf, const NativeVfs& native);
    static Options vf_options(const Options& pf, const NativeVfs& native, size_t index);
    static std::array<pci::Bar, pci::kBarCount> bars_for(uint64_t memory_bar_bytes,
                                                         const DeviceMemory* memory);
    static pci::FunctionOptions function_options(const Plan& plan, const DeviceMemory* memory);
    Status add_capabilities(const Plan& plan);
    void on_read(unsigned bar, uint64_t offset, std::span<uint8_t> data) override;
    void on_write(unsigned bar, uint64_t offset, std::span<const uint8_t> data) override;
    void on_attach() override;
    void on_reset(pci::ResetKind kind) override;
    Status make_memory();
    std::unique_ptr<pci::Function> make_vf(uint32_t index) override;
    void on_vfs_changed(uint32_t enabled) override;
    bool is_doorbell(unsigned bar, uint64_t offset) const override;
    Habits habits() const override { return {.dma = rings_ != 0, .doorbells = rings_ != 0}; }
    void status_written(const reg::WriteEvent& event);
    void num_vfs_written(const reg::WriteEvent& event);
    void show_native_vfs();

    // Rings (mock_accel_rings.cpp).
    void bind_rings();
    bool ring_enabled(uint32_t ring) const;
    template <const reg::Register& Reg>
    void setup_written(const reg::WriteEvent& event);
    void control_written(const reg::WriteEvent& event);
    void tail_written(const reg::WriteEvent& event);
    void enable_ring(uint32_t ring);
    void start_ring(uint32_t ring, uint32_t first_index);
    void clear_counters();
    Status check_rings(const reg::Snapshot& snapshot) const;
    template <const reg::Register& Counter>
    void count(uint64_t more);

    // EnginePort.
    memory::DmaSpace* dma_space() override { return dma(); }
    TaskRunner* task_runner() override;
    void raise_ring(uint32_t ring) override { raise_msix(kFirstRingVector + ring); }
    void ring_progressed(uint32_t ring, const RingState& state, const RingCounts& counts) override;

    Role role_;
    Identifier identifier_;
    uint32_t rings_;
    std::vector<Options> vfs_;  // what make_vf() makes; of a PF with an SR-IOV capability
    reg::Bank<kMap> bank_;
    std::unique_ptr<DeviceMemory> memory_;  // behind BAR2; of one client, or of none yet
    std::unique_ptr<Engine> engine_;        // from the first time that a ring is enabled
    log::RateLimit halts_;
    log::RateLimit missing_vfs_;
    log::RateLimit without_memory_;
};

}  // namespace mimic::mock_accel
