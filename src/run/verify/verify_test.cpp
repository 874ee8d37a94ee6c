// SPDX-License-Identifier: Apache-2.0
// A probe's output that was recorded in a guest of examples/sriov-static.yaml with two of four VFs
// enabled, as it is and with one thing changed, compared with the plan of that file.
#include "verify/verify.h"
#include "devices/all_models.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "guest_image/initramfs.h"
#include "outputs/outputs.h"
#include "topology/topology.h"
#include "verify/verify_checks.h"

namespace mimic::verify {
namespace {

using testing::HasSubstr;

const std::string kSource = MIMIC_SOURCE_DIR;

std::string recorded() {
    auto text = guest_image::read_host_file(kSource + "/src/run/verify/testdata/probe-sriov.txt",
                                            1u << 20);
    EXPECT_TRUE(text) << text.error().message();
    return text.value_or("");
}

const topology::Machine& machine() {
    static const topology::Model* const model = [] {
        auto loaded = topology::load(kSource + "/examples/sriov-static.yaml",
                                     devices::all_models());
        EXPECT_TRUE(loaded) << loaded.error().message();
        return new topology::Model(loaded.value_or(topology::Model{}));
    }();
    return model->machines.at(0);
}

/// `text` with the first `from` behind `after` replaced.
std::string changed(std::string text, const std::string& after, const std::string& from,
                    const std::string& to) {
    const size_t start = text.find(after);
    EXPECT_NE(start, std::string::npos) << after;
    const size_t at = text.find(from, start);
    EXPECT_NE(at, std::string::npos) << from;
    return text.replace(at, from.size(), to);
}

Result<Verdict> verdict_of(const std::string& text) {
    const auto probe = parse_probe(text);
    if (!probe) return tl::unexpected<Error>(probe.error());
    return compare_with_plan(machine(), *probe);
}

/// "what: expected -> got" of every difference.
std::vector<std::string> differences(const Verdict& verdict) {
    std::vector<std::string> out;
    const auto add = [&out](const std::vector<Difference>& list) {
        for (const Difference& one : list) {
            out.push_back(fmt::format("{}: {} -> {}", one.what, one.expected, one.got));
        }
    };
    for (const FunctionVerdict& function : verdict.functions) add(function.differences);
    add(verdict.differences);
    return out;
}

TEST(VerifyTest, RecordedGuestAgrees) {
    const auto verdict = verdict_of(recorded());
    ASSERT_TRUE(verdict) << verdict.error().message();
    EXPECT_THAT(differences(*verdict), testing::IsEmpty());
    EXPECT_TRUE(verdict->agrees());
    ASSERT_EQ(verdict->functions.size(), 5u);
    EXPECT_TRUE(verdict->functions[0].visible);
    EXPECT_TRUE(verdict->functions[2].visible);
    EXPECT_FALSE(verdict->functions[3].visible);
    EXPECT_GT(verdict->functions[3].checks, 20u);
}

struct Mismatch {
    const char* after;
    const char* from;
    const char* to;
    const char* difference;
};

void PrintTo(const Mismatch& mismatch, std::ostream* out) {
    *out << mismatch.difference;
}

class VerifyMismatch : public testing::TestWithParam<Mismatch> {};

TEST_P(VerifyMismatch, IsFoundAndNamed) {
    const Mismatch& one = GetParam();
    const auto verdict = verdict_of(changed(recorded(), one.after, one.from, one.to));
    ASSERT_TRUE(verdict) << verdict.error().message();
    EXPECT_FALSE(verdict->agrees());
    EXPECT_THAT(differences(*verdict), testing::Contains(HasSubstr(one.difference)));
    EXPECT_THAT(verdict_table(*verdict), testing::ContainsRegex(" differs?\n"));
}

constexpr const char* kPf = "@pci 0000:11:00.0";
constexpr const char* kPfRegs = "@regs 0000:11:00.0";

// The column is what the guest has: a row that differs does not show the plan's.
TEST(VerifyTable, ShowsTheLinkOfTheGuest) {
    const auto same = verdict_of(recorded());
    ASSERT_TRUE(same) << same.error().message();
    EXPECT_THAT(verdict_table(*same), HasSubstr("16 GT/s x16"));
    std::string report = changed(recorded(), kPf, "current_link_width=16", "current_link_width=63");
    report = changed(report, kPf, "current_link_speed=16.0 GT/s PCIe",
                     "current_link_speed=Unknown");
    const auto verdict = verdict_of(report);
    ASSERT_TRUE(verdict) << verdict.error().message();
    EXPECT_THAT(verdict_table(*verdict), HasSubstr("Unknown x63"));
}

INSTANTIATE_TEST_SUITE_P(
    Pci, VerifyMismatch,
    testing::Values(
        Mismatch{kPf, "vendor=0x1de5", "vendor=0x1de6", "PCI vendor: 0x1de5 -> 0x1de6"},
        Mismatch{kPf, "device=0x0001", "device=0x0002", "PCI device: 0x0001 -> 0x0002"},
        Mismatch{kPf, "class=0x", "class=0x1", "PCI class: "},
        Mismatch{kPf, "numa_node=0", "numa_node=-1", "PCI numa_node: 0 -> -1"},
        Mismatch{kPf, "parent=0000:10:00.0", "parent=pci0000:10",
                 "PCI parent: 0000:10:00.0 -> pci0000:10"},
        Mismatch{kPf, "driver=mock-accel\n", "", "PCI driver: mock-accel -> nothing"},
        Mismatch{kPf, "current_link_speed=16.0", "current_link_speed=2.5",
                 "PCI current_link_speed: 16 -> 2.5"},
        Mismatch{kPf, "current_link_width=16", "current_link_width=1",
                 "PCI current_link_width: 16 -> 1"},
        Mismatch{kPf, "max_link_speed=16.0 GT/s PCIe", "max_link_speed=Unknown",
                 "PCI max_link_speed: 16 -> Unknown"},
        Mismatch{kPf, "fff 0x0000000000040200", "fff 0x0000000000140200",
                 "PCI BAR0: memory32 0x1000 -> memory64 0x1000"},
        Mismatch{kPf, "fff 0x0000000000040200", "fff", "PCI BAR0: memory32 0x1000 -> 0x"},
        Mismatch{kPf, "resource1=0x0000000000000000 0x0000000000000000 0x0000000000000000",
                 "resource1=0x1000 0x1fff 0x200", "PCI BAR1: none -> memory32 0x1000"},
        Mismatch{kPf, "0000:11:00.0\n", "0000:12:00.0\n", "PCI function: present -> nothing"},
        Mismatch{kPf, "0000:11:00.0\n", "0000:12:00.0\n",
                 "PCI function 0000:12:00.0: nothing -> a device"}));

INSTANTIATE_TEST_SUITE_P(
    Registers, VerifyMismatch,
    testing::Values(
        Mismatch{kPfRegs, "DEVICE_ID=0x4d4f434b", "DEVICE_ID=0xffffffff",
                 "resource0 DEVICE_ID: 0x4d4f434b -> 0xffffffff"},
        Mismatch{kPfRegs, "REVISION=0x00010000", "REVISION=0x0", "resource0 REVISION"},
        Mismatch{kPfRegs, "UUID[3]=", "UUID[4]=",
                 "resource0 UUID: 5f9c2a3e0b1d4c6f8a7e112233445566 -> nothing"},
        Mismatch{kPfRegs, "UUID[0]=0x", "UUID[0]=0xf", "resource0 UUID"},
        Mismatch{kPfRegs, "MEMORY_SIZE=0x0", "MEMORY_SIZE=0x1", "resource0 MEMORY_SIZE"},
        Mismatch{kPfRegs, "CAPABILITIES=0x00000003", "CAPABILITIES=0x00000001",
                 "resource0 CAPABILITIES: 0x00000003 -> 0x00000001"},
        Mismatch{kPfRegs, "STATUS=0x00000000", "STATUS=?", "resource0 STATUS: a number -> ?"},
        Mismatch{kPfRegs, "STATUS=0x00000000", "STATUS=0x00000001",
                 "sysfs status: 0x00000001 -> 0x00000000"},
        Mismatch{kPfRegs, "FW_VERSION=0x", "FW_VERSION=0x9", "resource0 FW_VERSION"},
        Mismatch{kPfRegs, "TOTAL_VFS=0x00000004", "TOTAL_VFS=0x00000003", "resource0 TOTAL_VFS"},
        Mismatch{kPfRegs, "VF_INDEX=0xffffffff", "VF_INDEX=0x00000000", "resource0 VF_INDEX"},
        Mismatch{kPfRegs, "NUM_VFS=0x00000002", "NUM_VFS=0x00000001", "sysfs sriov_numvfs: 1 -> 2"},
        Mismatch{kPfRegs, "NUM_VFS=0x00000002", "NUM_VFS=0x00000005",
                 "resource0 NUM_VFS: 0 to 4 -> 0x00000005"},
        Mismatch{kPfRegs, "LABEL[15]=0x0", "LABEL[15]=0x1", "resource0 LABEL"},
        Mismatch{"@regs 0000:11:00.4", "VF_INDEX=0x00000003", "VF_INDEX=0x00000002",
                 "resource0 VF_INDEX"}));

INSTANTIATE_TEST_SUITE_P(
    Driver, VerifyMismatch,
    testing::Values(
        Mismatch{"@class mock0\n", "uuid=5f9c", "uuid=5f9d",
                 "sysfs uuid: 5f9c2a3e-0b1d-4c6f-8a7e-112233445566 -> 5f9d"},
        Mismatch{"@class mock0\n", "memory_size=1", "memory_size=2", "sysfs memory_size"},
        Mismatch{"@class mock0\n", "numa_node=0", "numa_node=1", "sysfs numa_node: 0 -> 1"},
        Mismatch{"@class mock0\n", "capabilities=0x00000003", "capabilities=3",
                 "sysfs capabilities: 0x00000003 -> 3"},
        Mismatch{"@class mock0\n", "status=0x00000000", "status=0x00000001", "sysfs status"},
        Mismatch{"@class mock0\n", "sriov_totalvfs=4", "sriov_totalvfs=5",
                 "sysfs sriov_totalvfs: 4 -> 5"},
        Mismatch{"@class mock0\n", "sriov_totalvfs=4\n", "", "sysfs has sriov_totalvfs: yes -> no"},
        Mismatch{"@class mock0\n", "device=0000:11:00.0", "device=0000:11:00.1", "sysfs device"},
        Mismatch{"@class mock0_vf0", "physfn=mock0", "physfn=mock1",
                 "sysfs physfn: mock0 -> mock1"},
        Mismatch{"@class mock0_vf0", "uuid=MOCK-VF-0", "uuid=MOCK-VF-1",
                 "sysfs uuid: MOCK-VF-0 -> MOCK-VF-1"},
        Mismatch{"", "@class mock0_vf1", "@class mock0_vf2",
                 "/sys/class/mock-accel/mock0_vf1: present -> nothing"},
        Mismatch{"", "@class mock0_vf1", "@class mock0_vf2",
                 "/sys/class/mock-accel/mock0_vf2: nothing -> a class device"},
        Mismatch{"@class mock0\n", "sriov_numvfs=2", "sriov_numvfs=1",
                 "/sys/class/mock-accel/mock0_vf1: nothing -> a class device"},
        Mismatch{"@info mock0\n", "revision=0x00010000", "revision=0x00020000", "ioctl revision"},
        Mismatch{"@info mock0\n", "uuid=5f9c", "uuid=0000", "ioctl uuid"},
        Mismatch{"@info mock0\n", "total_vfs=4", "total_vfs=0", "ioctl total_vfs: 4 -> 0"},
        Mismatch{"@info mock0\n", "has_irq=1", "has_irq=0", "ioctl has_irq: 1 -> 0"},
        Mismatch{"@info mock0\n", "has_label=0", "has_label=1", "ioctl has_label: 0 -> 1"},
        Mismatch{"@info mock0_vf0", "vf=1", "vf=0", "ioctl vf: 1 -> 0"},
        Mismatch{"@info mock0_vf0", "label=MOCK-VF-0", "label=", "ioctl label: MOCK-VF-0 -> ''"},
        Mismatch{"@node node0", "cpulist=0-1", "cpulist=0", "NUMA node0 cpulist: 0-1 -> 0"},
        Mismatch{"", "@node node0", "@node node1", "NUMA node0: a node -> nothing"}));

TEST(VerifyTest, ToolThatFailsIsQuoted) {
    std::string text = recorded();
    const size_t from = text.find("DEVICE_ID", text.find(kPfRegs));
    text.replace(from, text.find('@', from) - from, "mock-accel-ctl: not found\n");
    const auto verdict = verdict_of(text);
    ASSERT_TRUE(verdict) << verdict.error().message();
    EXPECT_THAT(differences(*verdict),
                testing::Contains("resource0: readable -> mock-accel-ctl: not found"));
}

TEST(VerifyTest, EmptyGuestLacksEverything) {
    const auto verdict = verdict_of("mimic-probe=1\nkernel=6.1\n@end\n");
    ASSERT_TRUE(verdict);
    EXPECT_FALSE(verdict->agrees());
    EXPECT_EQ(verdict->functions.size(), 5u);
}

TEST(VerifyTest, JsonHasVerdictAndDifferences) {
    const auto verdict = verdict_of(changed(recorded(), kPf, "vendor=0x1de5", "vendor=0x1de6"));
    ASSERT_TRUE(verdict);
    const auto json = nlohmann::json::parse(verdict_json(*verdict), nullptr, false);
    ASSERT_TRUE(json.is_object());
    EXPECT_EQ(json["format"], "mimic-verify");
    EXPECT_EQ(json["agrees"], false);
    EXPECT_EQ(json["differing"], 1);
    EXPECT_EQ(json["functions"][0]["differences"][0]["what"], "PCI vendor");
    EXPECT_EQ(json["functions"][0]["differences"][0]["got"], "0x1de6");
}

TEST(ParseProbeTest, RefusesBrokenReports) {
    const std::string head = "mimic-probe=1\n";
    for (const std::string& text : {
             std::string(),
             std::string("hello\n@end\n"),
             head,
             head + "@pci 0000:11:00.0\n",
             head + "@pci a\n@pci a\n@end\n",
             head + "@pci a\nx=1\nx=2\n@end\n",
             head + "@pci\n@end\n",
             head + "@what a\n@end\n",
             head + "@end\nmore\n",
             std::string(17u << 20, 'x'),
         }) {
        EXPECT_FALSE(parse_probe(text)) << text.substr(0, 60);
    }
    std::string many = head;
    for (int i = 0; i < 20000; ++i) many += fmt::format("@pci {}\n", i);
    EXPECT_FALSE(parse_probe(many + "@end\n"));
    std::string wide = head + "@pci a\n";
    for (int i = 0; i < 1000; ++i) wide += fmt::format("k{}=1\n", i);
    EXPECT_FALSE(parse_probe(wide + "@end\n"));
}

TEST(ParseProbeTest, KeepsPrintableTextOnly) {
    const auto probe = parse_probe(
        "mimic-probe=1\nkernel=\x1b[2J6.1\n@class m\nuuid=a\x1b]b\xff\n@end\n");
    ASSERT_TRUE(probe);
    EXPECT_EQ(probe->kernel, "?[2J6.1");
    EXPECT_EQ(*probe->class_devices.at("m").find("uuid"), "a?]b?");
}

TEST(ParseNumberTest, WholeTextOnly) {
    EXPECT_EQ(parse_number("0x1f"), 31u);
    EXPECT_EQ(parse_number("12"), 12u);
    EXPECT_EQ(parse_number("-1"), UINT64_MAX);
    for (const char* text : {"", "0x", "-2", "1 ", " 1", "1x", "0x10000000000000000"}) {
        EXPECT_FALSE(parse_number(text)) << text;
    }
}

}  // namespace
}  // namespace mimic::verify
