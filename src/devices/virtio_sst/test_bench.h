// SPDX-License-Identifier: Apache-2.0
// A simulator that answers when the test says so, and a guest that talks to the device by structs.
// Test code only.
#pragma once

#include <cstring>
#include <deque>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include <gmock/gmock.h>

#include "devices/virtio_sst/virtio_sst.h"
#include "virtio/testing/fake_guest.h"

namespace mimic::virtio_sst {

/// Keeps what it is asked until the test answers.
class HeldSimulator final : public sim::Simulator {
public:
    struct Held {
        SSTRequest request;
        sim::SimTime guest_time;
        Done done;
    };

    void submit(const SSTRequest& request, sim::SimTime guest_time, Done done) override {
        ++submitted;
        held.push_back({request, guest_time, std::move(done)});
        if (at_once) answer(0);
    }
    void reset() override {
        ++resets;
        held.clear();
    }
    size_t in_flight() const override { return held.size(); }
    bool ready() const override { return true; }
    sim::SimTime now() const override { return time; }
    Counters counters() const override { return {}; }
    void set_observer(sim::SimulatorObserver* one) override { observer = one; }

    /// Answers request `index` of those held, `latency` after it was submitted.
    void answer(size_t index, uint32_t status = SST_STATUS_OK, uint64_t result = 0) {
        Held one = std::move(held.at(index));
        held.erase(held.begin() + static_cast<std::ptrdiff_t>(index));
        SSTResponse response{};
        response.status = status;
        response.request_id = one.request.request_id;
        response.user_data = 0xbad;  // the device knows better
        response.result = result;
        response.reserved = SST_FLAG_PIPELINE;
        const sim::SimTime begun = one.guest_time != 0 ? one.guest_time : time;
        one.done({response, begun, begun + latency});
    }

    std::deque<Held> held;
    sim::SimTime time = 0;
    sim::SimTime latency = 0;
    bool at_once = false;
    size_t submitted = 0;
    unsigned resets = 0;
    sim::SimulatorObserver* observer = nullptr;
};

/// A device with such a simulator, and its guest.
class Bench {
public:
    using GuestOptions = virtio::FakeGuest::Options;
    static constexpr std::array<uint16_t, 4> kRequestQueues = {0, 3, 5, 7};
    static constexpr uint64_t kAll = 0xff;  // features of the device

    explicit Bench(Options options = {}, GuestOptions guest_options = {}) {
        options.name = "sst0";
        if (!options.make_simulator) {
            options.make_simulator =
                [this](TaskRunner&) -> Result<std::unique_ptr<sim::Simulator>> {
                auto made = std::make_unique<HeldSimulator>();
                simulator = made.get();
                return made;
            };
        }
        auto made = VirtioSst::create(std::move(options));
        device = std::move(*made);
        guest.emplace(*device);
        if (guest_options.features == 0) guest_options.features = device->offered_features() & kAll;
        EXPECT_TRUE(guest->start(guest_options));
    }

    static SSTRequest request(uint32_t type, uint64_t id = 7) {
        SSTRequest out{};
        out.type = type;
        out.request_id = id;
        out.user_data = 0x1234;
        return out;
    }

    template <typename T>
    static std::span<const uint8_t> bytes_of(const T& value) {
        return {reinterpret_cast<const uint8_t*>(&value), sizeof value};
    }

    static constexpr uint32_t kRoom = sizeof(SSTResponse) + sizeof(sst_timing);
    static constexpr uint32_t kSlot = 0x3000;  // between two requests in memory

    /// Sends a request in slot `slot` of memory on `queue`; the id of its buffer.
    std::optional<uint16_t> send(const SSTRequest& request, uint32_t slot = 0, uint16_t queue = 0,
                                 uint32_t room = kRoom) {
        const auto id = guest->send(queue, bytes_of(request), room, slot * kSlot);
        if (id) slots[{queue, *id}] = slot;
        return id;
    }

    struct Answer {
        SSTResponse response{};
        sst_timing timing{};
        uint32_t written = 0;
    };

    /// The next answer that came on `queue`.
    std::optional<Answer> take(uint16_t queue = 0) {
        guest->time().run();
        const auto used = guest->queue(queue).take();
        if (!used) return std::nullopt;
        Answer out;
        out.written = used->written;
        const auto* const at = guest->memory().at(
            virtio::FakeGuest::kData + slots.at({queue, used->id}) * kSlot + sizeof(SSTRequest));
        std::memcpy(&out.response, at, std::min<size_t>(used->written, sizeof out.response));
        if (used->written == kRoom) {
            std::memcpy(&out.timing, at + sizeof(SSTResponse), sizeof out.timing);
        }
        return out;
    }

    std::optional<Answer> ask(const SSTRequest& request) {
        send(request);
        return take();
    }

    /// Gives the device buffers for events.
    void give_event_buffers(unsigned count) {
        for (unsigned i = 0; i < count; ++i) {
            const auto id = guest->send(SST_EVENT_QUEUE, {}, sizeof(SSTEvent), 0xf0000 + i * 32);
            if (id) event_slots[*id] = 0xf0000 + i * 32;
        }
    }
    std::optional<SSTEvent> take_event() {
        const auto used = guest->queue(SST_EVENT_QUEUE).take();
        if (!used || used->written != sizeof(SSTEvent)) return std::nullopt;
        SSTEvent event;
        std::memcpy(&event, guest->memory().at(virtio::FakeGuest::kData + event_slots.at(used->id)),
                    sizeof event);
        return event;
    }

    HeldSimulator* simulator = nullptr;
    std::unique_ptr<VirtioSst> device;
    std::optional<virtio::FakeGuest> guest;  // goes first: it detaches the device
    std::map<std::pair<uint16_t, uint16_t>, uint32_t> slots;
    std::map<uint16_t, uint32_t> event_slots;
};

}  // namespace mimic::virtio_sst
