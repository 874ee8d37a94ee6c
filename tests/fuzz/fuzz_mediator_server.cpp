// SPDX-License-Identifier: Apache-2.0
// The mediator's two sockets against hostile peers: the original's packet on a VM's socket, and v1,
// v2 and v3 on the framed one. The input is a script of connections, messages (right ones with
// fields changed), raw bytes, half-closed and closed connections and turns of the loop.
//
// Whatever they did: what a peer reads is whole answers, on v3 to what it asked and to each once;
// nothing is left in the engine of who has gone; and the next VM is served.
#include <stdlib.h>
#include <sys/socket.h>

#include <array>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/log.h"
#include "base/private_files.h"
#include "base/unix_socket.h"
#include "compute/codec.h"
#include "mediator/engine/testing/engine_rig.h"
#include "mediator/server/server.h"
#include "tests/fuzz/fuzz.h"

namespace mimic::fuzz {
namespace {

using namespace mediator;
namespace wire = compute::wire;

constexpr int kMaxSteps = 200;
constexpr size_t kMaxPeers = 4;
constexpr VmId kVm = 5;
constexpr VmId kGood = 6;
constexpr uint32_t kShared = 8192;

const std::string& folder() {
    struct Made {
        Made() {
            log::set_level(log::Level::kOff);
            FUZZ_REQUIRE(::mkdtemp(path.data()) != nullptr);
        }
        ~Made() { (void)remove_tree(path); }
        std::string path = "/tmp/mimic-fuzz-mediator-XXXXXX";
    };
    static Made made;
    return made.path;
}

Config fuzz_config() {
    Config config = rig_config(2);
    config.socket = folder() + "/mediator.sock";
    config.vm_sockets = folder() + "/vm-<vm_id>.sock";
    config.others->limits.queue_depth = 8;
    config.session_patience = std::chrono::nanoseconds(0);
    for (const VmId id : {kVm, kGood}) {
        VmConfig vm = *config.others;
        vm.id = id;
        config.vms.push_back(vm);
    }
    return config;
}

// A mediator of this input's own, so that it plays the same way again.
struct Mediator {
    Mediator() {
        backends.default_length = {};
        engine = std::move(*make_engine(
            fuzz_config(),
            [this](const BackendConfig& wanted) -> Result<std::unique_ptr<backend::Backend>> {
                return std::make_unique<FakeBackend>(wanted, backends, *loop);
            },
            *loop, {}));
        server = Server::listen(server_options(fuzz_config()), *engine, *loop).value();
    }
    void turns(int count) {
        for (int i = 0; i < count; ++i) loop->run_once(Duration::zero());
    }
    std::unique_ptr<EventLoop> loop = EventLoop::create().value();
    FakeBackends backends;
    std::unique_ptr<Engine> engine;
    std::unique_ptr<Server> server;
};

class HostilePeer {
public:
    HostilePeer(UniqueFd fd, bool is_packet) : fd_(std::move(fd)), is_packet_(is_packet) {}

    void send(std::span<const std::byte> bytes) {
        (void)::send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    }
    template <typename T>
    void send_value(const T& value) {
        send(wire::bytes_of(value));
    }
    bool has_said_something() const { return !sent_nothing_; }
    void half_close() { ::shutdown(fd_.get(), SHUT_WR); }

    void say_hello(const wire::HeaderV2& header, const wire::Hello& hello) {
        is_framed_ = !is_packet_ && sent_nothing_;
        send_value(header);
        send_value(hello);
        sent_nothing_ = false;
    }
    void ask(const wire::Frame& frame, std::span<const std::byte> bytes) {
        ++asked_[frame.request_id];
        send_value(frame);
        send(bytes);
        sent_nothing_ = false;
    }
    void say(std::span<const std::byte> bytes) {
        send(bytes);
        sent_nothing_ = false;
    }

    // Takes what has come; whole answers only.
    void receive() {
        std::array<std::byte, 16384> block;
        for (;;) {
            const ssize_t got = ::recv(fd_.get(), block.data(), block.size(), MSG_DONTWAIT);
            if (got <= 0) break;
            bytes_.insert(bytes_.end(), block.begin(), block.begin() + got);
        }
        while (take()) {
        }
    }

private:
    bool take() {
        if (is_packet_) return took(wire::parse_packet_answer(bytes_));
        if (!is_framed_) return false;  // v1, v2, or noise: one answer and the end
        if (!greeted_) {
            const auto message = wire::parse_v2(bytes_);
            if (message.found == wire::Found::kMessage) greeted_ = true;
            return took(message);
        }
        const auto message = wire::parse_frame(bytes_, {VGPU_MAX_MESSAGE, kShared});
        if (message.found == wire::Found::kMessage &&
            message.header.type == static_cast<uint16_t>(wire::FrameType::kResponse)) {
            const auto asked = asked_.find(message.header.request_id);
            if (asked == asked_.end()) {
                // Noise may have been a whole request: then its id is not known here.
                FUZZ_REQUIRE(noise_);
            } else if (--asked->second == 0) {
                asked_.erase(asked);
            }
        }
        return took(message);
    }

    template <typename Header>
    bool took(const wire::Message<Header>& message) {
        FUZZ_REQUIRE(message.found != wire::Found::kBad);
        if (message.found == wire::Found::kMore) return false;
        bytes_.erase(bytes_.begin(), bytes_.begin() + static_cast<std::ptrdiff_t>(message.size));
        return true;
    }

    UniqueFd fd_;
    const bool is_packet_;
    bool is_framed_ = false;
    bool greeted_ = false;
    bool sent_nothing_ = true;
    std::vector<std::byte> bytes_;
    std::map<uint64_t, int> asked_;

public:
    bool noise_ = false;
};

// A value that is right, or what the input says of it.
template <typename T>
void change(Input& input, T& message) {
    const uint8_t where = input.take<uint8_t>();
    if (where >= sizeof message) return;  // left as it is
    const auto bytes = input.take_bytes(1 + where % 4);
    std::memcpy(reinterpret_cast<uint8_t*>(&message) + where, bytes.data(),
                std::min(bytes.size(), sizeof message - where));
}

std::vector<std::byte> scripted_request(Input& input) {
    static constexpr std::array<uint32_t, 8> kOpcodes{
        VGPU_OP_NOP,    VGPU_OP_NOP,         VGPU_OP_LAUNCH, VGPU_OP_MEM_ALLOC,
        VGPU_OP_LAUNCH, VGPU_OP_SYNCHRONIZE, VGPU_OP_BATCH,  VGPU_OP_GET_DEVICE_INFO};
    const uint8_t how = input.take<uint8_t>();
    auto request = compute::make_request(kOpcodes[how % kOpcodes.size()]);
    if ((how & 0x80) != 0) {
        const auto bytes = input.take_bytes(how % 40);
        request.assign(std::max<size_t>(1, bytes.size()), std::byte{0});
        if (!bytes.empty()) std::memcpy(request.data(), bytes.data(), bytes.size());
    }
    return request;
}

void say_packet(Input& input, HostilePeer& peer) {
    const auto request = scripted_request(input);
    wire::Packet packet{kVm, 1, static_cast<uint32_t>(request.size()), 'A', 1, {}};
    change(input, packet);
    peer.noise_ = true;  // between frames it may look like one
    peer.say(wire::bytes_of(packet));
    peer.say(request);
}

template <typename Header>
void say_legacy(Input& input, HostilePeer& peer, bool is_ping) {
    const auto request = scripted_request(input);
    Header header{};
    header.magic = wire::kMagic;
    header.type = static_cast<uint32_t>(is_ping ? wire::Type::kPing : wire::Type::kRequest);
    header.vm_id = kVm;
    header.pool_id = 'A';
    if (!is_ping)
        header.payload_length = static_cast<decltype(header.payload_length)>(request.size());
    change(input, header);
    peer.noise_ = true;
    peer.say(wire::bytes_of(header));
    if (!is_ping) peer.say(request);
}

void say_hello(Input& input, HostilePeer& peer) {
    wire::HeaderV2 header{
        wire::kMagic,       static_cast<uint32_t>(wire::Type::kHello), kVm, 0, 'A', 1, 0,
        sizeof(wire::Hello)};
    wire::Hello hello{};
    hello.version = wire::kVersion3;
    hello.capabilities = wire::kCapBatch | wire::kCapSharedMemory | wire::kCapResume;
    hello.session = input.take<uint8_t>() % 3;
    hello.max_payload = VGPU_MAX_MESSAGE;
    hello.shared_bytes = kShared;
    change(input, hello);
    if (peer.has_said_something()) peer.noise_ = true;
    peer.say_hello(header, hello);
}

void say_frame(Input& input, HostilePeer& peer) {
    const auto request = scripted_request(input);
    wire::Frame frame{};
    frame.magic = wire::kMagic;
    frame.type = 1;
    const uint8_t how = input.take<uint8_t>();
    frame.request_id = how % 8;
    frame.length = static_cast<uint32_t>(request.size());
    frame.room_length = 1024;
    if ((how & 0x10) != 0) frame.flags |= wire::kFlagAgain;
    if ((how & 0x20) != 0) {
        frame.flags |= wire::kFlagRoom;
        frame.room_offset = input.take<uint16_t>();
    }
    if ((how & 0x40) != 0) {
        frame.flags |= wire::kFlagShared;
        frame.data_offset = input.take<uint16_t>();
        frame.data_length = input.take<uint16_t>();
    }
    if ((how & 0x80) != 0) {
        frame = {};
        frame.magic = wire::kMagic;
        frame.type = static_cast<uint16_t>(3 + how % 4);
        frame.request_id = how % 8;
        change(input, frame);
        if (frame.length != 0 || frame.type == 1) peer.noise_ = true;
        peer.say(wire::bytes_of(frame));
        return;
    }
    change(input, frame);
    if (frame.length != request.size()) peer.noise_ = true;  // what follows is not where it was
    peer.ask(frame, request);
}

struct Script {
    Mediator mediator;
    std::vector<std::unique_ptr<HostilePeer>> peers;

    void connect(bool is_packet) {
        if (peers.size() >= kMaxPeers) peers.erase(peers.begin());
        auto fd = unix_connect_now(
            folder() + (is_packet ? "/vm-" + std::to_string(kVm) + ".sock" : "/mediator.sock"));
        if (!fd) return;  // too many wait
        peers.push_back(std::make_unique<HostilePeer>(std::move(*fd), is_packet));
    }

    void step(Input& input) {
        const uint8_t op = input.take<uint8_t>();
        if (op % 16 < 2) return connect(op % 16 == 0);
        if (op % 16 < 5) return mediator.turns(op % 16);
        if (peers.empty()) return;
        HostilePeer& peer = *peers[(op >> 4) % peers.size()];
        switch (op % 16) {
            case 5:
                return peer.receive();
            case 6: {
                peer.noise_ = true;
                const auto bytes = input.take_bytes(input.take<uint8_t>());
                return peer.say(std::as_bytes(bytes));
            }
            case 7:
                return say_packet(input, peer);
            case 8:
                return say_legacy<wire::HeaderV1>(input, peer, (op & 0x80) != 0);
            case 9:
                return say_legacy<wire::HeaderV2>(input, peer, (op & 0x80) != 0);
            case 10:
                return say_hello(input, peer);
            case 11:
                return peer.half_close();
            case 12:
                peers.erase(peers.begin() + (op >> 4) % static_cast<int>(peers.size()));
                return;
            default:
                return say_frame(input, peer);
        }
    }

    void expect_served() {
        auto fd = unix_connect_now(folder() + "/vm-" + std::to_string(kGood) + ".sock");
        FUZZ_REQUIRE(fd.has_value());
        const auto job = compute::make_request(VGPU_OP_LAUNCH);
        const wire::Packet packet{kGood, 3, static_cast<uint32_t>(job.size()), 'A', 1, {}};
        std::vector<std::byte> bytes(sizeof packet);
        std::memcpy(bytes.data(), &packet, sizeof packet);
        bytes.insert(bytes.end(), job.begin(), job.end());
        FUZZ_REQUIRE(::send(fd->get(), bytes.data(), bytes.size(), MSG_NOSIGNAL) ==
                     static_cast<ssize_t>(bytes.size()));
        std::array<std::byte, 4096> answer;
        ssize_t got = -1;
        for (int i = 0; i < 1000 && got <= 0; ++i) {
            mediator.turns(1);
            got = ::recv(fd->get(), answer.data(), answer.size(), MSG_DONTWAIT);
        }
        FUZZ_REQUIRE(got >= static_cast<ssize_t>(sizeof(wire::PacketAnswer)));
        wire::PacketAnswer head;
        std::memcpy(&head, answer.data(), sizeof head);
        FUZZ_REQUIRE(head.vm_id == kGood && head.request_id == 3);
    }
};

}  // namespace
}  // namespace mimic::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    using namespace mimic::fuzz;
    Input input(data, size);
    Script script;
    for (int i = 0; i < kMaxSteps && !input.empty(); ++i) script.step(input);
    script.mediator.turns(4);
    for (const auto& peer : script.peers) peer->receive();
    script.expect_served();
    script.peers.clear();
    script.mediator.turns(10);
    FUZZ_REQUIRE(script.mediator.server->counters().open == 0);
    return 0;
}
