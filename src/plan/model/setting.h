// SPDX-License-Identifier: Apache-2.0
// Setting: a key of a device in a topology file whose value is more than a number (Property in
// device_model.h): words, texts, times, paths, programs, and groups and lists of those. A device's
// folder declares them as constants; the topology reader, the schema and the tables of
// docs/topology.md walk them. SettingValue is what a file says, with defaults put in.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace mimic::model {

struct Setting;

/// Some settings, in the order in which documents list them. A span, but of a type that is not
/// complete yet. Borrowed: constants of the program.
class Settings {
public:
    constexpr Settings() = default;
    template <size_t N>
    constexpr Settings(const std::array<Setting, N>& all)  // NOLINT(google-explicit-constructor)
        : first_(all.data()), size_(N) {}

    constexpr size_t size() const { return size_; }
    constexpr bool empty() const { return size_ == 0; }
    constexpr const Setting* begin() const { return first_; }
    constexpr const Setting* end() const;

    /// The one called `key`, or nullptr.
    const Setting* find(std::string_view key) const;

private:
    const Setting* first_ = nullptr;
    size_t size_ = 0;
};

struct Setting {
    enum class Kind : uint8_t {
        kNumber,     // decimal or hexadecimal
        kReal,       // "2", "0.5"
        kSize,       // bytes, with a unit
        kDuration,   // "10us": picoseconds
        kFrequency,  // "1.5GHz": hertz
        kChoice,     // one of `words`
        kText,       // printable, placeholders replaced
        kPath,       // of a file: a relative one begins in the topology file's folder
        kCommand,    // a list: a program and its arguments; starts only with --allow-commands
        kGroup,      // a mapping of `settings`
        kList,       // a list of such mappings
    };

    std::string_view key;
    Kind kind = Kind::kNumber;
    /// Of a number, size, duration, frequency; characters of a text or path; words of a command;
    /// items of a list.
    uint64_t min = 0;
    uint64_t max = UINT64_MAX;
    double least = 0;  // of a real
    double most = 0;
    std::span<const std::string_view> words{};
    Settings settings{};
    /// What it is without being said, written as in a file; empty: nothing. Not of commands, groups
    /// and lists: a group has what its settings have, a list no items.
    std::string_view fallback{};
    std::string_view doc{};
    std::string_view placeholder{};  // that an argument of a command must have: "{socket}"
};

constexpr const Setting* Settings::end() const {
    return first_ + size_;
}

/// What a file says of one setting, of a group or of an item of a list. Value.
struct SettingValue {
    const Setting* setting = nullptr;  // nullptr: all that a device has, or an item of a list
    uint64_t number = 0;               // of kChoice: its index in `words`
    double real = 0;
    std::string text;
    std::vector<std::string> words;    // of a command
    std::vector<SettingValue> values;  // of a group: those that it has. Of a list: its items
    bool given = false;                // the file says it, with the value at this place
    unsigned line = 0;
    unsigned column = 0;

    /// The value of `key` in this group; nullptr if neither the file nor a default says it.
    const SettingValue* find(std::string_view key) const;

    /// The same as a plain value; zero, or empty, without one.
    uint64_t number_of(std::string_view key) const;
    double real_of(std::string_view key) const;
    std::string_view text_of(std::string_view key) const;
};

/// What is wrong with settings that are each right, at a place of the file (that of a
/// SettingValue).
struct SettingProblem {
    unsigned line = 0;
    unsigned column = 0;
    std::string message;  // "what is there; expected .."
};

/// "a number, 1 to 16": what a file may say, for messages and documents.
std::string expected_text(const Setting& setting);

/// Calls `visit` for `root` and all values below it.
template <typename Value, typename Visit>
void for_each_value(Value& root, const Visit& visit) {
    visit(root);
    for (auto& value : root.values) for_each_value(value, visit);
}

/// Makes relative paths, and programs with a '/' in their name, begin in `folder`.
void place_paths(SettingValue& root, const std::string& folder);

/// The first program that `root` names; empty: none.
std::string named_program(const SettingValue& root);

}  // namespace mimic::model
