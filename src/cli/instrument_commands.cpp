// SPDX-License-Identifier: Apache-2.0
#include "cli/instrument_commands.h"

#include <charconv>
#include <cstdio>
#include <memory>
#include <string>

#include "commands/regs.h"
#include "commands/serve_api.h"
#include "commands/top.h"
#include "pci/faults/fault.h"

namespace mimic::cli {
namespace {

using namespace std::chrono_literals;

constexpr Duration kMinInterval = 10ms;  // arbitrary: each look copies a configuration space
constexpr Duration kMaxInterval = 1h;

// "0.5" seconds, or "200ms".
Duration interval_of(const char* option, const std::string& text) {
    double seconds = 0;
    const char* const end = text.data() + text.size();
    const auto parsed = std::from_chars(text.data(), end, seconds);
    Duration interval{};
    if (parsed.ec == std::errc() && parsed.ptr == end) {
        if (!(seconds >= 0 && seconds <= 3600))
            throw CLI::ValidationError(option, "\"" + text + "\" is not from 0.01 to 3600 seconds");
        interval = std::chrono::duration_cast<Duration>(std::chrono::duration<double>(seconds));
    } else {
        const auto duration = pci::parse_duration(text, kMaxInterval);
        if (!duration) throw CLI::ValidationError(option, duration.error().message());
        interval = *duration;
    }
    if (interval < kMinInterval)
        throw CLI::ValidationError(option, "\"" + text + "\" is less than 10 ms");
    return interval;
}

struct RegsArguments {
    commands::RegsOptions options;
    unsigned bar = 0;
    std::string watch;     // of --watch=INTERVAL
    std::string interval;  // the third word
};

void add_regs(CLI::App& app, Action& action) {
    auto arguments = std::make_shared<RegsArguments>();
    auto& options = arguments->options;
    auto* regs = app.add_subcommand("regs", "Print the registers of a device by name");
    regs->add_option("MACHINE", options.machine, "A running machine")->required();
    regs->add_option("DEVICE", options.device, "A function of it; without it, say which there are");
    auto* config = regs->add_flag("--config", options.config, "Only configuration space");
    auto* bar = regs->add_option("--bar", arguments->bar, "Only this BAR")
                    ->check(CLI::Range(0u, 5u))
                    ->excludes(config);
    auto* json = regs->add_flag("--json", options.json, "As JSON, as the control API gives it");
    auto* hex = regs->add_flag("--hex", options.hex, "Configuration space as bytes")
                    ->excludes(bar)
                    ->excludes(json);
    regs->add_flag("-v,--verbose", options.docs, "With a sentence for each register");
    auto* watch = regs->add_flag("--watch", arguments->watch,
                                 "Tell what changes, looking each INTERVAL")
                      ->excludes(hex);
    // A word of its own and no value of --watch, which would take MACHINE for one.
    regs->add_option("INTERVAL", arguments->interval, "With --watch: seconds, or 200ms (0.5)")
        ->needs(watch);
    regs->callback([arguments, bar, watch, &action] {
        auto& chosen = arguments->options;
        if (bar->count() != 0) chosen.bar = arguments->bar;
        if (watch->count() != 0) {
            // The parser calls a flag without its value "true".
            const bool has_value = !arguments->watch.empty() && arguments->watch != "true";
            chosen.watch = !arguments->interval.empty()
                               ? interval_of("INTERVAL", arguments->interval)
                               : interval_of("--watch", has_value ? arguments->watch : "0.5");
        }
        action = [arguments] { return commands::run_regs(arguments->options); };
    });
}

void add_top(CLI::App& app, Action& action) {
    auto options = std::make_shared<commands::TopOptions>();
    auto interval = std::make_shared<std::string>("1");
    auto* top = app.add_subcommand("top", "Show what machines and devices do, as it happens");
    top->add_option("MACHINE", options->machines, "Only these machines");
    top->add_option("--interval", *interval, "Seconds between two looks, or 200ms (1)")
        ->expected(1);
    top->add_flag("--once", options->once, "Print one table and end, as without a terminal");
    top->add_flag("--json", options->json, "That table as JSON");
    top->callback([options, interval, &action] {
        options->interval = interval_of("--interval", *interval);
        action = [options] { return commands::run_top(*options); };
    });
}

void add_api(CLI::App& app, Action& action, const char* name, const char* what, bool page) {
    auto options = std::make_shared<commands::ServeApiOptions>();
    options->page = page;
    auto* api = app.add_subcommand(name, what);
    auto where = std::make_shared<std::string>();
    api->add_option("WHERE", *where, "With --context: the pod or machine (the only one)");
    api->add_option("--port", options->port, "Port of 127.0.0.1 (one that is free)");
    api->add_option("--token-file", options->token_file,
                    "Take the token from FILE, which only you can read (a new one, printed)");
    api->add_option("--tunnel-port", options->tunnel,
                    "A port of 127.0.0.1 elsewhere that leads here, as with ssh -L (none)");
    api->add_flag("--until-eof", options->until_eof, "Serve until standard input ends");
    api->callback([options, where, &action] {
        action = [options, where] {
            if (where->empty()) return commands::run_serve_api(*options);
            std::fputs("mimic: error: here all machines are served; a name is for --context\n",
                       stderr);
            return 2;
        };
    });
}

}  // namespace

void add_instrument_commands(CLI::App& app, Action& action) {
    add_regs(app, action);
    add_top(app, action);
    add_api(app, action, "api", "Serve the control API on a loopback port", false);
    add_api(app, action, "web", "Serve a page that shows the running machines", true);
}

}  // namespace mimic::cli
