// SPDX-License-Identifier: Apache-2.0
#include "service/event_hub.h"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <nlohmann/json.hpp>

namespace mimic::service {
namespace {

using Json = nlohmann::ordered_json;

uint64_t unix_us() {
    const auto now = std::chrono::system_clock::now().time_since_epoch();
    return static_cast<uint64_t>(
        std::chrono::duration_cast<std::chrono::microseconds>(now).count());
}

}  // namespace

void EventHub::publish(std::string_view type, std::string_view device, const Json& members) {
    if (!listening()) return;
    Json data{{"time_us", unix_us()}, {"machine", machine_}, {"device", nullptr}};
    if (!device.empty()) data["device"] = device;
    data.update(members);
    add(type, data);
}

void EventHub::pass_on(std::string_view type, const Json& data) {
    if (listening()) add(type, data);
}

void EventHub::add(std::string_view type, const Json& data) {
    const std::lock_guard lock(mutex_);
    if (forget_locked()) return;
    // Ids count up, also from one run of the process to the next, unless the clock was set back.
    last_id_ = std::max(last_id_ + 1, unix_us());
    ++counters_.published;
    Kept event{last_id_, data["machine"], event_frame(std::to_string(last_id_), type, data)};
    for (const auto& reader : readers_) {
        if (!reader.machine.empty() && reader.machine != event.machine) continue;
        const auto queue = reader.queue.lock();
        if (queue && queue->push(event.frame)) ++counters_.dropped_readers;
    }
    history_.push_back(std::move(event));
    if (history_.size() <= kHistory) return;
    complete_after_ = history_.front().id;
    history_.pop_front();
}

std::shared_ptr<EventQueue> EventHub::subscribe(std::optional<uint64_t> after,
                                                const std::string& machine) {
    auto queue = std::make_shared<EventQueue>();
    const std::lock_guard lock(mutex_);
    if (!listening_) complete_after_ = last_id_ = std::max(last_id_ + 1, unix_us());
    if (after && (*after < complete_after_ || *after > last_id_)) {
        const Json data{{"time_us", unix_us()},
                        {"machine", machine.empty() ? machine_ : machine},
                        {"device", nullptr}};
        queue->push(event_frame("", "missed", data));
    }
    for (const auto& kept : history_)
        if (after && kept.id > *after && (machine.empty() || machine == kept.machine))
            queue->push(kept.frame);
    readers_.push_back({machine, queue});
    idle_since_.reset();
    listening_ = true;
    return queue;
}

bool EventHub::forget_if_idle() {
    const std::lock_guard lock(mutex_);
    return forget_locked();
}

bool EventHub::forget_locked() {
    forget_readers();
    if (!listening_) return true;
    const TimePoint now = SteadyClock().now();
    if (!readers_.empty()) {
        idle_since_.reset();
        return false;
    }
    if (!idle_since_) idle_since_ = now;
    if (now - *idle_since_ <= keep_) return false;
    listening_ = false;
    history_.clear();
    return true;
}

void EventHub::forget_readers() {
    std::erase_if(readers_, [](const Reader& reader) {
        const auto queue = reader.queue.lock();
        return !queue || queue->closed();
    });
}

EventHub::Counters EventHub::counters() {
    const std::lock_guard lock(mutex_);
    forget_readers();
    counters_.readers = readers_.size();
    return counters_;
}

std::optional<uint64_t> event_id(std::string_view header) {
    if (header.empty()) return std::nullopt;
    uint64_t id = 0;
    const auto [end, error] = std::from_chars(header.data(), header.data() + header.size(), id);
    return error == std::errc() && end == header.data() + header.size() ? id : 0;
}

}  // namespace mimic::service
