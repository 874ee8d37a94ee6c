// SPDX-License-Identifier: Apache-2.0
#include "virtio_pci/device_state.h"

#include <utility>

namespace mimic::virtio_pci {
namespace {

/// Places in MapView::registers, which are those of the map's items.
enum Position : size_t {
    kFeatures,
    kSize,
    kVector,
    kFlags,
    kOutstanding,
    kNextAvailable,
    kNextUsed,
    kDesc,
    kDriver,
    kDevice,
};
constexpr uint64_t kEnabled = 1;
constexpr uint64_t kBroken = 2;

template <size_t kIndex>
const reg::MapView& view_at() {
    static constexpr reg::MapView kView = kStateMap<kStateSizes[kIndex]>.view();
    static_assert(kStateMap<kStateSizes[kIndex]>.valid());
    return kView;
}

template <size_t... kIndexes>
const reg::MapView& find_view(uint32_t queues, std::index_sequence<kIndexes...>) {
    const reg::MapView* found = nullptr;
    ((found == nullptr && queues <= kStateSizes[kIndexes] ? void(found = &view_at<kIndexes>())
                                                          : void()),
     ...);
    MIMIC_CHECK(found != nullptr);
    return *found;
}

}  // namespace

const reg::MapView& state_view(uint32_t queues) {
    return find_view(queues, std::make_index_sequence<kStateSizes.size()>());
}

DeviceState::DeviceState(const virtio::Device& device)
    : device_(device), bank_(state_view(device.queue_count()), device.name()) {}

void DeviceState::store_features() {
    store(kFeatures, 0, device_.driver_features());
}

void DeviceState::store_queue(uint16_t index, uint16_t size, uint16_t vector,
                              const virtio::QueueAddresses& addresses) {
    const virtio::Queue& queue = device_.queue(index);
    const bool enabled = device_.queue_enabled(index);
    store(kSize, index, size);
    store(kVector, index, vector);
    store(kFlags, index, (enabled ? kEnabled : 0) | (queue.broken() ? kBroken : 0));
    store(kOutstanding, index, enabled ? queue.outstanding() : 0);
    store(kNextAvailable, index, enabled ? queue.next_available() : 0);
    store(kNextUsed, index, enabled ? queue.next_used() : 0);
    store(kDesc, index, addresses.descriptors);
    store(kDriver, index, addresses.driver);
    store(kDevice, index, addresses.device);
}

uint64_t DeviceState::features() const {
    return load(kFeatures, 0);
}

QueueState DeviceState::queue(uint16_t index) const {
    const auto number = [&](Position position) {
        return static_cast<uint16_t>(load(position, index));
    };
    return {.size = number(kSize),
            .vector = number(kVector),
            .enabled = (load(kFlags, index) & kEnabled) != 0,
            .next_available = number(kNextAvailable),
            .next_used = number(kNextUsed),
            .addresses = {.descriptors = load(kDesc, index),
                          .driver = load(kDriver, index),
                          .device = load(kDevice, index)}};
}

}  // namespace mimic::virtio_pci
