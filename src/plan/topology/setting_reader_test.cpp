// SPDX-License-Identifier: Apache-2.0
// Settings of a model: what a file may say, what it gets without saying it, and what is reported
// where.
#include <gmock/gmock.h>

#include "topology/topology.h"

namespace mimic::topology {
namespace {

using model::Setting;
using model::SettingValue;
using Kind = Setting::Kind;
using testing::ElementsAre;
using testing::HasSubstr;

constexpr std::string_view kThingPaces[] = {"fast", "scaled"};
constexpr std::array kLayerSettings = {
    Setting{.key = "latency", .kind = Kind::kDuration, .max = 1'000'000'000'000, .doc = "x"},
    Setting{.key = "units", .kind = Kind::kNumber, .min = 1, .max = 16, .fallback = "4"},
};
constexpr std::array kEngineSettings = {
    Setting{.key = "pace", .kind = Kind::kChoice, .words = kThingPaces, .fallback = "fast"},
    Setting{.key = "scale", .kind = Kind::kReal, .least = 0.1, .most = 10, .fallback = "1"},
    Setting{.key = "clock", .kind = Kind::kFrequency, .min = 1, .fallback = "1GHz"},
    Setting{.key = "bandwidth", .kind = Kind::kSize},
    Setting{.key = "socket", .kind = Kind::kPath},
    Setting{.key = "label", .kind = Kind::kText, .min = 1, .max = 8},
    Setting{.key = "command", .kind = Kind::kCommand, .max = 3, .placeholder = "{socket}"},
    Setting{.key = "layers", .kind = Kind::kList, .min = 1, .max = 2, .settings = kLayerSettings},
};
constexpr std::array kThingSettings = {
    Setting{.key = "engine", .kind = Kind::kGroup, .settings = kEngineSettings},
};

std::vector<model::SettingProblem> check_thing(const FunctionSpec& function) {
    const SettingValue& engine = *function.settings.find("engine");
    const SettingValue* const socket = engine.find("socket");
    const SettingValue* const command = engine.find("command");
    if (socket == nullptr || command == nullptr) return {};
    return {{command->line, command->column, "both; expected one"}};
}

constexpr model::DeviceModel kThing{.facts = {.name = "thing", .max_static_vfs = 1},
                                    .settings = kThingSettings,
                                    .check = check_thing};
constexpr model::DeviceModel kOtherThing{.facts = {.name = "other"}};
constexpr std::array kThings = {&kThing, &kOtherThing};

tl::expected<Model, Diagnostics> read_thing(const std::string& device) {
    return parse("version: 1\nmachine:\n  name: m\n  devices:\n    - {" + device + "}\n", "f.yaml",
                 kThings);
}

SettingValue engine_of(const std::string& engine) {
    const auto model = read_thing("name: a, model: thing, engine: {" + engine + "}");
    if (!model) {
        ADD_FAILURE() << model.error().str();
        return {};
    }
    return *model->machines[0].devices[0].functions[0].settings.find("engine");
}

std::string problems_of(const std::string& engine) {
    const auto model = read_thing("name: a, model: thing, engine: {" + engine + "}");
    return model ? "" : model.error().str();
}

TEST(Settings, WhatAFileSays) {
    const SettingValue engine = engine_of(
        "pace: scaled, scale: 0.5, clock: 1.5GHz, bandwidth: 16G, socket: \"a{index}.sock\", "
        "label: \"{device}\", layers: [{latency: 10us}, {latency: 1ps, units: 0x10}]");
    EXPECT_TRUE(engine.given);
    EXPECT_EQ(engine.number_of("pace"), 1u);
    EXPECT_EQ(engine.real_of("scale"), 0.5);
    EXPECT_EQ(engine.number_of("clock"), 1'500'000'000u);
    EXPECT_EQ(engine.number_of("bandwidth"), uint64_t{16} << 30);
    EXPECT_EQ(engine.text_of("socket"), "a0.sock");
    EXPECT_EQ(engine.text_of("label"), "a");
    const SettingValue& layers = *engine.find("layers");
    ASSERT_EQ(layers.values.size(), 2u);
    EXPECT_EQ(layers.values[0].number_of("latency"), 10'000'000u);
    EXPECT_EQ(layers.values[0].number_of("units"), 4u);
    EXPECT_EQ(layers.values[1].number_of("units"), 16u);
}

TEST(Settings, DefaultsAreThereWithoutTheGroup) {
    const auto model = read_thing("name: a, model: thing");
    ASSERT_TRUE(model);
    const SettingValue& engine = *model->machines[0].devices[0].functions[0].settings.find(
        "engine");
    EXPECT_FALSE(engine.given);
    EXPECT_EQ(engine.text_of("pace"), "fast");
    EXPECT_EQ(engine.number_of("clock"), 1'000'000'000u);
    EXPECT_EQ(engine.find("bandwidth"), nullptr);
    EXPECT_EQ(engine.find("layers"), nullptr);
}

TEST(Settings, ProblemsStandWhereTheyAre) {
    EXPECT_THAT(
        problems_of("pace: scald"),
        HasSubstr("f.yaml:5:46: pace is 'scald'; expected fast, scaled (did you mean 'scaled'?)"));
    EXPECT_THAT(problems_of("scale: 11"), HasSubstr("expected a number, 0.1 to 10"));
    EXPECT_THAT(problems_of("clock: 1"),
                HasSubstr("expected a frequency such as 1GHz, 1Hz or more"));
    EXPECT_THAT(problems_of("layers: [{latency: 2s}]"),
                HasSubstr("latency is '2s'; expected a time such as 10us, 0ps to 1s"));
    EXPECT_THAT(problems_of("layers: []"),
                HasSubstr("layers has 0 items; expected a list of 1 to 2"));
    EXPECT_THAT(problems_of("layers: [7]"), HasSubstr("'7' where a mapping of 'layers' should be"));
    EXPECT_THAT(problems_of("layers: [{latncy: 1s}]"),
                HasSubstr("unknown key 'latncy' of a mapping of 'layers'; expected 'latency'?"));
    EXPECT_THAT(problems_of("label: 123456789"), HasSubstr("expected 1 to 8 printable"));
    EXPECT_THAT(problems_of("command: [a, b]"), HasSubstr("one of them with {socket}"));
    EXPECT_THAT(problems_of("command: []"), HasSubstr("command is empty"));
    EXPECT_THAT(problems_of("command: [a, b, c, \"{socket}\"]"), HasSubstr("at most 3 texts"));
    EXPECT_THAT(problems_of("pace: [fast]"), HasSubstr("a list as 'pace'"));
    EXPECT_THAT(problems_of("pace: "), HasSubstr("'pace' has no value"));
}

TEST(Settings, TheModelHasTheLastWord) {
    EXPECT_THAT(problems_of("socket: s, command: [a, \"{socket}\"]"),
                HasSubstr("f.yaml:5:60: both; expected one"));
}

TEST(Settings, AreOfTheirModelOnly) {
    const auto model = read_thing("name: a, model: other, engine: {pace: fast}");
    ASSERT_FALSE(model);
    EXPECT_THAT(model.error().str(), HasSubstr("'engine' of a other, which has none"));
}

TEST(Settings, PathsBeginInAFolder) {
    SettingValue engine = engine_of("socket: run/s");
    place_paths(engine, "/etc/mimic");
    EXPECT_EQ(engine.text_of("socket"), "/etc/mimic/run/s");
    EXPECT_EQ(named_program(engine), "");
    for (const auto& [word, program] :
         {std::pair("./x", "/etc/mimic/./x"), std::pair("x", "x"), std::pair("/x", "/x")}) {
        engine = engine_of(std::string("command: [") + word + ", \"{socket}\"]");
        place_paths(engine, "/etc/mimic");
        EXPECT_THAT(engine.find("command")->words, ElementsAre(program, "{socket}"));
        EXPECT_EQ(named_program(engine), program);
    }
}

}  // namespace
}  // namespace mimic::topology
