// SPDX-License-Identifier: Apache-2.0
// What a probe would print of a machine that is a kernel bus, made from the plan, with one thing
// changed.
#include "machine/kernel_verify.h"
#include "devices/all_models.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include <nlohmann/json.hpp>

#include "outputs/outputs.h"
#include "topology/topology.h"
#include "verify/verify_checks.h"

namespace mimic::machine {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using Json = nlohmann::ordered_json;

constexpr unsigned kVfs = 3;

constexpr const char* kFile = R"(version: 1
machine:
  name: m
  numa: [{ memory: 128M }, { memory: 128M }]
  devices:
    - name: g
      model: mock-accel
      numa_node: 1
      class: 0x120000
      uuid: LABEL
      memory_bar: 1M
      vfs: { count: 4 }
)";

std::string class_name(const Json& function) {
    const std::string planned = function.at("sysfs").at("name").get<std::string>();
    return "mock7" + planned.substr(std::min(planned.find('_'), planned.size()));
}

std::string pci_record(const Json& device, const Json& function) {
    const bool is_vf = function.at("kind") == "vf";
    std::string out = fmt::format(
        "@pci {}\nvendor={}\ndevice={}\nclass={}\nnuma_node={}\ndriver=mock-accel\nparent={}\n"
        "has_resource0=1\n",
        function.at("bdf").get<std::string>(), function.at("vendor").get<std::string>(),
        function.at("device").get<std::string>(), function.at("class").get<std::string>(),
        function.at("numa_node").get<int>(), device.at("port").get<std::string>());
    for (const char* prefix : {"current", "max"}) {
        out += fmt::format("{0}_link_speed=16.0 GT/s PCIe\n{0}_link_width=16\n", prefix);
    }
    for (unsigned i = 0; i < 6; ++i) {
        std::string line = "0x0 0x0 0x0";
        for (const Json& bar : function.at("bars")) {
            if (bar.at("index") != i) continue;
            line = fmt::format("0x0 {:#x} {:#x}", bar.at("size").get<uint64_t>() - 1,
                               0x140200 | (bar.at("prefetchable").get<bool>() ? 0x2000 : 0));
        }
        out += fmt::format("resource{}={}\n", i, line);
    }
    const Json& functions = device.at("functions");
    if (is_vf)
        return out + fmt::format("physfn={}\n", functions.at(0).at("bdf").get<std::string>());
    out += fmt::format("sriov_totalvfs={}\nsriov_numvfs={}\n", functions.size() - 1, kVfs);
    for (unsigned i = 0; i < kVfs; ++i) {
        out += fmt::format("virtfn{}={}\n", i, functions.at(i + 1).at("bdf").get<std::string>());
    }
    return out;
}

std::string words(const std::string& name, const std::string& bytes, unsigned count) {
    std::string out;
    for (unsigned i = 0; i < count; ++i) {
        uint32_t word = 0;
        for (unsigned b = 4; b-- > 0;) {
            const size_t at = 4 * i + b;
            word = word << 8 | (at < bytes.size() ? static_cast<unsigned char>(bytes[at]) : 0u);
        }
        out += fmt::format("{}[{}]=0x{:08x}\n", name, i, word);
    }
    return out;
}

std::string register_record(const Json& function) {
    std::string out = fmt::format("@regs {}\n", function.at("bdf").get<std::string>());
    const Json& registers = function.at("registers");
    const std::string label = registers.at("LABEL").get<std::string>();
    for (const auto& [name, value] : registers.items()) {
        if (name != "UUID" && name != "LABEL") {
            out += fmt::format("{}={}\n", name, value.get<std::string>());
        }
    }
    return out + words("UUID", label.substr(0, 16), 4) + words("LABEL", label, 16);
}

std::string class_record(const Json& device, const Json& function) {
    const bool is_vf = function.at("kind") == "vf";
    const Json& registers = function.at("registers");
    std::string out = fmt::format("@class {}\ndevice={}\n", class_name(function),
                                  function.at("bdf").get<std::string>());
    for (const auto& [key, value] : function.at("sysfs").at("attributes").items()) {
        out += fmt::format(
            "{}={}\n", key,
            key == "sriov_numvfs" ? fmt::format("{}", kVfs) : value.get<std::string>());
    }
    if (is_vf) out += fmt::format("physfn={}\n", class_name(device.at("functions").at(0)));
    out += fmt::format("@info {}\nnuma_node={}\nvf={}\nhas_label=1\nhas_irq=0\nstatus=0x00000000\n",
                       class_name(function), function.at("numa_node").get<int>(), is_vf ? 1 : 0);
    for (const auto& [key, name] :
         std::vector<std::pair<const char*, const char*>>{{"device_id", "DEVICE_ID"},
                                                          {"revision", "REVISION"},
                                                          {"vf_index", "VF_INDEX"},
                                                          {"capabilities", "CAPABILITIES"},
                                                          {"label", "LABEL"},
                                                          {"fw_version", "FW_VERSION"}}) {
        out += fmt::format("{}={}\n", key, registers.at(name).get<std::string>());
    }
    std::string uuid = registers.at("UUID").get<std::string>();
    for (const size_t at : {20, 16, 12, 8}) uuid.insert(at, "-");
    const auto decimal = [&](const char* name) {
        return *verify::parse_number(registers.at(name).get<std::string>());
    };
    return out + fmt::format("uuid={}\nmemory_size={}\ntotal_vfs={}\n", uuid,
                             decimal("MEMORY_SIZE"), decimal("TOTAL_VFS"));
}

class KernelVerify : public testing::Test {
protected:
    KernelVerify() : model_(*topology::parse(kFile, "test.yaml", devices::all_models())) {
        plan_ = *kernel_bus::make_kernel_plan(model_.machines.at(0), {});
        topology::Model moved;
        moved.machines.push_back(kernel_bus::kernel_machine(plan_, {0, 1}));
        const Json tree = Json::parse(outputs::tree_json(moved));
        Json device = tree.at("machines").at(0).at("devices").at(0);
        device["port"] = kernel_bus::kernel_parents(plan_).at("g");
        text_ = "mimic-probe=1\nkernel=6.1\n";
        for (size_t i = 0; i < 1 + kVfs; ++i) {
            const Json& function = device.at("functions").at(i);
            text_ += pci_record(device, function) + register_record(function) +
                     class_record(device, function);
        }
        // What else such a kernel has: another machine's device, its nodes.
        text_ +=
            "@pci 0000:01:00.0\nvendor=0x1de5\n@class mock0\ndevice=0000:01:00.0\n"
            "@node node0\ncpulist=0\n@node node1\ncpulist=1\n@end\n";
    }

    KernelVerdict verdict_of(const std::string& text) const {
        const auto probe = verify::parse_probe(text);
        EXPECT_TRUE(probe) << probe.error().message();
        return compare_with_kernel(plan_, probe.value_or(verify::Probe()));
    }

    /// The probe without the lines that begin with one of `prefixes`.
    std::string without(const std::vector<std::string>& prefixes) const {
        std::string out;
        for (size_t at = 0; at < text_.size();) {
            const size_t end = text_.find('\n', at) + 1;
            const std::string line = text_.substr(at, end - at);
            const bool drop = std::any_of(
                prefixes.begin(), prefixes.end(),
                [&](const auto& prefix) { return line.starts_with(prefix); });
            if (!drop) out += line;
            at = end;
        }
        return out;
    }

    std::string replaced(const std::string& from, const std::string& to) const {
        std::string out = text_;
        const size_t at = out.find(from);
        EXPECT_NE(at, std::string::npos) << from;
        return out.replace(at, from.size(), to);
    }

    topology::Model model_;
    kernel_bus::KernelPlan plan_;
    std::string text_;
};

TEST_F(KernelVerify, ABusThatIsAsPlannedAgrees) {
    const KernelVerdict verdict = verdict_of(text_);
    EXPECT_TRUE(verdict.verdict.agrees()) << kernel_verdict_table(verdict);
    EXPECT_GT(verdict.verdict.checks, 150u);
    EXPECT_EQ(verdict.verdict.functions.at(0).sysfs, "mock7");
    EXPECT_EQ(verdict.verdict.functions.at(4).present, false);
    const std::string table = kernel_verdict_table(verdict);
    EXPECT_THAT(table, HasSubstr("not checked (4): interrupts"));
    EXPECT_THAT(table, HasSubstr("not checked (1): NUM_VFS"));
    EXPECT_THAT(table, HasSubstr("not checked (2): CPUs, memory and distances"));
}

TEST_F(KernelVerify, DifferencesStayDifferences) {
    for (const auto& [from, to] : std::vector<std::pair<std::string, std::string>>{
             {"class=0x120000", "class=0x030000"},
             {"numa_node=1", "numa_node=0"},
             {"parent=pci0010:00", "parent=pci0000:00"},
             {"current_link_width=16", "current_link_width=1"},
             {"resource2=0x0 0xfffff", "resource2=0x0 0xfff"},
             {"sriov_totalvfs=4", "sriov_totalvfs=5"},
             {"virtfn2=0010:01:00.2", "virtfn2=0010:01:00.3"},
             {"physfn=0010:00:00.0", "physfn=0010:00:01.0"},
             {"MEMORY_SIZE=0x0", "MEMORY_SIZE=0x1"},
             {"uuid=LABEL", "uuid=LEBAL"},
             {"vf_index=0x00000001", "vf_index=0x00000002"},
             {"driver=mock-accel", "driver=mock-accel\nenable=1\n@pci 0010:00:05.0"},
         }) {
        const KernelVerdict verdict = verdict_of(replaced(from, to));
        EXPECT_FALSE(verdict.verdict.agrees()) << from;
    }
}

TEST_F(KernelVerify, WithoutADriverOnlyTheBusIsChecked) {
    const std::string text = without({"driver="});
    const KernelVerdict verdict = verdict_of(text.substr(0, text.find("@regs")) + "@end\n");
    // The PF alone is there, and three VFs are missing: that is told, the driver is not.
    for (const verify::Difference& one : verdict.verdict.functions.at(0).differences) {
        EXPECT_THAT(one.what, HasSubstr("PCI")) << one.expected;
        EXPECT_NE(one.what, "PCI driver");
    }
    EXPECT_FALSE(verdict.verdict.agrees());
    EXPECT_THAT(kernel_verdict_table(verdict), HasSubstr("mock-accel is not bound"));
}

TEST_F(KernelVerify, WithoutTheToolRegistersAreNotChecked) {
    std::string text;
    bool skip = false;
    for (size_t at = 0; at < text_.size();) {
        const size_t end = text_.find('\n', at) + 1;
        const std::string line = text_.substr(at, end - at);
        at = end;
        if (line.starts_with("@")) {
            skip = line.starts_with("@regs") || line.starts_with("@info");
            text += line + (skip ? "sh: mock-accel-ctl: not found\n" : "");
        } else if (!skip) {
            text += line;
        }
    }
    const KernelVerdict verdict = verdict_of(text);
    EXPECT_TRUE(verdict.verdict.agrees()) << kernel_verdict_table(verdict);
    EXPECT_THAT(kernel_verdict_table(verdict),
                HasSubstr("not checked (8): registers and ioctl: no mock-accel-ctl"));
}

TEST_F(KernelVerify, ANodeThatTheKernelLacksIsNotExpected) {
    std::string text = without({"@node node1", "cpulist=1"});
    for (size_t at = text.find("numa_node=1"); at != std::string::npos;
         at = text.find("numa_node=1", at)) {
        text.replace(at, 11, "numa_node=-1");
    }
    const KernelVerdict verdict = verdict_of(text);
    EXPECT_TRUE(verdict.verdict.agrees()) << kernel_verdict_table(verdict);
    EXPECT_THAT(kernel_verdict_table(verdict), HasSubstr("this kernel has no node 1"));
}

TEST_F(KernelVerify, JsonListsWhatWasNotChecked) {
    const Json json = Json::parse(kernel_verdict_json(verdict_of(text_)));
    EXPECT_EQ(json.at("format"), "mimic-verify");
    EXPECT_TRUE(json.at("agrees").get<bool>());
    EXPECT_FALSE(json.at("not_checked").empty());
    EXPECT_GE(json.at("not_checked").at(0).at("checks").get<unsigned>(), 1u);
}

}  // namespace
}  // namespace mimic::machine
