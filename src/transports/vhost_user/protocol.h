// SPDX-License-Identifier: Apache-2.0
// The vhost-user protocol as its specification (QEMU's docs/interop/vhost-user.rst) has it: frames,
// requests, features, bodies. Little endian on the hosts that Mimic runs on.
#pragma once

#include <cstddef>
#include <cstdint>

namespace mimic::vhost_user {

/// Requests of a front-end, with the numbers of the specification. Those that are missing belong to
/// features that are not offered.
enum class Request : uint32_t {
    kGetFeatures = 1,
    kSetFeatures = 2,
    kSetOwner = 3,
    kResetOwner = 4,
    kSetMemTable = 5,
    kSetVringNum = 8,
    kSetVringAddr = 9,
    kSetVringBase = 10,
    kGetVringBase = 11,
    kSetVringKick = 12,
    kSetVringCall = 13,
    kSetVringErr = 14,
    kGetProtocolFeatures = 15,
    kSetProtocolFeatures = 16,
    kGetQueueNum = 17,
    kSetVringEnable = 18,
    kSetBackendReqFd = 21,
    kGetConfig = 24,
    kSetConfig = 25,
    kResetDevice = 34,
    kGetMaxMemSlots = 36,
    kAddMemReg = 37,
    kRemMemReg = 38,
    kSetStatus = 39,
    kGetStatus = 40,
};

/// What a back-end says by itself, on the socket of SET_BACKEND_REQ_FD.
enum class BackendRequest : uint32_t { kConfigChange = 2 };

/// Bits of protocol features.
enum ProtocolFeature : unsigned {
    kProtocolMq = 0,
    kProtocolReplyAck = 3,
    kProtocolBackendReq = 5,
    kProtocolConfig = 9,
    kProtocolResetDevice = 13,
    kProtocolConfigureMemSlots = 15,
    kProtocolStatus = 16,
};
constexpr uint64_t protocol(unsigned bit) {
    return uint64_t{1} << bit;
}

/// VHOST_USER_F_PROTOCOL_FEATURES: a bit of the device features that no virtio device has.
inline constexpr unsigned kProtocolFeaturesBit = 30;

/// What is in front of each message.
struct Header {
    uint32_t request;
    uint32_t flags;
    uint32_t size;  // of what follows
};
static_assert(sizeof(Header) == 12);

inline constexpr uint32_t kVersion = 1;                // bits 0 and 1 of the flags
inline constexpr uint32_t kVersionMask = 3;            //
inline constexpr uint32_t kFlagReply = 4;              // from the back-end
inline constexpr uint32_t kFlagNeedReply = 8;          // with REPLY_ACK: say whether it worked
inline constexpr uint64_t kVringIndexMask = 0xff;      // of the u64 of KICK, CALL and ERR
inline constexpr uint64_t kVringNoDescriptor = 0x100;  // in the same

/// SET_VRING_NUM, SET_VRING_BASE, GET_VRING_BASE, SET_VRING_ENABLE.
struct VringState {
    uint32_t index;
    uint32_t value;
};
static_assert(sizeof(VringState) == 8);

/// SET_VRING_ADDR. Addresses are the front-end's own (MemoryRegion::user_address).
struct VringAddress {
    uint32_t index;
    uint32_t flags;
    uint64_t descriptors;
    uint64_t used;
    uint64_t available;
    uint64_t log;
};
static_assert(sizeof(VringAddress) == 40);

/// One region of SET_MEM_TABLE, ADD_MEM_REG, REM_MEM_REG.
struct MemoryRegion {
    uint64_t guest_address;
    uint64_t size;
    uint64_t user_address;  // where the front-end has it: what its ring addresses refer to
    uint64_t mmap_offset;   // in the file
};
static_assert(sizeof(MemoryRegion) == 32);

/// SET_MEM_TABLE begins with this; `count` regions follow, a descriptor for each.
struct MemoryTable {
    uint32_t count;
    uint32_t padding;
};

/// ADD_MEM_REG and REM_MEM_REG.
struct SingleRegion {
    uint64_t padding;
    MemoryRegion region;
};
static_assert(sizeof(SingleRegion) == 40);

/// GET_CONFIG and SET_CONFIG begin with this; `size` bytes follow.
struct ConfigHead {
    uint32_t offset;
    uint32_t size;
    uint32_t flags;
};
static_assert(sizeof(ConfigHead) == 12);

inline constexpr uint32_t kMaxConfigSize = 256;  // VHOST_USER_MAX_CONFIG_SIZE of the specification
inline constexpr size_t kMaxTableRegions = 8;    // of SET_MEM_TABLE; as many as descriptors
inline constexpr size_t kMaxMemorySlots = 512;   // of ADD_MEM_REG; QEMU asks for no more
inline constexpr size_t kMaxMessageFds = 8;

/// Longest body of a message that is accepted. The longest that a front-end has use for is
/// GET_CONFIG's 268 bytes.
inline constexpr uint32_t kMaxBody = 512;

}  // namespace mimic::vhost_user
