// SPDX-License-Identifier: Apache-2.0
// The vfio-user wire format (QEMU docs/interop/vfio-user.rst): numbers and packed structures, no
// behaviour. UNIX stream socket, host byte order. Every message starts with a Header; replies copy
// its id and command.
//
//   0        2         4          8        12       16
//   | id u16 | cmd u16 | size u32 | flags  | errno  | payload ...      size counts the header
#pragma once

#include <cstdint>

namespace mimic::vfio_user {

inline constexpr uint16_t kMajor = 0;
inline constexpr uint16_t kMinor = 2;  // what libvfio-user speaks; the reply carries min(ours,
                                       // client's)

enum class Command : uint16_t {
    kVersion = 1,
    kDmaMap = 2,
    kDmaUnmap = 3,
    kDeviceGetInfo = 4,
    kDeviceGetRegionInfo = 5,
    kDeviceGetRegionIoFds = 6,
    kDeviceGetIrqInfo = 7,
    kDeviceSetIrqs = 8,
    kRegionRead = 9,
    kRegionWrite = 10,
    kDmaRead = 11,   // server to client
    kDmaWrite = 12,  // server to client
    kDeviceReset = 13,
    kDirtyPages = 14,  // of older drafts
    kRegionWriteMulti = 15,
    kDeviceFeature = 16,
    kMigDataRead = 17,
    kMigDataWrite = 18,
};

inline constexpr uint32_t kFlagTypeMask = 0xf;
inline constexpr uint32_t kFlagTypeCommand = 0;
inline constexpr uint32_t kFlagTypeReply = 1;
inline constexpr uint32_t kFlagNoReply = 0x10;
inline constexpr uint32_t kFlagError = 0x20;

struct Header {
    uint16_t id;
    uint16_t command;
    uint32_t size;
    uint32_t flags;
    uint32_t error;
};
static_assert(sizeof(Header) == 16);

struct VersionBody {  // followed by NUL-terminated JSON
    uint16_t major;
    uint16_t minor;
};
static_assert(sizeof(VersionBody) == 4);

inline constexpr uint32_t kDmaRead = 1, kDmaWrite = 2;  // DMA_MAP flags
// libvfio-user 2026 adds how a mapping's descriptor is to be used; mapping it is right for both.
inline constexpr uint32_t kDmaMmap = 4, kDmaFileIo = 8;

struct DmaMapBody {
    uint32_t argsz;
    uint32_t flags;
    uint64_t fd_offset;
    uint64_t iova;
    uint64_t size;
};
static_assert(sizeof(DmaMapBody) == 32);

inline constexpr uint32_t kUnmapGetDirtyBitmap = 1, kUnmapAll = 2;

struct DmaUnmapBody {
    uint32_t argsz;
    uint32_t flags;
    uint64_t iova;
    uint64_t size;
};
static_assert(sizeof(DmaUnmapBody) == 24);

inline constexpr uint32_t kDeviceFlagReset = 1, kDeviceFlagPci = 2;

struct DeviceInfoBody {
    uint32_t argsz;
    uint32_t flags;
    uint32_t num_regions;
    uint32_t num_irqs;
};
static_assert(sizeof(DeviceInfoBody) == 16);

inline constexpr uint32_t kRegionRom = 6, kRegionConfig = 7, kRegionVga = 8, kRegionCount = 9;
inline constexpr uint32_t kRegionFlagRead = 1, kRegionFlagWrite = 2, kRegionFlagMmap = 4,
                          kRegionFlagCaps = 8;

struct RegionInfoBody {
    uint32_t argsz;
    uint32_t flags;
    uint32_t index;
    uint32_t cap_offset;  // from the start of this structure
    uint64_t size;
    uint64_t offset;  // where the region starts in the descriptor that rides on the reply
};
static_assert(sizeof(RegionInfoBody) == 32);

inline constexpr uint16_t kRegionCapSparseMmap = 1;

struct SparseMmapCap {  // followed by nr_areas of SparseMmapArea
    uint16_t id;
    uint16_t version;
    uint32_t next;
    uint32_t nr_areas;
    uint32_t reserved;
};
static_assert(sizeof(SparseMmapCap) == 16);

struct SparseMmapArea {
    uint64_t offset;
    uint64_t size;
};
static_assert(sizeof(SparseMmapArea) == 16);

struct RegionIoFdsBody {
    uint32_t argsz;
    uint32_t flags;
    uint32_t index;
    uint32_t count;
};
static_assert(sizeof(RegionIoFdsBody) == 16);

enum IrqIndex : uint32_t { kIrqIntx, kIrqMsi, kIrqMsix, kIrqErr, kIrqReq, kIrqCount };
inline constexpr uint32_t kIrqFlagEventfd = 1, kIrqFlagMaskable = 2, kIrqFlagAutomasked = 4;

struct IrqInfoBody {
    uint32_t argsz;
    uint32_t flags;
    uint32_t index;
    uint32_t count;
};
static_assert(sizeof(IrqInfoBody) == 16);

inline constexpr uint32_t kIrqDataNone = 1, kIrqDataBool = 2, kIrqDataEventfd = 4, kIrqDataMask = 7;
inline constexpr uint32_t kIrqActionMask = 8, kIrqActionUnmask = 0x10, kIrqActionTrigger = 0x20,
                          kIrqActionsMask = 0x38;

struct SetIrqsBody {
    uint32_t argsz;
    uint32_t flags;
    uint32_t index;
    uint32_t start;
    uint32_t count;
};
static_assert(sizeof(SetIrqsBody) == 20);

struct RegionAccessBody {  // followed by `count` bytes in a write request and a read reply
    uint64_t offset;
    uint32_t region;
    uint32_t count;
};
static_assert(sizeof(RegionAccessBody) == 16);

struct DmaAccessBody {  // followed by `count` bytes in a DMA_WRITE request and a DMA_READ reply
    uint64_t address;
    uint64_t count;
};
static_assert(sizeof(DmaAccessBody) == 16);

struct WriteMultiEntry {
    uint64_t offset;
    uint32_t region;
    uint32_t count;  // 1..8
    uint8_t data[8];
};
static_assert(sizeof(WriteMultiEntry) == 24);

inline constexpr uint32_t kFeatureGet = 1u << 16, kFeatureSet = 1u << 17, kFeatureProbe = 1u << 18,
                          kFeatureIndexMask = 0xffff;

struct DeviceFeatureBody {
    uint32_t argsz;
    uint32_t flags;
};
static_assert(sizeof(DeviceFeatureBody) == 8);

// --- Limits of ours --------------------------------------------------------------------------

/// Advertised in VERSION. QEMU rejects max_msg_fds over 16.
inline constexpr uint32_t kMaxMsgFds = 16;
inline constexpr uint32_t kMaxDataXferSize = 1u << 20;
inline constexpr uint32_t kPageSize = 4096;

/// Largest number of DMA regions one client may have; the protocol's default for max_dma_maps.
inline constexpr uint32_t kMaxDmaMaps = 65535;

/// Descriptors taken from one message: cloud-hypervisor sends batches of 16 whatever was
/// advertised, so there is room for more than that.
inline constexpr uint32_t kMaxReceivedFds = 64;

/// Longest message accepted: a transfer of kMaxDataXferSize with the largest fixed part before it.
inline constexpr uint32_t kMaxMessageSize = kMaxDataXferSize + 64;

/// Largest max_msg_fds that a client may claim. libvfio-user's limit; the kernel passes 253.
inline constexpr uint32_t kMaxClientFds = 1024;

/// Longest VERSION accepted, before the peer has shown that it speaks the protocol. Arbitrary.
inline constexpr uint32_t kMaxVersionSize = 16384;

}  // namespace mimic::vfio_user
