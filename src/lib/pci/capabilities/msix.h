// SPDX-License-Identifier: Apache-2.0
// MSI-X capability: its registers, its table and Pending Bit Array, and where these lie. PCIe 6.0,
// 6.1.4 and 7.7.2.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>

#include "base/result.h"
#include "pci/capabilities/msix_table.h"
#include "pci/config/config_space.h"
#include "pci/function/function_options.h"

namespace mimic::pci {

/// MSI-X. Table and PBA lie in memory BARs, at multiples of 8 bytes, and in no mappable area.
struct MsixOptions {
    uint32_t vectors = 1;  // 1 .. 2048
    uint32_t table_bar = 0;
    uint32_t table_offset = 0;
    uint32_t pba_bar = 0;
    uint32_t pba_offset = 0;
    uint32_t at = 0;
};

/// Thread-bound with its function.
class MsixCapability {
public:
    /// Lays the registers into `config` (borrowed), that of `owner`. Errors: those of
    /// place_single(), EINVAL for structures that cannot lie where the options say.
    static Result<MsixCapability> lay(ConfigSpace& config, const FunctionOptions& owner,
                                      const MsixOptions& options);

    uint32_t offset() const { return cap_; }
    uint32_t vectors() const { return table_.vectors(); }
    bool enabled() const;

    const MsixTable& table() const { return table_; }
    const MsixPlaces& places() const { return places_; }

    /// Serve the part of an access that is not the model's. write() is true if a vector that was
    /// pending lost its mask.
    void read(const MsixPlaces::Part& part, std::span<uint8_t> data) const;
    bool write(const MsixPlaces::Part& part, std::span<const uint8_t> data);

    /// Whether the message of `vector` may go out; one that is masked becomes pending.
    /// `entries_count`: the mask bits of the table are the guest's (Slot::owns_msix_table() is
    /// false); the one of the whole function always is.
    bool admit(uint32_t vector, bool entries_count);

    /// Takes back the first pending vector from `first` on whose mask is gone; nullopt: none.
    std::optional<uint32_t> take_pending(uint32_t first, bool entries_count);

    /// Table and PBA as at power-on.
    void reset() { table_.reset(); }

    size_t heap_bytes() const { return table_.heap_bytes(); }

private:
    MsixCapability(ConfigSpace& config, uint32_t cap, uint32_t vectors, const MsixPlaces& places)
        : config_(&config), cap_(cap), table_(vectors), places_(places) {}

    bool masked(uint32_t vector, bool entries_count) const;

    ConfigSpace* config_;
    uint32_t cap_;
    MsixTable table_;
    MsixPlaces places_;
};

}  // namespace mimic::pci
