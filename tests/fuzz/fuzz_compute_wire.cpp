// SPDX-License-Identifier: Apache-2.0
// What takes messages out of bytes, for both ends of the mediator's sockets. Whatever the bytes: a
// message lies within them, is the same however many follow and however they are cut, and what it
// points to is within the limits.
#include "compute/codec.h"
#include "compute/request.h"
#include "tests/fuzz/fuzz.h"

namespace mimic::fuzz {
namespace {

namespace wire = compute::wire;

bool is_within(std::span<const std::byte> part, std::span<const std::byte> whole) {
    return part.empty() || (part.data() >= whole.data() &&
                            part.data() + part.size() <= whole.data() + whole.size());
}

template <typename Parse>
void check(std::span<const std::byte> bytes, Parse parse) {
    const auto whole = parse(bytes);
    if (whole.found != wire::Found::kMessage) return;
    FUZZ_REQUIRE(whole.size <= bytes.size());
    FUZZ_REQUIRE(whole.size == sizeof whole.header + whole.payload.size());
    FUZZ_REQUIRE(is_within(whole.payload, bytes));
    FUZZ_REQUIRE(parse(bytes.first(whole.size)).found == wire::Found::kMessage);
    FUZZ_REQUIRE(parse(bytes.first(whole.size - 1)).found == wire::Found::kMore);
    FUZZ_REQUIRE(parse(bytes.first(sizeof whole.header - 1)).found == wire::Found::kMore);
}

void check_frame(std::span<const std::byte> bytes, const wire::FrameLimits& limits) {
    check(bytes, [&](auto part) { return wire::parse_frame(part, limits); });
    const auto message = wire::parse_frame(bytes, limits);
    if (message.found != wire::Found::kMessage) return;
    const auto& frame = message.header;
    FUZZ_REQUIRE(frame.length <= limits.max_payload);
    FUZZ_REQUIRE(uint64_t{frame.data_offset} + frame.data_length <= limits.shared_bytes);
    FUZZ_REQUIRE((frame.flags & wire::kFlagRoom) == 0 ||
                 uint64_t{frame.room_offset} + frame.room_length <= limits.shared_bytes);
    FUZZ_REQUIRE(uint64_t{frame.length} + frame.data_length <= VGPU_MAX_MESSAGE);
    FUZZ_REQUIRE(frame.room_length <= VGPU_MAX_MESSAGE);
}

void check_probe(std::span<const std::byte> bytes) {
    const auto form = wire::probe(bytes, false);
    // What is decided stays so, and silence decides only what nothing else could.
    if (form != wire::Form::kMore) FUZZ_REQUIRE(wire::probe(bytes, true) == form);
    for (size_t size = 0; size < bytes.size() && size < 32; ++size) {
        const auto earlier = wire::probe(bytes.first(size), false);
        FUZZ_REQUIRE(earlier == wire::Form::kMore || earlier == form);
    }
    wire::HeaderV2 header;
    if (bytes.size() < sizeof header) return;
    FUZZ_REQUIRE(form != wire::Form::kMore);
}

void check_bodies(std::span<const std::byte> bytes) {
    if (const auto view = compute::view_request(bytes)) {
        FUZZ_REQUIRE(is_within(view->data, bytes));
        FUZZ_REQUIRE(view->params.size() == view->header.param_count);
        FUZZ_REQUIRE(view->params[view->params.size()] == 0);
        FUZZ_REQUIRE(view->data.size() == view->header.data_length);
    } else {
        FUZZ_REQUIRE(!compute::is_nop(bytes) || bytes.size() < sizeof(vgpu_request));
    }
    if (const auto view = compute::view_response(bytes)) {
        FUZZ_REQUIRE(is_within(view->data, bytes));
        FUZZ_REQUIRE(view->results.size() == view->header.result_count);
    }
}

}  // namespace
}  // namespace mimic::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    using namespace mimic::fuzz;  // NOLINT(google-build-using-namespace): a target
    Input input(data, size);
    const uint8_t choice = input.take<uint8_t>();
    const wire::FrameLimits limits{input.take<uint16_t>(), input.take<uint32_t>()};
    const auto bytes = std::as_bytes(input.take_bytes(size));
    switch (choice % 7) {
        case 0:
            check(bytes, wire::parse_packet);
            break;
        case 1:
            check(bytes, wire::parse_packet_answer);
            break;
        case 2:
            check(bytes, wire::parse_v1);
            break;
        case 3:
            check(bytes, wire::parse_v2);
            (void)wire::hello_of(wire::parse_v2(bytes));
            break;
        case 4:
            check_frame(bytes, limits);
            break;
        case 5:
            check_probe(bytes);
            break;
        default:
            check_bodies(bytes);
            break;
    }
    return 0;
}
