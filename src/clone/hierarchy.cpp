// SPDX-License-Identifier: Apache-2.0
#include "clone/hierarchy.h"

#include <algorithm>
#include <bit>
#include <map>
#include <set>

#include <fmt/format.h>

#include "pci/config_image.h"
#include "pci/pci_regs.h"
#include "topology/scalars.h"

namespace mimic::clone {
namespace {

using pci::regs::SECONDARY_BUS;

constexpr unsigned kRootPort = 4;
constexpr unsigned kUpstreamPort = 5;
constexpr unsigned kDownstreamPort = 6;
constexpr unsigned kEventCollector = 10;
constexpr uint64_t kAssumedBar = 16384;  // arbitrary: a register file of middle size
constexpr uint64_t kAssumedIo = 32;      // arbitrary
constexpr uint64_t kAssumedRom = 65536;  // arbitrary
constexpr uint64_t kMaxIoBar = 256;
constexpr unsigned kMaxLosses = 1000;

using BusKey = std::pair<uint32_t, uint8_t>;  // domain, bus

uint8_t byte(const DumpFunction& function, size_t at) {
    return function.config[at];
}

uint32_t class_of(const DumpFunction& function) {
    return pci::image_u32(function.config, pci::regs::REVISION_ID) >> 8;
}

uint32_t routing_id(const DumpFunction& function) {
    return uint32_t{function.address.bus} << 8 | uint32_t{function.address.device} << 3 |
           function.address.function;
}

/// "gpu", "nvme", "nic": what people call such a device.
std::string_view word_for(uint32_t class_code) {
    switch (class_code >> 16) {
        case 0x01:
            return class_code >> 8 == 0x0108 ? "nvme" : "storage";
        case 0x02:
            return "nic";
        case 0x03:
            return "gpu";
        case 0x04:
            return "media";
        case 0x0c:
            return class_code >> 8 == 0x0c03 ? "usb" : "serial";
        case 0x12:
            return "accel";
        default:
            return "dev";
    }
}

class Maker {
public:
    Maker(const Dump& dump, const CloneOptions& options) : dump_(dump), options_(options) {}

    tl::expected<Hierarchy, std::vector<Problem>> run() {
        find_vfs();
        select();
        check_functions();
        if (problems_.empty()) find_buses();
        if (problems_.empty()) place();
        compare_tree();
        if (out_.devices.empty() && problems_.empty()) {
            problem(0, "nothing that can be cloned is in the dump");
        }
        if (problems_.empty()) return std::move(out_);
        return tl::unexpected(std::move(problems_));
    }

private:
    template <typename... Args>
    void problem(unsigned line, fmt::format_string<Args...> format, Args&&... args) {
        if (problems_.size() < kMaxProblems) {
            problems_.push_back({line, fmt::format(format, std::forward<Args>(args)...)});
        }
    }
    template <typename... Args>
    void lose(const DumpFunction& of, fmt::format_string<Args...> format, Args&&... args) {
        if (out_.losses.size() >= kMaxLosses) return;
        out_.losses.push_back(of.address.str() + ": " +
                              fmt::format(format, std::forward<Args>(args)...));
    }

    // --- Which functions ---------------------------------------------------------------------

    /// VFs that were enabled are functions of the dump; a PF makes its own.
    void find_vfs() {
        for (const DumpFunction& pf : dump_.functions) {
            const auto sriov = pci::image_sriov(pf.config);
            if (!sriov) continue;
            const uint32_t first = pci::image_u16(pf.config,
                                                  sriov->offset + pci::regs::SRIOV_FIRST_VF_OFFSET);
            const uint32_t own = routing_id(pf);
            for (const DumpFunction& vf : dump_.functions) {
                const uint32_t rid = routing_id(vf);
                if (vf.address.domain != pf.address.domain || &vf == &pf || rid < own + first) {
                    continue;
                }
                const uint32_t distance = rid - own - first;
                if (distance % sriov->options.stride != 0 ||
                    distance / sriov->options.stride >= sriov->num_vfs) {
                    continue;
                }
                vfs_.insert(&vf);
                first_vf_.try_emplace(&pf, &vf);
            }
        }
    }

    bool is_wanted(const DumpFunction& function) const {
        if (options_.only.empty()) return true;
        return std::any_of(options_.only.begin(), options_.only.end(), [&](const Address& only) {
            return only.domain == function.address.domain && only.bus == function.address.bus &&
                   only.device == function.address.device;
        });
    }

    void select() {
        for (const Address& only : options_.only) {
            if (dump_.find(only) == nullptr) problem(0, "no device {} in the dump", only.str());
        }
        for (const DumpFunction& function : dump_.functions) {
            if (!vfs_.contains(&function) && is_wanted(function)) selected_.push_back(&function);
        }
    }

    void check_functions() {
        for (const DumpFunction* const one : selected_) {
            const uint16_t vendor = pci::image_u16(one->config, 0);
            if (vendor == 0 || vendor == 0xffff) {
                problem(one->line,
                        "{} has vendor id {:04x} in its bytes, which means no device; "
                        "was it asleep?",
                        one->address.str(), vendor);
            }
            if ((byte(*one, pci::regs::HEADER_TYPE) & 0x7f) > 2) {
                problem(one->line, "{} has header type {:#04x}; expected 0 to 2",
                        one->address.str(), byte(*one, pci::regs::HEADER_TYPE));
            }
        }
    }

    // --- What is below what ------------------------------------------------------------------

    void find_buses() {
        for (const DumpFunction* const one : selected_) {
            const BusKey on{one->address.domain, one->address.bus};
            on_bus_[on].push_back(one);
            if (!is_bridge(*one)) continue;
            const uint8_t secondary = byte(*one, SECONDARY_BUS);
            if (secondary == 0) {
                lose(*one, "a bridge that nobody gave bus numbers: left out");
                continue;
            }
            if (secondary <= one->address.bus || byte(*one, SECONDARY_BUS + 1) < secondary) {
                problem(one->line, "bridge {} says that buses {:02x} to {:02x} are below it",
                        one->address.str(), secondary, byte(*one, SECONDARY_BUS + 1));
                continue;
            }
            const auto [first, is_new] = above_.try_emplace({on.first, secondary}, one);
            if (!is_new) {
                problem(one->line, "bridges {} and {} both say that bus {:02x} is below them",
                        first->second->address.str(), one->address.str(), secondary);
            }
        }
    }

    void place() {
        for (const auto& [bus, functions] : on_bus_) {
            if (!above_.contains(bus)) place_root_bus(functions);
        }
        const bool has_bridges = !out_.switches.empty() ||
                                 std::any_of(out_.devices.begin(), out_.devices.end(),
                                             [](const auto& one) { return one.port != nullptr; });
        for (ClonedDevice& device : out_.devices) attach(device, has_bridges);
    }

    void place_root_bus(const std::vector<const DumpFunction*>& functions) {
        std::map<unsigned, std::vector<const DumpFunction*>> devices;
        for (const DumpFunction* const one : functions) {
            const auto type = port_type(*one);
            if (!is_bridge(*one)) {
                if (class_of(*one) >> 16 == 0x06 || type == kEventCollector) {
                    lose(*one, "a part of the chipset (class {:04x}): left out",
                         class_of(*one) >> 8);
                } else {
                    devices[one->address.device].push_back(one);
                }
            } else if (type == kUpstreamPort) {
                place_switch(*one, nullptr, std::nullopt);
            } else if (type == kRootPort) {
                place_below(*one, one, std::nullopt);
            } else if (type == kDownstreamPort) {
                lose(*one,
                     "a switch's downstream port without the switch: below a root port of "
                     "Mimic's in its place");
                place_below(*one, nullptr, std::nullopt);
            } else {
                leave_out(*one, 0);
            }
        }
        for (const auto& [number, group] : devices) add_device(group, nullptr, std::nullopt);
    }

    /// A bridge of a kind that a fabric does not have, and what is below it.
    void leave_out(const DumpFunction& bridge, unsigned depth) {
        lose(bridge, "a bridge to conventional PCI, or of an unknown kind: left out");
        const auto found = on_bus_.find({bridge.address.domain, byte(bridge, SECONDARY_BUS)});
        if (found == on_bus_.end() || depth > 255) return;
        for (const DumpFunction* const one : found->second) {
            is_bridge(*one) ? leave_out(*one, depth + 1)
                            : lose(*one, "below a bridge that is left out, so left out");
        }
    }

    /// What is on the link below `bridge`. `port`: what the port there shall look like.
    void place_below(const DumpFunction& bridge, const DumpFunction* port,
                     const std::optional<std::string>& below) {
        const auto found = on_bus_.find({bridge.address.domain, byte(bridge, SECONDARY_BUS)});
        if (found == on_bus_.end()) {
            return lose(bridge, "a port with nothing below it: left out");
        }
        std::vector<const DumpFunction*> device;
        bool has_switch = false;
        for (const DumpFunction* const one : found->second) {
            if (is_bridge(*one)) {
                if (port_type(*one) == kUpstreamPort && one->address.device == 0 &&
                    one->address.function == 0) {
                    place_switch(*one, port, below);
                    has_switch = true;
                } else {
                    leave_out(*one, 0);
                }
            } else if (has_switch) {
                lose(*one, "a function beside a switch's upstream port: left out");
            } else if (one->address.device != 0) {
                lose(*one, "device {} on a link, where only functions 0 to 7 can be: left out",
                     one->address.device);
            } else {
                device.push_back(one);
            }
        }
        if (!device.empty()) add_device(device, port, below);
    }

    void place_switch(const DumpFunction& upstream, const DumpFunction* port,
                      const std::optional<std::string>& below) {
        ClonedSwitch made;
        made.name = fmt::format("sw{}", out_.switches.size());
        made.upstream = &upstream;
        made.port = port;
        made.below = below;
        const std::string name = made.name;
        out_.switches.push_back(std::move(made));
        const auto found = on_bus_.find({upstream.address.domain, byte(upstream, SECONDARY_BUS)});
        if (found == on_bus_.end()) return;
        for (const DumpFunction* const one : found->second) {
            if (port_type(*one) == kDownstreamPort && is_bridge(*one)) {
                place_below(*one, one, name);
            } else {
                lose(*one, "no port, but inside a switch: left out");
            }
        }
    }

    // --- Devices -----------------------------------------------------------------------------

    void add_device(const std::vector<const DumpFunction*>& functions, const DumpFunction* port,
                    const std::optional<std::string>& below) {
        const DumpFunction& first = *functions.front();
        if (first.address.function != 0) {
            return lose(first, "function 0 of its device is not in the dump: left out");
        }
        ClonedDevice made;
        const std::string word(word_for(class_of(first)));
        made.name = fmt::format("{}{}", word, counts_[word]++);
        made.port = port;
        made.below = below;
        for (const DumpFunction* const one : functions) {
            if ((byte(*one, pci::regs::HEADER_TYPE) & 0x7f) != 0) {
                lose(*one, "a CardBus bridge: left out");
                continue;
            }
            made.functions.push_back(make_function(*one));
        }
        if (!made.functions.empty()) out_.devices.push_back(std::move(made));
    }

    ClonedFunction make_function(const DumpFunction& source) {
        ClonedFunction made;
        made.source = &source;
        made.bars = bars_of(source, source.regions, pci::regs::BAR0, "");
        make_rom(made);
        const auto sriov = pci::image_sriov(source.config);
        if (!sriov || sriov->options.total_vfs == 0) return made;
        const auto vf = first_vf_.find(&source);
        made.vf = vf == first_vf_.end() ? nullptr : vf->second;
        auto regions = source.vf_regions;
        // The regions of an enabled VF have the sizes that the capability's have not.
        for (unsigned i = 0; made.vf != nullptr && i < pci::kBarCount; ++i) {
            if (regions[i].size == 0) regions[i].size = made.vf->regions[i].size;
        }
        made.vf_bars = bars_of(source, regions, sriov->offset + pci::regs::SRIOV_VF_BAR0, "VF ");
        made.total_vfs = sriov->options.total_vfs;
        return made;
    }

    /// Types from the bytes, or of registers that are zero from the text; sizes from the text.
    std::array<pci::Bar, pci::kBarCount> bars_of(const DumpFunction& source,
                                                 const std::array<Region, 6>& regions, size_t at,
                                                 std::string_view kind) {
        auto bars = pci::image_bars(source.config, at);
        for (unsigned i = 0; i < pci::kBarCount; ++i) {
            pci::Bar& bar = bars[i];
            const Region& region = regions[i];
            const bool upper = i > 0 && bars[i - 1].type == pci::BarType::kMemory64;
            if (upper) continue;
            if (bar.type == pci::BarType::kNone && region.line != 0) {
                bar.type = region.is_io                   ? pci::BarType::kIo
                           : region.is_64bit && i + 1 < 6 ? pci::BarType::kMemory64
                                                          : pci::BarType::kMemory32;
                bar.prefetchable = region.prefetchable;
                if (bar.type == pci::BarType::kMemory64) bars[i + 1] = {};
            }
            if (bar.type == pci::BarType::kNone) continue;
            bar.size = region.size != 0 ? region.size : assumed_size(source, bar.type, i, kind);
            check_size(source, region, bar, i);
        }
        return bars;
    }

    uint64_t assumed_size(const DumpFunction& source, pci::BarType type, unsigned index,
                          std::string_view kind) {
        uint64_t size = type == pci::BarType::kIo ? kAssumedIo : kAssumedBar;
        if (kind.empty() && type != pci::BarType::kIo) {
            size = std::max(size, std::bit_ceil(msix_end(source, index)));
        }
        lose(source, "the size of {}BAR{} is not in the dump: {} assumed", kind, index,
             topology::format_size(size));
        return size;
    }

    /// First byte of BAR `index` behind the MSI-X structures in it; 0: there are none.
    static uint64_t msix_end(const DumpFunction& source, unsigned index) {
        using namespace pci::regs;
        const pci::ImageWalk walk = pci::walk_image(source.config);
        const pci::ImageCapability* const msix = walk.find(CAP_ID_MSIX, false);
        if (msix == nullptr || msix->size < MSIX_SIZE) return 1;
        const auto at = [&](uint32_t offset) {
            return pci::image_u32(source.config, msix->offset + offset);
        };
        const uint32_t vectors = (at(0) >> 16 & MSIX_CONTROL_TABLE_SIZE) + 1;
        uint64_t end = 1;
        if ((at(MSIX_TABLE) & MSIX_BIR) == index) {
            end = uint64_t{at(MSIX_TABLE) & MSIX_OFFSET} + pci::MsixTable::table_size(vectors);
        }
        if ((at(MSIX_PBA) & MSIX_BIR) == index) {
            end = std::max(
                end, uint64_t{at(MSIX_PBA) & MSIX_OFFSET} + pci::MsixTable::pba_size(vectors));
        }
        return end;
    }

    void check_size(const DumpFunction& source, const Region& region, const pci::Bar& bar,
                    unsigned index) {
        const uint64_t least = bar.type == pci::BarType::kIo ? 4 : 16;
        const uint64_t most = bar.type == pci::BarType::kIo         ? kMaxIoBar
                              : bar.type == pci::BarType::kMemory32 ? 1ull << 31
                                                                    : 1ull << 40;
        if (bar.size >= least && bar.size <= most) return;
        problem(region.line != 0 ? region.line : source.line,
                "BAR{} of {} has {}; a BAR of its kind has {} to {}", index, source.address.str(),
                topology::format_size(bar.size), topology::format_size(least),
                topology::format_size(most));
    }

    void make_rom(ClonedFunction& made) {
        const Region& region = made.source->rom;
        const bool in_bytes = (pci::image_u32(made.source->config, pci::regs::EXPANSION_ROM) &
                               pci::regs::EXPANSION_ROM_ADDRESS) != 0;
        if (region.line == 0 && !in_bytes) return;
        made.rom_bytes = region.size;
        if (region.size == 0) {
            made.rom_bytes = kAssumedRom;
            lose(*made.source, "the size of its ROM is not in the dump: {} assumed",
                 topology::format_size(kAssumedRom));
        } else if (region.size < 2048 || region.size > 16u << 20) {
            problem(region.line, "a ROM of {}; expected 2K to 16M",
                    topology::format_size(region.size));
        }
    }

    void attach(ClonedDevice& device, bool has_bridges) {
        const bool has_vfs = std::any_of(device.functions.begin(), device.functions.end(),
                                         [](const auto& one) { return one.total_vfs != 0; });
        device.on_fabric = options_.attach == Attach::kFabric ||
                           (options_.attach == Attach::kAuto && (has_bridges || has_vfs));
        const DumpFunction& first = *device.functions.front().source;
        if (options_.attach == Attach::kEndpoint && (device.port != nullptr || device.below)) {
            lose(first, "as an endpoint it is below a root port of QEMU's, not below its own port");
            device.port = nullptr;
            device.below.reset();
        }
        const uint32_t kind = class_of(first) >> 8;
        if (device.on_fabric && (kind == 0x0000 || kind == 0x0600)) {
            lose(first, "class {:04x} gets no addresses from Linux on a fabric: an endpoint", kind);
            device.on_fabric = false;
            device.port = nullptr;
            device.below.reset();
        }
    }

    /// The picture of lspci -t decides nothing, but tells what one of the two lacks.
    void compare_tree() {
        if (dump_.tree.empty() || !problems_.empty()) return;
        for (const auto& [address, line] : dump_.tree) {
            if (dump_.find(address) != nullptr || out_.losses.size() >= kMaxLosses) continue;
            out_.losses.push_back(
                fmt::format("{}: in the tree on line {}, but the dump has no bytes of it",
                            address.str(), line));
        }
        for (const DumpFunction& function : dump_.functions) {
            if (dump_.tree.contains(function.address)) continue;
            lose(function, "not in the tree of lspci -t: taken from its bytes");
        }
    }

    const Dump& dump_;
    const CloneOptions& options_;
    Hierarchy out_;
    std::vector<Problem> problems_;
    std::vector<const DumpFunction*> selected_;
    std::set<const DumpFunction*> vfs_;
    std::map<const DumpFunction*, const DumpFunction*> first_vf_;  // by PF
    std::map<BusKey, std::vector<const DumpFunction*>> on_bus_;
    std::map<BusKey, const DumpFunction*> above_;
    std::map<std::string, unsigned> counts_;
};

}  // namespace

bool is_bridge(const DumpFunction& function) {
    return (function.config[pci::regs::HEADER_TYPE] & 0x7f) == 1;
}

std::optional<unsigned> port_type(const DumpFunction& function) {
    const pci::ImageWalk walk = pci::walk_image(function.config);
    const pci::ImageCapability* const pcie = walk.find(pci::regs::CAP_ID_PCIE, false);
    if (pcie == nullptr) return std::nullopt;
    return pci::image_u16(function.config, pcie->offset + 2) >> 4 & 0xf;
}

tl::expected<Hierarchy, std::vector<Problem>> make_hierarchy(const Dump& dump,
                                                             const CloneOptions& options) {
    return Maker(dump, options).run();
}

}  // namespace mimic::clone
