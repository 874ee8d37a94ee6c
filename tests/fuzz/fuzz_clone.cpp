// SPDX-License-Identifier: Apache-2.0
// dump::parse_dump() and make_clone() on any bytes, and clones of what they accept: each ends,
// in a file that is a machine or in problems with words.
#include "devices/all_models.h"
#include "devices/clone/clone.h"
#include "dump/clone.h"
#include "tests/fuzz/fuzz.h"
#include "topology/topology.h"

namespace {

std::array<mimic::pci::Bar, mimic::pci::kBarCount> bars_of(
    const std::vector<mimic::topology::BarSpec>& bars) {
    using mimic::pci::BarType;
    std::array<mimic::pci::Bar, mimic::pci::kBarCount> out{};
    for (const auto& bar : bars) {
        out.at(bar.index) = {.type = bar.is_io      ? BarType::kIo
                                     : bar.is_64bit ? BarType::kMemory64
                                                    : BarType::kMemory32,
                             .prefetchable = bar.prefetchable,
                             .size = bar.size};
    }
    return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    using namespace mimic;
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    const auto dump = dump::parse_dump(text);
    if (!dump) {
        FUZZ_REQUIRE(!dump.error().empty());
        FUZZ_REQUIRE(!dump::problem_text(dump.error(), "fuzz").empty());
        return 0;
    }
    const auto cloned = dump::make_clone(*dump, {.models = devices::all_models()});
    if (!cloned) {
        FUZZ_REQUIRE(!cloned.error().empty());
        return 0;
    }
    FUZZ_REQUIRE(cloned->functions > 0);
    const auto model = topology::parse(cloned->yaml, "fuzz.yaml", devices::all_models());
    FUZZ_REQUIRE(model.has_value());
    const topology::Machine& machine = model->machines.front();
    for (const topology::DeviceSpec& device : machine.devices) {
        for (const topology::FunctionSpec& function : device.functions) {
            const clone::Options options{.name = function.name,
                                         .image = function.clone->config,
                                         .bars = bars_of(function.bars),
                                         .rom_bytes = function.clone->rom_size,
                                         .vf_bars = bars_of(function.clone->vf_bars),
                                         .vf_image = function.clone->vf_config,
                                         .number = function.number};
            const auto made = clone::Clone::create(options);
            FUZZ_REQUIRE(made.has_value());  // what a clone has can be made
            for (uint32_t at = 0; at < 4096; at += 4) {
                const uint8_t ones[4] = {0xff, 0xff, 0xff, 0xff};
                (*made)->config_write(at, ones);
            }
        }
    }
    return 0;
}
