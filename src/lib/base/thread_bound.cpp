// SPDX-License-Identifier: Apache-2.0
#include "base/thread_bound.h"

#include <array>
#include <bit>

namespace mimic {
namespace internal {

constinit thread_local uint32_t t_thread_number = kNoThread;

namespace {

// One bit for each number from 1 that a living thread has.
constexpr uint32_t kWordBits = 64;
constinit std::array<std::atomic<uint64_t>, 64> g_taken{};
constexpr uint32_t kOverflow = kWordBits * g_taken.size();  // shared by all that found none free

// Bit 0 of the first word is kNoThread.
constexpr uint64_t taken_always(size_t word) {
    return word == 0 ? 1 : 0;
}

uint32_t take_number() {
    for (size_t word = 0; word < g_taken.size(); ++word) {
        uint64_t taken = g_taken[word].load(std::memory_order_relaxed);
        while (~(taken | taken_always(word)) != 0) {
            const auto bit = static_cast<uint32_t>(std::countr_one(taken | taken_always(word)));
            if (g_taken[word].compare_exchange_weak(taken, taken | (uint64_t{1} << bit),
                                                    std::memory_order_acq_rel))
                return static_cast<uint32_t>(word) * kWordBits + bit;
        }
    }
    return kOverflow;
}

// Gives the number back when its thread ends. The thread keeps it in t_thread_number for what its
// other thread_locals do in their destructors.
struct Number {
    const uint32_t value = take_number();

    Number() = default;
    ~Number() {
        if (value == kOverflow) return;
        g_taken[value / kWordBits].fetch_and(~(uint64_t{1} << (value % kWordBits)),
                                             std::memory_order_release);
    }
    Number(const Number&) = delete;
    Number& operator=(const Number&) = delete;
};

}  // namespace

uint32_t thread_number() {
    if (t_thread_number == kNoThread) {
        thread_local const Number number;
        t_thread_number = number.value;
    }
    return t_thread_number;
}

bool thread_lives(uint32_t number) {
    if (number >= kOverflow) return true;
    const uint64_t taken = g_taken[number / kWordBits].load(std::memory_order_acquire);
    return (taken & (uint64_t{1} << (number % kWordBits))) != 0;
}

}  // namespace internal

bool ThreadBound::take_over() const {
    const uint32_t me = internal::thread_number();
    uint32_t owner = owner_.load(std::memory_order_relaxed);
    if (owner == me) return true;
    if (owner != internal::kNoThread && internal::thread_lives(owner)) return false;
    // Of two threads that both see nobody, one must lose.
    return owner_.compare_exchange_strong(owner, me, std::memory_order_relaxed);
}

}  // namespace mimic
