// SPDX-License-Identifier: Apache-2.0
// FakeGuest: a slot, memory, time and a driver for the test of a virtio device. Needs no test
// framework.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/check.h"
#include "base/testing/virtual_time.h"
#include "memory/testing/fake_memory.h"
#include "virtio/device.h"
#include "virtio/slot.h"
#include "virtio/testing/guest_queue.h"

namespace mimic::virtio {

/// A Slot whose guest memory, time and interrupts the test owns.
class FakeSlot final : public Slot {
public:
    memory::DmaSpace* dma() override { return has_memory ? &memory : nullptr; }
    uint64_t features() const override { return transport_features; }
    void interrupt_queue(uint16_t index) override { ++interrupts[index]; }
    void interrupt_config() override { ++config_interrupts; }
    TaskRunner& runner() override { return time; }

    memory::FakeMemory memory;
    VirtualTime time;
    bool has_memory = true;
    uint64_t transport_features = 0;
    std::map<uint16_t, int> interrupts;  // by queue
    int config_interrupts = 0;
};

/// Drives `device` as a guest does. Memory for buffers lies at kData, rings from kRings on.
class FakeGuest {
public:
    struct Options {
        uint16_t queue_size = 16;
        bool packed = false;
        bool event_index = true;
        bool indirect = false;  // buffers of request() go through a table
        uint64_t features = 0;  // more of those offered
    };
    static constexpr uint64_t kData = 0x100'0000;
    static constexpr uint64_t kDataSize = 1 << 20;
    static constexpr uint64_t kRings = 0x1000'0000;
    static constexpr uint64_t kRingSize = 1 << 24;  // between rings

    /// Attaches the device, which is borrowed, and detaches it at the end.
    explicit FakeGuest(Device& device) : device_(device) {
        slot_.memory.add(kData, kDataSize);
        device.attach(slot_);
    }
    ~FakeGuest() { device_.detach(); }
    FakeGuest(const FakeGuest&) = delete;
    FakeGuest& operator=(const FakeGuest&) = delete;

    FakeSlot& slot() { return slot_; }
    memory::FakeMemory& memory() { return slot_.memory; }
    VirtualTime& time() { return slot_.time; }
    GuestQueue& queue(uint16_t index) { return *queues_.at(index); }

    /// The sequence of 3.1.1, from a reset to DRIVER_OK. Returns whether the device is live.
    bool start(const Options& options) {
        options_ = options;
        negotiate(options);
        for (uint16_t i = 0; i < device_.queue_count(); ++i) make_queue(i);
        device_.set_status(kAcknowledge | kDriver | kFeaturesOk | kDriverOk);
        return device_.is_live();
    }
    bool start() { return start(Options()); }

    /// The same as far as FEATURES_OK; false if the device does not take them.
    bool negotiate(const Options& options) {
        device_.reset();
        queues_.clear();
        device_.set_status(kAcknowledge | kDriver);
        uint64_t features = options.features | feature(kVersion1) | feature(kIndirectDesc);
        if (options.packed) features |= feature(kRingPacked);
        if (options.event_index) features |= feature(kEventIndex);
        device_.set_driver_features(features);
        device_.set_status(kAcknowledge | kDriver | kFeaturesOk);
        return (device_.status() & kFeaturesOk) != 0;
    }

    /// A ring for queue `index`, enabled; also after Device::reset_queue().
    void make_queue(uint16_t index) {
        const uint16_t size = std::min(options_.queue_size, device_.max_queue_size(index));
        queues_[index].reset();  // its memory goes before that of the new one comes
        queues_[index] = make_guest_queue(slot_.memory, kRings + index * kRingSize,
                                          {size, options_.packed, options_.event_index});
        device_.enable_queue(index, size, queues_[index]->addresses());
    }

    /// Adds a buffer with `bytes` and `room` to write at kData + `at`, kicks if the device wants
    /// that; returns its id.
    std::optional<uint16_t> send(uint16_t index, std::span<const uint8_t> bytes, uint32_t room,
                                 uint32_t at = 0) {
        std::vector<Segment> readable;
        std::vector<Segment> writable;
        const uint64_t address = kData + at;
        if (!bytes.empty()) {
            std::memcpy(slot_.memory.at(address), bytes.data(), bytes.size());
            readable.push_back({address, static_cast<uint32_t>(bytes.size())});
        }
        if (room > 0) writable.push_back({address + bytes.size(), room});
        const auto id = queue(index).add(readable, writable, options_.indirect);
        if (id && queue(index).wants_kick()) device_.kick(index);
        return id;
    }

    /// send(), then time goes on until it is used. Returns what the device has written, or nothing
    /// if it does not return the buffer.
    std::optional<std::vector<uint8_t>> request(uint16_t index, std::span<const uint8_t> bytes,
                                                uint32_t room) {
        const auto id = send(index, bytes, room);
        if (!id) return std::nullopt;
        slot_.time.run_all();
        const auto used = queue(index).take();
        if (!used || used->id != *id || used->written > room) return std::nullopt;
        const auto* const from = reinterpret_cast<const uint8_t*>(slot_.memory.at(kData) +
                                                                  bytes.size());
        return std::vector<uint8_t>(from, from + used->written);
    }

private:
    Device& device_;
    FakeSlot slot_;
    Options options_;
    std::map<uint16_t, std::unique_ptr<GuestQueue>> queues_;
};

}  // namespace mimic::virtio
