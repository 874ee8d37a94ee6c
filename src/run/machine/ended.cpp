// SPDX-License-Identifier: Apache-2.0
#include "machine/ended.h"

#include <sys/stat.h>

#include <algorithm>
#include <ctime>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "base/command_report.h"
#include "base/nearest.h"
#include "base/private_files.h"
#include "base/terminal_text.h"

namespace mimic::machine {
namespace {

using Json = nlohmann::ordered_json;

constexpr const char* kReasonFile = "/exit-reason";
constexpr const char* kEndFile = "/ended.json";
constexpr size_t kMaxReason = 1000;  // characters that are shown of one

// The first line that a machine's end left; empty without.
std::string reason_in(const std::string& state_dir) {
    const auto lines = last_lines(state_dir + kReasonFile, kMaxReason);
    return lines.empty() ? "" : lines.front();
}

std::string utc_of(time_t seconds) {
    std::tm parts{};
    if (::gmtime_r(&seconds, &parts) == nullptr) return "";
    return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z", parts.tm_year + 1900,
                       parts.tm_mon + 1, parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec);
}

std::string text_in(const Json& json, const char* key) {
    const auto found = json.find(key);
    return found != json.end() && found->is_string() ? found->get<std::string>() : "";
}

// When a file was written last; 0: it is not there.
time_t written_at(const std::string& path) {
    struct stat info {};
    return ::lstat(path.c_str(), &info) == 0 ? info.st_mtime : 0;
}

// A folder that a machine left. False for others, such as those of clusters.
bool read_ended(const std::string& state_dir, EndedMachine& ended) {
    ended.state_dir = state_dir;
    ended.reason = reason_in(state_dir);
    time_t time = written_at(state_dir + kReasonFile);
    if (time == 0) {
        // Its processes were all killed, or the host went down: nobody was left to say why.
        time = std::max(written_at(state_dir + "/supervisor.log"),
                        written_at(state_dir + "/console.log"));
        if (time == 0) return false;
        ended.reason = "unknown: all its processes were killed, or the host went down";
    }
    ended.ended = utc_of(time);
    const auto text = read_small_file(state_dir + kEndFile);
    const Json json = text ? Json::parse(*text, nullptr, false) : Json();
    if (!json.is_object()) return true;
    ended.file = text_in(json, "file");
    ended.accel = text_in(json, "accel");
    ended.kernel = text_in(json, "kernel");
    ended.started = text_in(json, "started");
    if (const auto asked = json.find("asked"); asked != json.end() && asked->is_boolean())
        ended.asked = asked->get<bool>();
    if (const auto count = json.find("functions");
        count != json.end() && count->is_number_unsigned())
        ended.functions = count->get<unsigned>();
    return true;
}

/// What `mimic rm` did with one.
struct Removal {
    std::string name;
    std::string result;   // "removed", "missing", "failed"
    std::string message;  // why, unless it was removed
};

Removal remove_one(const RunRoot& root, const std::string& name,
                   const std::vector<std::string>& known) {
    if (!is_machine_name(name))
        return {name, "failed", fmt::format("\"{}\" is no machine name", name)};
    if (root.is_alive(name))
        return {name, "failed", fmt::format("machine {0} runs; end it with: mimic down {0}", name)};
    if (std::find(known.begin(), known.end(), name) == known.end())
        return {name, "missing",
                fmt::format("no machine {} has ended{}", name, did_you_mean(name, known))};
    if (const Status removed = root.remove_logs(name); !removed)
        return {name, "failed", removed.error().message()};
    return {name, "removed", ""};
}

bool print_removals(const std::vector<Removal>& removals) {
    Json list = Json::array();
    for (const Removal& one : removals)
        list.push_back({{"name", one.name}, {"result", one.result}, {"message", one.message}});
    return print_document(
        Json{{"format", "mimic-rm"}, {"version", 1}, {"machines", std::move(list)}}.dump(
            2, ' ', false, Json::error_handler_t::replace));
}

}  // namespace

Status note_end(const std::string& state_dir, const MachineState& state, const std::string& reason,
                const std::vector<std::string>& log, bool asked) {
    std::string text = reason + "\n";
    for (const auto& line : log) text += "  " + line + "\n";
    const Json json{{"format", "mimic-ended"},      {"version", 1},
                    {"name", state.name},           {"file", state.file},
                    {"accel", state.accel},         {"kernel", state.kernel},
                    {"started", state.started},     {"asked", asked},
                    {"functions", state.functions}, {"reason", reason}};
    // First what only `ps --all` reads: who finds the reason finds all.
    const Status written = write_file_atomically(
        state_dir + kEndFile, json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n");
    MIMIC_TRY(write_file_atomically(state_dir + kReasonFile, text));
    return written;
}

Result<std::vector<EndedMachine>> ended_machines(const RunRoot& root) {
    MIMIC_ASSIGN_OR_RETURN(const std::string states, state_root_path());
    const auto here = root.names();
    std::vector<EndedMachine> all;
    std::error_code error;
    for (std::filesystem::directory_iterator at(states, error), end; !error && at != end;
         at.increment(error)) {
        EndedMachine ended;
        ended.name = at->path().filename().string();
        std::error_code ignored;
        if (!is_machine_name(ended.name) || !at->is_directory(ignored) ||
            std::binary_search(here.begin(), here.end(), ended.name))
            continue;
        if (read_ended(at->path().string(), ended)) all.push_back(std::move(ended));
    }
    std::sort(all.begin(), all.end(), [](const EndedMachine& one, const EndedMachine& other) {
        return one.ended != other.ended ? one.ended > other.ended : one.name < other.name;
    });
    return all;
}

std::string end_of(const std::string& name) {
    const auto states = state_root_path();
    return states ? reason_in(*states + "/" + name) : "";
}

void prune_ended(const RunRoot& root, size_t keep) {
    const auto all = ended_machines(root);
    if (!all) return;
    for (size_t i = keep; i < all->size(); ++i) {
        // One that cannot be removed is for `mimic rm` to tell of.
        [[maybe_unused]] const Status removed = root.remove_logs((*all)[i].name);
    }
}

int run_rm(const std::vector<std::string>& names, bool all, bool ignore_missing, bool json) {
    const auto root = RunRoot::open();
    const auto ended = root ? ended_machines(*root)
                            : Result<std::vector<EndedMachine>>(tl::unexpected(root.error()));
    if (!ended) {
        report_error(ended.error().message());
        return 1;
    }
    std::vector<std::string> known;
    for (const auto& one : *ended) known.push_back(one.name);
    std::vector<Removal> removals;
    int status = 0;
    for (const std::string& name : all ? known : names) {
        removals.push_back(remove_one(*root, name, known));
        const Removal& one = removals.back();
        if (one.result == "removed") {
            if (!json) fmt::print("{}: removed\n", name);
        } else if (one.result == "missing" && ignore_missing) {
            fmt::print(stderr, "mimic: {}\n", terminal_lines(one.message));
        } else {
            report_error(one.message);
            status = 1;
        }
    }
    if (json && !print_removals(removals)) return 1;
    return status;
}

}  // namespace mimic::machine
