// SPDX-License-Identifier: Apache-2.0
// `mimic logs`: files, not the API, since they outlive the machine that wrote them.
#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cstdio>

#include "base/interrupt.h"
#include "base/private_files.h"
#include "machine/down.h"
#include "machine/run_dir.h"
#include "machine/up_source.h"

namespace mimic::machine {
namespace {

using namespace std::chrono_literals;

void complain(const std::string& text) {
    std::fputs(fmt::format("mimic: error: {}\n", text).c_str(), stderr);
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
