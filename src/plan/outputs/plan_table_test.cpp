// SPDX-License-Identifier: Apache-2.0
// plan_table() on terminals of all widths; what it prints without one is in testdata/golden.
#include "outputs/plan_table.h"

#include <sstream>

#include <gmock/gmock.h>

#include "devices/all_models.h"
#include "topology/test_files.h"
#include "topology/topology.h"

namespace mimic::outputs {
namespace {

using testing::HasSubstr;
using testing::Not;

topology::Model model_of(const std::string& machine) {
    auto model = topology::parse("version: 1\n" + machine, "t.yaml", devices::all_models());
    EXPECT_TRUE(model) << model.error().str();
    return model ? *model : topology::Model{};
}

constexpr const char* kOneMachine =
    "machine:\n"
    "  name: lab\n"
    "  numa: [{cpus: 2, memory: 1G}]\n"
    "  devices:\n"
    "    - {name: gpu0, model: mock-accel, numa_node: 0, memory_bar: 64M, vfs: {count: 1}}\n";

TEST(PlanTable, HasAMachineAndAllItsFunctions) {
    EXPECT_EQ(plan_table(model_of(kOneMachine)),
              "MACHINE  ARCH    CPUS  MEMORY  NODES  ACCEL  BOOTS\n"
              "lab      x86_64     2      1G      1  auto   kernel 6.1\n"
              "\n"
              "MACHINE  BDF           NAME      MODEL       IDS        NODE  LINK      SLOT  VFS   "
              "    BARS\n"
              "lab      0000:11:00.0  gpu0      mock-accel  1de5:0001  0     gen4 x16  1     1 "
              "static  0:4K 2:64M\n"
              "lab      0000:11:00.1  gpu0-vf0  mock-accel  1de5:0002  0     gen4 x16  1     -     "
              "    0:4K\n");
}

TEST(PlanTable, ANarrowTerminalGetsLessColumnsAndNothingIsCut) {
    const auto model = model_of(kOneMachine);
    const std::string whole = plan_table(model);
    EXPECT_EQ(plan_table(model, 500), whole);
    const std::string narrow = plan_table(model, 72);
    for (const char* kept : {"0000:11:00.0", "gpu0-vf0", "1 static", "2:64M"})
        EXPECT_THAT(narrow, HasSubstr(kept));
    EXPECT_THAT(narrow, Not(HasSubstr("gen4")));
    EXPECT_THAT(narrow, HasSubstr("(a wider terminal shows SLOT, LINK"));
    // Addresses and names stand on any.
    EXPECT_THAT(plan_table(model, 1), HasSubstr("0000:11:00.1  gpu0-vf0\n"));
}

TEST(PlanTable, FoldsManyVfs) {
    const auto model = model_of(
        "machine: {name: m, devices: [{name: gpu0, model: mock-accel, sriov: native, vfs: {count: "
        "64}}]}\n");
    const std::string table = plan_table(model);
    EXPECT_THAT(table, HasSubstr("10000:01:00.1..01:08.0"));
    EXPECT_THAT(table, HasSubstr("gpu0-vf0..63"));
    EXPECT_THAT(table, HasSubstr("64 native"));
    EXPECT_THAT(table, HasSubstr("fabric"));
    EXPECT_THAT(table, Not(HasSubstr("gpu0-vf1 ")));
}

TEST(PlanTable, SaysWhatIsNotThere) {
    EXPECT_THAT(plan_table(model_of("machine: {name: bare}\n")), HasSubstr("no devices\n"));
    EXPECT_THAT(plan_table(model_of("machine: {name: m, devices: [{name: own, model: external, "
                                    "socket: ./s}]}\n")),
                HasSubstr("?:?"));
}

TEST(PlanTable, FitsEveryFileIntoEveryWidth) {
    for (const auto& file : topology::good_files()) {
        const auto model = topology::load(file.string(), devices::all_models());
        ASSERT_TRUE(model) << model.error().message();
        for (const size_t columns : {72U, 80U, 120U, 200U}) {
            const std::string all = plan_table(*model, columns);
            // That of the machines is as wide as their names and images.
            std::istringstream table(all.substr(all.find("\n\n") + 2));
            for (std::string line; std::getline(table, line);)
                EXPECT_LE(line.size(), columns) << file << "\n" << all;
        }
    }
}

}  // namespace
}  // namespace mimic::outputs
