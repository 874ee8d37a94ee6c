// SPDX-License-Identifier: Apache-2.0
#include "mediator/server/server_core.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

namespace mimic::mediator {
namespace {

constexpr std::string_view kVmPlace = "<vm_id>";
constexpr int kLooksForPatience = 4;  // so it may take a quarter longer

// Of a VM, however few others are there.
constexpr size_t kLeastOfVm = 16;

std::string vm_path(const std::string& pattern, VmId vm) {
    std::string path = pattern;
    path.replace(path.find(kVmPlace), kVmPlace.size(), std::to_string(vm));
    return path;
}

// Others than us must be able to connect to be admitted by the engine.
mode_t socket_mode(const ServerOptions& options) {
    const bool others = std::any_of(options.uids.begin(), options.uids.end(),
                                    [](uint32_t uid) { return uid != ::geteuid(); });
    return others ? 0666 : 0600;
}

// Paths and the VMs that they are for.
std::map<std::string, std::optional<VmId>> wanted_sockets(const ServerOptions& options) {
    std::map<std::string, std::optional<VmId>> wanted;
    if (!options.vm_sockets.empty()) {
        for (const VmId vm : options.vms) wanted[vm_path(options.vm_sockets, vm)] = vm;
    }
    if (!options.socket.empty()) wanted[options.socket] = std::nullopt;
    return wanted;
}

}  // namespace

ServerOptions server_options(const Config& config) {
    ServerOptions options;
    options.vm_sockets = config.vm_sockets;
    options.socket = config.socket;
    options.uids = config.uids;
    for (const VmConfig& vm : config.vms) {
        options.vms.push_back(vm.id);
        options.uids.insert(options.uids.end(), vm.uids.begin(), vm.uids.end());
    }
    if (config.others)
        options.uids.insert(options.uids.end(), config.others->uids.begin(),
                            config.others->uids.end());
    options.max_connections = config.max_connections;
    options.message_timeout = config.message_timeout;
    return options;
}

Result<std::unique_ptr<Server>> Server::listen(ServerOptions options, Engine& engine,
                                               EventLoop& loop) {
    auto server = std::make_unique<ServerCore>(ServerOptions{}, engine, loop);
    MIMIC_TRY(server->reload(std::move(options)));
    return server;
}

ServerCore::ServerCore(ServerOptions options, Engine& engine, EventLoop& loop)
    : options_(std::move(options)), engine_(engine), loop_(loop) {}

ServerCore::~ServerCore() {
    listeners_.clear();
    std::vector<Connection*> open;
    for (const auto& [id, connection] : connections_) open.push_back(connection.get());
    for (Connection* const connection : open) connection->close(true);
}

Status ServerCore::reload(ServerOptions options) {
    thread_.check();
    if (!options.vm_sockets.empty() && options.vm_sockets.find(kVmPlace) == std::string::npos)
        return fail(std::errc::invalid_argument, "no {} in the path of the VMs' sockets: {}",
                    kVmPlace, options.vm_sockets);
    const auto wanted = wanted_sockets(options);
    const mode_t mode = socket_mode(options);
    Listeners made;
    for (const auto& [path, vm] : wanted) {
        const auto known = listeners_.find(path);
        if (known != listeners_.end() && known->second->vm == vm) continue;
        auto listener = std::make_unique<Listener>(*this, vm);
        MIMIC_ASSIGN_OR_RETURN(listener->acceptor,
                               SocketAcceptor::create(loop_, path, *listener, mode));
        made[path] = std::move(listener);
    }
    std::erase_if(listeners_, [&](const auto& entry) { return !wanted.contains(entry.first); });
    if (mode != socket_mode(options_)) {
        for (const auto& [path, listener] : listeners_) {
            if (::chmod(path.c_str(), mode) != 0)
                MIMIC_LOG("mediator", kWarn, "cannot change who may connect to {}", path);
        }
    }
    listeners_.merge(made);
    options_ = std::move(options);
    return {};
}

ServerCounters ServerCore::counters() const {
    ServerCounters counters = counters_;
    counters.open = connections_.size();
    counters.held_bytes = held_;
    return counters;
}

void ServerCore::accept_failed(const Error& error) {
    if (uint64_t more = 0; accept_log_.allow(loop_.now(), more))
        MIMIC_LOG("mediator", kWarn, "{}{}", error.message(), log::more_like_it(more));
}

void ServerCore::accepted(UniqueFd socket, std::optional<VmId> vm) {
    ucred peer{};
    socklen_t size = sizeof peer;
    if (::getsockopt(socket.get(), SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) return;
    const bool full = connections_.size() >= options_.max_connections && !make_place(peer.uid);
    if (full || (vm && !has_place_for(*vm))) {
        ++counters_.refused;
        if (uint64_t more = 0; full_log_.allow(loop_.now(), more))
            MIMIC_LOG("mediator", kWarn, "a connection of uid {} is one too many{}", peer.uid,
                      log::more_like_it(more));
        return;
    }
    const uint64_t id = ++last_id_;
    auto connection = std::make_unique<Connection>(*this, id,
                                                   Peer{std::move(socket), peer.uid, vm});
    if (const auto started = connection->start(); !started) return accept_failed(started.error());
    ++counters_.connections;
    connections_[id] = std::move(connection);
}

// One of a user who has more than the newcomer's goes; else one that never said anything.
bool ServerCore::make_place(uint32_t uid) {
    std::map<uint32_t, size_t> count;
    for (const auto& [id, connection] : connections_) ++count[connection->uid()];
    const auto most = std::max_element(
        count.begin(), count.end(),
        [](const auto& a, const auto& b) { return a.second < b.second; });
    if (most == count.end()) return false;
    Connection* victim = nullptr;
    if (most->second > count[uid] + 1) {
        // The youngest that is idle, or else the youngest: others may have come to rely on theirs.
        for (const auto& [id, connection] : connections_) {
            if (connection->uid() != most->first) continue;
            if (victim == nullptr || !victim->is_idle() || connection->is_idle())
                victim = connection.get();
        }
    } else {
        for (const auto& [id, connection] : connections_) {
            if (connection->uid() != uid || connection->is_introduced()) continue;
            victim = connection.get();
            break;
        }
    }
    if (victim == nullptr) return false;
    ++counters_.evicted;
    victim->close(true);
    return true;
}

bool ServerCore::has_place_for(VmId vm) const {
    const size_t most = std::max<size_t>(kLeastOfVm, options_.max_connections / 4);
    const auto count = std::count_if(connections_.begin(), connections_.end(),
                                     [&](const auto& entry) { return entry.second->vm() == vm; });
    return static_cast<size_t>(count) < most;
}

void ServerCore::go_on_soon(Connection& connection) {
    if (!std::exchange(connection.goes_on, true)) going_on_.push_back(connection.id());
    if (!go_on_timer_.is_pending()) go_on_timer_.post(loop_, [this] { go_on(); });
}

void ServerCore::note_held(uint64_t before, uint64_t now) {
    const bool was_full = held_ >= options_.held_total;
    held_ = held_ - before + now;
    if (!was_full || held_ >= options_.held_total) return;
    // Any of them may have been left unread.
    for (const auto& [id, connection] : connections_) go_on_soon(*connection);
}

void ServerCore::go_on() {
    for (const uint64_t id : std::exchange(going_on_, {})) {
        const auto found = connections_.find(id);
        if (found == connections_.end()) continue;
        found->second->goes_on = false;  // it may have to go on once more
        found->second->turn_is_over();
    }
}

void ServerCore::watch_time() {
    if (patience_timer_.is_pending()) return;
    patience_timer_.start(loop_, options_.message_timeout / kLooksForPatience,
                          [this] { time_passed(); });
}

void ServerCore::time_passed() {
    std::vector<Connection*> open;
    for (const auto& [id, connection] : connections_) open.push_back(connection.get());
    // Those that end are kept in gone_ for now.
    for (Connection* const connection : open) connection->time_passed(loop_.now());
    if (!connections_.empty()) watch_time();
}

void ServerCore::lost(Connection& connection) {
    const auto found = connections_.find(connection.id());
    if (found == connections_.end()) return;
    gone_.push_back(std::move(found->second));
    connections_.erase(found);
    if (!reap_timer_.is_pending()) reap_timer_.post(loop_, [this] { gone_.clear(); });
}

}  // namespace mimic::mediator
