// SPDX-License-Identifier: Apache-2.0
// Which operations of a queue are complete: the very file of kernel/mock-accel, in user space under
// sanitizers. The test is the device: it writes completions as one would, and as none would.
#include <gtest/gtest.h>

#include <deque>
#include <random>
#include <vector>

extern "C" {
#include "mock_accel_progress.h"
}

namespace {

/// A queue whose numbers begin shortly before they wrap, and the device that completes operations.
class Queue {
public:
    explicit Queue(u32 order, u32 first = ~u32{0} - 5) : ring_(size_t{1} << order) {
        progress.ring = ring_.data();
        progress.entries = 1u << order;
        progress.order = order;
        progress.submitted = progress.completed = progress.consumed = first;
    }

    /// The device completes `operation`, as if it had been started at `origin`.
    void complete(u32 operation) {
        const u32 place = operation - progress.origin;
        mock_accel_completion& entry = ring_[place & (progress.entries - 1)];
        entry.cookie = operation;
        entry.status = MOCK_ACCEL_COMPLETION_OK;
        entry.phase = static_cast<u16>(((place >> progress.order) & 1) ^ 1);
    }

    /// Takes notice of all that is complete; how many that were.
    u32 scan() {
        u32 count = 0;
        for (; mock_accel_progress_is_ready(&progress); ++count) {
            mock_accel_progress_take(&progress);
        }
        return count;
    }

    const mock_accel_completion& at(u32 operation) const {
        return ring_[(operation - progress.origin) & (progress.entries - 1)];
    }

    mock_accel_progress progress{};

private:
    std::vector<mock_accel_completion> ring_;
};

TEST(MockAccelProgress, AnEmptyQueueHasRoomAndNoWork) {
    Queue queue(2);
    EXPECT_EQ(mock_accel_progress_room(&queue.progress), 4u);
    EXPECT_FALSE(mock_accel_progress_has_work(&queue.progress)) << "not running";
    mock_accel_progress_start(&queue.progress);
    EXPECT_EQ(queue.progress.origin, queue.progress.submitted);
    EXPECT_FALSE(mock_accel_progress_has_work(&queue.progress));
    EXPECT_EQ(queue.scan(), 0u);
}

TEST(MockAccelProgress, PhasesTurnWithTheRing) {
    Queue queue(1);
    mock_accel_progress_start(&queue.progress);
    for (int operation = 0; operation < 40; ++operation) {
        SCOPED_TRACE(operation);
        const u32 number = queue.progress.submitted++;
        ASSERT_FALSE(mock_accel_progress_has_work(&queue.progress))
            << "the completion of the turn before was taken for a new one";
        ASSERT_EQ(queue.scan(), 0u);
        queue.complete(number);
        ASSERT_TRUE(mock_accel_progress_has_work(&queue.progress));
        ASSERT_EQ(queue.scan(), 1u);
        ASSERT_FALSE(mock_accel_progress_has_work(&queue.progress));
        ASSERT_TRUE(mock_accel_progress_consume(&queue.progress, number + 1));
    }
}

TEST(MockAccelProgress, TheDeviceIsNotBelievedBeyondWhatWasSubmitted) {
    Queue queue(3);
    mock_accel_progress_start(&queue.progress);
    queue.progress.submitted += 2;
    for (u32 i = 0; i < 8; ++i) queue.complete(queue.progress.origin + i);
    EXPECT_EQ(queue.scan(), 2u);
    EXPECT_EQ(queue.progress.completed, queue.progress.submitted);
}

TEST(MockAccelProgress, CompletionsAreTakenInOrder) {
    Queue queue(3);
    mock_accel_progress_start(&queue.progress);
    const u32 first = queue.progress.submitted;
    queue.progress.submitted += 3;
    queue.complete(first + 1);
    EXPECT_EQ(queue.scan(), 0u) << "the first is not there";
    queue.complete(first);
    EXPECT_EQ(queue.scan(), 2u);
}

TEST(MockAccelProgress, AbortCompletesWhatIsInFlightForUserSpaceToo) {
    Queue queue(2);
    mock_accel_progress_start(&queue.progress);
    const u32 first = queue.progress.submitted;
    queue.progress.submitted += 4;
    queue.complete(first);
    EXPECT_EQ(queue.scan(), 1u);
    mock_accel_progress_stop(&queue.progress);
    queue.complete(first + 1);
    EXPECT_EQ(queue.scan(), 0u) << "a stopped ring completes nothing";
    for (u64 cookie = 11; queue.progress.completed != queue.progress.submitted; ++cookie) {
        mock_accel_progress_abort(&queue.progress, cookie);
    }
    EXPECT_EQ(queue.at(first).status, MOCK_ACCEL_COMPLETION_OK);
    for (u32 i = 1; i < 4; ++i) {
        EXPECT_EQ(queue.at(first + i).status, MOCK_ACCEL_COMPLETION_ABORTED) << i;
        EXPECT_EQ(queue.at(first + i).cookie, 10 + i);
        EXPECT_EQ(queue.at(first + i).phase & MOCK_ACCEL_COMPLETION_PHASE, 1) << i;
    }
    EXPECT_EQ(mock_accel_progress_room(&queue.progress), 0u) << "they were not read";
    EXPECT_TRUE(mock_accel_progress_consume(&queue.progress, first + 4));
    EXPECT_EQ(mock_accel_progress_room(&queue.progress), 4u);
    mock_accel_progress_start(&queue.progress);
    EXPECT_EQ(queue.progress.origin, first + 4);
    ++queue.progress.submitted;
    EXPECT_EQ(queue.scan(), 0u) << "what was there before the restart counts no more";
}

TEST(MockAccelProgress, OnlyCompleteOnesCanBeConsumed) {
    Queue queue(2);
    mock_accel_progress_start(&queue.progress);
    const u32 first = queue.progress.submitted;
    queue.progress.submitted += 2;
    queue.complete(first);
    queue.scan();
    EXPECT_FALSE(mock_accel_progress_consume(&queue.progress, first + 2));
    EXPECT_TRUE(mock_accel_progress_consume(&queue.progress, first + 1));
    EXPECT_TRUE(mock_accel_progress_consume(&queue.progress, first)) << "a slow thread";
    EXPECT_EQ(queue.progress.consumed, first + 1) << "does not take back what was said";
    EXPECT_EQ(mock_accel_progress_room(&queue.progress), 3u);
}

/// A device, a driver and a user that do anything at any time, compared with lists.
TEST(MockAccelProgress, RandomLifeAgreesWithAList) {
    std::mt19937 random(20261128);  // arbitrary
    for (const u32 order : {1u, 2u, 5u}) {
        Queue queue(order);
        mock_accel_progress& progress = queue.progress;
        std::deque<u32> in_flight, done;  // by number; `done` was not consumed
        u32 at_device = 0;                // of in_flight, completed by the device and not seen
        for (int step = 0; step < 200'000; ++step) {
            switch (random() % 5) {
                case 0:  // submit
                    if (mock_accel_progress_room(&progress) == 0) break;
                    if (!progress.running) mock_accel_progress_start(&progress);
                    in_flight.push_back(progress.submitted++);
                    break;
                case 1:  // the device works
                    if (!progress.running || at_device == in_flight.size()) break;
                    queue.complete(in_flight[at_device++]);
                    break;
                case 2:  // the driver looks
                    ASSERT_EQ(mock_accel_progress_has_work(&progress), at_device > 0);
                    ASSERT_EQ(queue.scan(), at_device);
                    for (; at_device > 0; --at_device) {
                        done.push_back(in_flight.front());
                        in_flight.pop_front();
                    }
                    break;
                case 3:  // user space reads
                    if (done.empty()) break;
                    ASSERT_EQ(queue.at(done.front()).cookie, done.front());
                    ASSERT_TRUE(mock_accel_progress_consume(&progress, done.front() + 1));
                    done.pop_front();
                    break;
                default:  // once in a while something stops the ring
                    if (random() % 50 != 0 || !progress.running) break;
                    queue.scan();
                    mock_accel_progress_stop(&progress);
                    while (progress.completed != progress.submitted) {
                        mock_accel_progress_abort(&progress, progress.completed);
                    }
                    done.insert(done.end(), in_flight.begin(), in_flight.end());
                    in_flight.clear();
                    at_device = 0;
                    ASSERT_FALSE(mock_accel_progress_has_work(&progress));
            }
            const size_t held = in_flight.size() + done.size();
            ASSERT_EQ(progress.submitted - progress.consumed, held);
            ASSERT_LE(held, progress.entries);
            const bool waits = !progress.running && held != 0;
            ASSERT_EQ(mock_accel_progress_room(&progress), waits ? 0 : progress.entries - held);
        }
    }
}

/// Whatever the device writes, nothing is touched outside of the ring and nothing is counted twice.
TEST(MockAccelProgress, GarbageOfTheDeviceHarmsNothing) {
    std::mt19937 random(20261129);  // arbitrary
    Queue queue(4);
    mock_accel_progress& progress = queue.progress;
    mock_accel_progress_start(&progress);
    for (int step = 0; step < 200'000; ++step) {
        progress.ring[random() % 16].phase = static_cast<u16>(random());
        if (mock_accel_progress_room(&progress) != 0) ++progress.submitted;
        mock_accel_progress_has_work(&progress);
        queue.scan();
        ASSERT_LE(progress.submitted - progress.completed, progress.entries);
        mock_accel_progress_consume(&progress, static_cast<u32>(random()));
        ASSERT_LE(progress.completed - progress.consumed, progress.entries);
    }
}

}  // namespace
