// SPDX-License-Identifier: Apache-2.0
#include "machine/snapshot.h"
#include "devices/all_models.h"

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
        // The name alone: "lab.snap/" has another folder's beside it, and not within.
        std::string target = std::filesystem::path(options.folder).lexically_normal().string();
        while (target.size() > 1 && target.ends_with('/')) target.pop_back();
        if (target.ends_with("..") || target == "." || target == "/")
            return fail(std::errc::invalid_argument, "{} names no folder that can be made",
                        options.folder);
        struct stat there {};
        if (::lstat(target.c_str(), &there) == 0) {
            const bool is_old = ::access(snapshot_manifest_path(target).c_str(), F_OK) == 0;
            if (!options.force || !is_old)
                return fail(std::errc::file_exists, "{} exists{}", target,
                            is_old ? "; replace it with --force" : " and is no snapshot");
        }
        NewFolder folder(std::move(target));
        if (::mkdir(folder.path().c_str(), 0700) != 0 && errno != EEXIST)
            return fail_errno("{}", folder.path());
        MIMIC_TRY(make_private_dir(folder.path()));
        return folder;
    }
    ~NewFolder() {
        if (!target_.empty()) [[maybe_unused]]
            const Status removed = remove_tree(path());
    }
    NewFolder(NewFolder&& other) noexcept : target_(std::exchange(other.target_, "")) {}
    NewFolder(const NewFolder&) = delete;
    NewFolder& operator=(const NewFolder&) = delete;
    NewFolder& operator=(NewFolder&&) = delete;

    std::string path() const { return target_ + ".part"; }

    /// At each moment there is a whole snapshot at the target, or beside it as NAME.old.
    Status finish() {
        const std::string old = target_ + ".old";
        MIMIC_TRY(remove_tree(old));
        if (::rename(target_.c_str(), old.c_str()) != 0 && errno != ENOENT)
            return fail_errno("{}", target_);
        if (::rename(path().c_str(), target_.c_str()) != 0) return fail_errno("{}", target_);
        target_.clear();
        return remove_tree(old);
    }

private:
    explicit NewFolder(std::string target) : target_(std::move(target)) {}
    std::string target_;
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
