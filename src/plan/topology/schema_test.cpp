// SPDX-License-Identifier: Apache-2.0
// docs/schema/mimic-v1.schema.json and docs/topology.md agree with the parser: same keys, same
// words. docs/check_schema.py holds the files of the tests against the schema.
#include <gmock/gmock.h>

#include <nlohmann/json.hpp>
#include <set>

#include "devices/all_models.h"
#include "topology/device_keys.h"
#include "topology/keys.h"
#include "topology/test_files.h"

namespace mimic::topology {
namespace {

using Json = nlohmann::json;

Json read_schema() {
    return Json::parse(read_file(kRoot / "docs/schema/mimic-v1.schema.json"), nullptr, false);
}

std::vector<std::string> keys_of(const Json& properties) {
    std::vector<std::string> out;
    for (const auto& [key, value] : properties.items()) out.push_back(key);
    return out;
}

std::vector<std::string> strings(Words words) {
    return {words.begin(), words.end()};
}

/// The objects of the language: the schema's name for each, its heading in the docs, and its keys.
struct Object {
    const char* definition;
    const char* heading;
    Words keys;
};
const DeviceKeys kKeys(devices::all_models());
const Object kObjects[] = {
    {"", "## File", kFileKeys},
    {"machine", "## Machine", kMachineKeys},
    {"numaNode", "## NUMA node", kNumaKeys},
    {"share", "", kShareKeys},
    {"switch", "## Switch", kSwitchKeys},
    {"device", "## Device", kKeys.device()},
    {"link", "## Link", kLinkKeys},
    {"vfs", "## VFs", kKeys.vfs()},
    {"vf", "## VFs", kKeys.vf()},
    {"bar", "## Clone", kBarKeys},
    {"externalRegister", "", kExternalRegisterKeys},
};

TEST(Schema, HasTheParsersKeys) {
    const Json schema = read_schema();
    ASSERT_TRUE(schema.is_object());
    for (const Object& object : kObjects) {
        const std::string name = object.definition;
        const Json& place = name.empty() ? schema : schema["$defs"][name];
        EXPECT_THAT(keys_of(place["properties"]),
                    testing::UnorderedElementsAreArray(strings(object.keys)))
            << name;
        EXPECT_EQ(place["additionalProperties"], false) << name;
    }
}

TEST(Schema, TemplatesTakeKeysOfMachineSwitchAndDevice) {
    const Json schema = read_schema();
    std::set<std::string> keys(kMachineKeys.begin(), kMachineKeys.end());
    keys.insert(kSwitchKeys.begin(), kSwitchKeys.end());
    keys.insert(kKeys.device().begin(), kKeys.device().end());
    const auto allowed = schema["$defs"]["templateFields"]["propertyNames"]["enum"]
                             .get<std::set<std::string>>();
    EXPECT_EQ(allowed, keys);
}

TEST(Schema, HasTheParsersWords) {
    const Json schema = read_schema();
    const auto words = [&](const char* object, const char* key) {
        std::vector<std::string> out;
        const Json& value = schema["$defs"][object]["properties"][key];
        const Json& choice = value.contains("anyOf") ? value["anyOf"].front() : value;
        for (const Json& word : choice.at("enum")) {
            if (word.is_string()) out.push_back(word);
        }
        return out;
    };
    EXPECT_EQ(words("machine", "arch"), strings(kArchs));
    EXPECT_EQ(words("machine", "interrupts"), strings(kInterrupts));
    EXPECT_EQ(words("machine", "time"), strings(kTimes));
    EXPECT_EQ(words("machine", "accel"), strings(kAccels));
    EXPECT_EQ(words("machine", "firmware"), strings(kFirmwares));
    EXPECT_EQ(words("machine", "kernel"), strings(kKernels));
    EXPECT_EQ(words("device", "isolation"), strings(kIsolations));
    EXPECT_EQ(words("device", "transport"), strings(kTransports));
    // Old words are accepted, too.
    EXPECT_THAT(words("device", "attach"),
                testing::UnorderedElementsAre("root-port", "fabric", "endpoint"));
    EXPECT_EQ(words("device", "sriov"), strings(kSriovKinds));
    auto models = strings(model::model_names(devices::all_models()));
    for (const model::DeviceModel* model : devices::all_models())
        if (!model->facts.old_name.empty()) models.emplace_back(model->facts.old_name);
    EXPECT_EQ(words("device", "model"), models);
    auto speeds = strings(kLinkGenerations);
    const auto more = strings(kLinkSpeeds);
    speeds.insert(speeds.end(), more.begin(), more.end());
    EXPECT_EQ(words("link", "speed"), speeds);
    std::vector<std::string> widths;
    for (const Json& width : schema["$defs"]["link"]["properties"]["width"]["enum"]) {
        widths.push_back(std::to_string(width.get<unsigned>()));
    }
    EXPECT_EQ(widths, strings(kLinkWidths));
}

TEST(Docs, TablesListEveryKey) {
    const std::string text = read_file(kRoot / "docs/topology.md");
    for (const Object& object : kObjects) {
        if (*object.heading == '\0') continue;  // in a sentence
        const size_t start = text.find(std::string("\n") + object.heading + "\n");
        ASSERT_NE(start, std::string::npos) << object.heading;
        const std::string section = text.substr(start, text.find("\n## ", start + 4) - start);
        for (const std::string_view key : object.keys) {
            EXPECT_THAT(section, testing::HasSubstr("\n| `" + std::string(key) + "` |"))
                << object.heading;
        }
    }
}

}  // namespace
}  // namespace mimic::topology
