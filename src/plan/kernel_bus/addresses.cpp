// SPDX-License-Identifier: Apache-2.0
// Sizes come up from the leaves, addresses go down: in each window what has the largest alignment
// is first, so that nothing but the window's end is padded. PCI-PCI Bridge Architecture 1.2, 3.2.5
// (windows have units of 1 MiB).
#include "kernel_bus/addresses.h"

#include <algorithm>
#include <vector>

namespace mimic::kernel_bus {
namespace {

constexpr uint64_t kWindowUnit = 1ull << 20;
constexpr uint64_t kPage = 4096;              // a VF's BAR is at least a page (PCIe 6.0, 9.2.1.1.1)
constexpr uint64_t kRoot32 = 0x8000'0000;     // arbitrary, below it lies memory
constexpr uint64_t kRoot32End = 0xfec0'0000;  // the I/O APIC
constexpr uint64_t kRoot64 = 0x3800'0000'0000;  // as QEMU's firmware with 46 address bits
constexpr uint64_t kVmdOwnBytes = 0x2000;       // of BAR4, for MSI-X; Linux's vmd keeps it out
constexpr unsigned kVmdConfigBar = 0;
constexpr unsigned kVmdMemory32Bar = 2;
constexpr unsigned kVmdMemory64Bar = 4;

enum class Space : uint8_t { kMemory32, kPrefetch64 };

uint64_t round_up(uint64_t value, uint64_t unit) {
    return (value + unit - 1) / unit * unit;
}

/// A piece of one window: a BAR, the VF BARs of a PF, or the window of a port below.
struct Piece {
    size_t node;
    size_t resource;
    uint64_t size;
    uint64_t alignment;
};

class Assigner {
public:
    explicit Assigner(BusLayout& layout) : layout_(layout), children_(layout.nodes.size()) {
        for (size_t i = 0; i < nodes().size(); ++i) {
            const auto& parent = nodes()[i].parent;
            (parent ? children_[*parent] : roots_).push_back(i);
        }
    }

    Status run() {
        // The fabrics' endpoints are in domain 0, so their BARs are there first.
        for (const Space space : {Space::kMemory32, Space::kPrefetch64}) {
            const bool low = space == Space::kMemory32;
            MIMIC_TRY(
                place_root(nullptr, space, low ? kRoot32 : kRoot64, low ? kRoot32End : UINT64_MAX));
        }
        for (const topology::FabricSpec& fabric : layout_.machine->fabrics) {
            const Node& vmd = nodes()[*layout_.find(fabric.bdf)];
            const Resource low = vmd.resources[kVmdMemory32Bar];
            const Resource high = vmd.resources[kVmdMemory64Bar];
            MIMIC_TRY(place_root(&fabric, Space::kMemory32, low.start, low.end + 1));
            MIMIC_TRY(
                place_root(&fabric, Space::kPrefetch64, high.start + kVmdOwnBytes, high.end + 1));
        }
        for (Node& node : nodes()) {
            if (node.is_virtual()) place_vf(node);
        }
        return {};
    }

private:
    std::vector<Node>& nodes() { return layout_.nodes; }

    static size_t window_index(Space space) {
        return space == Space::kMemory32 ? kMemoryWindow : kPrefetchWindow;
    }

    static bool is_in(const topology::BarSpec& bar, Space space) {
        if (bar.is_io) return false;  // gets no address
        return (bar.is_64bit && bar.prefetchable) == (space == Space::kPrefetch64);
    }

    static uint64_t flags_of(const topology::BarSpec& bar) {
        return kResourceMemory | kResourceSizeAlign |
               (bar.is_64bit ? kResourceMemory64 | kBar64 : 0) |
               (bar.prefetchable ? kResourcePrefetch | kBarPrefetch : 0);
    }

    static uint64_t aperture(const topology::BarSpec& bar) { return std::max(bar.size, kPage); }

    static std::vector<topology::BarSpec> bars_of(const Node& node) {
        if (node.function != nullptr) return node.function->bars;
        if (node.kind != NodeKind::kVmd) return {};
        return {{kVmdConfigBar, node.fabric->config_bar_size, true, true},
                {kVmdMemory32Bar, node.fabric->memory32_bar_size, false, false},
                {kVmdMemory64Bar, node.fabric->memory64_bar_size, true, true}};
    }

    void add_pieces(size_t index, Space space, std::vector<Piece>& pieces) {
        Node& node = nodes()[index];
        if (node.is_bridge()) return add_window(index, space, pieces);
        if (node.is_virtual()) return;  // part of what its PF asks for
        for (const topology::BarSpec& bar : bars_of(node)) {
            if (!is_in(bar, space)) continue;
            node.resources[bar.index].flags = flags_of(bar);
            pieces.push_back({index, bar.index, bar.size, bar.size});
        }
        if (node.is_clone()) add_rom(index, space, pieces);
        const VfBars vfs = vf_bars_of(node);
        for (const topology::BarSpec& bar : vfs.bars) {
            if (!is_in(bar, space)) continue;
            node.resources[kFirstVfBar + bar.index].flags = flags_of(bar);
            pieces.push_back(
                {index, kFirstVfBar + bar.index, aperture(bar) * vfs.count, aperture(bar)});
        }
    }

    void add_rom(size_t index, Space space, std::vector<Piece>& pieces) {
        Node& node = nodes()[index];
        const uint64_t size = node.function->clone->rom_size;
        if (size == 0 || space != Space::kMemory32) return;
        node.resources[kRom].flags = kResourceMemory | kResourcePrefetch | kResourceReadOnly |
                                     kResourceSizeAlign;
        pieces.push_back({index, kRom, size, size});
    }

    /// What the SR-IOV capability of a PF asks for.
    struct VfBars {
        std::vector<topology::BarSpec> bars;
        uint64_t count = 0;
    };

    static VfBars vf_bars_of(const Node& node) {
        if (node.kind != NodeKind::kPf) return {};
        if (node.is_clone()) {
            const topology::CloneSpec& clone = *node.function->clone;
            // QEMU hides SR-IOV of an endpoint.
            if (clone.total_vfs == 0 || !node.device->on_fabric) return {};
            return {clone.vf_bars, clone.total_vfs};
        }
        if (!node.device->native_sriov) return {};
        return {node.device->functions.back().bars, node.function->total_vfs};
    }

    // NOLINTNEXTLINE(misc-no-recursion): as deep as switches are.
    void add_window(size_t index, Space space, std::vector<Piece>& pieces) {
        std::vector<Piece> below;
        for (const size_t child : children_[index]) add_pieces(child, space, below);
        if (below.empty()) return;
        const uint64_t alignment = std::max(alignment_of(below), kWindowUnit);
        nodes()[index].resources[window_index(space)].flags = kResourceMemory |
                                                              (space == Space::kPrefetch64
                                                                   ? kResourcePrefetch |
                                                                         kResourceMemory64 |
                                                                         kWindow64
                                                                   : 0);
        pieces.push_back({index, window_index(space),
                          round_up(place(below, 0, Mode::kMeasure), kWindowUnit), alignment});
    }

    static uint64_t alignment_of(const std::vector<Piece>& pieces) {
        uint64_t alignment = 1;
        for (const Piece& piece : pieces) alignment = std::max(alignment, piece.alignment);
        return alignment;
    }

    enum class Mode : uint8_t { kMeasure, kAssign };

    /// Puts pieces one behind another from `at` on; returns the end.
    uint64_t place(std::vector<Piece>& pieces, uint64_t at, Mode mode) {
        std::stable_sort(pieces.begin(), pieces.end(),
                         [](const Piece& a, const Piece& b) { return a.alignment > b.alignment; });
        for (const Piece& piece : pieces) {
            at = round_up(at, piece.alignment);
            if (mode == Mode::kAssign) {
                Resource& resource = nodes()[piece.node].resources[piece.resource];
                resource.start = at;
                resource.end = at + piece.size - 1;
            }
            at += piece.size;
        }
        return at;
    }

    Status place_root(const topology::FabricSpec* fabric, Space space, uint64_t start,
                      uint64_t end) {
        std::vector<Piece> pieces;
        for (const size_t root : roots_) {
            const bool inside = nodes()[root].fabric == fabric;
            if (inside) add_pieces(root, space, pieces);
        }
        if (place(pieces, start, Mode::kAssign) > end) {
            return fail(std::errc::no_space_on_device,
                        "the BARs and port windows of {} do not fit into {:#x}-{:#x}",
                        fabric != nullptr ? fabric->name : layout_.machine->name, start, end - 1);
        }
        for (const Piece& piece : pieces) place_below(piece.node, space);
        return {};
    }

    // NOLINTNEXTLINE(misc-no-recursion): as deep as switches are.
    void place_below(size_t index, Space space) {
        const Node& node = nodes()[index];
        if (!node.is_bridge()) return;
        std::vector<Piece> below;
        for (const size_t child : children_[index]) add_pieces(child, space, below);
        place(below, node.resources[window_index(space)].start, Mode::kAssign);
        for (const Piece& piece : below) place_below(piece.node, space);
    }

    /// A VF has its share of the PF's VF BARs.
    void place_vf(Node& node) {
        const auto& pf = node.device->functions.front();
        const Node& owner = nodes()[*layout_.find(pf.bdf)];
        for (const topology::BarSpec& bar : node.function->bars) {
            const Resource& all = owner.resources[kFirstVfBar + bar.index];
            Resource& own = node.resources[bar.index];
            own.start = all.start + *node.function->vf_index * aperture(bar);
            own.end = own.start + aperture(bar) - 1;
            own.flags = all.flags;
        }
    }

    BusLayout& layout_;
    std::vector<std::vector<size_t>> children_;
    std::vector<size_t> roots_;
};

}  // namespace

Status assign_addresses(BusLayout& layout) {
    return Assigner(layout).run();
}

}  // namespace mimic::kernel_bus
