// SPDX-License-Identifier: Apache-2.0
#include "machine/boot_times.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "base/private_files.h"
#include "machine/run_dir.h"

namespace mimic::machine {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::array<std::string_view, kBootStages> kStageNames = {
    "devices", "firmware", "kernel", "init", "drivers", "agent", "ready"};
constexpr size_t kMaxKindName = 100;
constexpr double kLongestBoot = 86'400;  // seconds; --timeout allows no more

struct StageMark {
    std::string_view text;
    BootStage stage;
};

// The last stage first: a line that SeaBIOS began is ended by guest/init. "Booting from" is
// SeaBIOS' when it hands over, "Linux version" the kernel's (init/version.c), which is silent where
// it is told `quiet`. A guest may print what it likes: a wrong guess is all that comes of it.
constexpr std::array<StageMark, 4> kMarks = {{{"mimic: driver loaded", BootStage::kDrivers},
                                              {"mimic: init", BootStage::kInit},
                                              {"Linux version ", BootStage::kKernel},
                                              {"Booting from ", BootStage::kKernel}}};

// A time that a file says, if it can be one.
std::optional<double> time_in(const Json& value) {
    if (!value.is_number()) return std::nullopt;
    const auto seconds = value.get<double>();
    if (!std::isfinite(seconds) || seconds < 0 || seconds > kLongestBoot) return std::nullopt;
    return seconds;
}

BootTimes boot_in(const Json& json) {
    BootTimes boot;
    if (!json.is_array()) return boot;
    for (size_t i = 0; i < std::min(json.size(), kBootStages); ++i)
        boot.begun[i] = time_in(json[i]);
    return boot;
}

}  // namespace

std::string_view boot_stage_name(BootStage stage) {
    return kStageNames[static_cast<size_t>(stage)];
}

std::optional<BootStage> stage_of_line(std::string_view line) {
    for (const StageMark& mark : kMarks)
        if (line.find(mark.text) != std::string_view::npos) return mark.stage;
    return std::nullopt;
}

BootHistory BootHistory::read(const std::string& path) {
    BootHistory history;
    const auto text = read_small_file(path);
    const Json json = text ? Json::parse(*text, nullptr, false) : Json();
    if (!json.is_object() || !json.contains("kinds") || !json["kinds"].is_object()) return history;
    for (const auto& [name, boots] : json["kinds"].items()) {
        if (!boots.is_array() || name.size() > kMaxKindName) continue;
        for (const Json& boot : boots) {
            BootTimes times = boot_in(boot);
            if (times[BootStage::kReady]) history.add(name, times);
        }
    }
    return history;
}

void BootHistory::add(const std::string& kind, const BootTimes& boot) {
    auto found = std::find_if(kinds_.begin(), kinds_.end(),
                              [&](const Kind& one) { return one.name == kind; });
    if (found == kinds_.end()) {
        kinds_.push_back({kind.substr(0, kMaxKindName), {}});
        if (kinds_.size() > kMaxKinds) kinds_.erase(kinds_.begin());
    } else {
        std::rotate(found, found + 1, kinds_.end());
    }
    auto& boots = kinds_.back().boots;
    boots.push_back(boot);
    if (boots.size() > kMaxBoots) boots.erase(boots.begin());
}

std::optional<double> BootHistory::rest(const std::string& kind, BootStage stage,
                                        double since) const {
    const auto found = std::find_if(kinds_.begin(), kinds_.end(),
                                    [&](const Kind& one) { return one.name == kind; });
    if (found == kinds_.end()) return std::nullopt;
    std::vector<double> rests;
    for (const BootTimes& boot : found->boots)
        if (boot[stage] && boot[BootStage::kReady])
            rests.push_back(*boot[BootStage::kReady] - *boot[stage]);
    if (rests.empty()) return std::nullopt;
    std::sort(rests.begin(), rests.end());
    return std::max(0.0, rests[rests.size() / 2] - since);
}

Status BootHistory::write(const std::string& path) const {
    Json kinds = Json::object();
    for (const Kind& kind : kinds_) {
        Json boots = Json::array();
        for (const BootTimes& boot : kind.boots) {
            Json times = Json::array();
            for (const auto& time : boot.begun)
                times.push_back(time ? Json(std::round(*time * 1000) / 1000) : Json());
            boots.push_back(std::move(times));
        }
        kinds[kind.name] = std::move(boots);
    }
    const Json json{{"format", "mimic-boot-times"}, {"version", 1}, {"kinds", std::move(kinds)}};
    return write_file_atomically(path,
                                 json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n");
}

Result<std::string> boot_history_path() {
    MIMIC_ASSIGN_OR_RETURN(const auto root, state_root_path());
    return root + "/.boot-times.json";
}

}  // namespace mimic::machine
