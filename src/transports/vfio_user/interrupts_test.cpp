// SPDX-License-Identifier: Apache-2.0
// DEVICE_SET_IRQS in all its forms (facts 1.3, 2.3), INTx masking, and what is refused.
#include "vfio_user/interrupts.h"

#include <fcntl.h>
#include <sys/resource.h>

#include <gtest/gtest.h>

#include "vfio_user/test_peer.h"

namespace mimic::vfio_user {
namespace {

using namespace std::chrono_literals;

constexpr uint32_t kAttach = kIrqDataEventfd | kIrqActionTrigger;
constexpr uint32_t kDisable = kIrqDataNone | kIrqActionTrigger;
constexpr uint32_t kFireAll = kIrqDataNone | kIrqActionTrigger;
constexpr uint32_t kFireSome = kIrqDataBool | kIrqActionTrigger;
constexpr uint32_t kMask = kIrqDataNone | kIrqActionMask;
constexpr uint32_t kUnmask = kIrqDataNone | kIrqActionUnmask;

class InterruptsTest : public ::testing::Test {
protected:
    // errno of one SET_IRQS; `fds` are duplicated, as a socket would.
    int set(uint32_t flags, uint32_t index, uint32_t start, uint32_t count,
            const std::vector<int>& given = {}, const Bytes& data = {}) {
        std::vector<UniqueFd> owned;
        for (const int one : given) owned.emplace_back(::dup(one));
        const SetIrqsBody body{sizeof body, flags, index, start, count};
        const Status status = interrupts.set(body, data, owned);
        return status ? 0 : status.error().errno_value();
    }
    uint64_t events(size_t i) { return events_of(fds[i].get()); }
    int fd(size_t i) { return fds[i].get(); }
    void turn_loop() { loop->run_once(0ns); }

    std::unique_ptr<EventLoop> loop = EventLoop::create().value();
    Interrupts interrupts{*loop, {1, 4, 8, 1, 1}};
    std::vector<UniqueFd> fds = [] {
        std::vector<UniqueFd> made;
        for (int i = 0; i < 8; ++i) made.push_back(event_fd());
        return made;
    }();
};

// --- Attaching and detaching -----------------------------------------------------------------

TEST_F(InterruptsTest, AttachInChunksThenTriggerSignalsTheRightVector) {
    ASSERT_EQ(set(kAttach, kIrqMsix, 0, 3, {fd(0), fd(1), fd(2)}), 0);
    ASSERT_EQ(set(kAttach, kIrqMsix, 3, 2, {fd(3), fd(4)}), 0);
    for (uint32_t v = 0; v < 5; ++v) interrupts.trigger(kIrqMsix, v);
    for (size_t i = 0; i < 5; ++i) EXPECT_EQ(events(i), 1u) << i;
    EXPECT_EQ(interrupts.signalled(), 5u);
}

// A device may have 2,048 vectors, and a process a thousand descriptors for all its devices.
TEST_F(InterruptsTest, OneClientDoesNotTakeTheLastDescriptors) {
    rlimit before{};
    ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
    rlimit few = before;
    few.rlim_cur = 256;
    Interrupts greedy(*loop, {1, 4, 2048, 1, 1});
    const auto attach = [&](Interrupts& to, uint32_t vector) {
        std::vector<UniqueFd> one;
        one.push_back(event_fd());
        const SetIrqsBody body{sizeof body, kAttach, kIrqMsix, vector, 1};
        const Status status = to.set(body, {}, one);
        return status ? 0 : status.error().errno_value();
    };
    ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &few), 0);
    int error = 0;
    uint32_t vectors = 0;
    while (error == 0 && vectors < 2048) error = attach(greedy, vectors++);
    EXPECT_EQ(error, EMFILE);
    EXPECT_GE(vectors, Interrupts::kAssuredEventfds);
    EXPECT_LE(vectors, 200u) << "a quarter of 256 is left";
    int innocent = 0;
    for (uint32_t i = 0; i < 8 && innocent == 0; ++i) innocent = attach(interrupts, i);
    EXPECT_EQ(innocent, 0);
    EXPECT_EQ(attach(greedy, 0), EMFILE);
    greedy.reset();
    EXPECT_EQ(attach(greedy, 0), 0);
    ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
}

TEST_F(InterruptsTest, AttachWithoutDescriptorsDetachesThatRangeOnly) {
    ASSERT_EQ(set(kAttach, kIrqMsix, 0, 3, {fd(0), fd(1), fd(2)}), 0);
    ASSERT_EQ(set(kAttach, kIrqMsix, 1, 1), 0);
    for (uint32_t v = 0; v < 3; ++v) interrupts.trigger(kIrqMsix, v);
    EXPECT_EQ(events(0), 1u);
    EXPECT_EQ(events(1), 0u);
    EXPECT_EQ(events(2), 1u);
}

// libvfio-user (efd091b, lib/irq.c) refuses them too: what the others shall be is not said.
TEST_F(InterruptsTest, FewerDescriptorsThanVectorsAreRefusedAndChangeNothing) {
    ASSERT_EQ(set(kAttach, kIrqMsix, 0, 4, {fd(0), fd(1), fd(2), fd(3)}), 0);
    EXPECT_EQ(set(kAttach, kIrqMsix, 0, 4, {fd(4)}), EINVAL);
    EXPECT_EQ(set(kAttach, kIrqMsix, 0, 4, {fd(4), fd(5), fd(6)}), EINVAL);
    for (uint32_t v = 0; v < 4; ++v) interrupts.trigger(kIrqMsix, v);
    for (size_t i = 0; i < 4; ++i) EXPECT_EQ(events(i), 1u) << i;
    EXPECT_EQ(events(4), 0u);
    ASSERT_EQ(set(kAttach, kIrqMsix, 0, 4), 0);  // none: QEMU's way to detach
    for (uint32_t v = 0; v < 4; ++v) interrupts.trigger(kIrqMsix, v);
    for (size_t i = 0; i < 4; ++i) EXPECT_EQ(events(i), 0u) << i;
}

TEST_F(InterruptsTest, MessageWithoutDescriptorStaysPendingUntilAttached) {
    ASSERT_EQ(set(kAttach, kIrqMsix, 0, 1), 0);  // QEMU enables MSI-X like this
    interrupts.trigger(kIrqMsix, 2);
    interrupts.trigger(kIrqMsix, 2);
    ASSERT_EQ(set(kAttach, kIrqMsix, 2, 1, {fd(2)}), 0);
    EXPECT_EQ(events(2), 1u);
    ASSERT_EQ(set(kAttach, kIrqMsix, 2, 1, {fd(3)}), 0);
    EXPECT_EQ(events(3), 0u);
}

TEST_F(InterruptsTest, CountZeroDisablesTheWholeIndexAndForgetsPending) {
    ASSERT_EQ(set(kAttach, kIrqMsix, 0, 2, {fd(0), fd(1)}), 0);
    ASSERT_EQ(set(kAttach, kIrqMsi, 0, 1, {fd(2)}), 0);
    interrupts.trigger(kIrqMsix, 5);
    ASSERT_EQ(set(kDisable, kIrqMsix, 0, 0), 0);
    interrupts.trigger(kIrqMsi, 0);
    ASSERT_EQ(
        set(kAttach, kIrqMsix, 0, 8, {fd(3), fd(3), fd(3), fd(3), fd(3), fd(3), fd(3), fd(3)}), 0);
    EXPECT_EQ(events(0), 0u);
    EXPECT_EQ(events(2), 1u);
    EXPECT_EQ(events(3), 0u);
}

TEST_F(InterruptsTest, ErrAndReqTakeADescriptor) {
    ASSERT_EQ(set(kAttach, kIrqErr, 0, 1, {fd(0)}), 0);
    ASSERT_EQ(set(kAttach, kIrqReq, 0, 1, {fd(1)}), 0);
    interrupts.trigger(kIrqErr, 0);
    interrupts.trigger(kIrqReq, 0);
    EXPECT_EQ(events(0), 1u);
    EXPECT_EQ(events(1), 1u);
    EXPECT_EQ(set(kAttach, kIrqErr, 0, 1), 0);
}

TEST_F(InterruptsTest, TriggerOutsideTheRangeIsIgnored) {
    interrupts.trigger(kIrqMsix, 8);
    interrupts.trigger(kIrqMsix, UINT32_MAX);
    interrupts.trigger(kIrqCount, 0);
    EXPECT_EQ(interrupts.signalled(), 0u);
}

// --- Loopback --------------------------------------------------------------------------------

TEST_F(InterruptsTest, LoopbackFiresAllOrSome) {
    ASSERT_EQ(set(kAttach, kIrqMsix, 0, 4, {fd(0), fd(1), fd(2), fd(3)}), 0);
    ASSERT_EQ(set(kFireAll, kIrqMsix, 1, 2), 0);
    EXPECT_EQ(events(0), 0u);
    EXPECT_EQ(events(1), 1u);
    EXPECT_EQ(events(2), 1u);
    ASSERT_EQ(set(kFireSome, kIrqMsix, 0, 4, {}, {1, 0, 0, 7}), 0);
    EXPECT_EQ(events(0), 1u);
    EXPECT_EQ(events(1), 0u);
    EXPECT_EQ(events(2), 0u);
    EXPECT_EQ(events(3), 1u);
}

// --- INTx ------------------------------------------------------------------------------------

TEST_F(InterruptsTest, HighPinFiresOnceAndAgainAfterEachUnmask) {
    ASSERT_EQ(set(kAttach, kIrqIntx, 0, 1, {fd(0)}), 0);
    interrupts.set_intx_level(true);
    interrupts.set_intx_level(true);
    EXPECT_EQ(events(0), 1u);
    ASSERT_EQ(set(kUnmask, kIrqIntx, 0, 1), 0);
    EXPECT_EQ(events(0), 1u);
    interrupts.set_intx_level(false);
    ASSERT_EQ(set(kUnmask, kIrqIntx, 0, 1), 0);
    EXPECT_EQ(events(0), 0u);
    interrupts.set_intx_level(true);
    EXPECT_EQ(events(0), 1u);
}

TEST_F(InterruptsTest, PinRaisedBeforeAttachFiresExactlyOnceAtAttach) {
    interrupts.set_intx_level(true);
    ASSERT_EQ(set(kAttach, kIrqIntx, 0, 1, {fd(0)}), 0);
    EXPECT_EQ(events(0), 1u);
    EXPECT_EQ(interrupts.signalled(), 1u);
}

TEST_F(InterruptsTest, MaskHoldsThePinBackUntilUnmask) {
    ASSERT_EQ(set(kAttach, kIrqIntx, 0, 1, {fd(0)}), 0);
    ASSERT_EQ(set(kMask, kIrqIntx, 0, 1), 0);
    interrupts.set_intx_level(true);
    EXPECT_EQ(events(0), 0u);
    ASSERT_EQ(set(kIrqDataBool | kIrqActionUnmask, kIrqIntx, 0, 1, {}, {0}), 0);
    EXPECT_EQ(events(0), 0u);
    ASSERT_EQ(set(kIrqDataBool | kIrqActionUnmask, kIrqIntx, 0, 1, {}, {1}), 0);
    EXPECT_EQ(events(0), 1u);
}

TEST_F(InterruptsTest, PinLoweredWhileMaskedDoesNotFireLater) {
    ASSERT_EQ(set(kAttach, kIrqIntx, 0, 1, {fd(0)}), 0);
    ASSERT_EQ(set(kMask, kIrqIntx, 0, 1), 0);
    interrupts.set_intx_level(true);
    interrupts.set_intx_level(false);
    ASSERT_EQ(set(kUnmask, kIrqIntx, 0, 1), 0);
    EXPECT_EQ(events(0), 0u);
}

TEST_F(InterruptsTest, ResampleEventfdUnmasksAsOftenAsItIsWritten) {
    // KVM: mask, resample eventfd, unmask.
    ASSERT_EQ(set(kAttach, kIrqIntx, 0, 1, {fd(0)}), 0);
    ASSERT_EQ(set(kMask, kIrqIntx, 0, 1), 0);
    ASSERT_EQ(set(kIrqDataEventfd | kIrqActionUnmask, kIrqIntx, 0, 1, {fd(1)}), 0);
    ASSERT_EQ(set(kUnmask, kIrqIntx, 0, 1), 0);
    interrupts.set_intx_level(true);
    EXPECT_EQ(events(0), 1u);
    for (int i = 0; i < 3; ++i) {
        const uint64_t one = 1;
        ASSERT_EQ(::write(fd(1), &one, sizeof one), 8);
        turn_loop();
        EXPECT_EQ(events(0), 1u) << i;
    }
    turn_loop();
    EXPECT_EQ(events(0), 0u);  // nothing was written: no unmask
}

TEST_F(InterruptsTest, MaskEventfdMasksAndEmptyOneDetachesIt) {
    ASSERT_EQ(set(kAttach, kIrqIntx, 0, 1, {fd(0)}), 0);
    ASSERT_EQ(set(kIrqDataEventfd | kIrqActionMask, kIrqIntx, 0, 1, {fd(1)}), 0);
    const uint64_t one = 1;
    ASSERT_EQ(::write(fd(1), &one, sizeof one), 8);
    turn_loop();
    interrupts.set_intx_level(true);
    EXPECT_EQ(events(0), 0u);
    ASSERT_EQ(set(kIrqDataEventfd | kIrqActionMask, kIrqIntx, 0, 1), 0);
    ASSERT_EQ(set(kUnmask, kIrqIntx, 0, 1), 0);
    EXPECT_EQ(events(0), 1u);
    interrupts.set_intx_level(false);
    ASSERT_EQ(set(kUnmask, kIrqIntx, 0, 1), 0);
    ASSERT_EQ(::write(fd(1), &one, sizeof one), 8);
    turn_loop();
    interrupts.set_intx_level(true);
    EXPECT_EQ(events(0), 1u);
}

TEST_F(InterruptsTest, DisablingIntxDropsMaskLevelStaysAndWatchers) {
    ASSERT_EQ(set(kAttach, kIrqIntx, 0, 1, {fd(0)}), 0);
    ASSERT_EQ(set(kIrqDataEventfd | kIrqActionUnmask, kIrqIntx, 0, 1, {fd(1)}), 0);
    interrupts.set_intx_level(true);
    EXPECT_EQ(events(0), 1u);
    ASSERT_EQ(set(kDisable, kIrqIntx, 0, 0), 0);
    const uint64_t one = 1;
    ASSERT_EQ(::write(fd(1), &one, sizeof one), 8);
    turn_loop();
    ASSERT_EQ(set(kAttach, kIrqIntx, 0, 1, {fd(2)}), 0);
    EXPECT_EQ(events(2), 1u);  // still high
    EXPECT_EQ(events(0), 0u);
}

TEST_F(InterruptsTest, ResetDetachesEverything) {
    ASSERT_EQ(set(kAttach, kIrqIntx, 0, 1, {fd(0)}), 0);
    ASSERT_EQ(set(kAttach, kIrqMsix, 0, 1, {fd(1)}), 0);
    ASSERT_EQ(set(kIrqDataEventfd | kIrqActionUnmask, kIrqIntx, 0, 1, {fd(2)}), 0);
    interrupts.reset();
    interrupts.trigger(kIrqMsix, 0);
    interrupts.set_intx_level(true);
    EXPECT_EQ(events(0) + events(1), 0u);
}

// --- Hostile descriptors ---------------------------------------------------------------------

TEST_F(InterruptsTest, DescriptorThatIsNoEventfdIsRefused) {
    const UniqueFd file = memfd(16);
    std::array<int, 2> pipe_fds{-1, -1};
    ASSERT_EQ(::pipe(pipe_fds.data()), 0);
    const UniqueFd read_end(pipe_fds[0]);
    const UniqueFd write_end(pipe_fds[1]);
    SocketPair sockets;
    for (const int bad : {file.get(), read_end.get(), write_end.get(), sockets.ours.get()}) {
        EXPECT_EQ(set(kAttach, kIrqMsix, 0, 2, {fd(0), bad}), EINVAL);
        EXPECT_EQ(set(kIrqDataEventfd | kIrqActionUnmask, kIrqIntx, 0, 1, {bad}), EINVAL);
    }
    interrupts.trigger(kIrqMsix, 0);
    EXPECT_EQ(events(0), 0u);  // the good one of a refused request is not attached either
}

// The client may make its eventfd blocking again at any time; a full one must not stop the loop.
TEST_F(InterruptsTest, FullBlockingEventfdDoesNotBlock) {
    const UniqueFd full = event_fd(/*flags=*/0);
    const uint64_t most = UINT64_MAX - 1;
    ASSERT_EQ(::write(full.get(), &most, sizeof most), 8);
    ASSERT_EQ(set(kAttach, kIrqMsix, 0, 1, {full.get()}), 0);
    interrupts.trigger(kIrqMsix, 0);
    EXPECT_EQ(events_of(full.get()), most);
}

TEST_F(InterruptsTest, FlagsOfTheClientsEventfdStayAsTheyAre) {
    const UniqueFd blocking = event_fd(/*flags=*/0);
    const int before = ::fcntl(blocking.get(), F_GETFL);
    ASSERT_EQ(set(kAttach, kIrqMsix, 0, 1, {blocking.get()}), 0);
    EXPECT_EQ(::fcntl(blocking.get(), F_GETFL), before);
    interrupts.trigger(kIrqMsix, 0);
    EXPECT_EQ(events_of(blocking.get()), 1u);
}

// --- Refused requests ------------------------------------------------------------------------

struct BadRequest {
    const char* name;
    uint32_t flags;
    uint32_t index;
    uint32_t start;
    uint32_t count;
    size_t fds = 0;
    size_t data = 0;
};

class InterruptsRefuse : public InterruptsTest, public ::testing::WithParamInterface<BadRequest> {};

TEST_P(InterruptsRefuse, WithEinval) {
    const BadRequest& bad = GetParam();
    std::vector<int> some;
    for (size_t i = 0; i < bad.fds; ++i) some.push_back(fd(i));
    EXPECT_EQ(set(bad.flags, bad.index, bad.start, bad.count, some, Bytes(bad.data, 1)), EINVAL);
}

INSTANTIATE_TEST_SUITE_P(
    Fields, InterruptsRefuse,
    ::testing::Values(BadRequest{"no_flags", 0, kIrqMsix, 0, 1},
                      BadRequest{"no_action", kIrqDataNone, kIrqMsix, 0, 1},
                      BadRequest{"no_data_kind", kIrqActionTrigger, kIrqMsix, 0, 1},
                      BadRequest{"two_kinds", kIrqDataNone | kIrqDataBool | kIrqActionTrigger,
                                 kIrqMsix, 0, 1, 0, 1},
                      BadRequest{"two_actions", kIrqDataNone | kIrqActionMask | kIrqActionUnmask,
                                 kIrqIntx, 0, 1},
                      BadRequest{"unknown_flag", kFireAll | 0x40, kIrqMsix, 0, 1},
                      BadRequest{"high_flag", kFireAll | 0x8000'0000, kIrqMsix, 0, 1},
                      BadRequest{"index_5", kFireAll, kIrqCount, 0, 1},
                      BadRequest{"index_max", kFireAll, UINT32_MAX, 0, 1},
                      BadRequest{"start_beyond", kFireAll, kIrqMsix, 8, 1},
                      BadRequest{"start_max", kFireAll, kIrqMsix, UINT32_MAX, 1},
                      BadRequest{"count_beyond", kFireAll, kIrqMsix, 0, 9},
                      BadRequest{"sum_overflows", kFireAll, kIrqMsix, 7, UINT32_MAX},
                      BadRequest{"second_intx", kFireAll, kIrqIntx, 1, 1},
                      BadRequest{"count_max_attach", kAttach, kIrqMsix, 0, UINT32_MAX},
                      BadRequest{"disable_from_1", kDisable, kIrqMsix, 1, 0},
                      BadRequest{"no_booleans", kFireSome, kIrqMsix, 0, 0},
                      BadRequest{"attach_none", kAttach, kIrqMsix, 0, 0},
                      BadRequest{"mask_none", kMask, kIrqIntx, 0, 0},
                      BadRequest{"booleans_missing", kFireSome, kIrqMsix, 0, 2, 0, 1},
                      BadRequest{"booleans_too_many", kFireSome, kIrqMsix, 0, 2, 0, 3},
                      BadRequest{"fds_too_many", kAttach, kIrqMsix, 0, 1, 2},
                      BadRequest{"fds_with_none", kFireAll, kIrqMsix, 0, 1, 1},
                      BadRequest{"fds_with_bool", kFireSome, kIrqMsix, 0, 1, 1, 1},
                      BadRequest{"mask_msix", kMask, kIrqMsix, 0, 1},
                      BadRequest{"unmask_msi", kUnmask, kIrqMsi, 0, 1},
                      BadRequest{"mask_err", kMask, kIrqErr, 0, 1},
                      BadRequest{"unmask_eventfd_of_msix", kIrqDataEventfd | kIrqActionUnmask,
                                 kIrqMsix, 0, 1, 1}),
    [](const auto& param) { return param.param.name; });

}  // namespace
}  // namespace mimic::vfio_user
