// SPDX-License-Identifier: Apache-2.0
#include "cli/exit_table.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>

namespace mimic::cli {
namespace {

constexpr auto kStatuses = std::to_array<ExitStatus>({
    {"", "0", "Done"},
    {"", "1", "It failed; the reason is on standard error"},
    {"", "2", "Wrong usage: nothing was done"},
    {"", "128 + n", "Signal n ended it; nothing that it began is left"},
    {"doctor", "1", "Something is missing"},
    {"down", "1",
     "A name that no machine ever had (not with --ignore-missing), or one does not end"},
    {"exec", "125", "Mimic itself failed: wrong usage, no such machine, no guest agent"},
    {"exec", "126", "The guest may not run the command"},
    {"exec", "127", "The guest has no such command"},
    {"exec", "128 + n", "Signal n ended the command in the guest"},
    {"exec", "any other", "That of the command in the guest"},
    {"kernel status", "1", "Some buses are not there"},
    {"kernel verify", "0", "All agrees with the file"},
    {"kernel verify", "1", "Something differs"},
    {"kernel verify", "2", "This kernel could not be asked"},
    {"ps", "1", "With --ready: no machine is here, or one of them is not ready"},
    {"replay", "0", "The devices do what they did"},
    {"replay", "1", "They do something else; the first difference is printed"},
    {"replay", "2", "The trace cannot be replayed, or not to its end"},
    {"rm", "1", "A machine that runs, or one that never ended (not with --ignore-missing)"},
    {"run", "124", "The command took longer than --limit, as timeout(1) has it"},
    {"run", "125", "Mimic itself failed: wrong usage, the file, the boot, the guest agent"},
    {"run", "126, 127", "The guest may not run the command, or has none such, as with exec"},
    {"run", "128 + n", "Signal n ended the command, or mimic run"},
    {"run", "any other", "That of the command in the guest"},
    {"up", "1", "It failed; nothing is left running"},
    {"verify", "0", "All agrees with the file"},
    {"verify", "1", "Something differs"},
    {"verify", "2", "A guest could not be asked, or no machine runs"},
});

using enum EnvironmentReader;
constexpr auto kVariables = std::to_array<EnvironmentVariable>({
    {"HOME", kPrograms,
     "Below it are .cache/mimic and .local/state/mimic, where nothing says else"},
    {"KUBECONFIG", kPrograms, "mimic-dra: how to reach the Kubernetes API (that of its pod)"},
    {"KUBECTL", kPrograms, "The program for mimic --context (kubectl)"},
    {"KUBERNETES_SERVICE_HOST", kPrograms, "mimic-dra: address of the API, which Kubernetes sets"},
    {"KUBERNETES_SERVICE_PORT", kPrograms, "mimic-dra: its port"},
    {"MIMIC_CACHE", kPrograms,
     "Folder for QEMU, kernels and guest images ($XDG_CACHE_HOME/mimic, ~/.cache/mimic)"},
    {"MIMIC_CONFIGFS", kPrograms, "mimic kernel: where configfs is (/sys/kernel/config)"},
    {"MIMIC_DRIVER_MODULE", kPrograms, "mimic kernel: the devices' driver, as --driver-module"},
    {"MIMIC_GUEST_IMAGES", kPrograms, "Folder that mimic prepare filled: guests boot from there"},
    {"MIMIC_KVM", kPrograms, "0: guests run without KVM although it is there"},
    {"MIMIC_LOG_LEVEL", kPrograms, "trace, debug, info, warn, error or off, for all logs (warn)"},
    {"MIMIC_MODULE", kPrograms, "mimic kernel: path of fake-sriov-vgpu.ko, as --module"},
    {"MIMIC_NODES", kPrograms, "mimic kernel: folder of NUMA nodes (/sys/devices/system/node)"},
    {"MIMIC_OVMF", kPrograms,
     "Folder of OVMF, the firmware of UEFI images (the system's, the cache's)"},
    {"MIMIC_PCI_DEVICES", kPrograms, "mimic kernel: folder of devices (/sys/bus/pci/devices)"},
    {"MIMIC_QEMU", kPrograms, "QEMU for machines of x86-64 (qemu-system-x86_64, the cache's)"},
    {"MIMIC_QEMU_PRIVATE", kPrograms, "1: only the QEMU of the cache, not that of the system"},
    {"MIMIC_QEMU_RISCV64", kPrograms, "QEMU for machines of riscv64 (as above)"},
    {"MIMIC_SPIN_US", kPrograms, "mimic serve, mimic-mediator: as --spin-us (50)"},
    {"MIMIC_TOOLS_DIR", kPrograms, "Folder tools of Mimic's sources, for what is fetched or built"},
    {"MIMIC_TRACE_BUFFER", kPrograms, "mimic serve: as --trace-buffer (1M)"},
    {"NODE_NAME", kPrograms, "mimic-dra: as --node-name"},
    {"NOTIFY_SOCKET", kPrograms, "mimic-mediator: systemd's, which is told when it serves"},
    {"NO_COLOR", kPrograms, "Anything: no colours"},
    {"PATH", kPrograms, "Where programs are looked for"},
    {"POD_UID", kPrograms, "mimic-dra: as --pod-uid"},
    {"TERM", kPrograms, "Kind of terminal, for mimic top"},
    {"XDG_CACHE_HOME", kPrograms, "Below it is mimic/, see MIMIC_CACHE (~/.cache)"},
    {"XDG_RUNTIME_DIR", kPrograms, "Below it are running machines: mimic/ (/tmp/mimic-<uid>)"},
    {"XDG_STATE_HOME", kPrograms, "Below it are logs and ends: mimic/ (~/.local/state)"},
    {"MIMIC_APT_ETC", kTools, "tools/debs: in place of /etc/apt"},
    {"MIMIC_DEBIAN_KEYRING", kTools, "tools/debs: keys of MIMIC_DEBIAN_URI (Debian's)"},
    {"MIMIC_DEBIAN_URI", kTools, "tools/debs: a mirror of Debian (those of apt)"},
    {"SOURCE_DATE_EPOCH", kTools, "tools/image: the time of all files in it"},
    {"MIMIC_BENCH_CALLS", kTests, "bench/kubernetes: calls of each kind"},
    {"MIMIC_BENCH_NODES", kTests, "bench/kubernetes: numbers of nodes"},
    {"MIMIC_BENCH_ROUNDS", kTests, "bench/kubernetes: rounds"},
    {"MIMIC_CLUSTER_PATH", kTests, "tests/cluster: programs in front of those of PATH"},
    {"MIMIC_SCREENSHOT", kTests, "vm_instruments-web_6.1: a file for a picture of the page"},
    {"MIMIC_SYSTEMC_EXAMPLE", kTests, "The example's server, for its test"},
    {"MIMIC_TEST_CACHE", kTests, "0: tests of virtual machines run although nothing has changed"},
});

// What a command in a guest ends with, a command that runs it ends with.
constexpr std::string_view kAnyOther = "any other";

bool ends_as_guest(std::string_view command) {
    return std::any_of(kStatuses.begin(), kStatuses.end(), [&](const ExitStatus& row) {
        return row.command == command && row.status == kAnyOther;
    });
}

/// Whether a row of all commands holds for those that end as a command in a guest does.
bool holds_for_guests(const ExitStatus& row) {
    return row.status != "1" && row.status != "2";
}

/// Whose row it is, for a table.
std::string commands_of(const ExitStatus& row) {
    if (!row.command.empty()) return fmt::format("`{}`", row.command);
    if (holds_for_guests(row)) return "all";
    std::string but;
    for (const ExitStatus& each : kStatuses)
        if (each.status == kAnyOther)
            but += fmt::format("{}`{}`", but.empty() ? "" : ", ", each.command);
    return "all but " + but;
}

std::string table_cell(std::string_view text) {
    std::string out;
    for (const char c : text) out += c == '|' ? "\\|" : std::string(1, c);
    return out;
}

}  // namespace

std::span<const ExitStatus> exit_statuses() {
    return kStatuses;
}

std::vector<ExitStatus> exit_statuses_of(std::string_view command) {
    std::vector<ExitStatus> rows;
    for (const std::string_view of : {command, std::string_view()}) {
        const size_t own = rows.size();
        for (const ExitStatus& row : kStatuses) {
            const auto said = [&](const ExitStatus& one) { return one.status == row.status; };
            const auto end = rows.begin() + static_cast<std::ptrdiff_t>(own);
            if (of.empty() && !command.empty() && ends_as_guest(command) && !holds_for_guests(row))
                continue;
            if (row.command == of && std::none_of(rows.begin(), end, said)) rows.push_back(row);
        }
        if (command.empty()) break;
    }
    return rows;
}

std::span<const EnvironmentVariable> environment_variables() {
    return kVariables;
}

std::string exit_status_help(std::string_view command) {
    std::string text;
    for (const ExitStatus& row : kStatuses) {
        if (row.command != command) continue;
        text += fmt::format("{}  {:<10} {}", text.empty() ? "Exit status:\n" : "\n", row.status,
                            row.meaning);
    }
    return text;
}

std::string exit_codes_page() {
    std::string text =
        "<!-- SPDX-License-Identifier: Apache-2.0 -->\n"
        "<!-- Generated: mimic reference > docs/reference/exit-codes.md -->\n"
        "# Exit statuses and environment variables\n\n"
        "Both are stable: a number keeps its meaning, a variable its name. What went wrong is on "
        "standard error, and with `--json`\non standard output, too ([json.md](json.md)).\n\n"
        "## Exit statuses of `mimic`\n\n"
        "| command | status | meaning |\n|---|---|---|\n";
    for (const ExitStatus& row : kStatuses)
        text += fmt::format("| {} | {} | {} |\n", commands_of(row), row.status,
                            table_cell(row.meaning));
    text += "\n## Environment variables\n";
    const auto section = [&text](EnvironmentReader reader, std::string_view title) {
        text += fmt::format("\n### {}\n\n| variable | meaning (without it) |\n|---|---|\n", title);
        for (const EnvironmentVariable& row : kVariables)
            if (row.reader == reader)
                text += fmt::format("| `{}` | {} |\n", row.name, table_cell(row.meaning));
    };
    section(EnvironmentReader::kPrograms, "Of the programs");
    section(EnvironmentReader::kTools, "Of the scripts in tools/");
    section(EnvironmentReader::kTests, "Of tests and benchmarks");
    return text;
}

}  // namespace mimic::cli
