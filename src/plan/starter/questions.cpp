// SPDX-License-Identifier: Apache-2.0
#include "starter/questions.h"

#include <charconv>
#include <utility>

#include <fmt/format.h>

#include "base/nearest.h"
#include "base/text_table.h"
#include "topology/yaml.h"
#include "yaml/scalars.h"

namespace mimic::starter {
namespace {

constexpr int kMostTries = 10;  // of a question; more is no person. Arbitrary

/// Asks until `read` takes the answer; what it returns is why it does not.
Status ask_until(const Conversation& with, const std::string& question, const std::string& preset,
                 const std::function<std::string(const std::string&)>& read) {
    for (int i = 0; i < kMostTries; ++i) {
        const auto line = with.ask(fmt::format("{} [{}]: ", question, preset));
        if (!line) break;
        const size_t begin = line->find_first_not_of(" \t\r");
        const std::string word = begin == std::string::npos
                                     ? preset
                                     : line->substr(begin,
                                                    line->find_last_not_of(" \t\r") + 1 - begin);
        const std::string problem = read(word);
        if (problem.empty()) return {};
        with.say("  " + problem);
    }
    return fail(std::errc::operation_canceled, "no answers, nothing was written");
}

Status ask_number(const Conversation& with, const std::string& question, unsigned least,
                  unsigned most, unsigned& value) {
    return ask_until(with, question, std::to_string(value), [&](const std::string& word) {
        unsigned number = 0;
        const char* const end = word.data() + word.size();
        const auto read = std::from_chars(word.data(), end, number);
        if (read.ec != std::errc() || read.ptr != end || number < least || number > most)
            return fmt::format("expected a number from {} to {}", least, most);
        value = number;
        return std::string();
    });
}

Status ask_shape(const Conversation& with, Answers& answers) {
    std::vector<std::vector<std::string>> rows;
    std::vector<std::string> names;
    for (const Shape& shape : shapes()) {
        rows.push_back({"  " + std::string(shape.name), std::string(shape.doc)});
        names.emplace_back(shape.name);
    }
    std::string table = text_table(rows);
    table.pop_back();
    with.say("Shapes:\n" + table);
    return ask_until(with, "Shape", names.front(), [&](const std::string& word) {
        const Shape* const shape = find_shape(word);
        if (shape == nullptr) {
            return fmt::format("expected one of {}{}", shape_names(), nearest_hint(word, names));
        }
        answers = shape->answers;
        return std::string();
    });
}

Status ask_name(const Conversation& with, Answers& answers) {
    return ask_until(with, "Name", answers.name, [&](const std::string& word) {
        answers.name = word;
        return answers.has_good_name() ? std::string() : std::string(kNameRule);
    });
}

Status ask_memory(const Conversation& with, Answers& answers) {
    return ask_until(with, "Memory", topology::format_size(answers.all_memory()),
                     [&](const std::string& word) {
                         const auto size = yaml::parse_size(word);
                         if (!size) return std::string("expected a size, such as 512M or 4G");
                         answers.memory = *size;
                         return answers.has_good_memory() ? std::string() : memory_rule(answers);
                     });
}

}  // namespace

Result<std::string> ask_text(const Conversation& with, const std::string& question,
                             const std::string& preset) {
    std::string out;
    MIMIC_TRY(ask_until(with, question, preset, [&out](const std::string& word) {
        out = word;
        return std::string();
    }));
    return out;
}

Result<Answers> ask_answers(const Conversation& with) {
    Answers answers;
    MIMIC_TRY(ask_shape(with, answers));
    MIMIC_TRY(ask_name(with, answers));
    MIMIC_TRY(ask_number(with, "Machines", 1, topology::kMaxMachines, answers.machines));
    MIMIC_TRY(ask_number(with, "NUMA nodes", 0, topology::kMaxNumaNodes, answers.numa_nodes));
    MIMIC_TRY(ask_number(with, answers.numa_nodes == 0 ? "Devices" : "Devices on each node", 0,
                         kMostPerNode, answers.devices_per_node));
    MIMIC_TRY(ask_number(with, "VFs of each device", 0, 64, answers.vfs));
    unsigned cpus = answers.all_cpus();
    MIMIC_TRY(ask_number(with, "CPUs", answers.nodes(), topology::kMaxCpus, cpus));
    answers.cpus = cpus;
    MIMIC_TRY(ask_memory(with, answers));
    return answers;
}

}  // namespace mimic::starter
