// SPDX-License-Identifier: Apache-2.0
// Bodies of POST .../faults, of any bytes. Either there is an error with a text, or a fault within
// its bounds that is the same when it is written and read again.
#include <string>

#include "control/fault_json.h"
#include "tests/fuzz/fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    using namespace mimic;
    const auto fault = control::parse_fault_body({reinterpret_cast<const char*>(data), size});
    if (!fault) {
        FUZZ_REQUIRE(fault.error().status == 400 && !fault.error().message.empty());
        FUZZ_REQUIRE(fault.error().message.size() < 1024);
        FUZZ_REQUIRE(!service::error_body(fault.error()).empty());
        return 0;
    }
    FUZZ_REQUIRE(!fault->name.empty() && fault->count <= pci::kMaxFaultCount);
    FUZZ_REQUIRE(fault->delay >= Duration::zero() && fault->delay <= pci::kMaxFaultDelay);
    FUZZ_REQUIRE(fault->vector.value_or(0) <= pci::kMaxFaultVector);
    FUZZ_REQUIRE(!(fault->at && fault->after_accesses));
    const auto again = control::parse_fault_body(
        control::fault_body(std::string(fault->name), {}, *fault));
    FUZZ_REQUIRE(again && again->kind == fault->kind && again->at == fault->at &&
                 again->after_accesses == fault->after_accesses && again->seed == fault->seed);
    return 0;
}
