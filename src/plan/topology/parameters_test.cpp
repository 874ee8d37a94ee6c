// SPDX-License-Identifier: Apache-2.0
#include "topology/parameters.h"

#include <gtest/gtest.h>

#include "devices/all_models.h"
#include "topology/topology.h"

namespace mimic::topology {
namespace {

Parameters parameters(std::initializer_list<const char*> pairs) {
    Parameters out;
    for (const char* pair : pairs) EXPECT_TRUE(add_parameter(out, pair)) << pair;
    return out;
}

TEST(Parameters, ValuesAndDefaultsAreReplaced) {
    const auto replace = [](std::string_view text, const Parameters& given) {
        return replace_parameters(text, given).value();
    };
    EXPECT_EQ(replace("count: ${gpus}", parameters({"gpus=4"})), "count: 4");
    EXPECT_EQ(replace("count: ${gpus:-2}", parameters({"gpus=4"})), "count: 4");
    EXPECT_EQ(replace("count: ${gpus:-2}", {}), "count: 2");
    EXPECT_EQ(replace("${a}${a}-${b:-x.y/z}", parameters({"a=1"})), "11-x.y/z");
    // Without value or default it stays, as what only looks like one does.
    for (const char* same : {"${gpus}", "$", "${", "${}", "${1}", "$gpus", "${a-b}", "${a:-}",
                             "${a:-b c}", "a$", "${a:-{b}", "$${"})
        EXPECT_EQ(replace(same, {}), same);
    EXPECT_EQ(replace("$${a}", parameters({"a=1"})), "$1");
}

TEST(Parameters, OneThatNobodyAsksForIsAnError) {
    const auto bad = replace_parameters("count: ${gpus:-2}", parameters({"gpu=4"}));
    ASSERT_FALSE(bad);
    EXPECT_NE(bad.error().message().find("did you mean gpus?"), std::string::npos)
        << bad.error().message();
}

// Nothing that would be more than one scalar to YAML gets in.
TEST(Parameters, HostileWordsAreRefused) {
    Parameters out;
    for (const char* bad :
         {"",     "=",     "a",     "a=",    "=1",   "1a=1",  "a b=1",     "a=1 2", "a=1\n2",
          "a=#1", "a={x}", "a=[1]", "a='1'", "a=\"", "a=&x",  "a=*x",      "a=- 1", "a=-1",
          "a=x:", "a=:x",  "a=!x",  "a=%x",  "a=\t", "a=1,2", "a=\xc3\xa4"})
        EXPECT_FALSE(add_parameter(out, bad)) << bad;
    EXPECT_FALSE(add_parameter(out, "a=" + std::string(64, 'x')));
    EXPECT_FALSE(add_parameter(out, std::string(64, 'x') + "=1"));
    EXPECT_TRUE(out.empty());
    ASSERT_TRUE(add_parameter(out, "a=1"));
    EXPECT_FALSE(add_parameter(out, "a=2"));
    EXPECT_EQ(out["a"], "1");
}

TEST(Parameters, LinesOfAFile) {
    Parameters out;
    ASSERT_TRUE(add_parameter_lines(out, "# one\n\na=1\r\nb=512M"));
    EXPECT_EQ(out, (Parameters{{"a", "1"}, {"b", "512M"}}));
    const auto bad = add_parameter_lines(out, "c=1\nd\n");
    ASSERT_FALSE(bad);
    EXPECT_NE(bad.error().message().find("line 2"), std::string::npos) << bad.error().message();
}

// Every reader of a file knows defaults, so that a file with parameters is a topology file.
TEST(Parameters, ParseTakesDefaults) {
    constexpr std::string_view kText =
        "version: 1\nmachine:\n  name: m\n  memory: ${memory:-512M}\n"
        "  devices: [{name: \"g{index}\", model: mock-accel, count: ${gpus:-3}}]\n";
    const auto model = parse(kText, "f", devices::all_models());
    ASSERT_TRUE(model) << model.error().str();
    EXPECT_EQ(model->machines[0].devices.size(), 3u);
    EXPECT_FALSE(
        parse("version: 1\nmachine: {name: m, cpus: \"${cpus}\"}\n", "f", devices::all_models()));
}

}  // namespace
}  // namespace mimic::topology
