// SPDX-License-Identifier: Apache-2.0
#include "sim/socket/child.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <utility>

namespace mimic::sim {
namespace {

constexpr int kExecFailed = 127;  // as shells have it
constexpr Duration kLook = std::chrono::milliseconds(10);
constexpr int kLooks = 100;  // a second for a program to tidy up; arbitrary

// In the child, after fork() of a process with threads: async-signal-safe calls only.
[[noreturn]] void become(char* const* argv, pid_t parent) {
    ::setpgid(0, 0);
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != parent) ::_exit(kExecFailed);  // it had gone before that
    sigset_t none;
    ::sigemptyset(&none);
    ::pthread_sigmask(SIG_SETMASK, &none, nullptr);
    ::signal(SIGPIPE, SIG_DFL);
    const int empty = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
    ::dup2(empty, STDIN_FILENO);
    ::dup2(STDERR_FILENO, STDOUT_FILENO);
    ::execvp(argv[0], argv);
    ::_exit(kExecFailed);
}

// Looks again and again until the child has gone.
void watch_it_end(std::shared_ptr<Child> child, TaskRunner& runner, int looks) {
    if (looks == 0 || !child->running()) return;  // its destructor ends what remains
    runner.post_delayed([child = std::move(child), &runner,
                         looks]() mutable { watch_it_end(std::move(child), runner, looks - 1); },
                        kLook);
}

}  // namespace

Result<Child> Child::start(const std::vector<std::string>& command) {
    std::vector<char*> argv;
    argv.reserve(command.size() + 1);
    for (const auto& word : command) argv.push_back(const_cast<char*>(word.c_str()));
    argv.push_back(nullptr);
    const pid_t parent = ::getpid();
    const pid_t id = ::fork();
    if (id < 0) return fail_errno("fork");
    if (id == 0) become(argv.data(), parent);
    ::setpgid(id, id);  // both do: whoever comes first
    Child child;
    child.id_ = id;
    child.process_.reset(static_cast<int>(::syscall(SYS_pidfd_open, id, 0)));
    if (!child.process_) {
        const int error_number = errno;
        ::kill(-id, SIGKILL);
        ::waitpid(id, nullptr, 0);
        return tl::unexpected<Error>(Error::from_errno(error_number, "pidfd_open"));
    }
    return child;
}

bool Child::running() {
    if (!process_) return false;
    if (::waitpid(id_, &status_, WNOHANG) != id_) return true;
    ::kill(-id_, SIGKILL);  // what it has left behind
    process_.reset();
    return false;
}

std::string Child::how_it_ended() const {
    if (WIFSIGNALED(status_)) return fmt::format("killed by signal {}", WTERMSIG(status_));
    if (WEXITSTATUS(status_) == kExecFailed) return "exit status 127: no such program?";
    return fmt::format("exit status {}", WEXITSTATUS(status_));
}

void Child::end(Child child, TaskRunner& runner) {
    if (!child.running()) return;
    ::kill(-child.id_, SIGTERM);
    watch_it_end(std::make_shared<Child>(std::move(child)), runner, kLooks);
}

Child& Child::operator=(Child&& other) noexcept {
    if (this != &other) {
        kill_now();
        process_ = std::move(other.process_);
        id_ = other.id_;
        status_ = other.status_;
    }
    return *this;
}

Child::~Child() {
    kill_now();
}

void Child::kill_now() {
    if (!process_) return;
    ::kill(-id_, SIGKILL);
    ::waitpid(id_, &status_, 0);
    process_.reset();
}

}  // namespace mimic::sim
