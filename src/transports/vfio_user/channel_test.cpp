// SPDX-License-Identifier: Apache-2.0
// Framing: messages in pieces and glued, whose descriptors are whose, and peers that do not read.
#include "vfio_user/channel.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <gtest/gtest.h>

#include "vfio_user/test_peer.h"

namespace mimic::vfio_user {
namespace {

ino_t inode_of(int fd) {
    struct stat info {};
    return ::fstat(fd, &info) == 0 ? info.st_ino : 0;
}

/// Writes down what it gets; answers each message with `answer_size` bytes if that is not 0.
class Recorder final : public Channel::Handler {
public:
    struct Seen {
        uint16_t id;
        Bytes payload;
        std::vector<ino_t> inodes;
    };

    bool on_message(Message& message) override {
        Seen entry{message.header.id, {message.payload.begin(), message.payload.end()}, {}};
        for (const UniqueFd& fd : message.fds) entry.inodes.push_back(inode_of(fd.get()));
        seen.push_back(std::move(entry));
        if (answer_size != 0) channel->send(Bytes(answer_size, 0x5a));
        return seen.size() != close_after;
    }

    bool turn_is_over() override {
        ++questions;
        return !seen.empty() && seen.size() % messages_a_turn == 0;
    }

    void on_bad_size(const Header& header, uint32_t most) override {
        bad_sizes.emplace_back(header.size, most);
    }

    std::vector<Seen> seen;
    size_t messages_a_turn = SIZE_MAX;
    size_t questions = 0;
    std::vector<std::pair<uint32_t, uint32_t>> bad_sizes;  // and the largest allowed
    Channel* channel = nullptr;
    size_t answer_size = 0;
    size_t close_after = 0;
};

struct ChannelTest : ::testing::Test {
    void receive_until(size_t messages) {
        for (int i = 0; i < 1000 && recorder.seen.size() < messages; ++i)
            ASSERT_EQ(channel.receive(recorder), Channel::State::kOpen) << channel.close_reason();
    }
    std::vector<uint16_t> ids() const {
        std::vector<uint16_t> out;
        for (const auto& entry : recorder.seen) out.push_back(entry.id);
        return out;
    }

    SocketPair pair;
    ReceiveBuffer buffer;
    Channel channel{std::move(pair.ours), buffer};
    Recorder recorder;
};

Bytes join(std::initializer_list<Bytes> parts) {
    Bytes all;
    for (const Bytes& part : parts) all.insert(all.end(), part.begin(), part.end());
    return all;
}

TEST_F(ChannelTest, MessageCutAtEveryByteArrivesOnce) {
    const Bytes message = message_bytes(Command::kRegionWrite, 7, 24);
    for (size_t cut = 1; cut < message.size(); ++cut) {
        recorder.seen.clear();
        const std::span<const uint8_t> all(message);
        ASSERT_TRUE(send_with_fds(pair.peers.get(), all.first(cut)));
        ASSERT_EQ(channel.receive(recorder), Channel::State::kOpen);
        EXPECT_TRUE(recorder.seen.empty()) << cut;
        ASSERT_TRUE(send_with_fds(pair.peers.get(), all.subspan(cut)));
        ASSERT_EQ(channel.receive(recorder), Channel::State::kOpen);
        ASSERT_EQ(recorder.seen.size(), 1u) << cut;
        EXPECT_EQ(recorder.seen[0].payload, Bytes(message.begin() + 16, message.end()));
    }
}

TEST_F(ChannelTest, TwoGluedMessagesCutAtEveryByteArriveInOrder) {
    const Bytes both = join(
        {message_bytes(Command::kRegionWrite, 1, 5), message_bytes(Command::kRegionRead, 2, 16)});
    for (size_t cut = 1; cut < both.size(); ++cut) {
        recorder.seen.clear();
        ASSERT_TRUE(send_with_fds(pair.peers.get(), std::span(both).first(cut)));
        ASSERT_EQ(channel.receive(recorder), Channel::State::kOpen);
        ASSERT_TRUE(send_with_fds(pair.peers.get(), std::span(both).subspan(cut)));
        receive_until(2);
        EXPECT_EQ(ids(), (std::vector<uint16_t>{1, 2})) << cut;
    }
}

TEST_F(ChannelTest, MessageLongerThanTheReceiveBufferArrives) {
    channel.set_max_message_size(kMaxMessageSize);
    const Bytes message = message_bytes(Command::kRegionWrite, 3, 300'000);
    size_t sent = 0;
    while (recorder.seen.empty()) {
        const ssize_t n = ::send(pair.peers.get(), message.data() + sent, message.size() - sent,
                                 MSG_DONTWAIT);
        if (n > 0) sent += static_cast<size_t>(n);
        ASSERT_EQ(channel.receive(recorder), Channel::State::kOpen);
    }
    EXPECT_EQ(recorder.seen[0].payload, Bytes(message.begin() + 16, message.end()));
    ASSERT_TRUE(send_with_fds(pair.peers.get(), message_bytes(Command::kRegionRead, 4)));
    receive_until(2);
    EXPECT_EQ(ids(), (std::vector<uint16_t>{3, 4}));
}

TEST_F(ChannelTest, DescriptorGoesToItsMessageAmongGluedOnes) {
    const UniqueFd fd = memfd(4096);
    const std::array<int, 1> fds = {fd.get()};
    ASSERT_TRUE(send_with_fds(pair.peers.get(), message_bytes(Command::kDmaMap, 1, 32)));
    ASSERT_TRUE(send_with_fds(pair.peers.get(), message_bytes(Command::kDeviceGetInfo, 2, 16)));
    ASSERT_TRUE(send_with_fds(pair.peers.get(), message_bytes(Command::kDmaMap, 3, 32), fds));
    ASSERT_TRUE(send_with_fds(pair.peers.get(), message_bytes(Command::kDmaMap, 4, 32)));
    receive_until(4);
    EXPECT_TRUE(recorder.seen[0].inodes.empty());
    EXPECT_EQ(recorder.seen[2].inodes, std::vector<ino_t>{inode_of(fd.get())});
    EXPECT_TRUE(recorder.seen[3].inodes.empty());
}

// The rest of the first message arrives glued to a second one of a kind that carries descriptors.
TEST_F(ChannelTest, DescriptorOfACutMessageStaysWithIt) {
    const UniqueFd fd = memfd(4096);
    const std::array<int, 1> fds = {fd.get()};
    const Bytes first = message_bytes(Command::kDmaMap, 1, 32);
    for (size_t cut = 1; cut < first.size(); ++cut) {
        recorder.seen.clear();
        ASSERT_TRUE(send_with_fds(pair.peers.get(), std::span(first).first(cut), fds));
        ASSERT_EQ(channel.receive(recorder), Channel::State::kOpen);
        const Bytes rest = join(
            {Bytes(first.begin() + static_cast<std::ptrdiff_t>(cut), first.end()),
             message_bytes(Command::kDmaMap, 2, 32)});
        ASSERT_TRUE(send_with_fds(pair.peers.get(), rest));
        receive_until(2);
        EXPECT_EQ(recorder.seen[0].inodes, std::vector<ino_t>{inode_of(fd.get())}) << cut;
        EXPECT_TRUE(recorder.seen[1].inodes.empty()) << cut;
    }
}

TEST_F(ChannelTest, CutMessageAndItsFollowerKeepTheirOwnDescriptors) {
    const UniqueFd one = memfd(4096);
    const UniqueFd two = memfd(4096);
    const std::array<int, 1> first_fd = {one.get()};
    const std::array<int, 1> second_fd = {two.get()};
    const Bytes first = message_bytes(Command::kDmaMap, 1, 32);
    ASSERT_TRUE(send_with_fds(pair.peers.get(), std::span(first).first(20), first_fd));
    ASSERT_EQ(channel.receive(recorder), Channel::State::kOpen);
    ASSERT_TRUE(send_with_fds(pair.peers.get(), std::span(first).subspan(20)));
    ASSERT_TRUE(send_with_fds(pair.peers.get(), message_bytes(Command::kDmaMap, 2, 32), second_fd));
    receive_until(2);
    EXPECT_EQ(recorder.seen[0].inodes, std::vector<ino_t>{inode_of(one.get())});
    EXPECT_EQ(recorder.seen[1].inodes, std::vector<ino_t>{inode_of(two.get())});
}

TEST_F(ChannelTest, DescriptorOnAKindThatTakesNoneIsNotGivenToALaterMessage) {
    const UniqueFd fd = memfd(4096);
    const std::array<int, 1> fds = {fd.get()};
    ASSERT_TRUE(send_with_fds(pair.peers.get(), message_bytes(Command::kDmaMap, 0, 32), fds));
    receive_until(1);
    for (uint16_t id = 1; id <= 3 * kMaxReceivedFds; ++id)
        ASSERT_TRUE(
            send_with_fds(pair.peers.get(), message_bytes(Command::kDeviceGetInfo, id, 16), fds))
            << id;
    receive_until(1 + 3 * kMaxReceivedFds);
    ASSERT_TRUE(send_with_fds(pair.peers.get(), message_bytes(Command::kDmaMap, 9, 32)));
    receive_until(2 + 3 * kMaxReceivedFds);
    EXPECT_TRUE(recorder.seen.back().inodes.empty());
}

TEST_F(ChannelTest, DescriptorOnLaterBytesOfAMessageIsItsOwn) {
    const UniqueFd fd = memfd(4096);
    const std::array<int, 1> fds = {fd.get()};
    const Bytes message = message_bytes(Command::kDmaMap, 1, 32);
    ASSERT_TRUE(send_with_fds(pair.peers.get(), std::span(message).first(16)));
    ASSERT_EQ(channel.receive(recorder), Channel::State::kOpen);
    ASSERT_TRUE(send_with_fds(pair.peers.get(), std::span(message).subspan(16), fds));
    receive_until(1);
    EXPECT_EQ(recorder.seen[0].inodes.size(), 1u);
}

TEST_F(ChannelTest, MoreDescriptorsThanThereIsRoomForClose) {
    const UniqueFd fd = memfd(4096);
    const std::vector<int> flood(kMaxReceivedFds + 1, fd.get());
    ASSERT_TRUE(
        send_with_fds(pair.peers.get(), message_bytes(Command::kDeviceSetIrqs, 1, 20), flood));
    EXPECT_EQ(channel.receive(recorder), Channel::State::kClosed);
    EXPECT_FALSE(channel.close_reason().empty());
}

TEST_F(ChannelTest, AsManyDescriptorsAsThereIsRoomForArrive) {
    const UniqueFd fd = memfd(4096);
    const std::vector<int> many(kMaxReceivedFds, fd.get());
    ASSERT_TRUE(
        send_with_fds(pair.peers.get(), message_bytes(Command::kDeviceSetIrqs, 1, 20), many));
    receive_until(1);
    EXPECT_EQ(recorder.seen[0].inodes.size(), kMaxReceivedFds);
}

TEST_F(ChannelTest, SizeOutsideItsLimitsCloses) {
    for (const uint32_t size : {0u, 15u, kMaxVersionSize + 1, 0xffff'ffffu}) {
        SocketPair other;
        Channel victim(std::move(other.ours), buffer);
        Bytes message = message_bytes(Command::kVersion, 1);
        std::memcpy(message.data() + 4, &size, sizeof size);
        ASSERT_TRUE(send_with_fds(other.peers.get(), message));
        EXPECT_EQ(victim.receive(recorder), Channel::State::kClosed) << size;
        ASSERT_FALSE(recorder.bad_sizes.empty());
        EXPECT_EQ(recorder.bad_sizes.back(), std::pair(size, kMaxVersionSize));
    }
    EXPECT_TRUE(recorder.seen.empty());
    EXPECT_EQ(recorder.bad_sizes.size(), 4u);
}

TEST_F(ChannelTest, KnowsWhenItIsInTheMiddleOfAMessage) {
    EXPECT_FALSE(channel.mid_message());
    const Bytes two = join({message_bytes(Command::kRegionWrite, 1, 24),
                            message_bytes(Command::kRegionWrite, 2, 40'000)});
    for (size_t at = 0; at < two.size();) {
        const size_t piece = at < 80 ? 1 : 4001;  // each border of headers and buffers
        const size_t size = std::min(piece, two.size() - at);
        ASSERT_TRUE(send_with_fds(pair.peers.get(), std::span(two).subspan(at, size)));
        ASSERT_EQ(channel.receive(recorder), Channel::State::kOpen) << channel.close_reason();
        at += size;
        EXPECT_EQ(channel.mid_message(), at != 40 && at != two.size()) << at;
        if (recorder.seen.size() == 1) channel.set_max_message_size(kMaxMessageSize);
    }
    EXPECT_EQ(recorder.seen.size(), 2u);
}

// Messages that wait for our own turn are not half ones.
TEST_F(ChannelTest, HeldBackMessagesAreNotHalfMessages) {
    recorder.channel = &channel;
    recorder.answer_size = 1 << 20;
    const Bytes one = message_bytes(Command::kRegionRead, 1, 16);
    ASSERT_TRUE(send_with_fds(pair.peers.get(), join({one, one, one})));
    ASSERT_EQ(channel.receive(recorder), Channel::State::kOpen);
    ASSERT_EQ(recorder.seen.size(), 1u);
    EXPECT_TRUE(channel.wants_write());
    EXPECT_FALSE(channel.mid_message());
}

TEST_F(ChannelTest, EofIsSilentBetweenMessagesAndAFaultInsideOne) {
    SocketPair other;
    Channel cut(std::move(other.ours), buffer);
    ASSERT_TRUE(send_with_fds(other.peers.get(), Bytes(15)));
    other.peers.reset();
    EXPECT_EQ(cut.receive(recorder), Channel::State::kOpen);
    EXPECT_EQ(cut.receive(recorder), Channel::State::kClosed);
    EXPECT_FALSE(cut.close_reason().empty());

    pair.peers.reset();
    EXPECT_EQ(channel.receive(recorder), Channel::State::kClosed);
    EXPECT_TRUE(channel.close_reason().empty());
}

TEST_F(ChannelTest, HandlerThatSaysNoGetsNoFurtherMessage) {
    recorder.close_after = 1;
    ASSERT_TRUE(send_with_fds(pair.peers.get(), join({message_bytes(Command::kVersion, 1),
                                                      message_bytes(Command::kVersion, 2)})));
    EXPECT_EQ(channel.receive(recorder), Channel::State::kClosed);
    EXPECT_EQ(ids(), std::vector<uint16_t>{1});
}

// --- Sending ---------------------------------------------------------------------------------

TEST_F(ChannelTest, HeadTailAndDescriptorArriveAsOne) {
    const UniqueFd fd = memfd(4096);
    channel.send(Bytes{1, 2, 3}, Bytes{4, 5}, fd.get());
    SocketPair reader_pair;
    Bytes got(16);
    iovec part{got.data(), got.size()};
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    ASSERT_EQ(::recvmsg(pair.peers.get(), &message, MSG_CMSG_CLOEXEC), 5);
    ASSERT_NE(CMSG_FIRSTHDR(&message), nullptr);
    int received;
    std::memcpy(&received, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof received);
    EXPECT_EQ(inode_of(received), inode_of(fd.get()));
    ::close(received);
}

TEST_F(ChannelTest, TinySendBufferDeliversEverythingInOrder) {
    const int tiny = 1;
    ASSERT_EQ(::setsockopt(channel.fd(), SOL_SOCKET, SO_SNDBUF, &tiny, sizeof tiny), 0);
    Bytes expected;
    for (int i = 0; i < 50; ++i) {
        const Bytes head(16, static_cast<uint8_t>(i));
        const Bytes tail(static_cast<size_t>(i) * 101, static_cast<uint8_t>(i + 100));
        channel.send(head, tail);
        expected = join({expected, head, tail});
    }
    ASSERT_TRUE(channel.wants_write());
    Bytes got;
    while (got.size() < expected.size()) {
        Bytes some(700);
        const ssize_t n = ::recv(pair.peers.get(), some.data(), some.size(), 0);
        ASSERT_GT(n, 0);
        got.insert(got.end(), some.begin(), some.begin() + n);
        ASSERT_TRUE(channel.flush());
    }
    EXPECT_EQ(got, expected);
    EXPECT_FALSE(channel.wants_write());
}

TEST_F(ChannelTest, PeerThatDoesNotReadHoldsBackItsOwnMessages) {
    recorder.channel = &channel;
    recorder.answer_size = 1 << 20;
    ASSERT_TRUE(
        send_with_fds(pair.peers.get(), join({message_bytes(Command::kRegionRead, 1, 16),
                                              message_bytes(Command::kRegionRead, 2, 16),
                                              message_bytes(Command::kRegionRead, 3, 16)})));
    ASSERT_EQ(channel.receive(recorder), Channel::State::kOpen);
    EXPECT_EQ(recorder.seen.size(), 1u);  // the others wait, so one reply is all that memory holds
    EXPECT_TRUE(channel.wants_write());

    size_t got = 0;
    Bytes some(65536);
    while (got < 3u << 20) {
        const ssize_t n = ::recv(pair.peers.get(), some.data(), some.size(), MSG_DONTWAIT);
        if (n > 0) got += static_cast<size_t>(n);
        ASSERT_TRUE(channel.flush());
        if (!channel.wants_write()) {
            ASSERT_EQ(channel.resume(recorder), Channel::State::kOpen);
        }
    }
    EXPECT_EQ(ids(), (std::vector<uint16_t>{1, 2, 3}));
}

TEST_F(ChannelTest, HeldBackMessageKeepsItsDescriptor) {
    recorder.channel = &channel;
    recorder.answer_size = 1 << 20;
    const UniqueFd fd = memfd(4096);
    const std::array<int, 1> fds = {fd.get()};
    ASSERT_TRUE(send_with_fds(pair.peers.get(), message_bytes(Command::kRegionRead, 1, 16)));
    ASSERT_TRUE(send_with_fds(pair.peers.get(), message_bytes(Command::kDmaMap, 2, 32), fds));
    ASSERT_EQ(channel.receive(recorder), Channel::State::kOpen);
    ASSERT_EQ(recorder.seen.size(), 1u);
    Bytes some(65536);
    while (recorder.seen.size() < 2) {
        (void)::recv(pair.peers.get(), some.data(), some.size(), MSG_DONTWAIT);
        ASSERT_TRUE(channel.flush());
        if (!channel.wants_write()) {
            ASSERT_EQ(channel.resume(recorder), Channel::State::kOpen);
        }
    }
    EXPECT_EQ(recorder.seen[1].inodes, std::vector<ino_t>{inode_of(fd.get())});
}

TEST_F(ChannelTest, SendToAPeerThatStoppedReadingMakesTheSocketReadable) {
    ASSERT_EQ(::shutdown(pair.peers.get(), SHUT_RD), 0);
    channel.send(Bytes(16));
    EXPECT_FALSE(channel.wants_write());
    Bytes some(1);
    EXPECT_EQ(::recv(channel.fd(), some.data(), 1, MSG_DONTWAIT), 0);  // so a loop would call
    EXPECT_EQ(channel.receive(recorder), Channel::State::kClosed);
}

TEST_F(ChannelTest, MessagesOfAPeerThatIsGoneAreNotWorkedThrough) {
    recorder.channel = &channel;
    recorder.answer_size = 16;
    Bytes burst;
    for (uint16_t id = 0; id < 100; ++id)
        burst = join({burst, message_bytes(Command::kRegionRead, id, 16)});
    ASSERT_TRUE(send_with_fds(pair.peers.get(), burst));
    pair.peers.reset();
    EXPECT_EQ(channel.receive(recorder), Channel::State::kClosed);
    EXPECT_EQ(recorder.seen.size(), 1u);
    EXPECT_TRUE(channel.close_reason().empty());
}

TEST_F(ChannelTest, MessagesThatCostMuchWaitAndThoseBehindThemInTheSocket) {
    Bytes burst;
    for (uint16_t id = 0; id < 2000; ++id)
        burst = join({burst, message_bytes(Command::kRegionWrite, id, 24)});
    ASSERT_GT(burst.size(), ReceiveBuffer::kSize);  // and nobody wants a reply
    ASSERT_TRUE(send_with_fds(pair.peers.get(), burst));
    recorder.messages_a_turn = 3;
    ASSERT_EQ(channel.receive(recorder), Channel::State::kOpen);
    EXPECT_EQ(recorder.seen.size(), 3u);
    EXPECT_TRUE(channel.wants_write());
    EXPECT_FALSE(channel.has_backlog());
    for (size_t turn = 2; recorder.seen.size() < 2000; ++turn) {
        ASSERT_TRUE(channel.flush());
        const size_t before = recorder.seen.size();
        ASSERT_EQ(channel.resume(recorder), Channel::State::kOpen);
        if (!channel.wants_write()) {
            ASSERT_EQ(channel.receive(recorder), Channel::State::kOpen);
        }
        ASSERT_GT(recorder.seen.size(), before);
        ASSERT_LE(recorder.seen.size(), before + 6);  // two calls
    }
    for (uint16_t id = 0; id < 2000; ++id) ASSERT_EQ(recorder.seen[id].id, id);
}

TEST_F(ChannelTest, NobodyLooksAtAClockForALoneRequest) {
    for (uint16_t id = 0; id < 3; ++id) {
        ASSERT_TRUE(send_with_fds(pair.peers.get(), message_bytes(Command::kRegionRead, id, 16)));
        ASSERT_EQ(channel.receive(recorder), Channel::State::kOpen);
    }
    EXPECT_EQ(recorder.seen.size(), 3u);
    EXPECT_EQ(recorder.questions, 0u);
}

}  // namespace
}  // namespace mimic::vfio_user
