// SPDX-License-Identifier: Apache-2.0
#include "compute/testing/fake_mediator.h"

#include <sys/epoll.h>

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace mimic::compute {
namespace {

uint32_t word(size_t value) {
    return static_cast<uint32_t>(value);
}

}  // namespace

class FakeMediator::Peer final : private FdHandler {
public:
    Peer(UniqueFd fd, size_t number, FakeMediator& owner)
        : stream_(std::move(fd)), number_(number), owner_(owner) {
        MIMIC_CHECK(owner.loop_.watch(stream_.fd(), EPOLLIN, *this));
    }
    ~Peer() { owner_.loop_.unwatch(stream_.fd()); }

    size_t number() const { return number_; }
    Stream& stream() { return stream_; }

    void answer(const Request& request, const Reply& reply) {
        const auto& identity = request.identity;
        const auto id = static_cast<uint32_t>(request.id);
        switch (owner_.options_.protocol) {
            case Protocol::kPacket:
                wire::append(stream_.out(),
                             wire::PacketAnswer{identity.vm_id, id, word(reply.bytes.size())},
                             reply.bytes);
                break;
            case Protocol::kV1:
            case Protocol::kV2:
                legacy(identity, wire::Type::kResponse, id, reply.bytes);
                break;
            case Protocol::kV3:
                answer_frame(request, reply);
                break;
        }
        flush();
    }

    void legacy(const Identity& identity, wire::Type type, uint32_t id,
                std::span<const std::byte> bytes) {
        const auto number = static_cast<uint32_t>(type);
        if (owner_.options_.protocol == Protocol::kV1)
            wire::append(stream_.out(),
                         wire::HeaderV1{wire::kMagic, number, identity.vm_id, id, identity.pool_id,
                                        identity.priority, static_cast<uint16_t>(bytes.size())},
                         bytes);
        else
            wire::append(stream_.out(),
                         wire::HeaderV2{wire::kMagic, number, identity.vm_id, id, identity.pool_id,
                                        identity.priority, 0, word(bytes.size())},
                         bytes);
    }

    void flush() {
        stream_.flush();
        const uint32_t output = stream_.out_size() != 0 ? uint32_t{EPOLLOUT} : 0;
        MIMIC_CHECK(owner_.loop_.rewatch(stream_.fd(), EPOLLIN | output));
    }

private:
    void on_fd_ready(uint32_t events) override {
        if ((events & EPOLLOUT) != 0) flush();
        if ((events & ~uint32_t{EPOLLOUT}) == 0) return;
        const auto got = stream_.fill();
        while (take()) {
        }
        if (got == Stream::Got::kEnd || broken_) return owner_.ended(*this);
        flush();
    }

    bool take() {
        const auto bytes = std::span<const std::byte>(stream_.in().bytes());
        switch (owner_.options_.protocol) {
            case Protocol::kPacket:
                return take_packet(wire::parse_packet(bytes));
            case Protocol::kV1:
                return take_legacy(wire::parse_v1(bytes));
            case Protocol::kV2:
                return take_legacy(wire::parse_v2(bytes));
            case Protocol::kV3:
                break;
        }
        if (!greeted_) return take_hello(wire::parse_v2(bytes));
        return take_frame(wire::parse_frame(bytes, {VGPU_MAX_MESSAGE, word(shared_.size())}));
    }

    template <typename Header>
    bool taken(const wire::Message<Header>& message) {
        broken_ = broken_ || message.found == wire::Found::kBad;
        if (message.found != wire::Found::kMessage) return false;
        stream_.in().drop(message.size);
        return true;
    }

    bool take_packet(const wire::Message<wire::Packet>& message) {
        if (!taken(message)) return false;
        const auto& packet = message.header;
        asked(packet.request_id, {packet.vm_id, packet.pool_id, packet.priority}, message.payload,
              {});
        return true;
    }

    template <typename Header>
    bool take_legacy(const wire::Message<Header>& message) {
        if (!taken(message)) return false;
        const auto& header = message.header;
        const Identity identity{header.vm_id, header.pool_id, header.priority};
        if (header.type == static_cast<uint32_t>(wire::Type::kRequest))
            asked(header.request_id, identity, message.payload, {});
        else if (!owner_.options_.silent)
            legacy(identity, wire::Type::kPong, header.request_id, {});
        return true;
    }

    bool take_hello(const wire::Message<wire::HeaderV2>& message) {
        if (!taken(message)) return false;
        const auto asked = wire::hello_of(message);
        broken_ = broken_ || !asked;
        if (broken_) return false;
        owner_.hellos_.push_back(*asked);
        const auto& options = owner_.options_;
        if (options.silent) return true;
        identity_ = {message.header.vm_id, message.header.pool_id, message.header.priority};
        wire::Hello hello = *asked;
        hello.version = options.version;
        hello.status = options.status;
        hello.capabilities &= options.capabilities;
        hello.max_in_flight = options.max_in_flight;
        hello.max_payload = std::min(hello.max_payload, options.max_payload);
        hello.shared_bytes = std::min(hello.shared_bytes, options.shared_bytes);
        if (options.session != 0) hello.session = options.session;
        if (hello.session == 0) hello.session = 1000 + number_;
        if (hello.shared_bytes != 0) {
            shared_ = SharedMemory::create(hello.shared_bytes).value();
            if (options.gives_descriptor) stream_.attach(UniqueFd(::dup(shared_.fd())));
        }
        wire::append(stream_.out(), message.header, wire::bytes_of(hello));
        greeted_ = true;
        return true;
    }

    bool take_frame(const wire::Message<wire::Frame>& message) {
        if (!taken(message)) return false;
        const auto& frame = message.header;
        switch (static_cast<wire::FrameType>(frame.type)) {
            case wire::FrameType::kRequest:
                asked(frame.request_id, identity_, message.payload, frame);
                break;
            case wire::FrameType::kAcknowledge:
                owner_.acknowledged_.push_back(frame.request_id);
                break;
            case wire::FrameType::kCancel:
                owner_.cancelled_.push_back(frame.request_id);
                break;
            case wire::FrameType::kForget:
                ++owner_.forgotten_;
                break;
            default:
                break;
        }
        return true;
    }

    void asked(uint64_t id, const Identity& identity, std::span<const std::byte> bytes,
               const wire::Frame& frame) {
        Request request{number_, id, identity, {bytes.begin(), bytes.end()}, frame};
        if ((frame.flags & wire::kFlagShared) != 0) {
            const auto shared = shared_.at(frame.data_offset, frame.data_length);
            request.bytes.insert(request.bytes.end(), shared.begin(), shared.end());
        }
        owner_.asked(std::move(request));
    }

    void answer_frame(const Request& request, const Reply& reply) {
        wire::Frame frame{};
        frame.magic = wire::kMagic;
        frame.type = static_cast<uint16_t>(wire::FrameType::kResponse);
        frame.request_id = request.id;
        frame.status = reply.status;
        if ((request.frame.flags & wire::kFlagRoom) == 0 ||
            reply.bytes.size() <= wire::kInlineAnswer) {
            frame.length = word(reply.bytes.size());
            return wire::append(stream_.out(), frame, reply.bytes);
        }
        frame.flags = wire::kFlagShared;
        frame.data_offset = request.frame.room_offset;
        frame.data_length = word(reply.bytes.size());
        std::copy(reply.bytes.begin(), reply.bytes.end(),
                  shared_.at(frame.data_offset, frame.data_length).begin());
        wire::append(stream_.out(), frame);
    }

    Stream stream_;
    const size_t number_;
    FakeMediator& owner_;
    Identity identity_;
    SharedMemory shared_;
    bool greeted_ = false;
    bool broken_ = false;
};

Result<std::unique_ptr<FakeMediator>> FakeMediator::listen(const std::string& path, Options options,
                                                           EventLoop& loop) {
    std::unique_ptr<FakeMediator> fake(new FakeMediator(std::move(options), loop));
    MIMIC_ASSIGN_OR_RETURN(fake->acceptor_, SocketAcceptor::create(loop, path, *fake));
    return fake;
}

FakeMediator::FakeMediator(Options options, EventLoop& loop)
    : options_(std::move(options)), loop_(loop) {}

FakeMediator::~FakeMediator() = default;

void FakeMediator::on_client(UniqueFd socket) {
    peers_.push_back(std::make_unique<Peer>(std::move(socket), ++connections_, *this));
}

void FakeMediator::on_accept_failed(const Error&) {}

void FakeMediator::asked(Request request) {
    requests_.push_back(std::move(request));
    if (!options_.script) return;
    const Request copy = requests_.back();
    if (const auto reply = options_.script(copy)) answer(copy, *reply);
}

void FakeMediator::ended(const Peer& peer) {
    std::erase_if(peers_, [&](const auto& one) { return one.get() == &peer; });
}

FakeMediator::Peer* FakeMediator::peer_of(const Request& request) {
    for (const auto& peer : peers_)
        if (peer->number() == request.connection) return peer.get();
    return nullptr;
}

void FakeMediator::answer(const Request& request, const Reply& reply) {
    if (Peer* const peer = peer_of(request)) peer->answer(request, reply);
}

void FakeMediator::refuse(const Request& request, wire::Type type) {
    Peer* const peer = peer_of(request);
    if (peer == nullptr) return;
    peer->legacy(request.identity, type, static_cast<uint32_t>(request.id), {});
    peer->flush();
    ended(*peer);
}

void FakeMediator::send_raw(std::span<const std::byte> bytes) {
    for (const auto& peer : peers_) {
        std::copy(bytes.begin(), bytes.end(), peer->stream().out().grow(bytes.size()));
        peer->flush();
    }
}

void FakeMediator::hang_up() {
    peers_.clear();
}

}  // namespace mimic::compute
