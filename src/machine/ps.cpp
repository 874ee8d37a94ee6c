// SPDX-License-Identifier: Apache-2.0
// `mimic ps` and `mimic logs`.
#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "machine/down.h"
#include "machine/interrupt.h"
#include "machine/machine_state.h"
#include "machine/private_files.h"
#include "machine/run_dir.h"
#include "machine/up_source.h"

namespace mimic::machine {
namespace {

using namespace std::chrono_literals;
using Json = nlohmann::ordered_json;

void complain(const std::string& text) {
    std::fputs(fmt::format("mimic: error: {}\n", text).c_str(), stderr);
}

struct Row {
    MachineState state;
    std::string phase;
    std::string dir;
};

std::vector<Row> rows(const RunRoot& root) {
    std::vector<Row> all;
    for (const auto& name : root.names()) {
        Row row;
        row.dir = root.machine_dir(name);
        if (auto state = read_machine_state(row.dir)) row.state = std::move(*state);
        row.state.name = name;
        // The lock tells the truth; state.json is what was true when it was written.
        row.phase = root.is_alive(name) ? row.state.phase : "dead";
        all.push_back(std::move(row));
    }
    return all;
}

void print_json(const std::vector<Row>& all) {
    Json list = Json::array();
    for (const auto& row : all) {
        Json hosts = Json::array();
        for (const auto& host : row.state.device_hosts) hosts.push_back(host.pid);
        list.push_back({{"name", row.state.name},
                        {"phase", row.phase},
                        {"accel", row.state.accel},
                        {"kernel", row.state.kernel},
                        {"functions", row.state.functions},
                        {"ssh_port", row.state.ssh_port},
                        {"started", row.state.started},
                        {"file", row.state.file},
                        {"run_dir", row.dir},
                        {"supervisor_pid", row.state.supervisor.pid},
                        {"qemu_pid", row.state.qemu.pid},
                        {"device_host_pids", hosts}});
    }
    std::puts(list.dump(2, ' ', false, Json::error_handler_t::replace).c_str());
}

void print_table(const std::vector<Row>& all) {
    size_t width = 4;
    for (const auto& row : all) width = std::max(width, row.state.name.size());
    fmt::print("{:<{}}  {:<8}  {:<5}  {:<8}  {:>9}  {:<20}  {}\n", "NAME", width, "STATE", "ACCEL",
               "KERNEL", "FUNCTIONS", "STARTED", "FILE");
    for (const auto& row : all)
        fmt::print("{:<{}}  {:<8}  {:<5}  {:<8}  {:>9}  {:<20}  {}\n", row.state.name, width,
                   row.phase, row.state.accel, row.state.ssh_port == 0 ? row.state.kernel : "image",
                   row.state.functions, row.state.started, row.state.file);
}

// Copies what is new in the file to stdout; false if stdout is gone.
bool copy_new(int fd) {
    std::array<char, 65536> buffer{};
    for (;;) {
        const ssize_t count = ::read(fd, buffer.data(), buffer.size());
        if (count <= 0) return true;
        for (ssize_t at = 0; at < count;) {
            const ssize_t written = ::write(STDOUT_FILENO, buffer.data() + at,
                                            static_cast<size_t>(count - at));
            if (written < 0) return false;
            at += written;
        }
    }
}

const char* file_of(Log log) {
    switch (log) {
        case Log::kConsole:
            return "console.log";
        case Log::kQemu:
            return "qemu.log";
        case Log::kDevices:
            return "device-host.log";
        case Log::kSupervisor:
            return "supervisor.log";
    }
    return "";
}

}  // namespace

int run_ps(PsFormat format) {
    const auto root = RunRoot::open();
    if (!root) {
        complain(root.error().message());
        return 1;
    }
    const auto all = rows(*root);
    switch (format) {
        case PsFormat::kJson:
            print_json(all);
            break;
        case PsFormat::kTable:
            print_table(all);
            break;
        case PsFormat::kNames:
            for (const auto& row : all)
                if (row.phase != "dead") std::puts(row.state.name.c_str());
    }
    for (const auto& row : all)
        if (row.phase == "dead")
            std::fputs(fmt::format("mimic: the supervisor of {0} was killed; clean up with: mimic "
                                   "down {0}\n",
                                   row.state.name)
                           .c_str(),
                       stderr);
    return 0;
}

int run_logs(const std::string& name, Log log, bool follow) {
    const auto root = RunRoot::open();
    const auto state_root = state_root_path();
    if (!root || !state_root || !is_machine_name(name)) {
        complain(!root         ? root.error().message()
                 : !state_root ? state_root.error().message()
                               : fmt::format("\"{}\" is no machine name", name));
        return 1;
    }
    const std::string folder = *state_root + "/" + name;
    const UniqueFd fd(::open((folder + "/" + file_of(log)).c_str(), O_RDONLY | O_CLOEXEC));
    if (!fd) {
        complain(fmt::format("machine {} has no {}{}", name, file_of(log),
                             did_you_mean(name, root->names())));
        return 1;
    }
    if (follow) catch_interrupts();
    bool alive = root->is_alive(name);
    while (copy_new(fd.get()) && follow && alive && interrupted() == 0) {
        alive = root->is_alive(name);
        sleep_unless_interrupted(100ms);
    }
    if (!alive) {
        const auto reason = last_lines(folder + "/exit-reason", 1000);
        if (!reason.empty())
            std::fputs(fmt::format("mimic: machine {} ended: {}\n", name, reason.front()).c_str(),
                       stderr);
    }
    return 0;
}

}  // namespace mimic::machine
