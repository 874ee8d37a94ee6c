// SPDX-License-Identifier: Apache-2.0
// How a backend's process is found, started, and ends. Its jobs are in worker_jobs.cpp.
#include "mediator/backend/worker_process.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <utility>

#include "base/log.h"
#include "base/unix_socket.h"
#include "mediator/backend/worker.h"

namespace mimic::mediator::backend {
namespace {

constexpr Duration kRetry = std::chrono::milliseconds(5);        // while it starts
constexpr Duration kStartWithin = std::chrono::seconds(60);      // until it listens and speaks
constexpr Duration kFirstPause = std::chrono::milliseconds(50);  // after a failure; doubles
constexpr Duration kLongestPause = std::chrono::seconds(5);
constexpr Duration kReapAgain = std::chrono::milliseconds(20);
constexpr size_t kMaxOwnersTold = 8192;

// The words of a program's start, which posix_spawn(3) wants as it wants them.
struct Words {
    explicit Words(std::vector<std::string> list) : owned(std::move(list)) {
        for (std::string& word : owned) pointers.push_back(word.data());
        pointers.push_back(nullptr);
    }
    std::vector<std::string> owned;
    std::vector<char*> pointers;
};

// In a session of its own: what ends the mediator's does not end it. Standard input is empty, what
// it prints goes where our errors go.
Result<pid_t> spawn_program(const std::string& program, Words& words) {
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attributes;
    ::posix_spawn_file_actions_init(&files);
    ::posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    ::posix_spawn_file_actions_adddup2(&files, STDERR_FILENO, STDOUT_FILENO);
    ::posix_spawnattr_init(&attributes);
    sigset_t none;
    sigemptyset(&none);
    ::posix_spawnattr_setsigmask(&attributes, &none);
    ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK);
    pid_t pid = 0;
    const int error = ::posix_spawn(&pid, program.c_str(), &files, &attributes,
                                    words.pointers.data(), environ);
    ::posix_spawnattr_destroy(&attributes);
    ::posix_spawn_file_actions_destroy(&files);
    if (error != 0) return tl::unexpected<Error>(Error::from_errno(error, "start " + program));
    return pid;
}

void reap_ended(std::vector<pid_t>& children) {
    std::erase_if(children, [](pid_t child) { return ::waitpid(child, nullptr, WNOHANG) != 0; });
}

// Of a backend that is no more. They are killed, but who is in a driver's call ends when that does:
// nobody waits for it here.
void reap_all(EventLoop& loop, std::vector<pid_t> children) {
    reap_ended(children);
    if (children.empty()) return;
    loop.post_delayed([&loop, children = std::move(children)] { reap_all(loop, children); },
                      kReapAgain);
}

}  // namespace

WorkerProcess::WorkerProcess(const BackendConfig& config, const BackendPlace& place,
                             EventLoop& loop)
    : config_(config),
      place_(place),
      path_(place.run_folder + "/backend-" + config.name + ".sock"),
      loop_(loop),
      why_("it starts") {
    again_.post(loop_, [this] { seek(); });
}

WorkerProcess::~WorkerProcess() {
    if (socket_) loop_.unwatch(socket_.get());
    if (event_) loop_.unwatch(event_.get());
}

void WorkerProcess::seek() {
    thread_.check();
    auto socket = unix_connect_now(path_);
    if (socket) {
        generations_ = std::max<uint64_t>(generations_, 1);  // one of an earlier mediator counts
        return connected(std::move(*socket));
    }
    if (state_ == Phase::kAway) return spawn();
    reap();
    if (children_.empty()) return try_again("its process ended at once");
    if (loop_.now() > phase_end_) {
        kill();
        return try_again("its process does not listen");
    }
    again_.start(loop_, kRetry, [this] { seek(); });
}

void WorkerProcess::spawn() {
    WorkerOptions options;
    options.config = config_;
    options.socket = path_;
    options.patience = place_.patience;
    const std::string program = place_.program.empty() ? "/proc/self/exe" : place_.program;
    std::vector<std::string> list = {program, "backend"};
    for (auto& word : worker_arguments(options)) list.push_back(std::move(word));
    Words words(std::move(list));
    const auto pid = spawn_program(program, words);
    if (!pid) return try_again(pid.error().message());
    ++generations_;
    children_.push_back(*pid);
    pid_ = *pid;
    process_.reset(static_cast<int>(::syscall(SYS_pidfd_open, *pid, 0)));
    state_ = Phase::kStarting;
    phase_end_ = loop_.now() + kStartWithin;
    again_.start(loop_, kRetry, [this] { seek(); });
}

void WorkerProcess::connected(UniqueFd socket) {
    socket_ = std::move(socket);
    reader_ = {};
    Status status = identify();
    if (status) status = loop_.watch(socket_.get(), EPOLLIN, socket_watch_);
    if (!status) {
        socket_.reset();
        return try_again(status.error().message());
    }
    state_ = Phase::kGreeting;
    again_.start(loop_, kStartWithin, [this] { broke("it does not say a word"); });
}

// Who listens there: ours, and held by a descriptor, so that nobody else is killed in its place.
Status WorkerProcess::identify() {
    ucred peer{};
    socklen_t length = sizeof peer;
    if (::getsockopt(socket_.get(), SOL_SOCKET, SO_PEERCRED, &peer, &length) != 0) {
        return fail_errno("who listens at {}", path_);
    }
    if (peer.uid != ::geteuid()) {
        return fail(std::errc::permission_denied, "{} is served by user {}", path_, peer.uid);
    }
    if (peer.pid == pid_ && process_) return {};
    // One that the mediator before us had only just started, too: ours is of no use.
    kill_children();
    pid_ = peer.pid;
    process_.reset(static_cast<int>(::syscall(SYS_pidfd_open, peer.pid, 0)));
    if (!process_) return fail_errno("the process that listens at {}", path_);
    return {};
}

Status WorkerProcess::attach() {
    UniqueFd box;
    MIMIC_ASSIGN_OR_RETURN(box_, MailboxMapping::create(box));
    event_.reset(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (!event_) return fail_errno("eventfd");
    // Edge-triggered: each write tells, and nothing has to be read.
    MIMIC_TRY(loop_.watch(event_.get(), EPOLLIN | EPOLLET, event_watch_));
    sequence_ = 0;
    strange_ = 0;
    Message message;
    message.kind = MessageKind::kAttach;
    const int descriptors[] = {box.get(), event_.get()};
    return send_message(socket_.get(), message, descriptors);
}

void WorkerProcess::on_socket() {
    thread_.check();
    const auto weak = weak_.ptr();
    while (socket_) {
        Message message;
        std::vector<UniqueFd> descriptors;  // it has no reason to send any: they are closed
        const auto got = reader_.read(socket_.get(), message, descriptors);
        if (!got) {
            if (got.error().code() == std::errc::protocol_error) return broke("it speaks nonsense");
            return gone("its process ended");
        }
        if (!*got) return;
        if (!take(message)) return broke("it says what makes no sense now");
        if (!weak) return;
    }
}

bool WorkerProcess::take(const Message& message) {
    switch (message.kind) {
        case MessageKind::kHello: {
            if (state_ != Phase::kGreeting) return false;
            if (message.value != fingerprint(config_)) {
                // Of an earlier configuration: its memory is not what is wanted now.
                broke("it was configured otherwise");
                return true;
            }
            what_ = message.words();
            again_.cancel();
            state_ = Phase::kAttaching;
            if (const auto status = attach(); !status) broke(status.error().message());
            return true;
        }
        case MessageKind::kFailed:
            if (state_ != Phase::kGreeting) return false;
            gone(message.words());
            return true;
        case MessageKind::kOwner:
            if (state_ != Phase::kAttaching || owners_.size() >= kMaxOwnersTold) return false;
            owners_[message.owner()] = {message.value, {}, true};
            memory_used_ += message.value;
            return true;
        case MessageKind::kAttached:
            if (state_ != Phase::kAttaching) return false;
            state_ = Phase::kAttached;
            failures_ = 0;
            jobs_ = message.amount;
            flush();
            changed();
            return true;
        default:
            return false;
    }
}

// A process that is of no use, or worse.
void WorkerProcess::broke(const std::string& how) {
    MIMIC_LOG("backend", kWarn, "Backend {} (process {}) is killed: {}", config_.name, pid_, how);
    kill();
    gone(how);
}

void WorkerProcess::kill() {
    if (process_) ::syscall(SYS_pidfd_send_signal, process_.get(), SIGKILL, nullptr, 0);
}

void WorkerProcess::gone(const std::string& why) {
    if (state_ == Phase::kStopped) return;
    const auto weak = weak_.ptr();
    const bool was_ready = state_ == Phase::kAttached || state_ == Phase::kEnding;
    // Whoever is called from here on finds it away, and gives it no other job; but may stop it.
    state_ = Phase::kEnding;
    // Its last result may have come with its end.
    if (take_completion() && (!weak || state_ == Phase::kStopped)) return;
    if (socket_) loop_.unwatch(socket_.get());
    if (event_) loop_.unwatch(event_.get());
    socket_.reset();
    event_.reset();
    deadline_timer_.cancel();
    waiting_.clear();
    releasing_.clear();
    releases_ = 0;
    acknowledged_.clear();
    owners_.clear();
    memory_used_ = 0;
    try_again(why);
    reap();
    if (was_ready) {
        MIMIC_LOG("backend", kWarn, "Backend {} (process {}): {}", config_.name, pid_, why);
    }
    if (job_) {
        const Running& job = *job_;
        const bool cancelled = job.cancelled && !is_shared();
        const auto error = job.timed_out ? VGPU_ERROR_TIMEOUT
                           : cancelled   ? VGPU_ERROR_CANCELLED
                                         : VGPU_ERROR_BACKEND;
        finish(error, {}, loop_.now() - job.begin);
        if (!weak || state_ == Phase::kStopped) return;
    }
    box_ = MailboxMapping();
    if (was_ready) changed();
}

void WorkerProcess::try_again(const std::string& why) {
    why_ = why;
    state_ = Phase::kAway;
    const Duration pause = failures_ == 0
                               ? Duration{}
                               : std::min(kFirstPause * (1u << std::min(failures_ - 1, 10u)),
                                          kLongestPause);
    if (failures_++ == 1) {
        MIMIC_LOG("backend", kWarn, "Backend {} does not start: {}", config_.name, why);
    }
    again_.start(loop_, pause, [this] { seek(); });
}

// Children that have ended are waited for; others are looked at again.
void WorkerProcess::reap() {
    reap_ended(children_);
    if (state_ == Phase::kStarting || state_ == Phase::kStopped || children_.empty()) return;
    reap_timer_.start(loop_, kReapAgain, [this] {
        if (!ready()) reap();
    });
}

void WorkerProcess::changed() {
    if (changed_) changed_();
}

// Not waited for yet, so that their numbers are theirs.
void WorkerProcess::kill_children() {
    for (const pid_t child : children_) ::kill(child, SIGKILL);
}

void WorkerProcess::stop() {
    kill();
    kill_children();
    if (socket_) loop_.unwatch(socket_.get());
    if (event_) loop_.unwatch(event_.get());
    socket_.reset();
    event_.reset();
    for (Timer* timer : {&again_, &deadline_timer_, &flush_timer_, &reap_timer_, &look_timer_})
        timer->cancel();
    state_ = Phase::kStopped;
    why_ = "it was stopped";
    ::unlink(path_.c_str());
    reap_all(loop_, std::exchange(children_, {}));
    job_.reset();
}

Backend::State WorkerProcess::state() const {
    State state;
    state.ready = ready();
    state.what = state.ready ? what_ : why_;
    state.pid = state_ == Phase::kAway || state_ == Phase::kStopped ? 0 : pid_;
    state.restarts = generations_ > 0 ? generations_ - 1 : 0;
    state.memory_used = memory_used_;
    state.memory_bytes = config_.memory_bytes;
    state.jobs = jobs_;
    return state;
}

std::vector<Owner> WorkerProcess::owners() const {
    std::vector<Owner> all;
    for (const auto& [owner, known] : owners_) {
        if (known.bytes != 0 || known.found) all.push_back(owner);
    }
    return all;
}

uint64_t WorkerProcess::memory_used(VmId vm) const {
    uint64_t bytes = 0;
    for (auto at = owners_.lower_bound({vm, 0}); at != owners_.end() && at->first.vm == vm; ++at) {
        bytes += at->second.bytes;
    }
    return bytes;
}

}  // namespace mimic::mediator::backend
