// SPDX-License-Identifier: Apache-2.0
// EventKernel: callbacks in order of simulated time. A radix wheel of 11 levels with 64 slots each
// covers all 64 bits of time, so that nothing is too far away; a callback moves down at most once a
// level on its way to its turn. bench/event_kernel.cpp compares it with SystemC.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <new>
#include <type_traits>
#include <utility>
#include <vector>

#include "sim/simulator.h"

namespace mimic::sim {

/// Runs callbacks at simulated times; those of one time in the order in which they were scheduled.
/// Memory is taken for as many callbacks as were ever pending at once, and never again. Callbacks
/// may schedule and cancel others; they must not run or clear the kernel. Thread-bound.
class EventKernel {
    struct Node;

public:
    static constexpr SimTime kNever = std::numeric_limits<SimTime>::max();
    /// What a callback may capture, in bytes: three words. More belongs behind a pointer.
    static constexpr size_t kCaptureBytes = 24;

    /// Names a scheduled callback, also after it has run. Default: none.
    class Handle {
        friend class EventKernel;
        Node* node = nullptr;
        uint64_t number = 0;
    };

    EventKernel() = default;
    EventKernel(const EventKernel&) = delete;
    EventKernel& operator=(const EventKernel&) = delete;
    ~EventKernel() { clear(); }

    /// Time of the callback that runs, or to which time was last moved.
    SimTime now() const { return now_; }

    /// Callbacks that have neither run nor been cancelled.
    size_t pending() const { return pending_; }

    /// For how many callbacks there is memory.
    size_t capacity() const { return nodes_.size() * kNodesAtOnce; }

    /// Runs `callback()` at `time`; soon, if that is past.
    template <typename F>
    Handle at(SimTime time, F&& callback) {
        using Callback = std::decay_t<F>;
        static_assert(sizeof(Callback) <= kCaptureBytes && alignof(Callback) <= 8,
                      "capture a pointer instead");
        static_assert(std::is_nothrow_move_constructible_v<Callback>);
        Node* const node = allocate();
        node->time = time < now_ ? now_ : time;
        node->number = ++numbers_;
        node->act = &act<Callback>;
        new (node->capture) Callback(std::forward<F>(callback));
        append(node);
        ++pending_;
        Handle handle;
        handle.node = node;
        handle.number = node->number;
        return handle;
    }

    /// The same, `delay` from now. What would be after the end of time is at its end.
    template <typename F>
    Handle after(SimTime delay, F&& callback) {
        return at(delay > kNever - now_ ? kNever : now_ + delay, std::forward<F>(callback));
    }

    /// Takes a callback back and destroys it. False if it has run, runs, or was cancelled.
    bool cancel(const Handle& handle) {
        Node* const node = handle.node;
        if (node == nullptr || node->number != handle.number) return false;
        unlink(node);
        node->act(*this, node, false);
        return true;
    }

    /// Time of the next callback; kNever (or one at kNever) if there is none. Looks at all that
    /// share its slot.
    SimTime next_time() const {
        if (levels_ == 0) return kNever;
        const auto level = static_cast<size_t>(std::countr_zero(levels_));
        const Node* node = lists_[first_list(level)].head;
        SimTime first = node->time;
        if (level == 0) return first;
        for (; node != nullptr; node = node->next)
            if (node->time < first) first = node->time;
        return first;
    }

    /// Runs the next callback if its time is at most `limit`. False if there was none: time is
    /// `limit` then, unless that is kNever.
    bool run_one(SimTime limit = kNever) {
        Node* const node = take(limit);
        if (node == nullptr) {
            if (limit != kNever && limit > now_) now_ = limit;
            return false;
        }
        node->act(*this, node, true);
        return true;
    }

    /// Runs callbacks up to and with those at `limit`, at most `most` of them. Returns how many.
    size_t run_until(SimTime limit, size_t most = std::numeric_limits<size_t>::max()) {
        size_t ran = 0;
        while (ran < most && run_one(limit)) ++ran;
        return ran;
    }

    /// Destroys all callbacks; time is 0 again. Handles of before name nothing.
    void clear();

private:
    static constexpr unsigned kDigitBits = 6;
    static constexpr size_t kSlots = 64;
    static constexpr size_t kLevels = 11;  // x 6 bits >= 64
    static constexpr size_t kNodesAtOnce = 1024;

    // A cache line.
    struct alignas(64) Node {
        SimTime time;
        Node* next;  // in its slot, or free
        Node* previous;
        uint64_t number;  // 0: free
        void (*act)(EventKernel& kernel, Node* node, bool run);
        alignas(8) std::byte capture[kCaptureBytes];
    };
    static_assert(sizeof(Node) == 64);

    struct List {
        Node* head = nullptr;
        Node* tail = nullptr;
    };

    // The node is free before its callback runs, so that what that schedules finds it in cache.
    template <typename Callback>
    static void act(EventKernel& kernel, Node* node, bool run) {
        auto* const stored = std::launder(reinterpret_cast<Callback*>(node->capture));
        Callback callback(std::move(*stored));
        stored->~Callback();
        kernel.release(node);
        if (run) callback();
    }

    // A time is in the level of the highest digit (of 6 bits) in which it differs from cursor_, in
    // the slot of that digit. Both follow from the time, so that callbacks of one time are always
    // in one list, in their order.
    size_t level_of(SimTime time) const {
        const auto bit = 63u - static_cast<unsigned>(std::countl_zero((time ^ cursor_) | 1));
        return (bit * 43) >> 8;  // bit / 6
    }
    static size_t list_of(SimTime time, size_t level) {
        return level * kSlots + ((time >> (level * kDigitBits)) & (kSlots - 1));
    }
    size_t first_list(size_t level) const {
        return level * kSlots + static_cast<size_t>(std::countr_zero(occupied_[level]));
    }

    void append(Node* node) {
        const size_t level = level_of(node->time);
        const size_t index = list_of(node->time, level);
        List& list = lists_[index];
        node->next = nullptr;
        node->previous = list.tail;
        if (list.tail != nullptr) {
            list.tail->next = node;
        } else {
            list.head = node;
            occupied_[level] |= uint64_t{1} << (index % kSlots);
            levels_ |= 1u << level;
        }
        list.tail = node;
    }

    void emptied(size_t level, size_t index) {
        occupied_[level] &= ~(uint64_t{1} << (index % kSlots));
        if (occupied_[level] == 0) levels_ &= ~(1u << level);
    }

    void unlink(Node* node) {
        const size_t level = level_of(node->time);
        const size_t index = list_of(node->time, level);
        List& list = lists_[index];
        (node->previous != nullptr ? node->previous->next : list.head) = node->next;
        (node->next != nullptr ? node->next->previous : list.tail) = node->previous;
        if (list.head == nullptr) emptied(level, index);
    }

    // The next callback, out of its list; nullptr if its time is after `limit`. Time is its time.
    Node* take(SimTime limit) {
        while (levels_ != 0) {
            const auto level = static_cast<size_t>(std::countr_zero(levels_));
            const size_t index = first_list(level);
            List& list = lists_[index];
            Node* const node = list.head;
            if (level != 0 && node->next != nullptr) {
                if (!spread(level, index, limit)) return nullptr;
                continue;
            }
            // All of level 0's slot have one time; elsewhere it is alone, and before all others.
            if (node->time > limit) return nullptr;
            list.head = node->next;
            if (list.head != nullptr) {
                list.head->previous = nullptr;
            } else {
                list.tail = nullptr;
                emptied(level, index);
            }
            cursor_ = now_ = node->time;
            return node;
        }
        return nullptr;
    }

    // Time has come to the slot's begin, if that is not after `limit`: its callbacks go to lower
    // levels.
    bool spread(size_t level, size_t index, SimTime limit);

    Node* allocate() {
        if (free_ == nullptr) grow();
        Node* const node = free_;
        free_ = node->next;
        return node;
    }
    void release(Node* node) {
        node->number = 0;
        node->next = free_;
        free_ = node;
        --pending_;
    }
    void grow();

    SimTime now_ = 0;
    SimTime cursor_ = 0;   // at most now_, except while take() looks; levels refer to it
    uint32_t levels_ = 0;  // bit: the level has callbacks
    std::array<uint64_t, kLevels> occupied_{};
    std::array<List, kLevels * kSlots> lists_{};
    Node* free_ = nullptr;
    uint64_t numbers_ = 0;
    size_t pending_ = 0;
    std::vector<std::unique_ptr<Node[]>> nodes_;
};

}  // namespace mimic::sim
