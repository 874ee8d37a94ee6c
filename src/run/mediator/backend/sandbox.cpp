// SPDX-License-Identifier: Apache-2.0
#include "mediator/backend/sandbox.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <initializer_list>
#include <memory>

namespace mimic::mediator::backend {
namespace {

constexpr rlim_t kDescriptors = 64;          // arbitrary: a dozen are used
constexpr rlim_t kDriverDescriptors = 4096;  // arbitrary: a GPU's driver opens some hundred

// What threads that compute, malloc(3), futexes and our own channel need.
constexpr std::initializer_list<int> kAllowed = {
    // Memory; mmap(2) and mprotect(2) are below.
    SCMP_SYS(brk),
    SCMP_SYS(munmap),
    SCMP_SYS(mremap),
    SCMP_SYS(madvise),
    // Threads that exist, their locks and their end.
    SCMP_SYS(futex),
    SCMP_SYS(sched_yield),
    SCMP_SYS(set_robust_list),
    SCMP_SYS(rseq),
    SCMP_SYS(exit),
    SCMP_SYS(exit_group),
    SCMP_SYS(gettid),
    SCMP_SYS(getpid),
    SCMP_SYS(membarrier),
    SCMP_SYS(sched_getaffinity),
    SCMP_SYS(getcpu),
    // Signals of our own making: abort(3).
    SCMP_SYS(rt_sigaction),
    SCMP_SYS(rt_sigprocmask),
    SCMP_SYS(rt_sigreturn),
    SCMP_SYS(sigaltstack),
    SCMP_SYS(restart_syscall),
    // Time.
    SCMP_SYS(clock_gettime),
    SCMP_SYS(clock_getres),
    SCMP_SYS(gettimeofday),
    SCMP_SYS(clock_nanosleep),
    SCMP_SYS(nanosleep),
    // The sockets and the mailbox, and a log on standard error.
    SCMP_SYS(accept4),
    SCMP_SYS(getsockopt),
    SCMP_SYS(poll),
    SCMP_SYS(ppoll),
    SCMP_SYS(recvmsg),
    SCMP_SYS(sendmsg),
    SCMP_SYS(read),
    SCMP_SYS(write),
    SCMP_SYS(writev),
    SCMP_SYS(close),
    SCMP_SYS(lseek),
    SCMP_SYS(getrandom),
    SCMP_SYS(geteuid),
};

// What a driver's library does besides, also long after its start: it loads its compiler with the
// first PTX.
constexpr std::initializer_list<int> kDriverAllowed = {
    SCMP_SYS(openat),
    SCMP_SYS(open),
    SCMP_SYS(readlink),
    SCMP_SYS(readlinkat),
    SCMP_SYS(access),
    SCMP_SYS(faccessat),
    SCMP_SYS(faccessat2),
    SCMP_SYS(stat),
    SCMP_SYS(lstat),
    SCMP_SYS(newfstatat),
    SCMP_SYS(statx),
    SCMP_SYS(statfs),
    SCMP_SYS(fstatfs),
    SCMP_SYS(fstat),
    SCMP_SYS(pread64),
    SCMP_SYS(pwrite64),
    SCMP_SYS(readv),
    SCMP_SYS(getdents64),
    SCMP_SYS(ftruncate),
    SCMP_SYS(fallocate),
    SCMP_SYS(unlink),
    SCMP_SYS(unlinkat),
    SCMP_SYS(mkdir),
    SCMP_SYS(mkdirat),
    SCMP_SYS(rename),
    SCMP_SYS(flock),
    SCMP_SYS(fcntl),
    SCMP_SYS(dup),
    SCMP_SYS(dup2),
    SCMP_SYS(dup3),
    SCMP_SYS(pipe),
    SCMP_SYS(pipe2),
    SCMP_SYS(eventfd2),
    SCMP_SYS(epoll_create1),
    SCMP_SYS(epoll_ctl),
    SCMP_SYS(epoll_wait),
    SCMP_SYS(epoll_pwait),
    SCMP_SYS(memfd_create),
    SCMP_SYS(ioctl),
    SCMP_SYS(mlock),
    SCMP_SYS(munlock),
    SCMP_SYS(mlock2),
    SCMP_SYS(mincore),
    SCMP_SYS(get_mempolicy),
    SCMP_SYS(set_mempolicy),
    SCMP_SYS(mbind),
    SCMP_SYS(sched_setaffinity),
    SCMP_SYS(sched_getparam),
    SCMP_SYS(sched_getscheduler),
    SCMP_SYS(sched_get_priority_max),
    SCMP_SYS(sched_get_priority_min),
    SCMP_SYS(getrlimit),
    SCMP_SYS(sysinfo),
    SCMP_SYS(uname),
    SCMP_SYS(getuid),
    SCMP_SYS(getgid),
    SCMP_SYS(getegid),
    SCMP_SYS(getppid),
    SCMP_SYS(getcwd),
    SCMP_SYS(umask),
    SCMP_SYS(set_tid_address),
    SCMP_SYS(tgkill),
};

// Never, whatever a driver wants: said by name, so that an attempt ends the process.
constexpr std::initializer_list<int> kDeadly = {
    SCMP_SYS(execve),
    SCMP_SYS(execveat),
    SCMP_SYS(fork),
    SCMP_SYS(vfork),
    SCMP_SYS(ptrace),
    SCMP_SYS(process_vm_readv),
    SCMP_SYS(process_vm_writev),
    SCMP_SYS(pidfd_getfd),
    SCMP_SYS(kill),
    SCMP_SYS(pidfd_send_signal),
    SCMP_SYS(mount),
    SCMP_SYS(umount2),
    SCMP_SYS(setns),
    SCMP_SYS(unshare),
    SCMP_SYS(chroot),
    SCMP_SYS(pivot_root),
    SCMP_SYS(bpf),
    SCMP_SYS(init_module),
    SCMP_SYS(finit_module),
    SCMP_SYS(keyctl),
    SCMP_SYS(add_key),
    SCMP_SYS(request_key),
    SCMP_SYS(bind),
    SCMP_SYS(listen),
    SCMP_SYS(io_uring_setup),
    SCMP_SYS(userfaultfd),
    SCMP_SYS(perf_event_open),
};

// A sanitizer's run-time library asks the kernel whether memory is there by writing it to a pipe.
constexpr std::initializer_list<int> kSanitizerAllowed = {SCMP_SYS(pipe), SCMP_SYS(pipe2)};

struct ReleaseFilter {
    void operator()(void* filter) const { ::seccomp_release(filter); }
};
using Filter = std::unique_ptr<void, ReleaseFilter>;

int add(const Filter& filter, uint32_t action, std::initializer_list<int> calls) {
    for (const int call : calls) {
        // -EDOM, or a negative number: this architecture has no such call.
        if (call < 0) continue;
        const int error = ::seccomp_rule_add(filter.get(), action, call, 0);
        if (error != 0 && error != -EDOM) return error;
    }
    return 0;
}

// Fresh memory that can be written, or shared with a peer, but that never becomes code.
int add_memory(const Filter& filter) {
    for (const int call : {SCMP_SYS(mmap), SCMP_SYS(mprotect)}) {
        const int error = ::seccomp_rule_add(filter.get(), SCMP_ACT_ALLOW, call, 1,
                                             SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
        if (error != 0) return error;
    }
    // The seals of a mailbox are looked at before it is mapped; its socket is kept as long as it.
    for (const int command : {F_GET_SEALS, F_DUPFD_CLOEXEC}) {
        const int error = ::seccomp_rule_add(
            filter.get(), SCMP_ACT_ALLOW, SCMP_SYS(fcntl), 1,
            SCMP_A1(SCMP_CMP_EQ, static_cast<scmp_datum_t>(command)));
        if (error != 0) return error;
    }
    return 0;
}

int add_driver(const Filter& filter) {
    int error = add(filter, SCMP_ACT_ALLOW, kDriverAllowed);
    if (error == 0) error = add(filter, SCMP_ACT_ALLOW, {SCMP_SYS(mmap), SCMP_SYS(mprotect)});
    if (error == 0) error = add(filter, SCMP_ACT_KILL_PROCESS, kDeadly);
    if (error != 0) return error;
    // clone3(2) hides its flags behind a pointer; the C library takes clone(2) instead.
    error = ::seccomp_rule_add(filter.get(), SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
    if (error == 0) {
        error = ::seccomp_rule_add(filter.get(), SCMP_ACT_ALLOW, SCMP_SYS(clone), 1,
                                   SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, CLONE_THREAD));
    }
    if (error == 0) {
        // Names of threads.
        error = ::seccomp_rule_add(filter.get(), SCMP_ACT_ALLOW, SCMP_SYS(prctl), 1,
                                   SCMP_A0(SCMP_CMP_EQ, PR_SET_NAME));
    }
    return error;
}

Status install(Confinement how) {
    const bool driver = how == Confinement::kDriver;
    const Filter filter(::seccomp_init(driver ? SCMP_ACT_ERRNO(EPERM) : SCMP_ACT_KILL_PROCESS));
    if (!filter) return fail(std::errc::not_enough_memory, "cannot make a seccomp filter");
    int error = ::seccomp_attr_set(filter.get(), SCMP_FLTATR_CTL_TSYNC, 1);
    if (error == 0) error = add(filter, SCMP_ACT_ALLOW, kAllowed);
    if (error == 0 && kSanitized) error = add(filter, SCMP_ACT_ALLOW, kSanitizerAllowed);
    if (error == 0) error = driver ? add_driver(filter) : add_memory(filter);
    if (error == 0 && !driver) {
        // Only at itself: abort(3).
        error = ::seccomp_rule_add(filter.get(), SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1,
                                   SCMP_A0(SCMP_CMP_EQ, static_cast<scmp_datum_t>(::getpid())));
    }
    if (error == 0) error = ::seccomp_load(filter.get());
    if (error == 0) return {};
    return tl::unexpected<Error>(Error::from_errno(-error, "cannot confine a backend by seccomp"));
}

Status limit(int what, rlim_t most) {
    rlimit now{};
    if (::getrlimit(static_cast<__rlimit_resource_t>(what), &now) != 0) {
        return fail_errno("getrlimit");
    }
    now.rlim_max = now.rlim_max == RLIM_INFINITY ? most : std::min(now.rlim_max, most);
    now.rlim_cur = std::min(now.rlim_max, most);
    if (::setrlimit(static_cast<__rlimit_resource_t>(what), &now) != 0) {
        return fail_errno("setrlimit");
    }
    return {};
}

}  // namespace

Status limit_process(uint64_t address_space_bytes) {
    MIMIC_TRY(limit(RLIMIT_CORE, 0));
    MIMIC_TRY(limit(RLIMIT_NOFILE, address_space_bytes == 0 ? kDriverDescriptors : kDescriptors));
    if (address_space_bytes == 0) return {};
    return limit(RLIMIT_AS, address_space_bytes);
}

Status close_descriptors() {
    if (::syscall(SYS_close_range, 3u, ~0u, 0) != 0) return fail_errno("close_range");
    return {};
}

Status confine(Confinement how) {
    if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return fail_errno("no new privileges");
    if (::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) return fail_errno("not dumpable");
    return install(how);
}

}  // namespace mimic::mediator::backend
