// SPDX-License-Identifier: Apache-2.0
// verify of machines with fabrics: the report of a guest that agrees is written from the plan in
// the form in which guest/init/probe prints it, then one thing is changed.
#include "verify/verify_fabric.h"
#include "devices/all_models.h"

#include <functional>
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "outputs/outputs.h"
#include "topology/topology.h"

namespace mimic::verify {
namespace {

using Json = nlohmann::json;
using testing::HasSubstr;

const std::string kTreeRoot = MIMIC_SOURCE_DIR;

topology::Model model_of(const std::string& example) {
    auto model = topology::load(kTreeRoot + "/examples/" + example + ".yaml",
                                devices::all_models());
    EXPECT_TRUE(model) << model.error().message();
    return model.value_or(topology::Model{});
}

/// A guest of the one machine of a plan. Prints what a probe would.
class Guest {
public:
    explicit Guest(const std::string& example)
        : model_(model_of(example)),
          plan_(Json::parse(outputs::tree_json(model_))),
          machine_(plan_.at("machines").at(0)) {
        for (const Json& device : machine_.at("devices")) {
            if (!device.at("plugged")) absent_.insert(device.at("name"));
        }
    }

    unsigned vfs = 0;  // sriov_numvfs of every PF

    void remove(const std::string& device) { absent_.insert(device); }
    void add(const std::string& device) { absent_.erase(device); }

    std::string report() const {
        std::string out = "mimic-probe=1\nkernel=6.1.0\n";
        for (const Json& fabric : machine_.at("fabrics")) out += fabric_text(fabric);
        for (const Json& device : machine_.at("devices")) {
            if (absent_.contains(device.at("name"))) continue;
            for (const Json& function : device.at("functions")) {
                if (is_there(function)) out += function_text(device, function);
            }
        }
        for (const Json& node : machine_.at("numa_nodes")) {
            std::string distances;
            for (const Json& distance : node.at("distances")) {
                distances += (distances.empty() ? "" : " ") + distance.dump();
            }
            out += fmt::format("@node node{}\ncpulist={}\ndistance={}\n", node.at("node").dump(),
                               node.at("cpus").front().dump(), distances);
        }
        return out + "@end\n";
    }

    /// What is wrong with `text`; "what: expected -> got".
    std::vector<std::string> differences(const std::string& text) const {
        const auto verdict = compare(text);
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

    Verdict compare(const std::string& text) const {
        const auto probe = parse_probe(text);
        EXPECT_TRUE(probe) << probe.error().message();
        if (!probe) return {};
        return compare_with_plan(model_.machines.at(0), *probe);
    }

private:
    static std::string text(const Json& object, const char* key) { return object.at(key); }

    bool is_there(const Json& function) const {
        const auto index = parse_number(text(function.at("registers"), "VF_INDEX"));
        return function.at("kind") == "pf" || *index < vfs;
    }

    static std::string link_text(const Json& link) {
        const std::string speed = text(link, "speed");
        const std::string number = speed.substr(0, speed.find(' '));
        return fmt::format(
            "current_link_speed={0}.0 GT/s PCIe\ncurrent_link_width={1}\n"
            "max_link_speed={0}.0 GT/s PCIe\nmax_link_width={1}\n",
            number, link.at("width").dump());
    }

    bool is_empty(const Json& port) const {
        for (const Json& device : machine_.at("devices")) {
            if (device.at("port") == port.at("bdf")) return absent_.contains(device.at("name"));
        }
        return false;
    }

    std::string fabric_text(const Json& fabric) const {
        const std::string numa = fabric.at("numa_node").dump();
        std::string out = fmt::format(
            "@vmd {}\nvendor=0x8086\ndevice=0xa77f\nclass=0x010400\nnuma_node={}\ndriver=vmd\n"
            "parent={}\ndomain={}:00\n",
            text(fabric, "bdf"), numa, text(fabric.at("root_port"), "bdf"), text(fabric, "domain"));
        for (const Json& port : fabric.at("ports")) {
            out += fmt::format("@port {}\nvendor=0x1b36\ndevice=0x000c\nclass=0x060400\n",
                               text(port, "bdf"));
            std::string link = link_text(port.at("link"));
            if (is_empty(port)) {
                link = "current_link_speed=2.5 GT/s PCIe\ncurrent_link_width=0\n" +
                       link.substr(link.find("max_"));
            }
            out += fmt::format("numa_node={}\n{}driver=pcieport\nparent={}\n", numa, link,
                               port.at("parent").is_null()
                                   ? fmt::format("pci{}:00", text(fabric, "domain"))
                                   : text(port, "parent"));
            out += fmt::format("secondary_bus_number={}\nsubordinate_bus_number={}\n",
                               port.at("secondary").dump(), port.at("subordinate").dump());
            if (!port.at("hotplug")) continue;
            out += fmt::format("@slot {}\naddress={}:{:02x}:00\nadapter=1\npower=1\n",
                               port.at("slot").dump(), text(fabric, "domain"),
                               port.at("secondary").get<unsigned>());
        }
        return out;
    }

    static std::string bar_text(const Json& function, unsigned index) {
        for (const Json& bar : function.at("bars")) {
            if (bar.at("index") != index) continue;
            return fmt::format("{:#018x} {:#018x} {:#018x}", 0x1000000000ull,
                               0x1000000000ull + bar.at("size").get<uint64_t>() - 1,
                               bar.at("prefetchable").get<bool>() ? 0x14220cull : 0x40200ull);
        }
        return "0x0000000000000000 0x0000000000000000 0x0000000000000000";
    }

    std::string sriov_text(const Json& device, const Json& function) const {
        if (device.at("sriov") != "native") return "";
        if (function.at("kind") == "vf") {
            return "physfn=" + text(device.at("functions").front(), "bdf") + "\n";
        }
        std::string out = fmt::format("sriov_totalvfs={}\nsriov_numvfs={}\n",
                                      device.at("functions").size() - 1, vfs);
        for (unsigned i = 0; i < vfs; ++i) {
            out += fmt::format("virtfn{}={}\n", i, text(device.at("functions").at(i + 1), "bdf"));
        }
        return out;
    }

    std::string registers_text(const Json& function) const {
        std::string out;
        for (const auto& [name, value] : function.at("registers").items()) {
            const std::string shown = value.get<std::string>();
            const bool is_uuid = name == "UUID";
            for (unsigned i = 0; is_uuid && i < 4; ++i) {
                const std::string hex = shown.substr(8 * i, 8);
                out += fmt::format("UUID[{}]=0x{}{}{}{}\n", i, hex.substr(6, 2), hex.substr(4, 2),
                                   hex.substr(2, 2), hex.substr(0, 2));
            }
            for (unsigned i = 0; name == "LABEL" && i < 16; ++i) {
                uint32_t word = 0;
                for (unsigned b = 0; b < 4 && 4 * i + b < shown.size(); ++b) {
                    word |= static_cast<uint32_t>(static_cast<unsigned char>(shown[4 * i + b]))
                            << (8 * b);
                }
                out += fmt::format("LABEL[{}]=0x{:08x}\n", i, word);
            }
            if (is_uuid || name == "LABEL") continue;
            const bool counts = name == "NUM_VFS" && function.at("kind") == "pf" &&
                                text(function.at("registers"), "TOTAL_VFS") != "0x00000000";
            out += fmt::format("{}={}\n", name, counts ? fmt::format("0x{:08x}", vfs) : shown);
        }
        return out;
    }

    std::string function_text(const Json& device, const Json& function) const {
        const std::string bdf = text(function, "bdf");
        std::string out = fmt::format(
            "@pci {}\nvendor={}\ndevice={}\nclass={}\nnuma_node={}\n{}driver=mock-accel\n"
            "parent={}\n{}has_resource0=1\n",
            bdf, text(function, "vendor"), text(function, "device"), text(function, "class"),
            function.at("numa_node").dump(), link_text(device.at("link")), text(device, "port"),
            sriov_text(device, function));
        for (unsigned i = 0; i < 7; ++i) {
            out += fmt::format("resource{}={}\n", i, bar_text(function, i));
        }
        out += "@regs " + bdf + "\n" + registers_text(function);
        const std::string name = text(function.at("sysfs"), "name");
        const std::string pf = text(device.at("functions").front().at("sysfs"), "name");
        out += "@class " + name + "\n";
        for (const auto& [key, value] : function.at("sysfs").at("attributes").items()) {
            out += fmt::format(
                "{}={}\n", key,
                key == "sriov_numvfs" ? std::to_string(vfs) : value.get<std::string>());
        }
        out += "device=" + bdf + "\n";
        if (function.at("kind") == "vf") out += "physfn=" + pf + "\n";
        return out + info_text(function);
    }

    static std::string info_text(const Json& function) {
        const Json& registers = function.at("registers");
        const std::string uuid = text(registers, "UUID");
        std::string out = "@info " + text(function.at("sysfs"), "name") + "\n";
        for (const auto& [key, name] :
             std::map<std::string, const char*>{{"device_id", "DEVICE_ID"},
                                                {"revision", "REVISION"},
                                                {"vf_index", "VF_INDEX"},
                                                {"capabilities", "CAPABILITIES"},
                                                {"label", "LABEL"},
                                                {"fw_version", "FW_VERSION"},
                                                {"status", "STATUS"}}) {
            out += key + "=" + text(registers, name) + "\n";
        }
        return out +
               fmt::format(
                   "uuid={}-{}-{}-{}-{}\nmemory_size={}\ntotal_vfs={}\nnuma_node={}\nvf={}\n"
                   "has_label={}\nhas_irq=1\n",
                   uuid.substr(0, 8), uuid.substr(8, 4), uuid.substr(12, 4), uuid.substr(16, 4),
                   uuid.substr(20), *parse_number(text(registers, "MEMORY_SIZE")),
                   *parse_number(text(registers, "TOTAL_VFS")), function.at("numa_node").dump(),
                   function.at("kind") == "vf" ? 1 : 0, text(registers, "LABEL").empty() ? 0 : 1);
    }

    topology::Model model_;
    Json plan_;
    Json machine_;
    std::set<std::string> absent_;
};

/// `text` with the first `from` behind `after` replaced.
std::string with_change(std::string text, const std::string& after, const std::string& from,
                        const std::string& to) {
    const size_t start = text.find(after);
    EXPECT_NE(start, std::string::npos) << after;
    const size_t at = text.find(from, start);
    EXPECT_NE(at, std::string::npos) << from;
    return text.replace(at, from.size(), to);
}

TEST(VerifyFabric, SwitchTreeAgrees) {
    const Guest guest("switch-tree");
    EXPECT_THAT(guest.differences(guest.report()), testing::IsEmpty());
    const Verdict verdict = guest.compare(guest.report());
    EXPECT_EQ(verdict.functions.size(), 8u);
    EXPECT_GT(verdict.checks, 8u * 45 + 2 * 6 + 16 * 9);
}

TEST(VerifyFabric, NativeVfsAreExpectedWhileSriovNumvfsCoversThem) {
    Guest guest("fabric-sriov");
    for (const unsigned vfs : {0u, 1u, 17u, 64u}) {
        guest.vfs = vfs;
        EXPECT_THAT(guest.differences(guest.report()), testing::IsEmpty()) << vfs;
        const Verdict verdict = guest.compare(guest.report());
        ASSERT_EQ(verdict.functions.size(), 65u);
        for (unsigned i = 0; i < 64; ++i) {
            EXPECT_EQ(verdict.functions[i + 1].present, i < vfs);
            EXPECT_EQ(verdict.functions[i + 1].visible, i < vfs);
            EXPECT_EQ(verdict.functions[i + 1].checks > 1, i < vfs) << "else absence is one check";
        }
    }
    guest.vfs = 2;
    EXPECT_THAT(verdict_table(guest.compare(guest.report())), HasSubstr("(absent)"));
}

struct FabricMismatch {
    const char* example;
    const char* after;
    const char* from;
    const char* to;
    const char* difference;
};

void PrintTo(const FabricMismatch& mismatch, std::ostream* out) {
    *out << mismatch.difference;
}

class VerifyFabricMismatch : public testing::TestWithParam<FabricMismatch> {};

TEST_P(VerifyFabricMismatch, IsFoundAndNamed) {
    const FabricMismatch& one = GetParam();
    Guest guest(one.example);
    guest.vfs = 2;
    const std::string text = with_change(guest.report(), one.after, one.from, one.to);
    EXPECT_THAT(guest.differences(text), testing::Contains(HasSubstr(one.difference)));
}

constexpr const char* kTree = "switch-tree";
constexpr const char* kSriov = "fabric-sriov";
constexpr const char* kVmd = "@vmd 0000:11:00.0\n";
constexpr const char* kUp = "@port 10000:01:00.0\n";
constexpr const char* kFabricPf = "@pci 10000:01:00.0\n";
constexpr const char* kVf = "@pci 10000:01:00.2\n";

INSTANTIATE_TEST_SUITE_P(
    Ports, VerifyFabricMismatch,
    testing::Values(
        FabricMismatch{kTree, "", kVmd, "@vmd 0000:12:00.0\n",
                       "VMD fabric0 (0000:11:00.0): present -> nothing"},
        FabricMismatch{kTree, "", kVmd, "@vmd 0000:12:00.0\n",
                       "VMD 0000:12:00.0: nothing -> a VMD endpoint"},
        FabricMismatch{kTree, kVmd, "driver=vmd\n", "",
                       "VMD fabric0 (0000:11:00.0) driver: vmd -> "},
        FabricMismatch{kTree, kVmd, "numa_node=0", "numa_node=1", "numa_node: 0 -> 1"},
        FabricMismatch{kTree, kVmd, "domain=10000:00", "domain=10001:00",
                       "domain: 10000:00 -> 10001"},
        FabricMismatch{kTree, kVmd, "parent=0000:10:00.0", "parent=x", "parent: 0000:10:00.0 -> x"},
        FabricMismatch{kTree, "", kUp, "@port 10000:01:00.1\n",
                       "port sw0.up (10000:01:00.0): present -> nothing"},
        FabricMismatch{kTree, "", kUp, "@port 10000:01:00.1\n",
                       "PCI function 10000:01:00.1: nothing -> a function"},
        FabricMismatch{kTree, kUp, "class=0x060400", "class=0x060401",
                       "class: 0x060400 -> 0x060401"},
        FabricMismatch{kTree, kUp, "parent=10000:00:00.0", "parent=10000:00:01.0",
                       "port sw0.up (10000:01:00.0) parent: 10000:00:00.0 -> 10000:00:01.0"},
        FabricMismatch{kTree, kUp, "secondary_bus_number=2", "secondary_bus_number=3",
                       "secondary_bus_number: 2 -> 3"},
        FabricMismatch{kTree, kUp, "subordinate_bus_number=4", "subordinate_bus_number=255",
                       "subordinate_bus_number: 4 -> 255"},
        FabricMismatch{kTree, kUp, "current_link_speed=32.0", "current_link_speed=2.5",
                       "port sw0.up (10000:01:00.0) current_link_speed: 32 -> 2.5"},
        FabricMismatch{kTree, kUp, "max_link_width=16", "max_link_width=8",
                       "max_link_width: 16 -> 8"},
        FabricMismatch{kTree, "@port 10000:00:00.0\n", "parent=pci10000:00", "parent=pci10001:00",
                       "parent: pci10000:00 -> pci10001:00"},
        FabricMismatch{kTree, "@pci 10001:03:00.0\n", "parent=10001:02:00.0",
                       "parent=10001:02:01.0", "PCI parent: 10001:02:00.0 -> 10001:02:01.0"},
        FabricMismatch{kTree, "@pci 10001:03:00.0\n", "numa_node=1", "numa_node=0",
                       "PCI numa_node: 1 -> 0"},
        FabricMismatch{"hotplug", "", "@slot 11\n", "@slot 13\n", "slot: 11 -> 13"},
        FabricMismatch{"hotplug", "@slot 11\n", "address=10000:01:00", "address=10000:04:00",
                       "slot: 11 -> nothing"},
        FabricMismatch{"hotplug", "@port 10000:00:00.0\n", "current_link_width=16",
                       "current_link_width=0", "current_link_width: 16 -> 0"}));

INSTANTIATE_TEST_SUITE_P(
    Sriov, VerifyFabricMismatch,
    testing::Values(
        FabricMismatch{kSriov, kFabricPf, "sriov_totalvfs=64", "sriov_totalvfs=7",
                       "PCI sriov_totalvfs: 64 -> 7"},
        FabricMismatch{kSriov, kFabricPf, "sriov_numvfs=2", "sriov_numvfs=3",
                       "PCI sriov_numvfs: 2 -> 3"},
        FabricMismatch{kSriov, kFabricPf, "sriov_numvfs=2", "sriov_numvfs=3",
                       "PCI virtfn2: 10000:01:00.3 -> nothing"},
        FabricMismatch{kSriov, kFabricPf, "sriov_numvfs=2", "sriov_numvfs=1",
                       "PCI function: nothing -> a function"},
        FabricMismatch{kSriov, kFabricPf, "virtfn1=10000:01:00.2", "virtfn1=10000:01:00.3",
                       "PCI virtfn1: 10000:01:00.2 -> 10000:01:00.3"},
        FabricMismatch{kSriov, kVf, "physfn=10000:01:00.0", "physfn=10000:02:00.0",
                       "PCI physfn: 10000:01:00.0 -> 10000:02:00.0"},
        FabricMismatch{kSriov, "", kVf, "@pci 10000:01:00.3\n", "PCI function: present -> nothing"},
        FabricMismatch{kSriov, kVf, "has_resource0=1\n", "", "PCI resource0: a file -> nothing"},
        FabricMismatch{kSriov, kVf, "resource2=0x0000001000000000 0x000000100000ffff",
                       "resource2=0x0000001000000000 0x0000001000000fff",
                       "PCI BAR2: memory64 prefetchable 0x10000 -> memory64 prefetchable 0x1000"},
        FabricMismatch{kSriov, "@regs 10000:01:00.0\n", "NUM_VFS=0x00000002", "NUM_VFS=0x00000000",
                       "sysfs sriov_numvfs: 0 -> 2"},
        FabricMismatch{kSriov, "@regs 10000:01:00.2\n", "LOCAL_MEMORY_SIZE=0x0000000000010000",
                       "LOCAL_MEMORY_SIZE=0x0", "resource0 LOCAL_MEMORY_SIZE"},
        FabricMismatch{kSriov, "@regs 10000:01:00.2\n", "RING_COUNT=0x00000001",
                       "RING_COUNT=0x00000004", "resource0 RING_COUNT: 0x00000001 -> 0x00000004"}));

TEST(VerifyFabric, EmptySlotIsOneCheckAndAddedDeviceIsCheckedWhole) {
    Guest guest("hotplug");
    const Verdict at_boot = guest.compare(guest.report());
    EXPECT_TRUE(at_boot.agrees()) << verdict_table(at_boot);
    ASSERT_EQ(at_boot.functions.size(), 2u);
    EXPECT_FALSE(at_boot.functions[0].in_empty_slot);
    EXPECT_TRUE(at_boot.functions[1].in_empty_slot);
    EXPECT_EQ(at_boot.functions[1].checks, 1u);
    EXPECT_THAT(verdict_table(at_boot), HasSubstr("ok, absent (hot-plug slot)"));

    guest.add("gpu1");
    const Verdict added = guest.compare(guest.report());
    EXPECT_TRUE(added.agrees()) << verdict_table(added);
    EXPECT_GT(added.functions[1].checks, 40u);

    guest.remove("gpu0");
    const Verdict removed = guest.compare(guest.report());
    EXPECT_TRUE(removed.agrees()) << verdict_table(removed);
    EXPECT_TRUE(removed.functions[0].in_empty_slot);
}

TEST(VerifyFabric, NumbersOfHotPluggedDevicesFollowTheirArrival) {
    Guest guest("hotplug");
    guest.remove("gpu0");
    guest.add("gpu1");  // planned as mock1, but the only one
    std::string text = with_change(guest.report(), "", "@class mock1", "@class mock0");
    text = with_change(text, "", "@info mock1", "@info mock0");
    const Verdict verdict = guest.compare(text);
    EXPECT_TRUE(verdict.agrees()) << verdict_table(verdict);
    EXPECT_EQ(verdict.functions[1].sysfs, "mock0");
}

TEST(VerifyFabric, DeviceWithoutHotplugMustBeThere) {
    Guest guest("switch-tree");
    guest.remove("gpu3");
    EXPECT_THAT(guest.differences(guest.report()),
                testing::Contains("PCI function: present -> nothing"));
}

TEST(VerifyFabric, EmptyGuestLacksEverything) {
    for (const char* example : {"switch-tree", "fabric-sriov", "hotplug"}) {
        const Guest guest(example);
        EXPECT_FALSE(guest.compare("mimic-probe=1\nkernel=6.1\n@end\n").agrees()) << example;
    }
}

}  // namespace
}  // namespace mimic::verify
