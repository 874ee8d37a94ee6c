// SPDX-License-Identifier: Apache-2.0
// YamlNode: a YAML document as an immutable tree that knows where each part stands. Built from
// yaml-cpp's events instead of its Node, because Node forgets duplicate keys and lets aliases grow
// without bound.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "yaml/diagnostics.h"

namespace mimic::yaml {

inline constexpr size_t kMaxFileBytes = 1 << 20;
inline constexpr unsigned kMaxYamlDepth = 32;    // arbitrary; the language of machines needs 9
inline constexpr size_t kMaxYamlNodes = 200000;  // arbitrary; counted with aliases expanded

struct YamlNode;

/// Shared, because an alias is the very node of its anchor.
using YamlPtr = std::shared_ptr<const YamlNode>;

struct YamlEntry {
    std::string key;
    Location where;  // of the key
    YamlPtr value;
};

struct YamlNode {
    enum class Kind : uint8_t { kNull, kScalar, kSequence, kMap };

    Kind kind = Kind::kNull;
    Location where;
    std::string text;                // kScalar
    std::vector<YamlPtr> items;      // kSequence
    std::vector<YamlEntry> entries;  // kMap; keys are unique
    size_t expanded = 1;             // nodes below and including this one, aliases expanded
    unsigned depth = 1;              // levels below and including this one

    /// The entry called `key`, or nullptr.
    const YamlEntry* find(std::string_view key) const;

    /// "a mapping", "a list", "nothing" or "'text'", for messages.
    std::string describe() const;
};

/// What messages about the file as a whole recommend.
struct Hints {
    std::string_view content = "a mapping";                // in place of an empty file
    std::string_view merge = "each key where it belongs";  // in place of merge keys
};

/// Reads one document. Problems go to `diagnostics`; then nullptr is returned.
YamlPtr read_yaml(std::string_view text, Diagnostics& diagnostics, const Hints& hints = {});

}  // namespace mimic::yaml
