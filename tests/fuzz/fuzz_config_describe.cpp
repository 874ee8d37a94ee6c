// SPDX-License-Identifier: Apache-2.0
// Configuration spaces of any content become words: no register outside of the bytes, no field
// outside of its register, and an end. Capabilities of a dump are such bytes.
#include "pci/describe/config_describe.h"
#include "tests/fuzz/fuzz.h"

using namespace mimic;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    const auto all = pci::describe_config({data, size});
    for (const auto& section : all.sections) {
        FUZZ_REQUIRE(section.offset + section.size <= size);
        for (const auto& reg : section.registers) {
            FUZZ_REQUIRE(reg.offset >= section.offset && reg.width <= 32);
            FUZZ_REQUIRE(reg.offset + reg.width / 8 <= section.offset + section.size);
            for (const auto& field : reg.fields)
                FUZZ_REQUIRE(field.lo <= field.hi && field.hi < reg.width);
        }
    }
    return 0;
}
