// SPDX-License-Identifier: Apache-2.0
// Ring: what a front-end has said of one virtqueue, and the eventfds by which both sides tell each
// other of buffers.
#pragma once

#include <cstdint>
#include <optional>

#include "base/event_loop.h"
#include "base/result.h"
#include "base/unique_fd.h"
#include "vhost_user/protocol.h"

namespace mimic::vhost_user {

/// One ring of one session. Thread-bound to `loop`, which is borrowed.
class Ring final : public FdHandler {
public:
    class Owner {
    public:
        /// The driver has notified ring `index`.
        virtual void on_kick(uint16_t index) = 0;

    protected:
        ~Owner() = default;
    };

    Ring(EventLoop& loop, Owner& owner, uint16_t index)
        : loop_(loop), owner_(owner), index_(index) {}
    ~Ring() { drop_kick(); }
    Ring(const Ring&) = delete;
    Ring& operator=(const Ring&) = delete;

    uint16_t index() const { return index_; }

    // What the front-end has said; plain values, kept until it says something else.
    uint16_t size = 0;                        // entries; 0: not said
    std::optional<VringAddress> addresses{};  // none: the driver does not use this ring
    uint16_t next_available = 0;              // where to begin: Queue::Settings
    uint16_t next_used = 0;
    bool enabled = false;
    bool running = false;  // the device uses it

    // Where it was stopped, and by which addresses, so that a ring that goes on is known.
    struct Stop {
        VringAddress addresses;
        uint16_t size;
        uint16_t next_available;
    };
    std::optional<Stop> stopped{};

    /// Takes the eventfd of kicks; an empty one: none. Errors: those of epoll_ctl(2).
    Status set_kick(UniqueFd fd);

    /// Whether all was said that the device needs.
    bool is_ready() const { return size != 0 && addresses && kick_ && enabled; }

    void set_call(UniqueFd fd) { call_ = std::move(fd); }
    void set_error(UniqueFd fd) { error_ = std::move(fd); }

    /// Signals the eventfd of calls; false if there is none. Never waits (signal_peer_eventfd()).
    bool call();
    void signal_error();

    /// Forgets all that was said, and the descriptors.
    void clear();

    void on_fd_ready(uint32_t events) override;

private:
    void drop_kick();

    EventLoop& loop_;
    Owner& owner_;
    const uint16_t index_;
    UniqueFd kick_;
    UniqueFd call_;
    UniqueFd error_;
};

}  // namespace mimic::vhost_user
