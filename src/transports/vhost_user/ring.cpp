// SPDX-License-Identifier: Apache-2.0
#include "vhost_user/ring.h"

#include <sys/epoll.h>

#include "base/peer_eventfd.h"

namespace mimic::vhost_user {

Status Ring::set_kick(UniqueFd fd) {
    drop_kick();
    if (!fd) return {};
    // Edge-triggered: each write of the front-end (or of KVM) makes an edge, and nothing need be
    // read, which could block if the peer reads first.
    MIMIC_TRY(loop_.watch(fd.get(), EPOLLIN | EPOLLET, *this));
    kick_ = std::move(fd);
    return {};
}

void Ring::drop_kick() {
    if (kick_) loop_.unwatch(kick_.get());
    kick_.reset();
}

void Ring::on_fd_ready(uint32_t /*events*/) {
    if (running && enabled) owner_.on_kick(index_);
}

bool Ring::call() {
    if (!call_) return false;
    signal_peer_eventfd(call_.get());
    return true;
}

void Ring::signal_error() {
    if (error_) signal_peer_eventfd(error_.get());
}

void Ring::clear() {
    drop_kick();
    call_.reset();
    error_.reset();
    size = 0;
    addresses.reset();
    next_available = 0;
    next_used = 0;
    enabled = false;
    running = false;
    stopped.reset();
}

}  // namespace mimic::vhost_user
