// SPDX-License-Identifier: Apache-2.0
// verify of clones: what a platform is documented not to give is not expected, and all else is.
#include "verify/verify_clone.h"
#include "devices/all_models.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "topology/topology.h"

namespace mimic::verify {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

/// A machine with a clone of this class, which has 4 KiB of memory and 32 bytes of I/O.
topology::Model plan_of(const std::string& attach, const std::string& class_bytes) {
    const std::string zeros = " 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00\n";
    auto model = topology::parse(
        "version: 1\nmachine:\n  name: m\n  devices:\n"
        "    - name: d\n      model: clone\n      attach: " +
            attach +
            "\n      bars:\n"
            "        - { index: 1, type: io, size: 32 }\n"
            "        - { index: 5, type: memory32, size: 4K }\n"
            "      config: |\n"
            "        00: 34 12 78 56 00 00 00 00 00 " +
            class_bytes + " 00 00 00 00\n        30:" + zeros,
        "test.yaml", devices::all_models());
    EXPECT_TRUE(model) << model.error().str();
    return model.value_or(topology::Model{});
}

const std::string kNothing = "0x0000000000000000 0x0000000000000000 0x0000000000000000";
const std::string kIo = "0x000000000000e000 0x000000000000e01f 0x0000000000040101";
const std::string kMemory = "0x0000000080000000 0x0000000080000fff 0x0000000000040200";

/// "what: expected -> got" of the clone, in a guest with these lines of "resource".
std::vector<std::string> differences(const topology::Model& plan, const std::string& io,
                                     const std::string& memory, const std::string& rom = kNothing) {
    const topology::Machine& machine = plan.machines.at(0);
    const topology::DeviceSpec& device = machine.devices.at(0);
    const PlannedDevice planned{machine, device, machine.port_above(device).str(), ""};
    const topology::FunctionSpec& function = device.functions.at(0);
    std::string report = fmt::format(
        "mimic-probe=1\nkernel=6.1.0\n@other {}\nvendor=0x1234\ndevice=0x5678\nclass=0x{:06x}\n"
        "numa_node=-1\nparent={}\nresource1={}\nresource5={}\nresource6={}\n@end\n",
        function.bdf.str(), function.class_code, planned.parent, io, memory, rom);
    const auto probe = parse_probe(report);
    EXPECT_TRUE(probe) << probe.error().message();
    std::vector<Difference> found;
    size_t checks = 0;
    Checker check(found, checks);
    if (probe) check_clone(planned, function, *probe, check);
    std::vector<std::string> out;
    for (const Difference& one : found) {
        out.push_back(fmt::format("{}: {} -> {}", one.what, one.expected, one.got));
    }
    return out;
}

TEST(VerifyClone, NoIoIsExpectedOnAFabric) {
    const topology::Model plan = plan_of("fabric", "00 00 01");
    EXPECT_THAT(differences(plan, kNothing, kMemory), IsEmpty());
    EXPECT_THAT(differences(plan, kIo, kMemory), IsEmpty());  // Linux 6.15 keeps the size
    EXPECT_THAT(differences(plan, kNothing, kNothing), ElementsAre("PCI BAR5 size: 0x1000 -> 0x0"));
}

TEST(VerifyClone, IoIsExpectedBelowARootPort) {
    const topology::Model plan = plan_of("root-port", "00 00 01");
    EXPECT_THAT(differences(plan, kIo, kMemory), IsEmpty());
    EXPECT_THAT(differences(plan, kNothing, kMemory), ElementsAre("PCI BAR1 size: 0x20 -> 0x0"));
}

TEST(VerifyClone, LegacyPortsAreNotTheRegistersOfAnIdeController) {
    const std::string legacy = "0x00000000000003f6 0x00000000000003f6 0x0000000000000110";
    EXPECT_THAT(differences(plan_of("root-port", "80 01 01"), legacy, kMemory), IsEmpty());
    EXPECT_THAT(differences(plan_of("root-port", "85 01 01"), legacy, kMemory),
                ElementsAre("PCI BAR1 size: 0x20 -> 0x0"));
}

TEST(VerifyClone, ShadowOfTheVgaRomIsNotTheRegister) {
    const std::string shadow = "0x00000000000c0000 0x00000000000dffff 0x0000000000000212";
    EXPECT_THAT(differences(plan_of("root-port", "00 00 03"), kIo, kMemory, shadow), IsEmpty());
    EXPECT_THAT(differences(plan_of("root-port", "00 00 02"), kIo, kMemory, shadow),
                ElementsAre("PCI ROM size: 0x0 -> 0x20000"));
}

}  // namespace
}  // namespace mimic::verify
