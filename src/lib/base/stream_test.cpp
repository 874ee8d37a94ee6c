// SPDX-License-Identifier: Apache-2.0
#include "base/stream.h"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <array>
#include <vector>

namespace mimic {
namespace {

constexpr size_t kLong = size_t{8} << 20;

TEST(ByteQueue, FreesWhatALongMessageNeeded) {
    ByteQueue queue;
    queue.grow(kLong);
    EXPECT_GE(queue.capacity(), kLong);
    queue.drop(kLong - 1);
    queue.trim();
    EXPECT_GE(queue.capacity(), kLong) << "there is something in it";
    queue.drop(1);
    queue.trim();
    EXPECT_EQ(queue.capacity(), 0U);
    *queue.grow(1) = std::byte{7};
    EXPECT_EQ(queue.bytes()[0], std::byte{7});
}

TEST(ByteQueue, KeepsWhatIsNeededAgainAndAgain) {
    ByteQueue queue;
    queue.grow(ByteQueue::kKept);
    queue.drop(ByteQueue::kKept);
    queue.trim();
    EXPECT_EQ(queue.capacity(), ByteQueue::kKept);
}

TEST(Stream, HoldsNoMemoryOfAnswersThatWereRead) {
    std::array<int, 2> ends{};
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()), 0);
    Stream stream{UniqueFd(ends[0])};
    const UniqueFd reader(ends[1]);
    stream.out().grow(kLong);
    EXPECT_GE(stream.extra_memory(), kLong - ByteQueue::kKept);
    std::vector<std::byte> buffer(size_t{64} << 10);
    for (size_t got = 0; got < kLong;) {
        ASSERT_TRUE(stream.flush());
        const ssize_t count = ::read(reader.get(), buffer.data(), buffer.size());
        ASSERT_GT(count, 0);
        got += static_cast<size_t>(count);
    }
    ASSERT_TRUE(stream.flush());
    EXPECT_EQ(stream.extra_memory(), 0U);
}

}  // namespace
}  // namespace mimic
