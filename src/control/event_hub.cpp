// SPDX-License-Identifier: Apache-2.0
#include "control/event_hub.h"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <nlohmann/json.hpp>

namespace mimic::control {
namespace {

uint64_t unix_us() {
    const auto now = std::chrono::system_clock::now().time_since_epoch();
    return static_cast<uint64_t>(
        std::chrono::duration_cast<std::chrono::microseconds>(now).count());
}

}  // namespace

void EventHub::publish(std::string_view type, std::string_view device,
                       const nlohmann::ordered_json& members) {
    if (!listening()) return;
    const std::lock_guard lock(mutex_);
    forget_readers();
    const TimePoint now = SteadyClock().now();
    if (!readers_.empty()) {
        last_reader_ = now;
    } else if (now - last_reader_ > kKeepHistory) {
        listening_ = false;
        history_.clear();
        return;
    }
    // Ids count up and are about the time, so that one id fits all processes of a machine.
    const uint64_t time = unix_us();
    last_id_ = std::max(last_id_ + 1, time);
    ++counters_.published;
    nlohmann::ordered_json data{{"time_us", time}, {"machine", machine_}, {"device", nullptr}};
    if (!device.empty()) data["device"] = device;
    data.update(members);
    std::string frame = event_frame(std::to_string(last_id_), type, data);
    for (const auto& reader : readers_) {
        const auto queue = reader.lock();
        if (queue && queue->push(frame)) ++counters_.dropped_readers;
    }
    history_.push_back({last_id_, std::move(frame)});
    if (history_.size() > kHistory) history_.pop_front();
}

std::shared_ptr<EventQueue> EventHub::subscribe(std::optional<uint64_t> after) {
    auto queue = std::make_shared<EventQueue>();
    const std::lock_guard lock(mutex_);
    forget_readers();
    if (after) {
        for (const auto& kept : history_)
            if (kept.id > *after) queue->push(kept.frame);
    }
    readers_.push_back(queue);
    last_reader_ = SteadyClock().now();
    listening_ = true;
    return queue;
}

void EventHub::forget_readers() {
    std::erase_if(readers_, [](const auto& reader) {
        const auto queue = reader.lock();
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
    uint64_t id = 0;
    const auto [end, error] = std::from_chars(header.data(), header.data() + header.size(), id);
    if (header.empty() || error != std::errc() || end != header.data() + header.size())
        return std::nullopt;
    return id;
}

}  // namespace mimic::control
