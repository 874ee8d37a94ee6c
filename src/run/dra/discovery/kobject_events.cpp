// SPDX-License-Identifier: Apache-2.0
#include "dra/discovery/kobject_events.h"

#include <linux/netlink.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>

namespace mimic::dra {
namespace {

constexpr unsigned kKernelGroup = 1;         // 2 is udev's
constexpr int kReceiveBuffer = 1 << 20;      // a thousand events and more
constexpr size_t kMaxMessage = 8192;         // UEVENT_BUFFER_SIZE is 2048
constexpr unsigned kMessagesInATurn = 1000;  // then others have theirs

}  // namespace

std::optional<KobjectEvent> parse_kobject_event(std::string_view message) {
    const size_t header = message.find('\0');
    if (header == std::string_view::npos) return std::nullopt;
    const size_t at = message.substr(0, header).find('@');
    if (at == std::string_view::npos) return std::nullopt;
    KobjectEvent event;
    event.action = message.substr(0, at);
    event.path = message.substr(at + 1, header - at - 1);
    constexpr std::string_view kSubsystem = "SUBSYSTEM=";
    message.remove_prefix(header + 1);
    while (!message.empty()) {
        const std::string_view line = message.substr(0, message.find('\0'));
        message.remove_prefix(std::min(line.size() + 1, message.size()));
        if (line.starts_with(kSubsystem)) event.subsystem = line.substr(kSubsystem.size());
    }
    return event;
}

bool is_from_kernel(const sockaddr_nl& from) {
    return from.nl_family == AF_NETLINK && from.nl_pid == 0 && from.nl_groups == kKernelGroup;
}

Result<std::unique_ptr<KobjectEvents>> KobjectEvents::create(EventLoop& loop, Listener listener) {
    UniqueFd socket(
        ::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_KOBJECT_UEVENT));
    if (!socket) return fail_errno("netlink socket");
    // More than the default where we may; not having it costs a rescan now and then.
    if (::setsockopt(socket.get(), SOL_SOCKET, SO_RCVBUFFORCE, &kReceiveBuffer,
                     sizeof(kReceiveBuffer)) != 0) {
        [[maybe_unused]] const int ignored = ::setsockopt(socket.get(), SOL_SOCKET, SO_RCVBUF,
                                                          &kReceiveBuffer, sizeof(kReceiveBuffer));
    }
    sockaddr_nl address{};
    address.nl_family = AF_NETLINK;
    address.nl_groups = kKernelGroup;
    if (::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
        return fail_errno("bind of a netlink socket");
    }
    const int fd = socket.get();
    std::unique_ptr<KobjectEvents> events(
        new KobjectEvents(loop, std::move(socket), std::move(listener)));
    MIMIC_TRY(loop.watch(fd, EPOLLIN, *events));
    return events;
}

KobjectEvents::~KobjectEvents() {
    loop_.unwatch(socket_.get());
}

uint32_t KobjectEvents::port() const {
    sockaddr_nl address{};
    socklen_t size = sizeof(address);
    ::getsockname(socket_.get(), reinterpret_cast<sockaddr*>(&address), &size);
    return address.nl_pid;
}

void KobjectEvents::on_fd_ready(uint32_t /*events*/) {
    for (unsigned count = 0; count < kMessagesInATurn; ++count) {
        std::array<char, kMaxMessage> buffer{};
        sockaddr_nl from{};
        iovec part{buffer.data(), buffer.size()};
        msghdr message{};
        message.msg_name = &from;
        message.msg_namelen = sizeof(from);
        message.msg_iov = &part;
        message.msg_iovlen = 1;
        const ssize_t size = ::recvmsg(socket_.get(), &message, 0);
        if (size < 0) {
            if (errno == EINTR) continue;
            if (errno == ENOBUFS) listener_(nullptr);
            return;  // nothing more for now
        }
        if (message.msg_namelen != sizeof(from) || !is_from_kernel(from)) {
            ++foreign_;
            continue;
        }
        const auto event = parse_kobject_event({buffer.data(), static_cast<size_t>(size)});
        if (event) listener_(&*event);
    }
}

}  // namespace mimic::dra
