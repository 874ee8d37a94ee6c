// SPDX-License-Identifier: Apache-2.0
// Device memory that a client has mapped cannot be taken back from it. Two clients of a mock-accel,
// one after the other: the first keeps its mapping and must have nothing of the second's.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <algorithm>
#include <thread>

#include <gtest/gtest.h>

#include "base/loop_pool.h"
#include "devices/mock_accel/mock_accel.h"
#include "tests/protocol/client.h"
#include "tests/protocol/device_host.h"
#include "vfio_user/server.h"

namespace mimic::test {
namespace {

constexpr uint64_t kSize = 1 << 20;
constexpr uint32_t kBar = mock_accel::kMemoryBar;
constexpr std::string_view kSecret = "NEW-TENANT-SECRET";

class RevokedMemory : public ::testing::Test {
protected:
    RevokedMemory() {
        std::string name = "/tmp/mimic-revoked-XXXXXX";
        EXPECT_NE(::mkdtemp(name.data()), nullptr);
        folder = name;
        LoopPool::run_on(pool->loop(0), [this] {
            context = std::make_unique<vfio_user::LoopContext>(pool->loop(0));
            device = mock_accel::MockAccel::create(
                         {.name = "accel0", .identifier = "A", .memory_bar_bytes = kSize})
                         .value();
            server = vfio_user::Server::create(*context, *device,
                                               {.socket_path = path(), .session = {}})
                         .value();
        });
    }
    ~RevokedMemory() override {
        LoopPool::run_on(pool->loop(0), [this] {
            server.reset();
            device.reset();
        });
        pool.reset();
        ::rmdir(folder.c_str());
    }

    std::string path() const { return folder + "/accel0.sock"; }

    std::unique_ptr<Client> connect() {
        for (;;) {  // the last client's end may still be on its way
            auto client = std::make_unique<Client>(path());
            if (client->negotiate() == 0) {
                enable_device(*client);
                return client;
            }
            std::this_thread::sleep_for(std::chrono::milliseconds(1));
        }
    }

    std::string folder;
    std::unique_ptr<LoopPool> pool = LoopPool::create(1).value();
    std::unique_ptr<vfio_user::LoopContext> context;
    std::unique_ptr<mock_accel::MockAccel> device;
    std::unique_ptr<vfio_user::Server> server;
};

/// What one client holds of BAR2.
struct Kept {
    explicit Kept(Client& client) : fd(std::move(client.region_info(kBar).fd)) {
        EXPECT_TRUE(fd);
        void* const at = ::mmap(nullptr, kSize, PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0);
        EXPECT_NE(at, MAP_FAILED);
        bytes = {static_cast<char*>(at), kSize};
    }
    ~Kept() { ::munmap(bytes.data(), kSize); }
    Kept(const Kept&) = delete;
    Kept& operator=(const Kept&) = delete;

    UniqueFd fd;
    std::span<char> bytes;
};

std::string read_bar(Client& client, uint64_t offset, size_t size) {
    std::string text(size, '\0');
    EXPECT_EQ(client.read(kBar, offset, {reinterpret_cast<uint8_t*>(text.data()), size}), 0);
    return text;
}

void write_bar(Client& client, uint64_t offset, std::string_view text) {
    EXPECT_EQ(
        client.write(kBar, offset, {reinterpret_cast<const uint8_t*>(text.data()), text.size()}),
        0);
}

TEST_F(RevokedMemory, AFormerClientNeitherSeesNorChangesTheNextOnes) {
    auto first = connect();
    const Kept kept(*first);
    write_bar(*first, 0x100, "old");
    EXPECT_EQ(std::string_view(kept.bytes.data() + 0x100, 3), "old");  // it is BAR2
    ASSERT_EQ(first->reset(), 0);
    EXPECT_EQ(kept.bytes[0x100], '\0');
    write_bar(*first, 0x100, "old");  // and still is after a reset
    EXPECT_EQ(std::string_view(kept.bytes.data() + 0x100, 3), "old");
    first.reset();

    auto second = connect();
    EXPECT_EQ(read_bar(*second, 0x100, 3), std::string(3, '\0'));
    const Kept theirs(*second);
    write_bar(*second, 0x100, kSecret);
    std::ranges::copy(kSecret, theirs.bytes.begin() + 0x4000);
    EXPECT_EQ(read_bar(*second, 0x4000, kSecret.size()), kSecret);
    EXPECT_TRUE(std::ranges::all_of(kept.bytes, [](char c) { return c == '\0'; }));
    std::string by_read(kSecret.size(), '\0');
    EXPECT_EQ(::pread(kept.fd.get(), by_read.data(), by_read.size(), 0x100),
              static_cast<ssize_t>(by_read.size()));
    EXPECT_EQ(by_read, std::string(kSecret.size(), '\0'));

    std::ranges::fill(kept.bytes, 'E');
    EXPECT_EQ(::pwrite(kept.fd.get(), "EVIL", 4, 0x100), 4);
    EXPECT_EQ(read_bar(*second, 0x100, kSecret.size()), kSecret);
    EXPECT_EQ(std::string_view(theirs.bytes.data() + 0x4000, kSecret.size()), kSecret);
    EXPECT_EQ(theirs.bytes[0], '\0');
}

// A client that comes again and again and keeps each file has them on its own account only.
TEST_F(RevokedMemory, WhatFormerClientsKeepHasNoPagesOfOurs) {
    std::vector<UniqueFd> kept;
    for (int i = 0; i < 20; ++i) {
        auto client = connect();
        kept.push_back(client->region_info(kBar).fd);
        write_bar(*client, 0, std::string(kSize / 2, 'x'));  // made by the server
        struct stat full {};
        ASSERT_EQ(::fstat(kept.back().get(), &full), 0);
        ASSERT_GT(full.st_blocks, 0);
    }
    connect();  // when it is served, the last one's end has been dealt with
    for (const UniqueFd& fd : kept) {
        struct stat info {};
        ASSERT_EQ(::fstat(fd.get(), &info), 0);
        EXPECT_EQ(info.st_blocks, 0);
    }
}

}  // namespace
}  // namespace mimic::test
