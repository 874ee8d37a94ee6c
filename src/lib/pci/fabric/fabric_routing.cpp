// SPDX-License-Identifier: Apache-2.0
// From addresses to functions: configuration by bus and function number, memory by windows and
// BARs, and messages on their way up. PCIe 6.0, 7.3.3, 2.2.4.1, 7.5.1.3.
#include <algorithm>
#include <array>
#include <cstring>

#include "pci/config/pci_regs.h"
#include "pci/fabric/fabric.h"
#include "pci/fabric/fabric_attachment.h"
#include "pci/function/sriov.h"

namespace mimic::pci {
namespace {

constexpr uint32_t kConfigSize = 4096;
constexpr uint64_t kInterruptAddress = 0xfee;  // bits 31:20 of an x86 interrupt message

void fill_ones(std::span<uint8_t> data) {
    std::fill(data.begin(), data.end(), uint8_t{0xff});
}

}  // namespace

// --- Configuration ---------------------------------------------------------------------------

Function* Fabric::find_on(Segment& segment, uint32_t bus, uint8_t devfn) {
    const bool on_secondary = bus == segment.number();
    // Below a link there is device 0 only, unless the port forwards to all of an ARI device.
    if (segment.is_link && on_secondary && devfn >= 8 && !segment.bridge->ari_forwarding()) {
        return nullptr;
    }
    if (on_secondary) {
        for (const auto& node : segment.nodes) {
            if (node->devfn == devfn) return node->function.get();
        }
    }
    const uint32_t wanted = (bus << 8) | devfn;
    for (const auto& node : segment.nodes) {
        Sriov* const sriov = node->function->sriov();
        const uint32_t pf = (segment.number() << 8) | node->devfn;
        if (sriov == nullptr || wanted <= pf) continue;
        if (Function* const vf = sriov->vf_at(wanted - pf)) return vf;
    }
    return nullptr;
}

Function* Fabric::find_config(uint32_t bus, uint8_t devfn) {
    Segment* segment = &root_;
    while (bus != segment->number()) {
        Segment* next = nullptr;
        for (const auto& node : segment->nodes) {
            if (node->below && node->bridge()->forwards_bus(bus)) {
                next = node->below.get();
                break;
            }
        }
        if (next == nullptr) break;  // a VF of a device here, on a bus of its own, or nobody
        if (!next->is_open()) return nullptr;
        segment = next;
    }
    return find_on(*segment, bus, devfn);
}

Function* Fabric::config_target(uint64_t offset) {
    const uint64_t bus = offset >> 20;
    Function* const function = bus < buses_ ? find_config(static_cast<uint32_t>(bus),
                                                          static_cast<uint8_t>(offset >> 12))
                                            : nullptr;
    if (function == nullptr) ++counters_.unsupported;
    return function;
}

void Fabric::config_read(uint64_t offset, std::span<uint8_t> data) {
    ++counters_.config_reads;
    Function* const function = config_target(offset);
    if (function == nullptr) return fill_ones(data);
    const auto at = static_cast<uint32_t>(offset % kConfigSize);
    const size_t inside = std::min<size_t>(data.size(), kConfigSize - at);
    fill_ones(data.subspan(inside));
    function->config_read(at, data.first(inside));
}

void Fabric::config_write(uint64_t offset, std::span<const uint8_t> data) {
    ++counters_.config_writes;
    Function* const function = config_target(offset);
    if (function == nullptr) return;
    const auto at = static_cast<uint32_t>(offset % kConfigSize);
    const size_t inside = std::min<size_t>(data.size(), kConfigSize - at);
    function->config_write(at, data.first(inside));
}

// --- Memory ----------------------------------------------------------------------------------

Fabric::Target Fabric::find_memory(uint64_t address) {
    Segment* segment = &root_;
    while (segment != nullptr) {
        Segment* next = nullptr;
        for (const auto& node : segment->nodes) {
            if (node->below) {
                if (!node->bridge()->forwards_memory(address)) continue;
                next = node->below.get();
                break;
            }
            Function& function = *node->function;
            for (unsigned bar = 0; bar < kBarCount; ++bar) {
                if (!function.bar_accessible(bar)) continue;
                if (function.bars()[bar].type == BarType::kIo) continue;
                const uint64_t start = function.bar_address(bar);
                const uint64_t size = function.bars()[bar].size;
                if (address >= start && address - start < size) {
                    return {&function, bar, start, size};
                }
            }
            if (Sriov* const sriov = function.sriov()) {
                if (const auto hit = sriov->decode(address)) {
                    return {hit->vf, hit->bar, hit->start, hit->size};
                }
            }
        }
        if (next != nullptr && !next->is_open()) return {};
        segment = next;
    }
    return {};
}

const Fabric::Target* Fabric::target_of(uint64_t address, size_t size) {
    if (last_routing_ != routing_ || address - last_.start >= last_.size) {
        last_ = find_memory(address);
        last_routing_ = routing_;
        if (last_.function == nullptr) return nullptr;  // its size is 0: it is looked for again
    }
    // An access that runs out of the BAR is nobody's as a whole.
    return size <= last_.size - (address - last_.start) ? &last_ : nullptr;
}

void Fabric::memory_read(uint64_t address, std::span<uint8_t> data) {
    ++counters_.memory_reads;
    const Target* const target = target_of(address, data.size());
    if (target == nullptr) {
        ++counters_.unsupported;
        return fill_ones(data);
    }
    target->function->read_bar(target->bar, address - target->start, data);
}

void Fabric::memory_write(uint64_t address, std::span<const uint8_t> data) {
    ++counters_.memory_writes;
    const Target* const target = target_of(address, data.size());
    if (target == nullptr) {
        ++counters_.unsupported;
        return;
    }
    target->function->write_bar(target->bar, address - target->start, data);
}

// --- Upwards ---------------------------------------------------------------------------------

bool Fabric::path_is_open(const Segment& from) const {
    for (const Segment* segment = &from; segment->bridge != nullptr; segment = segment->parent) {
        if (!segment->is_open() || !segment->bridge->bus_master_enabled()) return false;
    }
    return true;
}

void Fabric::send_message(const Attachment& from, const MsiMessage& message) {
    if (host_ == nullptr || !path_is_open(from.segment())) {
        ++counters_.dropped_messages;
        return;
    }
    if (message.address >> 20 == kInterruptAddress) {
        // The guest's vmd driver puts the index of one of the host's vectors where an x86 message
        // has its destination.
        const auto vector = static_cast<uint32_t>(message.address >> 12) & 0xff;
        if (vector >= host_->vectors()) {
            ++counters_.dropped_messages;
            return;
        }
        ++counters_.messages;
        host_->interrupt(vector);
        return;
    }
    // A message to anywhere else is a memory write like any other.
    memory::DmaSpace* const space = host_->fabric_dma();
    if (space == nullptr || host_->is_window(message.address)) {
        ++counters_.dropped_messages;
        return;
    }
    ++counters_.messages;
    std::array<std::byte, 4> data{};
    std::memcpy(data.data(), &message.data, data.size());
    space->write(message.address, data, [](Status) {});
}

bool Fabric::send_error(const Attachment& from, ErrorMessage message) {
    const uint16_t source = from.routing_id();
    if (from.function().options().header == HeaderType::kBridge) {
        auto& bridge = static_cast<Port&>(from.function());
        if (bridge.type() == PciePortType::kRootPort) {
            ++counters_.errors;
            return bridge.receive_error(message, source);
        }
    }
    for (const Segment* segment = &from.segment(); segment->bridge != nullptr;
         segment = segment->parent) {
        Port& bridge = *segment->bridge;
        if (!segment->has_link() || !bridge.forward_error(message)) return false;
        if (bridge.type() != PciePortType::kRootPort) continue;
        ++counters_.errors;
        return bridge.receive_error(message, source);
    }
    return false;
}

ErrorPath Fabric::error_path(const Attachment& from) const {
    const Port* root = from.function().options().header == HeaderType::kBridge
                           ? static_cast<const Port*>(&from.function())
                           : nullptr;
    bool open = host_ != nullptr;
    for (const Segment* segment = &from.segment(); segment->bridge != nullptr;
         segment = segment->parent) {
        open = open && segment->has_link();
        root = segment->bridge;
    }
    if (root == nullptr || !root->reports_errors()) return ErrorPath::kNone;
    return open ? ErrorPath::kOpen : ErrorPath::kClosed;
}

}  // namespace mimic::pci
