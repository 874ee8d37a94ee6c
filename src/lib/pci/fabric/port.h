// SPDX-License-Identifier: Apache-2.0
// Port: a type-1 function: a root port, or the upstream or downstream port of a switch. It knows
// its bus numbers, its windows, its slot and its link; what lies below it is the Fabric's. PCIe
// 6.0, 7.5.1.3 (header), 7.5.3.10 (slot), 6.7.3 (hot-plug events), 6.2.4.1 (root ports and errors).
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "pci/function/capabilities.h"
#include "pci/function/function.h"

namespace mimic::pci {

/// What differs between two ports.
struct PortOptions {
    std::string name;  // for logs, as the topology calls it
    PciePortType type = PciePortType::kRootPort;
    uint16_t vendor_id = 0x1de5;
    uint16_t device_id = 0x0100;
    uint8_t revision = 0;
    bool multifunction = false;
    LinkSpeed link_speed = LinkSpeed::kGen4;  // of the link below; an upstream port's: above
    uint32_t link_width = 16;
    uint32_t slot = 0;      // physical slot number; 0: no slot
    bool hot_plug = false;  // needs a slot
    bool acs = true;
    bool ari = true;  // forwards to all 256 functions of the device below

    /// Configuration space of a port to look like (config_image.h); empty: our own. Its ids, class
    /// and capabilities then stand for those above; type, slot, hot-plug and ARI stay as said.
    std::vector<uint8_t> image{};
};

/// A port. Thread-bound with its fabric. Has an MSI message that hot-plug events and, in root
/// ports, errors share.
class Port final : public Function {
public:
    /// Who wants to know what the guest did to a port. Borrowed; set by the Fabric.
    class Observer {
    public:
        /// Secondary Bus Reset went from clear to set: hot reset of all that is below.
        virtual void on_secondary_reset(Port& bridge) = 0;
        /// Link Disable changed.
        virtual void on_link_control(Port& bridge) = 0;

    protected:
        ~Observer() = default;
    };

    /// Errors (EINVAL): a slot on an upstream port, hot-plug without slot, link values, an image
    /// that is not one of a port of this type.
    static Result<std::unique_ptr<Port>> create(const PortOptions& options);

    void set_observer(Observer* observer) { observer_ = observer; }

    PciePortType type() const { return type_; }
    bool is_upstream_port() const { return type_ == PciePortType::kUpstreamPort; }
    bool has_slot() const { return slot_; }
    bool is_hot_plug() const { return hot_plug_; }

    uint8_t secondary() const { return secondary_; }
    uint8_t subordinate() const { return subordinate_; }

    /// As firmware would: the numbers stay until the guest writes others or the port is reset.
    void set_bus_numbers(uint8_t primary, uint8_t secondary, uint8_t subordinate);

    /// Whether `bus` is the secondary bus or one below it.
    bool forwards_bus(uint32_t bus) const {
        return secondary_ != 0 && bus >= secondary_ && bus <= subordinate_;
    }

    /// Whether the memory or prefetchable window holds `address` and Memory Space is enabled.
    bool forwards_memory(uint64_t address) const;

    /// DEVCTL2.ARI Forwarding Enable: configuration requests reach all functions of the device
    /// below, else those of device number 0 only.
    bool ari_forwarding() const;

    /// An error message arrives from below; true: it goes on upwards. Bridge Control SERR# Enable
    /// permits all, and those that are not correctable need the port's own reporting too (6.2.6).
    bool forward_error(ErrorMessage message);
    bool secondary_reset_asserted() const;
    bool link_disabled() const;

    /// What the slot sees. A change sets the event bits and interrupts if the guest wants that.
    void set_presence(bool present);
    void set_link_active(bool active);

    /// Root port: an error message from `source` (a routing id) arrived (6.2.4.1.2). False: it has
    /// nowhere to show it.
    bool receive_error(ErrorMessage message, uint16_t source);

    /// Whether this is a root port whose AER capability tells the guest of errors.
    bool reports_errors() const { return type_ == PciePortType::kRootPort && aer_ != 0; }

private:
    explicit Port(const PortOptions& options);
    Status add_capabilities(const PortOptions& options);
    Status lay_capabilities(const PortOptions& options);
    void interrupt();
    Habits habits() const override;
    void install_hooks();
    void on_read(unsigned bar, uint64_t offset, std::span<uint8_t> data) override;
    void on_write(unsigned bar, uint64_t offset, std::span<const uint8_t> data) override;
    void on_reset(ResetKind kind) override;
    void read_bus_numbers();
    void read_windows();
    void set_slot_event(uint32_t event);
    void update_hot_plug_interrupt();
    void update_error_interrupt();

    struct Window {
        uint64_t base = 1;
        uint64_t limit = 0;  // below base: closed
        bool holds(uint64_t address) const { return address >= base && address <= limit; }
    };

    Observer* observer_ = nullptr;
    PciePortType type_;
    bool slot_;
    bool hot_plug_;
    uint32_t pcie_ = 0;  // offsets of capabilities
    uint32_t aer_ = 0;
    uint8_t secondary_ = 0;
    uint8_t subordinate_ = 0;
    Window memory_;
    Window prefetchable_;
    bool present_ = false;
    bool link_active_ = false;
    bool hot_plug_interrupt_ = false;  // the level behind the MSI: only its rise sends one
                                       // (6.7.3.4)
    bool error_interrupt_ = false;
};

}  // namespace mimic::pci
