// SPDX-License-Identifier: Apache-2.0
#include "tests/protocol/mediator_rig.h"

#include <poll.h>
#include <sys/socket.h>

#include <cstdlib>

#include "base/check.h"
#include "base/private_files.h"
#include "base/unix_socket.h"

namespace mimic::mediator {
namespace {

// Longer than any busy machine needs; a test that waits so long has failed.
constexpr auto kPatience = std::chrono::minutes(1);

}  // namespace

MediatorRig::MediatorRig(Config config) : config_(std::move(config)) {
    std::string pattern = "/tmp/mimic-mediator-XXXXXX";
    MIMIC_CHECK(::mkdtemp(pattern.data()) != nullptr);
    folder_ = pattern;
    config_.socket = framed();
    config_.vm_sockets = folder_ + "/vm-<vm_id>.sock";
    begin();
}

MediatorRig::~MediatorRig() {
    end();
    static_cast<void>(remove_tree(folder_));
}

void MediatorRig::begin() {
    auto loop = EventLoop::create();
    MIMIC_CHECK(loop.has_value());
    loop_ = std::move(*loop);
    thread_ = std::thread([this] { loop_->run(); });
    on_loop([this] {
        auto engine = make_engine(
            config_,
            [this](const BackendConfig& wanted) -> Result<std::unique_ptr<backend::Backend>> {
                return std::make_unique<FakeBackend>(wanted, backends_, *loop_);
            },
            *loop_, {});
        MIMIC_CHECK(engine.has_value());
        engine_ = std::move(*engine);
        auto server = Server::listen(server_options(config_), *engine_, *loop_);
        MIMIC_CHECK(server.has_value());
        server_ = std::move(*server);
    });
}

void MediatorRig::end() {
    on_loop([this] {
        server_.reset();
        engine_.reset();
    });
    loop_->stop();
    thread_.join();
    loop_.reset();
}

void MediatorRig::restart() {
    end();
    begin();
}

VmStatus MediatorRig::vm(VmId id) {
    return on_loop([&] {
        for (const VmStatus& status : engine_->status().vms) {
            if (status.id == id) return status;
        }
        return VmStatus{};
    });
}

bool MediatorRig::wait_until(const std::function<bool()>& holds) {
    const auto end = std::chrono::steady_clock::now() + kPatience;
    while (!on_loop(holds)) {
        if (std::chrono::steady_clock::now() > end) return false;
        std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
    return true;
}

bool MediatorRig::wait_for(const std::function<bool(const ServerCounters&)>& holds) {
    return wait_until([&] { return holds(server_->counters()); });
}

RawPeer::RawPeer(const std::string& path) {
    auto connected = unix_connect(path);
    if (!connected) return;
    fd_ = std::move(*connected);
    const timeval patience{std::chrono::duration_cast<std::chrono::seconds>(kPatience).count(), 0};
    ::setsockopt(fd_.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    ::setsockopt(fd_.get(), SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
}

bool RawPeer::send(std::span<const std::byte> bytes) {
    while (!bytes.empty()) {
        const ssize_t sent = ::send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
        if (sent <= 0) return false;
        bytes = bytes.subspan(static_cast<size_t>(sent));
    }
    return true;
}

std::optional<std::vector<std::byte>> RawPeer::receive(size_t count) {
    std::vector<std::byte> bytes(count);
    for (size_t have = 0; have < count;) {
        iovec place{bytes.data() + have, count - have};
        alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
        msghdr message{};
        message.msg_iov = &place;
        message.msg_iovlen = 1;
        message.msg_control = control.data();
        message.msg_controllen = control.size();
        const ssize_t got = ::recvmsg(fd_.get(), &message, MSG_CMSG_CLOEXEC);
        if (got <= 0) return std::nullopt;
        have += static_cast<size_t>(got);
        const cmsghdr* const c = CMSG_FIRSTHDR(&message);
        if (c == nullptr || c->cmsg_type != SCM_RIGHTS) continue;
        int descriptor = -1;
        std::memcpy(&descriptor, CMSG_DATA(c), sizeof descriptor);
        descriptor_.reset(descriptor);
    }
    return bytes;
}

bool RawPeer::is_ended() {
    std::byte byte{};
    const ssize_t got = ::recv(fd_.get(), &byte, 1, 0);
    return got == 0 || (got < 0 && errno == ECONNRESET);
}

wire::HeaderV2 hello_header(VmId vm, char pool) {
    return {wire::kMagic,       static_cast<uint32_t>(wire::Type::kHello), vm, 0, pool, 1, 0,
            sizeof(wire::Hello)};
}

wire::Hello hello_of(uint64_t session, uint32_t shared_bytes) {
    wire::Hello hello{};
    hello.version = wire::kVersion3;
    hello.capabilities = wire::kCapBatch | wire::kCapSharedMemory | wire::kCapResume;
    hello.session = session;
    hello.max_payload = VGPU_MAX_MESSAGE;
    hello.shared_bytes = shared_bytes;
    return hello;
}

std::optional<wire::Hello> greet(RawPeer& peer, VmId vm, const wire::Hello& hello) {
    if (!peer.send_value(hello_header(vm)) || !peer.send_value(hello)) return std::nullopt;
    if (!peer.receive_value<wire::HeaderV2>()) return std::nullopt;
    return peer.receive_value<wire::Hello>();
}

std::vector<std::byte> request_frame(uint64_t id, std::span<const std::byte> request,
                                     uint16_t flags, uint32_t room) {
    wire::Frame frame{};
    frame.magic = wire::kMagic;
    frame.type = static_cast<uint16_t>(wire::FrameType::kRequest);
    frame.flags = flags;
    frame.length = static_cast<uint32_t>(request.size());
    frame.request_id = id;
    frame.room_length = room;
    const auto head = wire::bytes_of(frame);
    std::vector<std::byte> bytes(head.begin(), head.end());
    bytes.insert(bytes.end(), request.begin(), request.end());
    return bytes;
}

std::optional<FrameAnswer> receive_frame(RawPeer& peer) {
    const auto head = peer.receive_value<wire::Frame>();
    if (!head) return std::nullopt;
    auto bytes = peer.receive(head->length);
    if (!bytes) return std::nullopt;
    return FrameAnswer{*head, std::move(*bytes)};
}

std::vector<std::byte> packet_of(VmId vm, uint32_t id, std::span<const std::byte> request) {
    const wire::Packet packet{vm, id, static_cast<uint32_t>(request.size()), 'A', 1, {}};
    const auto head = wire::bytes_of(packet);
    std::vector<std::byte> bytes(head.begin(), head.end());
    bytes.insert(bytes.end(), request.begin(), request.end());
    return bytes;
}

std::optional<PacketGot> receive_packet(RawPeer& peer) {
    PacketGot got;
    const auto head = peer.receive_value<wire::PacketAnswer>();
    if (!head || head->length < sizeof got.response) return std::nullopt;
    const auto bytes = peer.receive(head->length);
    if (!bytes) return std::nullopt;
    got.head = *head;
    std::memcpy(&got.response, bytes->data(), sizeof got.response);
    return got;
}

}  // namespace mimic::mediator
