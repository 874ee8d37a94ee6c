// SPDX-License-Identifier: Apache-2.0
// docs/schema/mimic-v1.schema.json and docs/topology.md agree with the parser: same keys, same
// words, and the schema accepts what the parser accepts.
#include <gmock/gmock.h>
#include <yaml-cpp/yaml.h>

#include "devices/all_models.h"
#include "topology/device_keys.h"
#include "topology/keys.h"
#include "topology/scalars.h"
#include "topology/schema_checker.h"
#include "topology/test_files.h"
#include "topology/topology.h"

namespace mimic::topology {
namespace {

using Json = nlohmann::json;

Json read_schema() {
    return Json::parse(read_file(kRoot / "docs/schema/mimic-v1.schema.json"), nullptr, false);
}

/// YAML as an editor's validator sees it: plain scalars get the types of YAML's core schema.
Json to_json(const YAML::Node& node) {
    if (node.IsMap()) {
        Json out = Json::object();
        for (const auto& entry : node) out[entry.first.as<std::string>()] = to_json(entry.second);
        return out;
    }
    if (node.IsSequence()) {
        Json out = Json::array();
        for (const auto& item : node) out.push_back(to_json(item));
        return out;
    }
    if (!node.IsScalar()) return nullptr;
    const std::string& text = node.Scalar();
    if (node.Tag() == "!") return text;  // quoted
    if (const auto number = parse_number(text)) return *number;
    if (text == "true" || text == "false") return text == "true";
    if (text == "6.1" || text == "6.12") return std::stod(text);
    return text;
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
    {"switch", "## Switch", kSwitchKeys},
    {"device", "## Device", kKeys.device()},
    {"link", "## Link", kLinkKeys},
    {"vfs", "## VFs", kKeys.vfs()},
    {"vf", "## VFs", kKeys.vf()},
    {"bar", "## Clone", kBarKeys},
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
        for (const Json& word : schema["$defs"][object]["properties"][key]["enum"]) {
            if (word.is_string()) out.push_back(word);
        }
        return out;
    };
    EXPECT_EQ(words("machine", "arch"), strings(kArchs));
    EXPECT_EQ(words("machine", "accel"), strings(kAccels));
    EXPECT_EQ(words("machine", "kernel"), strings(kKernels));
    EXPECT_EQ(words("device", "isolation"), strings(kIsolations));
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

TEST(Schema, AcceptsEveryGoodFile) {
    const Json schema = read_schema();
    const SchemaChecker checker(schema);
    for (const auto& file : good_files()) {
        EXPECT_EQ(checker.check(to_json(YAML::LoadFile(file.string()))), "") << file;
    }
}

TEST(Schema, RefusesWhatASchemaCanSee) {
    const Json schema = read_schema();
    const SchemaChecker checker(schema);
    for (const char* name : {"both-machine-forms", "capabilities", "cpus", "link", "no-machine",
                             "no-version", "template-unknown", "top-level-list", "unknown-keys",
                             "version", "vfs", "wrong-types", "attach-fabric", "kernel", "hotplug",
                             "memory-bar", "sriov", "switches", "switch-names"}) {
        const auto file = kTestData / "bad" / (std::string(name) + ".yaml");
        EXPECT_NE(checker.check(to_json(YAML::LoadFile(file.string()))), "") << name;
    }
}

TEST(Docs, TablesListEveryKey) {
    const std::string text = read_file(kRoot / "docs/topology.md");
    for (const Object& object : kObjects) {
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
