// SPDX-License-Identifier: Apache-2.0
// The DMA engine where memory is reached by messages, whose answers come late, wrong or never.
#include "devices/mock_accel/engine_rig.h"

#include <gmock/gmock.h>

namespace mimic::mock_accel {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

struct EngineByMessageTest : EngineTest {
    EngineByMessageTest() : EngineTest(Kind::kByMessage, Kind::kByMessage) {}
};

TEST_F(EngineByMessageTest, AllOpcodesWork) {
    EXPECT_EQ(run_one(copy(200'000, kSource + 1)), Code::kOk);
    EXPECT_TRUE(moved(kTarget, 1, 200'000));
    EXPECT_EQ(completion(0).bytes, 200'000U);
    EXPECT_EQ(run_one(fill(100'001, 0x0807060504030201)), Code::kOk);
    for (uint32_t i = 0; i < 100'001; ++i) {
        ASSERT_EQ(*memory.at(kTarget + i), static_cast<std::byte>(i % 8 + 1)) << i;
    }
    EXPECT_EQ(run_one({.cookie = 3}), Code::kOk);
    EXPECT_EQ(run_one(copy(5000, kSource, 0x20, kFlagDestinationLocal)), Code::kOk);
    EXPECT_EQ(local[0x20 + 4999], byte_at(4999));
    std::ranges::fill(local, std::byte{0x42});
    EXPECT_EQ(run_one(copy(5000, 0x20, kTarget, kFlagSourceLocal)), Code::kOk);
    EXPECT_EQ(*memory.at(kTarget + 4999), std::byte{0x42});
    EXPECT_EQ(total.errors, 0U);
    EXPECT_EQ(interrupts.size(), 5U);
}

TEST_F(EngineByMessageTest, OneMessageIsUnderWayAndTheRingWaits) {
    enable();
    for (uint32_t i = 0; i < 8; ++i) {
        const uint64_t offset = uint64_t{64} * i;
        put(i, copy(64, kSource + offset, kTarget + offset));
    }
    EXPECT_TRUE(engine.doorbell(0, 8));
    do {
        runner.run();
        EXPECT_LE(memory.messages.size(), 1U);
    } while (memory.answer());
    EXPECT_TRUE(moved(kTarget, 0, 512));
    EXPECT_EQ(heads[0], 8U);
    EXPECT_THAT(interrupts, ElementsAre(0));
    // One fetch, a read and a write each, and a completion each.
    EXPECT_EQ(memory.transfers, 1U + 8 * 3);
}

TEST_F(EngineByMessageTest, ErrorsAreToldApart) {
    const auto with_answer = [&](int message, std::errc code) {
        enable();
        put(0, copy(64));
        EXPECT_TRUE(engine.doorbell(0, 1));
        for (int i = 0; i < message; ++i) {
            runner.run();
            memory.answer();
        }
        runner.run();
        memory.answer(fail(code, "as told"));
        settle();
        return static_cast<Code>(completion(0).status);
    };
    EXPECT_EQ(with_answer(1, std::errc::io_error), Code::kReadFault);
    EXPECT_EQ(with_answer(2, std::errc::io_error), Code::kWriteFault);
    EXPECT_EQ(with_answer(1, std::errc::operation_canceled), Code::kAborted);
    EXPECT_EQ(with_answer(2, std::errc::operation_canceled), Code::kAborted);
    EXPECT_FALSE(halted);
    with_answer(3, std::errc::io_error);  // of the completion
    EXPECT_TRUE(halted);
    EXPECT_EQ(heads[0], 0U);
}

TEST_F(EngineByMessageTest, LateAnswersNeverReachARingThatWasStopped) {
    // At each of the four messages of a descriptor, stop or restart.
    for (int message = 0; message < 4; ++message) {
        for (const bool restart : {false, true}) {
            total = {};
            interrupts.clear();
            enable();
            std::memset(memory.at(kCompletions), 0, 64);
            put(0, copy(64));
            EXPECT_TRUE(engine.doorbell(0, 1));
            for (int i = 0; i < message; ++i) {
                runner.run();
                memory.answer();
            }
            runner.run();
            ASSERT_EQ(memory.messages.size(), 1U);
            if (restart) {
                enable();
            } else {
                engine.stop_all();
            }
            settle();
            EXPECT_THAT(interrupts, IsEmpty());
            if (message < 3) {
                EXPECT_EQ(completion(0).phase, 0U);
            }
        }
    }
}

TEST_F(EngineByMessageTest, AnswersAfterTheEngineIsGoneAreHarmless) {
    auto temporary = std::make_unique<Engine>(*this);
    temporary->enable({.index = 0, .base = kRing, .completion_base = kCompletions, .order = 3});
    EXPECT_TRUE(temporary->doorbell(0, 1));
    runner.run();
    EXPECT_TRUE(temporary->doorbell(0, 2));
    temporary->schedule();
    temporary.reset();
    settle();
    EXPECT_EQ(total.descriptors, 0U);
}

TEST_F(EngineByMessageTest, DoorbellMayOvertakeTheAnswerOfItsCompletion) {
    enable(0);  // one entry: its slot is free as soon as the driver sees the completion
    put(0, {.cookie = 1});
    EXPECT_TRUE(engine.doorbell(0, 1));
    runner.run();
    memory.answer();  // the descriptor
    runner.run();
    ASSERT_EQ(memory.messages.size(), 1U);  // the completion
    EXPECT_TRUE(engine.doorbell(0, 2));
    settle();
    EXPECT_EQ(heads[0], 2U);
    EXPECT_FALSE(halted);
}

}  // namespace
}  // namespace mimic::mock_accel
