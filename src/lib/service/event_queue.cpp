// SPDX-License-Identifier: Apache-2.0
#include "service/event_queue.h"

#include <nlohmann/json.hpp>

namespace mimic::service {
namespace {

using Json = nlohmann::ordered_json;

}  // namespace

std::string event_frame(std::string_view id, std::string_view type, const Json& data) {
    std::string frame;
    if (!id.empty()) frame.append("id: ").append(id).append("\n");
    // A dump without indentation has no line break, so it is one line of data.
    return frame.append("event: ")
               .append(type)
               .append("\ndata: ")
               .append(data.dump(-1, ' ', false, Json::error_handler_t::replace)) +
           "\n\n";
}

bool EventQueue::push(std::string frame) {
    {
        const std::lock_guard lock(mutex_);
        if (closed_) return false;
        if (missed_ != 0 || waiting_.size() >= kMaxWaiting) return ++missed_ == 1;
        waiting_.push_back(std::move(frame));
    }
    wake();
    return false;
}

void EventQueue::close() {
    {
        const std::lock_guard lock(mutex_);
        closed_ = true;
    }
    wake();
}

bool EventQueue::closed() const {
    const std::lock_guard lock(mutex_);
    return closed_;
}

HttpStream::Next EventQueue::read(std::string& chunk) {
    const std::lock_guard lock(mutex_);
    chunk.clear();
    if (!waiting_.empty()) {
        chunk = std::move(waiting_.front());
        waiting_.pop_front();
        return Next::kData;
    }
    if (missed_ != 0 && !told_) {
        told_ = true;
        closed_ = true;
        chunk = event_frame("", "dropped", {{"count", missed_}});
        return Next::kData;
    }
    return closed_ ? Next::kEnd : Next::kWait;
}

void EventQueue::set_waker(std::function<void()> wake) {
    const std::lock_guard lock(waker_mutex_);
    waker_ = std::move(wake);
}

void EventQueue::wake() {
    // Held during the call: whoever takes the waker away knows that it is not being called.
    const std::lock_guard lock(waker_mutex_);
    if (waker_) waker_();
}

}  // namespace mimic::service
