// SPDX-License-Identifier: Apache-2.0
// systemc-test-targets SOCKET at|odd: targets that the example is not: memory with the non-blocking
// interface alone, and one that answers in all the other ways.
#include <tlm_utils/peq_with_cb_and_phase.h>
#include <tlm_utils/simple_target_socket.h>

#include <array>
#include <csignal>
#include <cstdlib>
#include <optional>
#include <stdexcept>
#include <string_view>

#include "integrations/systemc/adapter.h"

namespace {

using mimic::systemc::RequestExtension;

// Four phases; 40 ns from request to response.
struct AtMemory : sc_core::sc_module {
    tlm_utils::simple_target_socket<AtMemory> socket;
    tlm_utils::peq_with_cb_and_phase<AtMemory> queue;
    std::array<uint8_t, 4096> bytes{};

    explicit AtMemory(const sc_core::sc_module_name& name)
        : sc_module(name), socket("socket"), queue(this, &AtMemory::respond) {
        socket.register_nb_transport_fw(this, &AtMemory::request);
    }
    tlm::tlm_sync_enum request(tlm::tlm_generic_payload& payload, tlm::tlm_phase& phase,
                               sc_core::sc_time& delay) {
        if (phase != tlm::BEGIN_REQ) return tlm::TLM_COMPLETED;
        queue.notify(payload, phase, delay + sc_core::sc_time(40, sc_core::SC_NS));
        phase = tlm::END_REQ;
        return tlm::TLM_UPDATED;
    }
    void respond(tlm::tlm_generic_payload& payload, const tlm::tlm_phase&) {
        uint8_t* const at = bytes.data() + payload.get_address();
        if (payload.is_read()) std::memcpy(payload.get_data_ptr(), at, payload.get_data_length());
        if (payload.is_write()) std::memcpy(at, payload.get_data_ptr(), payload.get_data_length());
        payload.set_response_status(tlm::TLM_OK_RESPONSE);
        tlm::tlm_phase phase = tlm::BEGIN_RESP;
        sc_core::sc_time delay = sc_core::SC_ZERO_TIME;
        socket->nb_transport_bw(payload, phase, delay);
    }
};

// Answers by address.
struct OddTarget : sc_core::sc_module {
    static constexpr uint64_t kCompute = 1 << 20;
    static constexpr uint64_t kConfigure = 2 << 20;

    tlm_utils::simple_target_socket<OddTarget> socket;
    uint64_t configured = 0;

    explicit OddTarget(const sc_core::sc_module_name& name) : sc_module(name), socket("socket") {
        socket.register_b_transport(this, &OddTarget::b_transport);
    }
    void b_transport(tlm::tlm_generic_payload& payload, sc_core::sc_time& delay) {
        payload.set_response_status(tlm::TLM_OK_RESPONSE);
        switch (payload.get_address()) {
            case 0:
                throw std::runtime_error("as it should in this test");
            case 8:
                return SC_REPORT_ERROR("target", "as it should in this test");
            case 16:
                return payload.set_response_status(tlm::TLM_GENERIC_ERROR_RESPONSE);
            case 24:
                return payload.set_response_status(tlm::TLM_BYTE_ENABLE_ERROR_RESPONSE);
            case 32:
                return payload.set_response_status(tlm::TLM_INCOMPLETE_RESPONSE);
            case 40:
                std::memcpy(payload.get_data_ptr(), &configured, sizeof configured);
                return;
            case kConfigure:
                std::memcpy(&configured, payload.get_data_ptr() + 8, sizeof configured);
                return;
            case kCompute:
                return compute(payload, delay);
            default:
                return payload.set_response_status(tlm::TLM_ADDRESS_ERROR_RESPONSE);
        }
    }
    // m ns for a request with work, in the payload and in the extension; its result is its m.
    void compute(tlm::tlm_generic_payload& payload, sc_core::sc_time& delay) {
        sst_work work{};
        if (payload.get_data_length() == SST_WORK_OFFSET + sizeof work) {
            std::memcpy(&work, payload.get_data_ptr() + SST_WORK_OFFSET, sizeof work);
        }
        auto* const extension = payload.get_extension<RequestExtension>();
        if ((extension->request->flags & SST_FLAG_WORK) != 0) extension->response->result = work.m;
        delay += sc_core::sc_time(work.m, sc_core::SC_NS);
    }
};

mimic::systemc::Adapter* running = nullptr;

}  // namespace

int sc_main(int argc, char** argv) {
    if (argc != 3) return 2;
    mimic::systemc::AdapterOptions options;
    options.socket = argv[1];
    options.memory_size = 4096;
    options.compute_window = OddTarget::kCompute;
    options.configure_window = OddTarget::kConfigure;
    options.clock_hz = 500'000'000;
    mimic::systemc::Adapter adapter("adapter", options);
    std::optional<AtMemory> memory;
    std::optional<OddTarget> odd;
    if (std::string_view(argv[2]) == "at") {
        adapter.socket.bind(memory.emplace("memory").socket);
    } else {
        adapter.socket.bind(odd.emplace("odd").socket);
    }
    running = &adapter;
    std::signal(SIGTERM, [](int) { running->stop(); });
    return adapter.serve() ? 0 : 1;
}
