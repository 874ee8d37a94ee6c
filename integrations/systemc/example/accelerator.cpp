// SPDX-License-Identifier: Apache-2.0
#include "integrations/systemc/example/accelerator.h"

#include <algorithm>
#include <cstring>

namespace example {

Accelerator::Accelerator(const sc_core::sc_module_name& name)
    : sc_module(name), socket("socket"), memory_(kMemory), engine_("engine") {
    socket.register_b_transport(this, &Accelerator::b_transport);
}

void Accelerator::reset() {
    std::fill(memory_.begin(), memory_.end(), uint8_t{0});
}

void Accelerator::b_transport(tlm::tlm_generic_payload& payload, sc_core::sc_time& delay) {
    const uint64_t address = payload.get_address();
    const unsigned size = payload.get_data_length();
    if (address == kEngine && payload.is_write() && size >= sizeof(uint64_t)) {
        compute(payload, delay);
        return;
    }
    if (size > kMemory || address > kMemory - size) {
        payload.set_response_status(tlm::TLM_ADDRESS_ERROR_RESPONSE);
        return;
    }
    uint8_t* const at = memory_.data() + address;
    if (payload.is_read()) {
        std::memcpy(payload.get_data_ptr(), at, size);
    } else if (payload.is_write()) {
        std::memcpy(at, payload.get_data_ptr(), size);
    }
    // Left to the initiator: loosely timed.
    delay += sc_core::sc_time(20 + (size + 7) / 8, sc_core::SC_NS);
    payload.set_response_status(tlm::TLM_OK_RESPONSE);
}

void Accelerator::compute(tlm::tlm_generic_payload& payload, sc_core::sc_time& delay) {
    uint64_t units = 0;
    std::memcpy(&units, payload.get_data_ptr(), sizeof units);
    // Time that others have to see is spent here.
    sc_core::wait(delay);
    delay = sc_core::SC_ZERO_TIME;
    engine_.lock();
    sc_core::wait(sc_core::sc_time(10.0 * static_cast<double>(units), sc_core::SC_NS));
    engine_.unlock();
    payload.set_response_status(tlm::TLM_OK_RESPONSE);
}

}  // namespace example
