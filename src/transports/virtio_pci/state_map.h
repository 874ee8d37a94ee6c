// SPDX-License-Identifier: Apache-2.0
// The state of a virtio device on PCI as registers for tools: what a driver agreed on, and where
// each queue stands. No guest can reach them, for what the specification has shows one queue at a
// time. `mimic regs` prints them, and a saved state goes on from them.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>

#include "reg/map.h"
#include "virtio_pci/layout.h"

namespace mimic::virtio_pci {

inline constexpr const char* kStateSpec = "README, State";

inline constexpr reg::Register DRIVER_FEATURES{
    .name = "DRIVER_FEATURES",
    .offset = 0x00,
    .width = 64,
    .doc = "Features that the driver accepted.",
    .spec = kStateSpec,
    .fields = {{"VALUE", 63, 0, reg::Access::kRo, 0, "All 64 bits."}}};

// Of a block, so their offsets are those in it.
inline constexpr reg::Register STATE_SIZE{
    .name = "SIZE",
    .offset = 0x00,
    .width = 16,
    .doc = "QUEUE_SIZE.",
    .spec = kStateSpec,
    .fields = {{"VALUE", 15, 0, reg::Access::kRo, 0, "Entries."}}};
inline constexpr reg::Register STATE_VECTOR{
    .name = "VECTOR",
    .offset = 0x02,
    .width = 16,
    .doc = "QUEUE_MSIX_VECTOR.",
    .spec = kStateSpec,
    .fields = {{"VALUE", 15, 0, reg::Access::kRo, 0, "0xffff: none."}}};
inline constexpr reg::Register STATE_FLAGS{
    .name = "FLAGS",
    .offset = 0x04,
    .width = 16,
    .doc = "What the queue is doing.",
    .spec = kStateSpec,
    .fields = {{"ENABLED", 0, 0, reg::Access::kRo, 0, "QUEUE_ENABLE."},
               {"BROKEN", 1, 1, reg::Access::kRo, 0, "The driver broke the rules."}}};
inline constexpr reg::Register STATE_OUTSTANDING{
    .name = "OUTSTANDING",
    .offset = 0x06,
    .width = 16,
    .doc = "Buffers that the device has.",
    .spec = kStateSpec,
    .fields = {{"VALUE", 15, 0, reg::Access::kRo, 0, "How many."}}};
inline constexpr reg::Register STATE_NEXT_AVAILABLE{
    .name = "NEXT_AVAILABLE",
    .offset = 0x08,
    .width = 16,
    .doc = "Which available buffer is next.",
    .spec = kStateSpec,
    .fields = {{"VALUE", 15, 0, reg::Access::kRo, 0,
                "Index; of a packed ring, bit 15 is the wrap counter."}}};
inline constexpr reg::Register STATE_NEXT_USED{
    .name = "NEXT_USED",
    .offset = 0x0a,
    .width = 16,
    .doc = "Where the next used buffer goes.",
    .spec = kStateSpec,
    .fields = {{"VALUE", 15, 0, reg::Access::kRo, 0, "As NEXT_AVAILABLE."}}};
inline constexpr reg::Register STATE_DESC{
    .name = "DESC",
    .offset = 0x10,
    .width = 64,
    .doc = "QUEUE_DESC.",
    .spec = kStateSpec,
    .fields = {{"VALUE", 63, 0, reg::Access::kRo, 0, "Guest-physical address."}}};
inline constexpr reg::Register STATE_DRIVER{
    .name = "DRIVER",
    .offset = 0x18,
    .width = 64,
    .doc = "QUEUE_DRIVER.",
    .spec = kStateSpec,
    .fields = {{"VALUE", 63, 0, reg::Access::kRo, 0, "Guest-physical address."}}};
inline constexpr reg::Register STATE_DEVICE{
    .name = "DEVICE",
    .offset = 0x20,
    .width = 64,
    .doc = "QUEUE_DEVICE.",
    .spec = kStateSpec,
    .fields = {{"VALUE", 63, 0, reg::Access::kRo, 0, "Guest-physical address."}}};

template <uint32_t kQueues>
inline constexpr reg::Block kQueueBlock{
    .name = "QUEUE",
    .offsets = {0x40},
    .count = kQueues,
    .stride = kQueues > 1 ? 0x40 : 0,
    .doc = "One queue.",
    .spec = kStateSpec,
    .registers = {&STATE_SIZE, &STATE_VECTOR, &STATE_FLAGS, &STATE_OUTSTANDING,
                  &STATE_NEXT_AVAILABLE, &STATE_NEXT_USED, &STATE_DESC, &STATE_DRIVER,
                  &STATE_DEVICE}};

template <uint32_t kQueues>
inline constexpr auto kStateMap = reg::make_map<DRIVER_FEATURES, kQueueBlock<kQueues>>(
    {.name = "virtio_state",
     .doc = "State of a virtio device, for tools.",
     .spec = kStateSpec,
     .bar = kBar,
     .bar_size_bytes = 0x2000});

/// The notification addresses, for their names: no value is stored there.
template <uint32_t kQueues>
inline constexpr reg::Register kQueueNotify{
    .name = "QUEUE_NOTIFY",
    .offset = 0x00,
    .width = 16,
    .count = kQueues,
    .stride = kQueues > 1 ? kNotifyMultiplier : 0,
    .doc = "A write kicks the queue.",
    .spec = "Virtio 1.3, 4.1.4.4",
    .fields = {{"INDEX", 15, 0, reg::Access::kWo, 0, "Of the queue, as its place says, too."}}};

template <uint32_t kQueues>
inline constexpr auto kNotifyMap =
    reg::make_map<kQueueNotify<kQueues>>({.name = "virtio_notify",
                                          .doc = "Notification addresses.",
                                          .spec = "Virtio 1.3, 4.1.4.4",
                                          .bar = kBar,
                                          .bar_size_bytes = 0x200});

/// Numbers of queues for which there is a map, each with its index in the list of views.
inline constexpr std::array<uint32_t, 8> kStateSizes = {1, 2, 4, 8, 16, 32, 64, kMaxQueues};

/// The smallest maps with room for `queues` (at most kMaxQueues).
const reg::MapView& state_view(uint32_t queues);
const reg::MapView& notify_view(uint32_t queues);

}  // namespace mimic::virtio_pci
