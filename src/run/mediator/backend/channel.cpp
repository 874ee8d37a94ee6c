// SPDX-License-Identifier: Apache-2.0
#include "mediator/backend/channel.h"

#include <fcntl.h>
#include <linux/futex.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <new>

#include "base/terminal_text.h"
#include "mediator/backend/worker.h"

namespace mimic::mediator::backend {
namespace {

constexpr size_t kMaxDescriptors = 2;
constexpr int kSeals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;

Result<std::byte*> map_mailbox(int descriptor) {
    void* const base = ::mmap(nullptr, kMailboxSize, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor,
                              0);
    if (base == MAP_FAILED) return fail_errno("cannot map a backend's mailbox");
    return static_cast<std::byte*>(base);
}

}  // namespace

void Message::set_text(const std::string& words) {
    const size_t length = std::min(words.size(), sizeof text - 1);
    std::memcpy(text, words.data(), length);
    text[length] = 0;
}

std::string Message::words() const {
    return terminal_text(std::string_view(text, ::strnlen(text, sizeof text)));
}

MailboxMapping& MailboxMapping::operator=(MailboxMapping&& other) noexcept {
    std::swap(base_, other.base_);
    return *this;
}

MailboxMapping::~MailboxMapping() {
    if (base_ != nullptr) ::munmap(base_, kMailboxSize);
}

Result<MailboxMapping> MailboxMapping::create(UniqueFd& descriptor) {
    descriptor.reset(::memfd_create("mimic-mailbox", MFD_CLOEXEC | MFD_ALLOW_SEALING));
    if (!descriptor) return fail_errno("cannot make a backend's mailbox");
    if (::ftruncate(descriptor.get(), static_cast<off_t>(kMailboxSize)) != 0 ||
        ::fcntl(descriptor.get(), F_ADD_SEALS, kSeals) != 0) {
        return fail_errno("cannot make a backend's mailbox");
    }
    MIMIC_ASSIGN_OR_RETURN(std::byte* const base, map_mailbox(descriptor.get()));
    new (base) Mailbox{};
    return MailboxMapping(base);
}

Result<MailboxMapping> MailboxMapping::map(int descriptor) {
    // Only memory has seals. Its size by lseek(2), for a confined process has no stat(2).
    const int seals = ::fcntl(descriptor, F_GET_SEALS);
    if (seals < 0 || (seals & F_SEAL_SHRINK) == 0 ||
        ::lseek(descriptor, 0, SEEK_END) != static_cast<off_t>(kMailboxSize)) {
        return fail(std::errc::invalid_argument, "this is no mailbox");
    }
    MIMIC_ASSIGN_OR_RETURN(std::byte* const base, map_mailbox(descriptor));
    return MailboxMapping(base);
}

void futex_wait(const std::atomic<uint32_t>& word, uint32_t value, Duration limit) {
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(limit);
    const timespec timeout{seconds.count(), static_cast<long>((limit - seconds).count())};
    ::syscall(SYS_futex, &word, FUTEX_WAIT, value, &timeout, nullptr, 0);
}

void futex_wake(const std::atomic<uint32_t>& word) {
    ::syscall(SYS_futex, &word, FUTEX_WAKE, 1, nullptr, nullptr, 0);
}

Status send_message(int socket, const Message& message, std::span<const int> descriptors) {
    iovec part{const_cast<Message*>(&message), sizeof message};
    msghdr header{};
    header.msg_iov = &part;
    header.msg_iovlen = 1;
    alignas(cmsghdr) char control[CMSG_SPACE(kMaxDescriptors * sizeof(int))] = {};
    if (!descriptors.empty()) {
        header.msg_control = control;
        header.msg_controllen = CMSG_SPACE(descriptors.size_bytes());
        cmsghdr* const first = CMSG_FIRSTHDR(&header);
        first->cmsg_level = SOL_SOCKET;
        first->cmsg_type = SCM_RIGHTS;
        first->cmsg_len = CMSG_LEN(descriptors.size_bytes());
        std::memcpy(CMSG_DATA(first), descriptors.data(), descriptors.size_bytes());
    }
    // A UNIX socket takes a message as small as this whole or not at all.
    const ssize_t sent = ::sendmsg(socket, &header, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0) return fail_errno("a backend's socket");
    if (sent != static_cast<ssize_t>(sizeof message)) {
        return fail(std::errc::message_size, "a backend's socket took half a message");
    }
    return {};
}

Result<bool> MessageReader::read(int socket, Message& message, std::vector<UniqueFd>& descriptors) {
    iovec part{buffer_.data() + have_, buffer_.size() - have_};
    msghdr header{};
    header.msg_iov = &part;
    header.msg_iovlen = 1;
    alignas(cmsghdr) char control[CMSG_SPACE(kMaxDescriptors * sizeof(int))];
    header.msg_control = control;
    header.msg_controllen = sizeof control;
    const ssize_t got = ::recvmsg(socket, &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (got < 0) {
        if (errno == EAGAIN || errno == EINTR) return false;
        return fail_errno("a backend's socket");
    }
    for (cmsghdr* at = CMSG_FIRSTHDR(&header); at != nullptr; at = CMSG_NXTHDR(&header, at)) {
        if (at->cmsg_level != SOL_SOCKET || at->cmsg_type != SCM_RIGHTS) continue;
        const size_t count = (at->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < count; ++i) {
            int descriptor = -1;
            std::memcpy(&descriptor, CMSG_DATA(at) + i * sizeof(int), sizeof descriptor);
            descriptors_.emplace_back(descriptor);
        }
    }
    if (got == 0) return fail(std::errc::connection_reset, "the other end is gone");
    have_ += static_cast<size_t>(got);
    if (descriptors_.size() > kMaxDescriptors) {
        return fail(std::errc::protocol_error, "too many descriptors came");
    }
    if (have_ < buffer_.size()) return false;
    have_ = 0;
    std::memcpy(&message, buffer_.data(), sizeof message);
    descriptors = std::exchange(descriptors_, {});
    if (message.magic != kChannelMagic) {
        return fail(std::errc::protocol_error, "what came is no message of this version");
    }
    return true;
}

uint64_t fingerprint(const BackendConfig& config) {
    WorkerOptions options;
    options.config = config;
    options.config.name = "any";
    uint64_t hash = 0xcbf29ce484222325;  // FNV-1a
    for (const std::string& word : worker_arguments(options)) {
        for (const char c : word + '\n') hash = (hash ^ static_cast<uint8_t>(c)) * 0x100000001b3;
    }
    return hash;
}

}  // namespace mimic::mediator::backend
