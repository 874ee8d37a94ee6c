// SPDX-License-Identifier: Apache-2.0
// Fields of a topology file: those of any of our files, with placeholders in their texts.
#pragma once

#include "topology/keys.h"
#include "topology/placeholders.h"
#include "topology/yaml.h"
#include "yaml/fields.h"

namespace mimic::topology {

/// One mapping. As yaml::Fields; borrows the scope, too.
class Fields final : public yaml::Fields {
public:
    Fields(YamlPtr node, std::string_view what, Words keys, const Scope& scope,
           Diagnostics& diagnostics)
        : yaml::Fields(std::move(node), what, keys, diagnostics), scope_(scope) {}

    std::optional<std::string> pattern(std::string_view key,
                                       std::string_view expected) const override;

private:
    const Scope& scope_;
};

}  // namespace mimic::topology
