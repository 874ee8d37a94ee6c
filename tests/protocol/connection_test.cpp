// SPDX-License-Identifier: Apache-2.0
// The life of connections: cut at every byte, slow, silent, many, second ones; what the function is
// like afterwards.
#include <poll.h>
#include <sys/socket.h>

#include <atomic>
#include <bit>
#include <thread>

#include <gtest/gtest.h>

#include "tests/protocol/device_host.h"

namespace mimic::test {
namespace {

using namespace vfio_user;
using namespace std::chrono_literals;

constexpr uint32_t kConnectEvent = kIrqDataEventfd | kIrqActionTrigger;

const Bytes& version_bytes() {
    static const Bytes bytes = version_request().bytes();
    return bytes;
}

// One message of each kind that has something to cut.
std::vector<Request> messages(int memory, int event) {
    const Bytes data(8, 1);
    return {
        map_request(0x1000, 4096, memory),
        unmap_request(0x1000, 4096),
        Request(Command::kDeviceGetInfo, bytes_of(DeviceInfoBody{16, 0, 0, 0})),
        Request(Command::kDeviceGetRegionInfo, bytes_of(RegionInfoBody{96, 0, 1, 0, 0, 0})),
        irqs_request(kConnectEvent, kIrqMsix, 0, 1, {event}),
        read_request(0, 0, 4),
        write_request(0, 0, data),
        Request(Command::kRegionWriteMulti, bytes_of(uint64_t{1}, WriteMultiEntry{0, 0, 4, {}})),
        Request(Command::kDeviceReset, {}),
        Request(Command::kDeviceFeature, bytes_of(DeviceFeatureBody{8, 1 | kFeatureGet}))};
}

TEST(Connection, CutAfterEveryByteOfEveryMessageLeavesAServerThatServes) {
    DeviceHost host;
    const UniqueFd memory = make_memfd(4096);
    const UniqueFd event = make_eventfd();
    const size_t before = open_descriptors();
    unsigned cuts = 0;
    for (const Request& message : messages(memory.get(), event.get())) {
        const Bytes bytes = message.bytes();
        for (size_t n = 0; n <= bytes.size(); ++n, ++cuts) {
            RawClient raw(host.path());
            ASSERT_TRUE(raw.send_bytes(version_bytes()));
            if (n != 0) {
                ASSERT_TRUE(raw.send_bytes(std::span(bytes).first(n), message.fds));
            }
        }
    }
    for (size_t n = 0; n < version_bytes().size(); ++n, ++cuts) {
        RawClient raw(host.path());
        ASSERT_TRUE(raw.send_bytes(std::span(version_bytes()).first(n)));
    }
    // Behind the last of them, which may still wait to be accepted when nobody is connected.
    host.client();
    ASSERT_TRUE(host.wait_idle());
    EXPECT_EQ(open_descriptors(), before);
    auto client = host.client();
    EXPECT_EQ(client->get<uint16_t>(kRegionConfig, 0), 0x1de5);
    EXPECT_GE(host.counters().connections, 1u);
}

TEST(Connection, OneByteAtATimeIsServed) {
    DeviceHost host;
    RawClient raw(host.path());
    Request read = read_request(kRegionConfig, 0, 2);
    const Bytes all = version_bytes() + read.bytes();
    for (const uint8_t byte : all) ASSERT_TRUE(raw.send_bytes({&byte, 1}));
    ASSERT_TRUE(raw.receive());
    const auto reply = raw.receive();
    ASSERT_TRUE(reply);
    EXPECT_EQ(reply->payload.size(), 18u);
}

TEST(Connection, PipelinedRequestsAreAnsweredInOrder) {
    DeviceHost host;
    auto client = host.client();
    Bytes burst;
    for (uint16_t i = 0; i < 2000; ++i) {
        Request read = read_request(0, kScratch, 4);
        read.header.id = static_cast<uint16_t>(i + 60000);  // wraps, as QEMU's do
        burst = std::move(burst) + read.bytes();
    }
    std::thread sender([&] { client->raw().send_bytes(burst); });
    for (uint16_t i = 0; i < 2000; ++i) {
        const auto reply = client->raw().receive();
        ASSERT_TRUE(reply);
        ASSERT_EQ(reply->header.id, static_cast<uint16_t>(i + 60000));
    }
    sender.join();
}

// All that a client ever sends is there before the loop looks, and then it stops sending: one edge
// of an edge-triggered socket for reads that end at descriptors, large bursts, and the end.
TEST(Connection, NothingIsLostOfWhatCameBeforeTheLoopLooked) {
    DeviceHost host;
    const UniqueFd memory = make_memfd(4 * 4096);
    RawClient raw(host.path());
    constexpr uint64_t kMaps = 4;
    const Bytes value(4, 1);
    Request posted = write_request(0, 0, value);
    posted.header.flags |= kFlagNoReply;
    Bytes burst;
    while (burst.size() < 100'000) burst = std::move(burst) + posted.bytes();  // several reads
    host.on_loop(0, [&] {
        EXPECT_TRUE(raw.send_bytes(version_bytes()));
        for (uint64_t i = 0; i < kMaps; ++i)
            EXPECT_TRUE(raw.send(map_request(i * 4096, 4096, memory.get())));
        EXPECT_TRUE(raw.send_bytes(burst));
        EXPECT_TRUE(raw.send(read_request(kRegionConfig, 0, 2)));
        EXPECT_EQ(::shutdown(raw.fd(), SHUT_WR), 0);
    });
    ASSERT_TRUE(raw.receive());  // VERSION
    for (uint64_t i = 0; i < kMaps; ++i) {
        const auto reply = raw.receive();
        ASSERT_TRUE(reply);
        EXPECT_EQ(reply->error(), 0);
    }
    const auto read = raw.receive();
    ASSERT_TRUE(read);
    EXPECT_EQ(read->payload.size(), 18u);
    EXPECT_TRUE(raw.closed_by_peer());
    EXPECT_EQ(host.counters().region_writes, burst.size() / posted.bytes().size());
}

// The same with more replies than the socket holds: held back, resumed in turns, then the end.
TEST(Connection, AClientThatStopsSendingGetsAllReplies) {
    DeviceHost host;
    RawClient raw(host.path());
    constexpr unsigned kReads = 400;  // 1.6 MB of replies
    Bytes requests = version_bytes();
    for (unsigned i = 0; i < kReads; ++i)
        requests = std::move(requests) + read_request(kRegionConfig, 0, 4096).bytes();
    host.on_loop(0, [&] {
        EXPECT_TRUE(raw.send_bytes(requests));
        EXPECT_EQ(::shutdown(raw.fd(), SHUT_WR), 0);
    });
    ASSERT_TRUE(raw.receive());  // VERSION
    for (unsigned i = 0; i < kReads; ++i) {
        const auto reply = raw.receive();
        ASSERT_TRUE(reply) << i;
        ASSERT_EQ(reply->payload.size(), 16u + 4096u);
    }
    EXPECT_TRUE(raw.closed_by_peer());
}

TEST(Connection, PeerWithoutVersionIsDroppedInTime) {
    DeviceHost host(2, 1, {.handshake_timeout = 50ms});
    RawClient silent(host.path(0));
    RawClient slow(host.path(1));
    slow.send_bytes(std::span(version_bytes()).first(10));  // it may be too late for that already
    EXPECT_TRUE(silent.closed_by_peer());
    EXPECT_TRUE(slow.closed_by_peer());
    EXPECT_EQ(host.counters(1).protocol_faults, 1u);
    const auto client = host.patient_client();
    EXPECT_NE(client->get(kRegionConfig, 0), UINT32_MAX);
}

// The start of a message holds the device no longer than it takes honest clients to send the rest,
// however slowly more of it comes.
TEST(Connection, HalfAMessageIsDroppedInTime) {
    DeviceHost host(3, 1, {.message_timeout = 200ms});
    auto header_only = host.client(0);
    auto trickling = host.client(1);
    auto large = host.client(2);
    const Bytes data(40'000, 1);
    const Bytes message = write_request(2, 0, data).bytes();
    ASSERT_TRUE(header_only->raw().send_bytes(std::span(message).first(7)));
    ASSERT_TRUE(large->raw().send_bytes(std::span(message).first(39'000)));
    std::atomic<bool> stop{false};
    std::thread drips([&] {
        for (size_t i = 0; i < message.size() - 1 && !stop; ++i) {
            if (!trickling->raw().send_bytes(std::span(message).subspan(i, 1))) break;
            std::this_thread::sleep_for(5ms);
        }
    });
    EXPECT_TRUE(header_only->raw().closed_by_peer());
    EXPECT_TRUE(large->raw().closed_by_peer());
    EXPECT_TRUE(trickling->raw().closed_by_peer());
    stop = true;
    drips.join();
    for (unsigned device = 0; device < 3; ++device) {
        ASSERT_TRUE(host.wait_idle(device));
        EXPECT_EQ(host.counters(device).protocol_faults, 1u);
        EXPECT_NE(host.client(device)->get(kRegionConfig, 0), UINT32_MAX);  // the next is served
    }
}

// Each message has its own time: pieces in a row are not one long half.
TEST(Connection, ManyMessagesInPiecesAreNotOneHalfMessage) {
    constexpr auto kTimeout = 300ms;
    DeviceHost host(1, 1, {.message_timeout = kTimeout});
    const Bytes read = read_request(kRegionConfig, 0, 2).bytes();
    const Bytes next = Bytes(read.begin() + 8, read.end()) + std::span(read).first(8);
    for (unsigned busy = 0;; ++busy) {
        ASSERT_LT(busy, 50u);
        auto client = host.client();
        ASSERT_TRUE(client->raw().send_bytes(std::span(read).first(8)));
        const auto start = std::chrono::steady_clock::now();
        auto sent = start;
        auto longest = sent - sent;  // that we left a message half sent
        bool open = true;
        while (open && sent - start < 2 * kTimeout) {
            open = client->raw().send_bytes(next);
            const auto now = std::chrono::steady_clock::now();
            longest = std::max(longest, now - sent);
            sent = now;
            open = open && client->raw().receive().has_value();
        }
        if (open) {
            EXPECT_EQ(host.counters().protocol_faults, busy);
            return;
        }
        ASSERT_GE(longest, kTimeout);  // a busy machine held us up: once more
        client.reset();
        ASSERT_TRUE(host.wait_idle());
    }
}

// A peer that leaves its replies unread makes us stop reading: what then lies half in the socket is
// our doing.
TEST(Connection, RequestsThatWaitForTheReaderAreNotHalfMessages) {
    DeviceHost host(1, 1, {.message_timeout = 1ms});
    std::unique_ptr<Client> client;
    do client = host.client();
    while (client->server_minor() == 0xffff);
    Bytes burst;
    for (int i = 0; i < 20; ++i) burst = std::move(burst) + read_request(2, 0, 1 << 20).bytes();
    ASSERT_TRUE(client->raw().send_bytes(burst));
    pollfd closed{client->raw().fd(), POLLRDHUP, 0};
    EXPECT_EQ(::poll(&closed, 1, 50), 0);
    for (int i = 0; i < 20; ++i) ASSERT_TRUE(client->raw().receive()) << i;
}

// Five lines a second for ever, once.
TEST(Connection, APeerThatConnectsInALoopFillsNoLog) {
    DeviceHost host;
    ::testing::internal::CaptureStderr();
    const auto start = std::chrono::steady_clock::now();
    for (int i = 0; i < 300; ++i) {
        RawClient raw(host.path());
        ASSERT_TRUE(raw.send(read_request(0, 0, 4)));
        EXPECT_TRUE(raw.closed_by_peer());
        ASSERT_TRUE(host.wait_idle());
    }
    const auto seconds = std::chrono::ceil<std::chrono::seconds>(std::chrono::steady_clock::now() -
                                                                 start);
    // And it hides nothing of another kind.
    auto first = host.client();
    RawClient second(host.path());
    EXPECT_TRUE(second.closed_by_peer());
    const std::string log = ::testing::internal::GetCapturedStderr();
    const auto lines = [&log](std::string_view text) {
        size_t count = 0;
        for (size_t at = log.find(text); at != std::string::npos; at = log.find(text, at + 1))
            ++count;
        return count;
    };
    // A burst of 5, and one each time that the time since doubles.
    const auto most = 5 +
                      static_cast<size_t>(std::bit_width(static_cast<uint64_t>(seconds.count())));
    EXPECT_GE(lines("closed the connection"), 5u);
    EXPECT_LE(lines("closed the connection"), most);
    EXPECT_LE(lines("refused with errno"), most);
    EXPECT_EQ(lines("turned a second client away"), 1u);
}

TEST(Connection, NegotiatedClientMayBeSilentBeyondTheHandshakeTimeout) {
    DeviceHost host(1, 1, {.handshake_timeout = 1ms});
    const auto client = host.patient_client();
    pollfd closed{client->raw().fd(), POLLRDHUP, 0};
    EXPECT_EQ(::poll(&closed, 1, 30), 0);
    EXPECT_NE(client->get(kRegionConfig, 0), UINT32_MAX);
}

TEST(Connection, SecondClientIsTurnedAwayAndTheFirstUnaffected) {
    DeviceHost host;
    auto first = host.client();
    ASSERT_EQ(first->put(0, kScratch, 0x1234u), 0);
    for (int i = 0; i < 40; ++i) {
        RawClient second(host.path());
        EXPECT_TRUE(second.closed_by_peer());
    }
    EXPECT_EQ(first->get(0, kScratch), 0x1234u);
    EXPECT_EQ(host.counters().connections, 1u);
}

TEST(Connection, NextClientIsServedAlthoughTheLastLeftMessagesBehind) {
    DeviceHost host;
    const Bytes data(4, 7);
    for (int round = 0; round < 20; ++round) {
        auto client = std::make_unique<Client>(host.path());
        ASSERT_EQ(client->negotiate(), 0) << round;
        // More than one receive's worth of posted writes, then gone: the loop sees both sockets
        // ready at once.
        Bytes burst;
        for (int i = 0; i < 3000; ++i)
            burst = std::move(burst) + posted(write_request(0, kScratch, data)).bytes();
        host.on_loop(0, [] {});
        ASSERT_TRUE(client->raw().send_bytes(burst));
    }
}

TEST(Connection, EofResetsTheFunctionAndDropsMemoryAndInterrupts) {
    DeviceHost host;
    const UniqueFd memory = make_memfd(4096);
    const UniqueFd event = make_eventfd();
    auto client = host.client();
    ASSERT_EQ(client->dma_map(0, 4096, memory.get()), 0);
    ASSERT_EQ(client->set_irqs(kConnectEvent, kIrqMsix, 0, 1, {event.get()}), 0);
    ASSERT_EQ(client->put(0, kScratch, 0x55u), 0);
    ASSERT_EQ(client->put(0, kInterrupt, 0u), 0);
    EXPECT_EQ(take_events(event.get()), 1u);
    client.reset();
    ASSERT_TRUE(host.wait_idle());
    EXPECT_EQ(host.toy().detaches, 1u);

    client = host.client();
    EXPECT_EQ(client->get(0, kScratch), 0u);
    EXPECT_EQ(run_dma(*client, kStartRead, 0, 16), kDmaFailed | EFAULT);
    ASSERT_EQ(client->put(0, kInterrupt, 0u), 0);
    EXPECT_EQ(take_events(event.get()), 0u);
}

TEST(Connection, TwoHundredReconnectsLeakNothing) {
    DeviceHost host;
    const UniqueFd memory = make_memfd(0x10000);
    const UniqueFd event = make_eventfd();
    ASSERT_TRUE(host.wait_idle());
    const size_t before = open_descriptors();
    for (int i = 0; i < 200; ++i) {
        auto client = host.client();
        ASSERT_EQ(client->server_minor(), 0) << i;
        ASSERT_EQ(client->dma_map(0, 0x10000, memory.get()), 0);
        ASSERT_EQ(client->dma_map(0x100000, 0x10000), 0);
        ASSERT_EQ(client->set_irqs(kConnectEvent, kIrqMsix, 0, 2, {event.get(), event.get()}), 0);
        ASSERT_EQ(
            client->set_irqs(kIrqDataEventfd | kIrqActionUnmask, kIrqIntx, 0, 1, {event.get()}), 0);
        ASSERT_TRUE(client->region_info(1).fd);
        if (i % 2 == 0) (void)client->raw().send_bytes(Bytes(7), std::vector<int>{memory.get()});
    }
    ASSERT_TRUE(host.wait_idle());
    EXPECT_EQ(open_descriptors(), before);
    EXPECT_EQ(host.toy().detaches, 200u);
}

TEST(Connection, PeerThatNeverReadsIsHeldBackAndOthersAreServed) {
    DeviceHost host(2);
    auto greedy = host.client(0);
    // 2,000 reads of 1 MiB: the server must stop taking them, or keep 2 GiB of replies.
    Bytes burst;
    for (int i = 0; i < 2000; ++i) burst = std::move(burst) + read_request(2, 0, 1 << 20).bytes();
    ::send(greedy->raw().fd(), burst.data(), burst.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    auto other = host.client(1);
    for (int i = 0; i < 100; ++i) ASSERT_NE(other->get(kRegionConfig, 0), UINT32_MAX);
    EXPECT_LT(host.counters(0).region_reads, 100u);
    // It may still change its mind.
    for (int i = 0; i < 10; ++i) {
        const auto reply = greedy->raw().receive();
        ASSERT_TRUE(reply);
        ASSERT_EQ(reply->payload.size(), 16u + (1 << 20));
        EXPECT_EQ(reply->payload[16 + 5], 35);
    }
    greedy.reset();
    EXPECT_TRUE(host.wait_idle(0));
}

TEST(Connection, ServerThatStopsClosesItsClients) {
    auto host = std::make_unique<DeviceHost>(2);
    auto connected = host->client(0);
    RawClient unnegotiated(host->path(1));
    const std::string path = host->path(0);
    host.reset();
    EXPECT_TRUE(connected->raw().closed_by_peer());
    EXPECT_TRUE(unnegotiated.closed_by_peer());
    EXPECT_FALSE(RawClient(path).connected());
}

}  // namespace
}  // namespace mimic::test
