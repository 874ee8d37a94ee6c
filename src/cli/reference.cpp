// SPDX-License-Identifier: Apache-2.0
#include "cli/reference.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <ctime>

#include "base/private_files.h"
#include "cli/command_words.h"
#include "cli/exit_table.h"
#include "cli/version.h"

namespace mimic::cli {
namespace {

using Options = std::vector<const CLI::Option*>;

bool is_shown(const CLI::App& command) {
    return !command.get_name().empty() && !command.get_group().empty();
}

std::vector<const CLI::App*> shown_below(const CLI::App& command) {
    std::vector<const CLI::App*> found;
    for (const CLI::App* each : command.get_subcommands([](const CLI::App*) { return true; }))
        if (is_shown(*each)) found.push_back(each);
    return found;
}

/// Arguments, or options with those of the groups in a command.
Options options_of(const CLI::App& command, bool positional) {
    Options found;
    for (const CLI::Option* each : command.get_options())
        if (each->nonpositional() != positional && !each->get_group().empty())
            found.push_back(each);
    for (const CLI::App* group : command.get_subcommands([](const CLI::App*) { return true; })) {
        if (!group->get_name().empty()) continue;
        for (const CLI::Option* each : group->get_options())
            if (each->nonpositional() != positional) found.push_back(each);
    }
    return found;
}

/// "-f,--follow" as "-f, --follow"; "FILE".
std::string name_of(const CLI::Option& option) {
    std::string name = option.get_name(!option.nonpositional(), true);
    for (size_t at = name.find(','); at != std::string::npos; at = name.find(',', at + 2))
        name.insert(at + 1, " ");
    return name;
}

std::string usage_of(const NamedCommand& command) {
    std::string usage = command.name;
    if (!options_of(*command.app, false).empty()) usage += " [OPTIONS]";
    for (const CLI::Option* each : options_of(*command.app, true)) {
        std::string word = each->get_name(true);
        if (each->get_expected_max() == CLI::detail::expected_max_vector_size) word += "...";
        usage += each->get_required() ? " " + word : " [" + word + "]";
    }
    if (!shown_below(*command.app).empty()) usage += " COMMAND ...";
    return usage;
}

// --- man(7) ----------------------------------------------------------------------------------

/// Text for roff: what begins a request or an escape is none.
std::string roff(std::string_view text) {
    std::string out;
    for (const char c : text) {
        switch (c) {
            case '\\':
                out += "\\e";
                break;
            case '-':
                out += "\\-";
                break;
            case '\'':
                out += "\\(aq";
                break;
            case '`':
                out += "\\(ga";
                break;
            case '^':
                out += "\\(ha";
                break;
            case '~':
                out += "\\(ti";
                break;
            default:
                out += c;
        }
    }
    if (!out.empty() && out.front() == '.') out.insert(0, "\\&");
    return out;
}

/// The first line of a description without its full stop, and the lines behind it.
std::pair<std::string, std::string> description_of(const CLI::App& command) {
    std::string text = command.get_description();
    const size_t end = text.find('\n');
    std::string rest = end == std::string::npos ? "" : text.substr(end + 1);
    if (end != std::string::npos) text.resize(end);
    if (text.ends_with('.')) text.pop_back();
    return {std::move(text), std::move(rest)};
}

std::string page_name(std::string name) {
    std::replace(name.begin(), name.end(), ' ', '-');
    return name;
}

/// The day of the release that is built, as for other tools that make files which must not differ.
std::string page_date() {
    // NOLINTNEXTLINE(concurrency-mt-unsafe): there are no other threads
    const char* const epoch = std::getenv("SOURCE_DATE_EPOCH");
    const std::time_t now = epoch != nullptr ? std::strtoll(epoch, nullptr, 10)
                                             : std::time(nullptr);
    return fmt::format("{:%Y-%m-%d}", fmt::gmtime(now));
}

std::string roff_entries(const Options& options, const char* title) {
    if (options.empty()) return "";
    const HelpFormatter formatter;
    std::string out = fmt::format(".SH {}\n", title);
    for (const CLI::Option* each : options) {
        const std::string value = formatter.make_option_opts(each);
        out += ".TP\n.B " + roff(name_of(*each)) + "\n";
        if (!value.empty()) out.insert(out.size() - 1, "\\fR" + roff(value));
        out += roff(each->get_description()) + ".\n";
    }
    return out;
}

/// "mimic mediator" has a page, and so has the program mimic-mediator, which is for who runs a
/// host.
int section_of(const std::string& name) {
    return name == "mimic" || name.starts_with("mimic ") ? 1 : 8;
}

std::string roff_commands(const NamedCommand& command) {
    const auto below = shown_below(*command.app);
    if (below.empty()) return "";
    std::string out = ".SH COMMANDS\n";
    for (const CLI::App* each : below)
        out += fmt::format(".TP\n.BR {} ({})\n{}.\n",
                           roff(page_name(command.name + " " + each->get_name())),
                           section_of(command.name), roff(each->get_description()));
    return out;
}

// The name is "mimic kernel up"; the tables have no program in it.
std::string roff_exit_statuses(const std::string& name) {
    const size_t space = name.find(' ');
    std::string out = ".SH EXIT STATUS\n";
    for (const ExitStatus& row :
         exit_statuses_of(space == std::string::npos ? "" : name.substr(space + 1)))
        out += fmt::format(".TP\n.B {}\n{}.\n", roff(row.status), roff(row.meaning));
    return out;
}

// --- Markdown --------------------------------------------------------------------------------

/// Text for a cell of a table.
std::string cell(std::string_view text) {
    std::string out;
    for (const char c : text) {
        if (c == '|' || c == '<' || c == '>' || c == '*' || c == '_' || c == '$') out += '\\';
        out += c;
    }
    return out;
}

std::string table_of(const Options& options, const char* head) {
    if (options.empty()) return "";
    const HelpFormatter formatter;
    std::string out = fmt::format("| {} | |\n|---|---|\n", head);
    for (const CLI::Option* each : options) {
        std::string code = name_of(*each) + formatter.make_option_opts(each);
        // A bar ends a cell even in code.
        for (size_t at = code.find('|'); at != std::string::npos; at = code.find('|', at + 2))
            code.insert(at, "\\");
        out += fmt::format("| `{}` | {} |\n", code, cell(each->get_description()));
    }
    return out + "\n";
}

std::string anchor(std::string name) {
    return "#" + page_name(std::move(name));
}

std::string markdown_of(const NamedCommand& command) {
    const std::string level = command.name.find(' ') == std::string::npos ? "##" : "###";
    std::string out = fmt::format("{} {}\n\n{}.\n\n    {}\n\n", level, command.name,
                                  description_of(*command.app).first, usage_of(command));
    if (const auto below = shown_below(*command.app); !below.empty()) {
        out += "| command | |\n|---|---|\n";
        for (const CLI::App* each : below) {
            const std::string name = command.name + " " + each->get_name();
            out += fmt::format("| [{}]({}) | {} |\n", name, anchor(name),
                               cell(each->get_description()));
        }
        out += "\n";
    }
    return out + table_of(options_of(*command.app, true), "argument") +
           table_of(options_of(*command.app, false), "option");
}

void gather(const NamedCommand& from, std::vector<NamedCommand>& all) {
    all.push_back(from);
    for (const CLI::App* each : shown_below(*from.app))
        gather({each, from.name + " " + each->get_name()}, all);
}

int write_man_pages(const CLI::App& app, const std::string& folder) {
    for (const auto& command : all_commands(app)) {
        const std::string file = fmt::format("{}/{}.{}", folder, page_name(command.name),
                                             section_of(command.name));
        if (const auto written = write_public_file(file, man_page(command)); !written) {
            fmt::print(stderr, "mimic: error: {}\n", written.error().message());
            return 1;
        }
    }
    return 0;
}

int print_all(const std::string& text) {
    return std::fputs(text.c_str(), stdout) < 0 || std::fflush(stdout) != 0 ? 1 : 0;
}

}  // namespace

std::vector<NamedCommand> all_commands(const CLI::App& app) {
    std::vector<NamedCommand> all;
    gather({&app, app.get_name()}, all);
    return all;
}

std::string man_page(const NamedCommand& command) {
    const std::string page = page_name(command.name);
    std::string title = page;
    std::transform(title.begin(), title.end(), title.begin(),
                   [](unsigned char c) { return std::toupper(c); });
    const auto [what, more] = description_of(*command.app);
    std::string out = fmt::format(
        ".\\\" Made by {} __reference; not written by hand.\n"
        ".TH {} {} {} \"mimic {}\" \"Mimic\"\n.SH NAME\n{} \\- {}\n.SH SYNOPSIS\n.B {}\n"
        ".SH DESCRIPTION\n{}.\n{}",
        command.name.substr(0, command.name.find(' ')), roff(title), section_of(command.name),
        page_date(), kVersion, roff(page), roff(what), roff(usage_of(command)), roff(what),
        more.empty() ? "" : roff(more) + "\n");
    out += roff_entries(options_of(*command.app, true), "ARGUMENTS");
    out += roff_entries(options_of(*command.app, false), "OPTIONS");
    out += roff_commands(command) + roff_exit_statuses(command.name);
    if (page != "mimic") out += ".SH SEE ALSO\n.BR mimic (1)\n";
    return out;
}

std::string commands_markdown(const CLI::App& app) {
    std::string out =
        "# Commands\n\n"
        "Made from what `mimic --help` prints, by `mimic __reference markdown`; a test compares "
        "them. The same text is\nin the manual pages (`man mimic-up`), and a shell completes it "
        "with names of machines, devices and faults.\n\n";
    for (const auto& command : all_commands(app)) out += markdown_of(command);
    while (out.ends_with("\n\n")) out.pop_back();
    return out;
}

int print_reference(const CLI::App& app, const std::vector<std::string>& words) {
    if (words.size() == 1 && words[0] == "markdown") return print_all(commands_markdown(app));
    if (words.size() == 2 && words[0] == "man") return write_man_pages(app, words[1]);
    std::fputs("usage: __reference markdown | man FOLDER\n", stderr);
    return 2;
}

std::optional<int> reference_asked(int argc, char** argv, const CLI::App& app) {
    if (argc < 2 || argv[1] != kReferenceCommand) return std::nullopt;
    return print_reference(app, {argv + 2, argv + argc});
}

}  // namespace mimic::cli
