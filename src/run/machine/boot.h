// SPDX-License-Identifier: Apache-2.0
// Boot: brings one machine up: claims its folder, writes its plan, starts its supervisor, waits for
// its guest. Until release() the machine belongs to this object and goes with it.
#pragma once

#include <functional>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "guest_image/guest_image.h"
#include "guest_image/own_kernel.h"
#include "machine/boot_choices.h"
#include "machine/boot_times.h"
#include "machine/disk_image.h"
#include "machine/firmware_locate.h"
#include "machine/gdb.h"
#include "machine/launch_plan.h"
#include "machine/process.h"
#include "machine/qemu_locate.h"
#include "machine/run_dir.h"
#include "outputs/outputs.h"

namespace mimic::machine {

struct BootOptions {
    std::string topology_text;    // the file's bytes, copied into the run directory
    std::string file;             // its absolute path, for people
    std::string folder{};         // where relative paths in it begin
    bool allow_commands = false;  // devices may start programs that it names
    Qemu qemu;
    topology::Accel accel = topology::Accel::kTcg;
    guest_image::GuestImage image;              // of a direct boot
    guest_image::OwnParts own{};                // of the user's, for a direct boot
    std::vector<std::string> shared_folders{};  // of Machine::shares, as check_shares() returns
                                                // them
    std::vector<std::string> qemu_args;         // the user's own, appended as they are
    DiskImage disk_image;                       // of an image boot: the user's file, absolute
    Firmware firmware{};                        // of one with firmware: uefi
    std::string root_disk{};                    // of a direct boot: see outputs::RunContext
    std::string root_files{};
    outputs::GuestNetwork network{};
    BootChoices choices{};   // for who boots it again; the machine has them already
    std::string incoming{};  // guest.mem of a snapshot, absolute: the guest goes on where that was
                             // taken
    Gdb gdb = Gdb::kNo;
};

/// Thread-bound; may be made on one thread and used on another.
class Boot {
public:
    /// Claims the machine's folder and writes everything into it that the supervisor needs.
    /// `machine` is borrowed for the object's life. Errors: those of RunRoot::claim() and
    /// outputs::qemu_args(), of writing files (no_space_on_device). Nothing is left after an
    /// error.
    static Result<std::unique_ptr<Boot>> prepare(const RunRoot& root,
                                                 const topology::Machine& machine,
                                                 const BootOptions& options);

    /// Stops the machine unless it was released, and waits until nothing of it is left.
    ~Boot();

    /// Called when a stage begins, on the thread of start() and wait_for_guest().
    using StageHook = std::function<void(BootStage)>;
    void on_stage(StageHook hook) { stage_hook_ = std::move(hook); }

    /// Starts the supervisor. Errors: those of Process::spawn().
    Status start();

    /// Waits until the guest's agent answers and its driver has found the devices; of an image,
    /// until its agent or SSH answers. A snapshot is loaded first, and its guest told the time and
    /// to look for its devices. Blocks. Errors: timed_out, interrupted,
    /// state_not_recoverable (a process died, the kernel panicked); the message ends with the log
    /// lines that tell most.
    Status wait_for_guest(Duration timeout);

    /// After wait_for_guest(): the machine is called running, though it stays this object's.
    void mark_running();

    /// Waits until the machine ends or a signal comes; the former is an error.
    Status wait_for_end();

    /// The error of a machine that ends within `wait`, with the last lines of the log that tell
    /// why; success if it goes on.
    Status look_for_end(Duration wait);

    /// Tells the supervisor to stop the machine, without waiting; the destructor waits. `why` is
    /// what `mimic ps --all` says of it, at most kMaxEndReason bytes. Nothing happens after
    /// release().
    void begin_stop(std::string_view why);

    /// The machine goes on alone.
    void release();

    /// When the stages of the boot began.
    const BootTimes& times() const { return times_; }

    const topology::Machine& machine() const { return machine_; }
    const LaunchPlan& plan() const { return plan_; }
    const std::string& run_dir() const { return dir_.path; }
    /// After wait_for_guest(): what the guest's init could not do, and what its kernel lacks of the
    /// machine's drivers; lines for people.
    const std::vector<std::string>& notes() const { return notes_; }
    /// After wait_for_guest(): false if only SSH has answered, which is enough for an image.
    bool has_agent() const { return has_agent_; }

private:
    Boot(const RunRoot& root, const topology::Machine& machine, ClaimedDir dir);

    Status fill_folder(const BootOptions& options);
    void enter(BootStage stage);
    void follow_console();
    Status check_control();
    Status load_snapshot(TimePoint deadline);
    Status resume_guest();
    Status check_console() const;
    Status wait_until_ready(TimePoint deadline);
    Status wait_for_agent(TimePoint deadline);
    Error not_booted() const;
    void note_complaints();
    Status wait_for_drivers(TimePoint deadline);
    Status wait_for_driver(const std::string& folder, unsigned expected, TimePoint end);
    Error with_console(Error error) const;

    const RunRoot root_;
    const topology::Machine& machine_;
    ClaimedDir dir_;
    LaunchPlan plan_;
    std::string qga_socket_;
    std::string console_log_;
    std::string incoming_;                  // see BootOptions
    std::set<std::string> absent_classes_;  // of /sys/class, that this guest's kernel cannot fill
    std::vector<std::string> notes_;
    Process supervisor_;
    UniqueFd control_;
    StageHook stage_hook_;
    BootTimes times_;
    BootStage stage_ = BootStage::kDevices;
    TimePoint start_{};
    uint64_t console_read_ = 0;  // bytes of the console that were looked at for stages
    std::string console_line_;   // the last of them, without its end
    Duration timeout_{};         // of wait_for_guest()
    std::string received_;       // from the supervisor, without a whole line
    bool has_agent_ = false;
    bool ended_ = false;  // the supervisor has told why and cleaned up
};

}  // namespace mimic::machine
