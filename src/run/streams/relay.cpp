// SPDX-License-Identifier: Apache-2.0
#include "streams/relay.h"

#include "streams/relay_loop.h"

namespace mimic::streams {

std::string port_socket_path(const std::string& run_dir) {
    return run_dir + "/vport.sock";
}

std::string relay_socket_path(const std::string& run_dir) {
    return run_dir + "/streams.sock";
}

Result<std::unique_ptr<Relay>> Relay::create(const std::string& port_path,
                                             const std::string& listen_path) {
    std::unique_ptr<Relay> relay(new Relay());
    MIMIC_ASSIGN_OR_RETURN(relay->threads_, LoopPool::create(1));
    EventLoop& loop = relay->threads_->loop(0);
    Status made;
    LoopPool::run_on(loop, [&] {
        auto created = RelayLoop::create(loop, port_path, listen_path);
        if (created)
            relay->loop_ = std::move(*created);
        else
            made = tl::unexpected<Error>(std::move(created).error());
    });
    MIMIC_TRY(made);
    return relay;
}

Relay::~Relay() {
    if (loop_) LoopPool::run_on(threads_->loop(0), [this] { loop_.reset(); });
}

}  // namespace mimic::streams
