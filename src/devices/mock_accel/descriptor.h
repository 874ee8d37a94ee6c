// SPDX-License-Identifier: Apache-2.0
// The two formats that the DMA engine shares with its driver, and what makes a descriptor valid.
// README.md, "DMA engine". Little endian, as every host that this project runs on.
//
//   descriptor, 32 bytes                        completion, 16 bytes
//   +0  opcode  flags  reserved  length         +0  cookie
//   +8  source                                  +8  bytes  status  phase
//   +16 destination
//   +24 cookie
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>

namespace mimic::mock_accel {

static_assert(std::endian::native == std::endian::little);

inline constexpr uint8_t kOpcodeNop = 0;
inline constexpr uint8_t kOpcodeCopy = 1;
inline constexpr uint8_t kOpcodeFill = 2;

inline constexpr uint8_t kFlagInterrupt = 1;
inline constexpr uint8_t kFlagSourceLocal = 2;       // `source` is an offset in device memory
inline constexpr uint8_t kFlagDestinationLocal = 4;  // so is `destination`
inline constexpr uint8_t kKnownFlags = 7;

/// Largest `length`, in bytes. What one DmaSpace::read() may take, too.
inline constexpr uint32_t kMaxTransferBytes = 16U << 20;

struct Descriptor {
    uint8_t opcode = 0;
    uint8_t flags = 0;
    uint16_t reserved = 0;
    uint32_t length = 0;       // bytes
    uint64_t source = 0;       // of FILL: eight bytes, repeated from the first
    uint64_t destination = 0;  // bus address or offset, as `source`
    uint64_t cookie = 0;       // comes back in the completion
};
static_assert(sizeof(Descriptor) == 32);

/// Status of a completion, and LAST_ERROR of RING_STATUS.
enum class Code : uint8_t {
    kOk = 0,
    kBadOpcode = 1,
    kBadFlags = 2,  // a reserved flag or field is set, or LOCAL without device memory
    kBadLength = 3,
    kReadFault = 4,   // a byte of the source is not reachable
    kWriteFault = 5,  // a byte of the destination is not
    kOutOfRange = 6,  // beyond the end of device memory
    kAborted = 7,     // the slot was lost in between
};

struct Completion {
    uint64_t cookie = 0;
    uint32_t bytes = 0;   // moved; of a failed descriptor at least these
    uint16_t status = 0;  // Code
    uint16_t phase = 0;   // bit 0; toggles with each round of the ring, first 1
};
static_assert(sizeof(Completion) == 16);

/// Whether a device with `memory_bytes` of device memory starts `descriptor`: kOk, or the code that
/// it completes with. Addresses on the bus are checked by using them, but for those that wrap.
Code check_descriptor(const Descriptor& descriptor, uint64_t memory_bytes);

/// Stores `from` to memory that the driver polls, each phase after everything else of its
/// completion. `to` has exactly their size.
void store_completions(std::span<std::byte> to, std::span<const Completion> from);

/// Fills `to` with the bytes of `pattern`, again and again, beginning with its first byte.
void fill_pattern(std::span<std::byte> to, uint64_t pattern);

}  // namespace mimic::mock_accel
