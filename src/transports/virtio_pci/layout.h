// SPDX-License-Identifier: Apache-2.0
// Where the structures of a virtio device lie in its BARs, and the capabilities that say so. Virtio
// 1.3, 4.1.4. The layout is ours: drivers find everything by the capabilities.
//
//   BAR0, 16 KiB    0x0000 common configuration   0x1000 ISR   0x2000 device configuration
//                   0x3000 notifications: 4 bytes a queue
//   BAR1, 4 KiB     0x000 MSI-X table             0x800 pending bits
#pragma once

#include <cstddef>
#include <cstdint>

namespace mimic::virtio_pci {

inline constexpr unsigned kBar = 0;
inline constexpr uint64_t kBarBytes = 16384;
inline constexpr uint32_t kCommonOffset = 0x0000;
inline constexpr uint32_t kCommonBytes = 64;  // to admin_queue_num
inline constexpr uint32_t kIsrOffset = 0x1000;
inline constexpr uint32_t kDeviceOffset = 0x2000;
inline constexpr uint32_t kMaxConfigBytes = 0x1000;
inline constexpr uint32_t kNotifyOffset = 0x3000;

/// Each queue has a notification address of its own: a kick says by its address which queue it is
/// for, whatever it writes.
inline constexpr uint32_t kNotifyMultiplier = 4;

inline constexpr unsigned kMsixBar = 1;
inline constexpr uint64_t kMsixBarBytes = 4096;
inline constexpr uint32_t kMsixPbaOffset = 0x800;
inline constexpr uint32_t kMaxVectors = kMsixPbaOffset / 16;
/// A vector each, and one for changes of the configuration.
inline constexpr uint32_t kMaxQueues = kMaxVectors - 1;
static_assert(kMaxQueues * kNotifyMultiplier <= kBarBytes - kNotifyOffset);

/// VIRTIO_MSI_NO_VECTOR.
inline constexpr uint16_t kNoVector = 0xffff;

/// cfg_type of struct virtio_pci_cap.
enum class Structure : uint8_t {
    kCommon = 1,
    kNotify = 2,
    kIsr = 3,
    kDevice = 4,
    kPciConfig = 5,
};

/// Offsets in struct virtio_pci_cap, and in struct virtio_pci_cfg_cap behind it.
inline constexpr uint32_t kCapBar = 4;
inline constexpr uint32_t kCapOffset = 8;
inline constexpr uint32_t kCapLength = 12;
inline constexpr uint32_t kCapData = 16;

/// Bits of the ISR status, 4.1.4.5.
inline constexpr uint8_t kIsrQueue = 1;
inline constexpr uint8_t kIsrConfig = 2;

}  // namespace mimic::virtio_pci
