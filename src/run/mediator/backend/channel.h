// SPDX-License-Identifier: Apache-2.0
// Between the mediator and a backend's process: small messages on a UNIX stream socket, and a
// sealed memfd, the mailbox, for jobs and their results.
//
//   mailbox   | Mailbox            | request              | response             |
//             0                    kRequestAt             kResponseAt            kMailboxSize
//
// The mediator fills job and request, sets `submitted` to the job's sequence number and rings the
// doorbell (a futex, woken when `sleeping`). The process answers in outcome and response, sets
// `completed` to the same number and writes to an eventfd. The mailbox is made by the mediator and
// sealed against shrinking; whatever the process writes there is copied once and then checked.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "compute/vgpu_protocol.h"
#include "mediator/backend/backend.h"

namespace mimic::mediator::backend {

/// Of both ends; another one is not spoken to. Changes with every change of this file's structures.
inline constexpr uint32_t kChannelMagic = 0x4d424b03;  // "MBK", 3

enum class MessageKind : uint32_t {
    // From the mediator.
    kAttach = 1,       // with two descriptors: the mailbox and an eventfd
    kRelease = 2,      // owner
    kAcknowledge = 3,  // owner, value: request id
    // From the process.
    kHello = 16,     // at once: value is that of fingerprint(); text its executor
    kFailed = 17,    // instead: text says why there is no executor. It ends
    kOwner = 18,     // after kAttach and once no job runs: an owner that it has; value: bytes
    kAttached = 19,  // after those: jobs may come. amount: jobs carried out so far
};

struct Message {
    uint32_t magic = kChannelMagic;
    MessageKind kind{};
    uint32_t vm = 0;
    uint32_t amount = 0;
    uint64_t session = 0;
    uint64_t value = 0;
    char text[96] = {};  // NUL terminated

    Owner owner() const { return {vm, session}; }
    void set_owner(const Owner& owner) {
        vm = owner.vm;
        session = owner.session;
    }
    void set_text(const std::string& words);
    /// Of a peer: up to the first NUL or the end, without what a terminal would obey.
    std::string words() const;
};
static_assert(sizeof(Message) == 128);

/// A job in the mailbox.
struct MailedJob {
    uint32_t vm = 0;
    uint32_t request_length = 0;
    uint64_t session = 0;
    uint64_t request_id = 0;
    uint64_t room = 0;
    uint64_t memory_limit = 0;
    uint64_t timeout_ns = 0;
    uint32_t again = 0;
    uint32_t weight = 0;
    uint32_t priority = 0;
    uint32_t queue_depth = 0;
    uint32_t after = 0;  // not before so many kRelease have been carried out: its VM had the last
    uint32_t said = 0;   // so many kRelease were said before it, of any VM
};

struct MailedOutcome {
    uint32_t error = 0;  // enum vgpu_error
    uint32_t response_length = 0;
    uint32_t ends = 0;  // 1: this process takes no other job
    uint32_t reserved = 0;
    uint64_t took_ns = 0;
    uint64_t owner_bytes = 0;  // memory of the job's owner, now
    uint64_t used_bytes = 0;   // of all
};

struct Mailbox {
    // Written by the mediator.
    alignas(64) std::atomic<uint32_t> doorbell;  // futex; counts
    std::atomic<uint32_t> submitted;
    std::atomic<uint32_t> stop;     // number of the job that is to end
    std::atomic<uint32_t> looking;  // 1: `completed` is looked at, the eventfd need not be written
    alignas(64) MailedJob job;
    // Written by the process.
    alignas(64) std::atomic<uint32_t> completed;
    std::atomic<uint32_t> sleeping;
    std::atomic<uint32_t> released;  // futex; counts the kRelease that were carried out
    alignas(64) MailedOutcome outcome;
};
static_assert(std::atomic<uint32_t>::is_always_lock_free);

inline constexpr size_t kRequestAt = 4096;
inline constexpr size_t kResponseAt = kRequestAt + VGPU_MAX_MESSAGE;
inline constexpr size_t kMailboxSize = kResponseAt + VGPU_MAX_MESSAGE;
static_assert(sizeof(Mailbox) <= kRequestAt);

/// A mailbox that is mapped here. Move-only.
class MailboxMapping {
public:
    MailboxMapping() = default;
    MailboxMapping(MailboxMapping&& other) noexcept : base_(std::exchange(other.base_, nullptr)) {}
    MailboxMapping& operator=(MailboxMapping&& other) noexcept;
    ~MailboxMapping();

    /// A new one, zeroed, with its descriptor, sealed: nobody can change its size. Errors: those of
    /// memfd_create(2) and mmap(2).
    static Result<MailboxMapping> create(UniqueFd& descriptor);
    /// That of a peer. Errors: EINVAL for a wrong size or no seal, those of mmap(2).
    static Result<MailboxMapping> map(int descriptor);

    explicit operator bool() const { return base_ != nullptr; }
    Mailbox& head() const { return *reinterpret_cast<Mailbox*>(base_); }
    std::byte* request() const { return base_ + kRequestAt; }
    std::byte* response() const { return base_ + kResponseAt; }

private:
    explicit MailboxMapping(std::byte* base) : base_(base) {}
    std::byte* base_ = nullptr;
};

/// Sleeps while `word` is `value`, at most `limit`; may return early.
void futex_wait(const std::atomic<uint32_t>& word, uint32_t value, Duration limit);
void futex_wake(const std::atomic<uint32_t>& word);

/// Sends `message` whole or not at all (EAGAIN where the peer does not read), with descriptors, if
/// there are any. Errors: those of sendmsg(2).
Status send_message(int socket, const Message& message, std::span<const int> descriptors = {});

/// Takes messages off a non-blocking socket.
class MessageReader {
public:
    /// True: `message` is the next one, and `descriptors` has what came with it. False: none is
    /// there yet. Errors: ECONNRESET at the end, EPROTO for what is no message.
    Result<bool> read(int socket, Message& message, std::vector<UniqueFd>& descriptors);

private:
    std::array<std::byte, sizeof(Message)> buffer_{};
    size_t have_ = 0;
    std::vector<UniqueFd> descriptors_;
};

/// What makes two configurations of a backend the same process: all but its name.
uint64_t fingerprint(const BackendConfig& config);

}  // namespace mimic::mediator::backend
