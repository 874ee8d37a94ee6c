// SPDX-License-Identifier: Apache-2.0
#include "devices/mock_accel/descriptor.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cstring>

#include "base/check.h"

namespace mimic::mock_accel {
namespace {

bool wraps(uint64_t address, uint64_t length) {
    return address + (length - 1) < address;
}

// One end of a transfer, which `flag` says is local: kOk, a fault for a bus address that wraps, or
// kOutOfRange for an offset.
Code check_end(const Descriptor& descriptor, uint8_t flag, uint64_t memory_bytes) {
    const bool is_source = flag == kFlagSourceLocal;
    const uint64_t address = is_source ? descriptor.source : descriptor.destination;
    const uint64_t length = descriptor.length;
    if ((descriptor.flags & flag) == 0) {
        if (!wraps(address, length)) return Code::kOk;
        return is_source ? Code::kReadFault : Code::kWriteFault;
    }
    const bool inside = address <= memory_bytes && length <= memory_bytes - address;
    return inside ? Code::kOk : Code::kOutOfRange;
}

}  // namespace

Code check_descriptor(const Descriptor& descriptor, uint64_t memory_bytes) {
    if (descriptor.opcode > kOpcodeFill) return Code::kBadOpcode;
    constexpr uint8_t kLocal = kFlagSourceLocal | kFlagDestinationLocal;
    if ((descriptor.flags & ~kKnownFlags) != 0 || descriptor.reserved != 0 ||
        ((descriptor.flags & kLocal) != 0 && memory_bytes == 0)) {
        return Code::kBadFlags;
    }
    if (descriptor.opcode == kOpcodeNop) {
        return descriptor.length == 0 ? Code::kOk : Code::kBadLength;
    }
    if (descriptor.length == 0 || descriptor.length > kMaxTransferBytes) return Code::kBadLength;
    if (descriptor.opcode == kOpcodeCopy) {
        const Code code = check_end(descriptor, kFlagSourceLocal, memory_bytes);
        if (code != Code::kOk) return code;
    }
    return check_end(descriptor, kFlagDestinationLocal, memory_bytes);
}

void store_completions(std::span<std::byte> to, std::span<const Completion> from) {
    MIMIC_CHECK(to.size() == from.size_bytes());
    constexpr size_t kHalf = sizeof(uint64_t);
    // A client may map its memory so that an aligned bus address is no aligned pointer here.
    const bool aligned = reinterpret_cast<uintptr_t>(to.data()) % kHalf == 0;
    std::byte* next = to.data();
    for (const Completion& completion : from) {
        const auto* bytes = reinterpret_cast<const std::byte*>(&completion);
        if (aligned) {
            uint64_t upper = 0;
            std::memcpy(&upper, bytes + kHalf, kHalf);
            std::memcpy(next, bytes, kHalf);
            std::atomic_ref<uint64_t>(*reinterpret_cast<uint64_t*>(next + kHalf))
                .store(upper, std::memory_order_release);
        } else {
            constexpr size_t kPhaseAt = offsetof(Completion, phase);
            std::memcpy(next, bytes, kPhaseAt);
            std::atomic_thread_fence(std::memory_order_release);
            std::memcpy(next + kPhaseAt, bytes + kPhaseAt, sizeof completion.phase);
        }
        next += sizeof completion;
    }
}

void fill_pattern(std::span<std::byte> to, uint64_t pattern) {
    std::array<uint64_t, 64> block;
    constexpr size_t kBlock = sizeof block;
    std::fill_n(block.begin(), std::min<size_t>(block.size(), to.size() / sizeof pattern + 1),
                pattern);
    while (!to.empty()) {
        const size_t size = std::min(to.size(), kBlock);
        std::memcpy(to.data(), block.data(), size);
        to = to.subspan(size);
    }
}

}  // namespace mimic::mock_accel
