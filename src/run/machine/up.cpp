// SPDX-License-Identifier: Apache-2.0
#include "machine/up.h"
#include "devices/all_models.h"

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <thread>

#include "base/command_report.h"
#include "base/interrupt.h"
#include "base/private_files.h"
#include "machine/boot.h"
#include "machine/boot_plan.h"
#include "machine/disk_image.h"
#include "machine/ended.h"
#include "machine/host_folders.h"
#include "machine/kvm_probe.h"
#include "machine/log_printer.h"
#include "machine/up_source.h"
#include "topology/arch.h"

namespace mimic::machine {
namespace {

using Json = nlohmann::ordered_json;
using topology::Accel;

constexpr auto kEndOfMachine = std::chrono::seconds(10);  // a supervisor ends QEMU and notes why
// What QEMU needs besides the guest's memory: its code, TCG's translation buffer and page tables.
constexpr uint64_t kQemuOverhead = 256ull << 20;

uint64_t available_memory() {
    std::ifstream file("/proc/meminfo");
    for (std::string key, unit; file >> key;) {
        uint64_t value = 0;
        file >> value;
        std::getline(file, unit);
        if (key == "MemAvailable:") return value << 10;
    }
    return 0;
}

void say(const std::string& text) {
    std::fputs(("mimic: " + text + "\n").c_str(), stderr);
}

/// What came of one machine.
struct Outcome {
    std::unique_ptr<Boot> boot;
    std::unique_ptr<LogEcho> echo;  // of its console, if that is wished for
    Status status;
    double seconds = 0;
};

class Up {
public:
    Up(const UpOptions& options, UpSource source) : options_(options), source_(std::move(source)) {
        if (options.progress == ProgressKind::kNone)
            progress_ = std::make_unique<guest_image::NoProgress>();
        else
            progress_ = std::make_unique<guest_image::StderrProgress>();
    }
    ~Up() {
        // All at once; each destructor then waits for its own.
        for (auto& outcome : outcomes_) outcome.boot->begin_stop(why_it_ends_);
        // Before its echo, which ends when all is said.
        for (auto& outcome : outcomes_) outcome.boot.reset();
    }
    Up(const Up&) = delete;
    Up& operator=(const Up&) = delete;

    Status prepare();
    Status boot_all();
    void mark_running();
    Status stay();
    /// `error` of the work with a machine, with why that has ended, if it has.
    Error explained(Error error) {
        if (error.code() != std::errc::connection_aborted) return error;
        for (auto& outcome : outcomes_)
            if (const Status end = outcome.boot->look_for_end(kEndOfMachine); !end)
                return Error(error.code(),
                             fmt::format("machine {} ended: {}", outcome.boot->machine().name,
                                         end.error().message()));
        return error;
    }
    /// What `mimic ps --all` says of the machines that are taken down.
    void end_because(std::string why) { why_it_ends_ = std::move(why); }
    void report(std::FILE* out) const;
    bool report_json() const;
    std::map<std::string, std::string> run_dirs() const;
    bool has_started() const { return !outcomes_.empty(); }

private:
    Status check_not_running() const;
    Accel wished_accel(const topology::Machine& machine) const;
    Result<Accel> choose_accel(const topology::Machine& machine, const std::string& kernel);
    Status prepare_machine(const RunRoot& root, const topology::Machine& machine,
                           std::map<std::string, guest_image::GuestImage>& images);
    bool fit_together() const;
    void boot_one(Outcome& outcome, BootDisplay& display);
    std::string kind_of(const Boot& boot) const;
    void remember_boots(BootHistory& history) const;

    const UpOptions& options_;
    const UpSource source_;
    std::unique_ptr<guest_image::Progress> progress_;
    std::map<topology::Arch, Qemu> qemus_;
    std::optional<KvmVerdict> verdict_;
    std::vector<Outcome> outcomes_;
    std::string why_it_ends_ = "mimic up was interrupted";
};

Status Up::check_not_running() const {
    MIMIC_ASSIGN_OR_RETURN(const auto root, RunRoot::open());
    for (const auto& machine : source_.model.machines)
        if (root.is_alive(machine.name))
            return fail(std::errc::device_or_resource_busy,
                        "machine {0} is already running. Stop it with: mimic down {0}",
                        machine.name);
    return {};
}

Accel Up::wished_accel(const topology::Machine& machine) const {
    // Its guest knows one kind of CPU only.
    if (source_.snapshot) return source_.snapshot->accel == "kvm" ? Accel::kKvm : Accel::kTcg;
    if (options_.accel.empty()) return machine.accel;
    return options_.accel == "kvm" ? Accel::kKvm : Accel::kTcg;
}

Result<Accel> Up::choose_accel(const topology::Machine& machine, const std::string& kernel) {
    const Accel wish = wished_accel(machine);
    if (wish == Accel::kTcg) return wish;
    if (machine.accel == Accel::kTcg && (machine.arch != topology::Arch::kX86_64 ||
                                         machine.time == topology::GuestTime::kLockStep)) {
        return fail(std::errc::not_supported,
                    "machine {} cannot run under KVM: {}; leave out --accel kvm", machine.name,
                    machine.arch != topology::Arch::kX86_64
                        ? "its CPU is emulated"
                        : "nobody would count its instructions (time: lock-step)");
    }
    if (!verdict_) {
        verdict_ = probe_kvm(qemus_.at(machine.arch), kernel, *progress_, !machine.kernel.is_own());
        if (!verdict_->usable && wish == Accel::kAuto)
            say(fmt::format("no KVM, guests run on TCG and slower: {}", verdict_->reason));
    }
    if (verdict_->usable) return Accel::kKvm;
    if (wish == Accel::kAuto) return Accel::kTcg;
    return fail(std::errc::not_supported, "machine {} asks for KVM: {}", machine.name,
                verdict_->reason);
}

Status Up::prepare_machine(const RunRoot& root, const topology::Machine& machine,
                           std::map<std::string, guest_image::GuestImage>& images) {
    BootOptions options;
    options.topology_text = source_.text;
    options.file = source_.path;
    options.folder = source_.folder;
    options.allow_commands = options_.allow_commands;
    options.qemu = qemus_.at(machine.arch);
    options.qemu_args = options_.qemu_args;
    options.choices = source_.choices;
    options.gdb = options_.gdb;
    if (source_.snapshot) {
        MIMIC_TRY(check_snapshot_versions(options_.file, *source_.snapshot, MIMIC_VERSION,
                                          options.qemu.version));
        options.qemu_args = source_.snapshot->choices.qemu_args;
        options.incoming = std::filesystem::absolute(snapshot_guest_path(options_.file)).string();
    }
    MIMIC_ASSIGN_OR_RETURN(options.shared_folders,
                           check_shares(source_, machine, source_.choices.allow_shares));
    std::string probe_kernel;
    if (machine.kernel.image.empty()) {
        auto& image = images[topology::kernel_series(machine.arch, machine.kernel.release)];
        if (image.initrd.empty()) {
            MIMIC_ASSIGN_OR_RETURN(image, guest_image::build_guest_image(
                                              machine.kernel, machine.arch, devices::all_models(),
                                              *progress_, options_.guest_modules));
        }
        options.image = image;
        MIMIC_ASSIGN_OR_RETURN(const guest_image::OwnPaths own,
                               own_paths(source_, machine, source_.choices.allow_shares));
        if (!own.empty()) {
            progress_->step("reading kernel, modules and hooks of your own");
            MIMIC_ASSIGN_OR_RETURN(options.own, guest_image::gather_own_parts(machine, image, own));
            if (machine.kernel.is_own()) options.image.kernel = own.kernel.path;
        }
        probe_kernel = options.image.kernel;
    } else {
        MIMIC_ASSIGN_OR_RETURN(options.disk_image,
                               check_disk_image(source_.resolve(machine.kernel.image)));
        if (machine.kernel.firmware == topology::Firmware::kUefi) {
            MIMIC_ASSIGN_OR_RETURN(options.firmware, locate_firmware(*progress_));
        }
        // A cloud image has no kernel that could be tried alone; Debian's stands in for it.
        if (wished_accel(machine) != Accel::kTcg) {
            topology::Kernel stock;
            stock.release = "6.1";
            MIMIC_ASSIGN_OR_RETURN(const auto image,
                                   guest_image::build_guest_image(
                                       stock, machine.arch, devices::all_models(), *progress_));
            probe_kernel = image.kernel;
        }
    }
    MIMIC_ASSIGN_OR_RETURN(options.accel, choose_accel(machine, probe_kernel));
    if (options_.adjust) MIMIC_TRY(options_.adjust(machine, options));
    if (interrupted() != 0) return fail(std::errc::interrupted, "interrupted");
    Outcome outcome;
    MIMIC_ASSIGN_OR_RETURN(outcome.boot, Boot::prepare(root, machine, options));
    outcomes_.push_back(std::move(outcome));
    return {};
}

Status Up::prepare() {
    MIMIC_TRY(check_not_running());
    for (const auto& machine : source_.model.machines) {
        if (qemus_.contains(machine.arch)) continue;
        MIMIC_ASSIGN_OR_RETURN(qemus_[machine.arch], locate_qemu(*progress_, machine.arch));
    }
    MIMIC_ASSIGN_OR_RETURN(const auto root, RunRoot::open());
    prune_ended(root, kMaxEnded);
    std::map<std::string, guest_image::GuestImage> images;
    for (const auto& machine : source_.model.machines) {
        if (auto prepared = prepare_machine(root, machine, images); !prepared)
            return tl::unexpected(
                std::move(prepared).error().with_context("machine " + machine.name));
    }
    return {};
}

bool Up::fit_together() const {
    uint64_t wanted = 0;
    for (const auto& machine : source_.model.machines) wanted += machine.memory + kQemuOverhead;
    const uint64_t available = available_memory();
    return available == 0 || wanted <= available;
}

// What makes boots take about as long as each other.
std::string Up::kind_of(const Boot& boot) const {
    const auto& state = boot.plan().state;
    const std::string kernel = boot.machine().kernel.image.empty() ? state.kernel : "image";
    return fmt::format("{} {} {}{}", topology::facts_of(boot.machine().arch).name, state.accel,
                       kernel.substr(kernel.rfind('/') + 1).substr(0, 40),
                       source_.snapshot ? " restored" : "");
}

// Guesses are worth no error.
void Up::remember_boots(BootHistory& history) const {
    for (const auto& outcome : outcomes_)
        if (outcome.status) history.add(kind_of(*outcome.boot), outcome.boot->times());
    if (const auto path = boot_history_path()) [[maybe_unused]]
        const Status written = history.write(*path);
}

void Up::boot_one(Outcome& outcome, BootDisplay& display) {
    const TimePoint start = SteadyClock().now();
    const std::string& machine = outcome.boot->machine().name;
    display.begin(machine, kind_of(*outcome.boot));
    outcome.boot->on_stage([&](BootStage stage) { display.enter(machine, stage); });
    if (options_.logs) {
        const std::string name = outcome.boot->machine().name;
        outcome.echo = std::make_unique<LogEcho>(
            outcome.boot->plan().state_dir + "/console.log",
            LogPrinter::Options{.out = options_.log_fd,
                                .raw = false,
                                .prefix = outcomes_.size() > 1 ? name + ": " : ""});
    }
    outcome.status = outcome.boot->start();
    if (outcome.status && options_.gdb == Gdb::kWait)
        say(fmt::format("{0} waits for a debugger: mimic gdb {0}", machine));
    if (outcome.status) outcome.status = outcome.boot->wait_for_guest(options_.timeout);
    outcome.seconds = std::chrono::duration<double>(SteadyClock().now() - start).count();
    outcome.boot->on_stage(nullptr);
    display.end(machine);
}

Status Up::boot_all() {
    progress_->step("");
    const bool together = fit_together();
    if (!together && outcomes_.size() > 1)
        say("there is not enough free memory for all machines at once; booting one by one");
    const auto path = boot_history_path();
    BootHistory history = path ? BootHistory::read(*path) : BootHistory();
    std::optional<BootDisplay> display;
    // A line that is written again does not go together with what guests print.
    display.emplace(stderr,
                    options_.logs && options_.progress == ProgressKind::kAuto ? ProgressKind::kLines
                                                                              : options_.progress,
                    history);
    // A supervisor outlives the thread that started it: it asks for no signal at that thread's end.
    std::vector<std::thread> threads;
    for (auto& outcome : outcomes_) {
        threads.emplace_back([this, &outcome, &display] { boot_one(outcome, *display); });
        if (!together) {
            threads.back().join();
            threads.pop_back();
            if (!outcome.status) break;
        }
    }
    for (auto& thread : threads) thread.join();
    display.reset();
    remember_boots(history);
    for (auto& outcome : outcomes_)
        if (!outcome.status)
            return tl::unexpected(std::move(outcome.status)
                                      .error()
                                      .with_context("machine " + outcome.boot->machine().name));
    return {};
}

void Up::mark_running() {
    for (auto& outcome : outcomes_) outcome.boot->mark_running();
}

Status Up::stay() {
    if (!options_.foreground) {
        for (auto& outcome : outcomes_) outcome.boot->release();
        return {};
    }
    say("running until ^C");
    Status first;
    std::vector<std::thread> threads;
    for (auto& outcome : outcomes_)
        threads.emplace_back([&outcome] { outcome.status = outcome.boot->wait_for_end(); });
    for (auto& thread : threads) thread.join();
    for (auto& outcome : outcomes_)
        if (first && !outcome.status) first = outcome.status;
    return first;
}

std::map<std::string, std::string> Up::run_dirs() const {
    std::map<std::string, std::string> dirs;
    for (const auto& outcome : outcomes_)
        dirs[outcome.boot->machine().name] = outcome.boot->run_dir();
    return dirs;
}

void Up::report(std::FILE* out) const {
    for (const auto& outcome : outcomes_) {
        const auto& state = outcome.boot->plan().state;
        std::string line = fmt::format(
            "{}: up after {:.1f} s ({}, {} {}, {} function{})", state.name, outcome.seconds,
            state.accel == "kvm" ? "KVM" : "TCG", state.ssh_port == 0 ? "kernel" : "image",
            state.kernel, state.functions, state.functions == 1 ? "" : "s");
        fmt::print(out, "{}\n", line);
        for (const std::string& note : outcome.boot->notes())
            say(fmt::format("note: machine {}: {}", state.name, terminal_lines(note)));
        if (state.ssh_port == 0) continue;
        fmt::print(out, "  ssh: {}\n", ssh_command(outcome.boot->run_dir(), state.ssh_port));
        if (!outcome.boot->has_agent())
            fmt::print(out,
                       "  no guest agent answers yet; mimic exec, cp and verify need "
                       "qemu-guest-agent in the image\n");
    }
    std::fflush(out);
}

bool Up::report_json() const {
    Json list = Json::array();
    for (const auto& outcome : outcomes_) {
        const auto& state = outcome.boot->plan().state;
        list.push_back({{"name", state.name},
                        {"boot_seconds", outcome.seconds},
                        {"accel", state.accel},
                        {"kernel", state.kernel},
                        {"functions", state.functions},
                        {"ssh_port", state.ssh_port},
                        {"has_agent", outcome.boot->has_agent()},
                        {"run_dir", outcome.boot->run_dir()},
                        {"log_dir", outcome.boot->plan().state_dir}});
    }
    return print_document(
        Json{{"format", "mimic-up"}, {"version", 1}, {"machines", std::move(list)}}.dump(
            2, ' ', false, Json::error_handler_t::replace));
}

Status up_from(const UpOptions& options, UpSource source, const WhileUp& work) {
    Status done;
    {
        Up up(options, std::move(source));
        done = up.prepare();
        if (done) done = up.boot_all();
        if (done) {
            // Who releases machines says so by that.
            if (work || options.foreground) up.mark_running();
            if (!options.json || work)
                up.report(work ? stderr : stdout);
            else if (!up.report_json())
                return fail(std::errc::io_error, "standard output cannot be written");
            done = work ? work(up.run_dirs()) : up.stay();
            if (!done) done = tl::unexpected(up.explained(std::move(done).error()));
        }
        if (interrupted() == 0) {
            const std::string why = done ? "what it was booted for has ended"
                                         : done.error().message();
            up.end_because(why.substr(0, why.find('\n')));
        }
        if (!done && interrupted() == 0 && up.has_started()) say("taking down what was started");
    }
    if (interrupted() != 0) {
        report_error("stopped by a signal; nothing is left running");
        return fail(std::errc::interrupted, "stopped by signal {}", interrupted());
    }
    if (!done) report_error(done.error().message());
    return done;
}

int status_of_up(const Status& up) {
    if (up) return 0;
    return up.error().code() == std::errc::interrupted ? 128 + interrupted() : 1;
}

}  // namespace

int run_up(const UpOptions& options) {
    return status_of_up(up_while(options, nullptr));
}

int run_up(const UpOptions& options, UpSource source) {
    return status_of_up(up_from(options, std::move(source), nullptr));
}

Status up_while(const UpOptions& options, const WhileUp& work) {
    catch_interrupts();
    if (options.until_eof) {
        if (auto watched = interrupt_at_end_of_input(); !watched) {
            std::fputs(fmt::format("mimic: error: {}\n", watched.error().message()).c_str(),
                       stderr);
            return watched;
        }
    }
    auto source = load_up_source(options);
    if (!source) {
        report_text(source.error().message());
        return tl::unexpected(std::move(source).error());
    }
    if (options.check)
        if (Status checked = options.check(source->model); !checked) {
            report_error(checked.error().message());
            return checked;
        }
    return up_from(options, std::move(*source), work);
}

}  // namespace mimic::machine
