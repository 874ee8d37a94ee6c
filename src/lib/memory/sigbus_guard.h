// SPDX-License-Identifier: Apache-2.0
// A peer owns the files behind its guest memory and may truncate them after we mapped them;
// touching such a page raises SIGBUS and would end the process with every other device in it. The
// guard puts anonymous zero pages there instead, and remembers where: who used the bytes asks
// afterwards whether they were really there. Mapping (mapping.h) registers what it maps.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "base/result.h"

namespace mimic {

/// A mapped range and what of it was lost. Made by guard_range().
class GuardedRange {
public:
    /// Whether some of [offset, offset + size) was replaced by zeros: what was read there is
    /// nobody's data, and what was written is gone. Without a lock; thread-safe, and right for
    /// accesses of this thread that came before.
    bool lost(size_t offset, size_t size) const {
        std::atomic_signal_fence(std::memory_order_seq_cst);  // the handler runs between two of
                                                              // ours
        return pieces_.load(std::memory_order_acquire) != 0 && lost_slowly(offset, size);
    }

private:
    friend class GuardedRanges;
    static constexpr uint32_t kPiecesAlone = 8;
    static constexpr uint32_t kAll = UINT32_MAX;

    bool lost_slowly(size_t offset, size_t size) const;

    uintptr_t base_ = 0;
    size_t size_ = 0;
    size_t unit_ = 0;
    std::atomic<uint32_t> pieces_{0};                     // of at_ in use, or kAll
    std::array<std::atomic<size_t>, kPiecesAlone> at_{};  // offsets of lost units
};

/// Installs the handler for this process; safe to call more than once. A SIGBUS that is not about a
/// missing page (BUS_ADRERR) of a guarded range keeps its default effect. Errors: those of
/// sigaction(2). Thread-safe.
Status install_sigbus_guard();

/// Adds and removes a mapped range, page aligned. Ranges are disjoint, as mappings are. `unit`: the
/// page size of what is mapped, a power of two, in bytes; `size` is a multiple of it. The caller
/// does not unmap the range before it is removed, which ends the result. Thread-safe.
const GuardedRange* guard_range(void* base, size_t size, size_t unit);
void unguard_range(void* base);

/// Ranges guarded now: mappings that this process holds of files, nearly all of them for peers.
/// Thread-safe.
size_t guarded_ranges();

/// Faults mended since the process started, a page each except where the whole range was replaced:
/// a range of which many pages are lost, and one for whose page no mapping was left. Thread-safe.
uint64_t sigbus_pages_replaced();

}  // namespace mimic
