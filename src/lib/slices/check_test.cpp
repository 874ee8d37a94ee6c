// SPDX-License-Identifier: Apache-2.0
// Each rule and limit of resource.k8s.io/v1, on both sides.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

#include "slices/names.h"
#include "slices/slices.h"

namespace mimic::slices {
namespace {

using testing::HasSubstr;

Pool good_pool() {
    return Pool{.driver = "gpu.example.com",
                .name = "n1",
                .node = "n1",
                .devices = {Device{.name = "gpu0"}},
                .counter_sets = {}};
}

// The problems of a pool that differs from good_pool() as `change` says; "" if there are none.
std::string problems_after(const std::function<void(Pool*)>& change) {
    Pool pool = good_pool();
    change(&pool);
    const Status status = check(pool);
    return status ? std::string() : status.error().message();
}

std::string problems_of_device(const std::function<void(Device*)>& change) {
    return problems_after([&change](Pool* pool) { change(&pool->devices[0]); });
}

TEST(SlicesCheck, AGoodPoolHasNoProblems) {
    EXPECT_EQ(problems_after([](Pool*) {}), "");
}

TEST(SlicesCheck, NamesHaveTheirGrammar) {
    EXPECT_TRUE(is_dns_label(std::string(63, 'a')));
    EXPECT_FALSE(is_dns_label(std::string(64, 'a')));
    for (const char* const bad : {"", "-a", "a-", "A", "mock0_vf1", "a.b", "\xff", "a\n"}) {
        EXPECT_FALSE(is_dns_label(bad)) << bad;
    }
    EXPECT_TRUE(is_dns_subdomain("a.b-c.0", 63));
    EXPECT_FALSE(is_dns_subdomain("a..b", 63));
    EXPECT_FALSE(is_dns_subdomain("a.", 63));
    EXPECT_TRUE(is_dns_subdomain(std::string(63, 'a'), 63));
    EXPECT_FALSE(is_dns_subdomain(std::string(64, 'a'), 63));
    EXPECT_TRUE(is_pool_name("a.b/c"));
    EXPECT_FALSE(is_pool_name("a.b/"));
    EXPECT_TRUE(is_pool_name(std::string(253, 'a')));
    EXPECT_FALSE(is_pool_name(std::string(254, 'a')));
}

TEST(SlicesCheck, AttributesAreCIdentifiersBelowADomain) {
    EXPECT_TRUE(is_qualified_name("pcieRoot"));
    EXPECT_TRUE(is_qualified_name("gpu.example.com/_x9"));
    EXPECT_TRUE(is_qualified_name("d/" + std::string(32, 'x')));
    EXPECT_FALSE(is_qualified_name("d/" + std::string(33, 'x')));
    EXPECT_TRUE(is_qualified_name(std::string(63, 'd') + "/x"));
    EXPECT_FALSE(is_qualified_name(std::string(64, 'd') + "/x"));
    for (const char* const bad : {"", "/x", "d/", "9x", "a-b", "a/b/c", "D/x"}) {
        EXPECT_FALSE(is_qualified_name(bad)) << bad;
    }
}

TEST(SlicesCheck, TaintsAreLabels) {
    EXPECT_TRUE(is_label_key("gpu.example.com/failed"));
    EXPECT_TRUE(is_label_key("A.b_c-d"));
    EXPECT_TRUE(is_label_key("d/" + std::string(63, 'x')));
    EXPECT_FALSE(is_label_key("d/" + std::string(64, 'x')));
    for (const char* const bad : {"", "d/", "-x", "x-", "a/b/c", "D/x", "x y"}) {
        EXPECT_FALSE(is_label_key(bad)) << bad;
    }
    EXPECT_TRUE(is_label_value(""));
    EXPECT_TRUE(is_label_value(std::string(63, 'v')));
    EXPECT_FALSE(is_label_value(std::string(64, 'v')));
}

TEST(SlicesCheck, VersionsAreSemantic) {
    for (const char* const good : {"0.0.0", "1.2.30", "1.0.0-rc.1+build.01", "1.0.0+x-y"}) {
        EXPECT_TRUE(is_version(good)) << good;
    }
    for (const char* const bad :
         {"", "1", "1.2", "1.2.3.4", "01.2.3", "1.2.3-", "1.2.3-01", "v1.2.3", "1.2.3 "}) {
        EXPECT_FALSE(is_version(bad)) << bad;
    }
    EXPECT_TRUE(is_version("1.0.0-" + std::string(58, 'a')));
    EXPECT_FALSE(is_version("1.0.0-" + std::string(59, 'a')));
}

TEST(SlicesCheck, TextIsUtf8Of64Bytes) {
    EXPECT_TRUE(is_attribute_text(std::string(64, 'x')));
    EXPECT_FALSE(is_attribute_text(std::string(65, 'x')));
    EXPECT_TRUE(is_attribute_text("\xc3\xa4 \xe2\x82\xac \xf0\x9f\x98\x80"));
    // A continuation alone, half a character, overlong, a surrogate, above U+10FFFF.
    for (const char* const bad : {"\x80", "\xc3", "\xe2\x82", "\xc0\xaf", "\xe0\x80\xaf",
                                  "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xff"}) {
        EXPECT_FALSE(is_attribute_text(bad));
    }
}

TEST(SlicesCheck, ThePoolIsNamed) {
    EXPECT_THAT(problems_after([](Pool* pool) { pool->driver = std::string(64, 'd'); }),
                HasSubstr("driver"));
    EXPECT_THAT(problems_after([](Pool* pool) { pool->name = ""; }), HasSubstr("pool"));
    EXPECT_THAT(problems_after([](Pool* pool) { pool->node = "N1"; }), HasSubstr("node \"N1\""));
}

TEST(SlicesCheck, DevicesAreNamedOnce) {
    EXPECT_THAT(problems_of_device([](Device* device) { device->name = "gpu0_vf1"; }),
                HasSubstr("device \"gpu0_vf1\" is no DNS label"));
    EXPECT_THAT(problems_after([](Pool* pool) { pool->devices.push_back(Device{.name = "gpu0"}); }),
                HasSubstr("device gpu0 is there twice"));
}

TEST(SlicesCheck, AttributesAndCapacitiesAre32Together) {
    const auto fill = [](size_t attributes) {
        return [attributes](Device* device) {
            device->capacity["memory"] = Capacity{.value = 1};
            for (size_t index = 0; index < attributes; ++index) {
                device->attributes[fmt::format("a{}", index)] = int64_t{1};
            }
        };
    };
    EXPECT_EQ(problems_of_device(fill(31)), "");
    EXPECT_THAT(problems_of_device(fill(32)), HasSubstr("33 attributes and capacities"));
}

TEST(SlicesCheck, AttributeValues) {
    EXPECT_THAT(problems_of_device([](Device* device) { device->attributes["a b"] = true; }),
                HasSubstr("\"a b\" is no qualified name"));
    EXPECT_THAT(
        problems_of_device([](Device* device) { device->attributes["a"] = std::string("\xff"); }),
        HasSubstr("not UTF-8"));
    EXPECT_THAT(
        problems_of_device([](Device* device) { device->attributes["a"] = Version{"1.2"}; }),
        HasSubstr("no semantic version"));
}

TEST(SlicesCheck, CapacitiesFitAQuantity) {
    const auto memory = [](uint64_t value) {
        return [value](Device* device) { device->capacity["memory"] = Capacity{.value = value}; };
    };
    EXPECT_EQ(problems_of_device(memory(kMaxQuantity)), "");
    EXPECT_THAT(problems_of_device(memory(kMaxQuantity + 1)), HasSubstr("too large"));
}

TEST(SlicesCheck, RequestPolicies) {
    const auto policy = [](bool shared, Capacity::RequestPolicy request) {
        return [shared, request](Device* device) {
            device->allow_multiple_allocations = shared;
            device->capacity["memory"] = Capacity{.value = 100, .request_policy = request};
        };
    };
    const Capacity::RequestPolicy good{.default_value = 20, .min = 10, .max = 100, .step = 10};
    EXPECT_EQ(problems_of_device(policy(true, good)), "");
    EXPECT_THAT(problems_of_device(policy(false, good)), HasSubstr("needs multiple allocations"));
    const auto with = [good](uint64_t Capacity::RequestPolicy::*member, uint64_t value) {
        Capacity::RequestPolicy changed = good;
        changed.*member = value;
        return changed;
    };
    using Policy = Capacity::RequestPolicy;
    EXPECT_THAT(problems_of_device(policy(true, with(&Policy::default_value, 9))),
                HasSubstr("min <= default"));
    EXPECT_THAT(problems_of_device(policy(true, with(&Policy::max, 101))),
                HasSubstr("max <= value"));
    EXPECT_THAT(problems_of_device(policy(true, with(&Policy::default_value, 25))),
                HasSubstr("whole steps"));
    EXPECT_THAT(problems_of_device(policy(true, with(&Policy::step, 91))), HasSubstr("must fit"));
}

TEST(SlicesCheck, CountersComeFromASetOfThePool) {
    const auto shared = [](const std::string& set, const std::string& counter) {
        return [set, counter](Pool* pool) {
            pool->counter_sets = {{"gpu0", {{"functions", 4}}}};
            pool->devices[0].consumes = {{set, {{counter, 1}}}};
        };
    };
    EXPECT_EQ(problems_after(shared("gpu0", "functions")), "");
    EXPECT_THAT(problems_after(shared("gpu1", "functions")), HasSubstr("the pool has none"));
    EXPECT_THAT(problems_after(shared("gpu0", "memory")), HasSubstr("has no counter \"memory\""));
    EXPECT_THAT(problems_after([](Pool* pool) {
                    pool->counter_sets = {{"s", {{"c", 1}}}, {"s", {{"c", 1}}}};
                }),
                HasSubstr("counter set \"s\" is there twice"));
    EXPECT_THAT(problems_after([](Pool* pool) {
                    pool->counter_sets = {{"s", {}}};
                }),
                HasSubstr("has no counters"));
    EXPECT_THAT(problems_after([](Pool* pool) {
                    pool->counter_sets = {{"s_", {{"c_", 1}}}};
                }),
                HasSubstr("no DNS label"));
}

TEST(SlicesCheck, ASetHas32CountersAndADeviceUsesTwoSets) {
    const auto counters = [](size_t count) {
        return [count](Pool* pool) {
            Counters set{"s", {}};
            for (size_t index = 0; index < count; ++index) {
                set.values[fmt::format("c{}", index)] = 1;
            }
            pool->counter_sets = {set};
        };
    };
    EXPECT_EQ(problems_after(counters(32)), "");
    EXPECT_THAT(problems_after(counters(33)), HasSubstr("33 counters, may be 32"));
    const auto sets = [](size_t count) {
        return [count](Pool* pool) {
            for (size_t index = 0; index < count; ++index) {
                pool->counter_sets.push_back({fmt::format("s{}", index), {{"c", 1}}});
            }
            pool->devices[0].consumes = pool->counter_sets;
        };
    };
    EXPECT_EQ(problems_after(sets(2)), "");
    EXPECT_THAT(problems_after(sets(3)), HasSubstr("3 counter sets, may be 2"));
}

TEST(SlicesCheck, ADeviceHas16Taints) {
    const auto taints = [](size_t count) {
        return [count](Device* device) {
            for (size_t index = 0; index < count; ++index) {
                device->taints.push_back({fmt::format("d/t{}", index), "", {}});
            }
        };
    };
    EXPECT_EQ(problems_of_device(taints(16)), "");
    EXPECT_THAT(problems_of_device(taints(17)), HasSubstr("17 taints, may be 16"));
    EXPECT_THAT(problems_of_device([](Device* device) {
                    device->taints = {{"a b", "c d", {}}};
                }),
                HasSubstr("no label key"));
}

TEST(SlicesCheck, AllProblemsAreSaidOnceAndTheyAreBounded) {
    const std::string two = problems_after([](Pool* pool) {
        pool->driver = "-";
        pool->node = "\x1b[31m";
    });
    EXPECT_THAT(two, HasSubstr("driver"));
    EXPECT_THAT(two, HasSubstr("\n"));
    EXPECT_THAT(two, testing::Not(HasSubstr("\x1b")));
    const std::string many = problems_after([](Pool* pool) { pool->devices.resize(1000); });
    EXPECT_THAT(many, HasSubstr("more"));
    EXPECT_LT(many.size(), 4000u);
}

}  // namespace
}  // namespace mimic::slices
