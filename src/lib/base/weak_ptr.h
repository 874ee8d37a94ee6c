// SPDX-License-Identifier: Apache-2.0
// WeakOwner and WeakPtr: how a task or a completion that may come late knows whether the object
// that it is about is still there. For thread-bound objects that one owner holds; nothing here
// keeps an object alive. See timer.h for what only waits for its time.
#pragma once

#include <memory>
#include <utility>

#include "base/check.h"
#include "base/thread_bound.h"

namespace mimic {

template <typename T>
class WeakOwner;

/// Points to a T, or to nothing once its WeakOwner has gone or revoked it. Copies may be made and
/// destroyed on any thread; only the thread to which the T is bound may look.
template <typename T>
class WeakPtr {
public:
    WeakPtr() = default;

    /// The object, or nullptr. Ask again after each call that may end it.
    T* get() const {
        if (!state_) return nullptr;
        state_->thread.check();
        return state_->object;
    }
    explicit operator bool() const { return get() != nullptr; }

    /// The object must be there.
    T* operator->() const {
        T* const object = get();
        MIMIC_CHECK(object != nullptr);
        return object;
    }

private:
    friend class WeakOwner<T>;

    struct State {
        explicit State(T* o) : object(o) {}
        ThreadBound thread;
        T* object;
    };

    explicit WeakPtr(std::shared_ptr<State> state) : state_(std::move(state)) {}

    // Shared by the owner and all pointers. Its count is atomic, since a loop that ends drops its
    // tasks on the thread that destroys it.
    std::shared_ptr<State> state_;
};

/// Member of a class T that gives out WeakPtrs to itself: `WeakOwner<T> weak_{this};`, declared
/// last, so that they are null before any other member goes. Thread-bound with its T.
template <typename T>
class WeakOwner {
public:
    /// `object` holds this.
    explicit WeakOwner(T* object) : object_(object) {}
    /// On any thread, once no other uses the object.
    ~WeakOwner() {
        if (state_) state_->object = nullptr;
    }
    WeakOwner(const WeakOwner&) = delete;
    WeakOwner& operator=(const WeakOwner&) = delete;

    /// A pointer to the object. The first one allocates what they share.
    WeakPtr<T> ptr() {
        if (!state_) state_ = std::make_shared<typename WeakPtr<T>::State>(object_);
        return WeakPtr<T>(state_);
    }

    /// Makes all pointers null that were given out so far; those of later calls of ptr() are not.
    void revoke() {
        if (!state_) return;
        state_->thread.check();
        state_->object = nullptr;
        state_.reset();
    }

private:
    T* const object_;
    std::shared_ptr<typename WeakPtr<T>::State> state_;
};

}  // namespace mimic
