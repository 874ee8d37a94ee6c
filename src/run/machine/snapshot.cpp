// SPDX-License-Identifier: Apache-2.0
#include "machine/snapshot.h"
#include "devices/all_models.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "base/command_report.h"
#include "base/interrupt.h"
#include "base/private_files.h"
#include "guest_agent/guest_agent.h"
#include "machine/boot_plan.h"
#include "machine/down.h"
#include "machine/guest_slots.h"
#include "machine/launch_plan.h"
#include "machine/machine_state.h"
#include "machine/migration.h"
#include "machine/qmp.h"
#include "machine/snapshot_folder.h"
#include "topology/topology.h"

namespace mimic::machine {
namespace {

using namespace std::chrono_literals;
using Json = nlohmann::ordered_json;
using guest_agent::GuestAgent;

constexpr auto kAgentReady = 60s;
constexpr auto kMonitorAnswers = 60s;

/// What was made, for whoever asked.
struct Taken {
    SnapshotManifest manifest;
    uint64_t disk_bytes = 0;  // that guest.mem takes
    double stopped_seconds = 0;
};

/// A folder that goes unless it is finished.
class NewFolder {
public:
    static Result<NewFolder> make(const SnapshotOptions& options) {
        // "lab.snap/" has its new folder beside it, too, and not within.
        std::string target = options.folder;
        while (target.ends_with('/')) target.pop_back();
        const std::string name = std::filesystem::path(target).filename().string();
        if (name.empty() || name == "." || name == "..")
            return fail(std::errc::invalid_argument, "{} names no folder that can be made",
                        options.folder);
        struct stat there {};
        const bool replaces = ::lstat(target.c_str(), &there) == 0;
        if (replaces) {
            const bool is_old = is_snapshot(target);
            if (!options.force || !is_old)
                return fail(std::errc::file_exists, "{} exists{}", target,
                            is_old ? "; replace it with --force" : " and is no snapshot");
        }
        MIMIC_TRY(make_part(target + kPart));
        return NewFolder(std::move(target), replaces);
    }
    ~NewFolder() {
        if (!target_.empty()) [[maybe_unused]]
            const Status removed = remove_tree(path());
    }
    NewFolder(NewFolder&& other) noexcept
        : target_(std::exchange(other.target_, "")), replaces_(other.replaces_) {}
    NewFolder(const NewFolder&) = delete;
    NewFolder& operator=(const NewFolder&) = delete;
    NewFolder& operator=(NewFolder&&) = delete;

    std::string path() const { return target_ + kPart; }

    /// At each moment there is a whole snapshot at the target: the new one takes the old one's
    /// place, which the destructor then removes. Not so on a file system that cannot exchange two
    /// names.
    Status finish() {
        if (replaces_) {
            if (::renameat2(AT_FDCWD, path().c_str(), AT_FDCWD, target_.c_str(), RENAME_EXCHANGE) ==
                0)
                return {};
            // Of a mount point, say: what is there stays.
            if (errno != EINVAL && errno != ENOSYS) return fail_errno("replace {}", target_);
            MIMIC_TRY(remove_tree(target_));
        }
        if (::rename(path().c_str(), target_.c_str()) != 0) return fail_errno("{}", target_);
        target_.clear();
        return {};
    }

private:
    static constexpr const char* kPart = ".part";

    /// Makes the folder, or takes the one that a killed snapshot has left. Nothing that is not
    /// Mimic's is in it, for it may be removed.
    static Status make_part(const std::string& path) {
        if (::mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) return fail_errno("{}", path);
        MIMIC_TRY(make_private_dir(path));
        std::error_code error;
        for (std::filesystem::directory_iterator at(path, error), end; !error && at != end;
             at.increment(error)) {
            const std::string file = at->path().string();
            if (file != snapshot_manifest_path(path) && file != snapshot_topology_path(path) &&
                file != snapshot_guest_path(path) &&
                !at->path().filename().string().starts_with(kTemporaryPrefix))
                return fail(std::errc::file_exists,
                            "{} is no part of a snapshot, and {} is where the new one is made; "
                            "move it away",
                            file, path);
        }
        if (error) return tl::unexpected(Error::from_errno(error.value(), "read " + path));
        return {};
    }

    /// Other programs have a manifest.json, too.
    static bool is_snapshot(const std::string& folder) {
        const auto text = read_small_file(snapshot_manifest_path(folder));
        if (!text) return false;
        const auto manifest = parse_snapshot_manifest(*text);
        return manifest || manifest.error().code() == std::errc::not_supported;
    }

    NewFolder(std::string target, bool replaces)
        : target_(std::move(target)), replaces_(replaces) {}

    std::string target_;
    bool replaces_;  // an old snapshot
};

Status check_machine(const LaunchPlan& plan, const topology::Machine& machine) {
    if (!plan.no_snapshot.empty()) return fail(std::errc::not_supported, "{}", plan.no_snapshot);
    for (const topology::DeviceSpec& device : machine.devices)
        if (device.is_vhost_user())
            return fail(std::errc::not_supported,
                        "{} is a vhost-user device, which QEMU cannot save; 'transport: pci' can "
                        "be",
                        device.name);
    return {};
}

/// Takes the devices out, saves, and puts them back whatever came of it.
Status save(const std::string& run_dir, const topology::Machine& machine, const std::string& path,
            Duration timeout) {
    const auto with_agent = [&](auto work) -> Status {
        MIMIC_ASSIGN_OR_RETURN(const auto agent,
                               GuestAgent::connect(run_dir + "/qga.sock", kAgentReady));
        return work(*agent, machine);
    };
    // One that was killed may have left it stopped.
    MIMIC_TRY(let_guest_run(run_dir + "/qmp.sock"));
    Status saved = with_agent(take_devices_out);
    if (saved) saved = save_guest(run_dir + "/qmp.sock", path, timeout);
    Status back = with_agent(put_devices_back);
    return saved ? back : saved;
}

Result<std::string> qemu_version(const std::string& run_dir) {
    MIMIC_ASSIGN_OR_RETURN(const auto monitor,
                           QmpClient::connect(run_dir + "/qmp.sock", kMonitorAnswers));
    MIMIC_ASSIGN_OR_RETURN(const auto text, monitor->execute("query-version", kMonitorAnswers));
    const Json json = Json::parse(text, nullptr, false);
    try {
        const Json& version = json.at("qemu");
        return fmt::format("{}.{}.{}", version.at("major").get<unsigned>(),
                           version.at("minor").get<unsigned>(),
                           version.at("micro").get<unsigned>());
    } catch (const Json::exception&) {
        return fail(std::errc::protocol_error, "QEMU's monitor did not say its version");
    }
}

Result<Taken> take(const SnapshotOptions& options) {
    MIMIC_ASSIGN_OR_RETURN(const std::string run_dir, running_machine_dir(options.machine));
    MIMIC_ASSIGN_OR_RETURN(const auto text, read_small_file(run_dir + "/launch.json"));
    MIMIC_ASSIGN_OR_RETURN(const LaunchPlan plan, parse_launch_plan(text));
    const auto model = topology::load(run_dir + "/topology.yaml", devices::all_models());
    if (!model) return tl::unexpected(model.error());
    const topology::Machine* machine = model->find_machine(options.machine);
    if (machine == nullptr)
        return fail(std::errc::invalid_argument, "{}/topology.yaml has no machine {}", run_dir,
                    options.machine);
    MIMIC_TRY(check_machine(plan, *machine));
    MIMIC_ASSIGN_OR_RETURN(const MachineState state, read_machine_state(run_dir));
    if (state.phase == "degraded")
        return fail(std::errc::no_such_device,
                    "machine {} runs without some of its devices, whose process was killed: bring "
                    "it down, and up again",
                    options.machine);
    MIMIC_ASSIGN_OR_RETURN(NewFolder folder, NewFolder::make(options));
    Taken taken;
    taken.manifest.choices = plan.choices;
    taken.manifest.mimic = MIMIC_VERSION;
    taken.manifest.machine = options.machine;
    taken.manifest.accel = plan.state.accel;
    taken.manifest.created = utc_now();
    MIMIC_ASSIGN_OR_RETURN(taken.manifest.qemu, qemu_version(run_dir));
    MIMIC_ASSIGN_OR_RETURN(const auto topology, read_small_file(run_dir + "/topology.yaml"));
    MIMIC_TRY(write_file_atomically(snapshot_topology_path(folder.path()), topology));
    const std::string guest = snapshot_guest_path(folder.path());
    const TimePoint start = SteadyClock().now();
    MIMIC_TRY(save(run_dir, *machine, guest, options.timeout));
    taken.stopped_seconds = std::chrono::duration<double>(SteadyClock().now() - start).count();
    struct stat there {};
    if (::stat(guest.c_str(), &there) != 0) return fail_errno("{}", guest);
    taken.manifest.guest_bytes = static_cast<uint64_t>(there.st_size);
    taken.disk_bytes = static_cast<uint64_t>(there.st_blocks) * 512;
    MIMIC_TRY(
        write_file_atomically(snapshot_manifest_path(folder.path()), to_json(taken.manifest)));
    MIMIC_TRY(folder.finish());
    return taken;
}

bool print(const SnapshotOptions& options, const Taken& taken) {
    if (options.json) {
        Json json{{"format", "mimic-snapshot-result"}, {"version", 1},
                  {"machine", options.machine},        {"folder", options.folder},
                  {"disk_bytes", taken.disk_bytes},    {"seconds", taken.stopped_seconds}};
        return print_document(json.dump(-1, ' ', false, Json::error_handler_t::replace));
    }
    fmt::print("{}: snapshot in {} ({:.0f} MiB, {:.1f} s without its devices)\n", options.machine,
               options.folder, static_cast<double>(taken.disk_bytes) / (1 << 20),
               taken.stopped_seconds);
    return true;
}

}  // namespace

int run_snapshot(const SnapshotOptions& options) {
    catch_interrupts();
    const auto taken = take(options);
    if (taken) return print(options, *taken) ? 0 : 1;
    report_error(taken.error().message());
    return interrupted() != 0 ? 128 + interrupted() : 1;
}

}  // namespace mimic::machine
