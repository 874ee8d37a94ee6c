// SPDX-License-Identifier: Apache-2.0
#include "cli/trace_commands.h"

#include <memory>
#include <string>

#include "commands/trace_command.h"
#include "replay/replay.h"

namespace mimic::cli {
namespace {

void add_trace(CLI::App& app, Action& action) {
    auto options = std::make_shared<commands::TraceOptions>();
    auto format = std::make_shared<std::string>();
    auto* trace = app.add_subcommand("trace", "What the guest and the devices do, as it happened");
    trace->add_option("MACHINE", options->machine, "A running machine")->required();
    trace->add_option("DEVICE", options->devices, "Only these; a PF means its VFs, too (all)");
    auto* follow = trace->add_flag("-f,--follow", options->follow, "Go on until Ctrl-C");
    trace->add_option("--format", *format,
                      "text, jsonl or perfetto (by the name of FILE, or text)");
    trace->add_option("-o,--output", options->output, "Write to FILE, not to standard output");
    trace
        ->add_option("--data", options->data_bytes,
                     "Record from now on, with so many bytes of each DMA; needed for a replay")
        ->check(CLI::Range(1U, pci::kMaxTraceDmaBytes));
    auto* seconds = trace->add_option("--seconds", options->seconds, "Record for so long, then end")
                        ->check(CLI::Range(0.0, 1e6));
    trace->add_option("--last", options->last, "Only the last N events")
        ->check(CLI::Range(uint64_t{1}, uint64_t{1'000'000}))
        ->excludes(follow)
        ->excludes(seconds);
    trace->add_option("--to-test", options->to_test,
                      "Write NAME_test.cpp and NAME.jsonl, a unit test that replays the recording");
    trace->callback([options, format, &action] {
        if (!format->empty()) {
            const auto parsed = mimic::trace::parse_format(*format);
            if (!parsed) throw CLI::ValidationError("--format", parsed.error().message());
            options->format = *parsed;
        }
        action = [options] { return commands::run_trace(*options); };
    });
}

void add_replay(CLI::App& app, Action& action) {
    auto file = std::make_shared<std::string>();
    auto name = std::make_shared<std::string>();
    auto* replay = app.add_subcommand(
        "replay", "Feed a recorded trace to the device models and show the first difference");
    replay->add_option("TRACE", *file, "A file of `mimic trace`, or a dump")->required();
    auto* to_test = replay->add_option("--to-test", *name,
                                       "Write NAME_test.cpp and NAME.jsonl instead");
    auto json = std::make_shared<bool>(false);
    replay->add_flag("--json", *json, "Say what came of it as JSON")->excludes(to_test);
    replay->callback([file, name, json, &action] {
        action = [file, name, json] {
            return name->empty() ? replay::run_replay(*file, *json)
                                 : commands::run_write_test(*file, *name);
        };
    });
}

}  // namespace

void add_trace_commands(CLI::App& app, Action& action) {
    add_trace(app, action);
    add_replay(app, action);
}

}  // namespace mimic::cli
