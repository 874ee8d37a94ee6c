// SPDX-License-Identifier: Apache-2.0
// What the kubelet plugin reads that others wrote: its checkpoint, claims of the API server with
// their opaque parameters. The first byte chooses. Whatever is read can be used: written again, or
// as parts of paths.
#include <string>

#include "dra/plugin/checkpoint.h"
#include "dra/plugin/claim.h"
#include "dra/plugin/json_fields.h"
#include "dra/plugin/names.h"
#include "dra/plugin/testing/rig.h"
#include "tests/fuzz/fuzz.h"

namespace {

void expect_usable(const mimic::dra::PreparedClaim& claim) {
    for (const auto& device : claim.devices) {
        FUZZ_REQUIRE(device.device.find('/') == std::string::npos && !device.device.empty());
        FUZZ_REQUIRE(device.share_id.empty() || mimic::dra::is_uid(device.share_id));
        for (const auto& [name, value] : device.env)
            FUZZ_REQUIRE(name.find_first_of("=\n") == std::string::npos);
        for (const auto& request : device.requests)
            FUZZ_REQUIRE(request.find('/') == std::string::npos);
    }
}

void read_checkpoint(const std::string& text) {
    const auto state = mimic::dra::decode_checkpoint(text);
    if (!state) {
        FUZZ_REQUIRE(!state.error().message().empty());
        return;
    }
    const auto again = mimic::dra::decode_checkpoint(mimic::dra::encode_checkpoint(*state));
    FUZZ_REQUIRE(again.has_value() && again->claims.size() == state->claims.size());
}

void read_claim(const std::string& text) {
    const auto object = nlohmann::json::parse(text, nullptr, false);
    const mimic::dra::ClaimRef ref{"ns", "uid-1", "c1"};
    const auto claim = mimic::dra::parse_claim(
        object, ref, {.facts = &mimic::dra::testing::facts(), .pool = "node1"});
    if (claim) expect_usable(*claim);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    if (size == 0) return 0;
    const std::string text(reinterpret_cast<const char*>(data) + 1, size - 1);
    if (data[0] == 'c')
        read_checkpoint(text);
    else
        read_claim(text);
    return 0;
}
