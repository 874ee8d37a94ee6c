// SPDX-License-Identifier: Apache-2.0
// Every shape against a file in testdata/, and answers that make no machine.
#include "starter/starter.h"

#include <gmock/gmock.h>

#include "devices/all_models.h"
#include "outputs/outputs.h"
#include "topology/test_files.h"

namespace mimic::starter {
namespace {

using testing::HasSubstr;
using testing::Not;

constexpr uint64_t kGiB = 1ull << 30;

const std::filesystem::path kGolden = topology::kRoot / "src/plan/starter/testdata";

TEST(Starter, ShapesAreTheFilesThatTheyWere) {
    for (const Shape& shape : shapes()) {
        const auto made = make_starter(shape.answers, devices::all_models());
        ASSERT_TRUE(made) << shape.name << ": " << made.error().message();
        topology::expect_golden(kGolden / (std::string(shape.name) + ".yaml"), made->text);
        EXPECT_EQ(make_starter(shape.answers, devices::all_models())->text, made->text);
    }
}

TEST(Starter, ShapesPlanInEveryFormat) {
    for (const Shape& shape : shapes()) {
        const auto made = make_starter(shape.answers, devices::all_models());
        ASSERT_TRUE(made);
        for (const auto format : {outputs::Format::kTable, outputs::Format::kTree,
                                  outputs::Format::kQemu, outputs::Format::kSvg})
            EXPECT_TRUE(outputs::render(made->model, format, "/run/mimic")) << shape.name;
        for (const auto& machine : made->model.machines)
            EXPECT_TRUE(outputs::libvirt_xml(machine, outputs::default_context(machine, "/run")));
    }
}

TEST(Starter, NumbersGoWhereTheyBelong) {
    Answers answers;
    answers.numa_nodes = 2;
    answers.devices_per_node = 2;
    answers.memory = 4 * kGiB;
    answers.cpus = 5;
    answers.vfs = 4;
    const auto made = make_starter(answers, devices::all_models());
    ASSERT_TRUE(made) << made.error().message();
    const topology::Machine& machine = made->model.machines.at(0);
    EXPECT_EQ(machine.memory, 4 * kGiB);
    EXPECT_EQ(machine.nodes.at(0).cpus, 3U);
    EXPECT_EQ(machine.nodes.at(1).cpus, 2U);
    ASSERT_EQ(machine.devices.size(), 4U);
    EXPECT_EQ(machine.devices[3].name, "gpu3");
    EXPECT_EQ(machine.devices[3].numa_node, 1U);
    EXPECT_EQ(machine.devices[3].functions.size(), 5U);
    EXPECT_FALSE(machine.devices[3].native_sriov);
}

TEST(Starter, EveryMixOfCountsIsAMachine) {
    for (unsigned nodes = 0; nodes <= 4; ++nodes) {
        for (unsigned devices = 0; devices <= 4; ++devices) {
            for (unsigned switches = 0; switches <= std::max(1U, devices); ++switches) {
                for (const unsigned vfs : {0U, 7U, 64U}) {
                    Answers answers;
                    answers.numa_nodes = nodes;
                    answers.devices_per_node = devices;
                    answers.switches_per_node = switches;
                    answers.vfs = vfs;
                    const auto made = make_starter(answers, devices::all_models());
                    ASSERT_TRUE(made) << made.error().message();
                    EXPECT_EQ(made->model.machines.at(0).devices.size(), answers.nodes() * devices);
                    EXPECT_EQ(made->model.machines.at(0).switches.size(),
                              answers.nodes() * switches);
                }
            }
        }
    }
}

TEST(Starter, OtherModelsBringTheirOwnKeys) {
    Answers answers;
    answers.model = "vgpu-stub";
    answers.vfs = 2;
    const auto made = make_starter(answers, devices::all_models());
    ASSERT_TRUE(made) << made.error().message();
    EXPECT_THAT(made->text, HasSubstr("sriov: native"));
    EXPECT_THAT(made->text, Not(HasSubstr("memory: 16G")));
}

std::string problem_of(const Answers& answers) {
    const auto made = make_starter(answers, devices::all_models());
    return made ? "" : made.error().message();
}

TEST(Starter, SaysWhichAnswerIsWrong) {
    EXPECT_THAT(problem_of({.name = "No Name"}), HasSubstr("--name"));
    EXPECT_THAT(problem_of({.name = std::string(61, 'a')}), HasSubstr("at most 60"));
    EXPECT_THAT(problem_of({.model = "moc-accel"}), HasSubstr("did you mean mock-accel?"));
    EXPECT_THAT(problem_of({.model = "external"}), HasSubstr("expected one of"));
    EXPECT_THAT(problem_of({.numa_nodes = 4, .cpus = 3}), HasSubstr("--cpus 3"));
    EXPECT_THAT(problem_of({.numa_nodes = 4, .memory = kGiB / 8}), HasSubstr("--memory 128M"));
    EXPECT_THAT(problem_of({.memory = kGiB + 1}), HasSubstr("a multiple of 1M"));
    EXPECT_THAT(problem_of({.vfs = 8, .native = false}), HasSubstr("at most 7 static VFs"));
    EXPECT_THAT(problem_of({.vfs = 65}), HasSubstr("at most 64 native VFs"));
    EXPECT_THAT(problem_of({.switches_per_node = 1, .vfs = 1, .native = false}),
                HasSubstr("--sriov static"));
    EXPECT_THAT(problem_of({.devices_per_node = 1, .switches_per_node = 2}),
                HasSubstr("--switches-per-node"));
    // What the language refuses, it says itself.
    EXPECT_THAT(problem_of({.numa_nodes = 15, .devices_per_node = 32}),
                HasSubstr("these make no machine: "));
}

}  // namespace
}  // namespace mimic::starter
