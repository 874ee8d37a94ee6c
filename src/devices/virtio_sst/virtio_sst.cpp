// SPDX-License-Identifier: Apache-2.0
// The device: its queues, what is answered here, and what a simulator answers. Answers and events
// are in answers.cpp, instruments in instruments.cpp.
#include "devices/virtio_sst/virtio_sst.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "base/event_loop.h"
#include "base/log.h"

namespace mimic::virtio_sst {
namespace {

constexpr unsigned kLookAtClock = 8;  // requests between two looks at it; arbitrary

uint64_t features_of(const Options& options) {
    uint64_t bits = virtio::feature(SST_F_ECHO) | virtio::feature(SST_F_COMPUTE) |
                    virtio::feature(SST_F_MEMORY) | virtio::feature(SST_F_EVENTS) |
                    virtio::feature(SST_F_RESET) | virtio::feature(SST_F_TIMING);
    if (options.pairs > 1) bits |= virtio::feature(SST_F_MULTI_QUEUE);
    if (options.lock_step) bits |= virtio::feature(SST_F_LOCK_STEP);
    return bits;
}

virtio::DeviceOptions device_options(const Options& options) {
    virtio::DeviceOptions out;
    out.name = options.name;
    out.virtio_id = SST_VIRTIO_ID;
    out.features = features_of(options);
    out.queue_sizes.assign(1 + 2 * size_t{options.pairs}, options.queue_size);
    out.config_size = kConfigBytes;
    return out;
}

/// Pair of a request queue; nullopt for the others.
std::optional<uint16_t> pair_of_requests(uint16_t queue) {
    if (queue == SST_REQUEST_QUEUE) return uint16_t{0};
    if (queue > SST_EVENT_QUEUE && queue % 2 == 1) return static_cast<uint16_t>((queue - 1) / 2);
    return std::nullopt;
}

/// The same of a response queue.
std::optional<uint16_t> pair_of_responses(uint16_t queue) {
    if (queue == SST_RESPONSE_QUEUE) return uint16_t{0};
    if (queue > SST_EVENT_QUEUE && queue % 2 == 0) return static_cast<uint16_t>((queue - 2) / 2);
    return std::nullopt;
}

}  // namespace

Result<std::unique_ptr<VirtioSst>> VirtioSst::create(Options options) {
    const auto bad = [&](std::string_view what) {
        return fail(std::errc::invalid_argument, "{}: {}", options.name, what);
    };
    if (options.pairs < 1 || options.pairs > SST_MAX_QUEUE_PAIRS)
        return bad("queue pairs must be 1 to 16");
    if (!std::has_single_bit(options.queue_size) || options.queue_size > kMaxQueueSize)
        return bad("the size of a queue must be a power of two up to 1024");
    if (!options.make_simulator) return bad("it has no simulator");
    std::unique_ptr<VirtioSst> device(new VirtioSst(std::move(options)));
    MIMIC_TRY(device->bank_.check_bound());
    return device;
}

VirtioSst::VirtioSst(Options options)
    : Device(device_options(options)),
      options_(std::move(options)),
      bank_(options_.name),
      pairs_(options_.pairs) {
    bank_.set_value<DEVICE_ID>(options_.device_id);
    bank_.set_value<FEATURES>(features_of(options_));
    bank_.set_value<MAX_QUEUES>(options_.pairs);
}

VirtioSst::~VirtioSst() = default;

// --- Life ------------------------------------------------------------------------------------

void VirtioSst::on_attach() {
    auto made = options_.make_simulator(slot()->runner());
    if (!made) {
        MIMIC_LOG("sst", kError, "{} has no simulator, its requests are answered NO_DEVICE: {}",
                  name(), made.error().message());
        return;
    }
    simulator_ = std::move(*made);
    simulator_->set_observer(this);
}

void VirtioSst::on_detach() {
    if (simulator_ != nullptr) simulator_->set_observer(nullptr);
    simulator_ = nullptr;
}

void VirtioSst::on_start() {
    flush_events();
}

void VirtioSst::on_reset() {
    weak_.revoke();
    requests_.clear();
    backlog_.clear();
    for (Pair& pair : pairs_) {
        pair.again.cancel();
        pair.unsent.clear();
    }
    bank_.reset();
    if (simulator_ != nullptr) simulator_->reset();
}

// --- Queues ----------------------------------------------------------------------------------

void VirtioSst::on_kick(uint16_t index) {
    if (index == SST_EVENT_QUEUE) return flush_events();
    if (const auto pair = pair_of_responses(index)) return send_unsent(*pair);
    if (const auto pair = pair_of_requests(index)) serve(*pair);
}

void VirtioSst::on_queue_reset(uint16_t index) {
    if (const auto pair = pair_of_requests(index)) {
        requests_.for_each([&](Request& request) {
            if (request.pair == *pair) request.abandoned = true;
        });
        pairs_[*pair].unsent.clear();
        pairs_[*pair].again.cancel();
    }
}

// In lock-step all is answered within the kick: the guest's clock stands still for it.
bool VirtioSst::share_is_over() {
    if (options_.lock_step || ++served_ % kLookAtClock != 0) return false;
    EventLoop* const loop = slot()->runner().event_loop();
    return loop != nullptr && loop->share_is_over();
}

void VirtioSst::serve(uint16_t pair) {
    const Turn turn(*this);
    const uint16_t index = request_queue(pair);
    pairs_[pair].again.cancel();
    memory::DmaSpace* memory = dma();
    if (memory == nullptr) return;
    queue(index).want_kicks(*memory, false);
    for (;;) {
        auto chain = queue(index).pop(*memory);
        if (!chain) {
            // What came in between has not kicked.
            queue(index).want_kicks(*memory, true);
            chain = queue(index).pop(*memory);
            if (!chain) return;
            queue(index).want_kicks(*memory, false);
        }
        take(pair, std::move(*chain));
        if (!is_live()) return;
        memory = dma();
        if (memory == nullptr) return;
        if (share_is_over()) {
            pairs_[pair].again.post(slot()->runner(), [this, pair] { serve(pair); });
            return;
        }
    }
}

void VirtioSst::take(uint16_t pair, virtio::Chain&& chain) {
    const uint16_t index = request_queue(pair);
    memory::DmaSpace& memory = *dma();
    // What is not sent is zero; what is too long is not looked at.
    std::memset(&request_, 0, sizeof request_);
    const auto bytes = std::as_writable_bytes(std::span(&request_, 1));
    const size_t got = queue(index).read(memory, chain, 0, bytes);
    sst_submit submit{};
    if (has(SST_F_LOCK_STEP)) {
        queue(index).read(memory, chain, sizeof request_,
                          std::as_writable_bytes(std::span(&submit, 1)));
    }
    Request request;
    request.pair = pair;
    request.type = request_.type;
    request.flags = request_.flags;
    request.guest_id = request_.request_id;
    request.user_data = request_.user_data;
    request.chain = std::move(chain);
    ++counts_.requests;
    if (got < SST_REQUEST_HEADER_SIZE) {
        response_ = {};
        response_.status = SST_STATUS_INVALID;
        return respond(std::move(request), {now(), now()});
    }
    dispatch(std::move(request), static_cast<uint32_t>(got - SST_REQUEST_HEADER_SIZE),
             submit.submitted * sim::kPicosecondsPerNanosecond);
}

// --- Requests --------------------------------------------------------------------------------

void VirtioSst::dispatch(Request&& request, uint32_t payload_bytes, sim::SimTime guest_time) {
    const sim::SimTime time = options_.lock_step ? guest_time : now();
    if (answer_locally(request, payload_bytes)) return respond(std::move(request), {time, time});
    const virtio::BackendFaults* const faults = backend_faults();
    if (simulator_ == nullptr || (faults != nullptr && backend_faults()->is_dead())) {
        response_ = {};
        response_.status = SST_STATUS_NO_DEVICE;
        return respond(std::move(request), {time, time});
    }
    submit(std::move(request), guest_time);
}

// Fills response_ if no simulator is needed.
bool VirtioSst::answer_locally(const Request& request, uint32_t payload_bytes) {
    response_ = {};
    switch (request.type) {
        case SST_REQ_NOOP:
            return true;
        case SST_REQ_ECHO:
            response_.result = payload_bytes;
            std::memcpy(response_.payload.data, request_.payload.data, payload_bytes);
            return true;
        case SST_REQ_GET_INFO:
            answer_info();
            return true;
        case SST_REQ_RESET:
            reset_simulator();
            response_ = {};  // those in flight have used it
            return true;
        case SST_REQ_COMPUTE:
            return false;
        case SST_REQ_READ:
        case SST_REQ_WRITE:
            if (is_within_memory(request_)) return false;
            response_.status = SST_STATUS_INVALID;
            return true;
        case SST_REQ_CONFIGURE:
            if (request_.payload.config.param_id != SST_PARAM_EVENT_MASK) return false;
            configure_events();
            return true;
        default:
            response_.status = SST_STATUS_INVALID;
            return true;
    }
}

void VirtioSst::answer_info() {
    response_.payload.info.version = SST_VERSION;
    response_.payload.info.capabilities = static_cast<sst_u32>(features_of(options_));
    response_.payload.info.max_compute_units = SST_MAX_COMPUTE_UNITS;
    response_.payload.info.memory_size = options_.memory_bytes;
}

bool VirtioSst::is_within_memory(const SSTRequest& request) const {
    constexpr uint32_t kBesidesData = 16;  // addr, size, reserved
    const uint32_t most = request.type == SST_REQ_WRITE ? SST_MAX_DATA_SIZE - kBesidesData
                                                        : SST_MAX_DATA_SIZE;
    const uint32_t size = request.payload.memory.size;
    const uint64_t addr = request.payload.memory.addr;
    return size <= most && addr <= options_.memory_bytes && size <= options_.memory_bytes - addr;
}

void VirtioSst::configure_events() {
    response_.result = bank_.value<EVENT_MASK>();
    bank_.set_value<EVENT_MASK>(request_.payload.config.value);
}

// RESET: memory, parameters and simulated time go back to what they are at start. Nothing is lost
// without an answer: what is in flight ends with ERROR.
void VirtioSst::reset_simulator() {
    const std::vector<uint64_t> ids = requests_.ids();
    if (simulator_ != nullptr) simulator_->reset();
    for (const uint64_t id : ids) answer_with(id, SST_STATUS_ERROR);
    bank_.reset();
    send_notice(SST_NOTICE_RESET);
}

void VirtioSst::submit(Request&& request, sim::SimTime guest_time) {
    request.param_id = request_.payload.config.param_id;
    request.value = request_.payload.config.value;
    const uint64_t id = requests_.add(std::move(request));
    request_.request_id = id;
    request_.flags &= SST_FLAG_EVENT | SST_FLAG_WORK;  // others are between us and the simulator
    simulator_->submit(request_, guest_time,
                       [this, id](const sim::Answer& answer) { answered(id, answer); });
}

// --- Configuration ---------------------------------------------------------------------------

void VirtioSst::on_config_read(uint32_t offset, std::span<uint8_t> data) {
    bank_.debug_read(offset, data);  // nobody counts reads of the reserved word
}

}  // namespace mimic::virtio_sst
