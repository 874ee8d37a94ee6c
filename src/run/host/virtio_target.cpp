// SPDX-License-Identifier: Apache-2.0
#include "host/virtio_target.h"

#include <array>
#include <thread>
#include <utility>

#include "base/log.h"

namespace mimic::host {
namespace {

using pci::DescribedField;
using pci::DescribedRegister;
using pci::RegisterMap;

constexpr uint16_t kVendorId = 0x1af4;  // virtio 1.3, 4.1.2, as are the device ids
constexpr uint16_t kFirstDeviceId = 0x1040;
constexpr uint32_t kClassCode = 0x078000;  // of QEMU's generic vhost-user device

struct Bit {
    unsigned bit;
    const char* name;
};

// A register at the end of `map`.
void add(RegisterMap& map, const char* name, unsigned width, uint64_t value, const char* doc,
         std::initializer_list<Bit> bits = {}) {
    uint64_t offset = 0;
    if (!map.registers.empty())
        offset = map.registers.back().offset + map.registers.back().width / 8;
    DescribedRegister reg{name, offset, width, value, doc, {}};
    for (const Bit& one : bits)
        reg.fields.push_back({one.name, one.bit, one.bit, value >> one.bit & 1, ""});
    map.registers.push_back(std::move(reg));
}

RegisterMap common(const virtio::Device& device) {
    using namespace virtio;
    RegisterMap map{"virtio device", 0, {}};
    const std::initializer_list<Bit> features = {{kIndirectDesc, "INDIRECT_DESC"},
                                                 {kEventIndex, "EVENT_IDX"},
                                                 {kVersion1, "VERSION_1"},
                                                 {kRingPacked, "RING_PACKED"},
                                                 {kInOrder, "IN_ORDER"}};
    add(map, "DEVICE_FEATURES", 64, device.offered_features(), "What the device offers", features);
    add(map, "DRIVER_FEATURES", 64, device.driver_features(), "What the driver has accepted",
        features);
    add(map, "DEVICE_STATUS", 8, device.status(),
        "As the front-end has taken it: a vhost-user back-end hears of rings, not of status",
        {{0, "ACKNOWLEDGE"},
         {1, "DRIVER"},
         {2, "DRIVER_OK"},
         {3, "FEATURES_OK"},
         {6, "NEEDS_RESET"},
         {7, "FAILED"}});
    add(map, "CONFIG_GENERATION", 8, device.config_generation(), "Changes of the configuration");
    add(map, "NUM_QUEUES", 16, device.queue_count(), "Queues that the device has");
    return map;
}

RegisterMap queue_map(const virtio::Device& device, uint16_t index, uint64_t offset) {
    const virtio::Queue& queue = device.queue(index);
    RegisterMap map{fmt::format("queue {}", index), offset, {}};
    add(map, "QUEUE_SIZE", 16, device.max_queue_size(index), "Most entries");
    add(map, "QUEUE_ENABLE", 16, queue.is_running() ? 1 : 0, "The device uses it");
    add(map, "QUEUE_BROKEN", 16, queue.broken() ? 1 : 0, "The driver broke the rules");
    add(map, "NEXT_AVAILABLE", 16, queue.is_running() ? queue.next_available() : 0,
        "Where the next buffer is taken; of a packed ring with the wrap counter in bit 15");
    add(map, "NEXT_USED", 16, queue.is_running() ? queue.next_used() : 0,
        "Where the next one is returned");
    add(map, "OUTSTANDING", 16, queue.outstanding(), "Buffers taken and not yet returned");
    for (auto& reg : map.registers) reg.offset += offset;
    return map;
}

// Of a model without named registers. One that reads its configuration for us reads it without
// effect: virtio 1.3, 2.5 knows none.
RegisterMap config_map(virtio::Device& device, uint64_t offset) {
    RegisterMap map{"configuration", offset, {}};
    constexpr uint32_t kWord = 4;
    for (uint32_t at = 0; at < device.options().config_size; at += kWord) {
        std::array<uint8_t, kWord> bytes{};
        device.config_read(at, bytes);
        uint32_t value = 0;
        for (uint32_t i = 0; i < kWord; ++i) value |= uint32_t{bytes[i]} << (8 * i);
        map.registers.push_back({fmt::format("CONFIG_{:02X}", at), offset + at, 32, value, "", {}});
    }
    return map;
}

}  // namespace

void hang_loop(const std::string& name, Duration time) {
    MIMIC_LOG("control", kWarn, "{}: the loop stops for {} ms, as an injected fault asks", name,
              time / std::chrono::milliseconds(1));
    std::this_thread::sleep_for(time);
}

std::unique_ptr<pci::FunctionFaults> VirtioTarget::make_faults(virtio::Device& device,
                                                               TaskRunner& runner,
                                                               std::function<void()> crash) {
    pci::FunctionFaults::Hooks hooks;
    hooks.never = [](const pci::Fault& fault) -> std::string {
        if (fault.kind == pci::FaultKind::kHostHang || fault.kind == pci::FaultKind::kHostCrash ||
            fault.kind == pci::FaultKind::kClear)
            return "";
        return "a vhost-user device is no PCI function here: that is the VMM's";
    };
    hooks.hang = [name = device.name()](Duration time) { hang_loop(name, time); };
    if (device.has_backend()) hooks.backend_changed = [&device] { device.backend_changed(); };
    hooks.crash = std::move(crash);
    hooks.no_slot =
        "the slot of a vhost-user device is the VMM's: device_del and device_add of its "
        "monitor";
    return std::make_unique<pci::FunctionFaults>(std::move(hooks), runner);
}

control::TargetInfo VirtioTarget::info() const {
    const virtio::Device& device = *source_.device;
    control::TargetInfo info;
    info.name = name();
    info.kind = "vhost-user";
    info.connected = source_.server->connected();
    info.numa_node = source_.place.numa_node;
    info.bdf = source_.place.bdf;
    info.vendor_id = kVendorId;
    info.device_id = static_cast<uint16_t>(kFirstDeviceId + device.options().virtio_id);
    info.class_code = kClassCode;
    info.bus_master = device.is_live();
    const pci::FunctionFaults& faults = *source_.faults;
    info.faults = {faults.standing(pci::FaultState::kArmed),
                   faults.standing(pci::FaultState::kActive), faults.strikes()};
    virtio::Queue::Counters sum;
    for (uint16_t i = 0; i < device.queue_count(); ++i) {
        const virtio::Queue::Counters& one = device.queue(i).counters();
        sum.popped += one.popped;
        sum.pushed += one.pushed;
        sum.kicks += one.kicks;
    }
    const vhost_user::Counters& session = source_.server->counters();
    info.counters = {{"interrupts", session.interrupts},
                     {"errors", session.errors},
                     {"virtio_kicks", sum.kicks},
                     {"virtio_buffers_taken", sum.popped},
                     {"virtio_buffers_returned", sum.pushed},
                     {"session_connections", session.connections},
                     {"session_messages", session.messages},
                     {"session_interrupts", session.interrupts},
                     {"session_errors", session.errors},
                     {"session_protocol_faults", session.protocol_faults}};
    for (const virtio::Counter& one : device.counters())
        info.counters.emplace_back(one.name, one.value);
    return info;
}

std::vector<RegisterMap> VirtioTarget::state() {
    virtio::Device& device = *source_.device;
    constexpr uint64_t kQueuesAt = 0x40;  // offsets are ours: there are none to be compatible with
    constexpr uint64_t kQueueBytes = 0x10;
    constexpr uint64_t kConfigAt = 0x1000;
    std::vector<RegisterMap> maps{common(device)};
    for (uint16_t i = 0; i < device.queue_count(); ++i)
        maps.push_back(queue_map(device, i, kQueuesAt + i * kQueueBytes));
    const auto blocks = device.register_blocks();
    for (const virtio::RegisterBlock& block : blocks)
        maps.push_back(pci::bank_map(block.name, kConfigAt, *block.registers));
    if (blocks.empty() && device.options().config_size != 0)
        maps.push_back(config_map(device, kConfigAt));
    return maps;
}

}  // namespace mimic::host
