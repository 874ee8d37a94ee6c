// SPDX-License-Identifier: Apache-2.0
// A JSON Schema validator for exactly the keywords that docs/schema uses (draft 2020-12), so that
// the schema is tested on every machine. An unknown keyword is an error, so nothing is skipped
// silently. Test code only.
#pragma once

#include <algorithm>
#include <regex>
#include <string>

#include <nlohmann/json.hpp>

namespace mimic::topology {

/// Validates instances against one schema. The schema outlives the checker.
class SchemaChecker {
public:
    using Json = nlohmann::json;

    explicit SchemaChecker(const Json& schema) : root_(schema) {}

    /// Empty if `instance` is valid, else the path and keyword that refused it.
    std::string check(const Json& instance) const { return check(instance, root_, "$"); }

private:
    static bool has_type(const Json& value, const std::string& type) {
        if (type == "object") return value.is_object();
        if (type == "array") return value.is_array();
        if (type == "string") return value.is_string();
        if (type == "boolean") return value.is_boolean();
        if (type == "integer") return value.is_number_integer();
        return false;
    }

    std::string check(const Json& value, const Json& schema, const std::string& path) const {
        if (schema.is_boolean()) return schema.get<bool>() ? "" : path + ": not allowed";
        for (const auto& [keyword, rule] : schema.items()) {
            std::string problem = check_keyword(value, schema, keyword, rule, path);
            if (!problem.empty()) return problem;
        }
        return "";
    }

    std::string check_keyword(const Json& value, const Json& schema, const std::string& keyword,
                              const Json& rule, const std::string& path) const {
        const auto refuse_unless = [&](bool good) {
            return good ? std::string() : path + ": " + keyword;
        };
        if (keyword == "$ref") {
            const std::string name = rule.get<std::string>().substr(std::string("#/$defs/").size());
            return check(value, root_.at("$defs").at(name), path);
        }
        if (keyword == "type") return refuse_unless(has_type(value, rule));
        if (keyword == "enum")
            return refuse_unless(std::count(rule.begin(), rule.end(), value) > 0);
        if (keyword == "pattern") {
            return refuse_unless(
                !value.is_string() ||
                std::regex_search(value.get<std::string>(), std::regex(std::string(rule))));
        }
        if (keyword == "minimum") return refuse_unless(!value.is_number() || value >= rule);
        if (keyword == "maximum") return refuse_unless(!value.is_number() || value <= rule);
        if (keyword == "minItems") return refuse_unless(!value.is_array() || value.size() >= rule);
        if (keyword == "maxItems") return refuse_unless(!value.is_array() || value.size() <= rule);
        if (keyword == "minLength") {
            return refuse_unless(!value.is_string() || value.get<std::string>().size() >= rule);
        }
        if (keyword == "required") {
            return refuse_unless(!value.is_object() ||
                                 std::all_of(rule.begin(), rule.end(), [&](const Json& key) {
                                     return value.contains(std::string(key));
                                 }));
        }
        if (keyword == "not") return refuse_unless(!check(value, rule, path).empty());
        if (keyword == "anyOf" || keyword == "oneOf") {
            const auto matching = std::count_if(rule.begin(), rule.end(), [&](const Json& option) {
                return check(value, option, path).empty();
            });
            return refuse_unless(keyword == "anyOf" ? matching > 0 : matching == 1);
        }
        return check_children(value, schema, keyword, rule, path);
    }

    std::string check_children(const Json& value, const Json& schema, const std::string& keyword,
                               const Json& rule, const std::string& path) const {
        std::string problem;
        if (keyword == "items") {
            for (size_t i = 0; value.is_array() && i < value.size() && problem.empty(); ++i) {
                problem = check(value[i], rule, path + "[" + std::to_string(i) + "]");
            }
            return problem;
        }
        const bool is_known = keyword == "properties" || keyword == "additionalProperties" ||
                              keyword == "propertyNames";
        if (is_known && value.is_object()) {
            for (const auto& [key, child] : value.items()) {
                const bool listed = schema.contains("properties") &&
                                    schema["properties"].contains(key);
                if (keyword == "properties" && listed) {
                    problem = check(child, rule[key], path + "." + key);
                } else if (keyword == "additionalProperties" && !listed) {
                    problem = check(child, rule, path + "." + key);
                } else if (keyword == "propertyNames") {
                    problem = check(Json(key), rule, path + "." + key);
                }
                if (!problem.empty()) return problem;
            }
        }
        const bool is_annotation = keyword.starts_with("$") || keyword == "title" ||
                                   keyword == "description";
        return is_known || is_annotation ? "" : path + ": keyword " + keyword + " is not known";
    }

    const Json& root_;
};

}  // namespace mimic::topology
