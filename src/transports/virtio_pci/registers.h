// SPDX-License-Identifier: Apache-2.0
// Registers of a virtio device on PCI, as Virtio 1.3, 4.1.4.3 (common configuration) and 4.1.4.5
// (ISR status) have them; names are the specification's, in capitals. What depends on a select
// register is that of what is selected. The administration queue's fields are left out: without
// VIRTIO_F_ADMIN_VQ they are reserved.
#pragma once

#include "reg/map.h"
#include "virtio_pci/layout.h"

namespace mimic::virtio_pci {

using reg::Access;
using reg::kPerDevice;
using reg::kWrite;
using reg::Register;

inline constexpr const char* kCommonSpec = "Virtio 1.3, 4.1.4.3";

inline constexpr Register DEVICE_FEATURE_SELECT{
    .name = "DEVICE_FEATURE_SELECT",
    .offset = 0x00,
    .doc = "Which 32 feature bits DEVICE_FEATURE shows.",
    .spec = kCommonSpec,
    .hooks = kWrite,
    .fields = {{"VALUE", 31, 0, Access::kRw, 0, "0: bits 31..0, 1: bits 63..32."}}};

inline constexpr Register DEVICE_FEATURE{
    .name = "DEVICE_FEATURE",
    .offset = 0x04,
    .doc = "Features that the device offers.",
    .spec = kCommonSpec,
    .fields = {{"VALUE", 31, 0, Access::kRo, 0, "The bits selected; else zero."}}};

inline constexpr Register DRIVER_FEATURE_SELECT{
    .name = "DRIVER_FEATURE_SELECT",
    .offset = 0x08,
    .doc = "Which 32 feature bits DRIVER_FEATURE is.",
    .spec = kCommonSpec,
    .hooks = kWrite,
    .fields = {{"VALUE", 31, 0, Access::kRw, 0, "0: bits 31..0, 1: bits 63..32."}}};

inline constexpr Register DRIVER_FEATURE{
    .name = "DRIVER_FEATURE",
    .offset = 0x0c,
    .doc = "Features that the driver accepts.",
    .spec = kCommonSpec,
    .hooks = kWrite,
    .fields = {{"VALUE", 31, 0, Access::kRw, 0, "The bits selected."}}};

inline constexpr Register CONFIG_MSIX_VECTOR{
    .name = "CONFIG_MSIX_VECTOR",
    .offset = 0x10,
    .width = 16,
    .doc = "MSI-X vector of changes of the configuration.",
    .spec = kCommonSpec,
    .hooks = kWrite,
    .fields = {{"VALUE", 15, 0, Access::kRw, kNoVector, "0xffff: none."}}};

inline constexpr Register NUM_QUEUES{
    .name = "NUM_QUEUES",
    .offset = 0x12,
    .width = 16,
    .doc = "Virtqueues that the device has.",
    .spec = kCommonSpec,
    .fields = {{"VALUE", 15, 0, Access::kRo, 0, "How many.", kPerDevice}}};

inline constexpr Register DEVICE_STATUS{
    .name = "DEVICE_STATUS",
    .offset = 0x14,
    .width = 8,
    .doc = "Device status, 2.1. Writing 0 resets the device.",
    .spec = kCommonSpec,
    .hooks = reg::kRead | kWrite,
    .fields = {{"ACKNOWLEDGE", 0, 0, Access::kRw, 0, "The driver has seen the device."},
               {"DRIVER", 1, 1, Access::kRw, 0, "The driver knows how to drive it."},
               {"DRIVER_OK", 2, 2, Access::kRw, 0, "The driver is ready."},
               {"FEATURES_OK", 3, 3, Access::kRw, 0, "Features are agreed on."},
               {"DEVICE_NEEDS_RESET", 6, 6, Access::kRw, 0, "The device cannot go on."},
               {"FAILED", 7, 7, Access::kRw, 0, "The driver has given up."}}};

inline constexpr Register CONFIG_GENERATION{
    .name = "CONFIG_GENERATION",
    .offset = 0x15,
    .width = 8,
    .doc = "Changes with the device's configuration.",
    .spec = kCommonSpec,
    .hooks = reg::kRead,
    .fields = {{"VALUE", 7, 0, Access::kRo, 0, "Counts modulo 256."}}};

inline constexpr Register QUEUE_SELECT{
    .name = "QUEUE_SELECT",
    .offset = 0x16,
    .width = 16,
    .doc = "Which queue the registers below are of.",
    .spec = kCommonSpec,
    .hooks = kWrite,
    .fields = {{"VALUE", 15, 0, Access::kRw, 0, "Number of the queue, from 0."}}};

inline constexpr Register QUEUE_SIZE{
    .name = "QUEUE_SIZE",
    .offset = 0x18,
    .width = 16,
    .doc = "Entries of the queue.",
    .spec = kCommonSpec,
    .hooks = kWrite,
    .fields = {{"VALUE", 15, 0, Access::kRw, 0,
                "After a reset the most that there can be; 0: there is no such queue."}}};

inline constexpr Register QUEUE_MSIX_VECTOR{
    .name = "QUEUE_MSIX_VECTOR",
    .offset = 0x1a,
    .width = 16,
    .doc = "MSI-X vector of the queue.",
    .spec = kCommonSpec,
    .hooks = kWrite,
    .fields = {{"VALUE", 15, 0, Access::kRw, kNoVector, "0xffff: none."}}};

inline constexpr Register QUEUE_ENABLE{
    .name = "QUEUE_ENABLE",
    .offset = 0x1c,
    .width = 16,
    .doc = "Writing 1 starts the queue.",
    .spec = kCommonSpec,
    .hooks = reg::kRead | kWrite,
    .fields = {{"VALUE", 15, 0, Access::kRw, 0, "1: the queue is enabled."}}};

inline constexpr Register QUEUE_NOTIFY_OFF{
    .name = "QUEUE_NOTIFY_OFF",
    .offset = 0x1e,
    .width = 16,
    .doc = "Where the queue is notified, in units of notify_off_multiplier.",
    .spec = kCommonSpec,
    .fields = {{"VALUE", 15, 0, Access::kRo, 0, "Number of the queue."}}};

inline constexpr Register QUEUE_DESC{
    .name = "QUEUE_DESC",
    .offset = 0x20,
    .width = 64,
    .doc = "Address of the descriptor area.",
    .spec = kCommonSpec,
    .hooks = kWrite,
    .fields = {{"VALUE", 63, 0, Access::kRw, 0, "Guest-physical address."}}};

inline constexpr Register QUEUE_DRIVER{
    .name = "QUEUE_DRIVER",
    .offset = 0x28,
    .width = 64,
    .doc = "Address of the driver area.",
    .spec = kCommonSpec,
    .hooks = kWrite,
    .fields = {{"VALUE", 63, 0, Access::kRw, 0, "Guest-physical address."}}};

inline constexpr Register QUEUE_DEVICE{
    .name = "QUEUE_DEVICE",
    .offset = 0x30,
    .width = 64,
    .doc = "Address of the device area.",
    .spec = kCommonSpec,
    .hooks = kWrite,
    .fields = {{"VALUE", 63, 0, Access::kRw, 0, "Guest-physical address."}}};

inline constexpr Register QUEUE_NOTIF_CONFIG_DATA{
    .name = "QUEUE_NOTIF_CONFIG_DATA",
    .offset = 0x38,
    .width = 16,
    .doc = "Not offered (VIRTIO_F_NOTIF_CONFIG_DATA).",
    .spec = kCommonSpec,
    .fields = {{"VALUE", 15, 0, Access::kRo, 0, "Always 0."}}};

inline constexpr Register QUEUE_RESET{
    .name = "QUEUE_RESET",
    .offset = 0x3a,
    .width = 16,
    .doc = "Writing 1 resets the queue, with VIRTIO_F_RING_RESET.",
    .spec = kCommonSpec,
    .hooks = reg::kRead | kWrite,
    .fields = {{"VALUE", 15, 0, Access::kRw, 0, "Reads 0: it is done when the write is."}}};

/// 64-bit addresses come in two halves, in any order (4.1.3.1).
inline constexpr auto kCommonMap =
    reg::make_map<DEVICE_FEATURE_SELECT, DEVICE_FEATURE, DRIVER_FEATURE_SELECT, DRIVER_FEATURE,
                  CONFIG_MSIX_VECTOR, NUM_QUEUES, DEVICE_STATUS, CONFIG_GENERATION, QUEUE_SELECT,
                  QUEUE_SIZE, QUEUE_MSIX_VECTOR, QUEUE_ENABLE, QUEUE_NOTIFY_OFF, QUEUE_DESC,
                  QUEUE_DRIVER, QUEUE_DEVICE, QUEUE_NOTIF_CONFIG_DATA, QUEUE_RESET>(
        {.name = "virtio_pci",
         .doc = "Common configuration of a virtio device.",
         .spec = "Virtio 1.3, 4.1.4.3",
         .bar = kBar,
         .bar_size_bytes = kCommonBytes,
         .wide = reg::Wide::kHalves});
static_assert(kCommonMap.valid());

inline constexpr Register ISR_STATUS{
    .name = "ISR_STATUS",
    .offset = 0x00,
    .width = 8,
    .doc = "Why the pin is asserted; reading takes it back.",
    .spec = "Virtio 1.3, 4.1.4.5",
    .hooks = reg::kRead,
    .fields = {{"QUEUE", 0, 0, Access::kRc, 0, "A queue has used buffers."},
               {"CONFIG", 1, 1, Access::kRc, 0, "The configuration changed."}}};

inline constexpr auto kIsrMap = reg::make_map<ISR_STATUS>({.name = "virtio_isr",
                                                           .doc = "ISR status.",
                                                           .spec = "Virtio 1.3, 4.1.4.5",
                                                           .bar = kBar,
                                                           .bar_size_bytes = 4});
static_assert(kIsrMap.valid());

}  // namespace mimic::virtio_pci
