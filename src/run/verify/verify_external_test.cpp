// SPDX-License-Identifier: Apache-2.0
// verify of devices whose server is not ours: what the file states is checked, and nothing else;
// and what the guest's probe is told of a machine.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "devices/all_models.h"
#include "topology/topology.h"
#include "verify/probe_settings.h"
#include "verify/verify.h"

namespace mimic::verify {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

constexpr const char* kStated = R"(, vendor_id: 0x1234, device_id: 0x5678, class: 0x120000,
        driver: mine, bars: [{ index: 0, type: memory32, size: 4K }],
        registers: [{ name: ID, offset: 0x10, value: 0x41 },
                    { name: W, offset: 8, bits: 64, value: 1 }])";

topology::Model external_model(const std::string& more) {
    auto model = topology::parse(
        "version: 1\nmachine:\n  name: m\n  devices:\n"
        "    - { name: d, model: external, socket: /s" +
            more + " }\n",
        "test.yaml", devices::all_models());
    EXPECT_TRUE(model) << model.error().str();
    return model.value_or(topology::Model{});
}

/// A guest that shows what kStated says.
std::string external_report(const topology::Model& model) {
    const topology::Machine& machine = model.machines.at(0);
    const topology::DeviceSpec& device = machine.devices.at(0);
    const std::string bdf = device.functions.at(0).bdf.str();
    return fmt::format(
        "mimic-probe=1\nkernel=6.1.0\n@pci {0}\nvendor=0x1234\ndevice=0x5678\nclass=0x120000\n"
        "numa_node=-1\nparent={1}\ndriver=mine\nresource0=0x80000000 0x80000fff 0x40200\n"
        "@regs {0}\nID=0x00000041\nW=0x0000000000000001\n@end\n",
        bdf, machine.port_above(device).str());
}

std::vector<std::string> external_differences(const topology::Model& model,
                                              const std::string& report) {
    const auto probe = parse_probe(report);
    EXPECT_TRUE(probe) << probe.error().message();
    const Verdict verdict = compare_with_plan(model.machines.at(0), probe.value_or(Probe{}));
    std::vector<std::string> out;
    for (const Difference& one : verdict.functions.at(0).differences)
        out.push_back(fmt::format("{}: {} -> {}", one.what, one.expected, one.got));
    return out;
}

std::string with_change(std::string text, const std::string& from, const std::string& to) {
    const size_t at = text.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    return text.replace(at, from.size(), to);
}

TEST(VerifyExternal, WhatIsStatedIsChecked) {
    const topology::Model model = external_model(kStated);
    const std::string report = external_report(model);
    EXPECT_THAT(external_differences(model, report), IsEmpty());
    const std::vector<std::pair<std::string, std::string>> changes = {
        {"vendor=0x1234", "vendor=0x1235"},
        {"device=0x5678", "device=0x5679"},
        {"class=0x120000", "class=0x030000"},
        {"driver=mine", "driver=other"},
        {"0x80000fff", "0x80001fff"},
        {"ID=0x00000041", "ID=0x00000042"},
        {"W=0x0000000000000001", "W=0xffffffffffffffff"},
        {"numa_node=-1", "numa_node=0"}};
    for (const auto& [from, to] : changes)
        EXPECT_EQ(external_differences(model, with_change(report, from, to)).size(), 1u) << to;
}

TEST(VerifyExternal, WhatIsNotStatedIsNot) {
    const topology::Model model = external_model("");
    const std::string report = with_change(external_report(model), "driver=mine\n", "");
    EXPECT_THAT(external_differences(model, with_change(report, "vendor=0x1234", "vendor=0x9999")),
                IsEmpty());
}

TEST(VerifyExternal, OneThatIsNotThereIsMissed) {
    EXPECT_THAT(external_differences(external_model(kStated), "mimic-probe=1\nkernel=6.1\n@end\n"),
                ElementsAre("PCI function: present -> nothing"));
}

TEST(ProbeSettings, NameFunctionsAndTheRegistersThatAreStated) {
    const topology::Model model = external_model(kStated);
    const std::string bdf = model.machines.at(0).devices.at(0).functions.at(0).bdf.str();
    const std::string text = probe_settings(model.machines.at(0));
    EXPECT_THAT(text, HasSubstr("mimic_bdfs=' " + bdf + "'\n"));
    EXPECT_THAT(text, HasSubstr("mimic_peeks='" + bdf + " 0 ID:0x10:4 W:0x8:8\n'"));
    EXPECT_THAT(text, HasSubstr("mimic_drivers=''\n"));
}

TEST(ProbeSettings, NameDriversOfTheModels) {
    const auto model = topology::parse(
        "version: 1\nmachine:\n  name: m\n  devices: [{ name: a, model: mock-accel }]\n",
        "test.yaml", devices::all_models());
    ASSERT_TRUE(model) << model.error().str();
    const std::string text = probe_settings(model->machines.at(0));
    EXPECT_THAT(text, HasSubstr("mimic_drivers='mock-accel mock mock-accel-ctl'\n"));
    EXPECT_THAT(text, HasSubstr("mimic_vendors='0x1de5'\n"));
    EXPECT_THAT(text, Not(HasSubstr("ID:"))) << "its tool prints the registers";
}

// QEMU's own virtio devices have the same vendor and are no strays.
TEST(ProbeSettings, DoNotLookForStraysOfVirtio) {
    unsigned found = 0;
    for (const model::DeviceModel* one : devices::all_models()) {
        if (!one->facts.is_virtio()) continue;
        ++found;
        const auto model = topology::parse(
            fmt::format("version: 1\nmachine:\n  name: m\n  devices: [{{ name: a, model: {} }}]\n",
                        one->facts.name),
            "test.yaml", devices::all_models());
        ASSERT_TRUE(model) << model.error().str();
        EXPECT_THAT(probe_settings(model->machines.at(0)), HasSubstr("mimic_vendors=''\n"));
    }
    EXPECT_GT(found, 0u);
}

}  // namespace
}  // namespace mimic::verify
