// SPDX-License-Identifier: Apache-2.0
// A mediator's file, and pools of its command line: whatever the bytes are, values within their
// bounds or a report.
#include "fuzz.h"
#include "mediator/config/parse.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    using namespace mimic;
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    const auto config = mediator::parse(text, "fuzz.yaml");
    if (!config) {
        FUZZ_REQUIRE(!config.error().str().empty());
    } else {
        FUZZ_REQUIRE(!config->pools.empty());
        for (const auto& vm : config->vms) {
            FUZZ_REQUIRE(vm.weight >= 1 && vm.weight <= mediator::kMaxWeight);
            FUZZ_REQUIRE(mediator::find_problem(vm.limits).empty());
        }
    }
    (void)mediator::parse_pool(text);
    return 0;
}
