// SPDX-License-Identifier: Apache-2.0
// A virtio device on PCI behind a vfio-user socket: a driver that does all by messages, and clients
// that do what no driver does. The host must go on, and its next client must find a device that
// works.
#include <sys/mman.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <random>

#include <gtest/gtest.h>

#include "base/check.h"
#include "base/loop_pool.h"
#include "memory/mapping.h"
#include "pci/config/pci_regs.h"
#include "tests/protocol/client.h"
#include "tests/protocol/device_host.h"
#include "vfio_user/server.h"
#include "virtio/device.h"
#include "virtio_pci/layout.h"
#include "virtio_pci/testing/echo_device.h"
#include "virtio_pci/virtio_pci.h"

namespace mimic::test {
namespace {

using namespace vfio_user;
using namespace virtio_pci;

constexpr uint64_t kMemory = 0x100000;
constexpr uint64_t kDesc = 0x1000;  // of a ring of 8 entries
constexpr uint64_t kAvail = 0x2000;
constexpr uint64_t kUsed = 0x3000;
constexpr uint64_t kIn = 0x8000;
constexpr uint64_t kOut = 0x9000;
constexpr uint16_t kEntries = 8;

/// An echo device on a loop of its own, and a client that does what it is told.
class VirtioPciTest : public ::testing::Test {
protected:
    VirtioPciTest() {
        std::string folder = "/tmp/mimic-virtio-XXXXXX";
        MIMIC_CHECK(::mkdtemp(folder.data()) != nullptr);
        folder_ = folder;
        pool_ = LoopPool::create(1).value();
        context_ = std::make_unique<LoopContext>(pool_->loop(0));
        on_loop([&] {
            auto made = std::make_unique<EchoDevice>();
            device_ = made.get();
            function_ = create(std::move(made), {.class_code = 0x120000}).value();
            server_ = Server::create(*context_, *function_,
                                     {.socket_path = folder_ + "/echo0.sock", .session = {}})
                          .value();
        });
        connect();
    }
    ~VirtioPciTest() override {
        client_.reset();
        on_loop([&] {
            server_.reset();
            function_.reset();
        });
        pool_.reset();
        ::rmdir(folder_.c_str());
    }

    void on_loop(const std::function<void()>& task) { LoopPool::run_on(pool_->loop(0), task); }

    /// A client with memory, bus mastering, MSI-X and an eventfd for each vector.
    void connect() {
        for (int i = 0; i < 20000; ++i) {
            bool connected = true;
            on_loop([&] { connected = server_->connected(); });
            if (!connected) break;
            ::usleep(1000);
        }
        client_ = std::make_unique<Client>(server_->socket_path());
        MIMIC_CHECK(client_->negotiate() == 0);
        enable_device(*client_);
        enable_msix(*client_);
        memory_ = make_memfd(kMemory);
        guest_ = Mapping::map(memory_.get(), 0, kMemory, PROT_READ | PROT_WRITE).value();
        MIMIC_CHECK(client_->dma_map(0, kMemory, memory_.get()) == 0);
        std::vector<int> fds;
        vectors_.clear();
        for (int i = 0; i < 4; ++i) {
            vectors_.push_back(make_eventfd());
            fds.push_back(vectors_.back().get());
        }
        constexpr uint32_t kMsix = 2, kDataEventfd = 1U << 2, kActionTrigger = 1U << 5;
        MIMIC_CHECK(client_->set_irqs(kDataEventfd | kActionTrigger, kMsix, 0, 4, fds) == 0);
    }

    template <typename T>
    T& guest(uint64_t at) {
        return *reinterpret_cast<T*>(guest_.bytes().data() + at);
    }

    template <typename T>
    void common(uint64_t offset, T value) {
        client_->put<T>(kBar, kCommonOffset + offset, value);
    }
    uint8_t status() { return client_->get<uint8_t>(kBar, kCommonOffset + 0x14); }

    /// From a reset to DRIVER_OK with queue 0.
    bool start() {
        common<uint8_t>(0x14, 0);
        if (status() != 0) return false;
        common<uint8_t>(0x14, 3);
        common<uint32_t>(0x08, 1);
        common<uint32_t>(0x0c, 1);  // VIRTIO_F_VERSION_1
        common<uint8_t>(0x14, 11);
        common<uint16_t>(0x10, 0);
        common<uint16_t>(0x16, 0);
        common<uint16_t>(0x18, kEntries);
        common<uint16_t>(0x1a, 1);
        common<uint64_t>(0x20, kDesc);
        common<uint64_t>(0x28, kAvail);
        common<uint64_t>(0x30, kUsed);
        common<uint16_t>(0x1c, 1);
        common<uint8_t>(0x14, 15);
        std::memset(guest_.bytes().data(), 0, 0x4000);
        return status() == 15;
    }

    void kick() {
        const uint16_t queue = 0;
        client_->post(kBar, kNotifyOffset, {reinterpret_cast<const uint8_t*>(&queue), 2});
    }

    /// Makes the buffer (kIn, kOut) available and kicks.
    void send(uint32_t value) {
        guest<uint32_t>(kIn) = value;
        guest<uint32_t>(kOut) = 0;
        guest<uint64_t>(kDesc) = kIn;
        guest<uint64_t>(kDesc + 8) = 4 | (uint64_t{1} << 32) | (uint64_t{1} << 48);
        guest<uint64_t>(kDesc + 16) = kOut;
        guest<uint64_t>(kDesc + 24) = 4 | (uint64_t{2} << 32);
        auto& index = guest<uint16_t>(kAvail + 2);
        guest<uint16_t>(kAvail + 4 + index % kEntries * 2) = 0;
        ++index;
        kick();
    }

    void expect_works() {
        ASSERT_TRUE(start());
        take_events(vectors_[1].get());
        for (uint32_t i = 1; i <= 20; ++i) {
            send(i);
            ASSERT_GT(wait_events(vectors_[1].get()), 0u);
            ASSERT_EQ(guest<uint32_t>(kOut), i);
        }
    }

    std::string folder_;
    std::unique_ptr<LoopPool> pool_;
    std::unique_ptr<LoopContext> context_;
    std::unique_ptr<pci::Function> function_;
    EchoDevice* device_ = nullptr;
    std::unique_ptr<Server> server_;
    std::unique_ptr<Client> client_;
    UniqueFd memory_;
    Mapping guest_;
    std::vector<UniqueFd> vectors_;
};

TEST_F(VirtioPciTest, AnswersByItsVectorWhatAPostedKickSends) {
    expect_works();
}

TEST_F(VirtioPciTest, NoRegionCanBeMapped) {
    for (uint32_t index = 0; index < kRegionCount; ++index) {
        const auto info = client_->region_info(index);
        EXPECT_EQ(info.body.flags & kRegionFlagMmap, 0u) << index;
        EXPECT_FALSE(info.fd);
    }
}

TEST_F(VirtioPciTest, AnyAccessIsAnswered) {
    std::mt19937 random(1);
    ASSERT_TRUE(start());
    for (int i = 0; i < 3000; ++i) {
        const uint32_t bar = random() % 2;
        const uint64_t end = bar == 0 ? kBarBytes : kMsixBarBytes;
        const uint64_t size = 1 + random() % 8;
        const uint64_t at = random() % (end - size);
        Bytes data(size);
        for (uint8_t& byte : data) byte = static_cast<uint8_t>(random());
        EXPECT_EQ(random() % 2 == 0 ? client_->write(bar, at, data) : client_->read(bar, at, data),
                  0);
    }
    ASSERT_EQ(client_->reset(), 0);
    enable_device(*client_);
    enable_msix(*client_);
    expect_works();
}

TEST_F(VirtioPciTest, LongAccessesCrossEveryStructure) {
    ASSERT_TRUE(start());
    Bytes all(kBarBytes);
    EXPECT_EQ(client_->read(kBar, 0, all), 0);
    EXPECT_EQ(client_->write(kBar, 0, all), 0);
    std::fill(all.begin(), all.end(), uint8_t{0xff});
    EXPECT_EQ(client_->write(kBar, 0, all), 0);
    EXPECT_EQ(client_->write(kBar, 1, Bytes(kBarBytes - 1, 0x55)), 0);
    expect_works();
}

TEST_F(VirtioPciTest, AnyWriteOfConfigurationSpaceIsSurvived) {
    std::mt19937 random(2);
    for (int i = 0; i < 2000; ++i) {
        const uint32_t at = 4 * (random() % 64);
        if (at < 0x40) continue;  // what moves BARs is the client's own
        const auto value = static_cast<uint32_t>(random());
        client_->put<uint32_t>(kRegionConfig, at, i % 3 == 0 ? value : value % 8);
        (void)client_->get<uint32_t>(kRegionConfig, at);
    }
    ASSERT_EQ(client_->reset(), 0);
    enable_device(*client_);
    enable_msix(*client_);
    expect_works();
}

TEST_F(VirtioPciTest, MemoryThatIsUnmappedBreaksTheQueueAndNothingElse) {
    ASSERT_TRUE(start());
    send(1);
    ASSERT_GT(wait_events(vectors_[1].get()), 0u);
    ASSERT_EQ(client_->dma_unmap(0, kMemory), 0);
    send(2);
    EXPECT_GT(wait_events(vectors_[0].get()), 0u);
    EXPECT_EQ(status() & virtio::kNeedsReset, virtio::kNeedsReset);
    ASSERT_EQ(client_->dma_map(0, kMemory, memory_.get()), 0);
    expect_works();
}

TEST_F(VirtioPciTest, MemoryThatIsTruncatedIsSurvived) {
    ASSERT_TRUE(start());
    send(1);
    ASSERT_GT(wait_events(vectors_[1].get()), 0u);
    ASSERT_EQ(::ftruncate(memory_.get(), 0), 0);
    for (int i = 0; i < 10; ++i) kick();
    (void)status();
    client_.reset();
    connect();
    expect_works();
}

TEST_F(VirtioPciTest, AClientThatGoesLeavesNoBufferBehind) {
    on_loop([&] { device_->held = true; });
    ASSERT_TRUE(start());
    send(1);
    (void)status();  // the kick has been served
    on_loop([&] { EXPECT_TRUE(function_->at_work()); });
    client_.reset();
    connect();
    on_loop([&] {
        EXPECT_FALSE(function_->at_work());
        device_->held = false;
        device_->release();
    });
    expect_works();
}

TEST_F(VirtioPciTest, AResetBetweenKickAndAnswerDropsTheAnswer) {
    on_loop([&] { device_->held = true; });
    ASSERT_TRUE(start());
    send(7);
    common<uint8_t>(0x14, 0);
    EXPECT_EQ(status(), 0);
    on_loop([&] {
        device_->held = false;
        device_->release();
    });
    EXPECT_EQ(guest<uint32_t>(kOut), 0u);
    EXPECT_EQ(guest<uint16_t>(kUsed + 2), 0u);
    expect_works();
}

}  // namespace
}  // namespace mimic::test
