// SPDX-License-Identifier: Apache-2.0
#include "remote/places.h"

#include <algorithm>
#include <atomic>
#include <sstream>
#include <thread>

#include "base/nearest.h"
#include "base/terminal_text.h"
#include "machine/run_dir.h"

namespace mimic::remote {
namespace {

constexpr size_t kAtOnce = 8;        // arbitrary: each is a process and a connection
constexpr size_t kMaxMachines = 64;  // of a topology file
constexpr const char* kRunning = "Running";

/// Names of machines that a pod says it has; what is no name is left out.
std::vector<std::string> names_in(const std::string& text) {
    std::vector<std::string> names;
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line) && names.size() < kMaxMachines;)
        if (machine::is_machine_name(line)) names.push_back(line);
    return names;
}

std::string joined(const std::vector<std::string>& words) {
    return fmt::format("{}", fmt::join(words, ", "));
}

Result<std::vector<Pod>> running_pods(const Kubectl& kubectl) {
    MIMIC_ASSIGN_OR_RETURN(auto pods, kubectl.pods());
    std::erase_if(pods, [](const Pod& pod) { return pod.phase != kRunning; });
    return pods;
}

Result<Place> only_machine_of(const Kubectl& kubectl, const std::string& pod) {
    MIMIC_ASSIGN_OR_RETURN(const auto text, kubectl.ask(pod, {"ps", "--names"}));
    const auto names = names_in(text);
    if (names.size() == 1) return Place{pod, names.front()};
    if (names.empty())
        return fail(std::errc::no_such_file_or_directory, "no machine runs in pod {} yet", pod);
    return fail(std::errc::invalid_argument,
                "pod {0} has several machines: say {0}/NAME with one "
                "of {1}",
                pod, joined(names));
}

}  // namespace

Result<std::vector<Answer>> ask_all(const Kubectl& kubectl, const std::vector<std::string>& words) {
    MIMIC_ASSIGN_OR_RETURN(const auto pods, kubectl.pods());
    std::vector<Answer> answers;
    for (const Pod& pod : pods)
        answers.push_back({pod, fail(std::errc::not_connected, "{}", pod.phase)});
    std::atomic<size_t> next{0};
    const auto work = [&] {
        for (size_t i = next++; i < answers.size(); i = next++)
            if (answers[i].pod.phase == kRunning)
                answers[i].text = kubectl.ask(answers[i].pod.name, words);
    };
    std::vector<std::thread> threads;
    for (size_t i = 0; i < std::min(kAtOnce, answers.size()); ++i) threads.emplace_back(work);
    for (auto& thread : threads) thread.join();
    return answers;
}

Result<Place> find_place(const Kubectl& kubectl, const std::string& word) {
    if (const size_t slash = word.find('/'); slash != std::string::npos) {
        MIMIC_ASSIGN_OR_RETURN(auto pod, find_pod(kubectl, word.substr(0, slash)));
        Place place{std::move(pod), word.substr(slash + 1)};
        if (machine::is_machine_name(place.machine)) return place;
        return fail(std::errc::invalid_argument, "\"{}\" is no machine name", place.machine);
    }
    MIMIC_ASSIGN_OR_RETURN(const auto answers, ask_all(kubectl, {"ps", "--names"}));
    std::vector<Place> found;
    std::vector<std::string> known;
    for (const Answer& answer : answers) {
        if (answer.pod.phase != kRunning) continue;
        if (answer.pod.name == word) return only_machine_of(kubectl, word);
        known.push_back(answer.pod.name);
        if (!answer.text) continue;
        for (const std::string& name : names_in(*answer.text)) {
            if (name == word) found.push_back({answer.pod.name, name});
            known.push_back(name);
        }
    }
    if (found.size() == 1) return found.front();
    if (found.empty())
        return fail(std::errc::no_such_file_or_directory, "no pod has a machine {}{}", word,
                    known.empty() ? "; none runs" : did_you_mean(word, known));
    std::vector<std::string> ways;
    ways.reserve(found.size());
    for (const Place& place : found) ways.push_back(place.pod + "/" + place.machine);
    return fail(std::errc::invalid_argument, "several pods have a machine {}: say one of {}", word,
                joined(ways));
}

Result<std::string> find_pod(const Kubectl& kubectl, const std::string& word) {
    MIMIC_ASSIGN_OR_RETURN(const auto pods, running_pods(kubectl));
    std::vector<std::string> names;
    names.reserve(pods.size());
    for (const Pod& pod : pods) names.push_back(pod.name);
    if (word.empty() && names.size() == 1) return names.front();
    if (std::find(names.begin(), names.end(), word) != names.end()) return word;
    if (word.empty() && !names.empty())
        return fail(std::errc::invalid_argument, "several pods run: say one of {}", joined(names));
    return fail(std::errc::no_such_file_or_directory, "no pod {}runs{}",
                word.empty() ? "" : word + " ", names.empty() ? "" : did_you_mean(word, names));
}

}  // namespace mimic::remote
