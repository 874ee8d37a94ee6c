// SPDX-License-Identifier: Apache-2.0
// How a boot goes on, and how long earlier ones of its kind took: for progress, and for messages
// that say how far a guest came.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace mimic::machine {

/// In the order in which a boot goes through them; some boots skip some.
enum class BootStage { kDevices, kFirmware, kKernel, kInit, kDrivers, kAgent, kReady };
inline constexpr size_t kBootStages = 7;

/// "devices", "firmware", ...
std::string_view boot_stage_name(BootStage stage);

/// When each stage began, in seconds since the boot did. Value.
struct BootTimes {
    std::array<std::optional<double>, kBootStages> begun{};

    std::optional<double>& operator[](BootStage stage) { return begun[static_cast<size_t>(stage)]; }
    const std::optional<double>& operator[](BootStage stage) const {
        return begun[static_cast<size_t>(stage)];
    }
};

/// The stage that a line of a guest's console begins, if it is a mark of one.
std::optional<BootStage> stage_of_line(std::string_view line);

/// Boots of the past by kind, such as "x86_64 tcg 6.1". Value; thread-bound.
class BootHistory {
public:
    /// Arbitrary: enough for a guess, little enough to be read at each boot.
    static constexpr size_t kMaxKinds = 32;
    static constexpr size_t kMaxBoots = 8;

    /// What `path` says; empty if it is not there, or damaged.
    static BootHistory read(const std::string& path);

    /// Adds a boot that became ready, in place of the oldest if there are many; so with kinds.
    void add(const std::string& kind, const BootTimes& boot);

    /// How many seconds are left when `stage` began `since` seconds ago: the median of the past,
    /// not less than 0. Empty without a past.
    std::optional<double> rest(const std::string& kind, BootStage stage, double since) const;

    /// Errors: those of write_file_atomically().
    Status write(const std::string& path) const;

private:
    struct Kind {
        std::string name;
        std::vector<BootTimes> boots;  // the oldest first
    };
    std::vector<Kind> kinds_;  // the one that booted last is the last
};

/// Where the history is: <state root>/.boot-times.json. Errors: those of state_root_path().
Result<std::string> boot_history_path();

}  // namespace mimic::machine
