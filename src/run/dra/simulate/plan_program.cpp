// SPDX-License-Identifier: Apache-2.0
// run_plan(): a child whose output is read to its end.
#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "base/unique_fd.h"
#include "dra/simulate/template.h"

namespace mimic::dra {
namespace {

Result<std::string> read_all(int fd) {
    std::string text;
    std::array<char, 65536> piece{};
    for (;;) {
        const ssize_t got = ::read(fd, piece.data(), piece.size());
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return fail_errno("read what the plan says");
        if (got == 0) return text;
        if (text.size() + static_cast<size_t>(got) > kMaxPlanBytes) {
            return fail(std::errc::file_too_large, "the plan is longer than {} MiB",
                        kMaxPlanBytes >> 20);
        }
        text.append(piece.data(), static_cast<size_t>(got));
    }
}

}  // namespace

Result<std::string> run_plan(const std::string& program, const std::string& file,
                             const std::string& numvfs) {
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0) return fail_errno("pipe");
    UniqueFd reader(ends[0]);
    UniqueFd writer(ends[1]);

    posix_spawn_file_actions_t actions;
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    ::posix_spawn_file_actions_adddup2(&actions, writer.get(), STDOUT_FILENO);
    // Behind "--" a file whose name begins with a dash is a file.
    std::array<std::string, 7> words = {program, "plan", "--format", "slices", "--numvfs=" + numvfs,
                                        "--",    file};
    std::array<char*, 8> argv{};
    for (size_t index = 0; index < words.size(); ++index) argv.at(index) = words.at(index).data();
    pid_t child = -1;
    const int error = ::posix_spawnp(&child, program.c_str(), &actions, nullptr, argv.data(),
                                     environ);
    ::posix_spawn_file_actions_destroy(&actions);
    if (error != 0) return tl::unexpected<Error>(Error::from_errno(error, "start " + program));

    writer.reset();
    auto text = read_all(reader.get());
    reader.reset();  // a child that goes on writing ends with SIGPIPE
    int state = 0;
    while (::waitpid(child, &state, 0) < 0) {
        if (errno != EINTR) return fail_errno("wait for {}", program);
    }
    if (!text) return text;
    if (!WIFEXITED(state) || WEXITSTATUS(state) != 0) {
        return fail(std::errc::io_error, "{} plan {} failed", program, file);
    }
    return text;
}

}  // namespace mimic::dra
