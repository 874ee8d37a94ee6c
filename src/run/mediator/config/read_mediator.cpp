// SPDX-License-Identifier: Apache-2.0
// `mediator:` of a file: sockets, rule, admission, times.
#include <fmt/format.h>
#include <sys/un.h>

#include "mediator/config/keys.h"
#include "mediator/config/parse.h"
#include "mediator/config/reader.h"

namespace mimic::mediator {
namespace {

constexpr size_t kMaxSocketPath = sizeof(sockaddr_un::sun_path) - 1;
constexpr size_t kMaxVmIdDigits = 10;
// Behind the run folder: "/backend-", a backend's name, "~63" (cuda's processes have numbers), and
// ".sock".
constexpr size_t kMaxRunFolder = kMaxSocketPath - 9 - kMaxBackendName - 3 - 5;
constexpr size_t kMaxPath = 4095;

std::string path(const yaml::Fields& fields, std::string_view key, size_t longest) {
    const auto text = fields.text(key, "an absolute path");
    if (!text) return "";
    std::string problem;
    if (!text->starts_with('/'))
        problem = "expected an absolute path: a service has no folder of its own";
    else if (text->size() > longest)
        problem = fmt::format("it has {} bytes; expected at most {}", text->size(), longest);
    else if (!yaml::is_printable_ascii(*text))
        problem = "expected printable ASCII";
    if (problem.empty()) return *text;
    fields.problem(fields.where(key),
                   fmt::format("{} is {}; {}", key, fields.find(key)->describe(), problem));
    return "";
}

void read_sockets(const yaml::Fields& fields, Config& config) {
    config.vm_sockets = path(fields, "vm_sockets", kMaxSocketPath + kVmIdPlace.size());
    const std::string& pattern = config.vm_sockets;
    const size_t place = pattern.find(kVmIdPlace);
    if (!pattern.empty()) {
        if (place == std::string::npos)
            fields.problem(fields.where("vm_sockets"),
                           fmt::format("vm_sockets has no {}; expected one, for each VM has a "
                                       "socket of its own",
                                       kVmIdPlace));
        else if (pattern.find(kVmIdPlace, place + 1) != std::string::npos ||
                 pattern.find('/', place) != std::string::npos)
            fields.problem(fields.where("vm_sockets"),
                           fmt::format("vm_sockets has {} in a folder or twice; expected it once, "
                                       "in the name of the file",
                                       kVmIdPlace));
        else if (pattern.size() - kVmIdPlace.size() + kMaxVmIdDigits > kMaxSocketPath)
            fields.problem(fields.where("vm_sockets"),
                           fmt::format("vm_sockets gives paths of more than {} bytes; expected "
                                       "what a UNIX socket can have",
                                       kMaxSocketPath));
    }
    config.socket = path(fields, "socket", kMaxSocketPath);
    config.run_folder = path(fields, "run_folder", kMaxRunFolder);
    config.audit_log = path(fields, "audit_log", kMaxPath);
}

void read_quarantine(const yaml::YamlPtr& node, Quarantine& quarantine,
                     yaml::Diagnostics& diagnostics) {
    const yaml::Fields fields(node, "quarantine", kQuarantineKeys, diagnostics);
    take_number(fields, "faults", {0, 1'000'000}, quarantine.faults);
    if (const auto value = duration(fields, "window", std::chrono::milliseconds(1)))
        quarantine.window = *value;
    if (const auto value = duration(fields, "release", {})) quarantine.release = *value;
}

}  // namespace

void read_mediator(const yaml::YamlPtr& node, Config& config, yaml::Diagnostics& diagnostics) {
    const yaml::Fields fields(node, "mediator", kMediatorKeys, diagnostics);
    read_sockets(fields, config);
    if (const auto rule = fields.choice("rule", kRules)) config.rule = static_cast<RuleName>(*rule);
    if (const auto strict = fields.truth("strict_classes")) {
        config.strict_classes = *strict;
        if (*strict && config.rule != RuleName::kFair)
            fields.problem(fields.where("strict_classes"),
                           "strict_classes with another rule than fair; the others look at classes "
                           "in their own way");
    }
    config.uids = user_ids(fields);
    if (const auto quarantine = fields.share("quarantine"))
        read_quarantine(quarantine, config.quarantine, diagnostics);
    take_number(fields, "max_connections", {1, 65'536}, config.max_connections);
    if (const auto value = duration(fields, "message_timeout", std::chrono::milliseconds(10)))
        config.message_timeout = *value;
    if (const auto value = duration(fields, "session_patience", {}))
        config.session_patience = *value;
}

}  // namespace mimic::mediator
