// SPDX-License-Identifier: Apache-2.0
// PCI Express capability: what a function is in its hierarchy, its link, its slot, and what it
// shows of errors. PCIe 6.0, 7.5.3.
#pragma once

#include <cstdint>

#include "base/result.h"
#include "pci/config/config_space.h"
#include "pci/function/function_options.h"

namespace mimic::pci {

/// Device/Port Type of functions that this builder knows (7.5.3.2).
enum class PciePortType : uint8_t {
    kEndpoint = 0x0,
    kLegacyEndpoint = 0x1,
    kRootPort = 0x4,
    kUpstreamPort = 0x5,
    kDownstreamPort = 0x6,
    kRootComplexIntegratedEndpoint = 0x9,  // has no link: link registers read zero
};

/// Link speeds as LNKCAP and LNKSTA encode them: 2.5, 5, 8, 16, 32 and 64 GT/s.
enum class LinkSpeed : uint8_t { kGen1 = 1, kGen2, kGen3, kGen4, kGen5, kGen6 };

/// PCI Express capability, version 2.
struct PcieOptions {
    PciePortType type = PciePortType::kEndpoint;
    LinkSpeed max_speed = LinkSpeed::kGen4;
    uint32_t max_width = 16;  // lanes: 1, 2, 4, 8, 12, 16, 32
    LinkSpeed speed{};  // what the link trained to, at most the maximum; left out: the maximum
    uint32_t width = 0;
    uint32_t max_payload_bytes = 256;  // power of two, 128 .. 4096
    bool flr = true;
    bool extended_tag = true;
    bool slot_clock = true;
    bool ari_forwarding = false;  // root and downstream ports

    // The slot below a root or downstream port. No command takes time (No Command Completed
    // Support), and there is no power controller, attention button or latch.
    bool slot = false;
    uint32_t slot_number = 0;  // 1 .. 8191, unique in the machine
    bool hot_plug = false;     // Hot-Plug Capable, Surprise
    uint32_t at = 0;
};

/// Its state is in config space. Thread-bound with its function.
class PcieCapability {
public:
    /// Lays the registers into `config` (borrowed), that of `owner`. Errors: those of
    /// place_single(), EINVAL for a link or slot that cannot be.
    static Result<PcieCapability> lay(ConfigSpace& config, const FunctionOptions& owner,
                                      const PcieOptions& options);

    uint32_t offset() const { return cap_; }

    /// Function Level Reset Capability.
    bool has_flr() const;

    /// Sets bits of DEVSTA: errors that the function detected.
    void detected(uint32_t errors);

    /// DEVCTL: which errors the guest wants messages of.
    uint32_t control() const;

private:
    PcieCapability(ConfigSpace& config, uint32_t cap) : config_(&config), cap_(cap) {}

    ConfigSpace* config_;
    uint32_t cap_;
};

}  // namespace mimic::pci
