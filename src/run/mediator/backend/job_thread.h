// SPDX-License-Identifier: Apache-2.0
// JobThread: the thread of a backend's process that takes jobs out of mailboxes and carries them
// out. It looks for the next job for a moment before it sleeps, which saves most of what a short
// job would wait for.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "base/unique_fd.h"
#include "mediator/backend/channel.h"
#include "mediator/backend/operations.h"

namespace mimic::mediator::backend {

/// A mediator: where its jobs come from and who is told.
struct Attachment {
    MailboxMapping box;
    UniqueFd event;
    UniqueFd socket;  // a copy: for the list of owners
};

/// Never ends: the process does. Its members are called by the thread of the socket.
class JobThread {
public:
    /// Both are borrowed.
    JobThread(Executor& executor, Operations& operations);

    void begin();

    /// Jobs come from there, once the one that runs has ended. nullptr: none come.
    void attach(std::unique_ptr<Attachment> attachment);

    /// A kRelease of the mediator that is attached was carried out.
    void count_release();

    /// What to do about a job that goes on for longer than its timeout: it is told to end, and true
    /// says that it does not listen. `mediator`: there is one, which does the same and is first.
    bool is_stuck(bool mediator);

    uint64_t jobs() const { return jobs_.load(std::memory_order_relaxed); }

private:
    // Shared: the job that runs holds on to the mailbox that it came from.
    using Attached = std::shared_ptr<Attachment>;

    [[noreturn]] void run();
    Attached wait_for_attachment(uint64_t& round);
    void serve(const Attached& attachment, uint64_t round);
    bool wait_for_job(Mailbox& box, uint32_t seen, uint64_t round);
    void carry_out(Attachment& attachment, uint32_t sequence, uint64_t round);
    bool wait_for_release(const Mailbox& box, uint32_t count, uint64_t round) const;
    static bool tell(const Attachment& attachment, const Message& message);
    void introduce(const Attachment& attachment);

    static constexpr Duration kSpin = std::chrono::microseconds(50);

    Executor& executor_;
    Operations& operations_;
    StopSignal stop_;
    std::vector<std::byte> response_;
    std::atomic<uint64_t> jobs_{0};
    std::atomic<uint64_t> round_{0};  // of attach()

    std::mutex mutex_;  // guards what follows
    std::condition_variable changed_;
    Attached next_;
    bool running_ = false;
    TimePoint deadline_{};  // of the job that runs
    std::thread thread_;
};

}  // namespace mimic::mediator::backend
