// SPDX-License-Identifier: Apache-2.0
// A process without a descriptor left: whose fault it is not is told, and stays connected.
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <array>
#include <cstring>

#include <gtest/gtest.h>

#include "tests/protocol/device_host.h"

// UBSan opens a pipe to look at an object of a class that it has not seen yet, and takes it for a
// bad one where it cannot. So that check, and no other, is off in this program.
extern "C" {
// NOLINTBEGIN(bugprone-reserved-identifier): the run-time library's own names
void __ubsan_handle_dynamic_type_cache_miss(void*, uintptr_t, uintptr_t) {}
void __ubsan_handle_dynamic_type_cache_miss_abort(void*, uintptr_t, uintptr_t) {}
// NOLINTEND(bugprone-reserved-identifier)
}

namespace mimic::test {
namespace {

using namespace vfio_user;

/// While it lives, this process can make and receive no descriptor. Those that are open work on.
class NoDescriptors {
public:
    NoDescriptors() {
        EXPECT_EQ(::getrlimit(RLIMIT_NOFILE, &before_), 0);
        // The lowest number that is free: all below are open, and not closed meanwhile.
        UniqueFd next(::dup(STDERR_FILENO));
        rlimit none = before_;
        none.rlim_cur = static_cast<rlim_t>(next.get());
        next.reset();
        EXPECT_EQ(::setrlimit(RLIMIT_NOFILE, &none), 0);
    }
    ~NoDescriptors() { EXPECT_EQ(::setrlimit(RLIMIT_NOFILE, &before_), 0); }
    NoDescriptors(const NoDescriptors&) = delete;
    NoDescriptors& operator=(const NoDescriptors&) = delete;

private:
    rlimit before_{};
};

constexpr uint32_t kAttach = kIrqDataEventfd | kIrqActionTrigger;

struct ExhaustedTest : ::testing::Test {
    DeviceHost host;
    std::unique_ptr<Client> client = host.client();
    UniqueFd memory = make_memfd(0x10000);
    UniqueFd event = make_eventfd();
};

TEST_F(ExhaustedTest, MessagesWhoseDescriptorsDoNotArriveFailAndTheConnectionStays) {
    {
        const NoDescriptors none;
        EXPECT_EQ(client->dma_map(0, 0x10000, memory.get()), EMFILE);
        EXPECT_EQ(client->set_irqs(kAttach, kIrqMsix, 3, 1, {event.get()}), EMFILE);
        EXPECT_EQ(client->set_irqs(kAttach, kIrqMsix, 0, 4,
                                   {event.get(), event.get(), event.get(), event.get()}),
                  EMFILE);
        EXPECT_EQ(client->put(0, kScratch, 0x1234u), 0);
        EXPECT_EQ(run_dma(*client, kStartRead, 0, 16), kDmaFailed | EFAULT) << "nothing is mapped";
    }
    EXPECT_EQ(client->get(0, kScratch), 0x1234u);
    EXPECT_EQ(client->dma_map(0, 0x10000, memory.get()), 0);
    EXPECT_EQ(run_dma(*client, kStartWrite, 0, 16), kDmaDone);
    EXPECT_EQ(client->set_irqs(kAttach, kIrqMsix, 3, 1, {event.get()}), 0);
    EXPECT_EQ(client->put(0, kInterrupt, 3u), 0);
    EXPECT_EQ(take_events(event.get()), 1u);
    EXPECT_EQ(host.counters().protocol_faults, 0u);
}

// QEMU maps with NO_REPLY, and would never hear of an error.
TEST_F(ExhaustedTest, APostedMapIsReachedByMessages) {
    client->memory.assign(0x1000, 2);
    {
        const NoDescriptors none;
        ASSERT_TRUE(client->raw().send(posted(map_request(0, 0x1000, memory.get()))));
        EXPECT_EQ(client->get(0, kScratch), 0u);
    }
    EXPECT_EQ(run_dma(*client, kStartRead, 0, 0x10), kDmaDone);
    EXPECT_EQ(client->get(0, kDmaSum), 0x20u);
    EXPECT_EQ(client->served, 1u);
}

// In one send with messages before and behind it, cut where it hurts.
TEST_F(ExhaustedTest, OnlyTheMessageThatLostThemFails) {
    const Request first = read_request(0, kScratch, 4);
    const Request map = map_request(0, 0x10000, memory.get());
    const Request last = read_request(0, kScratch, 8);
    const Bytes all = first.bytes() + map.bytes() + last.bytes();
    const std::vector<int> fds = {memory.get()};
    const NoDescriptors none;
    ASSERT_TRUE(client->raw().send_bytes(std::span(all).first(40), fds));
    ASSERT_TRUE(client->raw().send_bytes(std::span(all).subspan(40)));
    std::array<int, 3> errors{-1, -1, -1};
    for (int& error : errors)
        if (const auto reply = client->raw().receive()) error = reply->error();
    EXPECT_EQ(errors, (std::array{0, EMFILE, 0}));
}

// The reply with BAR1's descriptor has to wait for room in the socket, and cannot be kept.
TEST_F(ExhaustedTest, AReplyWhoseDescriptorCannotBeKeptIsAnError) {
    constexpr size_t kAsked = 2000;
    Request info(
        Command::kDeviceGetRegionInfo,
        bytes_of(RegionInfoBody{
            .argsz = 256, .flags = 0, .index = 1, .cap_offset = 0, .size = 0, .offset = 0}));
    Bytes burst;
    for (size_t i = 0; i < kAsked; ++i) burst = std::move(burst) + info.bytes();
    size_t errors = 0;
    {
        const NoDescriptors none;
        const uint64_t messages_before = host.counters().messages;
        ASSERT_TRUE(client->raw().send_bytes(burst));
        // Only when it waits for room has the server stopped answering.
        while (host.counters().errors == 0 && host.counters().messages - messages_before < kAsked) {
        }
        errors = host.counters().errors;
    }
    EXPECT_GT(errors, 0u);
    size_t refused = 0;
    for (size_t i = 0; i < kAsked; ++i) {
        const auto reply = client->raw().receive();
        ASSERT_TRUE(reply) << i;
        refused += reply->error() == EMFILE ? 1 : 0;
    }
    EXPECT_GE(refused, errors);
    EXPECT_EQ(host.counters().protocol_faults, 0u);
}

// A client that cannot be accepted waits in the queue, and is served once there is room.
TEST_F(ExhaustedTest, AClientThatCannotBeAcceptedIsServedLater) {
    client.reset();
    ASSERT_TRUE(host.wait_idle());
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    ASSERT_LT(host.path().size(), sizeof address.sun_path);
    std::memcpy(address.sun_path, host.path().data(), host.path().size());
    UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    {
        const NoDescriptors none;
        ASSERT_EQ(
            ::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address),
            0);
        bool connected = true;
        for (int i = 0; i < 10; ++i)
            host.on_loop(0, [&] { connected = host.server().connected(); });
        EXPECT_FALSE(connected);
    }
    Client next(std::move(socket));
    EXPECT_EQ(next.negotiate(), 0);
    EXPECT_EQ(next.get<uint16_t>(kRegionConfig, 0), 0x1de5);
}

}  // namespace
}  // namespace mimic::test
