// SPDX-License-Identifier: Apache-2.0
// posix_spawn with two pipes, drained together so that neither fills up.
#include "guest_image/host_tool.h"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>

#include <array>
#include <csignal>

#include "base/unique_fd.h"

extern char** environ;

namespace mimic::guest_image {
namespace {

constexpr size_t kMaxOutput = 1u << 20;  // arbitrary; paths and lists of names are short

struct Pipe {
    UniqueFd read;
    UniqueFd write;
};

Result<Pipe> make_pipe() {
    int fds[2];
    if (::pipe2(fds, O_CLOEXEC) != 0) return fail_errno("pipe");
    return Pipe{UniqueFd(fds[0]), UniqueFd(fds[1])};
}

/// Owner of the two structures that posix_spawn wants.
struct SpawnSetup {
    SpawnSetup() {
        posix_spawn_file_actions_init(&actions);
        posix_spawnattr_init(&attributes);
    }
    ~SpawnSetup() {
        posix_spawn_file_actions_destroy(&actions);
        posix_spawnattr_destroy(&attributes);
    }
    SpawnSetup(const SpawnSetup&) = delete;
    SpawnSetup& operator=(const SpawnSetup&) = delete;

    posix_spawn_file_actions_t actions{};
    posix_spawnattr_t attributes{};
};

Result<pid_t> spawn(const std::vector<std::string>& argv, int out, int err) {
    SpawnSetup setup;
    posix_spawn_file_actions_addopen(&setup.actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&setup.actions, out, STDOUT_FILENO);
    if (err >= 0) posix_spawn_file_actions_adddup2(&setup.actions, err, STDERR_FILENO);
    sigset_t none;
    sigemptyset(&none);
    posix_spawnattr_setsigmask(&setup.attributes, &none);
    sigset_t defaults;
    sigemptyset(&defaults);
    sigaddset(&defaults, SIGPIPE);
    posix_spawnattr_setsigdefault(&setup.attributes, &defaults);
    posix_spawnattr_setflags(&setup.attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);

    std::vector<char*> arguments;
    for (const std::string& argument : argv) {
        // execve does not write to them; its type is older than const.
        arguments.push_back(const_cast<char*>(argument.c_str()));
    }
    arguments.push_back(nullptr);
    pid_t pid = -1;
    const int error = ::posix_spawnp(&pid, arguments[0], &setup.actions, &setup.attributes,
                                     arguments.data(), environ);
    if (error != 0) {
        return tl::unexpected<Error>(Error::from_errno(error, fmt::format("run {}", argv[0])));
    }
    return pid;
}

/// Reads until both pipes have ended. What exceeds kMaxOutput is read and dropped.
void drain(int out_fd, int err_fd, std::string& out, std::string& err) {
    std::array<pollfd, 2> fds{{{out_fd, POLLIN, 0}, {err_fd, POLLIN, 0}}};
    std::array<std::string*, 2> texts{&out, &err};
    std::array<char, 65536> buffer;
    while (fds[0].fd >= 0 || fds[1].fd >= 0) {
        if (::poll(fds.data(), fds.size(), -1) < 0) {
            if (errno == EINTR) continue;
            return;
        }
        for (size_t i = 0; i < fds.size(); ++i) {
            if (fds[i].fd < 0 || fds[i].revents == 0) continue;
            const ssize_t count = ::read(fds[i].fd, buffer.data(), buffer.size());
            if (count < 0 && errno == EINTR) continue;
            if (count <= 0) {
                fds[i].fd = -1;
                continue;
            }
            const size_t room = kMaxOutput - std::min(kMaxOutput, texts[i]->size());
            texts[i]->append(buffer.data(), std::min(static_cast<size_t>(count), room));
        }
    }
}

std::string last_part(std::string_view text) {
    constexpr size_t kShown = 2000;  // arbitrary: about 25 lines
    if (text.size() > kShown) text.remove_prefix(text.size() - kShown);
    while (!text.empty() && text.back() == '\n') text.remove_suffix(1);
    return text.empty() ? std::string() : fmt::format(":\n{}", text);
}

}  // namespace

Result<std::string> run_tool(const std::vector<std::string>& argv, bool show_errors) {
    MIMIC_ASSIGN_OR_RETURN(Pipe out_pipe, make_pipe());
    MIMIC_ASSIGN_OR_RETURN(Pipe err_pipe, make_pipe());
    MIMIC_ASSIGN_OR_RETURN(const pid_t pid, spawn(argv, out_pipe.write.get(),
                                                  show_errors ? -1 : err_pipe.write.get()));
    out_pipe.write.reset();
    err_pipe.write.reset();
    std::string out;
    std::string err;
    drain(out_pipe.read.get(), err_pipe.read.get(), out, err);
    int state = 0;
    while (::waitpid(pid, &state, 0) < 0) {
        if (errno != EINTR) return fail_errno("wait for {}", argv[0]);
    }
    if (!WIFEXITED(state) || WEXITSTATUS(state) != 0) {
        const std::string how = WIFSIGNALED(state)
                                    ? fmt::format("was killed by signal {}", WTERMSIG(state))
                                    : fmt::format("failed with exit status {}", WEXITSTATUS(state));
        return fail(std::errc::io_error, "{} {}{}", fmt::join(argv, " "), how, last_part(err));
    }
    while (!out.empty() && out.back() == '\n') out.pop_back();
    return out;
}

}  // namespace mimic::guest_image
