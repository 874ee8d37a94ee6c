// SPDX-License-Identifier: Apache-2.0
// Fields: typed, checked access to one mapping of a YAML file. Every getter reports what is
// wrong at the place where it stands, says what was expected, and returns nullopt; so a reader goes
// on and finds the next problem too.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "yaml/diagnostics.h"
#include "yaml/scalars.h"
#include "yaml/yaml_tree.h"

namespace mimic::yaml {

using Words = std::span<const std::string_view>;

inline constexpr std::array<std::string_view, 2> kTruths = {"false", "true"};

/// A range of numbers with both ends.
struct Range {
    uint64_t min = 0;
    uint64_t max = UINT64_MAX;
};

/// One mapping. Thread-bound, short-lived: borrows diagnostics from the reader that made it.
class Fields {
public:
    /// `what` names the object in messages ("device"). Reports `node` if it is no mapping, and
    /// every unknown key.
    Fields(YamlPtr node, std::string_view what, Words keys, Diagnostics& diagnostics);
    virtual ~Fields() = default;

    /// The value of `key`, or nullptr if it is absent or empty (which is reported).
    const YamlNode* find(std::string_view key) const;
    YamlPtr share(std::string_view key) const;

    /// Where the value of `key` stands, or the object if there is none.
    Location where(std::string_view key) const;
    Location where() const { return node_->where; }

    void problem(Location where, std::string message) const;

    /// What is no problem, but should be known.
    void note(Location where, const std::string& message) const;

    /// Reports that `key` is missing, unless it is there.
    void require(std::string_view key, std::string_view expected) const;

    /// A scalar as it stands, and one whose placeholders are replaced, in a language that has some.
    std::optional<std::string> text(std::string_view key, std::string_view expected) const;
    virtual std::optional<std::string> pattern(std::string_view key,
                                               std::string_view expected) const {
        return text(key, expected);
    }

    /// A decimal or hexadecimal number; may be a pattern that becomes one.
    std::optional<uint64_t> number(std::string_view key, Range range) const;

    /// A size in bytes that is a multiple of `unit`.
    std::optional<uint64_t> size(std::string_view key, Range range, uint64_t unit = 1) const;

    /// The index of the scalar in `words`.
    std::optional<size_t> choice(std::string_view key, Words words) const;

    /// `true` or `false`.
    std::optional<bool> truth(std::string_view key) const;

    /// A list, or nullptr.
    const YamlNode* list(std::string_view key, std::string_view expected) const;

private:
    YamlPtr node_;
    std::string_view what_;
    Diagnostics& diagnostics_;
};

}  // namespace mimic::yaml
