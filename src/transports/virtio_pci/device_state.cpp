// SPDX-License-Identifier: Apache-2.0
#include "virtio_pci/device_state.h"

#include <algorithm>
#include <array>
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
const reg::MapView& state_at() {
    static constexpr reg::MapView kView = kStateMap<kStateSizes[kIndex]>.view();
    static_assert(kStateMap<kStateSizes[kIndex]>.valid());
    return kView;
}

template <size_t kIndex>
const reg::MapView& notify_at() {
    static constexpr reg::MapView kView = kNotifyMap<kStateSizes[kIndex]>.view();
    static_assert(kNotifyMap<kStateSizes[kIndex]>.valid());
    return kView;
}

/// The index of the map for that many queues.
size_t map_index(uint32_t queues) {
    const auto* const found = std::ranges::lower_bound(kStateSizes, queues);
    MIMIC_CHECK(found != kStateSizes.end());
    return static_cast<size_t>(found - kStateSizes.begin());
}

template <size_t... kIndexes>
const reg::MapView& state_of(size_t index, std::index_sequence<kIndexes...>) {
    constexpr std::array kViews = {&state_at<kIndexes>...};
    return kViews[index]();
}

template <size_t... kIndexes>
const reg::MapView& notify_of(size_t index, std::index_sequence<kIndexes...>) {
    constexpr std::array kViews = {&notify_at<kIndexes>...};
    return kViews[index]();
}

using Indexes = std::make_index_sequence<kStateSizes.size()>;

}  // namespace

const reg::MapView& state_view(uint32_t queues) {
    return state_of(map_index(queues), Indexes());
}

const reg::MapView& notify_view(uint32_t queues) {
    return notify_of(map_index(queues), Indexes());
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
