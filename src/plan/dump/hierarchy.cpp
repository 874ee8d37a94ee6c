// SPDX-License-Identifier: Apache-2.0
#include "dump/hierarchy.h"

#include <algorithm>
#include <map>
#include <set>

#include <fmt/format.h>

#include "pci/config/config_image.h"
#include "pci/config/pci_regs.h"

namespace mimic::dump {
namespace {

using pci::regs::SECONDARY_BUS;

constexpr unsigned kRootPort = 4;
constexpr unsigned kUpstreamPort = 5;
constexpr unsigned kDownstreamPort = 6;
constexpr unsigned kEventCollector = 10;
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
        leave_out_bad_ones();
        find_buses();
        if (problems_.empty()) place();
        compare_tree();
        if (out_.devices.empty() && problems_.empty()) say_why_nothing_is_left();
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
        lose_at(of.line, of.address, fmt::format(format, std::forward<Args>(args)...));
    }
    void lose_at(unsigned line, const Address& address, const std::string& what) {
        if (out_.losses.size() >= kMaxLosses) return;
        out_.losses.push_back(address.str() + ": " + what);
        loss_lines_.push_back(line);
    }

    void say_why_nothing_is_left() {
        problem(0, "nothing that can be cloned is in the dump; what is there:");
        for (size_t i = 0; i < loss_lines_.size(); ++i) {
            problem(loss_lines_[i], "{}", out_.losses[i]);
        }
        for (const ClonedSwitch& one : out_.switches) {
            problem(one.upstream->line, "{}: a switch with no device below it",
                    one.upstream->address.str());
        }
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
                vfs_.try_emplace(&vf, &pf);
                first_vf_.try_emplace(&pf, &vf);
            }
        }
    }

    bool is_wanted(const Address& address) const {
        if (options_.only.empty()) return true;
        return std::any_of(options_.only.begin(), options_.only.end(), [&](const Address& only) {
            return only.domain == address.domain && only.bus == address.bus &&
                   only.device == address.device;
        });
    }

    void select() {
        for (const Address& only : options_.only) {
            const bool is_lost = std::any_of(
                dump_.lost.begin(), dump_.lost.end(),
                [&](const LostFunction& one) { return one.address == only; });
            if (dump_.find(only) == nullptr && !is_lost) {
                problem(0, "no device {} in the dump", only.str());
            }
        }
        for (const LostFunction& one : dump_.lost) {
            if (is_wanted(one.address)) lose_at(one.line, one.address, one.why + ": left out");
        }
        for (const DumpFunction& function : dump_.functions) {
            if (!is_wanted(function.address)) continue;
            const auto pf = vfs_.find(&function);
            if (pf == vfs_.end()) {
                selected_.push_back(&function);
            } else if (!is_wanted(pf->second->address)) {
                lose(function, "a VF of {}, which makes its own: clone that one",
                     pf->second->address.str());
            }
        }
    }

    void leave_out_bad_ones() {
        std::erase_if(selected_, [this](const DumpFunction* one) {
            const std::string why = why_bad(*one);
            if (!why.empty()) lose(*one, "{}: left out", why);
            return !why.empty();
        });
    }

    static std::string why_bad(const DumpFunction& one) {
        const uint32_t ids = pci::image_u32(one.config, 0);
        const uint16_t vendor = pci::image_u16(one.config, 0);
        if (std::all_of(one.config.begin(), one.config.begin() + 64,
                        [](uint8_t value) { return value == 0xff; })) {
            return "its bytes are all ff: it was asleep, or gone";
        }
        if (ids == 0xffff'ffff && (byte(one, pci::regs::HEADER_TYPE) & 0x7f) == 0) {
            return "a virtual function, whose ids are in its physical function, and that one is "
                   "not in the dump with VFs enabled";
        }
        if (vendor == 0 || vendor == 0xffff) {
            return fmt::format("vendor id {:04x} in its bytes, which means no device", vendor);
        }
        const unsigned layout = byte(one, pci::regs::HEADER_TYPE) & 0x7f;
        if (layout > 2) return fmt::format("header type {:#04x}; expected 0 to 2", layout);
        if (layout == 2) return "a CardBus bridge";
        return "";
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
                lose(*one, "a bridge that says that buses {:02x} to {:02x} are below it: left out",
                     secondary, byte(*one, SECONDARY_BUS + 1));
                continue;
            }
            const auto [first, is_new] = above_.try_emplace({on.first, secondary}, one);
            if (!is_new) {
                lose(*one, "a bridge that says, as {} does, that bus {:02x} is below it: left out",
                     first->second->address.str(), secondary);
            }
        }
    }

    /// Whether the bus numbers of `bridge` are its own. Those below it have higher ones, so that
    /// following them ends.
    bool has_buses(const DumpFunction& bridge) const {
        const auto found = above_.find({bridge.address.domain, byte(bridge, SECONDARY_BUS)});
        return found != above_.end() && found->second == &bridge;
    }

    /// What is on the bus below `bridge`.
    const std::vector<const DumpFunction*>& bus_below(const DumpFunction& bridge) const {
        static const std::vector<const DumpFunction*> kNothing;
        const auto found = on_bus_.find({bridge.address.domain, byte(bridge, SECONDARY_BUS)});
        return found == on_bus_.end() || !has_buses(bridge) ? kNothing : found->second;
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
            } else if (!has_buses(*one)) {
                continue;  // told already
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
        if (depth > 255) return;
        for (const DumpFunction* const one : bus_below(bridge)) {
            is_bridge(*one) ? leave_out(*one, depth + 1)
                            : lose(*one, "below a bridge that is left out, so left out");
        }
    }

    /// What is on the link below `bridge`. `port`: what the port there shall look like.
    void place_below(const DumpFunction& bridge, const DumpFunction* port,
                     const std::optional<std::string>& below) {
        const std::vector<const DumpFunction*>& found = bus_below(bridge);
        if (found.empty()) return lose(bridge, "a port with nothing below it: left out");
        if (port != nullptr) port = usable(port);
        std::vector<const DumpFunction*> device;
        bool has_switch = false;
        for (const DumpFunction* const one : found) {
            if (is_bridge(*one) && !has_buses(*one)) continue;  // told already
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

    /// `port`, or nullptr if no port of Mimic's can look like it.
    const DumpFunction* usable(const DumpFunction* port) {
        const std::string misfit = misfit_of_port(*port);
        if (misfit.empty()) return port;
        lose(*port, "{}: a port of Mimic's in its place", misfit);
        return nullptr;
    }

    void place_switch(const DumpFunction& upstream, const DumpFunction* port,
                      const std::optional<std::string>& below) {
        ClonedSwitch made;
        made.name = fmt::format("sw{}", out_.switches.size());
        made.upstream = &upstream;
        made.has_config = usable(&upstream) != nullptr;
        made.port = port;
        made.below = below;
        const std::string name = made.name;
        out_.switches.push_back(std::move(made));
        for (const DumpFunction* const one : bus_below(upstream)) {
            if (port_type(*one) == kDownstreamPort && is_bridge(*one)) {
                if (has_buses(*one)) place_below(*one, one, name);
            } else {
                lose(*one, "no port, but inside a switch: left out");
            }
        }
    }

    // --- Devices -----------------------------------------------------------------------------

    void add_device(const std::vector<const DumpFunction*>& functions, const DumpFunction* port,
                    const std::optional<std::string>& below) {
        ClonedDevice made;
        made.port = port;
        made.below = below;
        for (const DumpFunction* const one : functions) {
            if (auto function = make_function(*one)) made.functions.push_back(std::move(*function));
        }
        if (made.functions.empty()) return;
        number_functions(made);
        const std::string word(word_for(class_of(*made.functions.front().source)));
        made.name = fmt::format("{}{}", word, counts_[word]++);
        out_.devices.push_back(std::move(made));
    }

    /// Nothing if no function can look so.
    std::optional<ClonedFunction> make_function(const DumpFunction& source) {
        ClonedFunction made;
        made.source = &source;
        made.number = source.address.function;
        made.config = source.config;
        const auto vf = first_vf_.find(&source);
        made.vf = vf == first_vf_.end() ? nullptr : vf->second;
        for (const std::string& one : make_bars(made)) lose(source, "{}", one);
        if (const std::string misfit = misfit_of(made); !misfit.empty()) {
            lose(source, "{}: left out", misfit);
            return std::nullopt;
        }
        return made;
    }

    /// The lowest function becomes function 0, and ARI's list goes on at the functions there are.
    void number_functions(ClonedDevice& device) {
        ClonedFunction& first = device.functions.front();
        if (first.number != 0) {
            lose(*first.source,
                 "function 0 of its device is not cloned: this is function 0 in its "
                 "place");
            first.number = 0;
        }
        for (size_t i = 0; i < device.functions.size(); ++i) {
            ClonedFunction& one = device.functions[i];
            const bool is_last = i + 1 == device.functions.size();
            const uint8_t next = is_last ? uint8_t{0} : device.functions[i + 1].number;
            const pci::ImageWalk walk = pci::walk_image(one.config);
            const auto* const ari = walk.find(pci::regs::EXT_CAP_ID_ARI, true);
            if (ari == nullptr || ari->size < pci::regs::ARI_SIZE) continue;
            uint8_t& is = one.config.at(ari->offset + pci::regs::ARI_CAPABILITY + 1);
            if (is == next) continue;
            lose(*one.source, "ARI: its next function is {}, not {}", next, is);
            is = next;
        }
    }

    void attach(ClonedDevice& device, bool has_bridges) {
        const bool has_vfs = std::any_of(device.functions.begin(), device.functions.end(),
                                         [](const auto& one) { return one.total_vfs != 0; });
        device.on_fabric = options_.attach == Attach::kFabric ||
                           (options_.attach == Attach::kAuto && (has_bridges || has_vfs));
        const DumpFunction& first = *device.functions.front().source;
        if (options_.attach == Attach::kRootPort && (device.port != nullptr || device.below)) {
            lose(first, "as an endpoint it is below a root port of QEMU's, not below its own port");
            device.port = nullptr;
            device.below.reset();
        }
        const auto has_no_addresses = [](const ClonedFunction& one) {
            const uint32_t kind = class_of(*one.source) >> 8;
            return kind == 0x0000 || kind == 0x0600;
        };
        const auto odd = std::find_if(device.functions.begin(), device.functions.end(),
                                      has_no_addresses);
        if (device.on_fabric && odd != device.functions.end()) {
            lose(*odd->source, "class {:04x} gets no addresses from Linux on a fabric: an endpoint",
                 class_of(*odd->source) >> 8);
            device.on_fabric = false;
            device.port = nullptr;
            device.below.reset();
        }
    }

    /// The picture of lspci -t decides nothing, but tells what one of the two lacks.
    void compare_tree() {
        if (dump_.tree.empty() || !problems_.empty()) return;
        for (const auto& [address, line] : dump_.tree) {
            const bool is_lost = std::any_of(
                dump_.lost.begin(), dump_.lost.end(),
                [at = address](const LostFunction& one) { return one.address == at; });
            if (dump_.find(address) != nullptr || is_lost) continue;
            lose_at(line, address,
                    fmt::format("in the tree on line {}, but the dump has no bytes of it", line));
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
    std::map<const DumpFunction*, const DumpFunction*> vfs_;       // their PFs
    std::vector<unsigned> loss_lines_;                             // of out_.losses
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

}  // namespace mimic::dump
