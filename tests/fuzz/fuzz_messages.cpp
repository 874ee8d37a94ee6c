// SPDX-License-Identifier: Apache-2.0
// A hostile client of a session. The input is a script: whole messages with correct framing, raw
// bytes, descriptors, replies to the server's DMA requests, memory cut short, and turns of the
// loop. Whatever it did, the server speaks well-formed messages only, never answers NO_REPLY, and
// serves the next client.
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include <array>
#include <memory>
#include <vector>

#include "base/log.h"
#include "memory/sigbus_guard.h"
#include "tests/fuzz/fuzz.h"
#include "tests/protocol/toy_device.h"
#include "vfio_user/server.h"

namespace mimic::fuzz {
namespace {

using namespace vfio_user;

constexpr size_t kMemorySize = 0x10000;

/// One loop, one function, and the descriptors that scripts pass on. Made once.
struct World : Session::Owner {
    std::unique_ptr<EventLoop> loop = EventLoop::create().value();
    std::unique_ptr<test::ToyDevice> toy = test::ToyDevice::create("fuzz").value();
    ReceiveBuffer buffer;
    Counters counters;
    log::RateLimit limit;
    std::array<UniqueFd, 4> fds;
    bool closed = false;

    World() {
        log::set_level(log::Level::kOff);
        FUZZ_REQUIRE(install_sigbus_guard());
        fds[0].reset(::memfd_create("fuzz", MFD_CLOEXEC));
        fds[1].reset(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
        fds[2].reset(::eventfd(0, EFD_CLOEXEC));
        fds[3].reset(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
        restore_memory();
    }
    void restore_memory() { FUZZ_REQUIRE(::ftruncate(fds[0].get(), kMemorySize) == 0); }
    void on_session_closed() override { closed = true; }
    log::RateLimit& log_limit(Complaint) override { return limit; }
};

/// The client's end of one session.
class Peer {
public:
    explicit Peer(World& world) : world_(world) {
        std::array<int, 2> pair{-1, -1};
        FUZZ_REQUIRE(
            ::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair.data()) == 0);
        socket_.reset(pair[0]);
        world_.closed = false;
        Session::Owner& owner = world_;
        session_ = std::make_unique<Session>(*world_.loop, *world_.toy, UniqueFd(pair[1]),
                                             world_.buffer, world_.counters, owner,
                                             Session::Options{});
        FUZZ_REQUIRE(session_->start());
    }

    void send(std::span<const uint8_t> bytes, size_t fd_count = 0, size_t first_fd = 0) {
        if (bytes.empty()) return;
        iovec part{const_cast<uint8_t*>(bytes.data()), bytes.size()};
        msghdr message{};
        message.msg_iov = &part;
        message.msg_iovlen = 1;
        alignas(cmsghdr) std::array<char, CMSG_SPACE(80 * sizeof(int))> control{};
        if (fd_count != 0) {
            message.msg_control = control.data();
            message.msg_controllen = CMSG_SPACE(fd_count * sizeof(int));
            cmsghdr* cmsg = CMSG_FIRSTHDR(&message);
            cmsg->cmsg_level = SOL_SOCKET;
            cmsg->cmsg_type = SCM_RIGHTS;
            cmsg->cmsg_len = CMSG_LEN(fd_count * sizeof(int));
            for (size_t i = 0; i < fd_count; ++i) {
                const int fd = world_.fds[(first_fd + i) % world_.fds.size()].get();
                std::memcpy(CMSG_DATA(cmsg) + i * sizeof(int), &fd, sizeof fd);
            }
        }
        (void)::sendmsg(socket_.get(), &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    }

    void turn() { world_.loop->run_once(Duration::zero()); }

    /// Reads what the server sent and checks its framing.
    void drain() {
        static std::array<uint8_t, 65536> some;
        for (;;) {
            const ssize_t n = ::recv(socket_.get(), some.data(), some.size(), MSG_DONTWAIT);
            if (n <= 0) break;
            received_.insert(received_.end(), some.begin(), some.begin() + n);
        }
        size_t used = 0;
        while (received_.size() - used >= sizeof(Header)) {
            Header header;
            std::memcpy(&header, received_.data() + used, sizeof header);
            FUZZ_REQUIRE(header.size >= sizeof header && header.size <= kMaxMessageSize);
            if (received_.size() - used < header.size) break;
            check(header);
            used += header.size;
        }
        received_.erase(received_.begin(), received_.begin() + static_cast<std::ptrdiff_t>(used));
    }

    /// Answers the server's last request with `size` bytes of payload.
    void answer(uint32_t flags, std::span<const uint8_t> payload, size_t size) {
        std::vector<uint8_t> bytes(sizeof(Header) + size);
        Header header = last_request_;
        header.size = static_cast<uint32_t>(bytes.size());
        header.flags = kFlagTypeReply | flags;
        header.error = (flags & kFlagError) != 0 ? EIO : 0;
        std::memcpy(bytes.data(), &header, sizeof header);
        if (!payload.empty())
            std::memcpy(bytes.data() + sizeof header, payload.data(),
                        std::min(payload.size(), size));
        send(bytes);
    }

    unsigned replies() const { return replies_; }
    bool closed() const { return session_->closed(); }

private:
    void check(const Header& header) {
        const uint32_t type = header.flags & kFlagTypeMask;
        FUZZ_REQUIRE(type <= 1);
        FUZZ_REQUIRE((header.flags & ~(kFlagTypeMask | kFlagError)) == 0);
        if (type == kFlagTypeReply) {
            ++replies_;
            FUZZ_REQUIRE(header.id != kSilentId);
            FUZZ_REQUIRE(((header.flags & kFlagError) != 0) == (header.error != 0));
        } else {
            const bool read = header.command == static_cast<uint16_t>(Command::kDmaRead);
            FUZZ_REQUIRE(read || header.command == static_cast<uint16_t>(Command::kDmaWrite));
            last_request_ = header;
            FUZZ_REQUIRE(header.size >= sizeof header + sizeof(DmaAccessBody));
        }
    }

public:
    static constexpr uint16_t kSilentId = 0xdead;  // of every message with NO_REPLY

private:
    World& world_;
    UniqueFd socket_;
    std::unique_ptr<Session> session_;
    std::vector<uint8_t> received_;
    Header last_request_{0, static_cast<uint16_t>(Command::kDmaRead), 0, 0, 0};
    unsigned replies_ = 0;
};

std::vector<uint8_t> message(uint16_t id, uint8_t command, uint32_t flags,
                             std::span<const uint8_t> payload) {
    const Header header{id, command, static_cast<uint32_t>(sizeof(Header) + payload.size()), flags,
                        0};
    std::vector<uint8_t> bytes(header.size);
    std::memcpy(bytes.data(), &header, sizeof header);
    if (!payload.empty()) std::memcpy(bytes.data() + sizeof header, payload.data(), payload.size());
    return bytes;
}

void negotiate(Peer& peer, uint8_t minor) {
    const std::array<uint8_t, 4> body = {0, 0, minor, 0};
    peer.send(message(1, 1, kFlagTypeCommand, body));
    peer.turn();
    peer.drain();
}

// One line of the script. The low four bits of the first byte say what, the high ones how.
void step(World& world, Peer& peer, Input& input) {
    const auto op = input.take<uint8_t>();
    const uint8_t how = op >> 4;
    switch (op & 0xf) {
        case 0:
            peer.send(input.take_bytes(input.take<uint8_t>()));
            break;
        case 1:
            peer.turn();
            break;
        case 2:
            peer.drain();
            break;
        case 3:
            peer.answer((how & 1) != 0 ? kFlagError : 0, input.take_bytes(16),
                        input.take<uint16_t>());
            break;
        case 4:
            FUZZ_REQUIRE(::ftruncate(world.fds[0].get(), input.take<uint16_t>() & ~0xfffL) == 0);
            break;
        case 5:
            world.restore_memory();
            break;
        default: {  // a message: `how` is the number of descriptors, 15 a flood
            const auto command = static_cast<uint8_t>(input.take<uint8_t>() % 20);
            const auto bits = input.take<uint8_t>();
            const auto payload = input.take_bytes(input.take<uint8_t>());
            const uint32_t flags = (bits & 1) != 0 ? kFlagNoReply : 0;
            const uint16_t id = (bits & 1) != 0 ? Peer::kSilentId : bits;
            const auto bytes = message(id, command, flags, payload);
            const size_t cut = (bits & 2) != 0 ? input.take<uint8_t>() % bytes.size()
                                               : bytes.size();
            peer.send(std::span(bytes).first(cut), how == 15 ? 70 : how, bits >> 4);
            peer.send(std::span(bytes).subspan(cut));
            if ((bits & 4) != 0) peer.turn();
        }
    }
}

void run(World& world, Input input) {
    const auto start = input.take<uint8_t>();
    Peer peer(world);
    if (start != 0) negotiate(peer, static_cast<uint8_t>(start - 1));
    while (!input.empty()) step(world, peer, input);
    for (int i = 0; i < 8 && !peer.closed(); ++i) {
        peer.turn();
        peer.drain();
    }
}

// A new client finds a function as after reset.
void require_service(World& world) {
    Peer peer(world);
    negotiate(peer, 0);
    const RegionAccessBody body{0, kRegionConfig, 4};
    std::array<uint8_t, sizeof body> bytes;
    std::memcpy(bytes.data(), &body, sizeof body);
    peer.send(message(2, 9, kFlagTypeCommand, bytes));
    peer.turn();
    peer.drain();
    FUZZ_REQUIRE(!peer.closed());
    FUZZ_REQUIRE(peer.replies() == 2);
    FUZZ_REQUIRE(world.toy->in_d0());
    FUZZ_REQUIRE(!world.toy->bus_master_enabled());
}

}  // namespace
}  // namespace mimic::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    using namespace mimic::fuzz;
    static auto* const world = new World();
    world->restore_memory();
    run(*world, Input(data, size));
    require_service(*world);
    return 0;
}
