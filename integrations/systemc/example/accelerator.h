// SPDX-License-Identifier: Apache-2.0
// Accelerator: the example of a device in SystemC: memory, and an engine behind a window.
#pragma once

#include <tlm_utils/simple_target_socket.h>
#include <systemc>
#include <tlm>

#include <cstdint>
#include <vector>

namespace example {

/// A TLM-2.0 target that knows nothing of Mimic. Memory from 0 on: 20 ns and 1 ns for each 8 bytes,
/// annotated. A write to kEngine begins a computation of as many units as its first 8 bytes say:
/// 10 ns each, one computation at a time, spent.
class Accelerator : public sc_core::sc_module {
public:
    static constexpr uint64_t kMemory = 1 << 20;
    static constexpr uint64_t kEngine = 0x1000'0000;

    tlm_utils::simple_target_socket<Accelerator> socket;

    explicit Accelerator(const sc_core::sc_module_name& name);

    /// All memory is zero.
    void reset();

private:
    void b_transport(tlm::tlm_generic_payload& payload, sc_core::sc_time& delay);
    void compute(tlm::tlm_generic_payload& payload, sc_core::sc_time& delay);

    std::vector<uint8_t> memory_;
    sc_core::sc_mutex engine_;
};

}  // namespace example
