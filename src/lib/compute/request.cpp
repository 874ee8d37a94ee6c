// SPDX-License-Identifier: Apache-2.0
#include "compute/request.h"

#include "base/check.h"
#include "compute/codec.h"

namespace mimic::compute {
namespace {

uint32_t word_count(const vgpu_request& header) {
    return header.param_count;
}
uint32_t word_count(const vgpu_response& header) {
    return header.result_count;
}

/// Words behind a header of `Header`, and data behind those. False: they are not within `bytes`.
template <typename Header>
bool split(std::span<const std::byte> bytes, const Header& header, Words& words,
           std::span<const std::byte>& data) {
    const uint32_t count = word_count(header);
    if (header.version != VGPU_PROTOCOL_VERSION || count > VGPU_MAX_PARAMS) return false;
    const size_t words_end = sizeof header + size_t{count} * sizeof(uint32_t);
    if (words_end > bytes.size()) return false;
    words = Words(bytes.subspan(sizeof header, words_end - sizeof header));
    if (header.data_length == 0) return true;
    if (header.data_offset < words_end ||
        !wire::lies_within(header.data_offset, header.data_length, bytes.size()))
        return false;
    data = bytes.subspan(header.data_offset, header.data_length);
    return true;
}

template <typename Header>
std::vector<std::byte> join(Header header, std::span<const uint32_t> words,
                            std::span<const std::byte> data) {
    MIMIC_CHECK(words.size() <= VGPU_MAX_PARAMS && data.size() <= VGPU_MAX_MESSAGE);
    const size_t words_end = sizeof header + words.size_bytes();
    const size_t data_at = (words_end + 7) / 8 * 8;
    if (!data.empty()) {
        header.data_offset = static_cast<uint32_t>(data_at);
        header.data_length = static_cast<uint32_t>(data.size());
    }
    std::vector<std::byte> bytes(data.empty() ? words_end : data_at + data.size());
    std::memcpy(bytes.data(), &header, sizeof header);
    if (!words.empty()) std::memcpy(bytes.data() + sizeof header, words.data(), words.size_bytes());
    if (!data.empty()) std::memcpy(bytes.data() + data_at, data.data(), data.size());
    return bytes;
}

}  // namespace

std::optional<RequestView> view_request(std::span<const std::byte> bytes) {
    RequestView view;
    if (bytes.size() < sizeof view.header) return std::nullopt;
    std::memcpy(&view.header, bytes.data(), sizeof view.header);
    if (!split(bytes, view.header, view.params, view.data)) return std::nullopt;
    return view;
}

std::optional<ResponseView> view_response(std::span<const std::byte> bytes) {
    ResponseView view;
    if (bytes.size() < sizeof view.header) return std::nullopt;
    std::memcpy(&view.header, bytes.data(), sizeof view.header);
    if (!split(bytes, view.header, view.results, view.data)) return std::nullopt;
    return view;
}

std::vector<std::byte> make_request(uint32_t opcode, std::span<const uint32_t> params,
                                    std::span<const std::byte> data) {
    vgpu_request header{};
    header.version = VGPU_PROTOCOL_VERSION;
    header.opcode = opcode;
    header.param_count = static_cast<uint32_t>(params.size());
    return join(header, params, data);
}

std::vector<std::byte> make_response(uint32_t status, std::span<const uint32_t> results,
                                     std::span<const std::byte> data, uint32_t exec_time_us) {
    vgpu_response header{};
    header.version = VGPU_PROTOCOL_VERSION;
    header.status = status;
    header.result_count = static_cast<uint32_t>(results.size());
    header.exec_time_us = exec_time_us;
    return join(header, results, data);
}

bool is_nop(std::span<const std::byte> request) {
    vgpu_request header;
    if (request.size() < sizeof header) return false;
    std::memcpy(&header, request.data(), sizeof header);
    return header.opcode == VGPU_OP_NOP && header.version == VGPU_PROTOCOL_VERSION &&
           header.param_count == 0 && header.data_length == 0;
}

std::span<const std::byte> nop_response() {
    static constexpr vgpu_response kResponse{.version = VGPU_PROTOCOL_VERSION,
                                             .status = VGPU_OK,
                                             .result_count = 0,
                                             .data_offset = 0,
                                             .data_length = 0,
                                             .exec_time_us = 0,
                                             .reserved = {}};
    return wire::bytes_of(kResponse);
}

}  // namespace mimic::compute
