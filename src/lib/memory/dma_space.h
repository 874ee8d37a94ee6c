// SPDX-License-Identifier: Apache-2.0
// DmaSpace: memory as a PCI function reaches it by bus mastering. Implemented by transports (guest
// memory behind a vfio-user socket, a fabric's window on it) and by tests; used by device models.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>

#include "base/result.h"

namespace mimic::memory {

enum class DmaAccess : uint8_t { kRead = 1, kWrite = 2, kReadWrite = 3 };

/// Bus addresses (IOVA) to bytes. Thread-bound to the loop that owns the device.
///
/// Nothing here waits: a range that the process has mapped is served at once; any other is asked of
/// the peer by message, and `done` runs later on the loop. A device therefore answers the register
/// access first and continues in `done` (a peer that is waiting for a register read cannot serve a
/// DMA message: vfio-user facts, 2.5).
class DmaSpace {
public:
    using ReadDone = std::function<void(Result<std::span<const std::byte>>)>;
    using WriteDone = std::function<void(Status)>;

    virtual ~DmaSpace() = default;

    /// The bytes of [iova, iova + size) if one mapped region holds all of them and permits
    /// `access`; else nullopt. Valid until the caller returns to the event loop: the guest may
    /// remap its memory after that. The guest can change the bytes at any time, so copy once and
    /// validate the copy.
    virtual std::optional<std::span<std::byte>> span(uint64_t iova, uint64_t size,
                                                     DmaAccess access) = 0;

    /// Whether [iova, iova + size) of a span() was memory of the guest all the while. False once
    /// its owner has taken it away (truncated the file) and somebody has touched it since: a device
    /// asks after it has used a span, because what it read may be zeros and what it wrote may be
    /// lost. The transfer has failed then, as with read() and write(), which ask by themselves.
    virtual bool intact(uint64_t /*iova*/, uint64_t /*size*/) { return true; }

    /// Copies `size` bytes (1 .. 16 MiB) from `iova` and passes them to `done`: before returning
    /// when all of them are mapped, else later. Errors: EFAULT where no region holds a byte or one
    /// forbids reading, EINVAL for a size out of range, EIO when the peer refused, ECANCELED when
    /// the peer went away.
    virtual void read(uint64_t iova, uint64_t size, ReadDone done) = 0;

    /// Copies `data` (1 byte .. 16 MiB) to `iova`; `done` and errors as with read().
    virtual void write(uint64_t iova, std::span<const std::byte> data, WriteDone done) = 0;
};

}  // namespace mimic::memory
