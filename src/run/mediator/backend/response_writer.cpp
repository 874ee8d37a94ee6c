// SPDX-License-Identifier: Apache-2.0
#include "mediator/backend/response_writer.h"

#include <algorithm>
#include <cstring>
#include <limits>

#include "base/check.h"

namespace mimic::mediator::backend {
namespace {

constexpr size_t align8(size_t bytes) {
    return (bytes + 7) & ~size_t{7};
}

}  // namespace

ResponseWriter::ResponseWriter(std::vector<std::byte>& buffer, uint64_t room)
    : buffer_(buffer), start_(buffer.size()), room_(room) {
    MIMIC_CHECK(room >= sizeof(vgpu_response));
    buffer_.resize(start_ + sizeof(vgpu_response));
}

bool ResponseWriter::fits(uint32_t results, uint64_t data_bytes) const {
    const uint64_t before = align8(sizeof(vgpu_response) + results * sizeof(uint32_t));
    const uint64_t least = data_bytes == 0 ? sizeof(vgpu_response) + results * sizeof(uint32_t)
                                           : before;
    return least <= room_ && data_bytes <= room_ - least;
}

void ResponseWriter::result(uint32_t value) {
    const size_t at = buffer_.size();
    buffer_.resize(at + sizeof value);
    std::memcpy(buffer_.data() + at, &value, sizeof value);
    ++results_;
}

void ResponseWriter::begin_data() {
    const size_t length = align8(buffer_.size() - start_);
    buffer_.resize(start_ + length);
    data_ = length;
}

std::optional<ResponseWriter> ResponseWriter::begin_part() {
    // Data begin at a multiple of 8, so that whole words of what is left hold length, response and
    // padding.
    const uint64_t left = (room_ - (buffer_.size() - start_)) / 8 * 8;
    if (left < sizeof(uint32_t) + sizeof(vgpu_response)) return std::nullopt;
    buffer_.resize(buffer_.size() + sizeof(uint32_t));
    return ResponseWriter(buffer_, left - sizeof(uint32_t));
}

void ResponseWriter::end_part(const ResponseWriter& part) {
    const auto length = static_cast<uint32_t>(buffer_.size() - part.start_);
    std::memcpy(buffer_.data() + part.start_ - sizeof length, &length, sizeof length);
    buffer_.resize(start_ + align8(buffer_.size() - start_));
}

std::span<std::byte> ResponseWriter::data(uint64_t bytes) {
    if (bytes == 0) return {};
    begin_data();
    buffer_.resize(start_ + data_ + bytes);
    return {buffer_.data() + start_ + data_, static_cast<size_t>(bytes)};
}

void ResponseWriter::finish(vgpu_error status, uint64_t took_ns, bool with_data) {
    if (status != VGPU_OK && !with_data) {
        buffer_.resize(start_ + sizeof(vgpu_response));
        results_ = 0;
        data_ = 0;
    }
    vgpu_response header{};
    header.version = VGPU_PROTOCOL_VERSION;
    header.status = status;
    header.result_count = results_;
    if (data_ != 0 && buffer_.size() > start_ + data_) {
        header.data_offset = static_cast<uint32_t>(data_);
        header.data_length = static_cast<uint32_t>(buffer_.size() - start_ - data_);
    }
    header.exec_time_us = static_cast<uint32_t>(
        std::min<uint64_t>(took_ns / 1000, std::numeric_limits<uint32_t>::max()));
    std::memcpy(buffer_.data() + start_, &header, sizeof header);
}

}  // namespace mimic::mediator::backend
