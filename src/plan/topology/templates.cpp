// SPDX-License-Identifier: Apache-2.0
#include "topology/templates.h"

#include <algorithm>
#include <unordered_map>
#include <vector>

#include <fmt/format.h>

#include "topology/fields.h"
#include "topology/keys.h"

namespace mimic::topology {
namespace {

/// `base` with the entries of `over` on top. Both are mappings. Recursion ends at kMaxYamlDepth.
YamlPtr merge(const YamlPtr& base, const YamlPtr& over) {
    auto out = std::make_shared<YamlNode>(*over);
    std::unordered_map<std::string_view, size_t> index;
    for (size_t i = 0; i < out->entries.size(); ++i) index[over->entries[i].key] = i;
    for (const YamlEntry& entry : base->entries) {
        const auto found = index.find(entry.key);
        if (found == index.end()) {
            out->entries.push_back(entry);
            continue;
        }
        YamlEntry& own = out->entries[found->second];
        if (own.value->kind == YamlNode::Kind::kMap && entry.value->kind == YamlNode::Kind::kMap) {
            own.value = merge(entry.value, own.value);
        }
    }
    return out;
}

YamlPtr without_template(const YamlPtr& object) {
    auto out = std::make_shared<YamlNode>(*object);
    std::erase_if(out->entries, [](const YamlEntry& entry) { return entry.key == "template"; });
    return out;
}

}  // namespace

void Templates::read(const YamlPtr& node) {
    if (node->kind != YamlNode::Kind::kMap) {
        diagnostics_.add(node->where,
                         fmt::format("{} as 'templates'; expected a mapping of names to fields",
                                     node->describe()));
        return;
    }
    std::vector<std::string_view> keys(kMachineKeys.begin(), kMachineKeys.end());
    for (const Words more : {Words(kSwitchKeys), keys_.device()}) {
        std::copy_if(more.begin(), more.end(), std::back_inserter(keys), [&](std::string_view key) {
            return std::find(keys.begin(), keys.end(), key) == keys.end();
        });
    }
    const Scope scope;
    for (const YamlEntry& entry : node->entries) {
        const Fields check(entry.value, "template", keys, scope, diagnostics_);
        if (entry.value->kind == YamlNode::Kind::kMap) raw_[entry.key] = entry.value;
    }
}

YamlPtr Templates::apply(const YamlPtr& object) {
    return resolve(object, 0);
}

YamlPtr Templates::resolve(const YamlPtr& object, unsigned chain) {
    if (object->kind != YamlNode::Kind::kMap) return object;
    const YamlEntry* entry = object->find("template");
    if (!entry) return object;
    const YamlPtr own = without_template(object);
    if (entry->value->kind != YamlNode::Kind::kScalar) {
        diagnostics_.add(entry->where, fmt::format("{} as 'template'; expected a template's name",
                                                   entry->value->describe()));
        return own;
    }
    const YamlPtr base = named(entry->value->text, entry->value->where, chain);
    return base ? merge(base, own) : own;
}

YamlPtr Templates::named(const std::string& name, Location where, unsigned chain) {
    if (const auto done = resolved_.find(name); done != resolved_.end()) return done->second;
    const auto found = raw_.find(name);
    if (found == raw_.end()) {
        std::vector<std::string_view> names;
        for (const auto& [known, node] : raw_) {
            if (names.size() < 20) names.push_back(known);
        }
        YamlNode shown;
        shown.kind = YamlNode::Kind::kScalar;
        shown.text = name;
        diagnostics_.add(where,
                         fmt::format("unknown template {}; expected {}", shown.describe(),
                                     names.empty() ? "a name from 'templates:'" : join_or(names)));
        return nullptr;
    }
    if (active_.contains(name)) {
        diagnostics_.add(where, fmt::format("template '{}' is built on itself; expected no cycle",
                                            name.substr(0, 40)));
        return nullptr;
    }
    if (chain >= kMaxTemplateChain) {
        diagnostics_.add(where, fmt::format("templates built on templates, more than {} deep",
                                            kMaxTemplateChain));
        return nullptr;
    }
    active_.insert(name);
    YamlPtr out = resolve(found->second, chain + 1);
    active_.erase(name);
    resolved_[name] = out;
    return out;
}

}  // namespace mimic::topology
