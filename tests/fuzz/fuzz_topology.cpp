// SPDX-License-Identifier: Apache-2.0
// topology::parse(, devices::all_models()) on any bytes. Either there are problems to show, each
// with a text, or a model that every format can be made of.
#include "devices/all_models.h"
#include "outputs/outputs.h"
#include "tests/fuzz/fuzz.h"
#include "topology/topology.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    using namespace mimic;
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    const auto model = topology::parse(text, "fuzz.yaml", devices::all_models());
    if (!model) {
        FUZZ_REQUIRE(!model.error().empty());
        return 0;
    }
    FUZZ_REQUIRE(!outputs::tree_json(*model).empty());
    FUZZ_REQUIRE(!outputs::picture_svg(*model).empty());
    for (const auto format : {outputs::Format::kQemu, outputs::Format::kLibvirt})
        (void)outputs::render(*model, format, "/run/mimic");
    return 0;
}
