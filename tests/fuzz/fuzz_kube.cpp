// SPDX-License-Identifier: Apache-2.0
// What a Kubernetes API server answers, of any bytes: a watch in pieces of any size (the first
// byte of the input), an object, an error, a Retry-After. What comes out is the same however a
// watch is cut, and within its bounds.
#include <algorithm>
#include <string>
#include <vector>

#include "kube/answer.h"
#include "tests/fuzz/fuzz.h"

namespace {

using namespace mimic;

constexpr size_t kMaxLine = 2048;

struct Outcome {
    bool good = true;
    int status = 0;
    std::string message;
    std::vector<std::string> events;
};

std::string printed(const nlohmann::json& json) {
    return json.dump();
}

bool printable(const std::string& text) {
    return std::none_of(text.begin(), text.end(),
                        [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
}

Outcome take(std::string_view bytes, size_t piece) {
    kube::WatchStream stream(kMaxLine);
    Outcome outcome;
    while (outcome.good && !bytes.empty()) {
        const auto some = bytes.substr(0, std::min(piece, bytes.size()));
        bytes.remove_prefix(some.size());
        const auto taken = stream.take(some, [&outcome](const kube::WatchEvent& event) {
            FUZZ_REQUIRE(event.object.is_object());
            FUZZ_REQUIRE(event.type == "ADDED" || event.type == "MODIFIED" ||
                         event.type == "DELETED" || event.type == "BOOKMARK");
            // Everything that is read of objects by those who watch.
            (void)kube::metadata_text(event.object, "resourceVersion");
            outcome.events.push_back(event.type + printed(event.object));
        });
        if (taken) continue;
        outcome.good = false;
        outcome.status = taken.error().status;
        outcome.message = taken.error().message;
        FUZZ_REQUIRE(outcome.status == 0 || (outcome.status >= 400 && outcome.status <= 599));
        FUZZ_REQUIRE(printable(outcome.message) && !outcome.message.empty());
    }
    return outcome;
}

void one_answer(std::string_view bytes) {
    const auto json = kube::parse_object(bytes, 500);
    FUZZ_REQUIRE(json.is_null() || json.is_object());
    // What was taken can be printed and read again.
    if (json.is_object()) FUZZ_REQUIRE(kube::parse_object(printed(json), 10000) == json);
    const auto error = kube::error_of(500, bytes, std::nullopt);
    FUZZ_REQUIRE(!error.message.empty() && printable(error.message) && printable(error.reason));
    FUZZ_REQUIRE(!error.retry_after || *error.retry_after <= std::chrono::hours(1));
    const auto wait = kube::parse_retry_after(
        bytes, std::chrono::system_clock::time_point(std::chrono::hours(24)));
    FUZZ_REQUIRE(!wait || (wait->count() >= 0 && *wait <= std::chrono::hours(1)));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    if (size == 0) return 0;
    const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
    one_answer(bytes);
    const Outcome whole = take(bytes, std::max<size_t>(bytes.size(), 1));
    const Outcome cut = take(bytes, size_t{data[0]} + 1);
    FUZZ_REQUIRE(whole.good == cut.good && whole.status == cut.status);
    FUZZ_REQUIRE(whole.message == cut.message && whole.events == cut.events);
    return 0;
}
