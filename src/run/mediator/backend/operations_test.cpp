// SPDX-License-Identifier: Apache-2.0
#include "mediator/backend/operations.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <new>
#include <numeric>

#include "mediator/backend/cpu_executor.h"
#include "mediator/backend/cpu_kernels.h"
#include "mediator/backend/testing/requests.h"

namespace mimic::mediator::backend {
namespace {

using namespace testing;  // NOLINT(google-build-using-namespace): of this folder

constexpr uint64_t kTotal = 16 << 20;
constexpr size_t kPlenty = 1 << 20;

class OperationsTest : public ::testing::Test {
protected:
    Response ask(const Bytes& bytes, Owner owner = {1, 10}, size_t room = kPlenty) {
        Order order;
        order.owner = owner;
        order.room = room;
        order.memory_limit = limit_;
        order.wait_for_freed = wait_for_freed_;
        std::vector<std::byte> response;
        error_ = operations_.carry_out(order, bytes, response, stop_);
        EXPECT_LE(response.size(), room);
        EXPECT_EQ(response.empty(), error_ != VGPU_OK);
        Response parsed(response);
        EXPECT_TRUE(parsed.whole || error_ != VGPU_OK);
        return parsed;
    }

    vgpu_error status(const Bytes& bytes, Owner owner = {1, 10}, size_t room = kPlenty) {
        const Response response = ask(bytes, owner, room);
        EXPECT_EQ(error_, VGPU_OK);
        return response.status();
    }

    uint64_t alloc(uint64_t bytes, Owner owner = {1, 10}) {
        const Response response = ask(request(VGPU_OP_MEM_ALLOC, words({bytes})), owner);
        EXPECT_EQ(response.status(), VGPU_OK);
        return response.result64();
    }

    template <typename T>
    uint64_t memory_of(const std::vector<T>& values, Owner owner = {1, 10}) {
        const uint64_t handle = alloc(values.size() * sizeof(T), owner);
        EXPECT_EQ(status(request(VGPU_OP_MEM_WRITE, words({handle, 0}),
                                 bytes_of(std::span<const T>(values))),
                         owner),
                  VGPU_OK);
        return handle;
    }

    template <typename T>
    std::vector<T> read(uint64_t handle, size_t count, Owner owner = {1, 10}) {
        const Response response = ask(
            request(VGPU_OP_MEM_READ, words({handle, 0, count * sizeof(T)})), owner);
        EXPECT_EQ(response.status(), VGPU_OK);
        return response.values<T>();
    }

    CpuExecutor executor_{2};
    Operations operations_{executor_, kTotal, 42};
    StopSignal stop_;
    uint64_t limit_ = 0;
    std::function<bool()> wait_for_freed_;
    vgpu_error error_ = VGPU_OK;
};

std::vector<float> ramp(size_t count, float step) {
    std::vector<float> values(count);
    for (size_t i = 0; i < count; ++i) values[i] = std::sin(static_cast<float>(i) * step) * 3;
    return values;
}

TEST_F(OperationsTest, SumIsThatOfThePublicMediator) {
    const Response response = ask(request(VGPU_OP_SUM, {0xffffffff, 3}));
    EXPECT_EQ(response.status(), VGPU_OK);
    EXPECT_EQ(response.results, std::vector<uint32_t>{2});
}

TEST_F(OperationsTest, DeviceInfoSaysWhatTheBackendIs) {
    limit_ = 4096;
    const auto infos = ask(request(VGPU_OP_GET_DEVICE_INFO)).values<vgpu_device_info>();
    ASSERT_EQ(infos.size(), 1u);
    EXPECT_STREQ(infos[0].backend, "cpu");
    EXPECT_EQ(infos[0].memory_bytes, kTotal);
    EXPECT_EQ(infos[0].memory_limit, 4096u);
    EXPECT_EQ(infos[0].compute_units, 2u);
}

TEST_F(OperationsTest, EveryFieldOfTheHeaderIsChecked) {
    const Bytes good = request(VGPU_OP_MEM_WRITE, words({1, 0}), Bytes(8));
    const auto with = [&](size_t offset, uint32_t value) {
        Bytes bytes = good;
        std::memcpy(bytes.data() + offset, &value, sizeof value);
        const Response response = ask(bytes);
        return error_ != VGPU_OK ? error_ : response.status();
    };
    EXPECT_EQ(with(offsetof(vgpu_request, version), 0x00020000), VGPU_ERROR_INVALID_REQUEST);
    EXPECT_EQ(with(offsetof(vgpu_request, opcode), 2), VGPU_ERROR_UNSUPPORTED);
    EXPECT_EQ(with(offsetof(vgpu_request, opcode), 0xffffffff), VGPU_ERROR_UNSUPPORTED);
    EXPECT_EQ(with(offsetof(vgpu_request, flags), 1), VGPU_ERROR_UNSUPPORTED);
    EXPECT_EQ(with(offsetof(vgpu_request, param_count), 3), VGPU_ERROR_INVALID_REQUEST);
    EXPECT_EQ(with(offsetof(vgpu_request, param_count), 65), VGPU_ERROR_INVALID_REQUEST);
    EXPECT_EQ(with(offsetof(vgpu_request, param_count), 0xffffffff), VGPU_ERROR_INVALID_REQUEST);
    EXPECT_EQ(with(offsetof(vgpu_request, data_offset), 0), VGPU_ERROR_INVALID_REQUEST);
    EXPECT_EQ(with(offsetof(vgpu_request, data_offset), 47), VGPU_ERROR_INVALID_REQUEST);
    EXPECT_EQ(with(offsetof(vgpu_request, data_offset), 49), VGPU_ERROR_INVALID_REQUEST);
    EXPECT_EQ(with(offsetof(vgpu_request, data_offset), 0xffffffff), VGPU_ERROR_INVALID_REQUEST);
    EXPECT_EQ(with(offsetof(vgpu_request, data_length), 9), VGPU_ERROR_INVALID_REQUEST);
    EXPECT_EQ(with(offsetof(vgpu_request, data_length), 0xffffffff), VGPU_ERROR_INVALID_REQUEST);
    EXPECT_EQ(with(offsetof(vgpu_request, data_length), 0), VGPU_ERROR_INVALID_REQUEST);
    EXPECT_EQ(with(offsetof(vgpu_request, reserved), 1), VGPU_ERROR_INVALID_REQUEST);
    EXPECT_EQ(with(offsetof(vgpu_request, reserved) + 4, 1), VGPU_ERROR_INVALID_REQUEST);
    EXPECT_EQ(with(offsetof(vgpu_request, version), VGPU_PROTOCOL_VERSION), VGPU_ERROR_HANDLE);
}

TEST_F(OperationsTest, WhatIsNoRequestHasNoResponse) {
    const Bytes whole = request(VGPU_OP_SUM, {1, 2});
    for (size_t length = 0; length < whole.size(); ++length) {
        ask(Bytes(whole.begin(), whole.begin() + static_cast<ptrdiff_t>(length)));
        EXPECT_EQ(error_, VGPU_ERROR_INVALID_REQUEST) << length;
    }
    // Bytes behind a request are what an old guest has in its buffer.
    Bytes longer = whole;
    longer.resize(VGPU_BUFFER_SIZE, std::byte{0xee});
    EXPECT_EQ(status(longer), VGPU_OK);
}

TEST_F(OperationsTest, TooLittleRoomForAnAnswerChangesNothing) {
    ask(request(VGPU_OP_NOP), {1, 10}, 31);
    EXPECT_EQ(error_, VGPU_ERROR_INVALID_LENGTH);
    EXPECT_EQ(status(request(VGPU_OP_SUM, {1, 2}), {1, 10}, 35), VGPU_ERROR_INVALID_LENGTH);
    EXPECT_EQ(status(request(VGPU_OP_SUM, {1, 2}), {1, 10}, 36), VGPU_OK);
    EXPECT_EQ(status(request(VGPU_OP_MEM_ALLOC, words({64})), {1, 10}, 39),
              VGPU_ERROR_INVALID_LENGTH);
    EXPECT_EQ(operations_.owners().account()->used(), 0u);
    const uint64_t handle = alloc(64);
    const Bytes reading = request(VGPU_OP_MEM_READ, words({handle, 0, 64}));
    EXPECT_EQ(status(reading, {1, 10}, 95), VGPU_ERROR_INVALID_LENGTH);
    EXPECT_EQ(status(reading, {1, 10}, 96), VGPU_OK);
    EXPECT_EQ(status(request(VGPU_OP_GET_DEVICE_INFO), {1, 10},
                     sizeof(vgpu_response) + sizeof(vgpu_device_info) - 1),
              VGPU_ERROR_INVALID_LENGTH);
}

TEST_F(OperationsTest, MemoryIsZeroedEvenWhereAnotherHasBeen) {
    for (const uint64_t bytes : {uint64_t{4096}, uint64_t{1} << 20}) {
        for (int round = 0; round < 8; ++round) {
            const uint64_t secret = memory_of(std::vector<uint8_t>(bytes, 0xaa), {2, 20});
            EXPECT_EQ(status(request(VGPU_OP_MEM_FREE, words({secret})), {2, 20}), VGPU_OK);
            const uint64_t fresh = alloc(bytes);
            const auto seen = read<uint8_t>(fresh, std::min<size_t>(bytes, kPlenty - 64));
            EXPECT_EQ(std::accumulate(seen.begin(), seen.end(), 0u), 0u);
            EXPECT_EQ(status(request(VGPU_OP_MEM_FREE, words({fresh}))), VGPU_OK);
        }
    }
    EXPECT_EQ(operations_.owners().account()->used(), 0u);
}

TEST_F(OperationsTest, HandlesOfOthersNameNothing) {
    const uint64_t theirs = memory_of(std::vector<uint8_t>(64, 7), {2, 20});
    for (const Owner other : {Owner{1, 10}, Owner{2, 21}, Owner{3, 20}}) {
        EXPECT_EQ(status(request(VGPU_OP_MEM_READ, words({theirs, 0, 1})), other),
                  VGPU_ERROR_HANDLE);
        EXPECT_EQ(status(request(VGPU_OP_MEM_WRITE, words({theirs, 0}), Bytes(1)), other),
                  VGPU_ERROR_HANDLE);
        EXPECT_EQ(status(request(VGPU_OP_MEM_FREE, words({theirs})), other), VGPU_ERROR_HANDLE);
        EXPECT_EQ(
            status(launch("checksum", {memory_arg(theirs), memory_arg(theirs, 8), value_arg(1)}),
                   other),
            VGPU_ERROR_HANDLE);
        const uint64_t mine = alloc(64, other);
        EXPECT_NE(mine, theirs);
        EXPECT_EQ(status(request(VGPU_OP_MEM_COPY, words({mine, 0, theirs, 0, 8})), other),
                  VGPU_ERROR_HANDLE);
    }
    EXPECT_EQ(read<uint8_t>(theirs, 64, {2, 20}), std::vector<uint8_t>(64, 7));
}

TEST_F(OperationsTest, OffsetsAndLengthsStayWithinTheMemory) {
    const uint64_t handle = alloc(100);
    const uint64_t other = alloc(100);
    constexpr uint64_t kHuge = ~uint64_t{0};
    for (const auto& [offset, length, ok] : {std::tuple<uint64_t, uint64_t, bool>{0, 100, true},
                                             {100, 0, true},
                                             {99, 1, true},
                                             {0, 101, false},
                                             {100, 1, false},
                                             {101, 0, false},
                                             {kHuge, 1, false},
                                             {1, kHuge, false},
                                             {kHuge, kHuge, false},
                                             {50, kHuge - 49, false}}) {
        const auto expected = ok ? VGPU_OK : VGPU_ERROR_HANDLE;
        EXPECT_EQ(status(request(VGPU_OP_MEM_READ, words({handle, offset, length}))), expected);
        auto fill = words({handle, offset, length});
        fill.push_back(1);
        EXPECT_EQ(status(request(VGPU_OP_MEM_FILL, fill)), expected);
        EXPECT_EQ(status(request(VGPU_OP_MEM_COPY, words({handle, offset, other, 0, length}))),
                  expected);
        EXPECT_EQ(status(request(VGPU_OP_MEM_COPY, words({other, 0, handle, offset, length}))),
                  expected);
    }
    EXPECT_EQ(status(request(VGPU_OP_MEM_WRITE, words({handle, 93}), Bytes(8))), VGPU_ERROR_HANDLE);
    auto wide = words({handle, 0, 1});
    wide.push_back(0x100);
    EXPECT_EQ(status(request(VGPU_OP_MEM_FILL, wide)), VGPU_ERROR_INVALID_REQUEST);
}

TEST_F(OperationsTest, CopiesOverlapAsMemmoveDoes) {
    std::vector<uint8_t> values(3 << 20);
    std::iota(values.begin(), values.end(), uint8_t{0});
    for (const auto& [to, from] : {std::pair<size_t, size_t>{0, 4097}, {4097, 0}}) {
        const uint64_t handle = memory_of(values);
        const size_t length = values.size() - 4097;
        EXPECT_EQ(status(request(VGPU_OP_MEM_COPY, words({handle, to, handle, from, length}))),
                  VGPU_OK);
        auto expected = values;
        std::memmove(expected.data() + to, expected.data() + from, length);
        limit_ = 0;
        const Response response = ask(request(VGPU_OP_MEM_READ, words({handle, 0, values.size()})),
                                      {1, 10}, 4 << 20);
        EXPECT_EQ(response.values<uint8_t>(), expected);
        EXPECT_EQ(status(request(VGPU_OP_MEM_FREE, words({handle}))), VGPU_OK);
    }
}

TEST_F(OperationsTest, LimitsHoldForAllOwnersOfAVm) {
    limit_ = 10'000;
    const uint64_t first = alloc(5'000, {1, 10});
    EXPECT_EQ(status(request(VGPU_OP_MEM_ALLOC, words({5'000})), {1, 11}), VGPU_ERROR_MEMORY);
    alloc(4'000, {1, 11});
    alloc(10'000 / 256 * 256, {2, 10});  // another VM
    EXPECT_EQ(status(request(VGPU_OP_MEM_FREE, words({first}))), VGPU_OK);
    alloc(5'000, {1, 11});
    limit_ = 0;
    EXPECT_EQ(status(request(VGPU_OP_MEM_ALLOC, words({kTotal}))), VGPU_ERROR_MEMORY);
    EXPECT_EQ(status(request(VGPU_OP_MEM_ALLOC, words({~uint64_t{0}}))), VGPU_ERROR_MEMORY);
    EXPECT_EQ(status(request(VGPU_OP_MEM_ALLOC, words({0}))), VGPU_ERROR_INVALID_REQUEST);
    for (const Owner owner : {Owner{1, 10}, Owner{1, 11}, Owner{2, 10}}) {
        operations_.owners().release(owner);
    }
    EXPECT_EQ(operations_.owners().account()->used(), 0u);
    alloc(kTotal);
}

TEST_F(OperationsTest, WhoFindsNoMemoryWaitsForWhatIsBeingFreed) {
    const auto allocates = [this](uint64_t bytes) {
        return status(request(VGPU_OP_MEM_ALLOC, words({bytes})), {2, 20});
    };
    int waits = 0;
    bool is_freed = false;
    wait_for_freed_ = [&] {
        ++waits;
        return is_freed;
    };
    alloc(kTotal - 256);
    EXPECT_EQ(allocates(256), VGPU_OK);
    EXPECT_EQ(waits, 0) << "there was enough";
    EXPECT_EQ(allocates(256), VGPU_ERROR_MEMORY);
    EXPECT_EQ(waits, 1);
    is_freed = true;
    EXPECT_EQ(allocates(256), VGPU_ERROR_MEMORY) << "what was freed is not enough";
    EXPECT_EQ(waits, 2);
    limit_ = 256;
    EXPECT_EQ(allocates(256), VGPU_ERROR_MEMORY);
    EXPECT_EQ(waits, 2) << "others cannot help with its own limit";
    limit_ = 0;
    wait_for_freed_ = [&] {
        operations_.owners().release({1, 10});
        return true;
    };
    EXPECT_EQ(allocates(kTotal - 256), VGPU_OK);
}

TEST_F(OperationsTest, AnOwnerTooManyTakesThePlaceOfOneThatLeaves) {
    for (uint32_t vm = 1; vm <= kMaxOwners; ++vm) {
        ASSERT_EQ(status(request(VGPU_OP_NOP), {vm, 10}), VGPU_OK);
    }
    ask(request(VGPU_OP_NOP), {kMaxOwners + 1, 10});
    EXPECT_EQ(error_, VGPU_ERROR_MEMORY);
    wait_for_freed_ = [&] {
        operations_.owners().release({1, 10});
        return true;
    };
    EXPECT_EQ(status(request(VGPU_OP_NOP), {kMaxOwners + 1, 10}), VGPU_OK);
}

TEST_F(OperationsTest, NamedKernelsCompute) {
    const auto a = ramp(70'001, 0.37f);
    const auto b = ramp(70'001, 0.11f);
    const uint64_t ha = memory_of(a), hb = memory_of(b), out = alloc(a.size() * 4);
    const uint64_t n = a.size();
    ASSERT_EQ(status(launch("vector_add",
                            {memory_arg(out), memory_arg(ha), memory_arg(hb), value_arg(n)})),
              VGPU_OK);
    auto expected = a;
    for (size_t i = 0; i < n; ++i) expected[i] = a[i] + b[i];
    EXPECT_EQ(read<float>(out, n), expected);
    ASSERT_EQ(
        status(launch("saxpy", {memory_arg(out), memory_arg(ha), value_arg(n), float_arg(1.5f)})),
        VGPU_OK);
    for (size_t i = 0; i < n; ++i) {
        volatile float product = 1.5f * a[i];  // not fused
        expected[i] += product;
    }
    EXPECT_EQ(read<float>(out, n), expected);
    ASSERT_EQ(status(launch("reduce_sum", {memory_arg(out), memory_arg(ha), value_arg(n)})),
              VGPU_OK);
    EXPECT_EQ(read<float>(out, 1)[0], cpu::pairwise_sum(a));
    ASSERT_EQ(status(launch("checksum", {memory_arg(out), memory_arg(ha), value_arg(0)})), VGPU_OK);
    EXPECT_EQ(read<uint64_t>(out, 1)[0], 0xcbf29ce484222325u);  // FNV-1a's offset basis
    const uint64_t text = memory_of(std::vector<char>{'f', 'o', 'o', 'b', 'a', 'r'});
    ASSERT_EQ(status(launch("checksum", {memory_arg(out), memory_arg(text), value_arg(6)})),
              VGPU_OK);
    EXPECT_EQ(read<uint64_t>(out, 1)[0], 0x85944171f73967e8u);  // of its authors' test suite
}

TEST_F(OperationsTest, GemmSumsInAscendingOrder) {
    constexpr size_t kM = 7, kN = 700, kK = 300;
    const auto a = ramp(kM * kK, 0.7f);
    const auto b = ramp(kK * kN, 0.3f);
    const uint64_t ha = memory_of(a), hb = memory_of(b), c = alloc(kM * kN * 4);
    ASSERT_EQ(status(launch("gemm", {memory_arg(c), memory_arg(ha), memory_arg(hb), value_arg(kM),
                                     value_arg(kN), value_arg(kK)})),
              VGPU_OK);
    std::vector<float> expected(kM * kN);
    for (size_t i = 0; i < kM; ++i) {
        for (size_t j = 0; j < kN; ++j) {
            volatile float sum = 0;
            for (size_t k = 0; k < kK; ++k) {
                volatile float product = a[i * kK + k] * b[k * kN + j];
                sum = sum + product;
            }
            expected[i * kN + j] = sum;
        }
    }
    EXPECT_EQ(read<float>(c, kM * kN), expected);
}

TEST_F(OperationsTest, LaunchesAreChecked) {
    const uint64_t memory = alloc(4096);
    const auto add = [&](std::vector<vgpu_arg> args) { return status(launch("vector_add", args)); };
    const auto m = memory_arg(memory);
    EXPECT_EQ(add({m, m, m, value_arg(1024)}), VGPU_OK);
    EXPECT_EQ(add({m, m, m}), VGPU_ERROR_INVALID_REQUEST);
    EXPECT_EQ(add({m, m, m, value_arg(1), value_arg(1)}), VGPU_ERROR_INVALID_REQUEST);
    EXPECT_EQ(add({m, m, value_arg(1), value_arg(1)}), VGPU_ERROR_INVALID_REQUEST);
    EXPECT_EQ(add({m, m, m, m}), VGPU_ERROR_INVALID_REQUEST);
    EXPECT_EQ(add({m, m, m, float_arg(1)}), VGPU_ERROR_INVALID_REQUEST);
    EXPECT_EQ(add({m, m, m, value_arg(1025)}), VGPU_ERROR_HANDLE);
    EXPECT_EQ(add({m, m, m, value_arg(uint64_t{1} << 62)}), VGPU_ERROR_HANDLE);
    EXPECT_EQ(add({m, m, m, value_arg(~uint64_t{0})}), VGPU_ERROR_HANDLE);
    EXPECT_EQ(add({memory_arg(memory, 2), m, m, value_arg(1)}), VGPU_ERROR_INVALID_REQUEST);
    EXPECT_EQ(add({memory_arg(memory, 4097), m, m, value_arg(0)}), VGPU_ERROR_HANDLE);
    EXPECT_EQ(add({memory_arg(memory, 4096), m, m, value_arg(0)}), VGPU_OK);
    // Out of place, but not apart.
    EXPECT_EQ(add({memory_arg(memory, 4), m, m, value_arg(8)}), VGPU_ERROR_INVALID_REQUEST);
    EXPECT_EQ(status(launch("gemm", {m, m, memory_arg(memory, 64), value_arg(2), value_arg(2),
                                     value_arg(2)})),
              VGPU_ERROR_INVALID_REQUEST);
    EXPECT_EQ(status(launch("gemm",
                            {m, m, m, value_arg(1ull << 33), value_arg(1ull << 33), value_arg(0)})),
              VGPU_ERROR_HANDLE);
    EXPECT_EQ(status(launch("no_such", {})), VGPU_ERROR_UNSUPPORTED);
    EXPECT_EQ(status(launch("spin", {value_arg(0)}, 77)), VGPU_ERROR_HANDLE);
    EXPECT_EQ(status(request(VGPU_OP_MODULE_LOAD, {}, Bytes(8))), VGPU_ERROR_UNSUPPORTED);
    EXPECT_EQ(status(request(VGPU_OP_MODULE_UNLOAD, words({5}))), VGPU_ERROR_HANDLE);
}

TEST_F(OperationsTest, TheBytesOfALaunchAreChecked) {
    const Bytes good = launch_data("spin", {value_arg(0)});
    const auto with = [&](size_t offset, uint32_t value) {
        Bytes data = good;
        std::memcpy(data.data() + offset, &value, sizeof value);
        return status(request(VGPU_OP_LAUNCH, {}, data));
    };
    EXPECT_EQ(with(offsetof(vgpu_launch, grid), 0), VGPU_OK);  // a named kernel chooses itself
    EXPECT_EQ(with(offsetof(vgpu_launch, arg_count), 0), VGPU_ERROR_INVALID_REQUEST);
    EXPECT_EQ(with(offsetof(vgpu_launch, arg_count), 2), VGPU_ERROR_INVALID_REQUEST);
    EXPECT_EQ(with(offsetof(vgpu_launch, arg_count), 0x10000001), VGPU_ERROR_INVALID_REQUEST);
    EXPECT_EQ(with(offsetof(vgpu_launch, name), 0), VGPU_ERROR_INVALID_REQUEST);
    EXPECT_EQ(with(sizeof(vgpu_launch) + offsetof(vgpu_arg, kind), 2), VGPU_ERROR_INVALID_REQUEST);
    EXPECT_EQ(with(sizeof(vgpu_launch) + offsetof(vgpu_arg, size), 3), VGPU_ERROR_INVALID_REQUEST);
    EXPECT_EQ(with(sizeof(vgpu_launch) + offsetof(vgpu_arg, offset), 1),
              VGPU_ERROR_INVALID_REQUEST);
    Bytes unended = good;
    std::memset(unended.data() + offsetof(vgpu_launch, name), 'x', VGPU_KERNEL_NAME_SIZE);
    EXPECT_EQ(status(request(VGPU_OP_LAUNCH, {}, unended)), VGPU_ERROR_INVALID_REQUEST);
    EXPECT_EQ(status(request(VGPU_OP_LAUNCH, {}, Bytes(good.begin(), good.end() - 1))),
              VGPU_ERROR_INVALID_REQUEST);
    EXPECT_EQ(status(request(VGPU_OP_LAUNCH, {}, Bytes(8))), VGPU_ERROR_INVALID_REQUEST);
}

TEST_F(OperationsTest, BatchesEndAtTheFirstThatFails) {
    const uint64_t memory = alloc(64);
    const Response all = ask(
        batch({request(VGPU_OP_SUM, {1, 2}),
               request(VGPU_OP_MEM_WRITE, words({memory, 0}), Bytes(3, std::byte{5})),
               request(VGPU_OP_MEM_READ, words({memory, 0, 5})), request(VGPU_OP_NOP)}));
    EXPECT_EQ(all.status(), VGPU_OK);
    const auto four = parts(all);
    ASSERT_EQ(four.size(), 4u);
    EXPECT_EQ(four[0].results, std::vector<uint32_t>{3});
    EXPECT_EQ(four[2].values<uint8_t>(), (std::vector<uint8_t>{5, 5, 5, 0, 0}));

    const Response some = ask(
        batch({request(VGPU_OP_SUM, {1, 2}), request(VGPU_OP_MEM_FREE, words({memory + 1})),
               request(VGPU_OP_MEM_FREE, words({memory}))}));
    EXPECT_EQ(some.status(), VGPU_ERROR_HANDLE);
    const auto two = parts(some);
    ASSERT_EQ(two.size(), 2u);
    EXPECT_EQ(two[1].status(), VGPU_ERROR_HANDLE);
    EXPECT_EQ(status(request(VGPU_OP_MEM_FREE, words({memory}))), VGPU_OK);  // it was not reached
}

TEST_F(OperationsTest, BatchesAreChecked) {
    const Response nested = ask(batch({batch({request(VGPU_OP_NOP)})}));
    EXPECT_EQ(nested.status(), VGPU_ERROR_INVALID_REQUEST);
    Bytes data(4);
    EXPECT_EQ(status(request(VGPU_OP_BATCH, {}, data)), VGPU_ERROR_INVALID_REQUEST);
    for (const uint32_t length : {5u, 0xffffffffu}) {
        data.resize(8);
        std::memcpy(data.data(), &length, sizeof length);
        EXPECT_EQ(status(request(VGPU_OP_BATCH, {}, data)), VGPU_ERROR_INVALID_REQUEST);
    }
    EXPECT_EQ(status(request(VGPU_OP_BATCH, {}, Bytes(3))), VGPU_ERROR_INVALID_REQUEST);
    // Room for one response and a half.
    const Response cut = ask(batch({request(VGPU_OP_NOP), request(VGPU_OP_NOP)}), {1, 10}, 32 + 60);
    EXPECT_EQ(cut.status(), VGPU_ERROR_INVALID_LENGTH);
    EXPECT_EQ(parts(cut).size(), 1u);
}

TEST_F(OperationsTest, AStoppedJobIsCancelled) {
    stop_.request();
    const uint64_t endless = ~uint64_t{0};
    ask(launch("spin", {value_arg(endless)}));
    EXPECT_EQ(error_, VGPU_ERROR_CANCELLED);
    ask(batch({launch("spin", {value_arg(endless)})}));
    EXPECT_EQ(error_, VGPU_ERROR_CANCELLED);
}

// It takes as long as its pages are many.
TEST_F(OperationsTest, AFreeIsStopped) {
    const uint64_t handle = alloc(8 << 20);
    stop_.request();
    const Bytes asked = request(VGPU_OP_MEM_FREE, words({handle}));
    ask(asked);
    EXPECT_EQ(error_, VGPU_ERROR_CANCELLED);
    EXPECT_EQ(operations_.owners().account()->used(), 8u << 20);
    stop_.arm(nullptr, 0);
    EXPECT_EQ(status(asked), VGPU_OK);
    EXPECT_EQ(operations_.owners().account()->used(), 0u);
}

TEST_F(OperationsTest, ResultsAreGivenOnceMore) {
    Order order;
    order.owner = {1, 10};
    order.room = kPlenty;
    order.request_id = 7;
    std::vector<std::byte> first, second;
    const Bytes asked = request(VGPU_OP_MEM_ALLOC, words({256}));
    ASSERT_EQ(operations_.carry_out(order, asked, first, stop_), VGPU_OK);
    order.again = true;
    ASSERT_EQ(operations_.carry_out(order, asked, second, stop_), VGPU_OK);
    EXPECT_EQ(first, second);
    EXPECT_EQ(operations_.owners().account()->used(), 256u);
    order.request_id = 8;  // was never carried out
    ASSERT_EQ(operations_.carry_out(order, asked, second, stop_), VGPU_OK);
    EXPECT_NE(first, second);
    operations_.owners().find(order.owner)->kept.acknowledge(8);
    EXPECT_EQ(operations_.carry_out(order, asked, second, stop_), VGPU_ERROR_BACKEND);
    EXPECT_EQ(operations_.owners().account()->used(), 512u);
}

TEST(KeptResults, AreBounded) {
    KeptResults kept;
    const std::vector<std::byte> big(16 << 20);
    for (uint64_t id = 1; id <= 10; ++id) kept.keep(id, VGPU_OK, big);
    EXPECT_LE(kept.bytes(), kMaxKeptBytes);
    KeptResult result;
    EXPECT_EQ(kept.find(1, result), Kept::kGone);
    EXPECT_EQ(kept.find(10, result), Kept::kHere);
    EXPECT_EQ(kept.find(11, result), Kept::kNever);
    for (uint64_t id = 11; id <= 5000; ++id) kept.keep(id, VGPU_OK, {});
    EXPECT_EQ(kept.find(5000 - kMaxKeptResults, result), Kept::kGone);
    EXPECT_EQ(kept.find(5001 - kMaxKeptResults, result), Kept::kHere);
}

TEST(KeptResults, AreBoundedForAVmAndForAll) {
    Owners owners;
    const std::vector<std::byte> big(kMaxKeptBytes - kKeptOverhead);
    // A VM that never acknowledges, with one session after the other.
    for (uint64_t session = 1; session <= 4; ++session) {
        owners.get({1, session})->kept.keep(1, VGPU_OK, big);
    }
    EXPECT_EQ(owners.kept_account().used(), kMaxKeptBytesOfVm);
    KeptResult result;
    EXPECT_EQ(owners.get({1, 1})->kept.find(1, result), Kept::kHere);
    EXPECT_EQ(owners.get({1, 4})->kept.find(1, result), Kept::kGone);
    // Its own oldest goes; others have lost nothing.
    const std::vector<std::byte> small(100);
    owners.get({1, 1})->kept.keep(2, VGPU_OK, small);
    EXPECT_EQ(owners.get({1, 1})->kept.find(1, result), Kept::kGone);
    EXPECT_EQ(owners.get({1, 1})->kept.find(2, result), Kept::kHere);
    EXPECT_EQ(owners.get({1, 2})->kept.find(1, result), Kept::kHere);
    // And many VMs; results without a byte count, too.
    for (uint32_t vm = 2; vm < 1200; ++vm) {
        for (uint64_t id = 1; id <= 2; ++id) {
            owners.get({vm, 1})->kept.keep(id, VGPU_OK, std::span(big).first(1u << 20));
        }
        for (uint64_t id = 3; id <= 8; ++id) owners.get({vm, 1})->kept.keep(id, VGPU_OK, {});
        EXPECT_LE(owners.kept_account().used(), kMaxKeptBytesOfAll);
    }
    EXPECT_EQ(owners.get({2, 1})->kept.find(1, result), Kept::kHere);
    EXPECT_EQ(owners.get({1199, 1})->kept.find(1, result), Kept::kGone);
    for (uint32_t vm = 1; vm < 1200; ++vm) {
        for (uint64_t session = 1; session <= 4; ++session) owners.release({vm, session});
    }
    EXPECT_EQ(owners.kept_account().used(), 0u);
}

class FullExecutor final : public CpuExecutor {
public:
    FullExecutor() : CpuExecutor(1) {}
    vgpu_error fill(const Extent&, uint8_t, const StopSignal&) override { throw std::bad_alloc(); }
};

TEST(Operations, AProcessWithoutMemoryIsTheErrorOfOneJob) {
    FullExecutor executor;
    Operations operations(executor, kTotal, 42);
    const StopSignal stop;
    Order order;
    order.owner = {1, 10};
    order.room = kPlenty;
    order.request_id = 1;
    std::vector<std::byte> response;
    const auto allocate = request(VGPU_OP_MEM_ALLOC, words({64}));
    ASSERT_EQ(operations.carry_out(order, allocate, response, stop), VGPU_OK);
    const uint64_t handle = Response(response).result64();
    std::vector<uint32_t> parameters = words({handle, 0, 64});
    parameters.push_back(1);
    const auto fill = batch({allocate, request(VGPU_OP_MEM_FILL, parameters)});
    order.request_id = 2;
    EXPECT_EQ(operations.carry_out(order, fill, response, stop), VGPU_ERROR_MEMORY);
    EXPECT_TRUE(response.empty());
    // It is not begun once more.
    order.again = true;
    EXPECT_EQ(operations.carry_out(order, fill, response, stop), VGPU_ERROR_MEMORY);
    EXPECT_EQ(operations.owners().account()->used(), 512u);
    order.request_id = 3;
    EXPECT_EQ(operations.carry_out(order, request(VGPU_OP_NOP), response, stop), VGPU_OK);
}

// However many pieces it has: this would take hours.
TEST(CpuKernels, AStoppedOneLeavesItsPieces) {
    StopSignal stop;
    stop.request();
    KernelCall call;
    call.kernel = Kernel::kGemm;
    call.m = uint64_t{1} << 45;
    call.n = 1;
    for (const unsigned threads : {1u, 2u}) {
        ThreadTeam team(threads);
        EXPECT_EQ(cpu::run(call, {}, team, stop), VGPU_ERROR_CANCELLED);
    }
}

TEST(CpuKernels, SmallRowsShareAPiece) {
    ThreadTeam team(2);
    const StopSignal stop;
    for (const uint64_t n : {uint64_t{1}, uint64_t{3}, uint64_t{513}}) {
        KernelCall call;
        call.kernel = Kernel::kGemm;
        call.m = 70'001;
        call.n = n;
        call.k = 1;
        const std::vector<float> a(call.m, 2.0f), b(n, 3.0f);
        std::vector<float> out(call.m * n);
        ASSERT_EQ(cpu::run(call,
                           {reinterpret_cast<std::byte*>(out.data()),
                            reinterpret_cast<const std::byte*>(a.data()),
                            reinterpret_cast<const std::byte*>(b.data())},
                           team, stop),
                  VGPU_OK);
        EXPECT_EQ(std::count(out.begin(), out.end(), 6.0f), static_cast<ptrdiff_t>(out.size()));
    }
}

// The same bits for every number of threads.
TEST(CpuKernels, DoNotDependOnThreads) {
    const auto values = ramp(300'001, 0.013f);
    std::vector<std::vector<float>> results;
    for (const unsigned threads : {1u, 2u, 3u, 8u}) {
        ThreadTeam team(threads);
        const StopSignal stop;
        auto a = values;
        std::vector<float> out(values.size(), 0.5f);
        KernelCall call;
        call.n = a.size();
        call.scalar = 1.7f;
        const auto at = [&](std::vector<float>& to) {
            return cpu::Pointers{reinterpret_cast<std::byte*>(to.data()),
                                 reinterpret_cast<const std::byte*>(a.data()),
                                 reinterpret_cast<const std::byte*>(a.data())};
        };
        call.kernel = Kernel::kSaxpy;
        ASSERT_EQ(cpu::run(call, at(out), team, stop), VGPU_OK);
        std::vector<float> sum(1);
        call.kernel = Kernel::kReduceSum;
        ASSERT_EQ(cpu::run(call, at(sum), team, stop), VGPU_OK);
        EXPECT_EQ(sum[0], cpu::pairwise_sum(values));
        std::vector<float> product(300 * 600);
        call.kernel = Kernel::kGemm;
        call.m = 300;
        call.n = 600;
        call.k = 400;
        ASSERT_EQ(cpu::run(call, at(product), team, stop), VGPU_OK);
        out.insert(out.end(), product.begin(), product.end());
        results.push_back(std::move(out));
    }
    for (const auto& result : results) EXPECT_EQ(result, results[0]);
}

}  // namespace
}  // namespace mimic::mediator::backend
