// SPDX-License-Identifier: Apache-2.0
// The examples in every format, and the reports of bad files, against files in testdata/.
#include <gmock/gmock.h>

#include <nlohmann/json.hpp>

#include "topology/test_files.h"
#include "topology/topology.h"

namespace mimic::topology {
namespace {

constexpr struct {
    Format format;
    const char* extension;
} kOutputs[] = {{Format::kQemu, ".qemu.txt"},
                {Format::kLibvirt, ".libvirt.xml"},
                {Format::kTree, ".tree.json"},
                {Format::kSvg, ".svg"}};

TEST(Golden, ExamplesInEveryFormat) {
    const auto examples = list_files(kRoot / "examples", ".yaml");
    ASSERT_GE(examples.size(), 4u);
    for (const auto& example : examples) {
        const auto model = parse(read_file(example), example.filename().string());
        ASSERT_TRUE(model) << model.error().str();
        for (const auto& output : kOutputs) {
            const auto text = render(*model, output.format, "/run/mimic");
            ASSERT_TRUE(text) << text.error().message();
            expect_golden(kTestData / "golden" / (example.stem().string() + output.extension),
                          *text);
        }
    }
}

TEST(Golden, BadFilesAreReportedWithPlaceAndExpectation) {
    const auto files = list_files(kTestData / "bad", ".yaml");
    ASSERT_GE(files.size(), 30u);
    for (const auto& file : files) {
        const auto model = parse(read_file(file), file.filename().string());
        ASSERT_FALSE(model) << file;
        auto expected = file;
        expect_golden(expected.replace_extension(".txt"), model.error().str());
    }
}

TEST(Golden, GoodFilesParse) {
    for (const auto& file : good_files()) {
        const auto model = load(file.string());
        EXPECT_TRUE(model) << model.error().message();
    }
}

TEST(Golden, SmallestFileHasSixLines) {
    const auto model = parse(
        "version: 1\n"
        "machine:\n"
        "  name: m\n"
        "  devices:\n"
        "    - name: gpu0\n"
        "      model: mock-accel\n",
        "six.yaml");
    ASSERT_TRUE(model) << model.error().str();
    const Function& function = model->machines.at(0).devices.at(0).functions.at(0);
    EXPECT_EQ(function.bdf.str(), "0000:01:00.0");
    EXPECT_EQ(function.identifier.text, "m-gpu0");
    EXPECT_EQ(function.memory_size, 16ull << 30);
    EXPECT_EQ(model->machines[0].memory, 512ull << 20);
    EXPECT_EQ(model->machines[0].kernel.release, "6.1");
}

TEST(Golden, TreeOfAllGoodFilesIsJson) {
    for (const auto& file : good_files()) {
        const auto model = load(file.string());
        ASSERT_TRUE(model) << model.error().message();
        const auto tree = nlohmann::json::parse(tree_json(*model), nullptr, false);
        ASSERT_FALSE(tree.is_discarded()) << file;
        EXPECT_EQ(tree["machines"].size(), model->machines.size());
    }
}

TEST(Golden, LoadReportsFilesThatCannotBeRead) {
    const auto missing = load("/nonexistent/x.yaml");
    ASSERT_FALSE(missing);
    EXPECT_EQ(missing.error().code(), std::errc::no_such_file_or_directory);
    const auto folder = load("/");
    ASSERT_FALSE(folder);
    EXPECT_EQ(folder.error().code(), std::errc::is_a_directory);
}

TEST(Golden, FormatNames) {
    EXPECT_EQ(parse_format("svg").value(), Format::kSvg);
    const auto unknown = parse_format("png");
    ASSERT_FALSE(unknown);
    EXPECT_THAT(unknown.error().message(), testing::HasSubstr("qemu, libvirt, tree or svg"));
}

}  // namespace
}  // namespace mimic::topology
