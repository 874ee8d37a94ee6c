// SPDX-License-Identifier: Apache-2.0
#include "machine/console.h"

#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <memory>

#include "base/command_report.h"
#include "base/interrupt.h"
#include "base/unix_socket.h"
#include "machine/down.h"
#include "machine/exec_command.h"
#include "streams/raw_terminal.h"

namespace mimic::machine {
namespace {

constexpr char kLeave = 0x1d;  // Ctrl-], as telnet and virsh console have it

/// False: it could not be written, or ^C came while nobody took it.
bool write_whole(int fd, std::string_view data) {
    return write_patiently(fd, data,
                           []() -> Status {
                               if (interrupted() != 0)
                                   return fail(std::errc::interrupted, "interrupted");
                               return {};
                           })
        .has_value();
}

/// What ended the session.
enum class Ended { kLeft, kMachine, kOutput };

// Moves what is ready on one side to the other. `input_open` turns false at the end of input.
bool forward_input(int socket, bool& input_open) {
    std::array<char, 4096> buffer{};
    const ssize_t count = ::read(STDIN_FILENO, buffer.data(), buffer.size());
    if (count < 0 && errno == EINTR) return true;
    if (count <= 0) {
        input_open = false;
        return true;
    }
    std::string_view typed(buffer.data(), static_cast<size_t>(count));
    const size_t leave = typed.find(kLeave);
    const bool stay = leave == std::string_view::npos;
    return write_whole(socket, typed.substr(0, leave)) && stay;
}

Ended relay(int socket) {
    bool input_open = true;
    while (interrupted() == 0) {
        std::array<pollfd, 2> fds{
            {{.fd = socket, .events = POLLIN, .revents = 0},
             {.fd = input_open ? STDIN_FILENO : -1, .events = POLLIN, .revents = 0}}};
        // After the end of a script's input the answer may still come; without more of it we leave.
        const int ready = ::poll(fds.data(), fds.size(), input_open ? 1000 : 500);
        if (ready == 0 && !input_open) return Ended::kLeft;
        if (ready <= 0) continue;
        if (fds[0].revents != 0) {
            std::array<char, 4096> buffer{};
            const ssize_t count = ::read(socket, buffer.data(), buffer.size());
            if (count <= 0) return Ended::kMachine;
            if (!write_whole(STDOUT_FILENO, {buffer.data(), static_cast<size_t>(count)}))
                return Ended::kOutput;
        }
        if (fds[1].revents != 0 && !forward_input(socket, input_open)) return Ended::kLeft;
    }
    return Ended::kLeft;
}

}  // namespace

int run_console(const std::string& name) {
    const auto dir = running_machine_dir(name);
    const auto socket = dir ? unix_connect(*dir + "/console.sock")
                            : Result<UniqueFd>(tl::unexpected(dir.error()));
    if (!socket) {
        std::fputs(fmt::format("mimic: error: {}\n", socket.error().message()).c_str(), stderr);
        return 1;
    }
    catch_interrupts();
    ::signal(SIGPIPE, SIG_IGN);
    Ended ended = Ended::kLeft;
    {
        std::unique_ptr<streams::RawTerminal> raw;
        if (::isatty(STDIN_FILENO) == 1) {
            auto entered = streams::RawTerminal::enter(STDIN_FILENO);
            if (!entered) {
                report_error(entered.error().message());
                return 1;
            }
            raw = std::move(*entered);
        }
        if (raw)
            std::fputs(fmt::format("Connected to {}. Leave with Ctrl-].\r\n", name).c_str(),
                       stderr);
        ended = relay(socket->get());
    }
    if (ended == Ended::kMachine) {
        std::fputs(fmt::format("\nmimic: machine {} closed its console\n", name).c_str(), stderr);
        return 1;
    }
    return ended == Ended::kLeft ? 0 : 1;
}

}  // namespace mimic::machine
