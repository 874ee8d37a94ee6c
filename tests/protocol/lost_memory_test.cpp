// SPDX-License-Identifier: Apache-2.0
// A ring of a mock-accel whose client truncates the file behind its memory in mid-ring: the driver
// must see that data are lost, and so must whoever reads the log.
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <thread>

#include <gtest/gtest.h>

#include "base/check.h"
#include "base/loop_pool.h"
#include "devices/mock_accel/descriptor.h"
#include "devices/mock_accel/mock_accel.h"
#include "devices/mock_accel/registers.h"
#include "tests/protocol/client.h"
#include "tests/protocol/device_host.h"
#include "vfio_user/server.h"

namespace mimic::test {
namespace {

using namespace vfio_user;
using mock_accel::Code;
using mock_accel::Completion;
using mock_accel::Descriptor;

constexpr uint64_t kMemory = 0x100000;
constexpr uint64_t kRing = 0;
constexpr uint64_t kCompletions = 0x1000;
constexpr uint64_t kData = 0x10000;    // stays
constexpr uint64_t kSource = 0x80000;  // goes first

class LostMemoryTest : public ::testing::Test {
protected:
    LostMemoryTest() {
        std::string folder = "/tmp/mimic-lost-XXXXXX";
        MIMIC_CHECK(::mkdtemp(folder.data()) != nullptr);
        folder_ = folder;
        pool_ = LoopPool::create(1).value();
        context_ = std::make_unique<LoopContext>(pool_->loop(0));
        LoopPool::run_on(pool_->loop(0), [&] {
            device_ = mock_accel::MockAccel::create({.name = "accel0", .identifier = "LOST"})
                          .value();
            server_ = Server::create(*context_, *device_,
                                     {.socket_path = folder_ + "/accel0.sock", .session = {}})
                          .value();
        });
        client_ = std::make_unique<Client>(server_->socket_path());
        MIMIC_CHECK(client_->negotiate() == 0);
        enable_device(*client_);
        MIMIC_CHECK(client_->dma_map(0, kMemory, memory_.get()) == 0);
    }
    ~LostMemoryTest() override {
        client_.reset();
        LoopPool::run_on(pool_->loop(0), [&] {
            server_.reset();
            device_.reset();
        });
        pool_.reset();
        ::rmdir(folder_.c_str());
    }

    void enable_ring() {
        client_->put<uint64_t>(0, mock_accel::RING_BASE.offset, kRing);
        client_->put<uint64_t>(0, mock_accel::COMPLETION_BASE.offset, kCompletions);
        client_->put<uint32_t>(0, mock_accel::RING_ORDER.offset, 6);
        client_->put<uint32_t>(0, mock_accel::RING_CONTROL.offset, 1);
    }
    // Descriptor `index` copies 64 bytes.
    void put(uint32_t index, uint64_t from, uint64_t to) {
        const Descriptor descriptor{.opcode = mock_accel::kOpcodeCopy,
                                    .length = 64,
                                    .source = from,
                                    .destination = to,
                                    .cookie = index};
        ASSERT_EQ(::pwrite(memory_.get(), &descriptor, sizeof descriptor,
                           static_cast<off_t>(kRing + index * sizeof descriptor)),
                  static_cast<ssize_t>(sizeof descriptor));
    }
    Code status(uint32_t index) {
        Completion completion;
        const auto at = static_cast<off_t>(kCompletions + index * sizeof completion);
        if (::pread(memory_.get(), &completion, sizeof completion, at) != sizeof completion)
            return Code::kAborted;
        EXPECT_EQ(completion.phase, 1) << index;
        return static_cast<Code>(completion.status);
    }
    uint32_t ring_status() { return client_->get(0, mock_accel::RING_STATUS.offset); }
    void doorbell(uint32_t tail) { client_->put(0, mock_accel::RING_TAIL.offset, tail); }
    // Until the ring has come to `head`, or halted.
    bool wait_head(uint32_t head) {
        for (int i = 0; i < 20000; ++i) {
            if (client_->get(0, mock_accel::RING_HEAD.offset) == head) return true;
            std::this_thread::sleep_for(std::chrono::milliseconds(1));
        }
        return false;
    }

    UniqueFd memory_ = make_memfd(kMemory);
    std::string folder_;
    std::unique_ptr<LoopPool> pool_;
    std::unique_ptr<LoopContext> context_;
    std::unique_ptr<mock_accel::MockAccel> device_;
    std::unique_ptr<Server> server_;
    std::unique_ptr<Client> client_;
};

TEST_F(LostMemoryTest, CopiesOfLostDataCompleteWithAFaultAndTheOthersDoNot) {
    enable_ring();
    for (uint32_t i = 0; i < 2; ++i) put(i, kSource + i * 0x1000, kData);
    doorbell(2);
    ASSERT_TRUE(wait_head(2));
    EXPECT_EQ(status(1), Code::kOk);
    EXPECT_EQ(ring_status(), 0u);

    ASSERT_EQ(::ftruncate(memory_.get(), kSource), 0);
    put(2, kData, kData + 0x1000);
    put(3, kSource, kData + 0x2000);
    put(4, kData, kSource + 0x3000);
    put(5, kSource, kData + 0x2000);  // the page that now reads as zeros
    put(6, kData, kData + 0x1000);
    testing::internal::CaptureStderr();
    doorbell(7);
    ASSERT_TRUE(wait_head(7));
    const std::string log = testing::internal::GetCapturedStderr();
    EXPECT_EQ(status(2), Code::kOk);
    EXPECT_EQ(status(3), Code::kReadFault);
    EXPECT_EQ(status(4), Code::kWriteFault);
    EXPECT_EQ(status(5), Code::kReadFault);
    EXPECT_EQ(status(6), Code::kOk);
    EXPECT_EQ(ring_status() & 1, 0u) << "not halted";
    EXPECT_NE(ring_status(), 0u);
    EXPECT_NE(log.find("accel0: the client took away memory that it had mapped"), std::string::npos)
        << log;
}

// However many descriptors there are, the log stays short.
TEST_F(LostMemoryTest, TheLogIsLimited) {
    enable_ring();
    for (uint32_t i = 0; i < 64; ++i) put(i, kSource + i * 64, kData);
    ASSERT_EQ(::ftruncate(memory_.get(), kSource), 0);
    testing::internal::CaptureStderr();
    doorbell(64);
    ASSERT_TRUE(wait_head(64));
    const std::string log = testing::internal::GetCapturedStderr();
    const auto lines = std::count(log.begin(), log.end(), '\n');
    EXPECT_GE(lines, 1);
    EXPECT_LT(lines, 40) << "five a second, and the test takes less than eight";
}

TEST_F(LostMemoryTest, ARingThatIsLostItselfHalts) {
    enable_ring();
    put(0, kSource, kData);
    ASSERT_EQ(::ftruncate(memory_.get(), 0), 0);
    doorbell(1);
    for (int i = 0; i < 20000 && ring_status() == 0; ++i)
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    EXPECT_EQ(ring_status() & 1, 1u) << "halted";
    EXPECT_EQ(client_->get(0, mock_accel::RING_HEAD.offset), 0u);
}

// The attack that ended the process: one region of 34,000 times 8 KiB, truncated, of which a ring
// touches every other page. One page each would be more mappings than a process may have.
TEST_F(LostMemoryTest, AVeryLongListOfLostPagesHarmsNobody) {
    constexpr uint32_t kCopies = 34000;
    constexpr uint64_t kStride = 0x2000;
    constexpr uint64_t kRings = uint64_t{1} << 40;
    constexpr uint64_t kFar = uint64_t{1} << 41;
    const UniqueFd rings = make_memfd(0x400000);
    const UniqueFd far = make_memfd(kCopies * kStride);
    ASSERT_EQ(client_->dma_map(kRings, 0x400000, rings.get()), 0);
    ASSERT_EQ(client_->dma_map(kFar, kCopies * kStride, far.get()), 0);
    std::vector<Descriptor> descriptors(kCopies);
    for (uint32_t i = 0; i < kCopies; ++i)
        descriptors[i] = {.opcode = mock_accel::kOpcodeCopy,
                          .length = 8,
                          .source = kFar + i * kStride,
                          .destination = kData,
                          .cookie = i};
    const size_t bytes = descriptors.size() * sizeof(Descriptor);
    ASSERT_EQ(::pwrite(rings.get(), descriptors.data(), bytes, 0), static_cast<ssize_t>(bytes));
    ASSERT_EQ(::ftruncate(far.get(), 0), 0);
    client_->put<uint64_t>(0, mock_accel::RING_BASE.offset, kRings);
    client_->put<uint64_t>(0, mock_accel::COMPLETION_BASE.offset, kRings + 0x200000);
    client_->put<uint32_t>(0, mock_accel::RING_ORDER.offset, 16);
    client_->put<uint32_t>(0, mock_accel::RING_CONTROL.offset, 1);
    doorbell(kCopies);
    ASSERT_TRUE(wait_head(kCopies));
    std::vector<Completion> completions(kCopies);
    ASSERT_EQ(::pread(rings.get(), completions.data(), kCopies * sizeof(Completion), 0x200000),
              static_cast<ssize_t>(kCopies * sizeof(Completion)));
    for (const Completion& completion : completions)
        ASSERT_EQ(completion.status, static_cast<uint16_t>(Code::kReadFault)) << completion.cookie;
    // The other memory of the same client is as it was.
    enable_ring();
    put(0, kSource, kData);
    client_->put<uint32_t>(0, mock_accel::RING_CONTROL.offset, 0);
    enable_ring();
    doorbell(1);
    ASSERT_TRUE(wait_head(1));
    EXPECT_EQ(status(0), Code::kOk);
}

}  // namespace
}  // namespace mimic::test
