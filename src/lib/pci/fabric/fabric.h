// SPDX-License-Identifier: Apache-2.0
// Fabric: a PCI Express hierarchy behind one endpoint: root ports, switches and devices, with the
// routing between them. The endpoint (an Intel VMD, src/devices/vmd) passes configuration and
// memory accesses in; interrupts, errors and DMA of all functions go out through it. PCIe 6.0,
// 7.3 (configuration routing), 2.2.4 (address routing), 6.7 (hot-plug), 9.2 (SR-IOV).
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/thread_bound.h"
#include "pci/fabric/port.h"
#include "pci/function/function.h"

namespace mimic::pci {

class Attachment;

/// A tree of functions. Thread-bound to the loop of its host while attached. Whatever the guest
/// programs, an access finds at most one function, the walk is bounded by the tree's depth and
/// width, and an access that finds none is answered as an Unsupported Request: ones, or nothing.
class Fabric final : private Port::Observer {
public:
    /// What the fabric hangs on. All calls come on the fabric's thread while attached.
    class Host {
    public:
        /// Fires interrupt `vector` of the host, below vectors().
        virtual void interrupt(uint32_t vector) = 0;
        virtual uint32_t vectors() const = 0;

        /// Memory, or nullptr while the guest has the host's bus mastering off.
        virtual memory::DmaSpace* fabric_dma() = 0;
        virtual TaskRunner& fabric_runner() = 0;

        /// Whether bus address `address` lies in the windows through which the guest reaches the
        /// fabric: DMA there is peer to peer.
        virtual bool is_window(uint64_t address) const = 0;

    protected:
        ~Host() = default;
    };

    /// What happened so far. Plain counters.
    struct Counters {
        uint64_t config_reads = 0;
        uint64_t config_writes = 0;
        uint64_t memory_reads = 0;
        uint64_t memory_writes = 0;
        uint64_t unsupported = 0;       // accesses that nobody answered
        uint64_t messages = 0;          // interrupts that went out
        uint64_t dropped_messages = 0;  // on a path that is not open, or to no vector
        uint64_t errors = 0;            // error messages that reached a root port
        uint64_t peer_to_peer = 0;      // DMA that stayed inside
    };

    /// `buses`: 1..256, the size of the configuration space in MiB.
    explicit Fabric(uint32_t buses);
    ~Fabric();
    Fabric(const Fabric&) = delete;
    Fabric& operator=(const Fabric&) = delete;

    // --- Building, before attach() -----------------------------------------------------------

    /// Adds a port at device and function number `devfn` (device << 3 | function) of the bus below
    /// `above` (nullptr: bus 0), with the bus numbers that firmware gives it. Errors: EEXIST for a
    /// taken number or name; EINVAL for a tree that cannot be (a root port below bus 0, an upstream
    /// port that is not function 0 of a link, bus numbers outside those of the port above).
    Result<Port*> add_bridge(Port* above, uint8_t devfn, const PortOptions& options,
                             uint8_t secondary, uint8_t subordinate);

    /// Adds a device's function. `plugged` false: its slot is empty until plug(). Errors as above.
    Status add_function(Port* above, uint8_t devfn, std::unique_ptr<Function> function,
                        bool plugged = true);

    // --- The host's side ---------------------------------------------------------------------

    /// Powers the fabric on. `host` is borrowed until detach(), which powers it off.
    void attach(Host& host);
    void detach();
    bool attached() const { return host_ != nullptr; }

    /// Fundamental reset of everything; firmware's bus numbers are back.
    void reset();

    /// An access to configuration space at `offset` = bus << 20 | devfn << 12 | register, of any
    /// size and alignment; what lies beyond one function's 4096 bytes reads as ones.
    void config_read(uint64_t offset, std::span<uint8_t> data);
    void config_write(uint64_t offset, std::span<const uint8_t> data);

    /// An access to memory at bus address `address`.
    void memory_read(uint64_t address, std::span<uint8_t> data);
    void memory_write(uint64_t address, std::span<const uint8_t> data);

    // --- The world's side --------------------------------------------------------------------

    /// The function called `name` (VFs have none of their own before they exist), or nullptr.
    Function* find(std::string_view name);

    /// All functions, ports and enabled VFs, in tree order, with their routing ids.
    void for_each(const std::function<void(Function&, uint16_t routing_id)>& visit);

    /// Where a function is.
    struct Place {
        const Function* above = nullptr;  // port or, of a VF, PF; nullptr: on bus 0
        uint16_t routing_id = 0;
        bool present = true;            // false: out of its slot, or below what is
        std::optional<bool> link_up{};  // of the link below a root or downstream port, else above
    };

    /// As for_each(), with their places.
    void for_each_place(const std::function<void(Function&, const Place&)>& visit);

    /// What can be done to a slot or a link.
    enum class SlotChange : uint8_t { kUnplug, kPlug, kLinkDown, kLinkUp };

    /// Whether the change would change something: the error that unplug(), plug() or set_link()
    /// would return.
    Status can_change(std::string_view name, SlotChange change);

    /// Takes the device with function `name` out of its hot-plug slot without a warning, or puts it
    /// (fresh, as after power-on) back. Errors: ENOENT, EOPNOTSUPP for a slot without hot-plug,
    /// EALREADY, also for a slot that the guest cannot reach now.
    Status unplug(std::string_view name);
    Status plug(std::string_view name);

    /// Brings the link above the device with function `name`, or below the port `name`, down or up.
    /// What is below is reset when it goes down. A port whose slot is not hot-plug capable reports
    /// a Surprise Down error. Errors: ENOENT; EALREADY, also where something else keeps the link
    /// down; EOPNOTSUPP where there is no link.
    Status set_link(std::string_view name, bool up);

    const Counters& counters() const { return counters_; }
    uint32_t buses() const { return buses_; }

private:
    friend class Attachment;
    struct Node;

    // A bus: bus 0, the inside of a switch, or a link.
    struct Segment {
        Port* bridge = nullptr;  // above; null: bus 0
        Segment* parent = nullptr;
        bool is_link = false;
        bool plugged = true;
        bool link_forced_down = false;
        uint8_t secondary = 0;  // as firmware numbers it
        uint8_t subordinate = 255;
        std::vector<std::unique_ptr<Node>> nodes;  // by devfn

        uint32_t number() const { return bridge == nullptr ? 0 : bridge->secondary(); }
        bool has_link() const;      // a link that is up, or no link at all
        bool is_open() const;       // requests pass from the bridge to the functions
        bool is_present() const;    // nothing above is out of its slot
        bool is_reachable() const;  // all links above are up
    };

    // Where a memory access ends: [start, start + size) is BAR `bar` of `function`.
    struct Target {
        Function* function = nullptr;
        unsigned bar = 0;
        uint64_t start = 0;
        uint64_t size = 0;
    };

    void on_secondary_reset(Port& bridge) override;
    void on_link_control(Port& bridge) override;

    Result<Segment*> segment_below(Port* above, uint8_t devfn, std::string_view name);
    Node& insert(Segment& segment, uint8_t devfn, std::unique_ptr<Function> function);
    Segment* find_segment(const Port& bridge);
    Segment* find_link(std::string_view name);
    Node* find_node(Segment& segment, std::string_view name);
    template <typename Visit>
    void walk(Segment& segment, const Visit& visit);

    void check_thread() const {
        if (host_ != nullptr) thread_.check();
    }
    void number_buses(Segment& segment);
    void reset_below(Segment& segment, bool hot);
    static void show_link(Segment& segment);
    void update_link(Segment& segment);

    Function* config_target(uint64_t offset);  // counts those that nobody answers
    Function* find_config(uint32_t bus, uint8_t devfn);
    Function* find_on(Segment& segment, uint32_t bus, uint8_t devfn);
    Target find_memory(uint64_t address);
    const Target* target_of(uint64_t address, size_t size);
    bool path_is_open(const Segment& segment) const;
    void send_message(const Attachment& from, const MsiMessage& message);
    bool send_error(const Attachment& from, ErrorMessage message);
    ErrorPath error_path(const Attachment& from) const;

    // Whoever changes what decides where an access ends says so: functions by their slots, and
    // links, slots and power here.
    void routing_changed() { ++routing_; }

    const uint32_t buses_;
    Host* host_ = nullptr;
    Segment root_;
    uint64_t routing_ = 1;       // counts changes of routing
    Target last_;                // of the last memory access that somebody answered
    uint64_t last_routing_ = 0;  // by which it was found
    uint32_t peer_depth_ = 0;    // peer-to-peer accesses that wait for each other
    Counters counters_;
    ThreadBound thread_;  // while attached; accesses are checked by who passes them on
};

}  // namespace mimic::pci
