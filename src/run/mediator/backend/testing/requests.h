// SPDX-License-Identifier: Apache-2.0
// Requests as a guest makes them, and responses as it reads them. For tests and benches; needs no
// test framework.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <span>
#include <string_view>
#include <vector>

#include "compute/vgpu_protocol.h"

namespace mimic::mediator::backend::testing {

using Bytes = std::vector<std::byte>;

template <typename T>
Bytes bytes_of(std::span<const T> values) {
    Bytes bytes(values.size_bytes());
    if (!bytes.empty()) std::memcpy(bytes.data(), values.data(), bytes.size());
    return bytes;
}

inline Bytes request(uint32_t opcode, std::vector<uint32_t> parameters = {}, Bytes data = {}) {
    vgpu_request header{};
    header.version = VGPU_PROTOCOL_VERSION;
    header.opcode = opcode;
    header.param_count = static_cast<uint32_t>(parameters.size());
    const size_t end = sizeof header + parameters.size() * sizeof(uint32_t);
    header.data_offset = data.empty() ? 0 : static_cast<uint32_t>(end);
    header.data_length = static_cast<uint32_t>(data.size());
    Bytes bytes(end + data.size());
    std::memcpy(bytes.data(), &header, sizeof header);
    if (!parameters.empty()) {
        std::memcpy(bytes.data() + sizeof header, parameters.data(), end - sizeof header);
    }
    if (!data.empty()) std::memcpy(bytes.data() + end, data.data(), data.size());
    return bytes;
}

/// Each value as two parameters, low word first.
inline std::vector<uint32_t> words(std::initializer_list<uint64_t> values) {
    std::vector<uint32_t> all;
    for (const uint64_t value : values) {
        all.push_back(static_cast<uint32_t>(value));
        all.push_back(static_cast<uint32_t>(value >> 32));
    }
    return all;
}

inline vgpu_arg memory_arg(uint64_t handle, uint64_t offset = 0) {
    return {VGPU_ARG_MEMORY, 8, handle, offset};
}
inline vgpu_arg value_arg(uint64_t value) {
    return {VGPU_ARG_VALUE, 8, value, 0};
}
inline vgpu_arg float_arg(float value) {
    uint32_t bits = 0;
    std::memcpy(&bits, &value, sizeof bits);
    return {VGPU_ARG_VALUE, 4, bits, 0};
}

inline Bytes launch_data(std::string_view name, const std::vector<vgpu_arg>& args,
                         uint64_t module = 0) {
    vgpu_launch launch{};
    launch.module = module;
    std::memcpy(launch.name, name.data(), name.size());
    for (int i = 0; i < 3; ++i) launch.grid[i] = launch.block[i] = 1;
    launch.arg_count = static_cast<uint32_t>(args.size());
    Bytes data(sizeof launch + args.size() * sizeof(vgpu_arg));
    std::memcpy(data.data(), &launch, sizeof launch);
    if (!args.empty()) {
        std::memcpy(data.data() + sizeof launch, args.data(), args.size() * sizeof(vgpu_arg));
    }
    return data;
}

inline Bytes launch(std::string_view name, const std::vector<vgpu_arg>& args, uint64_t module = 0) {
    return request(VGPU_OP_LAUNCH, {}, launch_data(name, args, module));
}
inline Bytes spin(uint64_t ns) {
    return launch("spin", {value_arg(ns)});
}

inline Bytes batch(const std::vector<Bytes>& requests) {
    Bytes data;
    for (const Bytes& one : requests) {
        const size_t at = data.size();
        const auto length = static_cast<uint32_t>(one.size());
        data.resize(at + (sizeof length + one.size() + 7) / 8 * 8);
        std::memcpy(data.data() + at, &length, sizeof length);
        if (length != 0) std::memcpy(data.data() + at + sizeof length, one.data(), length);
    }
    return request(VGPU_OP_BATCH, {}, data);
}

/// A response taken apart. Everything empty where the bytes are none.
struct Response {
    vgpu_response header{};
    std::vector<uint32_t> results;
    Bytes data;
    bool whole = false;  // its lengths fit the bytes

    Response() = default;
    explicit Response(std::span<const std::byte> bytes) {
        if (bytes.size() < sizeof header) return;
        std::memcpy(&header, bytes.data(), sizeof header);
        const uint64_t end = sizeof header + uint64_t{header.result_count} * sizeof(uint32_t);
        if (header.version != VGPU_PROTOCOL_VERSION || end > bytes.size()) return;
        results.resize(header.result_count);
        if (!results.empty()) {
            std::memcpy(results.data(), bytes.data() + sizeof header, end - sizeof header);
        }
        if (header.data_length == 0) {
            whole = header.data_offset == 0;
            return;
        }
        if (header.data_offset < end || header.data_offset > bytes.size() ||
            header.data_length > bytes.size() - header.data_offset) {
            return;
        }
        data.assign(bytes.begin() + header.data_offset,
                    bytes.begin() + header.data_offset + header.data_length);
        whole = true;
    }

    vgpu_error status() const { return static_cast<vgpu_error>(header.status); }
    uint64_t result64() const {
        return results.size() < 2 ? 0 : results[0] | uint64_t{results[1]} << 32;
    }
    /// Data as values; an end that is no whole value is left out.
    template <typename T>
    std::vector<T> values() const {
        std::vector<T> all(data.size() / sizeof(T));
        if (!all.empty()) std::memcpy(all.data(), data.data(), all.size() * sizeof(T));
        return all;
    }
};

/// The responses in the data of a batch's. Empty when they are not whole.
inline std::vector<Response> parts(const Response& of_batch) {
    std::vector<Response> all;
    const std::span<const std::byte> data(of_batch.data);
    for (size_t at = 0; at < data.size();) {
        uint32_t length = 0;
        if (data.size() - at < sizeof length) return {};
        std::memcpy(&length, data.data() + at, sizeof length);
        if (length > data.size() - at - sizeof length) return {};
        all.emplace_back(data.subspan(at + sizeof length, length));
        if (!all.back().whole) return {};
        at += (sizeof length + length + 7) / 8 * 8;
    }
    return all;
}

}  // namespace mimic::mediator::backend::testing
