// SPDX-License-Identifier: Apache-2.0
#include "virtio_pci/common_config.h"

#include <utility>

#include "base/check.h"

namespace mimic::virtio_pci {
namespace {

/// The half of `features` that a select register shows; 4.1.4.3.
uint64_t feature_half(uint64_t features, uint64_t select) {
    return select < 2 ? (features >> (32 * select)) & 0xffff'ffff : 0;
}

}  // namespace

CommonConfig::CommonConfig(virtio::Device& device, unsigned vectors, std::function<void()> on_reset)
    : device_(device),
      vectors_(vectors),
      on_reset_(std::move(on_reset)),
      bank_(device.name()),
      queues_(device.queue_count()) {
    bank_.set_value<NUM_QUEUES>(device_.queue_count());
    bank_.on_write<CONFIG_MSIX_VECTOR>([this](const reg::WriteEvent& event) {
        bank_.set_value<CONFIG_MSIX_VECTOR>(valid_vector(event.now));
    });
    bank_.on_write<DEVICE_STATUS>([this](const reg::WriteEvent& event) { status_written(event); });
    bank_.on_read<DEVICE_STATUS>([this](const reg::ReadEvent&) { return device_.status(); });
    bank_.on_read<CONFIG_GENERATION>(
        [this](const reg::ReadEvent&) { return device_.config_generation(); });
    bind_features();
    bind_queues();
    MIMIC_CHECK(bank_.check_bound().has_value());
    reset();
}

void CommonConfig::bind_features() {
    bank_.on_write<DEVICE_FEATURE_SELECT>([this](const reg::WriteEvent&) { show_features(); });
    bank_.on_write<DRIVER_FEATURE_SELECT>([this](const reg::WriteEvent&) { show_features(); });
    bank_.on_write<DRIVER_FEATURE>(
        [this](const reg::WriteEvent& event) { driver_feature_written(event.now); });
}

template <const Register& Reg>
void CommonConfig::bind_address(uint64_t virtio::QueueAddresses::*address) {
    bank_.on_write<Reg>([this, address](const reg::WriteEvent& event) {
        if (QueueRegisters* const queue = changeable()) queue->addresses.*address = event.now;
        show_queue();
    });
}

void CommonConfig::bind_queues() {
    bank_.on_write<QUEUE_SELECT>([this](const reg::WriteEvent&) { show_queue(); });
    bank_.on_write<QUEUE_SIZE>([this](const reg::WriteEvent& event) {
        QueueRegisters* const queue = changeable();
        if (queue != nullptr && event.now <= device_.max_queue_size(selected()))
            queue->size = static_cast<uint16_t>(event.now);
        show_queue();
    });
    bank_.on_write<QUEUE_MSIX_VECTOR>([this](const reg::WriteEvent& event) {
        if (QueueRegisters* const queue = current()) queue->vector = valid_vector(event.now);
        show_queue();
    });
    bind_address<QUEUE_DESC>(&virtio::QueueAddresses::descriptors);
    bind_address<QUEUE_DRIVER>(&virtio::QueueAddresses::driver);
    bind_address<QUEUE_DEVICE>(&virtio::QueueAddresses::device);
    bank_.on_write<QUEUE_ENABLE>([this](const reg::WriteEvent& event) { enable_written(event); });
    bank_.on_read<QUEUE_ENABLE>(
        [this](const reg::ReadEvent&) { return uint64_t{device_.queue_enabled(selected())}; });
    bank_.on_write<QUEUE_RESET>(
        [this](const reg::WriteEvent& event) { queue_reset_written(event); });
    bank_.on_read<QUEUE_RESET>([](const reg::ReadEvent&) { return uint64_t{0}; });
}

CommonConfig::QueueRegisters* CommonConfig::current() {
    return selected() < queues_.size() ? &queues_[selected()] : nullptr;
}

CommonConfig::QueueRegisters* CommonConfig::changeable() {
    return device_.queue_enabled(selected()) ? nullptr : current();
}

uint16_t CommonConfig::config_vector() const {
    return static_cast<uint16_t>(bank_.value<CONFIG_MSIX_VECTOR>());
}

// --- What is selected ------------------------------------------------------------------------

void CommonConfig::reset() {
    bank_.reset();
    driver_features_ = 0;
    for (uint16_t i = 0; i < queues_.size(); ++i) queues_[i] = initial(i);
    show_features();
    show_queue();
    refresh();
}

void CommonConfig::refresh() {
    bank_.set_value<DEVICE_STATUS>(device_.status());
    bank_.set_value<CONFIG_GENERATION>(device_.config_generation());
    bank_.set_value<QUEUE_ENABLE>(device_.queue_enabled(selected()));
}

void CommonConfig::show_features() {
    bank_.set_value<DEVICE_FEATURE>(
        feature_half(device_.offered_features(), bank_.value<DEVICE_FEATURE_SELECT>()));
    bank_.set_value<DRIVER_FEATURE>(
        feature_half(driver_features_, bank_.value<DRIVER_FEATURE_SELECT>()));
}

void CommonConfig::show_queue() {
    const QueueRegisters* const queue = current();
    const QueueRegisters shown = queue != nullptr ? *queue : QueueRegisters{};
    bank_.set_value<QUEUE_SIZE>(shown.size);
    bank_.set_value<QUEUE_MSIX_VECTOR>(shown.vector);
    bank_.set_value<QUEUE_ENABLE>(device_.queue_enabled(selected()));
    bank_.set_value<QUEUE_NOTIFY_OFF>(queue != nullptr ? selected() : 0);
    bank_.set_value<QUEUE_DESC>(shown.addresses.descriptors);
    bank_.set_value<QUEUE_DRIVER>(shown.addresses.driver);
    bank_.set_value<QUEUE_DEVICE>(shown.addresses.device);
    bank_.set_value<QUEUE_RESET>(0);
}

// --- Saved state -----------------------------------------------------------------------------

void CommonConfig::capture(DeviceState& state) const {
    state.store_features();
    for (uint16_t i = 0; i < queues_.size(); ++i)
        state.store_queue(i, queues_[i].size, queues_[i].vector, queues_[i].addresses);
}

Status CommonConfig::restore(const reg::Snapshot& registers, const DeviceState& state) {
    MIMIC_TRY(bank_.restore(registers));
    const auto status = static_cast<uint8_t>(bank_.value<DEVICE_STATUS>());
    driver_features_ = state.features();
    device_.set_driver_features(driver_features_);
    device_.set_status(status & (virtio::kAcknowledge | virtio::kDriver | virtio::kFeaturesOk));
    for (uint16_t i = 0; i < queues_.size(); ++i) {
        const QueueState queue = state.queue(i);
        queues_[i] = {queue.size, valid_vector(queue.vector), queue.addresses};
        if (queue.enabled)
            device_.enable_queue(i, queue.size, queue.addresses,
                                 {queue.next_available, queue.next_used});
    }
    device_.set_status(status);
    show_features();
    show_queue();
    refresh();
    return {};
}

// --- What a driver writes --------------------------------------------------------------------

void CommonConfig::driver_feature_written(uint64_t value) {
    const uint64_t select = bank_.value<DRIVER_FEATURE_SELECT>();
    if (select < 2) {
        const uint64_t mask = uint64_t{0xffff'ffff} << (32 * select);
        driver_features_ = (driver_features_ & ~mask) | (value << (32 * select));
        device_.set_driver_features(driver_features_);
    }
    show_features();
}

void CommonConfig::status_written(const reg::WriteEvent& event) {
    if (event.written == 0) {
        device_.reset();
        reset();
        return on_reset_();
    }
    device_.set_status(static_cast<uint8_t>(event.written));
    refresh();
}

// Writing 0 is not for drivers (4.1.4.3.2).
void CommonConfig::enable_written(const reg::WriteEvent& event) {
    const QueueRegisters* const queue = changeable();
    if (queue != nullptr && event.written == 1)
        device_.enable_queue(selected(), queue->size, queue->addresses);
    show_queue();
}

void CommonConfig::queue_reset_written(const reg::WriteEvent& event) {
    QueueRegisters* const queue = current();
    if (queue != nullptr && event.written == 1 && device_.has(virtio::kRingReset)) {
        device_.reset_queue(selected());
        *queue = initial(selected());
    }
    show_queue();
}

}  // namespace mimic::virtio_pci
