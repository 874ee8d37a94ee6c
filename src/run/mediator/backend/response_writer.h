// SPDX-License-Identifier: Apache-2.0
// ResponseWriter: a struct vgpu_response, its results and data, within the room that there is.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "compute/vgpu_protocol.h"

namespace mimic::mediator::backend {

/// Appends one response to a buffer. Results come before data. What is asked to fit beforehand
/// (fits()) does fit.
class ResponseWriter {
public:
    /// From the end of `buffer` on, at most `room` bytes, which is at least that of the header.
    ResponseWriter(std::vector<std::byte>& buffer, uint64_t room);

    /// Whether so many results and bytes of data fit into what is left.
    bool fits(uint32_t results, uint64_t data_bytes) const;

    void result(uint32_t value);
    void result64(uint64_t value) {
        result(static_cast<uint32_t>(value));
        result(static_cast<uint32_t>(value >> 32));
    }

    /// Makes room for data, zeroed. Once. Valid until the buffer grows.
    std::span<std::byte> data(uint64_t bytes);

    /// For the responses of a batch, which are the data of this one: where they begin. Once.
    void begin_data();
    /// A response in the data: its length comes before it. nullopt: no room for one. This writer
    /// waits until end_part().
    std::optional<ResponseWriter> begin_part();
    /// `part` is finished: its length is written, and it is padded to 8 bytes.
    void end_part(const ResponseWriter& part);

    /// Writes the header. Not OK: results and data are left out unless `with_data`.
    void finish(vgpu_error status, uint64_t took_ns, bool with_data);

private:
    std::vector<std::byte>& buffer_;
    const size_t start_;   // in the buffer
    const uint64_t room_;  // from there
    uint32_t results_ = 0;
    size_t data_ = 0;  // where it begins, from the start of the response; 0: none
};

}  // namespace mimic::mediator::backend
