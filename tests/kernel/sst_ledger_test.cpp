// SPDX-License-Identifier: Apache-2.0
// Who still needs a request: the very file of kernel/virtio-sst, in user space under sanitizers.
// Answers, timeouts, readers and close() come in every order, and at the same time.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <random>
#include <thread>
#include <vector>

extern "C" {
#include "sst_ledger.h"
}

namespace {

std::atomic<int> live_entries;
std::atomic<int> live_ledgers;
std::atomic<int> wakes;
std::atomic<int> finished;

void wake(sst_ledger*) {
    ++wakes;
}
void finish(sst_entry* entry) {
    ++finished;
    sst_entry_put(entry);
}
void free_entry(sst_entry* entry) {
    --live_entries;
    delete entry;
}
void free_ledger(sst_ledger* ledger) {
    --live_ledgers;
    delete ledger;
}
constexpr sst_ledger_ops kOps{wake, finish, free_entry, free_ledger};

sst_ledger* make_ledger(u32 limit = 16) {
    auto* ledger = new sst_ledger;
    sst_ledger_init(ledger, &kOps, limit);
    ++live_ledgers;
    return ledger;
}

/// A request that the device has: one reference is its, the other the file's.
sst_entry* submit(sst_ledger* ledger, bool direct = false) {
    if (!sst_ledger_reserve(ledger)) return nullptr;
    auto* entry = new sst_entry;
    ++live_entries;
    sst_entry_init(entry, ledger);
    entry->direct = direct;
    sst_entry_start(entry);
    return entry;
}

class SstLedger : public testing::Test {
protected:
    void SetUp() override { wakes = finished = 0; }
    void TearDown() override {
        EXPECT_EQ(live_entries, 0) << "requests leak";
        EXPECT_EQ(live_ledgers, 0) << "files leak";
    }
};

TEST_F(SstLedger, AnswersAreTakenInTheOrderInWhichTheyCame) {
    sst_ledger* ledger = make_ledger();
    sst_entry* first = submit(ledger);
    sst_entry* second = submit(ledger);
    EXPECT_EQ(sst_ledger_take(ledger), nullptr);
    EXPECT_TRUE(sst_ledger_has_pending(ledger));
    for (sst_entry* entry : {second, first}) {
        EXPECT_FALSE(sst_entry_is_settled(entry));
        EXPECT_TRUE(sst_entry_settle(entry, 0));
        EXPECT_TRUE(sst_entry_is_settled(entry));
        sst_entry_put(entry);
    }
    EXPECT_EQ(wakes, 2);
    for (sst_entry* entry : {second, first}) {
        EXPECT_EQ(sst_ledger_take(ledger), entry);
        sst_entry_put(entry);
    }
    EXPECT_EQ(sst_ledger_take(ledger), nullptr);
    sst_ledger_close(ledger);
}

TEST_F(SstLedger, TheLimitCountsUnreadAnswers) {
    sst_ledger* ledger = make_ledger(2);
    sst_entry* first = submit(ledger);
    sst_entry* second = submit(ledger);
    EXPECT_TRUE(sst_ledger_is_full(ledger));
    EXPECT_EQ(submit(ledger), nullptr);
    sst_entry_settle(first, 0);
    sst_entry_put(first);
    EXPECT_EQ(submit(ledger), nullptr) << "the answer was not read";
    sst_entry_put(sst_ledger_take(ledger));
    EXPECT_TRUE(sst_ledger_reserve(ledger));
    EXPECT_FALSE(sst_ledger_reserve(ledger));
    sst_ledger_unreserve(ledger);
    EXPECT_TRUE(sst_ledger_reserve(ledger));
    sst_ledger_unreserve(ledger);
    sst_entry_settle(second, 0);
    sst_entry_put(second);
    sst_ledger_close(ledger);
}

TEST_F(SstLedger, ALateAnswerHarmsNobody) {
    sst_ledger* ledger = make_ledger();
    sst_entry* entry = submit(ledger);
    EXPECT_TRUE(sst_entry_settle(entry, -ETIMEDOUT));
    sst_entry* taken = sst_ledger_take(ledger);
    ASSERT_EQ(taken, entry);
    EXPECT_EQ(taken->error, -ETIMEDOUT);
    sst_entry_put(taken);
    EXPECT_EQ(live_entries, 1) << "the device may still write there";
    EXPECT_FALSE(sst_entry_settle(entry, 0));
    EXPECT_EQ(entry->error, -ETIMEDOUT);
    sst_entry_put(entry);
    EXPECT_EQ(live_entries, 0);
    sst_ledger_close(ledger);
}

TEST_F(SstLedger, AnAnswerAfterCloseFindsAFileThatIsStillThere) {
    sst_ledger* ledger = make_ledger();
    sst_entry* entry = submit(ledger);
    sst_entry* answered = submit(ledger);
    sst_entry_settle(answered, 0);
    sst_entry_put(answered);
    sst_ledger_close(ledger);
    EXPECT_EQ(live_ledgers, 1);
    EXPECT_EQ(live_entries, 1);
    wakes = 0;
    EXPECT_FALSE(sst_entry_settle(entry, 0));
    EXPECT_EQ(wakes, 0) << "nobody is there to be woken";
    sst_entry_put(entry);
}

TEST_F(SstLedger, AWriterThatGivesUpTakesItsRequestAlong) {
    sst_ledger* ledger = make_ledger(1);
    sst_entry* entry = submit(ledger);
    sst_entry_get(entry);
    sst_entry_settle(entry, -ETIMEDOUT);
    EXPECT_TRUE(sst_entry_withdraw(entry));
    EXPECT_FALSE(sst_entry_withdraw(entry)) << "once";
    EXPECT_EQ(sst_ledger_take(ledger), nullptr);
    EXPECT_FALSE(sst_ledger_is_full(ledger));
    sst_entry_put(entry);  // the writer's
    sst_entry_put(entry);  // the device's
    sst_ledger_close(ledger);
}

TEST_F(SstLedger, ADirectEntryGoesToItsOwnEnd) {
    sst_ledger* ledger = make_ledger(1);
    sst_entry* entry = submit(ledger, true);
    EXPECT_TRUE(sst_entry_settle(entry, 0));
    EXPECT_EQ(finished, 1);
    EXPECT_EQ(wakes, 0);
    EXPECT_EQ(sst_ledger_take(ledger), nullptr);
    EXPECT_FALSE(sst_ledger_is_full(ledger));
    EXPECT_FALSE(sst_entry_settle(entry, -ECANCELED));
    EXPECT_EQ(finished, 1) << "once";
    sst_entry_put(entry);
    sst_ledger_close(ledger);
}

/// All that can happen to eight requests, in a random order, ends with nothing left.
TEST_F(SstLedger, AnyOrderEndsWell) {
    std::mt19937 random(20261129);  // arbitrary
    for (int round = 0; round < 2'000; ++round) {
        sst_ledger* ledger = make_ledger(8);
        std::vector<sst_entry*> at_device;
        bool open = true;
        while (open || !at_device.empty()) {
            const unsigned what = static_cast<unsigned>(random()) % 16;
            if (what < 6 && open) {
                if (sst_entry* entry = submit(ledger, what == 0)) at_device.push_back(entry);
            } else if (what < 10 && !at_device.empty()) {
                const size_t which = random() % at_device.size();
                std::swap(at_device[which], at_device.back());
                sst_entry_settle(at_device.back(), 0);
                sst_entry_put(at_device.back());
                at_device.pop_back();
            } else if (what < 12 && !at_device.empty()) {
                sst_entry_settle(at_device[random() % at_device.size()], -ETIMEDOUT);
            } else if (what < 15 && open) {
                if (sst_entry* entry = sst_ledger_take(ledger)) sst_entry_put(entry);
            } else if (open && random() % 8 == 0) {
                sst_ledger_close(ledger);
                open = false;
            }
        }
        ASSERT_EQ(live_entries, 0);
        ASSERT_EQ(live_ledgers, 0);
    }
}

/// The same at the same time: one thread answers, one lets time pass, one reads, one closes.
TEST_F(SstLedger, ThreadsEndWell) {
    constexpr int kRounds = 300;
    constexpr u32 kEntries = 32;
    for (int round = 0; round < kRounds; ++round) {
        sst_ledger* ledger = make_ledger(kEntries);
        std::vector<sst_entry*> entries;
        for (u32 i = 0; i < kEntries; ++i) {
            entries.push_back(submit(ledger, i % 4 == 0));
            sst_entry_get(entries.back());  // the thread's that lets time pass
        }
        std::atomic<int> settled{0};
        std::thread device([&] {
            for (sst_entry* entry : entries) {
                settled += sst_entry_settle(entry, 0);
                sst_entry_put(entry);
            }
        });
        std::thread timer([&] {
            for (auto entry = entries.rbegin(); entry != entries.rend(); ++entry) {
                settled += sst_entry_settle(*entry, -ETIMEDOUT);
                sst_entry_put(*entry);
            }
        });
        std::thread file([&] {
            for (u32 i = 0; i < kEntries / 2; ++i) {
                if (sst_entry* entry = sst_ledger_take(ledger)) sst_entry_put(entry);
            }
            sst_ledger_close(ledger);
        });
        device.join();
        timer.join();
        file.join();
        ASSERT_LE(settled, static_cast<int>(kEntries)) << "a request was answered twice";
        ASSERT_EQ(live_entries, 0);
        ASSERT_EQ(live_ledgers, 0);
    }
}

}  // namespace
