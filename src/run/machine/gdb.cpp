// SPDX-License-Identifier: Apache-2.0
#include "machine/gdb.h"

#include <elf.h>
#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>

#include "base/command_report.h"
#include "base/terminal_text.h"
#include "base/unique_fd.h"
#include "devices/all_models.h"
#include "machine/down.h"
#include "machine/machine_state.h"
#include "topology/topology.h"

namespace mimic::machine {
namespace {

namespace fs = std::filesystem;

/// What is known of the machine's kernel.
struct Debuggee {
    std::string socket;
    std::string kernel;
    topology::Arch arch = topology::Arch::kX86_64;
};

Result<Debuggee> find_debuggee(const std::string& name) {
    MIMIC_ASSIGN_OR_RETURN(const std::string dir, running_machine_dir(name));
    Debuggee found;
    found.socket = gdb_socket_path(dir);
    std::error_code ignored;
    if (!fs::is_socket(found.socket, ignored))
        return fail(std::errc::no_such_file_or_directory,
                    "{} was started without a debugger's socket; take it down and start it with "
                    "mimic up --gdb, or --gdb=wait",
                    name);
    MIMIC_ASSIGN_OR_RETURN(const MachineState state, read_machine_state(dir));
    found.kernel = state.kernel;
    MIMIC_ASSIGN_OR_RETURN(const auto model,
                           topology::load(dir + "/topology.yaml", devices::all_models()));
    if (const auto* const machine = model.find_machine(name)) found.arch = machine->arch;
    return found;
}

std::string missing_symbols(const Debuggee& machine) {
    if (machine.kernel.find('/') != std::string::npos)
        return fmt::format("no vmlinux above {}; name it: --symbols FILE", machine.kernel);
    return fmt::format(
        "no symbols of kernel {} in /usr/lib/debug/boot: registers and memory only. Debian has "
        "them in linux-image-RELEASE-dbg (RELEASE: mimic exec NODE -- uname -r; about 1 GB "
        "installed), or name a vmlinux: --symbols FILE",
        machine.kernel);
}

/// gdb says of a file that is none only that its format is not recognized, among other lines.
Status check_symbols(const std::string& path) {
    if (path.empty()) return {};
    const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
    if (!fd) return fail_errno("--symbols {}", path);
    std::array<char, SELFMAG> magic{};
    const bool is_elf = ::read(fd.get(), magic.data(), magic.size()) == SELFMAG &&
                        std::string_view(magic.data(), magic.size()) == ELFMAG;
    if (is_elf) return {};
    return fail(std::errc::invalid_argument,
                "--symbols {}: expected an ELF file, the kernel's vmlinux with debug symbols (not "
                "bzImage)",
                path);
}

/// What gdb does first. A path in quotes: gdb splits words.
std::vector<std::string> arguments_of(const Debuggee& machine, const GdbOptions& options) {
    const bool foreign = machine.arch != topology::Arch::kX86_64;
    std::string symbols = options.symbols;
    if (symbols.empty()) symbols = find_symbols(machine.kernel, foreign ? "riscv64" : "amd64");
    if (symbols.empty())
        fmt::print(stderr, "mimic: note: {}\n", terminal_lines(missing_symbols(machine)));
    std::vector<std::string> argv{!options.program.empty() ? options.program
                                  : foreign                ? "gdb-multiarch"
                                                           : "gdb",
                                  "-q"};
    if (foreign) argv.insert(argv.end(), {"-ex", "set architecture riscv:rv64"});
    if (!foreign) argv.insert(argv.end(), {"-ex", "set architecture i386:x86-64"});
    argv.insert(argv.end(), {"-ex", "target remote " + machine.socket});
    argv.insert(argv.end(), options.arguments.begin(), options.arguments.end());
    if (!symbols.empty()) argv.push_back(symbols);
    return argv;
}

}  // namespace

std::string gdb_socket_path(const std::string& run_dir) {
    return run_dir + "/gdb.sock";
}

std::string find_symbols(const std::string& kernel, const std::string& debian_arch,
                         const std::string& debug_root) {
    std::error_code error;
    if (kernel.find('/') != std::string::npos) {
        // vmlinux and arch/x86/boot/bzImage of one build; or beside each other.
        const fs::path folder = fs::path(kernel).parent_path();
        for (const fs::path& place : {folder / "vmlinux", folder / "../../../vmlinux"})
            if (fs::is_regular_file(place, error))
                return fs::weakly_canonical(place, error).string();
        return {};
    }
    std::string found;
    const std::string start = "vmlinux-" + kernel + ".";
    for (fs::directory_iterator it(debug_root, error), end; !error && it != end;
         it.increment(error)) {
        const std::string name = it->path().filename().string();
        if (name.starts_with(start) && name.ends_with("-" + debian_arch) && name > found)
            found = name;
    }
    return found.empty() ? found : debug_root + "/" + found;
}

int run_gdb(const std::string& name, const GdbOptions& options) {
    const Status symbols = check_symbols(options.symbols);
    const auto machine = symbols ? find_debuggee(name)
                                 : Result<Debuggee>(tl::unexpected(symbols.error()));
    if (!machine) {
        report_error(machine.error().message());
        return 1;
    }
    std::vector<std::string> words = arguments_of(*machine, options);
    std::vector<char*> argv;
    for (std::string& word : words) argv.push_back(word.data());
    argv.push_back(nullptr);
    ::execvp(argv[0], argv.data());
    const int number = errno;
    report_error(fmt::format("cannot run {}: {}{}", words[0], std::strerror(number),
                             number == ENOENT ? "; apt-get install " + words[0] : ""));
    return 1;
}

}  // namespace mimic::machine
