// SPDX-License-Identifier: Apache-2.0
// The cuda executor: over a libcuda of our own that interprets PTX, and, as another program, over a
// GPU where there is one. Results are the bits of the cpu executor.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "mediator/backend/cpu_executor.h"
#include "mediator/backend/operations.h"
#include "mediator/backend/testing/requests.h"

namespace mimic::mediator::backend {
namespace {

using namespace testing;  // NOLINT(google-build-using-namespace): of this folder
using ::testing::HasSubstr;

constexpr uint64_t kDeviceMemory = 32 << 20;

// A machine to ask: an executor and its operations.
struct Machine {
    explicit Machine(std::unique_ptr<Executor> with)
        : executor(std::move(with)), operations(*executor, kDeviceMemory, 1) {}

    Response ask(const Bytes& bytes) {
        Order order;
        order.owner = {1, 10};
        order.room = VGPU_MAX_MESSAGE;
        std::vector<std::byte> response;
        error = operations.carry_out(order, bytes, response, stop);
        return Response(response);
    }
    uint64_t alloc(uint64_t bytes) {
        return ask(request(VGPU_OP_MEM_ALLOC, words({bytes}))).result64();
    }
    template <typename T>
    uint64_t memory_of(const std::vector<T>& values) {
        const uint64_t handle = alloc(values.size() * sizeof(T));
        EXPECT_EQ(ask(request(VGPU_OP_MEM_WRITE, words({handle, 0}),
                              bytes_of(std::span<const T>(values))))
                      .status(),
                  VGPU_OK);
        return handle;
    }
    Bytes read(uint64_t handle, uint64_t bytes) {
        return ask(request(VGPU_OP_MEM_READ, words({handle, 0, bytes}))).data;
    }

    std::unique_ptr<Executor> executor;
    Operations operations;
    StopSignal stop;
    vgpu_error error = VGPU_OK;
};

std::vector<float> wave(size_t count, float step) {
    std::vector<float> values(count);
    for (size_t i = 0; i < count; ++i) values[i] = std::sin(static_cast<float>(i) * step) * 3;
    return values;
}

class CudaTest : public ::testing::Test {
protected:
    CudaTest() {
        auto made = make_cuda_executor({});
        if (!made) {
            ADD_FAILURE() << made.error().message();
            return;
        }
        gpu_ = std::make_unique<Machine>(std::move(*made));
    }
    void SetUp() override { ASSERT_TRUE(gpu_); }

    Machine cpu_{std::make_unique<CpuExecutor>(2)};
    std::unique_ptr<Machine> gpu_;
};

// Both machines compute the same; returns the bits of `out`.
template <typename F>
void expect_same(Machine& cpu, Machine& gpu, const F& compute) {
    const Bytes expected = compute(cpu);
    const Bytes seen = compute(gpu);
    EXPECT_FALSE(expected.empty());
    EXPECT_EQ(seen, expected);
}

TEST_F(CudaTest, SaysWhatItIs) {
    EXPECT_EQ(gpu_->executor->info().kind, "cuda");
    EXPECT_FALSE(gpu_->executor->info().name.empty());
    EXPECT_GT(gpu_->executor->info().memory_bytes, 0u);
}

TEST_F(CudaTest, MemoryIsZeroedCopiedAndFilled) {
    const uint64_t fresh = gpu_->alloc(100'000);
    EXPECT_EQ(gpu_->read(fresh, 100'000), Bytes(100'000));
    const uint64_t other = gpu_->memory_of(std::vector<uint8_t>(1000, 9));
    auto fill = words({fresh, 10, 5});
    fill.push_back(7);
    EXPECT_EQ(gpu_->ask(request(VGPU_OP_MEM_FILL, fill)).status(), VGPU_OK);
    EXPECT_EQ(gpu_->ask(request(VGPU_OP_MEM_COPY, words({fresh, 15, other, 0, 2}))).status(),
              VGPU_OK);
    EXPECT_EQ(gpu_->ask(request(VGPU_OP_MEM_COPY, words({fresh, 12, fresh, 11, 6}))).status(),
              VGPU_OK);  // onto itself
    Bytes expected(20);
    for (size_t i = 10; i < 16; ++i) expected[i] = std::byte{7};
    expected[16] = expected[17] = std::byte{9};
    EXPECT_EQ(gpu_->read(fresh, 20), expected);
    EXPECT_EQ(gpu_->ask(request(VGPU_OP_MEM_FREE, words({fresh}))).status(), VGPU_OK);
}

TEST_F(CudaTest, ElementWiseKernelsAreThoseOfTheCpu) {
    for (const size_t n : {size_t{0}, size_t{1}, size_t{255}, size_t{257}, size_t{3001}}) {
        const auto a = wave(n + 1, 0.3f), b = wave(n + 1, 0.7f);
        expect_same(cpu_, *gpu_, [&](Machine& machine) {
            const uint64_t ha = machine.memory_of(a), hb = machine.memory_of(b);
            const uint64_t out = machine.alloc((n + 1) * 4);
            EXPECT_EQ(machine
                          .ask(launch("vector_add", {memory_arg(out), memory_arg(ha),
                                                     memory_arg(hb), value_arg(n)}))
                          .status(),
                      VGPU_OK);
            EXPECT_EQ(machine
                          .ask(launch("saxpy", {memory_arg(out), memory_arg(ha), value_arg(n),
                                                float_arg(1.7f)}))
                          .status(),
                      VGPU_OK);
            return machine.read(out, (n + 1) * 4);
        });
    }
}

TEST_F(CudaTest, GemmIsThatOfTheCpu) {
    for (const auto& [m, n, k] :
         {std::tuple<size_t, size_t, size_t>{1, 1, 1}, {17, 33, 20}, {3, 5, 0}, {16, 16, 16}}) {
        const auto a = wave(m * k + 1, 0.3f), b = wave(k * n + 1, 0.7f);
        expect_same(cpu_, *gpu_, [&, m = m, n = n, k = k](Machine& machine) {
            const uint64_t ha = machine.memory_of(a), hb = machine.memory_of(b);
            const uint64_t c = machine.memory_of(wave(m * n, 1));
            EXPECT_EQ(machine
                          .ask(launch("gemm", {memory_arg(c), memory_arg(ha), memory_arg(hb),
                                               value_arg(m), value_arg(n), value_arg(k)}))
                          .status(),
                      VGPU_OK);
            return machine.read(c, m * n * 4);
        });
    }
}

TEST_F(CudaTest, ReductionsAreThoseOfTheCpu) {
    for (const size_t n : {0, 1, 2, 3, 255, 256, 257, 511, 512, 513, 1023, 1500}) {
        const auto x = wave(n + 1, 0.9f);
        expect_same(cpu_, *gpu_, [&](Machine& machine) {
            const uint64_t hx = machine.memory_of(x);
            const uint64_t out = machine.memory_of(std::vector<uint64_t>{1, 1});
            for (const char* name : {"reduce_sum", "checksum"}) {
                const bool sum = name[0] == 'r';
                EXPECT_EQ(machine
                              .ask(launch(name, {memory_arg(out, sum ? 0 : 8), memory_arg(hx),
                                                 value_arg(n)}))
                              .status(),
                          VGPU_OK);
            }
            return machine.read(out, 16);
        });
    }
}

TEST_F(CudaTest, SpinTakesItsTimeAndStops) {
    const auto begin = SteadyClock().now();
    EXPECT_EQ(gpu_->ask(spin(2'000)).status(), VGPU_OK);
    EXPECT_GE(SteadyClock().now() - begin, std::chrono::microseconds(2));
    gpu_->stop.request();
    gpu_->ask(spin(~uint64_t{0}));
    EXPECT_EQ(gpu_->error, VGPU_ERROR_CANCELLED);
}

constexpr const char* kStore =
    ".version 6.0\n.target sm_50\n.address_size 64\n"
    ".visible .entry store(.param .u64 to, .param .u32 value, .param .u64 index)\n"
    "{\n"
    ".reg .b32 %r<2>; .reg .b64 %rd<4>;\n"
    "ld.param.u64 %rd1, [to]; ld.param.u32 %r1, [value]; ld.param.u64 %rd2, [index];\n"
    "shl.b64 %rd3, %rd2, 2; add.u64 %rd1, %rd1, %rd3;\n"
    "st.global.u32 [%rd1], %r1;\n"
    "ret;\n"
    "}\n";

Bytes text_of(std::string_view text) {
    return bytes_of(std::span<const char>(text.data(), text.size()));
}

vgpu_arg word_arg(uint32_t value) {
    return {VGPU_ARG_VALUE, 4, value, 0};
}

TEST_F(CudaTest, RunsCodeOfAVm) {
    const Response loaded = gpu_->ask(request(VGPU_OP_MODULE_LOAD, {}, text_of(kStore)));
    ASSERT_EQ(loaded.status(), VGPU_OK);
    const uint64_t module = loaded.result64();
    const uint64_t memory = gpu_->alloc(64);
    EXPECT_EQ(
        gpu_->ask(launch("store", {memory_arg(memory, 4), word_arg(77), value_arg(2)}, module))
            .status(),
        VGPU_OK);
    const Bytes seen = gpu_->read(memory, 16);
    uint32_t word = 0;
    std::memcpy(&word, seen.data() + 12, 4);
    EXPECT_EQ(word, 77u);
    EXPECT_EQ(gpu_->ask(launch("no_such", {}, module)).status(), VGPU_ERROR_INVALID_REQUEST);
    EXPECT_EQ(gpu_->ask(request(VGPU_OP_MODULE_UNLOAD, words({module}))).status(), VGPU_OK);
    EXPECT_EQ(gpu_->ask(launch("store", {}, module)).status(), VGPU_ERROR_HANDLE);
}

TEST_F(CudaTest, PtxThatDoesNotParseIsSaidWithItsReason) {
    const std::string broken = std::string(kStore).replace(std::strlen(kStore) - 6, 3, "foo");
    const Response response = gpu_->ask(request(VGPU_OP_MODULE_LOAD, {}, text_of(broken)));
    EXPECT_EQ(response.status(), VGPU_ERROR_INVALID_REQUEST);
    EXPECT_THAT(
        std::string(reinterpret_cast<const char*>(response.data.data()), response.data.size()),
        HasSubstr("ptxas"));
    EXPECT_EQ(gpu_->ask(request(VGPU_OP_MODULE_LOAD, {}, Bytes(100))).status(),
              VGPU_ERROR_INVALID_REQUEST);
    EXPECT_FALSE(gpu_->executor->broken());
    EXPECT_EQ(gpu_->ask(spin(1)).status(), VGPU_OK);
}

// Last: it takes the context with it.
TEST_F(CudaTest, ZAnAddressThatIsNoneBreaksTheProcess) {
    const Response loaded = gpu_->ask(request(VGPU_OP_MODULE_LOAD, {}, text_of(kStore)));
    const uint64_t memory = gpu_->alloc(64);
    EXPECT_EQ(gpu_->ask(launch("store", {memory_arg(memory), word_arg(1), value_arg(1ull << 40)},
                               loaded.result64()))
                  .status(),
              VGPU_ERROR_BACKEND);
    EXPECT_TRUE(gpu_->executor->broken());
}

}  // namespace
}  // namespace mimic::mediator::backend
