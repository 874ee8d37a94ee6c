// SPDX-License-Identifier: Apache-2.0
// What all protocols have in common.
#include <algorithm>

#include "compute/socket/rig_test.h"

namespace mimic::compute {
namespace {

class EachProtocol : public SocketQueueRig, public ::testing::WithParamInterface<Protocol> {
protected:
    EachProtocol() { options_.protocol = GetParam(); }
};

TEST_P(EachProtocol, RequestsAreAnsweredInFullAndByWhoAsked) {
    listen_and_echo();
    make_queue();
    ASSERT_TRUE(until([this] { return queue_->connected(); }));
    const auto sum = make_request(VGPU_OP_SUM, std::vector<uint32_t>{3, 4});
    for (unsigned i = 0; i < 20; ++i) ask(i % 2 == 0 ? sum : pattern(1 + i * 53, i));
    EXPECT_EQ(queue_->in_flight(), 20u);
    ASSERT_TRUE(all_ended());
    EXPECT_EQ(queue_->in_flight(), 0u);
    for (unsigned i = 0; i < 20; ++i) {
        EXPECT_EQ(ended_[i]->error, VGPU_OK);
        EXPECT_EQ(ended_[i]->response, i % 2 == 0 ? sum : pattern(1 + i * 53, i));
        EXPECT_EQ(mediator_->requests()[i].identity, options_.identity);
    }
    EXPECT_EQ(queue_->counters().answered, 20u);
    EXPECT_EQ(queue_->counters().failed, 0u);
}

TEST_P(EachProtocol, WithoutAMediatorFailsAtOnce) {
    make_queue();
    ask(pattern(16));
    ASSERT_TRUE(ended_[0].has_value());
    EXPECT_EQ(ended_[0]->error, VGPU_ERROR_MEDIATOR_UNAVAILABLE);
    EXPECT_FALSE(queue_->connected());
}

TEST_P(EachProtocol, ConnectsByItselfWhenTheMediatorComes) {
    make_queue();
    loop_->run_once(std::chrono::milliseconds(5));
    listen_and_echo();
    ASSERT_TRUE(until([this] { return queue_->connected(); }));
    ask(pattern(16));
    ASSERT_TRUE(all_ended());
    EXPECT_EQ(ended_[0]->error, VGPU_OK);
}

TEST_P(EachProtocol, WorksAgainAfterTheMediatorWasAway) {
    listen_and_echo();
    make_queue();
    ASSERT_TRUE(until([this] { return queue_->connected(); }));
    ask(pattern(16));
    ASSERT_TRUE(all_ended());
    mediator_.reset();
    listen_and_echo();
    ASSERT_TRUE(until([this] {
        ask(pattern(16));
        return all_ended() && ended_.back()->error == VGPU_OK;
    }));
}

TEST_P(EachProtocol, SilenceIsATimeoutAndTheNextIsAnswered) {
    options_.answer_timeout = std::chrono::milliseconds(30);
    connect();
    ask(pattern(16));
    ASSERT_TRUE(all_ended());
    EXPECT_EQ(ended_[0]->error, VGPU_ERROR_TIMEOUT);
    mediator_->options().script = echo;
    ASSERT_TRUE(until([this] {  // on a slow machine one may be too late again
        ask(pattern(32));
        return all_ended() && ended_.back()->error == VGPU_OK;
    }));
    EXPECT_EQ(ended_.back()->response, pattern(32));
}

TEST_P(EachProtocol, LateAnswersAreDropped) {
    options_.answer_timeout = std::chrono::milliseconds(500);  // by then the request has left
    connect();
    ask(pattern(16));
    ASSERT_TRUE(all_ended());
    ASSERT_TRUE(asked(1));
    mediator_->answer(mediator_->requests()[0], {VGPU_OK, pattern(99)});
    mediator_->options().script = echo;
    ASSERT_TRUE(until([this] {
        ask(pattern(32));
        return all_ended() && ended_.back()->error == VGPU_OK;
    }));
    EXPECT_EQ(ended_.back()->response, pattern(32));
}

TEST_P(EachProtocol, ResetForgetsWhatIsInFlight) {
    connect();
    for (int i = 0; i < 5; ++i) ask(pattern(16));
    ASSERT_TRUE(asked(1));
    queue_->reset();
    EXPECT_EQ(queue_->in_flight(), 0u);
    mediator_->answer(mediator_->requests()[0], {VGPU_OK, pattern(99)});
    mediator_->options().script = echo;
    const size_t last = ask(pattern(32));
    ASSERT_TRUE(has_ended(last));
    EXPECT_EQ(ended_[last]->error, VGPU_OK);
    EXPECT_EQ(ended_[last]->response, pattern(32));
    for (size_t i = 0; i < last; ++i) EXPECT_FALSE(ended_[i].has_value());
}

TEST_P(EachProtocol, AnAnswerWithoutRoomIsInvalidLength) {
    listen_and_echo();
    make_queue();
    ask(pattern(100), 99);
    ask(pattern(100), 100);
    ASSERT_TRUE(all_ended());
    EXPECT_EQ(ended_[0]->error, VGPU_ERROR_INVALID_LENGTH);
    EXPECT_TRUE(ended_[0]->response.empty());
    EXPECT_EQ(ended_[1]->error, VGPU_OK);
}

TEST_P(EachProtocol, RequestsOfWrongLengthsAreRefused) {
    connect();
    ask({});
    ask(pattern(options_.protocol == Protocol::kV3 ? VGPU_MAX_MESSAGE + 1 : 1025));
    ASSERT_TRUE(all_ended());
    EXPECT_EQ(ended_[0]->error, VGPU_ERROR_INVALID_LENGTH);
    EXPECT_EQ(ended_[1]->error, VGPU_ERROR_REQUEST_TOO_LARGE);
}

TEST_P(EachProtocol, TooManyAreQueueFull) {
    connect();
    for (size_t i = 0; i <= Queue::kMaxInFlight; ++i) ask(pattern(16));
    ASSERT_TRUE(ended_.back().has_value());
    EXPECT_EQ(ended_.back()->error, VGPU_ERROR_QUEUE_FULL);
    EXPECT_EQ(queue_->in_flight(), Queue::kMaxInFlight);
}

TEST_P(EachProtocol, ADoneMayAskAgainResetAndDestroy) {
    listen_and_echo();
    make_queue();
    int asked_again = 0;
    std::function<void(const Completion&)> again = [&](const Completion& done) {
        EXPECT_EQ(done.error, VGPU_OK);
        if (++asked_again < 50)
            queue_->submit(1, pattern(8), 1024, again);
        else if (asked_again == 50)
            queue_->submit(1, pattern(8), 1024, [&](const Completion&) {
                queue_->reset();
                queue_->submit(1, pattern(8), 1024, [&](const Completion&) {
                    queue_.reset();
                    ++asked_again;
                });
            });
    };
    queue_->submit(1, pattern(8), 1024, again);
    EXPECT_TRUE(until([&] { return asked_again == 51; }));
    EXPECT_EQ(queue_, nullptr);
}

TEST_P(EachProtocol, ADoneThatFailsMayDestroy) {
    connect();
    for (int i = 0; i < 3; ++i)
        queue_->submit(1, pattern(8), 1024, [&](const Completion&) { queue_.reset(); });
    ASSERT_TRUE(asked(1));
    mediator_.reset();
    if (options_.protocol == Protocol::kV3) {
        queue_.reset();  // it would wait for the mediator to come back
    }
    EXPECT_TRUE(until([&] { return queue_ == nullptr; }));
}

TEST_P(EachProtocol, ARequestUnderWayWhenTheMediatorDiesHasItsCode) {
    if (GetParam() == Protocol::kV3) return;  // it is sent again: v3_test.cpp
    connect();
    const size_t index = ask(pattern(16));
    ASSERT_TRUE(asked(1));
    mediator_.reset();
    ASSERT_TRUE(has_ended(index));
    EXPECT_EQ(ended_[index]->error, VGPU_ERROR_MEDIATOR_UNAVAILABLE);
}

TEST_P(EachProtocol, RubbishEndsTheConnectionOnly) {
    connect();
    ask(pattern(16));
    ASSERT_TRUE(asked(1));
    mediator_->send_raw(std::vector<std::byte>(64, std::byte{0xff}));
    mediator_->options().script = echo;
    ASSERT_TRUE(until([this] {
        ask(pattern(32));
        return has_ended(ended_.size() - 1) && ended_.back()->error == VGPU_OK;
    }));
    ASSERT_TRUE(all_ended());
}

TEST_P(EachProtocol, AnAnswerToNothingIsCountedAndDropped) {
    connect();
    ask(pattern(16), 1024, 5);
    ASSERT_TRUE(asked(1));
    auto other = mediator_->requests()[0];
    other.id += 1000;
    mediator_->answer(other, {VGPU_OK, pattern(99)});
    ASSERT_TRUE(until([this] { return queue_->counters().unknown == 1; }));
    mediator_->answer(mediator_->requests()[0], {VGPU_OK, pattern(20)});
    ASSERT_TRUE(all_ended());
    // v1 and v2 end a connection whose answer is another one's.
    const bool each = options_.protocol == Protocol::kV1 || options_.protocol == Protocol::kV2;
    EXPECT_EQ(ended_[0]->error, each ? VGPU_ERROR_MEDIATOR_UNAVAILABLE : VGPU_OK);
}

std::string name_of(const ::testing::TestParamInfo<Protocol>& info) {
    static constexpr std::array<const char*, 4> kNames{"Packet", "V1", "V2", "V3"};
    return kNames.at(static_cast<size_t>(info.param));
}

INSTANTIATE_TEST_SUITE_P(Protocols, EachProtocol,
                         ::testing::Values(Protocol::kPacket, Protocol::kV1, Protocol::kV2,
                                           Protocol::kV3),
                         name_of);

TEST_F(SocketQueueRig, APathThatIsTooLongIsAnError) {
    options_.path = std::string(200, 'x');
    EXPECT_FALSE(make_socket_queue(options_, *loop_));
}

}  // namespace
}  // namespace mimic::compute
