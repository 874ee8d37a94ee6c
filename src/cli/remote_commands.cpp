// SPDX-License-Identifier: Apache-2.0
// A command line is parsed here as any other, so that it is judged before anybody is asked, and
// then its words go to the `mimic` of a pod, with the machine's name as that one knows it.
#include "cli/remote_commands.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <memory>

#include "base/command_report.h"
#include "base/terminal_text.h"
#include "cli/command_words.h"
#include "remote/kubectl.h"
#include "remote/places.h"
#include "remote/remote_commands.h"

namespace mimic::cli {
namespace {

using remote::Kubectl;
using remote::KubectlOptions;
using Words = std::vector<std::string>;

constexpr int kUsage = 2;
constexpr int kExecFailed = 125;  // of `mimic exec`

/// A command that a pod's mimic carries out.
struct Forwarded {
    const char* name;
    enum { kOneMachine, kMachines, kTerminal } takes;
};
constexpr Forwarded kForwarded[] = {
    {"exec", Forwarded::kOneMachine},   {"logs", Forwarded::kOneMachine},
    {"inject", Forwarded::kOneMachine}, {"regs", Forwarded::kOneMachine},
    {"trace", Forwarded::kOneMachine},  {"console", Forwarded::kTerminal},
    {"top", Forwarded::kMachines},      {"verify", Forwarded::kMachines},
};

int tell(const Error& error, int status = 1) {
    report_error(error.message());
    return status;
}

bool has(const Words& words, std::string_view word) {
    const auto end = std::find(words.begin(), words.end(), "--");
    return std::find(words.begin(), end, word) != end;
}

int run_forwarded(const Kubectl& kubectl, const std::string& pod, const Words& words) {
    const std::string& command = words.front();
    const bool is_exec = command == "exec";
    // As at home: whoever sits at a terminal does not type for each command of a script.
    const bool pass_input = is_exec && ::isatty(STDIN_FILENO) == 0 && !has(words, "-n") &&
                            !has(words, "--no-stdin");
    // What a guest's command prints is its user's; the rest is text.
    const bool raw = is_exec || (command == "logs" && has(words, "--raw"));
    return remote::run_through(kubectl.in_pod(pod, words, pass_input ? Words{"--stdin"} : Words{}),
                               raw ? remote::Output::kRaw : remote::Output::kFiltered, pass_input);
}

int run_console(const Kubectl& kubectl, const remote::Place& place) {
    if (::isatty(STDIN_FILENO) == 0) {
        report_error("console wants a terminal; see mimic logs");
        return 1;
    }
    return remote::run_through(
        kubectl.in_pod(place.pod, {"console", place.machine}, {"--stdin", "--tty"}),
        remote::Output::kRaw, true);
}

/// `words` with only this machine.
Words with_machine(Words words, const std::vector<size_t>& places, size_t place,
                   const std::string& machine) {
    words[place] = machine;
    for (size_t i = places.size(); i-- > 0;)
        if (places[i] != place) words.erase(words.begin() + static_cast<std::ptrdiff_t>(places[i]));
    return words;
}

int forward_one(const Kubectl& kubectl, const Forwarded& command, const Words& words,
                const std::vector<size_t>& machines) {
    // Without a name the only pod is meant, as the only machine at home.
    const std::string name = machines.empty() ? "" : words[machines.front()];
    const int failed = std::string_view(command.name) == "exec" ? kExecFailed : 1;
    if (name.empty()) {
        const auto pod = remote::find_pod(kubectl, "");
        if (!pod) return tell(pod.error(), failed);
        const auto place = remote::find_place(kubectl, *pod);
        if (!place) return tell(place.error(), failed);
        return command.takes == Forwarded::kTerminal ? run_console(kubectl, *place)
                                                     : run_forwarded(kubectl, place->pod, words);
    }
    const auto place = remote::find_place(kubectl, name);
    if (!place) return tell(place.error(), failed);
    if (command.takes == Forwarded::kTerminal) return run_console(kubectl, *place);
    return run_forwarded(kubectl, place->pod,
                         with_machine(words, {machines.front()}, machines.front(), place->machine));
}

/// A command that takes any number of machines: one after the other, or all of all pods.
int forward_all(const Kubectl& kubectl, const Words& words, const std::vector<size_t>& machines) {
    int status = 0;
    if (machines.empty()) {
        const auto pods = kubectl.pods();
        if (!pods) return tell(pods.error(), kUsage);
        for (const auto& pod : *pods) {
            if (pod.phase != "Running") continue;
            fmt::print("== {}\n", pod.name);
            std::fflush(stdout);
            status = std::max(status, run_forwarded(kubectl, pod.name, words));
        }
        return status;
    }
    for (const size_t at : machines) {
        const auto place = remote::find_place(kubectl, words[at]);
        status = std::max(status,
                          place ? run_forwarded(kubectl, place->pod,
                                                with_machine(words, machines, at, place->machine))
                                : tell(place.error(), kUsage));
    }
    return status;
}

int run_remotely(const KubectlOptions& options, const CLI::App& app, const Words& words) {
    const Kubectl kubectl(options);
    const CLI::App* const command = app.get_subcommands().front();
    const std::string name = command->get_name();
    if (name == "ps") {
        for (const char* option : {"--ready", "--all"}) {
            if (!has(words, option)) continue;
            report_error(fmt::format("ps {} is for inside a pod", option));
            return kUsage;
        }
        return remote::run_remote_ps(kubectl, has(words, "--json")    ? remote::PsFormat::kJson
                                              : has(words, "--names") ? remote::PsFormat::kNames
                                                                      : remote::PsFormat::kTable);
    }
    const auto places = positional_words(*command, words);
    const std::string first = places.empty() ? "" : words[places.front()];
    if (name == "results") return remote::run_results(kubectl, first);
    if (name == "web" || name == "api") return remote::run_remote_web(kubectl, name, first);
    for (const Forwarded& each : kForwarded) {
        if (name != each.name) continue;
        return each.takes == Forwarded::kMachines ? forward_all(kubectl, words, places)
                                                  : forward_one(kubectl, each, words, places);
    }
    std::string known;
    for (const Forwarded& each : kForwarded) known += std::string(each.name) + ", ";
    fmt::print(
        stderr,
        "mimic: error: with --context there is no {}; there are {}ps, results, web, api. Pods "
        "are started by the chart deploy/helm/mimic-machines\n",
        name, known);
    return kUsage;
}

/// The value of `option` at the front of `words`, taken from there; nothing if that is another
/// word.
std::optional<std::string> take(Words& words, std::string_view option) {
    if (words.empty()) return std::nullopt;
    std::string value;
    size_t used = 0;
    if (words[0] == option && words.size() > 1) {
        value = words[1];
        used = 2;
    } else if (words[0].starts_with(option) && words[0].size() > option.size() &&
               words[0][option.size()] == '=' && option.starts_with("--")) {
        value = words[0].substr(option.size() + 1);
        used = 1;
    } else {
        return std::nullopt;
    }
    words.erase(words.begin(), words.begin() + static_cast<std::ptrdiff_t>(used));
    return value;
}

}  // namespace

void add_remote_commands(CLI::App& app, Action& action) {
    // Only for the help: take_remote_options() has taken them.
    app.add_option("--context",
                   "Machines in pods, by this context of your kubeconfig: exec, logs, "
                   "console, inject, ps, regs, results, top, trace, verify, web, api");
    app.add_option("-n,--namespace", "With --context: the namespace of the pods (the context's)");
    const std::string selector = fmt::format("With --context: labels of the pods ({})",
                                             remote::kSelector);
    app.add_option("--selector", selector);
    app.add_option("--kubectl", "With --context: the program that reaches them (kubectl)")
        ->envname("KUBECTL");
    auto job = std::make_shared<std::string>();
    auto* results = app.add_subcommand("results",
                                       "With --context: what came of a sweep, as JSON Lines");
    results->add_option("JOB", *job, "Name of the sweep's Job")->required();
    // The parser writes to it when it parses.
    results->callback([job, &action] {
        action = [] {
            std::fputs("mimic: error: results are in a cluster: mimic --context NAME results JOB\n",
                       stderr);
            return kUsage;
        };
    });
}

RemoteRun take_remote_options(Words& words) {
    KubectlOptions options;
    // NOLINTNEXTLINE(concurrency-mt-unsafe): there are no other threads yet
    if (const char* program = std::getenv("KUBECTL"); program != nullptr && *program != '\0')
        options.program = program;
    bool is_remote = false;
    for (;;) {
        if (auto context = take(words, "--context")) {
            options.context = *context;
            is_remote = true;
        } else if (auto name_space = take(words, "--namespace")) {
            options.name_space = *name_space;
        } else if (auto short_name = take(words, "-n")) {
            options.name_space = *short_name;
        } else if (auto selector = take(words, "--selector")) {
            options.selector = *selector;
        } else if (auto program = take(words, "--kubectl")) {
            options.program = *program;
        } else {
            break;
        }
    }
    if (!is_remote) return nullptr;
    return [options](const CLI::App& app, const Words& given) {
        return run_remotely(options, app, given);
    };
}

}  // namespace mimic::cli
