// SPDX-License-Identifier: Apache-2.0
// Processes of a cuda backend: one a VM, so that what one's code does is nobody else's business.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>

#include "mediator/backend/testing/loop_fixture.h"

namespace mimic::mediator::backend {
namespace {

using namespace testing;  // NOLINT(google-build-using-namespace): of this folder
using ::testing::HasSubstr;

constexpr Owner kGood{1, 10};
constexpr Owner kBad{2, 20};

constexpr std::string_view kCode =
    ".version 6.0\n.target sm_50\n.address_size 64\n"
    ".visible .entry forever()\n{\nNEXT: bra NEXT;\n}\n"
    ".visible .entry wild(.param .u64 at)\n{\n.reg .b64 %rd<2>;\n"
    "ld.param.u64 %rd1, [at]; st.global.u64 [%rd1], %rd1; ret;\n}\n";

class CudaProcessTest : public ::testing::Test {
protected:
    CudaProcessTest() {
        config_.name = "A0";
        config_.kind = CudaBackend{};
        ::setenv("LD_LIBRARY_PATH", MIMIC_FAKE_CUDA, 1);
    }
    ~CudaProcessTest() override {
        if (backend_) backend_->stop();
        ::unsetenv("LD_LIBRARY_PATH");
    }
    void make() {
        auto made = make_backend(config_, {folder_.path(), MIMIC_WORKER, std::chrono::seconds(60)},
                                 *loop_);
        ASSERT_TRUE(made);
        backend_ = std::move(*made);
    }
    void make_ready() {
        make();
        ASSERT_TRUE(until([&] { return backend_->ready(); })) << backend_->state().what;
    }
    bool until(const std::function<bool()>& condition) { return turn_until(*loop_, condition); }
    Done run(const Bytes& request, Owner owner, Duration timeout = std::chrono::seconds(20),
             uint64_t id = 0, bool again = false) {
        // A VM may have to wait for the backend to be ready again.
        EXPECT_TRUE(until([&] { return backend_->ready(); }));
        return run_job(*loop_, *backend_, job_of(request, owner, id, again), timeout);
    }
    uint64_t memory_with(std::vector<uint8_t> values, Owner owner) {
        const auto handle = run(request(VGPU_OP_MEM_ALLOC, words({values.size()})), owner)
                                .response.result64();
        run(request(VGPU_OP_MEM_WRITE, words({handle, 0}),
                    bytes_of(std::span<const uint8_t>(values))),
            owner);
        return handle;
    }
    Done read(uint64_t handle, uint64_t length, Owner owner) {
        return run(request(VGPU_OP_MEM_READ, words({handle, 0, length})), owner);
    }
    uint64_t load_code(Owner owner) {
        return run(request(VGPU_OP_MODULE_LOAD, {},
                           bytes_of(std::span<const char>(kCode.data(), kCode.size()))),
                   owner)
            .response.result64();
    }

    RunFolder folder_;
    std::unique_ptr<EventLoop> loop_ = EventLoop::create().value();
    BackendConfig config_;
    std::unique_ptr<Backend> backend_;
};

TEST_F(CudaProcessTest, AnErrorOfOneVmsCodeIsItsOwn) {
    make_ready();
    EXPECT_THAT(backend_->state().what, HasSubstr("Fake GPU"));
    const uint64_t good = memory_with({1, 2, 3}, kGood);
    const uint64_t bad = memory_with({4}, kBad);
    const Done wild = run(launch("wild", {value_arg(64)}, load_code(kBad)), kBad);
    EXPECT_EQ(wild.error, VGPU_OK);
    EXPECT_EQ(wild.response.status(), VGPU_ERROR_BACKEND);
    // Its process is another one now; that of the other VM is the same.
    EXPECT_EQ(read(bad, 1, kBad).response.status(), VGPU_ERROR_HANDLE);
    EXPECT_EQ(read(good, 3, kGood).response.values<uint8_t>(), (std::vector<uint8_t>{1, 2, 3}));
    EXPECT_EQ(run(spin(1000), kBad).response.status(), VGPU_OK);
}

TEST_F(CudaProcessTest, CodeThatNeverEndsIsEndedWithItsProcess) {
    make_ready();
    const uint64_t good = memory_with({1, 2, 3}, kGood);
    const uint64_t module = load_code(kBad);
    const Done endless = run(launch("forever", {}, module), kBad, std::chrono::milliseconds(50));
    EXPECT_EQ(endless.error, VGPU_ERROR_TIMEOUT);
    EXPECT_EQ(read(good, 3, kGood).response.values<uint8_t>(), (std::vector<uint8_t>{1, 2, 3}));
    EXPECT_EQ(run(launch("forever", {}, module), kBad).response.status(), VGPU_ERROR_HANDLE);
    EXPECT_EQ(run(spin(1000), kBad).response.status(), VGPU_OK);
}

TEST_F(CudaProcessTest, ACancelledJobEndsWithItsProcess) {
    make_ready();
    const uint64_t good = memory_with({1, 2, 3}, kGood);
    const Bytes asked = launch("forever", {}, load_code(kBad));
    std::optional<Done> done;
    start_job(*backend_, job_of(asked, kBad), std::chrono::seconds(60), done);
    loop_->run_once({});
    backend_->cancel();
    ASSERT_TRUE(until([&] { return done.has_value(); }));
    EXPECT_EQ(done->error, VGPU_ERROR_CANCELLED);
    EXPECT_EQ(read(good, 3, kGood).response.values<uint8_t>(), (std::vector<uint8_t>{1, 2, 3}));
}

TEST_F(CudaProcessTest, AProcessStaysWhileAJobOfItsVmRuns) {
    make_ready();
    memory_with({1}, kBad);
    const Owner second{kBad.vm, kBad.session + 1};
    std::optional<Done> done;
    const Bytes asked = request(VGPU_OP_MEM_ALLOC, words({256}));
    start_job(*backend_, job_of(asked, second), std::chrono::seconds(60), done);
    backend_->release(kBad);
    ASSERT_TRUE(until([&] { return done.has_value(); }));
    const uint64_t handle = done->response.result64();
    EXPECT_EQ(read(handle, 1, second).response.status(), VGPU_OK);
    EXPECT_EQ(backend_->owners(), std::vector<Owner>{second});
    // With the last of its VM it goes.
    const uint64_t before = backend_->state().restarts;
    backend_->release(second);
    EXPECT_EQ(read(handle, 1, second).response.status(), VGPU_ERROR_HANDLE);
    EXPECT_TRUE(backend_->owners().empty());
    EXPECT_GE(backend_->state().restarts, before);
}

TEST_F(CudaProcessTest, AllAreFoundByTheNextMediator) {
    make_ready();
    const uint64_t one = memory_with({1}, kGood);
    const uint64_t two = memory_with({2, 2}, kBad);
    const Bytes asked = request(VGPU_OP_MEM_ALLOC, words({256}));
    const Done kept = run(asked, kBad, std::chrono::seconds(20), 5);
    backend_.reset();
    make_ready();
    EXPECT_EQ(backend_->owners(), (std::vector<Owner>{kGood, kBad}));
    EXPECT_EQ(backend_->memory_used(2), 512u);
    EXPECT_EQ(read(one, 1, kGood).response.values<uint8_t>(), std::vector<uint8_t>{1});
    EXPECT_EQ(read(two, 2, kBad).response.values<uint8_t>(), (std::vector<uint8_t>{2, 2}));
    EXPECT_EQ(run(asked, kBad, std::chrono::seconds(20), 5, true).response.result64(),
              kept.response.result64());
}

TEST_F(CudaProcessTest, MemoryIsLimitedOverAllProcesses) {
    config_.memory_bytes = 1 << 20;
    make_ready();
    memory_with(std::vector<uint8_t>(800'000), kGood);
    EXPECT_EQ(run(request(VGPU_OP_MEM_ALLOC, words({400'000})), kBad).response.status(),
              VGPU_ERROR_MEMORY);
    backend_->release(kGood);
    EXPECT_EQ(run(request(VGPU_OP_MEM_ALLOC, words({400'000})), kBad).response.status(), VGPU_OK);
    EXPECT_EQ(backend_->owners(), std::vector<Owner>{kBad});
}

TEST_F(CudaProcessTest, WithoutALibraryItSaysSo) {
    ::setenv("LD_LIBRARY_PATH", "/nowhere", 1);
    make();
    // A machine with a GPU has the library in its own folders.
    EXPECT_TRUE(until([&] {
        return backend_->ready() ||
               backend_->state().what.find("no libcuda: ") != std::string::npos;
    })) << backend_->state().what;
}

TEST_F(CudaProcessTest, WithoutADeviceItSaysSo) {
    ::setenv("FAKE_CUDA_NO_DEVICE", "1", 1);
    make();
    EXPECT_TRUE(until([&] {
        return backend_->state().what.find("CUDA_ERROR_NO_DEVICE (100)") != std::string::npos;
    })) << backend_->state().what;
    EXPECT_FALSE(backend_->ready());
    ::unsetenv("FAKE_CUDA_NO_DEVICE");
}

}  // namespace
}  // namespace mimic::mediator::backend
