// SPDX-License-Identifier: Apache-2.0
// Who still needs a request: the very file of kernel/common, in user space under sanitizers.
// Answers, timeouts, readers and close() come in every order, and at the same time.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <random>
#include <thread>
#include <vector>

extern "C" {
#include "mimic_ledger.h"
}

namespace {

std::atomic<int> live_entries;
std::atomic<int> live_ledgers;
std::atomic<int> wakes;
std::atomic<int> finished;

void wake(mimic_ledger*) {
    ++wakes;
}
void finish(mimic_entry* entry) {
    ++finished;
    mimic_entry_put(entry);
}
void free_entry(mimic_entry* entry) {
    --live_entries;
    delete entry;
}
void free_ledger(mimic_ledger* ledger) {
    --live_ledgers;
    delete ledger;
}
constexpr mimic_ledger_ops kOps{wake, finish, free_entry, free_ledger};

mimic_ledger* make_ledger(u32 limit = 16) {
    auto* ledger = new mimic_ledger;
    mimic_ledger_init(ledger, &kOps, limit);
    ++live_ledgers;
    return ledger;
}

/// A request that the device has: one reference is its, the other the file's.
mimic_entry* submit(mimic_ledger* ledger, bool direct = false) {
    if (!mimic_ledger_reserve(ledger)) return nullptr;
    auto* entry = new mimic_entry;
    ++live_entries;
    mimic_entry_init(entry, ledger);
    entry->direct = direct;
    mimic_entry_start(entry);
    return entry;
}

class MimicLedger : public testing::Test {
protected:
    void SetUp() override { wakes = finished = 0; }
    void TearDown() override {
        EXPECT_EQ(live_entries, 0) << "requests leak";
        EXPECT_EQ(live_ledgers, 0) << "files leak";
    }
};

TEST_F(MimicLedger, AnswersAreTakenInTheOrderInWhichTheyCame) {
    mimic_ledger* ledger = make_ledger();
    mimic_entry* first = submit(ledger);
    mimic_entry* second = submit(ledger);
    EXPECT_EQ(mimic_ledger_take(ledger), nullptr);
    EXPECT_TRUE(mimic_ledger_has_pending(ledger));
    for (mimic_entry* entry : {second, first}) {
        EXPECT_FALSE(mimic_entry_is_settled(entry));
        EXPECT_TRUE(mimic_entry_settle(entry, 0));
        EXPECT_TRUE(mimic_entry_is_settled(entry));
        mimic_entry_put(entry);
    }
    EXPECT_EQ(wakes, 2);
    for (mimic_entry* entry : {second, first}) {
        EXPECT_EQ(mimic_ledger_take(ledger), entry);
        mimic_entry_put(entry);
    }
    EXPECT_EQ(mimic_ledger_take(ledger), nullptr);
    mimic_ledger_close(ledger);
}

TEST_F(MimicLedger, TheLimitCountsUnreadAnswers) {
    mimic_ledger* ledger = make_ledger(2);
    mimic_entry* first = submit(ledger);
    mimic_entry* second = submit(ledger);
    EXPECT_TRUE(mimic_ledger_is_full(ledger));
    EXPECT_EQ(submit(ledger), nullptr);
    mimic_entry_settle(first, 0);
    mimic_entry_put(first);
    EXPECT_EQ(submit(ledger), nullptr) << "the answer was not read";
    mimic_entry_put(mimic_ledger_take(ledger));
    EXPECT_TRUE(mimic_ledger_reserve(ledger));
    EXPECT_FALSE(mimic_ledger_reserve(ledger));
    mimic_ledger_unreserve(ledger);
    EXPECT_TRUE(mimic_ledger_reserve(ledger));
    mimic_ledger_unreserve(ledger);
    mimic_entry_settle(second, 0);
    mimic_entry_put(second);
    mimic_ledger_close(ledger);
}

TEST_F(MimicLedger, ALateAnswerHarmsNobody) {
    mimic_ledger* ledger = make_ledger();
    mimic_entry* entry = submit(ledger);
    EXPECT_TRUE(mimic_entry_settle(entry, -ETIMEDOUT));
    mimic_entry* taken = mimic_ledger_take(ledger);
    ASSERT_EQ(taken, entry);
    EXPECT_EQ(taken->error, -ETIMEDOUT);
    mimic_entry_put(taken);
    EXPECT_EQ(live_entries, 1) << "the device may still write there";
    EXPECT_FALSE(mimic_entry_settle(entry, 0));
    EXPECT_EQ(entry->error, -ETIMEDOUT);
    mimic_entry_put(entry);
    EXPECT_EQ(live_entries, 0);
    mimic_ledger_close(ledger);
}

TEST_F(MimicLedger, AnAnswerAfterCloseFindsAFileThatIsStillThere) {
    mimic_ledger* ledger = make_ledger();
    mimic_entry* entry = submit(ledger);
    mimic_entry* answered = submit(ledger);
    mimic_entry_settle(answered, 0);
    mimic_entry_put(answered);
    mimic_ledger_close(ledger);
    EXPECT_EQ(live_ledgers, 1);
    EXPECT_EQ(live_entries, 1);
    wakes = 0;
    EXPECT_FALSE(mimic_entry_settle(entry, 0));
    EXPECT_EQ(wakes, 0) << "nobody is there to be woken";
    mimic_entry_put(entry);
}

TEST_F(MimicLedger, AWriterThatGivesUpTakesItsRequestAlong) {
    mimic_ledger* ledger = make_ledger(1);
    mimic_entry* entry = submit(ledger);
    mimic_entry_get(entry);
    mimic_entry_settle(entry, -ETIMEDOUT);
    EXPECT_TRUE(mimic_entry_withdraw(entry));
    EXPECT_FALSE(mimic_entry_withdraw(entry)) << "once";
    EXPECT_EQ(mimic_ledger_take(ledger), nullptr);
    EXPECT_FALSE(mimic_ledger_is_full(ledger));
    mimic_entry_put(entry);  // the writer's
    mimic_entry_put(entry);  // the device's
    mimic_ledger_close(ledger);
}

TEST_F(MimicLedger, ADirectEntryGoesToItsOwnEnd) {
    mimic_ledger* ledger = make_ledger(1);
    mimic_entry* entry = submit(ledger, true);
    EXPECT_TRUE(mimic_entry_settle(entry, 0));
    EXPECT_EQ(finished, 1);
    EXPECT_EQ(wakes, 0);
    EXPECT_EQ(mimic_ledger_take(ledger), nullptr);
    EXPECT_FALSE(mimic_ledger_is_full(ledger));
    EXPECT_FALSE(mimic_entry_settle(entry, -ECANCELED));
    EXPECT_EQ(finished, 1) << "once";
    mimic_entry_put(entry);
    mimic_ledger_close(ledger);
}

TEST_F(MimicLedger, AnEntryIsFoundByItsNumberAndTakenOnce) {
    mimic_ledger* ledger = make_ledger();
    mimic_entry* first = submit(ledger);
    mimic_entry* second = submit(ledger);
    first->id = 7;
    second->id = 9;
    EXPECT_EQ(mimic_ledger_find(ledger, 8), nullptr);
    mimic_entry* found = mimic_ledger_find(ledger, 9);
    ASSERT_EQ(found, second);
    EXPECT_FALSE(mimic_entry_take(found)) << "not answered yet";
    for (mimic_entry* entry : {first, second}) {
        mimic_entry_settle(entry, 0);
        mimic_entry_put(entry);
    }
    EXPECT_TRUE(mimic_entry_take(found));
    EXPECT_FALSE(mimic_entry_take(found)) << "once";
    EXPECT_EQ(mimic_ledger_find(ledger, 9), nullptr);
    mimic_entry_put(found);  // the file's
    mimic_entry_put(found);  // the caller's
    EXPECT_EQ(mimic_ledger_take(ledger), first);
    mimic_entry_put(first);
    mimic_ledger_close(ledger);
}

TEST_F(MimicLedger, AnAnswerThatIsGivenBackIsTheNext) {
    mimic_ledger* ledger = make_ledger(2);
    for (mimic_entry* entry : {submit(ledger), submit(ledger)}) {
        mimic_entry_settle(entry, 0);
        mimic_entry_put(entry);
    }
    mimic_entry* taken = mimic_ledger_take(ledger);
    mimic_ledger_return(taken);
    EXPECT_TRUE(mimic_ledger_is_full(ledger));
    EXPECT_EQ(mimic_ledger_take(ledger), taken);
    mimic_entry_put(taken);
    mimic_ledger_close(ledger);
}

/// All that can happen to eight requests, in a random order, ends with nothing left.
TEST_F(MimicLedger, AnyOrderEndsWell) {
    std::mt19937 random(20261129);  // arbitrary
    for (int round = 0; round < 2'000; ++round) {
        mimic_ledger* ledger = make_ledger(8);
        std::vector<mimic_entry*> at_device;
        bool open = true;
        while (open || !at_device.empty()) {
            const unsigned what = static_cast<unsigned>(random()) % 16;
            if (what < 6 && open) {
                if (mimic_entry* entry = submit(ledger, what == 0)) at_device.push_back(entry);
            } else if (what < 10 && !at_device.empty()) {
                const size_t which = random() % at_device.size();
                std::swap(at_device[which], at_device.back());
                mimic_entry_settle(at_device.back(), 0);
                mimic_entry_put(at_device.back());
                at_device.pop_back();
            } else if (what < 12 && !at_device.empty()) {
                mimic_entry_settle(at_device[random() % at_device.size()], -ETIMEDOUT);
            } else if (what < 15 && open) {
                if (mimic_entry* entry = mimic_ledger_take(ledger)) mimic_entry_put(entry);
            } else if (open && random() % 8 == 0) {
                mimic_ledger_close(ledger);
                open = false;
            }
        }
        ASSERT_EQ(live_entries, 0);
        ASSERT_EQ(live_ledgers, 0);
    }
}

/// The same at the same time: one thread answers, one lets time pass, one reads, one closes.
TEST_F(MimicLedger, ThreadsEndWell) {
    constexpr int kRounds = 300;
    constexpr u32 kEntries = 32;
    for (int round = 0; round < kRounds; ++round) {
        mimic_ledger* ledger = make_ledger(kEntries);
        std::vector<mimic_entry*> entries;
        for (u32 i = 0; i < kEntries; ++i) {
            entries.push_back(submit(ledger, i % 4 == 0));
            mimic_entry_get(entries.back());  // the thread's that lets time pass
        }
        std::atomic<int> settled{0};
        std::thread device([&] {
            for (mimic_entry* entry : entries) {
                settled += mimic_entry_settle(entry, 0);
                mimic_entry_put(entry);
            }
        });
        std::thread timer([&] {
            for (auto entry = entries.rbegin(); entry != entries.rend(); ++entry) {
                settled += mimic_entry_settle(*entry, -ETIMEDOUT);
                mimic_entry_put(*entry);
            }
        });
        std::thread file([&] {
            for (u32 i = 0; i < kEntries / 2; ++i) {
                if (mimic_entry* entry = mimic_ledger_take(ledger)) mimic_entry_put(entry);
            }
            mimic_ledger_close(ledger);
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
