// SPDX-License-Identifier: Apache-2.0
// What a topology file says of the simulator.
#include <gmock/gmock.h>

#include "devices/virtio_sst/model.h"
#include "devices/virtio_sst/simulator_choice.h"
#include "topology/topology.h"

namespace mimic::virtio_sst {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr std::array kModels = {&kModel};

tl::expected<topology::Model, topology::Diagnostics> read_device(const std::string& keys) {
    return topology::parse(
        "version: 1\nmachine:\n  name: m\n  devices:\n    - {name: \"sst{index}\", "
        "model: virtio-sst" +
            keys + "}\n",
        "f.yaml", kModels);
}

model::FunctionSpec function_of(const std::string& keys) {
    const auto model = read_device(keys);
    if (!model) {
        ADD_FAILURE() << model.error().str();
        return {};
    }
    return model->machines[0].devices[0].functions[0];
}

std::string problems_of(const std::string& keys) {
    const auto model = read_device(keys);
    return model ? "" : model.error().str();
}

TEST(SimulatorSettings, WithoutAnyItIsTheSeedsDevice) {
    const model::FunctionSpec function = function_of("");
    EXPECT_EQ(function.device_id, 0x1067);
    EXPECT_EQ(function.queues(), 3u);
    EXPECT_FALSE(has_socket(function));
    const sim::BuiltinSpec spec = builtin_spec(function);
    ASSERT_EQ(spec.models.size(), 1u);
    EXPECT_EQ(spec.models[0].kind, sim::ModelKind::kLinear);
    EXPECT_EQ(spec.models[0].per_unit, 100'000u);
    EXPECT_EQ(spec.pace, sim::Pace::kFast);
    EXPECT_EQ(spec.memory_bytes, 256u << 20);
    EXPECT_EQ(spec.clock_hz, 1'000'000'000u);
    EXPECT_FALSE(sim::find_error(spec));
}

TEST(SimulatorSettings, OneModelInPlaceOfAList) {
    const sim::BuiltinSpec spec = builtin_spec(
        function_of(", memory: 1M, simulator: {model: fixed, latency: 10us, pace: scaled, scale: "
                    "0.5, seed: 7, clock: 2GHz, units: 4}"));
    ASSERT_EQ(spec.models.size(), 1u);
    EXPECT_EQ(spec.models[0].kind, sim::ModelKind::kFixed);
    EXPECT_EQ(spec.models[0].latency, 10'000'000u);
    EXPECT_EQ(spec.pace, sim::Pace::kScaled);
    EXPECT_EQ(spec.scale, 0.5);
    EXPECT_EQ(spec.seed, 7u);
    EXPECT_EQ(spec.clock_hz, 2'000'000'000u);
    EXPECT_EQ(spec.units, 4u);
    EXPECT_EQ(spec.memory_bytes, 1u << 20);
}

TEST(SimulatorSettings, AListOfModels) {
    const sim::BuiltinSpec spec = builtin_spec(function_of(
        ", simulator: {models: [{kind: roofline, name: core, peak: 1000000000, bandwidth: 1G, "
        "operations_per_unit: 2, bytes_per_unit: 8}, {kind: systolic, rows: 16, columns: 8, m: 4, "
        "n: 4, k: 4, dataflow: weight-stationary}, {kind: table, lookup: sequence, points: "
        "[{units: "
        "1, time: 3us}, {units: 2, time: 5us}]}]}"));
    ASSERT_EQ(spec.models.size(), 3u);
    EXPECT_EQ(spec.models[0].name, "core");
    EXPECT_EQ(spec.models[0].peak, 1'000'000'000u);
    EXPECT_EQ(spec.models[0].bandwidth, 1u << 30);
    EXPECT_EQ(spec.models[1].dataflow, sim::Dataflow::kWeightStationary);
    EXPECT_EQ(spec.models[1].columns, 8u);
    EXPECT_THAT(spec.models[2].points,
                ElementsAre(sim::TablePoint{1, 3'000'000}, sim::TablePoint{2, 5'000'000}));
    EXPECT_FALSE(sim::find_error(spec));
}

TEST(SimulatorSettings, WordsAreThoseOfTheSimulators) {
    for (size_t i = 0; i < settings::kModelWords.size(); ++i)
        EXPECT_EQ(sim::word(static_cast<sim::ModelKind>(i)), settings::kModelWords[i]);
    for (size_t i = 0; i < settings::kDataflowWords.size(); ++i)
        EXPECT_EQ(sim::word(static_cast<sim::Dataflow>(i)), settings::kDataflowWords[i]);
    for (size_t i = 0; i < settings::kLookupWords.size(); ++i)
        EXPECT_EQ(sim::word(static_cast<sim::Lookup>(i)), settings::kLookupWords[i]);
}

TEST(SimulatorSettings, ASocketOfTheUsers) {
    const model::FunctionSpec function = function_of(
        ", simulator: {socket: \"run/{device}.sock\", timeout: 250ms, clock: 2GHz}");
    EXPECT_TRUE(has_socket(function));
    const sim::SocketOptions options = socket_options(function);
    EXPECT_EQ(options.path, "run/sst0.sock");
    EXPECT_EQ(options.timeout, std::chrono::milliseconds(250));
    EXPECT_EQ(options.clock_hz, 2'000'000'000u);
    EXPECT_FALSE(options.lock_step);
}

TEST(SimulatorSettings, AProgramOfTheUsers) {
    const model::FunctionSpec function = function_of(
        ", simulator: {command: [./model.py, --socket, \"{socket}\"]}");
    EXPECT_TRUE(has_socket(function));
    EXPECT_THAT(socket_options(function).command,
                ElementsAre("./model.py", "--socket", "{socket}"));
    EXPECT_EQ(model::named_program(function.settings), "./model.py");
}

TEST(SimulatorSettings, LockStepIsTheMachines) {
    model::FunctionSpec function = function_of("");
    function.lock_step = true;
    EXPECT_EQ(builtin_spec(function).pace, sim::Pace::kLockStep);
    EXPECT_TRUE(socket_options(function).lock_step);
}

TEST(SimulatorSettings, ProblemsStandWhereTheyAre) {
    EXPECT_THAT(problems_of(", simulator: {models: [{kind: roofline}]}"),
                testing::MatchesRegex("f.yaml:5:[0-9]+: [a-z_]+ .*"));
    EXPECT_THAT(problems_of(", simulator: {model: table}"), HasSubstr("points"));
    EXPECT_THAT(problems_of(", simulator: {socket: s, units: 4}"),
                HasSubstr("'units' of a simulator of yours"));
    EXPECT_THAT(problems_of(", simulator: {models: [{kind: fixed}], latency: 1us}"),
                HasSubstr("'latency' beside 'models'"));
    EXPECT_THAT(problems_of(", simulator: {models: [{kind: fixed}], model: fixed}"),
                HasSubstr("'model' beside 'models'"));
    EXPECT_THAT(problems_of(", simulator: {model: fixd}"), HasSubstr("did you mean 'fixed'?"));
    EXPECT_THAT(problems_of(", queues: 17"), HasSubstr("expected a number, 1 to 16"));
}

}  // namespace
}  // namespace mimic::virtio_sst
