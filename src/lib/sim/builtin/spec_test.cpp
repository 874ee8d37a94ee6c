// SPDX-License-Identifier: Apache-2.0
#include "sim/builtin/spec.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <unistd.h>

#include <cmath>
#include <fstream>

#include "base/testing/virtual_time.h"
#include "sim/models/formulas.h"

namespace mimic::sim {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

std::string complaint(const BuiltinSpec& spec) {
    const Status status = validate(spec);
    return status ? "" : status.error().message();
}

TEST(BuiltinSpecTest, WordsGoBothWays) {
    for (const ModelKind kind : kModelKinds) EXPECT_EQ(model_kind(word(kind)), kind);
    EXPECT_EQ(model_kind("square"), std::nullopt);
    EXPECT_EQ(dataflow(word(Dataflow::kInputStationary)), Dataflow::kInputStationary);
    EXPECT_EQ(lookup(word(Lookup::kSequence)), Lookup::kSequence);
}

TEST(BuiltinSpecTest, AsMadeIsGood) {
    EXPECT_EQ(complaint({}), "");
    EXPECT_EQ(complaint({.models = {{}}}), "");
}

TEST(BuiltinSpecTest, ComplaintsNameTheirKey) {
    const auto model = [](ModelSpec spec) { return complaint({.models = {{}, std::move(spec)}}); };
    EXPECT_THAT(complaint({.scale = 0}), StartsWith("scale: is 0; it must be"));
    EXPECT_THAT(complaint({.scale = std::nan("")}), StartsWith("scale: "));
    EXPECT_THAT(complaint({.memory_bytes = ~0ull}), StartsWith("memory: "));
    EXPECT_THAT(complaint({.clock_hz = 0}), StartsWith("clock: "));
    EXPECT_THAT(complaint({.units = 0}), StartsWith("units: is 0; it must be 1 .. 65536"));
    EXPECT_THAT(complaint({.launch_latency = kTooLong}), StartsWith("launch-latency: is 10000 s"));
    EXPECT_THAT(complaint({.max_in_flight = 0}), StartsWith("max-in-flight: "));
    EXPECT_THAT(complaint({.models = std::vector<ModelSpec>(257)}), StartsWith("models: are 257"));
    EXPECT_THAT(model({.latency = kTooLong}), StartsWith("models[1].latency: "));
    EXPECT_THAT(model({.jitter = 1.5}), StartsWith("models[1].jitter: is 1.5; it must be 0 .. 1"));
    EXPECT_THAT(model({.kind = ModelKind::kBandwidth}), StartsWith("models[1].bandwidth: "));
    EXPECT_THAT(model({.kind = ModelKind::kRoofline, .bandwidth = 1}),
                StartsWith("models[1].peak: "));
    EXPECT_THAT(model({.kind = ModelKind::kContention, .shared = 0}),
                StartsWith("models[1].shared: "));
    EXPECT_THAT(model({.kind = ModelKind::kContention, .penalty = -1}),
                StartsWith("models[1].penalty: "));
    EXPECT_THAT(model({.kind = ModelKind::kSystolic, .rows = 4}),
                StartsWith("models[1].columns: "));
    EXPECT_THAT(model({.kind = ModelKind::kTable}), StartsWith("models[1].points: or `file`"));
    EXPECT_THAT(model({.kind = ModelKind::kTable, .points = {{2, 1}, {2, 1}}}),
                HasSubstr("in order of units"));
    EXPECT_THAT(model({.kind = ModelKind::kTable, .points = {{2, 1}}, .file = "x"}),
                StartsWith("models[1].file: "));
    EXPECT_THAT(model({.m = 2'000'000}), StartsWith("models[1].m: "));
}

class TableFile : public testing::Test {
protected:
    ~TableFile() override { ::unlink(path_.c_str()); }
    void write(std::string_view text) { std::ofstream(path_) << text; }
    std::string path_ = testing::TempDir() + "mimic-points-" + std::to_string(::getpid());
};

TEST_F(TableFile, IsReadWithUnitsOfTime) {
    write("# measured on a Tuesday\n1 100\n 2,1.5us # two\n\n3;2ms\r\n4\t1s\n5 7ps\n");
    const auto points = load_points(path_);
    ASSERT_TRUE(points) << points.error().message();
    EXPECT_EQ(
        *points,
        (std::vector<TablePoint>{
            {1, 100'000}, {2, 1'500'000}, {3, 2'000'000'000}, {4, 1'000'000'000'000}, {5, 7}}));
}

TEST_F(TableFile, BadLinesAreNamed) {
    for (const char* bad : {"x 1", "1", "1 2 3", "1 2h", "-1 2", "1 -2", "1 nan", "1 inf",
                            "1 1e30s", "99999999999999999999 1"}) {
        write(std::string("1 1\n") + bad + "\n");
        const auto points = load_points(path_);
        ASSERT_FALSE(points) << bad;
        EXPECT_THAT(points.error().message(), HasSubstr(path_ + ":2:")) << bad;
    }
    write("# nothing\n");
    EXPECT_FALSE(load_points(path_));
    EXPECT_FALSE(load_points("/dev/zero"));
    EXPECT_FALSE(load_points("/"));
    EXPECT_EQ(load_points("/nowhere/at/all").error().code(), std::errc::no_such_file_or_directory);
}

TEST_F(TableFile, MakeBuiltinChecksWhatItHasRead) {
    VirtualTime time;
    write("5 1us\n4 2us\n");
    BuiltinSpec spec{.models = {{.kind = ModelKind::kTable, .file = path_}}};
    const auto simulator = make_builtin(spec, time);
    ASSERT_FALSE(simulator);
    EXPECT_THAT(simulator.error().message(), StartsWith("models[0].points: "));
    spec.models[0].lookup = Lookup::kSequence;
    EXPECT_TRUE(make_builtin(spec, time));
}

}  // namespace
}  // namespace mimic::sim
