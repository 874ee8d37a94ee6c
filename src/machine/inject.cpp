// SPDX-License-Identifier: Apache-2.0
#include "machine/inject.h"

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <vector>

#include "base/nearest.h"
#include "control/client.h"
#include "control/fault_json.h"
#include "machine/down.h"

namespace mimic::machine {
namespace {

using Json = nlohmann::json;

// The control sockets of a machine's device hosts, sorted.
std::vector<std::string> control_sockets(const std::string& run_dir) {
    std::vector<std::string> paths;
    std::error_code error;
    for (std::filesystem::directory_iterator at(run_dir, error), end; !error && at != end;
         at.increment(error)) {
        const std::string name = at->path().filename().string();
        if (name.starts_with("control-") && name.ends_with(".sock"))
            paths.push_back(at->path().string());
    }
    std::sort(paths.begin(), paths.end());
    return paths;
}

// A member of what a device host said, which is believed no more than any peer.
std::string text_of(const Json& json, const char* key) {
    const auto found = json.is_object() ? json.find(key) : json.end();
    return json.is_object() && found != json.end() && found->is_string() ? found->get<std::string>()
                                                                         : "";
}

// The newest fault of an answer; null if it has none.
Json newest(const Json& answer) {
    Json best;
    int64_t best_id = -1;
    if (!answer.is_object() || !answer.contains("faults")) return best;
    for (const auto& fault : answer["faults"]) {
        if (!fault.is_object() || !fault.contains("id") || !fault["id"].is_number_integer())
            continue;
        if (fault["id"].get<int64_t>() <= best_id) continue;
        best_id = fault["id"].get<int64_t>();
        best = fault;
    }
    return best;
}

// Searches a machine's device hosts for the device.
class Injection {
public:
    explicit Injection(const InjectOptions& options) : options_(options) {}

    Status run() {
        // Before anything is asked of anybody: also a name that this program does not know.
        MIMIC_ASSIGN_OR_RETURN(auto fault, pci::parse_fault(options_.fault, options_.options));
        fault.at = options_.at;
        fault.after_accesses = options_.after_accesses;
        fault.seed = options_.seed;
        MIMIC_ASSIGN_OR_RETURN(const auto run_dir, running_machine_dir(options_.machine));
        control::ClientRequest request;
        request.method = "POST";
        request.path = "/v1/devices/" + control::percent_encode(options_.device) + "/faults";
        request.body = control::fault_body(options_.fault, options_.options, fault);
        for (const auto& socket : control_sockets(run_dir)) {
            request.socket_path = socket;
            MIMIC_ASSIGN_OR_RETURN(const bool done, ask(request, fault.kind));
            if (done) return {};
        }
        return not_found();
    }

private:
    // True: the device is there and has the fault.
    Result<bool> ask(const control::ClientRequest& request, pci::FaultKind kind) {
        const auto answer = control::send_request(request);
        if (!answer) {
            if (kind == pci::FaultKind::kHostCrash &&
                answer.error().code() == std::errc::connection_reset) {
                fmt::print("{}: host-crash done\n", options_.device);
                return true;
            }
            // One that has crashed, or hangs: another may have the device.
            silent_ = answer.error().message();
            return false;
        }
        const Json body = Json::parse(answer->body, nullptr, /*allow_exceptions=*/false);
        if (answer->status == 201) {
            print(newest(body));
            return true;
        }
        const Json error = body.is_object() && body.contains("error") ? body["error"] : Json();
        const std::string code = text_of(error, "code");
        // A name with a slash is not even a path of the API.
        if (code == "unknown_device" || code == "not_found") {
            if (error.contains("nearest") && error["nearest"].is_array()) {
                for (const auto& name : error["nearest"])
                    if (name.is_string()) nearest_.push_back(name.get<std::string>());
            }
            return false;
        }
        if (code == "busy") {
            silent_ = text_of(error, "message");
            return false;
        }
        return fail(std::errc::invalid_argument, "{}: {}", options_.device,
                    code.empty()
                        ? fmt::format("the device host answered with status {}", answer->status)
                        : text_of(error, "message"));
    }

    void print(const Json& fault) const {
        std::string line = fmt::format("{}: {} {}", options_.device, options_.fault,
                                       text_of(fault, "state"));
        if (options_.at)
            line += fmt::format(", strikes in {} us", *options_.at / std::chrono::microseconds(1));
        if (options_.after_accesses)
            line += fmt::format(", strikes after {} accesses", *options_.after_accesses);
        if (const auto note = text_of(fault, "note"); !note.empty()) line += " (" + note + ")";
        std::puts(line.c_str());
    }

    tl::unexpected<Error> not_found() const {
        const auto known = did_you_mean(options_.device, nearest_);
        if (!silent_.empty() && nearest_.empty())
            return fail(std::errc::timed_out, "machine {} does not answer for device \"{}\": {}",
                        options_.machine, options_.device, silent_);
        return fail(std::errc::invalid_argument, "machine {} has no device \"{}\"{}",
                    options_.machine, options_.device, known);
    }

    const InjectOptions& options_;
    std::vector<std::string> nearest_;
    std::string silent_;  // why a device host gave no answer
};

std::string options_of(const pci::FaultName& entry) {
    std::vector<std::string> parts;
    if ((entry.options & pci::kFaultSeverity) != 0) parts.emplace_back("severity=fatal|nonfatal");
    if ((entry.options & pci::kFaultCount) != 0)
        parts.push_back(fmt::format("count={}", entry.count));
    if ((entry.options & pci::kFaultDelay) != 0)
        parts.push_back(fmt::format("delay={}ms", entry.delay / std::chrono::milliseconds(1)));
    if ((entry.options & pci::kFaultVector) != 0) parts.emplace_back("vector=N");
    return parts.empty() ? "" : fmt::format(" [{}]", fmt::join(parts, " "));
}

}  // namespace

int run_inject(const InjectOptions& options) {
    const auto done = Injection(options).run();
    if (done) return 0;
    std::fputs(fmt::format("mimic: error: {}\n", done.error().message()).c_str(), stderr);
    return 1;
}

int list_faults() {
    for (const auto& entry : pci::fault_names())
        fmt::print("{:<22}{}{}\n", entry.name, entry.what, options_of(entry));
    return 0;
}

}  // namespace mimic::machine
