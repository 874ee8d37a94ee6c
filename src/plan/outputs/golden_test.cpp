// SPDX-License-Identifier: Apache-2.0
// The examples in every format, and the reports of bad files, against files in testdata/.
#include <gmock/gmock.h>

#include <cstdio>
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "devices/all_models.h"
#include "outputs/outputs.h"
#include "topology/test_files.h"
#include "topology/topology.h"

namespace mimic::outputs {
namespace {

const std::filesystem::path kGolden = topology::kRoot / "src/plan/outputs/testdata/golden";

constexpr struct {
    Format format;
    const char* extension;
} kOutputs[] = {{Format::kQemu, ".qemu.txt"},
                {Format::kLibvirt, ".libvirt.xml"},
                {Format::kTree, ".tree.json"},
                {Format::kSvg, ".svg"},
                {Format::kTable, ".table.txt"}};

TEST(Golden, ExamplesInEveryFormat) {
    const auto examples = topology::list_files(topology::kRoot / "examples", ".yaml");
    ASSERT_GE(examples.size(), 4u);
    for (const auto& example : examples) {
        const auto model = topology::parse(topology::read_file(example),
                                           example.filename().string(), devices::all_models());
        ASSERT_TRUE(model) << model.error().str();
        for (const auto& output : kOutputs) {
            const auto text = render(*model, output.format, "/run/mimic");
            if (output.format == Format::kLibvirt && model->machines.size() > 1) {
                ASSERT_FALSE(text);
                EXPECT_THAT(text.error().message(), testing::HasSubstr("--machine node1"));
                continue;
            }
            ASSERT_TRUE(text) << text.error().message();
            topology::expect_golden(kGolden / (example.stem().string() + output.extension), *text);
        }
    }
}

/// `machine` of `model` alone, as `mimic plan --machine` has it.
topology::Model only(topology::Model model, const std::string& machine) {
    EXPECT_TRUE(topology::keep_machine(model, machine));
    return model;
}

/// What `mimic plan --prepare` makes a domain of: absolute paths, and all that a machine may have.
std::string prepared_domain(const topology::Machine& machine) {
    RunContext context = default_context(machine, "/run/mimic/" + machine.name);
    if (!context.kernel.empty()) context.kernel = "/run/mimic/vmlinuz";
    if (!context.disk_base.empty()) context.disk_base = "/srv/images/base.qcow2";
    const auto xml = libvirt_xml(machine, context);
    EXPECT_TRUE(xml) << machine.name;
    return xml ? *xml : "";
}

// libvirt's own schema is the judge, of every machine that we have.
TEST(Libvirt, EveryDocumentIsADomainOfItsSchema) {
    constexpr const char* kSchema = "/usr/share/libvirt/schemas/domain.rng";
    if (!std::filesystem::exists(kSchema) || !std::filesystem::exists("/usr/bin/xmllint"))
        GTEST_SKIP() << "no " << kSchema << " or xmllint (tools/setup test)";
    std::string made = "/tmp/mimic-libvirt.XXXXXX";
    ASSERT_NE(::mkdtemp(made.data()), nullptr);
    const std::filesystem::path folder = made;
    std::string files;
    for (const auto& file : topology::good_files()) {
        const auto model = topology::load(file.string(), devices::all_models());
        ASSERT_TRUE(model) << model.error().message();
        for (const auto& machine : model->machines) {
            const auto path = folder / (file.stem().string() + "." + machine.name + ".xml");
            const auto xml = render(only(*model, machine.name), Format::kLibvirt, "/run/mimic",
                                    {{machine.arch, "/opt/qemu/bin/qemu"}});
            ASSERT_TRUE(xml) << file << xml.error().message();
            EXPECT_THAT(*xml, testing::HasSubstr("<emulator>/opt/qemu/bin/"));
            EXPECT_THAT(*xml, testing::Not(testing::HasSubstr("<kernel>")));
            std::ofstream(path) << *xml;
            const std::string prepared = path.string() + ".prepared";
            std::ofstream(prepared) << prepared_domain(machine);
            files += " " + path.string() + " " + prepared;
        }
    }
    const std::string log = (folder / "log").string();
    const std::string command = std::string("/usr/bin/xmllint --noout --relaxng ") + kSchema +
                                files + " >" + log + " 2>&1";
    EXPECT_EQ(std::system(command.c_str()), 0) << topology::read_file(log);
    std::filesystem::remove_all(folder);
}

TEST(Libvirt, HoldsWhatWasPrepared) {
    const auto model = topology::parse(
        "version: 1\nmachines:\n"
        "  - {name: own, kernel: ./bzImage, share: [{host: ., guest: /src, readonly: true}]}\n"
        "  - {name: cloud, image: d.qcow2, firmware: uefi}\n",
        "t.yaml", devices::all_models());
    ASSERT_TRUE(model) << model.error().str();
    const std::string own = prepared_domain(model->machines[0]);
    EXPECT_THAT(own, testing::HasSubstr("<kernel>/run/mimic/vmlinuz</kernel>"));
    EXPECT_THAT(own, testing::HasSubstr("mimic.share=share0:ro:/src</cmdline>"));
    EXPECT_THAT(own, testing::HasSubstr("virtio-9p-pci,id=mimic-share0"));
    EXPECT_THAT(own, testing::Not(testing::HasSubstr("nothing to boot")));
    const std::string cloud = prepared_domain(model->machines[1]);
    EXPECT_THAT(cloud, testing::HasSubstr("<nvram>/run/mimic/cloud/uefi-variables.fd</nvram>"));
    EXPECT_THAT(cloud, testing::HasSubstr("<source file='/srv/images/base.qcow2'/>"));
}

TEST(Libvirt, SaysWhatItCannotHold) {
    const auto cluster = topology::load(
        (topology::kRoot / "examples/two-node-cluster.yaml").string(), devices::all_models());
    ASSERT_TRUE(cluster);
    const auto xml = render(only(*cluster, "node2"), Format::kLibvirt, "/run/mimic");
    ASSERT_TRUE(xml);
    EXPECT_THAT(*xml, testing::StartsWith("<domain "));
    EXPECT_THAT(*xml, testing::HasSubstr("mimic serve FILE --machine node2 --run-dir "
                                         "/run/mimic/node2"));
    EXPECT_THAT(*xml, testing::HasSubstr("nothing to boot"));
    topology::Model model = *cluster;
    const auto nearest = topology::keep_machine(model, "nodd1");
    ASSERT_FALSE(nearest);
    EXPECT_THAT(nearest.error().message(), testing::HasSubstr("did you mean node1?"));
    EXPECT_EQ(model.machines.size(), 2U);
}

/// The numbers behind `name="` in order, from `at` on.
unsigned attribute(const std::string& svg, size_t at, const std::string& name) {
    const size_t found = svg.find(name + "=\"", at);
    return static_cast<unsigned>(std::stoul(svg.substr(found + name.size() + 2)));
}

TEST(Picture, PortsOfASwitchHangFromIt) {
    const auto model = topology::load((topology::kRoot / "examples/switch-tree.yaml").string(),
                                      devices::all_models());
    ASSERT_TRUE(model);
    const std::string svg = picture_svg(*model);
    size_t switches = 0;
    for (size_t at = svg.find("class=\"switch\""); at != std::string::npos;
         at = svg.find("class=\"switch\"", at + 1)) {
        ++switches;
        const size_t rect = svg.rfind("<rect", at);
        const unsigned left = attribute(svg, rect, "x");
        const unsigned right = left + attribute(svg, rect, "width");
        const unsigned bottom = attribute(svg, rect, "y") + attribute(svg, rect, "height");
        // The first line behind it is that to its first port.
        const size_t path = svg.find("<path d=\"M ", at) + 11;
        unsigned x = 0;
        unsigned y = 0;
        ASSERT_EQ(std::sscanf(svg.c_str() + path, "%u %u", &x, &y), 2);
        EXPECT_EQ(y, bottom);
        EXPECT_GT(x, left);
        EXPECT_LT(x, right);
    }
    EXPECT_EQ(switches, 4U);
}

TEST(Golden, BadFilesAreReportedWithPlaceAndExpectation) {
    const auto files = topology::list_files(topology::kTestData / "bad", ".yaml");
    ASSERT_GE(files.size(), 30u);
    for (const auto& file : files) {
        const auto model = topology::parse(topology::read_file(file), file.filename().string(),
                                           devices::all_models());
        ASSERT_FALSE(model) << file;
        auto expected = file;
        topology::expect_golden(expected.replace_extension(".txt"), model.error().str());
    }
}

TEST(Golden, GoodFilesParse) {
    for (const auto& file : topology::good_files()) {
        const auto model = topology::load(file.string(), devices::all_models());
        EXPECT_TRUE(model) << model.error().message();
    }
}

TEST(Golden, SmallestFileHasSixLines) {
    const auto model = topology::parse(
        "version: 1\n"
        "machine:\n"
        "  name: m\n"
        "  devices:\n"
        "    - name: gpu0\n"
        "      model: mock-accel\n",
        "six.yaml", devices::all_models());
    ASSERT_TRUE(model) << model.error().str();
    const topology::FunctionSpec& function = model->machines.at(0).devices.at(0).functions.at(0);
    EXPECT_EQ(function.bdf.str(), "0000:01:00.0");
    EXPECT_EQ(function.identifier.text, "m-gpu0");
    EXPECT_EQ(function.memory_size(), 16ull << 30);
    EXPECT_EQ(model->machines[0].memory, 512ull << 20);
    EXPECT_EQ(model->machines[0].kernel.release, "6.1");
}

TEST(Golden, TreeOfAllGoodFilesIsJson) {
    for (const auto& file : topology::good_files()) {
        const auto model = topology::load(file.string(), devices::all_models());
        ASSERT_TRUE(model) << model.error().message();
        const auto tree = nlohmann::json::parse(tree_json(*model), nullptr, false);
        ASSERT_FALSE(tree.is_discarded()) << file;
        EXPECT_EQ(tree["machines"].size(), model->machines.size());
    }
}

TEST(Golden, LoadReportsFilesThatCannotBeRead) {
    const auto missing = topology::load("/nonexistent/x.yaml", devices::all_models());
    ASSERT_FALSE(missing);
    EXPECT_EQ(missing.error().code(), std::errc::no_such_file_or_directory);
    const auto folder = topology::load("/", devices::all_models());
    ASSERT_FALSE(folder);
    EXPECT_EQ(folder.error().code(), std::errc::is_a_directory);
}

TEST(Golden, FormatNames) {
    EXPECT_EQ(parse_format("svg").value(), Format::kSvg);
    const auto unknown = parse_format("png");
    ASSERT_FALSE(unknown);
    EXPECT_THAT(unknown.error().message(), testing::HasSubstr("qemu, libvirt, tree, svg or table"));
}

}  // namespace
}  // namespace mimic::outputs
