// SPDX-License-Identifier: Apache-2.0
#include "slices/function_view.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>

#include "slices/slices.h"

namespace mimic::slices {
namespace {

using testing::Contains;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;
using Kind = DraAttribute::Kind;

constexpr std::array kAttributes = {
    DraAttribute{"uuid", "uuid", Kind::kText},
    DraAttribute{"flags", "capabilities", Kind::kNumber},
    DraAttribute{"firmwareVersion", "fw_version", Kind::kVersion},
    DraAttribute{"memory", "memory_size", Kind::kCapacity},
};
constexpr DraFacts kGpu{.driver = "gpu.example.com",
                        .sysfs_class = "gpu",
                        .node_prefix = "gpu",
                        .cdi_class = "gpu",
                        .cdi_vendor = "example.com",
                        .env_prefix = "GPU",
                        .attributes = kAttributes};

FunctionView pf(const std::string& node) {
    FunctionView view;
    view.node = node;
    view.pci_address = "0000:11:00.0";
    view.pcie_root = "pci0000:10";
    view.port_path = "0000:10:00.0";
    view.numa_node = 1;
    view.files = {{"uuid", "U-1"},
                  {"capabilities", "0x00000001"},
                  {"fw_version", "0x00010002"},
                  {"memory_size", "17179869184"}};
    return view;
}

FunctionView vf(const std::string& parent, uint32_t index) {
    FunctionView view = pf(fmt::format("{}_vf{}", parent, index));
    view.parent = parent;
    view.vf_index = index;
    return view;
}

struct Made {
    Pool pool;
    std::vector<std::string> problems;
};

Made make(const std::vector<FunctionView>& functions, bool on_demand = false) {
    Made made;
    made.pool = make_pool(kGpu, functions, {.node = "n1", .vfs_on_demand = on_demand},
                          &made.problems);
    // Whatever a device says: the rest is published.
    const Status status = check(made.pool);
    EXPECT_TRUE(status) << (status ? "" : status.error().message());
    return made;
}

std::vector<std::string> names(const Pool& pool) {
    std::vector<std::string> out;
    for (const Device& device : pool.devices) out.push_back(device.name);
    return out;
}

TEST(FunctionView, APfIsADeviceWithAllThatIsKnown) {
    FunctionView view = pf("gpu0");
    view.total_vfs = 4;
    const Made made = make({view});
    EXPECT_THAT(made.problems, IsEmpty());
    EXPECT_EQ(made.pool.driver, "gpu.example.com");
    EXPECT_EQ(made.pool.name, "n1");
    EXPECT_THAT(made.pool.counter_sets, IsEmpty());
    ASSERT_THAT(made.pool.devices, SizeIs(1));
    const Device& device = made.pool.devices[0];
    const std::map<std::string, Attribute> want = {
        {"resource.kubernetes.io/pciBusID", std::string("0000:11:00.0")},
        {"resource.kubernetes.io/pcieRoot", std::string("pci0000:10")},
        {"resource.kubernetes.io/numaNode", int64_t{1}},
        {"gpu.example.com/numaNode", int64_t{1}},
        {"gpu.example.com/pciAddress", std::string("0000:11:00.0")},
        {"gpu.example.com/portPath", std::string("0000:10:00.0")},
        {"gpu.example.com/deviceType", std::string("pf")},
        {"gpu.example.com/totalVFs", int64_t{4}},
        {"gpu.example.com/uuid", std::string("U-1")},
        {"gpu.example.com/flags", int64_t{1}},
        {"gpu.example.com/firmwareVersion", Version{"1.2.0"}},
    };
    EXPECT_EQ(device.attributes, want);
    EXPECT_EQ(device.capacity.at("gpu.example.com/memory").value, uint64_t{16} << 30);
    EXPECT_THAT(device.consumes, IsEmpty());
}

// docs/kubernetes/api-reference.md is made of the table.
TEST(FunctionView, TheTableOfCommonAttributesHasThemAll) {
    FunctionView with_vfs = pf("gpu0");
    with_vfs.total_vfs = 4;
    with_vfs.files.clear();
    FunctionView part = vf("gpu0", 0);
    part.files.clear();
    std::map<std::string, std::string> made;
    for (const Device& device : make({with_vfs, part}).pool.devices) {
        for (const auto& [name, value] : device.attributes) {
            made[name] = std::holds_alternative<int64_t>(value) ? "int" : "string";
        }
    }
    std::map<std::string, std::string> listed;
    for (const CommonAttribute& one : common_attributes()) {
        const bool own = one.name.find('/') == std::string_view::npos;
        listed[(own ? "gpu.example.com/" : "") + std::string(one.name)] = one.type;
    }
    EXPECT_EQ(made, listed);
}

TEST(FunctionView, PfAndVfsConsumeTheSameCounter) {
    const Made made = make({vf("gpu0", 1), pf("gpu10"), vf("gpu0", 0), pf("gpu2"), pf("gpu0")});
    EXPECT_EQ(names(made.pool),
              std::vector<std::string>({"gpu0", "gpu0-vf0", "gpu0-vf1", "gpu2", "gpu10"}));
    ASSERT_THAT(made.pool.counter_sets, SizeIs(1));
    EXPECT_EQ(made.pool.counter_sets[0], (Counters{"gpu0", {{"functions", 2}}}));
    EXPECT_EQ(made.pool.devices[0].consumes, std::vector<Counters>({{"gpu0", {{"functions", 2}}}}));
    EXPECT_EQ(made.pool.devices[2].consumes, std::vector<Counters>({{"gpu0", {{"functions", 1}}}}));
    EXPECT_THAT(made.pool.devices[3].consumes, IsEmpty());
    const auto& attributes = made.pool.devices[2].attributes;
    EXPECT_EQ(attributes.at("gpu.example.com/physfn"), Attribute(std::string("gpu0")));
    EXPECT_EQ(attributes.at("gpu.example.com/vfIndex"), Attribute(int64_t{1}));
    EXPECT_EQ(attributes.at("gpu.example.com/deviceType"), Attribute(std::string("vf")));
}

TEST(FunctionView, SharedDevicesAreGivenByParts) {
    FunctionView odd = pf("gpu3");
    odd.files["memory_size"] = "1000";
    FunctionView none = pf("gpu4");
    none.files["memory_size"] = "0";
    const std::vector<FunctionView> functions = {pf("gpu0"), vf("gpu0", 0), pf("gpu2"), odd, none};
    std::vector<std::string> problems;
    const Pool pool = make_pool(kGpu, functions, {.node = "n1", .shared = true}, &problems);
    ASSERT_TRUE(check(pool));
    ASSERT_THAT(pool.devices, SizeIs(5));
    const auto policy = [&](size_t device) {
        return pool.devices[device].capacity.at("gpu.example.com/memory").request_policy;
    };
    constexpr uint64_t kMebibyte = 1 << 20;
    EXPECT_TRUE(pool.devices[2].allow_multiple_allocations);
    EXPECT_EQ(policy(2), (Capacity::RequestPolicy{.default_value = 17179869184,
                                                  .min = kMebibyte,
                                                  .max = 17179869184,
                                                  .step = kMebibyte}));
    EXPECT_EQ(policy(3), (Capacity::RequestPolicy{1000, 1, 1000, 1}));
    // A PF with VFs and its VFs have counters instead; of nothing there are no parts.
    for (const size_t alone : {0, 1, 4}) {
        EXPECT_FALSE(pool.devices[alone].allow_multiple_allocations) << alone;
        EXPECT_EQ(policy(alone), std::nullopt) << alone;
    }
}

TEST(FunctionView, VfsThatDoNotExistArePublishedOnRequest) {
    FunctionView future;
    future.node = "gpu0_vf0";
    future.parent = "gpu0";
    future.vf_index = 0;
    future.exists = false;
    const Made without = make({pf("gpu0"), future});
    EXPECT_EQ(names(without.pool), std::vector<std::string>({"gpu0"}));
    EXPECT_THAT(without.pool.devices[0].consumes, IsEmpty());
    const Made with = make({pf("gpu0"), future}, true);
    EXPECT_EQ(names(with.pool), std::vector<std::string>({"gpu0", "gpu0-vf0"}));
    EXPECT_THAT(with.pool.devices[1].consumes, SizeIs(1));
    EXPECT_THAT(with.problems, IsEmpty());
}

TEST(FunctionView, AFabricHasNoBusIdButAPath) {
    FunctionView view = pf("gpu0");
    view.pci_address = "10000:02:00.0";
    view.pcie_root = "pci0000:00";
    view.port_path = "0000:00:05.0/10000:00:00.0/10000:01:00.0";
    view.numa_node = -1;
    const Made made = make({view});
    EXPECT_THAT(made.problems, IsEmpty());
    const auto& attributes = made.pool.devices.at(0).attributes;
    EXPECT_FALSE(attributes.contains("resource.kubernetes.io/pciBusID"));
    EXPECT_FALSE(attributes.contains("resource.kubernetes.io/numaNode"));
    EXPECT_FALSE(attributes.contains("gpu.example.com/numaNode"));
    EXPECT_EQ(attributes.at("gpu.example.com/pciAddress"), Attribute(std::string("10000:02:00.0")));
    EXPECT_EQ(attributes.at("gpu.example.com/portPath"),
              Attribute(std::string("10000:00:00.0/01:00.0")));
}

TEST(FunctionView, StandardAttributesAreOfTheirFormat) {
    for (const char* const bad : {"0000:AB:00.0", "0000:11:00.00", "x", "0000:11:00.0\n"}) {
        FunctionView view = pf("gpu0");
        view.pci_address = bad;
        view.pcie_root = bad;
        const auto attributes = make({view}).pool.devices.at(0).attributes;
        EXPECT_FALSE(attributes.contains("resource.kubernetes.io/pciBusID")) << bad;
        EXPECT_FALSE(attributes.contains("resource.kubernetes.io/pcieRoot")) << bad;
    }
}

TEST(FunctionView, HostileTextsLeaveOutTheAttributeAlone) {
    for (const std::string& bad :
         {std::string(), std::string(65, 'x'), std::string("a\x1b[31m"), std::string("\xff\xfe"),
          std::string("a\nb"), std::string("a\0b", 3), std::string(1 << 20, 'y')}) {
        FunctionView view = pf("gpu0");
        view.files["uuid"] = bad;
        const Made made = make({view, pf("gpu1")});
        ASSERT_THAT(made.pool.devices, SizeIs(2));
        EXPECT_FALSE(made.pool.devices[0].attributes.contains("gpu.example.com/uuid"));
        EXPECT_TRUE(made.pool.devices[0].capacity.contains("gpu.example.com/memory"));
        EXPECT_TRUE(made.pool.devices[1].attributes.contains("gpu.example.com/uuid"));
        ASSERT_THAT(made.problems, SizeIs(1));
        EXPECT_THAT(made.problems[0], HasSubstr("gpu0: gpu.example.com/uuid is left out"));
        EXPECT_LT(made.problems[0].size(), 600u);
        EXPECT_EQ(made.problems[0].find('\x1b'), std::string::npos);
    }
    FunctionView view = pf("gpu0");
    view.files["uuid"] = std::string(64, 'x');
    EXPECT_TRUE(make({view}).pool.devices[0].attributes.contains("gpu.example.com/uuid"));
}

TEST(FunctionView, NumbersThatAreNoneAreLeftOut) {
    for (const char* const bad :
         {"", "-1", "0x", "12 ", "1e9", "99999999999999999999", "0xffffffffffffffff"}) {
        FunctionView view = pf("gpu0");
        view.files["capabilities"] = bad;
        view.files["memory_size"] = bad;
        view.files["fw_version"] = bad;
        const Made made = make({view});
        EXPECT_THAT(made.pool.devices.at(0).capacity, IsEmpty()) << bad;
        EXPECT_THAT(made.problems, SizeIs(3)) << bad;
    }
}

TEST(FunctionView, NamesThatAreNoneLeaveOutTheDevice) {
    const Made made = make({pf("GPU0"), pf(std::string(64, 'g')), pf("gpu 1"), pf(""), pf("gpu1"),
                            pf("gpu0_vf1"), pf("gpu0-vf1")});
    EXPECT_EQ(names(made.pool).size(), 2u);
    EXPECT_THAT(names(made.pool), testing::UnorderedElementsAre("gpu0-vf1", "gpu1"));
    EXPECT_THAT(made.problems, SizeIs(5));
    EXPECT_THAT(made.problems, Contains(HasSubstr("there is a gpu0-vf1 already")));
}

TEST(FunctionView, AFunctionThatLiesAboutItsPfIsPublishedAlone) {
    FunctionView own = vf("gpu0", 0);
    own.parent = own.node;
    FunctionView orphan = vf("gpu9", 0);
    FunctionView nested = vf("gpu0_vf0", 1);
    const Made made = make({own, orphan, nested});
    EXPECT_THAT(made.pool.devices, SizeIs(3));
    EXPECT_THAT(made.pool.counter_sets, IsEmpty());
}

TEST(FunctionView, TaintsAreThereOnceAndBounded) {
    FunctionView view = pf("gpu0");
    for (int index = 0; index < 20; ++index) {
        view.taints.push_back({fmt::format("gpu.example.com/t{}", index / 2), "", {}});
    }
    view.taints.push_back({"no key", "", {}});
    const Made made = make({view});
    EXPECT_THAT(made.pool.devices.at(0).taints, SizeIs(10));
    EXPECT_THAT(made.problems, SizeIs(1));
}

}  // namespace
}  // namespace mimic::slices
