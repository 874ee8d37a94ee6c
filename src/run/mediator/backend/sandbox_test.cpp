// SPDX-License-Identifier: Apache-2.0
// What a confined process tries is denied: each attempt is made in a child that is confined first.
#include "mediator/backend/sandbox.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <functional>
#include <mutex>
#include <thread>

namespace mimic::mediator::backend {
namespace {

constexpr int kAllowed = 0;
constexpr int kRefused = 1;
constexpr int kKilled = 2;
constexpr int kNotConfined = 3;

// What becomes of a confined child that does this. `attempt` returns whether it worked.
int outcome_of(Confinement how, const std::function<bool()>& attempt) {
    const pid_t child = ::fork();
    if (child == 0) {
        if (!confine(how)) ::_exit(kNotConfined);
        ::_exit(attempt() ? kAllowed : kRefused);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    if (WIFSIGNALED(status)) return WTERMSIG(status) == SIGSYS ? kKilled : -WTERMSIG(status);
    return WEXITSTATUS(status);
}

bool opens() {
    return ::syscall(SYS_openat, AT_FDCWD, "/etc/passwd", O_RDONLY) >= 0;
}
bool connects() {
    return ::syscall(SYS_socket, AF_INET, SOCK_STREAM, 0) >= 0;
}
bool executes() {
    char name[] = "/bin/true";
    char* words[] = {name, nullptr};
    return ::syscall(SYS_execve, name, words, nullptr) == 0;
}
bool forks() {
    return ::syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0) >= 0;
}
bool kills() {
    return ::syscall(SYS_kill, ::getppid(), 0) == 0;
}
bool traces() {
    return ::syscall(SYS_ptrace, PTRACE_TRACEME, 0, 0, 0) == 0;
}
bool makes_code() {
    return ::syscall(SYS_mmap, nullptr, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS,
                     -1, 0) != -1;
}
bool gets_memory() {
    void* const memory = ::mmap(nullptr, 1 << 20, PROT_READ | PROT_WRITE,
                                MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return memory != MAP_FAILED && ::munmap(memory, 1 << 20) == 0;
}
bool turns_memory_into_code() {
    void* const memory = ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
                                -1, 0);
    return ::syscall(SYS_mprotect, memory, 4096, PROT_READ | PROT_EXEC) == 0;
}

// Limits of a child after limit_process(`bytes`); `before` is done first.
int limits_of(
    uint64_t bytes, const std::function<bool()>& as_wanted,
    const std::function<void()>& before = [] {}) {
    const pid_t child = ::fork();
    if (child == 0) {
        before();
        if (!limit_process(bytes)) ::_exit(kNotConfined);
        ::_exit(as_wanted() ? kAllowed : kRefused);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

bool is_limited(int what, rlim_t most) {
    rlimit now{};
    return ::getrlimit(static_cast<__rlimit_resource_t>(what), &now) == 0 && now.rlim_cur == most &&
           now.rlim_max == most;
}

bool gets(size_t bytes) {
    return ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0) != MAP_FAILED;
}

TEST(LimitProcess, OurCodeHasSoMuchAddressSpace) {
    constexpr uint64_t kSpace = uint64_t{4} << 30;
    EXPECT_EQ(limits_of(kSpace,
                        [] {
                            return is_limited(RLIMIT_AS, kSpace) && is_limited(RLIMIT_CORE, 0) &&
                                   is_limited(RLIMIT_NOFILE, 64) && !gets(kSpace) &&
                                   (kSanitized || gets(kSpace / 2));
                        }),
              kAllowed);
}

TEST(LimitProcess, ADriverHasAll) {
    rlimit before{};
    ASSERT_EQ(::getrlimit(RLIMIT_AS, &before), 0);
    EXPECT_EQ(limits_of(0,
                        [&] {
                            return is_limited(RLIMIT_CORE, 0) && gets(1 << 20) &&
                                   is_limited(RLIMIT_AS, before.rlim_cur) &&
                                   !is_limited(RLIMIT_NOFILE, 64);
                        }),
              kAllowed);
}

TEST(LimitProcess, NothingBecomesMore) {
    EXPECT_EQ(limits_of(
                  0, [] { return is_limited(RLIMIT_NOFILE, 32); },
                  [] {
                      const rlimit few{32, 32};
                      ::setrlimit(RLIMIT_NOFILE, &few);
                  }),
              kAllowed);
}

TEST(Sandbox, OurCodeGetsMemoryAndNothingElse) {
    constexpr auto kHow = Confinement::kCompute;
    EXPECT_EQ(outcome_of(kHow, gets_memory), kAllowed);
    EXPECT_EQ(outcome_of(kHow, opens), kKilled);
    EXPECT_EQ(outcome_of(kHow, connects), kKilled);
    EXPECT_EQ(outcome_of(kHow, executes), kKilled);
    EXPECT_EQ(outcome_of(kHow, forks), kKilled);
    EXPECT_EQ(outcome_of(kHow, kills), kKilled);
    EXPECT_EQ(outcome_of(kHow, traces), kKilled);
    EXPECT_EQ(outcome_of(kHow, makes_code), kKilled);
    EXPECT_EQ(outcome_of(kHow, turns_memory_into_code), kKilled);
}

TEST(Sandbox, ADriverGetsFilesButNoProgramsAndNoNetwork) {
    constexpr auto kHow = Confinement::kDriver;
    EXPECT_EQ(outcome_of(kHow, gets_memory), kAllowed);
    EXPECT_EQ(outcome_of(kHow, opens), kAllowed);
    EXPECT_EQ(outcome_of(kHow, makes_code), kAllowed);
    EXPECT_EQ(outcome_of(kHow, connects), kRefused);
    EXPECT_EQ(outcome_of(kHow, forks), kRefused);
    EXPECT_EQ(outcome_of(kHow, executes), kKilled);
    EXPECT_EQ(outcome_of(kHow, kills), kKilled);
    EXPECT_EQ(outcome_of(kHow, traces), kKilled);
}

TEST(Sandbox, ADriverStartsThreads) {
    EXPECT_EQ(outcome_of(Confinement::kDriver,
                         [] {
                             bool ran = false;
                             std::thread([&ran] { ran = true; }).join();
                             return ran;
                         }),
              kAllowed);
}

// A thread that was there before is confined, too.
TEST(Sandbox, HoldsForAllThreads) {
    const pid_t child = ::fork();
    if (child == 0) {
        std::mutex confined;
        confined.lock();
        std::thread other([&confined] {
            confined.lock();
            ::_exit(opens() ? kAllowed : kRefused);
        });
        if (!confine(Confinement::kCompute)) ::_exit(kNotConfined);
        confined.unlock();
        other.join();
    }
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS);
}

}  // namespace
}  // namespace mimic::mediator::backend
