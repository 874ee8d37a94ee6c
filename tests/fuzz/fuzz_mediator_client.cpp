// SPDX-License-Identifier: Apache-2.0
// The queue of a device against a hostile mediator, in all four protocols. The first byte says
// which; the rest is a script of requests, answers, raw bytes, lost connections and turns of the
// loop. However the mediator answers: each request ends once, with an error that there is and no
// more bytes than it has room for; with the mediator gone, all have ended.
#include <stdlib.h>
#include <sys/socket.h>

#include <array>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/event_loop.h"
#include "base/log.h"
#include "base/private_files.h"
#include "base/unix_socket.h"
#include "compute/codec.h"
#include "compute/queue.h"
#include "compute/shared_memory.h"
#include "tests/fuzz/fuzz.h"

namespace mimic::fuzz {
namespace {

using namespace compute;
using wire::Frame;

constexpr int kMaxSteps = 200;

struct World {
    World() {
        log::set_level(log::Level::kOff);
        std::string pattern = "/tmp/mimic-fuzz-mediator-XXXXXX";
        FUZZ_REQUIRE(::mkdtemp(pattern.data()) != nullptr);
        folder = pattern;
    }
    ~World() { (void)remove_tree(folder); }
    void turns(int count) {
        for (int i = 0; i < count; ++i) loop->run_once(Duration::zero());
    }
    std::string path() const { return folder + "/m.sock"; }
    std::string folder;
    std::unique_ptr<EventLoop> loop = EventLoop::create().value();
};

World& world() {
    static World one;
    return one;
}

class HostileMediator {
public:
    explicit HostileMediator(Protocol protocol)
        : protocol_(protocol), listener_(UnixListener::listen(world().path()).value()) {}

    void step(Input& input, uint8_t step) {
        if (!fd_) {
            fd_ = std::move(listener_.accept().value());
            seen_.clear();
        }
        if (!fd_) return;
        switch (step % 8) {
            case 0:
            case 1:
                return answer(input);
            case 2: {
                const auto raw = input.take_bytes(input.take<uint8_t>());
                return send(raw.data(), raw.size());
            }
            case 3:
            case 4:
                return receive();
            case 5:
                return hello(input);
            case 6:
                fd_.reset();
                return;
            default:  // a right Hello
                return say_hello({wire::kVersion3, 7, VGPU_OK, 4, 1, 8192, kShared, {}}, true);
        }
    }

private:
    static constexpr uint32_t kShared = 65536;

    void send(const void* data, size_t size) {
        (void)::send(fd_.get(), data, size, MSG_NOSIGNAL | MSG_DONTWAIT);
    }

    // With a descriptor that is the shared memory, or something else.
    void say_hello(const wire::Hello& hello, bool right_descriptor) {
        const wire::HeaderV2 header{
            wire::kMagic, static_cast<uint32_t>(wire::Type::kHello), 1, 0, 'A', 1, 0, sizeof hello};
        Stream stream{UniqueFd(::dup(fd_.get()))};
        auto memory = SharedMemory::create(kShared).value();
        stream.attach(UniqueFd(::dup(right_descriptor ? memory.fd() : listener_.fd())));
        wire::append(stream.out(), header, wire::bytes_of(hello));
        stream.flush();
    }
    void hello(Input& input) {
        auto hello = input.take<wire::Hello>();
        hello.version = hello.version % 2 + 2;
        hello.status %= 20;
        hello.shared_bytes %= 2 * kShared;
        say_hello(hello, input.take<uint8_t>() % 2 == 0);
    }

    // What was asked, as far as whole headers have come.
    void receive() {
        std::array<std::byte, 65536> block;
        const ssize_t got = ::recv(fd_.get(), block.data(), block.size(), MSG_DONTWAIT);
        if (got <= 0) return;
        auto bytes = std::span<const std::byte>(block).first(static_cast<size_t>(got));
        if (protocol_ != Protocol::kV3) {
            // The id is behind vm_id, in the packet, and behind type and vm_id else.
            const size_t at = protocol_ == Protocol::kPacket ? 4 : 12;
            Frame frame{};
            uint32_t id = 0;
            if (bytes.size() < at + sizeof id) return;
            std::memcpy(&id, bytes.data() + at, sizeof id);
            frame.request_id = id;
            seen_.push_back(frame);
            return;
        }
        while (bytes.size() >= sizeof(Frame)) {
            const auto message = wire::parse_frame(bytes, {VGPU_MAX_MESSAGE, kShared});
            if (message.found != wire::Found::kMessage) return;
            if (message.header.type == static_cast<uint16_t>(wire::FrameType::kRequest))
                seen_.push_back(message.header);
            bytes = bytes.subspan(message.size);
        }
    }

    // To what was asked, or to anything; mostly right.
    void answer(Input& input) {
        const uint8_t choice = input.take<uint8_t>();
        const uint8_t twist = input.take<uint8_t>();
        Frame asked{};
        asked.request_id = choice;
        if (!seen_.empty() && choice < 0xf0) asked = seen_[choice % seen_.size()];
        const auto id = static_cast<uint32_t>(asked.request_id);
        const std::vector<std::byte> body(input.take<uint8_t>() * 20u, std::byte{1});
        const auto length = static_cast<uint32_t>(body.size());
        ByteQueue out;
        if (protocol_ == Protocol::kPacket) {
            wire::append(out, wire::PacketAnswer{1, id, length}, body);
        } else if (protocol_ != Protocol::kV3) {
            const uint32_t type = twist < 0x80 ? 2 : twist % 8;
            const uint32_t sent = type == 2 ? length : 0;
            const std::span<const std::byte> payload(body.data(), sent);
            if (protocol_ == Protocol::kV1)
                wire::append(
                    out,
                    wire::HeaderV1{wire::kMagic, type, 1, id, 'A', 1, static_cast<uint16_t>(sent)},
                    payload);
            else
                wire::append(out, wire::HeaderV2{wire::kMagic, type, 1, id, 'A', 1, 0, sent},
                             payload);
        } else {
            answer_frame(asked, twist, body, out);
        }
        send(out.data(), out.size());
    }
    static void answer_frame(const Frame& asked, uint8_t twist, std::span<const std::byte> body,
                             ByteQueue& out) {
        Frame frame{};
        frame.magic = wire::kMagic;
        frame.type = static_cast<uint16_t>(wire::FrameType::kResponse);
        frame.request_id = asked.request_id;
        if (twist % 4 == 1) frame.status = twist / 4;
        if (twist % 4 == 2) {
            frame.flags = wire::kFlagShared;
            frame.data_offset = asked.room_offset + (twist >= 0xe0 ? twist : 0);
            frame.data_length = asked.room_length + (twist >= 0xc0 ? 1 : 0);
        }
        if (twist % 4 == 3 && twist >= 0x80) frame.type = static_cast<uint16_t>(twist % 8);
        if (frame.status == 0 && frame.flags == 0)
            frame.length = static_cast<uint32_t>(body.size());
        wire::append(out, frame, frame.length != 0 ? body : std::span<const std::byte>{});
    }

    const Protocol protocol_;
    UnixListener listener_;
    UniqueFd fd_;
    std::vector<Frame> seen_;
};

SocketOptions options_of(uint8_t choice) {
    SocketOptions options;
    options.path = world().path();
    options.identity.vm_id = 1;
    options.protocol = static_cast<Protocol>(choice % 4);
    options.retry_least = options.retry_most = std::chrono::microseconds(1);
    options.resume_patience = std::chrono::microseconds(1);
    if ((choice & 0x10) != 0) options.answer_timeout = std::chrono::microseconds(1);
    options.shared_bytes = (choice & 0x20) != 0 ? 65536 : 0;
    return options;
}

void fuzz(Input& input) {
    const SocketOptions options = options_of(input.take<uint8_t>());
    auto peer = std::make_unique<HostileMediator>(options.protocol);
    const auto queue = make_socket_queue(options, *world().loop).value();
    std::map<uint64_t, int> ended;
    uint64_t ids = 0;
    uint64_t forgotten = 0;  // ids up to it were forgotten by a reset, where not answered
    const auto submit = [&](uint8_t size, size_t room) {
        const uint64_t id = ++ids;
        ended[id] = 0;
        queue->submit(static_cast<uint32_t>(id), std::vector<std::byte>(size * 40u), room,
                      [&ended, id, room](const Completion& done) {
                          FUZZ_REQUIRE(done.error <= VGPU_ERROR_CANCELLED);
                          FUZZ_REQUIRE(done.response.size() <= room);
                          FUZZ_REQUIRE(done.error == VGPU_OK || done.response.empty());
                          unsigned sum = 0;
                          for (const std::byte byte : done.response) sum += unsigned(byte);
                          FUZZ_REQUIRE(sum <= 255 * done.response.size());
                          ++ended[id];
                      });
    };
    for (int i = 0; i < kMaxSteps && !input.empty(); ++i) {
        const uint8_t step = input.take<uint8_t>();
        if (step % 4 == 0) {
            const uint8_t size = input.take<uint8_t>();
            submit(size, step * 64u);
        } else if (step == 1) {
            queue->reset();
            FUZZ_REQUIRE(queue->in_flight() == 0);
            forgotten = ids;
        } else if (step % 4 == 3) {
            world().turns(1);
        } else {
            peer->step(input, step / 4);
        }
    }
    peer.reset();  // and does not come back
    for (int i = 0; i < 10'000 && queue->in_flight() != 0; ++i) world().turns(1);
    FUZZ_REQUIRE(queue->in_flight() == 0);
    for (const auto& [id, count] : ended)
        FUZZ_REQUIRE(count == 1 || (count == 0 && id <= forgotten));
    const auto counters = queue->counters();
    FUZZ_REQUIRE(counters.answered <= counters.submitted);
}

}  // namespace
}  // namespace mimic::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    mimic::fuzz::Input input(data, size);
    mimic::fuzz::fuzz(input);
    return 0;
}
