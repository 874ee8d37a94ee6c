// SPDX-License-Identifier: Apache-2.0
#include "sim_server/sim_server.h"

#include <utility>

#include "base/log.h"
#include "sim/socket/wire.h"

namespace mimic::sim_server {

Result<std::unique_ptr<SimServer>> SimServer::create(const sim::ServerOptions& options, bool shared,
                                                     MakeSimulator make, EventLoop& loop) {
    // What a user got wrong is said at the start, not to the first client.
    MIMIC_ASSIGN_OR_RETURN(auto first, make(loop));
    std::unique_ptr<SimServer> server(new SimServer(options.path, std::move(make), loop));
    if (shared) server->shared_ = std::move(first);
    MIMIC_ASSIGN_OR_RETURN(server->server_, sim::Server::listen(options, loop, *server));
    return server;
}

size_t SimServer::in_flight() const {
    size_t sum = shared_ ? shared_->in_flight() : 0;
    for (const auto& [client, simulator] : own_) sum += simulator->in_flight();
    return sum;
}

sim::SimTime SimServer::now() const {
    if (shared_) return shared_->now();
    const auto found = own_.find(last_);
    return found == own_.end() ? 0 : found->second->now();
}

void SimServer::on_connected(uint64_t client) {
    last_ = client;
    if (shared_) return;
    auto made = make_(loop_);
    if (made) {
        own_[client] = std::move(*made);
    } else {
        MIMIC_LOG("sim", kError, "no simulator for client {}: {}", client, made.error().message());
    }
}

sim::Simulator* SimServer::simulator_of(uint64_t client) {
    if (shared_) return shared_.get();
    const auto found = own_.find(client);
    return found == own_.end() ? nullptr : found->second.get();
}

void SimServer::on_request(const sim::Asked& asked) {
    sim::Simulator* const simulator = simulator_of(asked.ticket.client);
    if (simulator == nullptr) {
        SSTResponse response{};
        response.status = SST_STATUS_NO_DEVICE;
        return server_->answer(asked.ticket, response, {});
    }
    // Ids of clients may be anything, twice the same included.
    asked.request.request_id = ++ids_;
    simulator->submit(asked.request, sim::picoseconds(asked.submitted),
                      [this, ticket = asked.ticket](const sim::Answer& answer) {
                          const sst_timing timing{
                              (answer.finished - answer.submitted) / sim::kPicosecondsPerNanosecond,
                              answer.finished / sim::kPicosecondsPerNanosecond};
                          server_->answer(ticket, answer.response, timing);
                      });
}

void SimServer::on_disconnected(uint64_t client) {
    const auto found = own_.find(client);
    if (found == own_.end()) return;
    gone_.push_back(std::move(found->second));
    own_.erase(found);
    if (!reap_.is_pending()) reap_.post(loop_, [this] { gone_.clear(); });
}

}  // namespace mimic::sim_server
