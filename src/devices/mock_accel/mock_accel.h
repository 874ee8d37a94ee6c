// SPDX-License-Identifier: Apache-2.0
// MockAccel: an accelerator that computes nothing and tells the truth about itself: identity,
// memory size, place among its VFs, and a status word with an interrupt. The device of seeds 000
// and 001; README.md describes it.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "base/identifier.h"
#include "base/result.h"
#include "devices/mock_accel/registers.h"
#include "pci/capabilities.h"
#include "pci/function.h"
#include "reg/bank.h"

namespace mimic::mock_accel {

inline constexpr uint16_t kVendorId = 0x1de5;
inline constexpr uint16_t kPfDeviceId = 0x0001;
inline constexpr uint16_t kVfDeviceId = 0x0002;
inline constexpr uint32_t kMaxVfs = 7;  // functions 1 to 7 of the slot
inline constexpr uint64_t kDefaultPfMemoryBytes = uint64_t{16} << 30;
inline constexpr uint64_t kDefaultVfMemoryBytes = uint64_t{2} << 30;
inline constexpr uint32_t kDefaultCapabilities = 0x00000001;  // compute
inline constexpr uint32_t kStatusVector = 0;

enum class Role : uint8_t { kPf, kVf };

/// Everything that differs between two mock-accels.
struct Options {
    std::string name;  // for logs, as the topology calls it
    Role role = Role::kPf;
    std::string identifier;  // a UUID or a label: base/identifier.h
    uint64_t memory_size_bytes = kDefaultPfMemoryBytes;
    uint32_t capabilities = kDefaultCapabilities;
    uint32_t total_vfs = 0;      // PF only: 0 to 7
    uint32_t vf_index = 0;       // VF only: 0 to 6
    bool multifunction = false;  // the slot has more functions: set it on function 0
    uint32_t class_code = 0;     // 24 bits; seed 001 shows 0x000000 ("Non-VGA unclassified device")
    pci::LinkSpeed link_speed = pci::LinkSpeed::kGen4;
    uint32_t link_width = 16;  // lanes: 1, 2, 4, 8, 12, 16 or 32
};

/// One function, PF or VF. Thread-bound to the loop that owns it. The guest side is
/// pci::Function's.
class MockAccel final : public pci::Function {
public:
    /// Error invalid_argument, beginning with the device's name, for options out of range.
    static Result<std::unique_ptr<MockAccel>> create(const Options& options);

    void bar_read(unsigned bar, uint64_t offset, std::span<uint8_t> data) override;
    void bar_write(unsigned bar, uint64_t offset, std::span<const uint8_t> data) override;

    /// STATUS, read and written from the device's side. A new value raises MSI-X vector 0.
    uint32_t status() const;
    void set_status(uint32_t status);

    /// NUM_VFS, as the driver left it.
    uint32_t num_vfs() const;

    Role role() const { return role_; }
    const Identifier& identifier() const { return identifier_; }

    /// What the driver prints in sysfs for this device: the label, or the UUID in lower case.
    std::string display_uuid() const { return identifier_.display(); }

    /// The registers, for dumps (reg::dump) and snapshots. Without side effects.
    const reg::BankCore& registers() const { return bank_; }

    /// All register values; config space is not among them. restore() raises no interrupt. Errors:
    /// those of reg::BankCore::restore(), and invalid_argument for a NUM_VFS above TOTAL_VFS.
    reg::Snapshot snapshot() const { return bank_.snapshot(); }
    Status restore(const reg::Snapshot& snapshot);

private:
    MockAccel(const Options& options, const Identifier& identifier);

    static Status check(const Options& options);
    static pci::FunctionOptions function_options(const Options& options);
    Status add_capabilities(const Options& options);
    void on_reset(pci::ResetKind kind) override;
    void status_written(const reg::WriteEvent& event);
    void num_vfs_written(const reg::WriteEvent& event);

    Role role_;
    Identifier identifier_;
    reg::Bank<kMap> bank_;
};

}  // namespace mimic::mock_accel
