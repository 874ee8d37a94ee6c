// SPDX-License-Identifier: Apache-2.0
// No request is lost without an answer, whatever goes wrong: random requests on four pairs, random
// order of answers, random faults, resets of the simulator; each buffer comes back once, with the
// id of its request. Seeds are fixed: a failure can be repeated.
#include <chrono>
#include <random>

#include "devices/virtio_sst/test_bench.h"

namespace mimic::virtio_sst {
namespace {

using namespace std::chrono_literals;
using Kind = virtio::BackendFaults::Kind;

class RandomFaults final : public virtio::BackendFaults {
public:
    explicit RandomFaults(std::mt19937_64& random) : random_(random) {}
    Verdict next_answer() override {
        if (random_() % 4 != 0) return {};
        const auto kind = static_cast<Kind>(random_() % 5);
        ++strikes[static_cast<size_t>(kind)];
        return {kind, std::chrono::milliseconds(random_() % 8000), random_()};
    }
    bool is_dead() override { return dead; }

    bool dead = false;
    std::array<size_t, 5> strikes{};

private:
    std::mt19937_64& random_;
};

class Stress : public testing::TestWithParam<std::tuple<unsigned, bool, bool>> {
protected:
    static constexpr uint32_t kSlots = 64;  // requests in flight
    static constexpr size_t kRequests = 5000;
    static constexpr uint16_t kPairs = 4;

    void send_one() {
        std::vector<uint32_t> free;
        for (uint32_t i = 0; i < kSlots; ++i)
            if (!in_flight_.contains(i)) free.push_back(i);
        if (free.empty() || sent_ == kRequests) return;
        const uint32_t slot = free[random_() % free.size()];
        const auto pair = static_cast<uint16_t>(random_() % kPairs);
        const auto queue = static_cast<uint16_t>(pair == 0 ? 0 : 1 + 2 * pair);
        // RESET is rare; everything else is any type, known or not.
        auto type = static_cast<uint32_t>(random_() % 9);
        if (type == SST_REQ_RESET && random_() % 16 != 0) type = SST_REQ_COMPUTE;
        const uint64_t id = ++sent_;
        SSTRequest request = Bench::request(type, id);
        request.flags = static_cast<uint32_t>(random_() % 2);
        request.payload.memory.addr = random_() % 2 == 0 ? 0 : random_();
        request.payload.memory.size = static_cast<uint32_t>(random_() % 5000);
        in_flight_[slot] = id;
        if (!bench_->send(request, slot, queue)) {
            in_flight_.erase(slot);
            --sent_;
        }
    }

    void take_all() {
        for (const uint16_t queue : Bench::kRequestQueues) {
            while (const auto answer = bench_->take(queue)) {
                const uint64_t id = answer->response.request_id;
                const auto found = std::find_if(in_flight_.begin(), in_flight_.end(),
                                                [&](const auto& one) { return one.second == id; });
                ASSERT_NE(found, in_flight_.end()) << "an answer to nothing, or the second: " << id;
                ASSERT_LE(answer->response.status, unsigned{SST_STATUS_NO_DEVICE});
                in_flight_.erase(found);
                ++answered_;
            }
        }
        while (bench_->take_event()) ++events_;
    }

    std::mt19937_64 random_{std::get<0>(GetParam())};
    std::optional<Bench> bench_;
    std::map<uint32_t, uint64_t> in_flight_;  // id by slot
    size_t sent_ = 0;
    size_t answered_ = 0;
    size_t events_ = 0;
};

TEST_P(Stress, EveryRequestIsAnsweredOnce) {
    const auto [seed, packed, lock_step] = GetParam();
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    bench_.emplace(Options{.pairs = kPairs, .lock_step = lock_step},
                   Bench::GuestOptions{.queue_size = 256, .packed = packed});
    RandomFaults faults(random_);
    bench_->device->set_backend_faults(&faults);
    bench_->simulator->at_once = lock_step;
    bench_->give_event_buffers(16);
    for (size_t turn = 0; answered_ < kRequests; ++turn) {
        ASSERT_LT(turn, 1'000'000u) << sent_ << " sent, " << answered_ << " answered";
        send_one();
        auto& held = bench_->simulator->held;
        if (!held.empty() && (random_() % 2 == 0 || sent_ == kRequests))
            bench_->simulator->answer(random_() % held.size());
        if (random_() % 16 == 0) bench_->guest->time().advance(1s);
        if (random_() % 500 == 0) {
            faults.dead = !faults.dead;
            bench_->device->backend_changed();
        }
        take_all();
        if (HasFatalFailure()) return;
    }
    EXPECT_TRUE(in_flight_.empty());
    EXPECT_EQ(bench_->device->in_flight(), 0u);
    for (size_t kind = 1; kind < faults.strikes.size(); ++kind)
        EXPECT_GT(faults.strikes[kind], 0u) << "fault " << kind << " never struck";
    EXPECT_GT(events_, 0u);
}

INSTANTIATE_TEST_SUITE_P(Seeds, Stress,
                         testing::Combine(testing::Values(1u, 2u), testing::Bool(),
                                          testing::Bool()));

}  // namespace
}  // namespace mimic::virtio_sst
