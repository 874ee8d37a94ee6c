// SPDX-License-Identifier: Apache-2.0
#include "sim_server/words.h"

#include <gtest/gtest.h>

namespace mimic::sim_server {
namespace {

TEST(Words, TimesHaveUnits) {
    EXPECT_EQ(parse_time("100").value(), 100'000u);
    EXPECT_EQ(parse_time("7ps").value(), 7u);
    EXPECT_EQ(parse_time("1.5us").value(), 1'500'000u);
    EXPECT_EQ(parse_time("2s").value(), 2'000'000'000'000u);
    for (const auto* const bad : {"", "us", "-1us", "1h", "1us ", "nan", "1e30s"})
        EXPECT_FALSE(parse_time(bad)) << bad;
}

TEST(Words, SizesAreBinaryAndRatesDecimal) {
    EXPECT_EQ(parse_bytes("256M").value(), 256u << 20);
    EXPECT_EQ(parse_bytes("17").value(), 17u);
    EXPECT_EQ(parse_rate("12.5G").value(), 12'500'000'000u);
    EXPECT_EQ(parse_rate("1GHz").value(), 1'000'000'000u);
    EXPECT_EQ(parse_rate("100MB/s").value(), 100'000'000u);
    EXPECT_FALSE(parse_rate("fast"));
    EXPECT_FALSE(parse_bytes("1X"));
}

TEST(Words, AModelIsAKindWithKeys) {
    const auto model = parse_model(
                           "roofline:name=gpu,peak=1T,bandwidth=100G,bytes-per-unit=64,latency=2us")
                           .value();
    EXPECT_EQ(model.kind, sim::ModelKind::kRoofline);
    EXPECT_EQ(model.name, "gpu");
    EXPECT_EQ(model.peak, 1'000'000'000'000u);
    EXPECT_EQ(model.bandwidth, 100'000'000'000u);
    EXPECT_EQ(model.bytes_per_unit, 64u);
    EXPECT_EQ(model.latency, 2'000'000u);
    EXPECT_EQ(parse_model("fixed").value().kind, sim::ModelKind::kFixed);
    EXPECT_EQ(parse_model("systolic:rows=16,columns=8,dataflow=weight-stationary").value().dataflow,
              sim::Dataflow::kWeightStationary);
}

TEST(Words, AModelsMistakesAreNamed) {
    EXPECT_NE(parse_model("rooflin").error().message().find("roofline"), std::string::npos);
    EXPECT_NE(parse_model("fixed:latenci=1").error().message().find("latency"), std::string::npos);
    EXPECT_NE(parse_model("fixed:latency").error().message().find("missing"), std::string::npos);
    EXPECT_NE(parse_model("fixed:latency=x").error().message().find("no time"), std::string::npos);
    EXPECT_NE(parse_model("systolic:rows=-1").error().message().find("rows"), std::string::npos);
}

TEST(Words, RegistersHaveAPathAKindAndMaybeABase) {
    const auto echo = parse_registers("/tmp/a=b.sock=echo").value();
    EXPECT_EQ(echo.path, "/tmp/a=b.sock");
    EXPECT_EQ(echo.device.kind, DeviceKind::kEcho);
    EXPECT_FALSE(echo.base);
    const auto compute = parse_registers("x=compute@0x10300000").value();
    EXPECT_EQ(compute.base, 0x10300000u);
    for (const auto* const bad : {"x", "=echo", "x=gpu", "x=echo@12", "x=echo@0xz"})
        EXPECT_FALSE(parse_registers(bad)) << bad;
}

}  // namespace
}  // namespace mimic::sim_server
