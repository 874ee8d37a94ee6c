// SPDX-License-Identifier: Apache-2.0
// A hostile guest of a built-in simulator. The input says the models and is a script: requests with
// any header and payload, time that passes, resets. Each request is answered once, none before it
// was submitted, and none of those that wait before one that ends earlier.
#include <memory>

#include "base/testing/virtual_time.h"
#include "sim/builtin/spec.h"
#include "tests/fuzz/fuzz.h"

namespace mimic::fuzz {
namespace {

using namespace sim;

ModelSpec model_of(Input& input) {
    ModelSpec model;
    model.kind = kModelKinds[input.take<uint8_t>() % kModelKinds.size()];
    model.latency = input.take<uint64_t>() >> (input.take<uint8_t>() % 64);
    model.per_unit = input.take<uint64_t>() >> (input.take<uint8_t>() % 64);
    model.bandwidth = 1 + (input.take<uint64_t>() >> (1 + input.take<uint8_t>() % 63));
    model.bytes_per_unit = input.take<uint32_t>();
    model.peak = 1 + (input.take<uint64_t>() >> (1 + input.take<uint8_t>() % 63));
    model.operations_per_unit = input.take<uint64_t>();
    model.shared = 1 + input.take<uint8_t>();
    model.penalty = input.take<uint8_t>() % 101;
    model.rows = 1 + input.take<uint16_t>();
    model.columns = 1 + input.take<uint16_t>();
    model.dataflow = static_cast<Dataflow>(input.take<uint8_t>() % 3);
    model.lookup = static_cast<Lookup>(input.take<uint8_t>() % 2);
    model.jitter = input.take<uint8_t>() / 255.0;
    const size_t points = 1 + input.take<uint8_t>() % 4;
    for (size_t i = 0; i < points; ++i) {
        model.points.push_back({i * 1000 + input.take<uint8_t>(),
                                input.take<uint64_t>() >> (input.take<uint8_t>() % 64)});
    }
    return model;
}

// Counts requests and their answers, of one round between resets.
struct Watch {
    uint64_t next = 1;
    uint64_t answered = 0;
    SimTime last = 0;     // end of the one that was told last out of a task
    bool within = false;  // submit() runs
};

void submit(Simulator& simulator, Watch& watch, Input& input) {
    auto request = std::make_unique<SSTRequest>();
    request->type = input.take<uint8_t>() % 10;
    request->flags = input.take<uint8_t>();
    request->request_id = watch.next++;
    const auto payload = input.take_bytes(input.take<uint8_t>() % 64);
    if (!payload.empty()) std::memcpy(request->payload.data, payload.data(), payload.size());
    // Most addresses and units would be far outside.
    if (input.take<uint8_t>() % 2 == 0) request->payload.memory.addr %= 100'000;
    if (input.take<uint8_t>() % 2 == 0) request->payload.memory.size %= 5'000;
    const auto guest_time = input.take<uint64_t>() >> (input.take<uint8_t>() % 64);
    watch.within = true;
    simulator.submit(*request, guest_time,
                     [&watch, id = request->request_id, once = false](const Answer& told) mutable {
                         FUZZ_REQUIRE(!once);
                         once = true;
                         ++watch.answered;
                         FUZZ_REQUIRE(told.response.request_id == id);
                         FUZZ_REQUIRE(told.response.status <= SST_STATUS_NO_DEVICE);
                         FUZZ_REQUIRE(told.finished >= told.submitted);
                         if (!watch.within) {
                             FUZZ_REQUIRE(told.finished >= watch.last);
                             watch.last = told.finished;
                         }
                     });
    watch.within = false;
}

void run(Input input) {
    VirtualTime time;
    BuiltinSpec spec;
    const size_t models = 1 + input.take<uint8_t>() % 3;
    for (size_t i = 0; i < models; ++i) spec.models.push_back(model_of(input));
    spec.pace = static_cast<Pace>(input.take<uint8_t>() % 3);
    spec.scale = (1 + input.take<uint8_t>()) / 16.0;
    spec.units = 1 + input.take<uint8_t>() % 8;
    spec.memory_bytes = input.take<uint32_t>();
    spec.memory_bandwidth = input.take<uint32_t>();
    spec.max_in_flight = 1 + input.take<uint8_t>() % 32;
    spec.memory_limit = 1 << 16;
    auto made = make_builtin(spec, time);
    FUZZ_REQUIRE(made.has_value() == !find_error(spec).has_value());
    if (!made) return;
    Simulator& simulator = **made;
    Watch watch;
    while (!input.empty()) {
        const auto what = input.take<uint8_t>();
        if (what % 8 < 5) {
            submit(simulator, watch, input);
        } else if (what % 8 < 7) {
            time.advance(Duration(input.take<uint32_t>()));
        } else if (what >= 192) {
            simulator.reset();
            watch = {};
        }
        FUZZ_REQUIRE(simulator.in_flight() == watch.next - 1 - watch.answered);
        FUZZ_REQUIRE(simulator.in_flight() <= spec.max_in_flight);
    }
    time.run_all();
    FUZZ_REQUIRE(simulator.in_flight() == 0);
    FUZZ_REQUIRE(watch.answered == watch.next - 1);
}

}  // namespace
}  // namespace mimic::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    mimic::fuzz::run(mimic::fuzz::Input(data, size));
    return 0;
}
