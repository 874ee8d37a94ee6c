// SPDX-License-Identifier: Apache-2.0
// KobjectEvents: what the kernel says as devices come, go and change (NETLINK_KOBJECT_UEVENT,
// lib/kobject_uevent.c). Anybody with the privilege may write to such a socket: only what the
// kernel itself sent counts.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/event_loop.h"

struct sockaddr_nl;

namespace mimic::dra {

struct KobjectEvent {
    std::string action;     // "add", "remove", "change", ..
    std::string subsystem;  // "pci", or the name of a class
    std::string path;       // below /sys
};

/// "add@/devices/...\0ACTION=add\0DEVPATH=...\0SUBSYSTEM=...\0"; nothing for anything else. Pure.
std::optional<KobjectEvent> parse_kobject_event(std::string_view message);

/// True if the kernel sent it, to all. Pure.
bool is_from_kernel(const sockaddr_nl& from);

/// Thread-bound to its loop.
class KobjectEvents final : private FdHandler {
public:
    /// Gets nullptr when events were lost.
    using Listener = std::function<void(const KobjectEvent*)>;

    /// `loop` outlives this. Errors: those of socket(2) and bind(2); EPERM in some sandboxes.
    static Result<std::unique_ptr<KobjectEvents>> create(EventLoop& loop, Listener listener);
    ~KobjectEvents();

    /// Number of the socket, for tests that play somebody who is not the kernel.
    uint32_t port() const;
    /// Messages of others, which were dropped.
    uint64_t foreign() const { return foreign_; }

private:
    KobjectEvents(EventLoop& loop, UniqueFd socket, Listener listener)
        : loop_(loop), socket_(std::move(socket)), listener_(std::move(listener)) {}
    void on_fd_ready(uint32_t events) override;

    EventLoop& loop_;
    UniqueFd socket_;
    Listener listener_;
    uint64_t foreign_ = 0;
};

}  // namespace mimic::dra
