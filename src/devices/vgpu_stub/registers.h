// SPDX-License-Identifier: Apache-2.0
// Registers of vgpu-stub, BAR0. Those below 0x840 are the original vgpu-stub's, with its names; the
// rest is ours and announced in CAPABILITIES. tools/regdump makes README.md's table and
// kernel/vgpu-stub/vgpu_stub_regs.h from this file.
#pragma once

#include "compute/vgpu_protocol.h"
#include "reg/map.h"

namespace mimic::vgpu_stub {

using reg::Access;
using reg::kPerDevice;
using reg::Register;

inline constexpr uint64_t kBarSizeBytes = 4096;
inline constexpr unsigned kMsixBar = 1;  // of its own: BAR0 has no room for its table
inline constexpr uint64_t kMsixBarBytes = 4096;
inline constexpr uint32_t kMsixPbaOffset = 0x800;
inline constexpr uint32_t kRegisterVector = 0;  // a request of the registers or by DMA is done
inline constexpr uint32_t kRingVector = 1;      // there are completions
inline constexpr uint32_t kVectors = 2;

inline constexpr uint32_t kRequestOffset = 0x040;
inline constexpr uint32_t kResponseOffset = 0x440;
inline constexpr uint32_t kBufferWords = VGPU_BUFFER_SIZE / 4;
inline constexpr uint32_t kExtensionsOffset = 0x840;  // the original's reserved range begins here
inline constexpr uint32_t kMinRingSize = 2;
inline constexpr uint32_t kMaxRingSize = 256;

/// Values of STATUS, and of RING_STATUS.
enum class State : uint32_t { kIdle = 0, kBusy = 1, kDone = 2, kError = 3 };
enum class RingState : uint32_t { kOff = 0, kRunning = 1, kHalted = 2 };

/// Bits of CAPABILITIES, in the order of the public mediator.
inline constexpr uint32_t kCapBasic = 1U << 0;
inline constexpr uint32_t kCapInterrupt = 1U << 1;
inline constexpr uint32_t kCapDma = 1U << 2;
inline constexpr uint32_t kCapRing = 1U << 3;

/// Bits of INTERRUPT_CTRL and INTERRUPT_STATUS.
inline constexpr uint32_t kInterruptDone = 1U << 0;
inline constexpr uint32_t kInterruptRing = 1U << 1;

inline constexpr const char* kOriginal = "the original vgpu-stub, Change 2 and 3";
inline constexpr const char* kDma = "README, Requests in guest memory";
inline constexpr const char* kRing = "README, Ring";

inline constexpr Register DOORBELL{
    .name = "DOORBELL",
    .offset = 0x000,
    .doc =
        "Writing 1 sends REQUEST; other values do nothing, nor does any while STATUS is BUSY. "
        "Reads 0.",
    .spec = kOriginal,
    .hooks = reg::kWrite,
    .fields = {{"VALUE", 31, 0, Access::kWo, 0, "1 rings it."}}};

inline constexpr Register STATUS{
    .name = "STATUS",
    .offset = 0x004,
    .doc = "What became of the last doorbell.",
    .spec = kOriginal,
    .fields = {{"VALUE", 31, 0, Access::kRo, 0, "0 IDLE, 1 BUSY, 2 DONE, 3 ERROR."}}};

inline constexpr Register POOL_ID{
    .name = "POOL_ID",
    .offset = 0x008,
    .doc = "Pool of backends that serves the device.",
    .spec = kOriginal,
    .fields = {{"VALUE", 31, 0, Access::kRo, 0, "A letter in ASCII: 'A' is 0x41.", kPerDevice}}};

inline constexpr Register PRIORITY{
    .name = "PRIORITY",
    .offset = 0x00c,
    .doc = "Priority of its requests.",
    .spec = kOriginal,
    .fields = {{"VALUE", 31, 0, Access::kRo, 0, "0 low, 1 medium, 2 high.", kPerDevice}}};

inline constexpr Register VM_ID{
    .name = "VM_ID",
    .offset = 0x010,
    .doc = "Number by which the mediator knows the device.",
    .spec = kOriginal,
    .fields = {{"VALUE", 31, 0, Access::kRo, 0, "Number.", kPerDevice}}};

inline constexpr Register ERROR_CODE{
    .name = "ERROR_CODE",
    .offset = 0x014,
    .doc = "Why STATUS is ERROR; 0 from a doorbell on.",
    .spec = kOriginal,
    .fields = {{"VALUE", 31, 0, Access::kRo, 0, "enum vgpu_error."}}};

inline constexpr Register REQUEST_LEN{
    .name = "REQUEST_LEN",
    .offset = 0x018,
    .doc = "Bytes of REQUEST that a doorbell sends. A write of more than 1024 is ignored.",
    .spec = kOriginal,
    .hooks = reg::kWrite,
    .fields = {{"VALUE", 31, 0, Access::kRw, 0, "0 to 1024."}}};

inline constexpr Register RESPONSE_LEN{
    .name = "RESPONSE_LEN",
    .offset = 0x01c,
    .doc = "Bytes of the last answer: in RESPONSE, or by DMA in guest memory. 0 after an error.",
    .spec = kOriginal,
    .fields = {{"VALUE", 31, 0, Access::kRo, 0, "Bytes."}}};

inline constexpr Register PROTO_VERSION{
    .name = "PROTO_VERSION",
    .offset = 0x020,
    .doc = "Version of the protocol: 1.0.",
    .spec = kOriginal,
    .fields = {{"VALUE", 31, 0, Access::kRo, VGPU_PROTOCOL_VERSION, "Major in the upper half."}}};

inline constexpr Register CAPABILITIES{
    .name = "CAPABILITIES",
    .offset = 0x024,
    .doc =
        "What the device can do. The original's has BASIC alone, as ours with `extensions: false`.",
    .spec = kOriginal,
    .fields = {{"BASIC", 0, 0, Access::kRo, 1, "Requests and responses in the registers."},
               {"INTERRUPT", 1, 1, Access::kRo, 0, "Interrupts when they are done.", kPerDevice},
               {"DMA", 2, 2, Access::kRo, 0, "Requests in guest memory: 0x840.", kPerDevice},
               {"RING", 3, 3, Access::kRo, 0, "Many at once: 0x880.", kPerDevice}}};

inline constexpr Register INTERRUPT_CTRL{
    .name = "INTERRUPT_CTRL",
    .offset = 0x028,
    .doc = "Which interrupts are sent.",
    .spec = kOriginal,
    .hooks = reg::kWrite,
    .fields = {{"DONE", 0, 0, Access::kRw, 0, "STATUS became DONE or ERROR: vector 0."},
               {"RING", 1, 1, Access::kRw, 0,
                "New completions, or a halt: vector 1. With CAPABILITIES.RING."}}};

inline constexpr Register INTERRUPT_STATUS{
    .name = "INTERRUPT_STATUS",
    .offset = 0x02c,
    .doc =
        "What has happened, also with its interrupt off. The pin is asserted while one that is "
        "on is set.",
    .spec = kOriginal,
    .hooks = reg::kWrite,
    .fields = {{"DONE", 0, 0, Access::kW1c, 0, "STATUS became DONE or ERROR."},
               {"RING", 1, 1, Access::kW1c, 0, "New completions, or a halt."}}};

inline constexpr Register REQUEST_ID{.name = "REQUEST_ID",
                                     .offset = 0x030,
                                     .doc = "Goes with the request, for the driver's use.",
                                     .spec = kOriginal,
                                     .fields = {{"VALUE", 31, 0, Access::kRw, 0, "Any number."}}};

inline constexpr Register TIMESTAMP_LO{
    .name = "TIMESTAMP_LO",
    .offset = 0x034,
    .doc = "When STATUS last became DONE or ERROR, low half.",
    .spec = kOriginal,
    .fields = {{"VALUE", 31, 0, Access::kRo, 0, "Nanoseconds of the host's monotonic clock."}}};

inline constexpr Register TIMESTAMP_HI{
    .name = "TIMESTAMP_HI",
    .offset = 0x038,
    .doc = "The same, high half.",
    .spec = kOriginal,
    .fields = {{"VALUE", 31, 0, Access::kRo, 0, "Nanoseconds."}}};

inline constexpr Register SCRATCH{.name = "SCRATCH",
                                  .offset = 0x03c,
                                  .doc = "Holds what is written.",
                                  .spec = kOriginal,
                                  .fields = {{"VALUE", 31, 0, Access::kRw, 0, "Any number."}}};

inline constexpr Register REQUEST{
    .name = "REQUEST",
    .offset = kRequestOffset,
    .count = kBufferWords,
    .stride = 4,
    .doc = "1 KiB for a request: struct vgpu_request and what follows it.",
    .spec = kOriginal,
    .fields = {{"VALUE", 31, 0, Access::kRw, 0, "Four bytes in memory order."}}};

inline constexpr Register RESPONSE{
    .name = "RESPONSE",
    .offset = kResponseOffset,
    .count = kBufferWords,
    .stride = 4,
    .doc = "The answer, RESPONSE_LEN bytes: struct vgpu_response and what follows it.",
    .spec = kOriginal,
    .fields = {{"VALUE", 31, 0, Access::kRo, 0, "Four bytes in memory order."}}};

// --- Requests in guest memory ----------------------------------------------------------------

inline constexpr Register DMA_REQUEST_LO{
    .name = "DMA_REQUEST_LO",
    .offset = 0x840,
    .doc = "Bus address of a request.",
    .spec = kDma,
    .fields = {{"ADDRESS", 31, 0, Access::kRw, 0, "Low half."}}};

inline constexpr Register DMA_REQUEST_HI{
    .name = "DMA_REQUEST_HI",
    .offset = 0x844,
    .doc = "The same.",
    .spec = kDma,
    .fields = {{"ADDRESS", 31, 0, Access::kRw, 0, "High half."}}};

inline constexpr Register DMA_REQUEST_LEN{
    .name = "DMA_REQUEST_LEN",
    .offset = 0x848,
    .doc = "Its bytes. A write of more than 16 MiB is ignored.",
    .spec = kDma,
    .hooks = reg::kWrite,
    .fields = {{"VALUE", 31, 0, Access::kRw, 0, "0 to 16 MiB."}}};

inline constexpr Register DMA_RESPONSE_LO{
    .name = "DMA_RESPONSE_LO",
    .offset = 0x84c,
    .doc = "Bus address of the room for its answer.",
    .spec = kDma,
    .fields = {{"ADDRESS", 31, 0, Access::kRw, 0, "Low half."}}};

inline constexpr Register DMA_RESPONSE_HI{
    .name = "DMA_RESPONSE_HI",
    .offset = 0x850,
    .doc = "The same.",
    .spec = kDma,
    .fields = {{"ADDRESS", 31, 0, Access::kRw, 0, "High half."}}};

inline constexpr Register DMA_RESPONSE_SIZE{
    .name = "DMA_RESPONSE_SIZE",
    .offset = 0x854,
    .doc = "Bytes of that room. A write of more than 16 MiB is ignored.",
    .spec = kDma,
    .hooks = reg::kWrite,
    .fields = {{"VALUE", 31, 0, Access::kRw, 0, "0 to 16 MiB."}}};

inline constexpr Register DMA_DOORBELL{
    .name = "DMA_DOORBELL",
    .offset = 0x858,
    .doc = "As DOORBELL, of the request in guest memory. Reads 0.",
    .spec = kDma,
    .hooks = reg::kWrite,
    .fields = {{"VALUE", 31, 0, Access::kWo, 0, "1 rings it."}}};

// --- Ring ------------------------------------------------------------------------------------

inline constexpr Register RING_LO{
    .name = "RING_LO",
    .offset = 0x880,
    .doc = "Bus address of the ring's entries, 64 bytes each. Writes are ignored while it is on.",
    .spec = kRing,
    .hooks = reg::kWrite,
    .fields = {{"ADDRESS", 31, 6, Access::kRw, 0, "Low half; its low six bits are zero."}}};

inline constexpr Register RING_HI{.name = "RING_HI",
                                  .offset = 0x884,
                                  .doc = "The same.",
                                  .spec = kRing,
                                  .hooks = reg::kWrite,
                                  .fields = {{"ADDRESS", 31, 0, Access::kRw, 0, "High half."}}};

inline constexpr Register RING_SIZE{
    .name = "RING_SIZE",
    .offset = 0x888,
    .doc =
        "Entries, and completions. Other values than powers of two from 2 to 256 are ignored, "
        "and all are while the ring is on.",
    .spec = kRing,
    .hooks = reg::kWrite,
    .fields = {{"VALUE", 31, 0, Access::kRw, 0, "0 after a reset: the ring cannot be on."}}};

inline constexpr Register RING_CTRL{
    .name = "RING_CTRL",
    .offset = 0x88c,
    .doc = "Starts and stops the ring.",
    .spec = kRing,
    .hooks = reg::kWrite,
    .fields = {{"ENABLE", 0, 0, Access::kRw, 0,
                "Setting it zeroes the four indices; clearing it forgets what is in flight."}}};

inline constexpr Register RING_TAIL{
    .name = "RING_TAIL",
    .offset = 0x890,
    .doc = "Doorbell: entries that the driver has put there, counting on through the ring's end.",
    .spec = kRing,
    .hooks = reg::kWrite,
    .fields = {{"VALUE", 31, 0, Access::kRw, 0, "Index, modulo 2^32."}}};

inline constexpr Register RING_HEAD{
    .name = "RING_HEAD",
    .offset = 0x894,
    .doc = "Entries that the device has taken; their places may be used again.",
    .spec = kRing,
    .fields = {{"VALUE", 31, 0, Access::kRo, 0, "Index, modulo 2^32."}}};

inline constexpr Register COMPLETION_LO{
    .name = "COMPLETION_LO",
    .offset = 0x898,
    .doc =
        "Bus address of the completions, 32 bytes each. Writes are ignored while the ring is on.",
    .spec = kRing,
    .hooks = reg::kWrite,
    .fields = {{"ADDRESS", 31, 5, Access::kRw, 0, "Low half; its low five bits are zero."}}};

inline constexpr Register COMPLETION_HI{
    .name = "COMPLETION_HI",
    .offset = 0x89c,
    .doc = "The same.",
    .spec = kRing,
    .hooks = reg::kWrite,
    .fields = {{"ADDRESS", 31, 0, Access::kRw, 0, "High half."}}};

inline constexpr Register COMPLETION_TAIL{
    .name = "COMPLETION_TAIL",
    .offset = 0x8a0,
    .doc = "Completions that the device has written.",
    .spec = kRing,
    .fields = {{"VALUE", 31, 0, Access::kRo, 0, "Index, modulo 2^32."}}};

inline constexpr Register COMPLETION_HEAD{
    .name = "COMPLETION_HEAD",
    .offset = 0x8a4,
    .doc = "Completions that the driver has seen: the device takes no more entries than have room.",
    .spec = kRing,
    .hooks = reg::kWrite,
    .fields = {{"VALUE", 31, 0, Access::kRw, 0, "Index, modulo 2^32."}}};

inline constexpr Register RING_STATUS{
    .name = "RING_STATUS",
    .offset = 0x8a8,
    .doc = "Whether the ring runs.",
    .spec = kRing,
    .fields = {{"VALUE", 31, 0, Access::kRo, 0, "0 off, 1 running, 2 halted until it is off."}}};

inline constexpr Register RING_ERROR{
    .name = "RING_ERROR",
    .offset = 0x8ac,
    .doc =
        "Why it halted: 14 ring or completions are no memory, 1 an index out of range, 9 no size.",
    .spec = kRing,
    .fields = {{"VALUE", 31, 0, Access::kRo, 0, "enum vgpu_error."}}};

inline constexpr auto kMap = reg::make_map<
    DOORBELL, STATUS, POOL_ID, PRIORITY, VM_ID, ERROR_CODE, REQUEST_LEN, RESPONSE_LEN,
    PROTO_VERSION, CAPABILITIES, INTERRUPT_CTRL, INTERRUPT_STATUS, REQUEST_ID, TIMESTAMP_LO,
    TIMESTAMP_HI, SCRATCH, REQUEST, RESPONSE, DMA_REQUEST_LO, DMA_REQUEST_HI, DMA_REQUEST_LEN,
    DMA_RESPONSE_LO, DMA_RESPONSE_HI, DMA_RESPONSE_SIZE, DMA_DOORBELL, RING_LO, RING_HI, RING_SIZE,
    RING_CTRL, RING_TAIL, RING_HEAD, COMPLETION_LO, COMPLETION_HI, COMPLETION_TAIL, COMPLETION_HEAD,
    RING_STATUS, RING_ERROR>({.name = "vgpu_stub",
                              .doc = "Registers of vgpu-stub.",
                              .spec = "the original vgpu-stub, extended as README.md says",
                              .bar = 0,
                              .bar_size_bytes = kBarSizeBytes,
                              .narrow = reg::Narrow::kNaturalOnly,
                              .unmapped = reg::Unmapped::kZeros});
static_assert(kMap.valid());

}  // namespace mimic::vgpu_stub
