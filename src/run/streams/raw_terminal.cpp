// SPDX-License-Identifier: Apache-2.0
#include "streams/raw_terminal.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <cerrno>

namespace mimic::streams {
namespace {

// Everything but the terminal and the pipe: who waits for the end of our streams must not wait for
// the guard.
void close_others(int one, int other) {
    const int last = static_cast<int>(::sysconf(_SC_OPEN_MAX));
    for (int fd = 0; fd < (last < 4096 ? last : 4096); ++fd)
        if (fd != one && fd != other) ::close(fd);
}

// Waits until nobody holds the other end of the pipe any more, then restores.
[[noreturn]] void guard(int terminal, int pipe, const termios& saved) {
    sigset_t all;
    sigfillset(&all);
    ::sigprocmask(SIG_BLOCK, &all, nullptr);  // also SIGTTOU: we may be in the background
    close_others(terminal, pipe);
    char byte = 0;
    while (::read(pipe, &byte, 1) < 0 && errno == EINTR) {
    }
    ::tcsetattr(terminal, TCSADRAIN, &saved);
    ::_exit(0);
}

}  // namespace

Result<std::unique_ptr<RawTerminal>> RawTerminal::enter(int fd) {
    termios saved{};
    if (::tcgetattr(fd, &saved) != 0) return fail_errno("look at the terminal");
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) return fail_errno("pipe");
    const UniqueFd theirs(ends[0]);
    UniqueFd ours(ends[1]);
    const pid_t child = ::fork();
    if (child < 0) return fail_errno("fork");
    if (child == 0) {
        ours.reset();
        guard(fd, theirs.get(), saved);
    }
    termios raw = saved;
    ::cfmakeraw(&raw);
    std::unique_ptr<RawTerminal> terminal(new RawTerminal(std::move(ours), child));
    if (::tcsetattr(fd, TCSADRAIN, &raw) != 0) return fail_errno("make the terminal raw");
    return terminal;
}

RawTerminal::~RawTerminal() {
    alive_.reset();
    while (::waitpid(guard_, nullptr, 0) < 0 && errno == EINTR) {
    }
}

}  // namespace mimic::streams
