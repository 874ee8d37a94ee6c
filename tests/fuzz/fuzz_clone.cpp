// SPDX-License-Identifier: Apache-2.0
// clone::parse_dump() and make_clone() on any bytes, and replicas of what they accept: each ends,
// in a file that is a machine or in problems with words.
#include "clone/clone.h"
#include "devices/replica/replica.h"
#include "tests/fuzz/fuzz.h"
#include "topology/topology.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    using namespace mimic;
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    const auto dump = clone::parse_dump(text);
    if (!dump) {
        FUZZ_REQUIRE(!dump.error().empty());
        FUZZ_REQUIRE(!clone::problem_text(dump.error(), "fuzz").empty());
        return 0;
    }
    const auto cloned = clone::make_clone(*dump, {});
    if (!cloned) {
        FUZZ_REQUIRE(!cloned.error().empty());
        return 0;
    }
    const auto model = topology::parse(cloned->yaml, "fuzz.yaml");
    FUZZ_REQUIRE(model.has_value());
    const topology::Machine& machine = model->machines.front();
    for (const topology::Device& device : machine.devices) {
        for (const topology::Function& function : device.functions) {
            replica::Options options{.name = function.name, .image = function.replica->config};
            for (const topology::Bar& bar : function.bars) {
                options.bars.at(bar.index) = {.type = bar.is_io      ? pci::BarType::kIo
                                                      : bar.is_64bit ? pci::BarType::kMemory64
                                                                     : pci::BarType::kMemory32,
                                              .prefetchable = bar.prefetchable,
                                              .size = bar.size};
            }
            const auto made = replica::Replica::create(options);
            if (!made) continue;
            for (uint32_t at = 0; at < 4096; at += 4) {
                const uint8_t ones[4] = {0xff, 0xff, 0xff, 0xff};
                (*made)->config_write(at, ones);
            }
        }
    }
    return 0;
}
