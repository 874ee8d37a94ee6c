// SPDX-License-Identifier: Apache-2.0
#include "integrations/systemc/adapter.h"

#include <algorithm>
#include <cstring>
#include <iostream>
#include <thread>

namespace mimic::systemc {
namespace {

using sc_core::sc_time;

// How long a simulation without work sleeps before it looks whether it should end: arbitrary.
constexpr Duration kRest = std::chrono::milliseconds(50);

uint64_t ticks(const sc_time& time) {
    return time.value();
}

sst_status status_of(tlm::tlm_response_status status) {
    switch (status) {
        case tlm::TLM_OK_RESPONSE:
            return SST_STATUS_OK;
        case tlm::TLM_ADDRESS_ERROR_RESPONSE:
        case tlm::TLM_COMMAND_ERROR_RESPONSE:
        case tlm::TLM_BURST_ERROR_RESPONSE:
        case tlm::TLM_BYTE_ENABLE_ERROR_RESPONSE:
            return SST_STATUS_INVALID;
        default:
            return SST_STATUS_ERROR;
    }
}

}  // namespace

Adapter::Adapter(const sc_core::sc_module_name& name, AdapterOptions options)
    : sc_module(name), socket("socket"), options_(std::move(options)) {
    for (size_t i = 0; i < std::clamp<size_t>(options_.threads, 1, 1024); ++i) {
        slots_.push_back(std::make_unique<Slot>());
        Slot& slot = *slots_.back();
        sc_core::sc_spawn([this, &slot] { work(slot); }, sc_core::sc_gen_unique_name("request"));
        idle_.push_back(&slot);
    }
}

Adapter::~Adapter() = default;

Status Adapter::serve() {
    ticks_per_ns_ = ticks(sc_time(1, sc_core::SC_NS));
    if (ticks_per_ns_ == 0) {
        return fail(std::errc::invalid_argument, "the time resolution must be 1 ns or finer");
    }
    if (!(options_.scale >= 1e-6 && options_.scale <= 1e6)) {
        return fail(std::errc::invalid_argument, "the scale must be 0.000001 .. 1,000,000");
    }
    if (options_.clock_hz == 0 || options_.clock_hz > 1'000'000'000'000) {
        return fail(std::errc::invalid_argument, "the clock must be 1 .. 10^12 Hz");
    }
    MIMIC_ASSIGN_OR_RETURN(server_, sim::PolledServer::listen({.path = options_.socket}));
    // Elaborates, and lets each thread get to where it waits.
    sc_core::sc_start(sc_core::SC_ZERO_TIME);
    epoch_ = SteadyClock().now();
    while (!stop_.load(std::memory_order_relaxed)) {
        const bool gone = options_.end_with_last_client && server_->connections() != 0 &&
                          server_->clients() == 0;
        if (gone && idle_.size() == slots_.size()) break;
        take_requests();
        step();
    }
    server_.reset();
    return {};
}

uint64_t Adapter::cycles(uint64_t simulated_ticks) const {
    __extension__ using Wide = unsigned __int128;
    return static_cast<uint64_t>(Wide{simulated_ticks} * options_.clock_hz /
                                 (Wide{ticks_per_ns_} * 1'000'000'000));
}

// Simulated time that may have passed by now, at kScaled.
sc_time Adapter::allowed() const {
    const double ns = static_cast<double>((SteadyClock().now() - epoch_).count());
    return sc_time(ns / options_.scale, sc_core::SC_NS);
}

void Adapter::take_requests() {
    while (!idle_.empty()) {
        Slot& slot = *idle_.back();
        if (!server_->poll(slot.asked)) return;
        idle_.pop_back();
        sc_time begin = sc_core::sc_time_stamp();
        if (options_.pace == sim::Pace::kScaled) begin = std::max(begin, allowed());
        slot.submitted = ticks(begin) / ticks_per_ns_;
        if (options_.pace == sim::Pace::kLockStep) {
            // Half of SystemC's 64 bits: what a client says must not make time wrap.
            slot.submitted = std::min(slot.asked.submitted, (uint64_t{1} << 63) / ticks_per_ns_);
            begin = std::max(begin, sc_time::from_value(slot.submitted * ticks_per_ns_));
        }
        slot.start.notify(begin - sc_core::sc_time_stamp());
    }
}

// Waits for a request, or for the time; sleeps if no thread could take one.
void Adapter::rest(Duration limit) {
    if (idle_.empty()) {
        std::this_thread::sleep_for(std::min<Duration>(limit, std::chrono::milliseconds(1)));
    } else {
        server_->wait(limit);
    }
}

// The next thing that happens in SystemC; requests are looked for between two.
void Adapter::step() {
    if (sc_core::sc_pending_activity_at_current_time()) {
        sc_core::sc_start(sc_core::SC_ZERO_TIME);
        return;
    }
    // Nothing is asked, or the target waits for what never comes: the client has a timeout.
    if (idle_.size() == slots_.size() || !sc_core::sc_pending_activity()) return rest(kRest);
    const sc_time next = sc_core::sc_time_to_pending_activity();
    if (options_.pace == sim::Pace::kScaled) {
        const sc_time now = allowed();
        const sc_time then = sc_core::sc_time_stamp() + next;
        if (then > now) {
            const double ns = (then - now).to_seconds() * 1e9 * options_.scale;
            const double most = static_cast<double>(Duration(kRest).count());
            return rest(Duration(static_cast<int64_t>(std::min(ns, most)) + 1));
        }
    }
    sc_core::sc_start(next);
}

void Adapter::work(Slot& slot) {
    for (;;) {
        sc_core::wait(slot.start);
        perform(slot);
        idle_.push_back(&slot);
    }
}

void Adapter::perform(Slot& slot) {
    SSTResponse response{};
    const uint64_t begin = ticks(sc_core::sc_time_stamp());
    try {
        response.status = transact(slot, response);
    } catch (const sc_core::sc_unwind_exception&) {
        throw;  // SystemC ends this thread
    } catch (const std::exception& error) {
        std::cerr << name() << ": the target has failed: " << error.what() << '\n';
        response.status = SST_STATUS_ERROR;
    }
    const uint64_t end = ticks(sc_core::sc_time_stamp());
    const uint64_t finished = end / ticks_per_ns_;
    if (slot.asked.request.type == SST_REQ_COMPUTE && response.status == SST_STATUS_OK) {
        response.payload.compute.cycles = cycles(end - begin);
        response.payload.compute.timestamp = cycles(end);
        if (response.result == 0) response.result = response.payload.compute.cycles;
    }
    server_->answer(
        slot.asked.ticket, response,
        {.latency = finished - std::min(finished, slot.submitted), .finished = finished});
}

sst_status Adapter::transact(Slot& slot, SSTResponse& response) {
    SSTRequest& request = slot.asked.request;
    switch (request.type) {
        case SST_REQ_NOOP:
            return SST_STATUS_OK;
        case SST_REQ_ECHO:
            std::memcpy(response.payload.data, request.payload.data, SST_MAX_DATA_SIZE);
            response.result = SST_MAX_DATA_SIZE;
            return SST_STATUS_OK;
        case SST_REQ_READ:
        case SST_REQ_WRITE:
            return memory(request, response);
        case SST_REQ_COMPUTE:
            return compute(request, response);
        case SST_REQ_CONFIGURE:
            if (!options_.configure_window) return SST_STATUS_INVALID;
            return transport({tlm::TLM_WRITE_COMMAND, *options_.configure_window,
                              request.payload.data, sizeof request.payload.config},
                             request, response);
        case SST_REQ_RESET:
            if (options_.reset) options_.reset();
            return SST_STATUS_OK;
        case SST_REQ_GET_INFO:
            response.payload.info.version = SST_VERSION;
            response.payload.info.capabilities = 1u << SST_F_ECHO | 1u << SST_F_COMPUTE |
                                                 1u << SST_F_MEMORY | 1u << SST_F_RESET;
            response.payload.info.max_compute_units = SST_MAX_COMPUTE_UNITS;
            response.payload.info.memory_size = options_.memory_size;
            return SST_STATUS_OK;
        default:
            return SST_STATUS_INVALID;
    }
}

sst_status Adapter::memory(SSTRequest& request, SSTResponse& response) {
    const uint64_t address = request.payload.memory.addr;
    const uint32_t size = request.payload.memory.size;
    const bool read = request.type == SST_REQ_READ;
    constexpr uint32_t kWriteOffset = sizeof request.payload.memory;
    const uint32_t most = read ? SST_MAX_DATA_SIZE : SST_MAX_DATA_SIZE - kWriteOffset;
    if (size > most || size > options_.memory_size || address > options_.memory_size - size) {
        return SST_STATUS_INVALID;
    }
    response.result = size;
    if (size == 0) return SST_STATUS_OK;  // no transaction of TLM is that short
    uint8_t* const data = read ? response.payload.data : request.payload.data + kWriteOffset;
    return transport({read ? tlm::TLM_READ_COMMAND : tlm::TLM_WRITE_COMMAND,
                      options_.memory_base + address, data, size},
                     request, response);
}

sst_status Adapter::compute(SSTRequest& request, SSTResponse& response) {
    const bool work = (request.flags & SST_FLAG_WORK) != 0;
    if (!options_.compute_window || request.payload.compute.compute_units > SST_MAX_COMPUTE_UNITS) {
        return SST_STATUS_INVALID;
    }
    const auto size = static_cast<uint32_t>(SST_WORK_OFFSET + (work ? sizeof(sst_work) : 0));
    return transport({tlm::TLM_WRITE_COMMAND, *options_.compute_window, request.payload.data, size},
                     request, response);
}

sst_status Adapter::transport(Transfer transfer, const SSTRequest& request, SSTResponse& response) {
    tlm::tlm_generic_payload payload;
    payload.set_command(transfer.command);
    payload.set_address(transfer.address);
    payload.set_data_ptr(transfer.data);
    payload.set_data_length(transfer.size);
    payload.set_streaming_width(transfer.size);
    RequestExtension extension;
    extension.request = &request;
    extension.response = &response;
    payload.set_extension(&extension);
    sc_time delay = sc_core::SC_ZERO_TIME;
    try {
        socket->b_transport(payload, delay);
    } catch (...) {
        payload.clear_extension(&extension);  // it is on this stack; the payload would delete it
        throw;
    }
    payload.clear_extension(&extension);
    // A target may annotate its time in place of spending it.
    if (delay != sc_core::SC_ZERO_TIME) sc_core::wait(delay);
    return status_of(payload.get_response_status());
}

}  // namespace mimic::systemc
