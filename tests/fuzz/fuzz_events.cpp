// SPDX-License-Identifier: Apache-2.0
// The answer of a process to GET /v1/events, of any bytes and in pieces of any size (the first byte
// of the input): what comes out is the same however it is cut, and within its bounds.
#include <algorithm>
#include <string>
#include <vector>

#include "service/event_stream.h"
#include "tests/fuzz/fuzz.h"

namespace {

using namespace mimic;

struct Outcome {
    bool good = true;
    bool subscribed = false;
    std::vector<std::string> events;
};

Outcome take(std::string_view bytes, size_t piece) {
    service::EventStream stream;
    Outcome outcome;
    while (outcome.good && !bytes.empty()) {
        const auto some = bytes.substr(0, std::min(piece, bytes.size()));
        bytes.remove_prefix(some.size());
        outcome.good = stream.take(some, [&outcome](const service::StreamEvent& event) {
            FUZZ_REQUIRE(!event.type.empty() && event.type.size() <= 32);
            FUZZ_REQUIRE(event.type == "dropped" || event.data.at("time_us").is_number_unsigned());
            using Json = nlohmann::ordered_json;
            outcome.events.push_back(
                event.type + std::to_string(event.id.value_or(0)) +
                event.data.dump(-1, ' ', false, Json::error_handler_t::replace));
        });
    }
    outcome.subscribed = stream.subscribed();
    return outcome;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    if (size == 0) return 0;
    const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
    const Outcome whole = take(bytes, bytes.size());
    const Outcome cut = take(bytes, size_t{data[0]} + 1);
    FUZZ_REQUIRE(whole.good == cut.good && whole.events == cut.events);
    FUZZ_REQUIRE(whole.subscribed == cut.subscribed);
    return 0;
}
