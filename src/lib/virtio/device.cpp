// SPDX-License-Identifier: Apache-2.0
#include "virtio/device.h"

#include <algorithm>
#include <chrono>
#include <deque>
#include <utility>

#include "base/log.h"
#include "reg/bank.h"

namespace mimic::virtio {
namespace {

constexpr uint64_t bits(std::initializer_list<unsigned> list) {
    uint64_t result = 0;
    for (const unsigned bit : list) result |= feature(bit);
    return result;
}

// Of the device: 0 to 23, and from 50 on. 2.2.
constexpr uint64_t kOwnFeatures = (feature(24) - 1) | ~(feature(50) - 1);
constexpr uint64_t kQueueFeatures = bits({kIndirectDesc, kEventIndex, kVersion1, kRingReset});

}  // namespace

struct Device::State {
    explicit State(DeviceOptions all)
        : options(std::move(all)), queues(options.queue_sizes.size()) {
        for (OneQueue& one : queues) one.queue.share_turn(&turn);
    }

    struct OneQueue {
        Queue queue;
        bool touched = false;  // in this turn: in `touched` below
    };

    const DeviceOptions options;
    Slot* slot = nullptr;
    uint8_t status = 0;
    uint8_t generation = 0;
    uint64_t driver_features = 0;

    uint64_t turn = 0;   // number of the turn that runs, 0 between turns
    uint64_t turns = 0;  // so far
    unsigned nested = 0;
    std::deque<OneQueue> queues;    // they do not move
    std::vector<uint16_t> touched;  // queues that the model used in this turn

    RequestObserver* request_observer = nullptr;
    BackendFaults* backend_faults = nullptr;

    log::RateLimit broken_limit;
    log::RateLimit enable_limit;
};

Device::Device(DeviceOptions options) : state_(std::make_unique<State>(std::move(options))) {}
Device::~Device() = default;

const DeviceOptions& Device::options() const {
    return state_->options;
}
Slot* Device::slot() {
    return state_->slot;
}
memory::DmaSpace* Device::dma() {
    return state_->slot == nullptr ? nullptr : state_->slot->dma();
}

void Device::attach(Slot& slot) {
    thread_.bind();
    MIMIC_CHECK(state_->slot == nullptr);
    state_->slot = &slot;
    on_attach();
}

void Device::detach() {
    thread_.check();
    if (state_->slot == nullptr) return;
    reset();
    on_detach();
    state_->slot = nullptr;
    thread_.release();
}

Status Device::restore_registers(std::span<const reg::Snapshot> /*snapshots*/) {
    return fail(std::errc::not_supported, "{}: its model cannot be restored", name());
}

void Device::set_request_observer(RequestObserver* observer) {
    state_->request_observer = observer;
}
void Device::set_backend_faults(BackendFaults* faults) {
    state_->backend_faults = faults;
}
RequestObserver* Device::request_observer() const {
    return state_->request_observer;
}
BackendFaults* Device::backend_faults() const {
    return state_->backend_faults;
}

// --- Features and status ---------------------------------------------------------------------

uint64_t Device::offered_features() const {
    const DeviceOptions& options = state_->options;
    uint64_t offered = (options.features & kOwnFeatures) | kQueueFeatures;
    if (options.packed) offered |= feature(kRingPacked);
    if (options.in_order) offered |= feature(kInOrder);
    if (state_->slot != nullptr) offered |= state_->slot->features();
    return offered;
}

uint64_t Device::driver_features() const {
    return state_->driver_features;
}

void Device::set_driver_features(uint64_t features) {
    thread_.check();
    if ((state_->status & kFeaturesOk) == 0) state_->driver_features = features;
}

uint8_t Device::status() const {
    return state_->status;
}

bool Device::is_live() const {
    return (state_->status & (kDriverOk | kNeedsReset)) == kDriverOk;
}

// What a driver may set of `status` now, 2.1 and 3.1.1: features that we did not offer, or without
// VERSION_1, are not OK, and without features there is no DRIVER_OK.
uint8_t Device::allowed(uint8_t status) const {
    unsigned result = state_->status | (status & ~unsigned{kNeedsReset});
    const uint64_t features = state_->driver_features;
    if ((features & ~offered_features()) != 0 || (features & feature(kVersion1)) == 0) {
        result &= ~unsigned{kFeaturesOk};
    }
    if ((result & kFeaturesOk) == 0) result &= ~unsigned{kDriverOk};
    return static_cast<uint8_t>(result);
}

void Device::set_status(uint8_t status) {
    thread_.check();
    if (status == 0) return reset();
    const bool was_started = (state_->status & kDriverOk) != 0;
    state_->status = allowed(status);  // bits are only ever added: 2.1.1
    if (was_started || (state_->status & kDriverOk) == 0) return;
    const Turn turn(*this);
    on_start();
}

void Device::reset() {
    thread_.check();
    state_->status = 0;
    state_->driver_features = 0;
    for (State::OneQueue& one : state_->queues) one.queue.stop();
    on_reset();
}

void Device::needs_reset(const char* why) {
    thread_.check();
    if ((state_->status & kNeedsReset) != 0) return;
    uint64_t suppressed = 0;
    if (state_->slot != nullptr &&
        state_->broken_limit.allow(state_->slot->runner().now(), suppressed)) {
        MIMIC_LOG("virtio", kWarn, "{} needs a reset: {}{}", name(), why,
                  log::more_like_it(suppressed));
    }
    state_->status |= kNeedsReset;
    // 2.1.2
    if ((state_->status & kDriverOk) != 0 && state_->slot != nullptr) {
        state_->slot->interrupt_config();
    }
}

// --- Configuration ---------------------------------------------------------------------------

void Device::config_read(uint32_t offset, std::span<uint8_t> data) {
    thread_.check();
    std::ranges::fill(data, uint8_t{0});
    const uint32_t size = state_->options.config_size;
    if (offset >= size) return;
    on_config_read(offset, data.first(std::min<size_t>(data.size(), size - offset)));
}

void Device::config_write(uint32_t offset, std::span<const uint8_t> data) {
    thread_.check();
    const uint32_t size = state_->options.config_size;
    if (offset >= size) return;
    const Turn turn(*this);
    on_config_write(offset, data.first(std::min<size_t>(data.size(), size - offset)));
}

uint8_t Device::config_generation() const {
    return state_->generation;
}

void Device::config_changed() {
    thread_.check();
    ++state_->generation;
    if (is_live() && state_->slot != nullptr) state_->slot->interrupt_config();
}

// --- Queues ----------------------------------------------------------------------------------

uint16_t Device::queue_count() const {
    return static_cast<uint16_t>(state_->queues.size());
}
uint16_t Device::max_queue_size(uint16_t index) const {
    return index < queue_count() ? state_->options.queue_sizes[index] : uint16_t{0};
}
bool Device::queue_enabled(uint16_t index) const {
    return index < queue_count() && state_->queues[index].queue.is_running();
}

void Device::enable_queue(uint16_t index, uint16_t size, const QueueAddresses& addresses,
                          const QueuePosition& position) {
    thread_.check();
    if (index >= queue_count() || queue_enabled(index)) return;
    Status status;
    if ((state_->status & kFeaturesOk) == 0) {
        status = fail(std::errc::operation_not_permitted, "a queue before FEATURES_OK");
    } else if (size > max_queue_size(index)) {
        status = fail(std::errc::invalid_argument, "a queue of {} entries, {} are the most", size,
                      max_queue_size(index));
    } else {
        status = state_->queues[index].queue.start({.size = size,
                                                    .addresses = addresses,
                                                    .packed = has(kRingPacked),
                                                    .event_index = has(kEventIndex),
                                                    .indirect = has(kIndirectDesc),
                                                    .in_order = has(kInOrder),
                                                    .position = position});
    }
    uint64_t suppressed = 0;
    if (!status && state_->slot != nullptr &&
        state_->enable_limit.allow(state_->slot->runner().now(), suppressed)) {
        MIMIC_LOG("virtio", kWarn, "{}, queue {}: {}{}", name(), index, status.error().message(),
                  log::more_like_it(suppressed));
    }
}

void Device::reset_queue(uint16_t index) {
    thread_.check();
    if (!queue_enabled(index)) return;
    state_->queues[index].queue.stop();
    on_queue_reset(index);
}

const Queue& Device::queue(uint16_t index) const {
    MIMIC_CHECK(index < queue_count());
    return state_->queues[index].queue;
}

Queue& Device::queue(uint16_t index) {
    MIMIC_CHECK(index < queue_count());
    State::OneQueue& one = state_->queues[index];
    if (state_->nested > 0 && !one.touched) {
        one.touched = true;
        state_->touched.push_back(index);
    }
    return one.queue;
}

void Device::kick(uint16_t index) {
    thread_.check();
    if (index >= queue_count() || !is_live() || !queue_enabled(index)) return;
    const Turn turn(*this);
    ++queue(index).counters().kicks;
    on_kick(index);
}

// --- Turns and batches -----------------------------------------------------------------------

void Device::begin_turn() {
    thread_.check();
    if (state_->nested++ == 0) state_->turn = ++state_->turns;
}

void Device::end_turn() {
    if (state_->nested > 1) {
        --state_->nested;
        return;
    }
    // Still within the turn: what an interrupt or the end of a queue brings about may touch others.
    while (!state_->touched.empty()) {
        const uint16_t index = state_->touched.back();
        state_->touched.pop_back();
        state_->queues[index].touched = false;
        settle(index);
    }
    state_->nested = 0;
    state_->turn = 0;
}

// The end of a batch: one interrupt for what was pushed, and a broken queue is told.
void Device::settle(uint16_t index) {
    Queue& queue = state_->queues[index].queue;
    memory::DmaSpace* const memory = dma();
    if (memory != nullptr && queue.needs_interrupt(*memory)) state_->slot->interrupt_queue(index);
    if (queue.broken()) needs_reset(queue.why_broken());
}

void Device::end_batch(uint16_t index) {
    thread_.check();
    MIMIC_CHECK(index < queue_count());
    settle(index);
}

void Device::complete(uint16_t index, Chain&& chain, uint32_t written) {
    thread_.check();
    memory::DmaSpace* const memory = dma();
    if (memory == nullptr) return queue(index).drop(std::move(chain));
    queue(index).push(*memory, std::move(chain), written);
}

}  // namespace mimic::virtio
