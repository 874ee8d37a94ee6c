// SPDX-License-Identifier: Apache-2.0
// The bytes between a vGPU device and its mediator. Four forms, told apart by socket and by first
// bytes:
//   packet  of the original vGPU, on a socket per VM: Packet, then `length` bytes. Answered by
//   PacketAnswer, then `length` bytes
//           (struct vgpu_response and its results). One in flight.
//   v1, v2  of the public mediator: HeaderV1 (20 bytes) or HeaderV2 (24) and a payload, on one
//   socket for all VMs. v3      Mimic's: begins as v2 with type kHello, then Frames: many in
//   flight, many in a write, data in shared memory.
// All little endian and packed; a host is little endian (checked at build).
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>

namespace mimic::compute::wire {

static_assert(std::endian::native == std::endian::little, "structures are sent as they are");

/// The original vGPU, change 5.
struct Packet {
    uint32_t vm_id;
    uint32_t request_id;
    uint32_t length;   // of the data that follows; 1 .. 1024
    char pool_id;      // 'A', 'B', ...
    uint8_t priority;  // 0 low, 1 medium, 2 high
    uint8_t reserved[2];
};
static_assert(sizeof(Packet) == 16);

struct PacketAnswer {
    uint32_t vm_id;
    uint32_t request_id;
    uint32_t length;
};
static_assert(sizeof(PacketAnswer) == 12);

inline constexpr uint32_t kMagic = 0x56475055;  // on the wire "UPGV"

/// msg_type of v1 and v2. 1 .. 6 and 0x10 .. 0x12 are the public mediator's.
enum class Type : uint32_t {
    kRequest = 1,
    kResponse = 2,
    kPing = 3,
    kPong = 4,
    kBusy = 5,         // no payload: rate or queue depth; the connection ends
    kQuarantined = 6,  // no payload; the connection ends
    kHello = 0x40,     // Mimic's: payload Hello. From its answer on, both sides send Frames
};

#pragma pack(push, 1)
/// Until 2026-02. A server tells v1 from v2 by the first message of a connection: a v2 header has 0
/// where v1 has payload_length, and only a PING may have none; a lone PING of 20 bytes that nothing
/// follows within 50 ms is v1.
struct HeaderV1 {
    uint32_t magic;
    uint32_t type;
    uint32_t vm_id;
    uint32_t request_id;
    char pool_id;
    uint8_t priority;
    uint16_t payload_length;
};
struct HeaderV2 {
    uint32_t magic;
    uint32_t type;
    uint32_t vm_id;
    uint32_t request_id;
    char pool_id;
    uint8_t priority;
    uint16_t pad;
    uint32_t payload_length;
};
#pragma pack(pop)
static_assert(sizeof(HeaderV1) == 20 && sizeof(HeaderV2) == 24);

/// Payload limit of v1, v2 and the packet.
inline constexpr uint32_t kMaxLegacyPayload = 1024;

inline constexpr uint32_t kVersion3 = 3;

/// Hello.capabilities, of both sides; the answer has those that both have.
inline constexpr uint32_t kCapBatch = 1u << 0;         // many in flight
inline constexpr uint32_t kCapSharedMemory = 1u << 1;  // the answer brings a sealed memfd
                                                       // (SCM_RIGHTS)
inline constexpr uint32_t kCapResume = 1u << 2;  // requests that were not answered may be sent
                                                 // again

/// Payload of kHello and of its answer (a HeaderV2 of type kHello, then this).
struct Hello {
    uint32_t version;  // highest that the sender knows; in the answer: the one to use
    uint32_t capabilities;
    uint32_t status;         // answer: enum vgpu_error; not VGPU_OK: the connection ends
    uint32_t max_in_flight;  // answer: most requests without an answer
    uint64_t session;  // 0: a new one. Else that of an earlier answer: the client is back, memory
                       // and results of that session are kept for it. In the answer: the session's
                       // name (random, never 0)
    uint32_t max_payload;   // inline bytes of a frame
    uint32_t shared_bytes;  // client: wanted; answer: size of the memfd, 0: none
    uint32_t reserved[2];
};
static_assert(sizeof(Hello) == 40);

enum class FrameType : uint16_t {
    kRequest = 1,
    kResponse = 2,
    kPing = 3,
    kPong = 4,
    kAcknowledge = 5,  // client: request_id and all before it were seen answered; results kept for
                       // a resume may go
    kCancel = 6,       // client: this one's answer is of no use any more (it comes all the same)
    kForget = 7,       // client: its guest was reset. All before it is cancelled; memory, modules
                       // and kept results of the session are freed before what follows is done
};

/// A flag of a frame: [data_offset, +data_length) of the shared memory follows the inline bytes.
inline constexpr uint16_t kFlagShared = 1u << 0;
/// A request: it was sent before on an earlier connection of this session; carry it out at most
/// once.
inline constexpr uint16_t kFlagAgain = 1u << 1;
/// A request: its answer may be put into [room_offset, +room_length) of the shared memory. One that
/// is longer than kInlineAnswer is (whole: kFlagShared, data_offset = room_offset, no inline
/// bytes), unless the flag is missing: then it is inline.
inline constexpr uint16_t kFlagRoom = 1u << 2;
inline constexpr uint32_t kInlineAnswer = 4096;

/// v3. Followed by `length` bytes.
struct Frame {
    uint32_t magic;  // kMagic
    uint16_t type;   // FrameType
    uint16_t flags;
    uint32_t length;
    uint32_t status;      // response: enum vgpu_error; not VGPU_OK: no bytes
    uint64_t request_id;  // of the client's choice, grows within a session
    uint32_t data_offset;
    uint32_t data_length;
    uint32_t room_offset;  // request with kFlagRoom
    uint32_t room_length;  // request: most bytes that the answer may have (status INVALID_LENGTH
                           // else), with and without kFlagRoom
};
static_assert(sizeof(Frame) == 40);

}  // namespace mimic::compute::wire
