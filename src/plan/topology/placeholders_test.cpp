// SPDX-License-Identifier: Apache-2.0
#include "topology/placeholders.h"

#include <gtest/gtest.h>

namespace mimic::topology {
namespace {

TEST(Placeholders, Expand) {
    const Scope scope{
        .index = 7, .machine_index = 1, .device_index = 2, .machine = "m", .device = "d"};
    std::string problem;
    const auto expand = [&](std::string_view text) {
        return expand_placeholders(text, scope, problem).value_or("<bad>");
    };
    EXPECT_EQ(expand("a{index}b"), "a7b");
    EXPECT_EQ(expand("{index:04}"), "0007");
    EXPECT_EQ(expand("{index+3:03}"), "010");
    EXPECT_EQ(expand("{machine}-{device}-{machine_index}{device_index}"), "m-d-12");
    EXPECT_EQ(expand("{{x}}"), "{x}");
    EXPECT_EQ(expand("a}"), "a}");
    for (const char* bad : {"{", "{}", "{x}", "{index", "{index:}", "{index:x}", "{index:099}",
                            "{index+}", "{index+-1}", "{machine:04}"}) {
        problem.clear();
        EXPECT_EQ(expand(bad), "<bad>") << bad;
        EXPECT_FALSE(problem.empty()) << bad;
    }
}

}  // namespace
}  // namespace mimic::topology
