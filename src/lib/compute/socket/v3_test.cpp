// SPDX-License-Identifier: Apache-2.0
// What only v3 has: many in flight, resume, acknowledgements, shared memory; and mediators that get
// them wrong.
#include <algorithm>

#include "compute/socket/rig_test.h"

namespace mimic::compute {
namespace {

class V3 : public SocketQueueRig {
protected:
    static FakeMediator::Options echoing(uint32_t shared_bytes = 0) {
        FakeMediator::Options options;
        options.script = echo;
        options.shared_bytes = shared_bytes;
        return options;
    }
    // A Hello that cannot be: nothing is answered, nothing breaks, and a right one works later.
    void refuses_hello(FakeMediator::Options options, vgpu_error error) {
        listen(std::move(options));
        make_queue();
        const size_t index = ask(pattern(16));
        ASSERT_TRUE(has_ended(index));
        EXPECT_EQ(ended_[index]->error, error);
        EXPECT_EQ(queue_->counters().connections, 0u);
        EXPECT_FALSE(queue_->connected());
        mediator_->options() = echoing(4u << 20);
        ASSERT_TRUE(until([this] { return queue_->connected(); }));
        const size_t last = ask(pattern(16));
        ASSERT_TRUE(has_ended(last));
        EXPECT_EQ(ended_[last]->error, VGPU_OK);
    }
    wire::Frame response(const FakeMediator::Request& request) {
        wire::Frame frame{};
        frame.magic = wire::kMagic;
        frame.type = static_cast<uint16_t>(wire::FrameType::kResponse);
        frame.request_id = request.id;
        return frame;
    }
    // A frame that a mediator may not send: the connection ends, and what was asked is asked again.
    void ends_connection(const wire::Frame& frame) {
        const uint64_t before = queue_->counters().connections;
        mediator_->send_raw(wire::bytes_of(frame));
        EXPECT_TRUE(until([&] { return queue_->counters().connections > before; }));
    }
};

TEST_F(V3, ManyAreInFlightAndAnswersComeInAnyOrder) {
    FakeMediator::Options options;
    options.max_in_flight = 1000;
    connect(std::move(options));
    for (unsigned i = 0; i < 200; ++i) ask(pattern(16 + i, i));
    ASSERT_TRUE(asked(200));
    for (size_t i = 200; i-- > 0;) {
        const auto& request = mediator_->requests()[i];
        mediator_->answer(request, echo(request));
    }
    ASSERT_TRUE(all_ended());
    for (unsigned i = 0; i < 200; ++i) EXPECT_EQ(ended_[i]->response, pattern(16 + i, i));
}

TEST_F(V3, NoMoreAreSentThanTheMediatorTakes) {
    FakeMediator::Options options;
    options.max_in_flight = 3;
    connect(std::move(options));
    for (int i = 0; i < 10; ++i) ask(pattern(16));
    ASSERT_TRUE(asked(3));
    for (int i = 0; i < 20; ++i) loop_->run_once(std::chrono::milliseconds(1));
    EXPECT_EQ(mediator_->requests().size(), 3u);
    mediator_->answer(mediator_->requests()[1], {VGPU_OK, pattern(1)});
    ASSERT_TRUE(asked(4));
    for (int i = 0; i < 20; ++i) loop_->run_once(std::chrono::milliseconds(1));
    EXPECT_EQ(mediator_->requests().size(), 4u);
}

TEST_F(V3, WhatWasNotAnsweredIsSentAgainToTheNextMediator) {
    connect();
    const uint64_t session = 1001;
    for (unsigned i = 0; i < 8; ++i) ask(pattern(16 + i, i));
    ASSERT_TRUE(asked(8));
    for (const size_t i : {2u, 5u}) {
        const auto& request = mediator_->requests()[i];
        mediator_->answer(request, echo(request));
    }
    ASSERT_TRUE(until([this] { return queue_->in_flight() == 6; }));
    const auto before = mediator_->requests();
    mediator_.reset();
    ASSERT_TRUE(until([this] { return !queue_->connected(); }));
    ask(pattern(50));  // waits, too
    listen_and_echo();
    ASSERT_TRUE(all_ended());
    ASSERT_EQ(mediator_->hellos().at(0).session, session);
    ASSERT_EQ(mediator_->requests().size(), 7u);
    std::vector<uint64_t> again;
    for (const auto& request : mediator_->requests())
        if ((request.frame.flags & wire::kFlagAgain) != 0) again.push_back(request.id);
    EXPECT_EQ(again, (std::vector<uint64_t>{before[0].id, before[1].id, before[3].id, before[4].id,
                                            before[6].id, before[7].id}));
    for (unsigned i = 0; i < 8; ++i) EXPECT_EQ(ended_[i]->response, pattern(16 + i, i));
    EXPECT_EQ(ended_[8]->response, pattern(50));
    EXPECT_EQ(queue_->counters().resent, 6u);
    EXPECT_EQ(queue_->counters().failed, 0u);
}

TEST_F(V3, StartingOverForgetsTheSessionsMemory) {
    connect();
    const size_t before = ask(pattern(16));
    ASSERT_TRUE(asked(1));
    queue_->start_over();
    EXPECT_EQ(queue_->in_flight(), 0u);
    const size_t after = ask(pattern(32));
    ASSERT_TRUE(asked(2));
    EXPECT_EQ(mediator_->forgotten(), 1u);
    EXPECT_EQ(mediator_->hellos().size(), 1u) << "the connection stays";
    for (const auto& request : mediator_->requests()) mediator_->answer(request, echo(request));
    ASSERT_TRUE(has_ended(after));
    EXPECT_EQ(ended_[after]->response, pattern(32));
    EXPECT_FALSE(ended_[before]);
    // The answer says that the mediator has heard of it: the session goes on.
    mediator_.reset();
    listen_and_echo();
    ASSERT_TRUE(has_ended(ask(pattern(16))));
    EXPECT_EQ(mediator_->hellos().at(0).session, 1001u);
}

TEST_F(V3, AMediatorThatDiesBeforeItForgetsIsNotAskedForThatSession) {
    connect();
    queue_->start_over();
    mediator_.reset();
    ASSERT_TRUE(until([this] { return !queue_->connected(); }));
    listen_and_echo();
    ASSERT_TRUE(has_ended(ask(pattern(16))));
    EXPECT_EQ(mediator_->hellos().at(0).session, 0u);
    // And while nobody is there.
    mediator_.reset();
    ASSERT_TRUE(until([this] { return !queue_->connected(); }));
    queue_->start_over();
    listen_and_echo();
    ASSERT_TRUE(has_ended(ask(pattern(16))));
    EXPECT_EQ(mediator_->hellos().at(0).session, 0u);
}

TEST_F(V3, AnotherSessionIsNotAskedTwice) {
    connect();
    ask(pattern(16));
    ASSERT_TRUE(asked(1));
    mediator_.reset();
    ASSERT_TRUE(until([this] { return !queue_->connected(); }));
    ask(pattern(32));
    FakeMediator::Options options = echoing();
    options.session = 77;
    listen(std::move(options));
    ASSERT_TRUE(all_ended());
    EXPECT_EQ(ended_[0]->error, VGPU_ERROR_MEDIATOR_UNAVAILABLE);
    EXPECT_EQ(ended_[1]->error, VGPU_OK);
    EXPECT_EQ(queue_->counters().resent, 0u);
}

TEST_F(V3, PatienceEnds) {
    options_.resume_patience = std::chrono::milliseconds(30);
    connect();
    ask(pattern(16));
    ASSERT_TRUE(asked(1));
    mediator_.reset();
    ASSERT_TRUE(all_ended());
    EXPECT_EQ(ended_[0]->error, VGPU_ERROR_MEDIATOR_UNAVAILABLE);
    const size_t late = ask(pattern(16));
    EXPECT_TRUE(ended_[late].has_value());  // at once now
}

TEST_F(V3, WithoutResumeWhatIsInFlightFails) {
    FakeMediator::Options options;
    options.capabilities = wire::kCapBatch;
    connect(std::move(options));
    ask(pattern(16));
    ASSERT_TRUE(asked(1));
    mediator_.reset();
    ASSERT_TRUE(all_ended());
    EXPECT_EQ(ended_[0]->error, VGPU_ERROR_MEDIATOR_UNAVAILABLE);
}

TEST_F(V3, AnswersThatWereSeenAreAcknowledgedButNotThoseBehindOneThatWasNot) {
    connect();
    for (int i = 0; i < 3; ++i) ask(pattern(16));
    ASSERT_TRUE(asked(3));
    const auto requests = mediator_->requests();
    mediator_->answer(requests[0], echo(requests[0]));
    mediator_->answer(requests[2], echo(requests[2]));
    ASSERT_TRUE(until([this] { return !mediator_->acknowledged().empty(); }));
    EXPECT_GE(mediator_->acknowledged().back(), requests[0].id);
    EXPECT_LT(mediator_->acknowledged().back(), requests[1].id);
    mediator_->answer(requests[1], echo(requests[1]));
    EXPECT_TRUE(until([&] { return mediator_->acknowledged().back() >= requests[2].id; }));
}

TEST_F(V3, LongDataGoesThroughSharedMemoryAndItsPlaceIsUsedAgain) {
    connect(echoing(1u << 20));
    for (unsigned i = 0; i < 40; ++i) ask(pattern(100'000 + i, i), 110'000);
    ASSERT_TRUE(all_ended());
    size_t shared = 0;
    for (unsigned i = 0; i < 40; ++i) {
        ASSERT_EQ(ended_[i]->error, VGPU_OK);
        ASSERT_EQ(ended_[i]->response, pattern(100'000 + i, i));
        shared += (mediator_->requests()[i].frame.flags & wire::kFlagShared) != 0 ? 1 : 0;
    }
    EXPECT_GT(shared, 0u);
    // With one at a time there is always room.
    for (unsigned i = 0; i < 20; ++i) {
        const size_t index = ask(pattern(400'000, i), 500'000);
        ASSERT_TRUE(has_ended(index));
        EXPECT_EQ(ended_[index]->response, pattern(400'000, i));
        const auto& frame = mediator_->requests().back().frame;
        EXPECT_NE(frame.flags & wire::kFlagShared, 0);
        EXPECT_NE(frame.flags & wire::kFlagRoom, 0);
    }
}

TEST_F(V3, TheLongestMessageGoesBothWays) {
    for (const uint32_t shared : {0u, 2 * VGPU_MAX_MESSAGE}) {
        connect(echoing(shared));
        const size_t index = ask(pattern(VGPU_MAX_MESSAGE), VGPU_MAX_MESSAGE);
        ASSERT_TRUE(has_ended(index));
        EXPECT_EQ(ended_[index]->response, pattern(VGPU_MAX_MESSAGE));
        queue_.reset();
        mediator_.reset();
    }
}

TEST_F(V3, WhatFitsNowhereIsTooLarge) {
    FakeMediator::Options options = echoing();
    options.max_payload = 8192;
    listen(std::move(options));
    make_queue();
    ask(pattern(8193));  // before the limit is known
    ask(pattern(8192));
    ASSERT_TRUE(all_ended());
    ask(pattern(8193));
    EXPECT_EQ(ended_[0]->error, VGPU_ERROR_REQUEST_TOO_LARGE);
    EXPECT_EQ(ended_[1]->error, VGPU_OK);
    ASSERT_TRUE(ended_[2].has_value());
    EXPECT_EQ(ended_[2]->error, VGPU_ERROR_REQUEST_TOO_LARGE);
}

TEST_F(V3, MoreBytesThanMayWaitAreQueueFull) {
    connect();
    for (size_t i = 0; i < Queue::kMaxBytes / VGPU_MAX_MESSAGE; ++i)
        ask(std::vector<std::byte>(VGPU_MAX_MESSAGE));
    ask(pattern(1));
    ASSERT_TRUE(ended_.back().has_value());
    EXPECT_EQ(ended_.back()->error, VGPU_ERROR_QUEUE_FULL);
    queue_->reset();
    mediator_->options().script = echo;
    const size_t last = ask(pattern(1));
    ASSERT_TRUE(has_ended(last));
    EXPECT_EQ(ended_[last]->error, VGPU_OK);
}

TEST_F(V3, ResetAndTimeoutTellTheMediator) {
    options_.answer_timeout = std::chrono::milliseconds(500);  // by then the request has left
    connect();
    ask(pattern(16));
    ASSERT_TRUE(until([this] { return !mediator_->cancelled().empty(); }));
    EXPECT_EQ(mediator_->cancelled()[0], mediator_->requests()[0].id);
    ASSERT_TRUE(has_ended(0));
    mediator_->answer(mediator_->requests()[0], {VGPU_OK, pattern(4)});
    EXPECT_TRUE(until([this] { return queue_->counters().late == 1; }));
}

TEST_F(V3, ErrorsComeWithoutAResponse) {
    FakeMediator::Options options;
    options.script = [](const FakeMediator::Request&) {
        return FakeMediator::Reply{VGPU_ERROR_QUARANTINED, {}};
    };
    connect(std::move(options));
    ask(pattern(16));
    ASSERT_TRUE(all_ended());
    EXPECT_EQ(ended_[0]->error, VGPU_ERROR_QUARANTINED);
}

TEST_F(V3, HellosThatCannotBe) {
    FakeMediator::Options options;
    options.version = 4;
    refuses_hello(std::move(options), VGPU_ERROR_MEDIATOR_UNAVAILABLE);
}
TEST_F(V3, HelloWithoutMemoryThatItNames) {
    FakeMediator::Options options;
    options.shared_bytes = 4096;
    options.gives_descriptor = false;
    refuses_hello(std::move(options), VGPU_ERROR_MEDIATOR_UNAVAILABLE);
}
TEST_F(V3, HelloThatTakesNothing) {
    FakeMediator::Options options;
    options.max_in_flight = 0;
    refuses_hello(std::move(options), VGPU_ERROR_MEDIATOR_UNAVAILABLE);
}
TEST_F(V3, HelloThatTakesTooLittle) {
    FakeMediator::Options options;
    options.max_payload = 100;
    refuses_hello(std::move(options), VGPU_ERROR_MEDIATOR_UNAVAILABLE);
}
TEST_F(V3, HelloThatDenies) {
    FakeMediator::Options options;
    options.status = VGPU_ERROR_DENIED;
    refuses_hello(std::move(options), VGPU_ERROR_DENIED);
}

TEST_F(V3, FramesThatCannotBeEndTheConnectionAndLoseNothing) {
    connect(echoing(1u << 20));
    mediator_->options().script = nullptr;
    ask(pattern(16));
    ask(pattern(16), 8192);
    for (int round = 0; round < 6; ++round) {
        ASSERT_TRUE(until([this] { return mediator_->requests().size() >= 2; }));
        wire::Frame frame = response(mediator_->requests()[1]);
        switch (round) {
            case 0:
                frame.magic = 1;
                break;
            case 1:
                frame.type = static_cast<uint16_t>(wire::FrameType::kCancel);
                break;
            case 2:
                frame.type = static_cast<uint16_t>(wire::FrameType::kForget);
                break;
            case 3:  // outside the memory
                frame.flags = wire::kFlagShared;
                frame.data_offset = 1u << 20;
                frame.data_length = 1;
                break;
            case 4:  // within it, but not where there is room
                frame.flags = wire::kFlagShared;
                frame.data_offset = mediator_->requests()[1].frame.room_offset + 64;
                frame.data_length = 64;
                break;
            default:  // longer than the room
                frame.flags = wire::kFlagShared;
                frame.data_offset = mediator_->requests()[1].frame.room_offset;
                frame.data_length = 8193;
                break;
        }
        mediator_->requests().clear();
        ends_connection(frame);
    }
    EXPECT_EQ(queue_->in_flight(), 2u);
    ASSERT_TRUE(until([this] { return mediator_->requests().size() >= 2; }));
    for (const auto& request : mediator_->requests()) mediator_->answer(request, echo(request));
    ASSERT_TRUE(all_ended());
    EXPECT_EQ(ended_[0]->error, VGPU_OK);
    EXPECT_EQ(ended_[1]->error, VGPU_OK);
}

TEST_F(V3, AMediatorThatSaysNothingIsLetGo) {
    FakeMediator::Options options;
    options.silent = true;
    options_.answer_timeout = std::chrono::milliseconds(30);
    listen(std::move(options));
    make_queue();
    ask(pattern(16));
    ASSERT_TRUE(all_ended());
    EXPECT_NE(ended_[0]->error, VGPU_OK);
    ASSERT_TRUE(until([this] { return mediator_->connections() >= 2; }));
}

TEST_F(V3, APingDoesNotDisturb) {
    connect(echoing());
    wire::Frame ping{};
    ping.magic = wire::kMagic;
    ping.type = static_cast<uint16_t>(wire::FrameType::kPing);
    mediator_->send_raw(wire::bytes_of(ping));
    const size_t index = ask(pattern(16));
    ASSERT_TRUE(has_ended(index));
    EXPECT_EQ(queue_->counters().connections, 1u);
}

}  // namespace
}  // namespace mimic::compute
