// SPDX-License-Identifier: Apache-2.0
// Loads for `mimic mediator simulate` that anybody may have written: whatever is in one, it is read
// or refused with a line; what was read is written and read again as the same; and every rule plays
// it to the end without leaving a backend idle while a job could run.
#include <cstddef>
#include <cstdint>
#include <sstream>
#include <string>

#include "fuzz.h"
#include "mediator/config/keys.h"
#include "mediator/schedule/simulate/report.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    using namespace mimic::mediator;
    using namespace mimic::mediator::schedule;
    std::istringstream in(std::string(reinterpret_cast<const char*>(data), size));
    const auto load = read_load(in, "fuzz");
    if (!load) {
        FUZZ_REQUIRE(load.error().message().starts_with("fuzz: line "));
        return 0;
    }
    std::istringstream again(write_load(*load));
    const auto same = read_load(again, "again");
    FUZZ_REQUIRE(same && write_load(*same) == write_load(*load));
    for (size_t rule = 0; rule < kRules.size(); ++rule) {
        const auto result = simulate(
            *load, {.rule = static_cast<RuleName>(rule), .pieces = 3, .most_jobs = 300});
        if (!result) continue;  // more jobs than a moment has
        FUZZ_REQUIRE(result->idle_with_work == 0);
        mimic::mediator::schedule::Time service = 0;
        for (const SimulatedVm& vm : result->vms) service += vm.service;
        FUZZ_REQUIRE(service == result->busy);
        FUZZ_REQUIRE(result->busy <= load->duration * load->backends);
    }
    return 0;
}
