// SPDX-License-Identifier: Apache-2.0
// docs/schema/mediator-v1.schema.json has the parser's keys and words.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <span>

#include "mediator/config/keys.h"

namespace mimic::mediator {
namespace {

using Json = nlohmann::json;
using Words = std::span<const std::string_view>;

std::vector<std::string> strings(Words words) {
    return {words.begin(), words.end()};
}

class MediatorSchema : public testing::Test {
protected:
    void SetUp() override {
        std::ifstream file(MIMIC_SOURCE_DIR "/docs/schema/mediator-v1.schema.json");
        schema_ = Json::parse(file, nullptr, false);
        ASSERT_TRUE(schema_.is_object());
    }
    void expect_keys(const Json& object, Words keys) const {
        std::vector<std::string> found;
        for (const auto& [key, value] : object["properties"].items()) {
            found.push_back(key);
            EXPECT_TRUE(value.contains("description")) << key;
        }
        EXPECT_THAT(found, testing::UnorderedElementsAreArray(strings(keys)));
        EXPECT_EQ(object["additionalProperties"], false);
    }
    Json schema_;
};

TEST_F(MediatorSchema, HasTheParsersKeys) {
    expect_keys(schema_, kFileKeys);
    const Json& parts = schema_["$defs"];
    expect_keys(parts["mediator"], kMediatorKeys);
    expect_keys(parts["quarantine"], kQuarantineKeys);
    expect_keys(parts["pool"], kPoolKeys);
    expect_keys(parts["backend"], kBackendKeys);
    expect_keys(parts["vm"], kVmKeys);
    expect_keys(parts["others"], kOthersKeys);
    expect_keys(parts["limits"], kLimitKeys);
}

TEST_F(MediatorSchema, HasTheParsersWords) {
    const Json& parts = schema_["$defs"];
    EXPECT_EQ(parts["mediator"]["properties"]["rule"]["enum"], Json(strings(kRules)));
    EXPECT_EQ(parts["priority"]["enum"], Json(strings(kPriorities)));
    EXPECT_EQ(parts["backend"]["properties"]["kind"]["enum"], Json(strings(kBackendKinds)));
}

}  // namespace
}  // namespace mimic::mediator
