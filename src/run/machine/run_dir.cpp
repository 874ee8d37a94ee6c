// SPDX-License-Identifier: Apache-2.0
#include "machine/run_dir.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>

#include "base/private_files.h"
#include "machine/ended.h"
#include "machine/launch_plan.h"
#include "machine/machine_state.h"
#include "machine/process.h"

namespace mimic::machine {
namespace {

constexpr auto kLeftoverGrace = std::chrono::seconds(5);  // arbitrary; SIGKILL needs milliseconds

std::string env(const char* name) {
    const char* value = std::getenv(name);
    return value != nullptr ? value : "";
}

Result<UniqueFd> open_lock(const std::string& path) {
    UniqueFd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (!fd) return fail_errno("{}", path);
    return fd;
}

Status lock_exclusively(int fd, const std::string& what) {
    while (::flock(fd, LOCK_EX) != 0)
        if (errno != EINTR) return fail_errno("lock {}", what);
    return {};
}

// Waits for a process that is not our child. SIGKILL cannot be refused, so this ends.
void kill_stranger(const ProcessId& id) {
    if (!id.is_running()) return;
    ::kill(id.pid, SIGKILL);
    const TimePoint deadline = SteadyClock().now() + kLeftoverGrace;
    while (id.is_running() && SteadyClock().now() < deadline) ::usleep(5000);
}

// Who killed a supervisor left no word of it.
void note_killed(const LaunchPlan& plan, const MachineState& state) {
    if (plan.state_dir.empty() || !last_lines(plan.state_dir + "/exit-reason", 1).empty()) return;
    [[maybe_unused]] const Status noted = note_end(plan.state_dir, state,
                                                   "its supervisor was killed", {}, false);
}

}  // namespace

bool is_machine_name(std::string_view name) {
    if (name.empty() || name.size() > 63 || name.front() == '-' || name.back() == '-') return false;
    return std::all_of(name.begin(), name.end(), [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
    });
}

std::string run_root_path() {
    const std::string runtime = env("XDG_RUNTIME_DIR");
    if (!runtime.empty()) return runtime + "/mimic";
    return fmt::format("/tmp/mimic-{}/mimic", ::geteuid());
}

Result<std::string> state_root_path() {
    if (const std::string state = env("XDG_STATE_HOME"); !state.empty()) return state + "/mimic";
    if (const std::string home = env("HOME"); !home.empty()) return home + "/.local/state/mimic";
    return fail(std::errc::no_such_file_or_directory,
                "neither HOME nor XDG_STATE_HOME is set: there is no place for logs");
}

Result<RunRoot> RunRoot::open() {
    std::string path = run_root_path();
    const std::string parent = path.substr(0, path.rfind('/'));
    // With XDG_RUNTIME_DIR the parent was made by whoever logged us in, or is that of whoever we
    // were before su(1), who could put another folder in place of ours; without it is ours to make.
    if (env("XDG_RUNTIME_DIR").empty()) {
        MIMIC_TRY(make_private_dir(parent));
    } else {
        MIMIC_TRY(check_owner(parent, "set XDG_RUNTIME_DIR to a folder of your own, or unset it"));
    }
    MIMIC_TRY(make_private_dir(path));
    return RunRoot(std::move(path));
}

Result<UniqueFd> RunRoot::lock_root() const {
    MIMIC_ASSIGN_OR_RETURN(auto fd, open_lock(path_ + "/.lock"));
    MIMIC_TRY(lock_exclusively(fd.get(), path_));
    return fd;
}

bool RunRoot::is_alive(const std::string& name) const {
    const UniqueFd fd(
        ::open((machine_dir(name) + "/lock").c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW));
    if (!fd) return false;
    // Shared, so that two who ask at the same time do not take each other for the owner.
    return ::flock(fd.get(), LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;
}

Status RunRoot::clean_locked(const std::string& name) const {
    const std::string dir = machine_dir(name);
    struct stat info {};
    if (::lstat(dir.c_str(), &info) != 0) return {};
    if (is_alive(name))
        return fail(std::errc::device_or_resource_busy, "machine {} is already running", name);
    // Children of a killed supervisor die with it; this is for those that the kernel has not got
    // round to yet.
    const auto state = read_machine_state(dir);
    if (state) {
        kill_stranger(state->qemu);
        for (const auto& host : state->device_hosts) kill_stranger(host);
    }
    // What the supervisor would have removed outside this folder, such as a disk.
    if (const auto text = read_small_file(dir + "/launch.json")) {
        if (const auto plan = parse_launch_plan(*text)) {
            for (const auto& file : plan->temporary_files) ::unlink(file.c_str());
            if (state) note_killed(*plan, *state);
        }
    }
    return remove_tree(dir);
}

Result<ClaimedDir> RunRoot::claim(const std::string& name) const {
    if (!is_machine_name(name))
        return fail(std::errc::invalid_argument, "\"{}\" is no machine name", name);
    MIMIC_ASSIGN_OR_RETURN(const auto root, lock_root());
    MIMIC_TRY(clean_locked(name));
    ClaimedDir claimed;
    claimed.path = machine_dir(name);
    MIMIC_TRY(make_private_dir(claimed.path));
    auto lock = open_lock(claimed.path + "/lock");
    if (!lock) {
        ::rmdir(claimed.path.c_str());
        return tl::unexpected(std::move(lock).error());
    }
    claimed.lock = std::move(*lock);
    // Waits for nobody but an is_alive() that looks at the new file this very moment.
    MIMIC_TRY(lock_exclusively(claimed.lock.get(), claimed.path));
    return claimed;
}

Status RunRoot::remove(ClaimedDir claimed) const {
    MIMIC_ASSIGN_OR_RETURN(const auto root, lock_root());
    return remove_tree(claimed.path);
}

Status RunRoot::clean_leftovers(const std::string& name) const {
    MIMIC_ASSIGN_OR_RETURN(const auto root, lock_root());
    return clean_locked(name);
}

Status RunRoot::remove_logs(const std::string& name) const {
    if (!is_machine_name(name))
        return fail(std::errc::invalid_argument, "\"{}\" is no machine name", name);
    MIMIC_ASSIGN_OR_RETURN(const std::string states, state_root_path());
    // Nobody claims the name meanwhile.
    MIMIC_ASSIGN_OR_RETURN(const auto root, lock_root());
    struct stat info {};
    if (::lstat(machine_dir(name).c_str(), &info) == 0)
        return fail(std::errc::device_or_resource_busy,
                    "machine {0} runs, or was killed; end it with: mimic down {0}", name);
    return remove_tree(states + "/" + name);
}

std::vector<std::string> RunRoot::names() const {
    std::vector<std::string> names;
    std::error_code error;
    for (std::filesystem::directory_iterator at(path_, error), end; !error && at != end;
         at.increment(error)) {
        const std::string name = at->path().filename().string();
        std::error_code ignored;
        if (is_machine_name(name) && at->is_directory(ignored)) names.push_back(name);
    }
    std::sort(names.begin(), names.end());
    return names;
}

}  // namespace mimic::machine
