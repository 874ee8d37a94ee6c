// SPDX-License-Identifier: Apache-2.0
#include "dra/simulate/template.h"

#include <gtest/gtest.h>

#include <sys/stat.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "slices/slices.h"

namespace mimic::dra {
namespace {

using nlohmann::json;

// A pool with each kind of value that a slice can hold.
slices::Pool every_kind() {
    slices::Pool pool{.driver = "foo.example.com", .name = "n1", .node = "n1"};
    pool.counter_sets.push_back({"gpu0", {{"functions", 2}}});
    slices::Device pf{.name = "gpu0"};
    pf.attributes = {{"foo.example.com/number", int64_t{-7}},
                     {"foo.example.com/flag", true},
                     {"foo.example.com/text", std::string("abc")},
                     {"foo.example.com/version", slices::Version{"1.2.0"}}};
    pf.capacity["foo.example.com/memory"] = {.value = 16ULL << 30,
                                             .request_policy = slices::Capacity::RequestPolicy{
                                                 1ULL << 30, 1ULL << 30, 16ULL << 30, 1ULL << 30}};
    pf.consumes.push_back({"gpu0", {{"functions", 2}}});
    pf.taints.push_back({"foo.example.com/bad", "why", slices::Taint::Effect::kNoExecute});
    pf.allow_multiple_allocations = true;
    pool.devices.push_back(pf);
    pool.devices.push_back({.name = "gpu0-vf0", .consumes = {{"gpu0", {{"functions", 1}}}}});
    return pool;
}

TEST(SimulateTemplate, ReadsBackWhatSlicesPrint) {
    std::vector<slices::Pool> pools = {every_kind(), every_kind()};
    pools[1].name = pools[1].node = "n2";
    const auto list = slices::slice_list(pools);
    ASSERT_TRUE(list.has_value()) << list.error().message();
    const auto read = pools_of_list(list->dump());
    ASSERT_TRUE(read.has_value()) << read.error().message();
    EXPECT_EQ(*read, pools);
}

TEST(SimulateTemplate, ReadsQuantities) {
    for (const uint64_t value : {uint64_t{0}, uint64_t{1}, uint64_t{1024}, uint64_t{3'000'000},
                                 uint64_t{16} << 30, uint64_t{7} << 60, slices::kMaxQuantity}) {
        const auto read = parse_quantity(slices::quantity(value));
        ASSERT_TRUE(read.has_value()) << value;
        EXPECT_EQ(*read, value);
    }
    for (const char* bad : {"", "Gi", "-1", "1.5", "1e3", "8Ei", "9223372036854775808", "1 ", "1m",
                            "1KI", "99999999999999999999", "0x10"}) {
        EXPECT_FALSE(parse_quantity(bad).has_value()) << bad;
    }
}

// Each change of a good list is refused with a message, whatever place it is at.
TEST(SimulateTemplate, RefusesWhatItCannotSimulate) {
    const std::vector<slices::Pool> pools = {every_kind()};
    const json good = *slices::slice_list(pools);
    const auto refused = [&good](const char* pointer, const json& value) {
        json bad = good;
        bad[json::json_pointer(pointer)] = value;
        const auto read = pools_of_list(bad.dump());
        if (read.has_value()) return std::string("accepted ") + pointer;
        return read.error().message().empty() ? std::string("no message") : std::string();
    };
    const std::string device = "/items/1/spec/devices/0/";
    for (const auto& [pointer, value] : std::vector<std::pair<std::string, json>>{
             {"/items", json::object()},
             {"/items/0", nullptr},
             {"/items/0/kind", "Pod"},
             {"/items/0/spec", 3},
             {"/items/0/spec/driver", "Foo"},
             {"/items/1/spec/driver", "bar.example.com"},
             {"/items/1/spec/nodeName", json::array()},
             {"/items/1/spec/pool", "n1"},
             {"/items/1/spec/allNodes", true},
             {"/items/1/spec/devices", json::object()},
             {device + "name", "a_b"},
             {device + "name", 7},
             {device + "bindsToNode", true},
             {device + "attributes", json::array()},
             {device + "attributes/foo.example.com~1text", json::object()},
             {device + "attributes/foo.example.com~1text", {{"ints", {1, 2}}}},
             {device + "attributes/foo.example.com~1text", {{"int", 1.5}}},
             {device + "capacity/foo.example.com~1memory/value", "1.5Gi"},
             {device + "capacity/foo.example.com~1memory/value", 5},
             {device + "capacity/foo.example.com~1memory/requestPolicy", {{"default", "1"}}},
             {device + "consumesCounters/0/counterSet", "gpu9"},
             {device + "consumesCounters/0/counters/functions", "2"},
             {device + "taints/0/effect", "Maybe"},
             {device + "taints/0/key", nullptr},
             {device + "allowMultipleAllocations", 1}}) {
        EXPECT_EQ(refused(pointer.c_str(), value), "");
    }
}

TEST(SimulateTemplate, RefusesWhatIsNoList) {
    for (const char* const text : {"", "null", "[]", "{}", "{\"items\":7}", "{\"items\":[]}", "{",
                                   "\xff\xfe", "{\"items\":[{\"kind\":\"ResourceSlice\"}]}"}) {
        EXPECT_FALSE(pools_of_list(text).has_value()) << text;
    }
    // Deep enough to end a parser that calls itself.
    EXPECT_FALSE(pools_of_list("{\"items\":" + std::string(200'000, '[')).has_value());
}

class SimulatePlan : public testing::Test {
protected:
    // A program that stands for `mimic`.
    std::string program(const std::string& body) {
        const std::string path = testing::TempDir() + "plan_program.sh";
        std::ofstream(path) << "#!/bin/sh\n" << body << "\n";
        EXPECT_EQ(::chmod(path.c_str(), 0700), 0);
        return path;
    }
};

TEST_F(SimulatePlan, ReturnsTheOutput) {
    const auto text = run_plan(program("printf '%s|' \"$@\""), "a file.yaml", "all");
    ASSERT_TRUE(text.has_value()) << text.error().message();
    EXPECT_EQ(*text, "plan|--format|slices|--numvfs=all|--|a file.yaml|");
}

TEST_F(SimulatePlan, TellsFailures) {
    EXPECT_EQ(run_plan("/nonexistent/mimic", "a", "0").error().code(),
              std::errc::no_such_file_or_directory);
    EXPECT_EQ(run_plan(program("echo {}; exit 1"), "a", "0").error().code(), std::errc::io_error);
    EXPECT_EQ(run_plan(program("kill -9 $$"), "a", "0").error().code(), std::errc::io_error);
    EXPECT_EQ(run_plan(program("exec cat /dev/zero"), "a", "0").error().code(),
              std::errc::file_too_large);
}

}  // namespace
}  // namespace mimic::dra
