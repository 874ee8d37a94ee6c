// SPDX-License-Identifier: Apache-2.0
// A hostile front-end of a vhost-user session, and a hostile driver in its memory. The input is a
// script: requests with any body and descriptors, raw bytes, rings that are set up as they should
// be, bytes written to guest memory, kicks, memory cut short, and turns of the loop. Whatever it
// did, the back-end speaks well-formed answers only, and serves the next front-end.
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <memory>
#include <vector>

#include "base/log.h"
#include "memory/sigbus_guard.h"
#include "tests/fuzz/fuzz.h"
#include "tests/protocol/toy_virtio.h"
#include "vhost_user/session.h"

namespace mimic::fuzz {
namespace {

using namespace vhost_user;

constexpr size_t kMemorySize = 0x10000;
constexpr uint64_t kUserBase = 0x7000'0000'0000;

/// One loop, one device, and the descriptors that scripts pass on. Made once.
struct World : Session::Owner {
    std::unique_ptr<EventLoop> loop = EventLoop::create().value();
    test::ToyVirtio toy{"fuzz"};
    Counters counters;
    log::RateLimit limit;
    std::array<UniqueFd, 5> fds;
    bool closed = false;

    World() {
        log::set_level(log::Level::kOff);
        FUZZ_REQUIRE(install_sigbus_guard());
        fds[0].reset(::memfd_create("fuzz", MFD_CLOEXEC));
        fds[1].reset(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
        fds[2].reset(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
        fds[3].reset(::eventfd(0, EFD_CLOEXEC));
        fds[4].reset(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
        restore_memory();
    }
    void restore_memory() { FUZZ_REQUIRE(::ftruncate(fds[0].get(), kMemorySize) == 0); }
    void on_session_closed() override { closed = true; }
    log::RateLimit& log_limit(Complaint) override { return limit; }
};

/// The front-end's end of one session.
class Peer {
public:
    explicit Peer(World& world) : world_(world) {
        std::array<int, 2> pair{-1, -1};
        FUZZ_REQUIRE(
            ::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair.data()) == 0);
        socket_.reset(pair[0]);
        world_.closed = false;
        Session::Owner& owner = world_;
        // Nobody waits for buffers that are out: a script has no time.
        session_ = std::make_unique<Session>(
            *world_.loop, world_.toy, UniqueFd(pair[1]), world_.counters, owner,
            Session::Options{.drain_timeout = std::chrono::nanoseconds(0)});
        FUZZ_REQUIRE(session_->start());
    }

    void send(std::span<const uint8_t> bytes, size_t fd_count = 0, size_t first_fd = 0) {
        if (bytes.empty()) return;
        iovec part{const_cast<uint8_t*>(bytes.data()), bytes.size()};
        msghdr message{};
        message.msg_iov = &part;
        message.msg_iovlen = 1;
        alignas(cmsghdr) std::array<char, CMSG_SPACE(16 * sizeof(int))> control{};
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

    void send(Request request, std::span<const uint8_t> body, size_t fd_count = 0,
              size_t first_fd = 0, uint32_t flags = kVersion) {
        const Header header{static_cast<uint32_t>(request), flags,
                            static_cast<uint32_t>(body.size())};
        std::vector<uint8_t> bytes(sizeof header);
        std::memcpy(bytes.data(), &header, sizeof header);
        bytes.insert(bytes.end(), body.begin(), body.end());
        send(bytes, fd_count, first_fd);
    }
    template <typename T>
    void send(Request request, const T& body, size_t fd_count = 0, size_t first_fd = 0) {
        send(request, {reinterpret_cast<const uint8_t*>(&body), sizeof body}, fd_count, first_fd);
    }

    void turn() { world_.loop->run_once(Duration::zero()); }

    /// Reads what the back-end sent and checks its framing.
    void drain() {
        std::array<uint8_t, 4096> some;
        for (;;) {
            const ssize_t n = ::recv(socket_.get(), some.data(), some.size(), MSG_DONTWAIT);
            if (n <= 0) break;
            received_.insert(received_.end(), some.begin(), some.begin() + n);
        }
        while (received_.size() >= sizeof(Header)) {
            Header header;
            std::memcpy(&header, received_.data(), sizeof header);
            FUZZ_REQUIRE(header.flags == (kVersion | kFlagReply));
            FUZZ_REQUIRE(header.size <= sizeof(ConfigHead) + kMaxConfigSize);
            if (received_.size() < sizeof header + header.size) break;
            ++replies_;
            received_.erase(received_.begin(),
                            received_.begin() + static_cast<long>(sizeof header + header.size));
        }
    }

    unsigned replies() const { return replies_; }
    bool closed() const { return session_->closed(); }

private:
    World& world_;
    UniqueFd socket_;
    std::unique_ptr<Session> session_;
    std::vector<uint8_t> received_;
    unsigned replies_ = 0;
};

void negotiate(Peer& peer, bool packed) {
    const uint64_t protocols = protocol(kProtocolReplyAck) | protocol(kProtocolConfig) |
                               protocol(kProtocolConfigureMemSlots);
    uint64_t features = virtio::feature(virtio::kVersion1) |
                        virtio::feature(virtio::kIndirectDesc) |
                        virtio::feature(virtio::kEventIndex) |
                        virtio::feature(kProtocolFeaturesBit);
    if (packed) features |= virtio::feature(virtio::kRingPacked);
    peer.send(Request::kSetProtocolFeatures, protocols);
    peer.send(Request::kSetFeatures, features);
    peer.send(Request::kAddMemReg, SingleRegion{0, {0, kMemorySize, kUserBase, 0}}, 1, 0);
}

// A ring as it should be, but for what the driver put into it.
void set_up(Peer& peer, uint32_t ring, bool packed, uint8_t where) {
    const uint64_t at = kUserBase + uint64_t{where} % 0x80 * 0x100;
    peer.send(Request::kSetVringNum, VringState{ring, 8});
    peer.send(Request::kSetVringBase, VringState{ring, packed ? 0x8000'8000U : 0U});
    peer.send(Request::kSetVringAddr, VringAddress{ring, 0, at, at + 0x800, at + 0x400, 0});
    peer.send(Request::kSetVringKick, uint64_t{ring}, 1, 1);
    peer.send(Request::kSetVringCall, uint64_t{ring}, 1, 2);
    peer.send(Request::kSetVringEnable, VringState{ring, 1});
}

void write_memory(World& world, Input& input) {
    const auto at = input.take<uint16_t>();
    const auto bytes = input.take_bytes(input.take<uint8_t>());
    const size_t size = std::min<size_t>(bytes.size(), kMemorySize - at);
    (void)!::pwrite(world.fds[0].get(), bytes.data(), size, at);
}

// One line of the script. The low four bits of the first byte say what, the high ones how.
void step(World& world, Peer& peer, Input& input) {
    const auto op = input.take<uint8_t>();
    const uint8_t how = op >> 4;
    switch (op & 0xf) {
        case 0:
            return peer.send(input.take_bytes(input.take<uint8_t>()));
        case 1:
            return peer.turn();
        case 2:
            return peer.drain();
        case 3:
            return write_memory(world, input);
        case 4:
            FUZZ_REQUIRE(::ftruncate(world.fds[0].get(), input.take<uint16_t>() & ~0xfffL) == 0);
            return;
        case 5:
            return world.restore_memory();
        case 6: {
            const uint64_t one = 1;
            (void)!::write(world.fds[1].get(), &one, sizeof one);
            return peer.turn();
        }
        case 7:
            return world.toy.release();
        case 8:
            return negotiate(peer, (how & 1) != 0);
        case 9:
            return set_up(peer, how & 3, (how & 4) != 0, input.take<uint8_t>());
        default: {  // a message: `how` is the number of descriptors
            const auto request = static_cast<Request>(input.take<uint8_t>() % 46);
            const auto bits = input.take<uint8_t>();
            const auto body = input.take_bytes(input.take<uint8_t>());
            peer.send(request, body, how, bits >> 4,
                      kVersion | ((bits & 1) != 0 ? kFlagNeedReply : 0));
            if ((bits & 2) != 0) peer.turn();
        }
    }
}

void run(World& world, Input input) {
    Peer peer(world);
    while (!input.empty() && !peer.closed()) step(world, peer, input);
    for (int i = 0; i < 8 && !peer.closed(); ++i) {
        peer.turn();
        peer.drain();
    }
}

// A new front-end finds a device as after reset.
void require_service(World& world) {
    Peer peer(world);
    peer.send(Request::kGetFeatures, {});
    peer.turn();
    peer.drain();
    FUZZ_REQUIRE(!peer.closed());
    FUZZ_REQUIRE(peer.replies() == 1);
    FUZZ_REQUIRE(world.toy.status() == 0);
    FUZZ_REQUIRE(world.toy.held == 0);
    for (uint16_t i = 0; i < test::kToyQueues; ++i) FUZZ_REQUIRE(!world.toy.queue_enabled(i));
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
