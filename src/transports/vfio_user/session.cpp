// SPDX-License-Identifier: Apache-2.0
// The connection's life: negotiation, dispatch, replies, errors, end. The commands are in
// session_commands.cpp.
#include "vfio_user/session.h"

#include <poll.h>
#include <sys/epoll.h>

#include <cstring>

#include "base/check.h"

namespace mimic::vfio_user {
namespace {

// Edge-triggered, which spares the kernel a second look at the socket after each request (about
// 0.3 us). on_fd_ready() arms it again whenever the socket may hold more.
constexpr uint32_t kReadEvents = EPOLLIN | EPOLLRDHUP | EPOLLET;

std::array<uint32_t, kIrqCount> irq_counts(const pci::Function& function) {
    std::array<uint32_t, kIrqCount> counts{};
    counts[kIrqIntx] = function.options().interrupt_pin != 0 ? 1 : 0;
    counts[kIrqMsi] = function.msi_vectors();
    counts[kIrqMsix] = function.msix_vectors();
    counts[kIrqErr] = 1;  // QEMU warns about a function without it
    counts[kIrqReq] = 1;
    return counts;
}

}  // namespace

// NOLINTNEXTLINE(readability-function-size): each is another object that outlives the session
Session::Session(EventLoop& loop, pci::Function& function, UniqueFd socket, ReceiveBuffer& buffer,
                 Counters& counters, Owner& owner, Options options)
    : loop_(loop),
      function_(function),
      counters_(counters),
      owner_(owner),
      options_(options),
      channel_(std::move(socket), buffer),
      memory_(*this),
      interrupts_(loop, irq_counts(function)) {
    ++counters_.connections;
}

Session::~Session() {
    if (!closed_) close("the server stops", /*fault=*/false);
}

Status Session::start() {
    MIMIC_TRY(loop_.watch(channel_.fd(), kReadEvents, *this));
    function_.attach(*this);
    handshake_.start(loop_, options_.handshake_timeout, [this] {
        close("no VERSION in time", /*fault=*/true);
        owner_.on_session_closed();
    });
    return {};
}

void Session::on_fd_ready(uint32_t events) {
    thread_.check();
    if (closed_) return;
    if (writing_) {
        // Who is gone reads no replies; what it had sent before is still carried out.
        if (!channel_.flush() || (channel_.has_backlog() && (events & (EPOLLHUP | EPOLLERR)) != 0))
            return after_io(Channel::State::kClosed);
        if (channel_.wants_write()) return;
        if (rest_) go_on();
        if (channel_.wants_write()) return after_io(Channel::State::kOpen);
        return after_io(channel_.resume(*this));
    }
    const auto state = channel_.receive(*this);
    after_io(state);
    // The next edge comes with new data; what is left of the old is announced by arming again.
    const bool more = !channel_.drained() || (events & (EPOLLHUP | EPOLLRDHUP | EPOLLERR)) != 0;
    if (state == Channel::State::kOpen && more && !closed_ && !writing_) watch_for(kReadEvents);
}

void Session::watch_for(uint32_t events) {
    if (auto ok = loop_.rewatch(channel_.fd(), events); !ok) {
        close(ok.error().message(), /*fault=*/false);
        owner_.on_session_closed();
    }
}

void Session::close_if_hung_up() {
    // Finite: nothing arrives behind the hang-up, and each round takes some of what lies before it.
    // A peer that only stopped sending and leaves its replies unread still counts as there. One
    // that is gone for good, and left more than a turn can carry out, loses the rest to its
    // successor.
    pollfd probe{channel_.fd(), POLLRDHUP, 0};
    while (!closed_ && ::poll(&probe, 1, 0) == 1) {
        on_fd_ready(0);
        if (closed_ || !writing_) continue;
        if ((probe.revents & POLLHUP) != 0) after_io(Channel::State::kClosed);
        return;
    }
}

// Carries out `piece` again and again until it is true, for a share of the turn at a time. No other
// message of the client is handled before that, so that it sees no difference.
void Session::in_pieces(std::function<bool()> piece) {
    rest_ = std::move(piece);
    go_on();
}

void Session::go_on() {
    (void)loop_.share_is_over();  // begins the share before the first piece, which may be long
    while (!closed_ && !rest_())
        if (loop_.share_is_over()) return channel_.yield();
    rest_ = nullptr;
}

void Session::after_io(Channel::State state) {
    if (state == Channel::State::kClosed) {
        if (!closed_) close(channel_.close_reason(), !channel_.close_reason().empty());
        owner_.on_session_closed();
        return;
    }
    if (channel_.wants_write() != writing_) {
        writing_ = channel_.wants_write();
        watch_for(writing_ ? uint32_t{EPOLLOUT} : kReadEvents);
    }
    if (writing_ && !closed_ && !channel_.has_backlog()) go_on_without_room();
    watch_half_message();
}

// Messages that only wait for the next turn need no room in the socket, but the event that brings
// the turn does. Where a peer has left too many replies unread for it, a task does the same.
void Session::go_on_without_room() {
    pollfd probe{channel_.fd(), POLLOUT, 0};
    if (::poll(&probe, 1, 0) != 0 || no_room_.is_pending()) return;
    no_room_.post(loop_, [this] {
        if (writing_ && !channel_.has_backlog()) on_fd_ready(0);
    });
}

// A message in pieces is rare, and one that stays half a message is a peer that hangs or attacks:
// one timer at a time, and none per message.
void Session::watch_half_message() {
    if (closed_ || !channel_.mid_message()) return;
    if (half_message_ != counters_.messages) {
        half_message_ = counters_.messages;
        half_since_ = loop_.now();
    }
    if (!await_rest_.is_pending()) await_rest(options_.message_timeout);
}

void Session::await_rest(Duration limit) {
    await_rest_.start(loop_, limit, [this] {
        if (!writing_) on_fd_ready(0);  // the rest may have come while the loop was busy
        // Before VERSION there is a timer that is shorter.
        if (closed_ || !negotiated_ || !channel_.mid_message()) return await_rest_.cancel();
        const Duration left = options_.message_timeout - (loop_.now() - half_since_);
        if (left > Duration::zero()) return await_rest(left);  // it is a later message
        close("half a message, and no rest in time", /*fault=*/true);
        owner_.on_session_closed();
    });
}

// Quiesce, unmap, drop interrupts, reset: the function is as new for the next client.
void Session::close(std::string_view why, bool fault) {
    thread_.check();
    closed_ = true;
    handshake_.cancel();
    await_rest_.cancel();
    no_room_.cancel();
    if (fault) {
        ++counters_.protocol_faults;
        warn(fmt::format("closed the connection: {}", why), Complaint::kClosed);
    } else if (uint64_t suppressed = 0;
               log::level() <= log::Level::kInfo &&
               owner_.log_limit(Complaint::kGone).allow(loop_.now(), suppressed)) {
        MIMIC_LOG("vfio-user", kInfo, "{}: client gone{}{}{}", function_.name(),
                  why.empty() ? "" : ": ", why, log::more_like_it(suppressed));
    }
    loop_.unwatch(channel_.fd());
    memory_.shut_down();
    function_.detach();
    memory::free_in_turns(loop_, memory_.abandon_all());
    counters_.interrupts += interrupts_.signalled();
    interrupts_.reset();
}

void Session::warn(std::string_view what, Complaint about) {
    uint64_t suppressed = 0;
    if (owner_.log_limit(about).allow(loop_.now(), suppressed))
        MIMIC_LOG("vfio-user", kWarn, "{}: {}{}", function_.name(), what,
                  log::more_like_it(suppressed));
}

bool Session::on_message(Message& message) {
    ++counters_.messages;
    const uint32_t type = message.header.flags & kFlagTypeMask;
    if (type == kFlagTypeReply) return on_reply(message);
    const auto command = static_cast<Command>(message.header.command);
    if (!negotiated_) {
        if (command == Command::kVersion && type == kFlagTypeCommand) return on_version(message);
        reply_error(message.header, {EINVAL}, "command before VERSION");
        close("command before VERSION", /*fault=*/true);
        return false;
    }
    if (type != kFlagTypeCommand) {
        reply_error(message.header, {EINVAL}, fmt::format("message type {}", type));
        return true;
    }
    switch (command) {
        case Command::kRegionRead:
            on_region_read(message);
            break;
        case Command::kRegionWrite:
            on_region_write(message);
            break;
        case Command::kRegionWriteMulti:
            on_write_multi(message);
            break;
        case Command::kDmaMap:
            on_dma_map(message);
            break;
        case Command::kDmaUnmap:
            on_dma_unmap(message);
            break;
        case Command::kDeviceGetInfo:
            on_get_info(message);
            break;
        case Command::kDeviceGetRegionInfo:
            on_get_region_info(message);
            break;
        case Command::kDeviceGetRegionIoFds:
            on_get_region_io_fds(message);
            break;
        case Command::kDeviceGetIrqInfo:
            on_get_irq_info(message);
            break;
        case Command::kDeviceSetIrqs:
            on_set_irqs(message);
            break;
        case Command::kDeviceReset:
            on_reset(message);
            break;
        case Command::kDeviceFeature:
            on_device_feature(message);
            break;
        case Command::kVersion:
            reply_error(message.header, {EINVAL}, "second VERSION");
            break;
        case Command::kDirtyPages:
        case Command::kMigDataRead:
        case Command::kMigDataWrite:
            reply_error(message.header, {EINVAL}, "migration is not supported");
            break;
        case Command::kDmaRead:
        case Command::kDmaWrite:
        default:
            reply_error(message.header, {EINVAL}, "unknown command");
            break;
    }
    return !closed_;
}

// libvfio-user answers the same and reads on, in what is then the middle of something.
void Session::on_bad_size(const Header& header, uint32_t most) {
    if ((header.flags & kFlagTypeMask) == kFlagTypeReply) return;
    reply_error(header, {EINVAL},
                fmt::format("message size {}, expected {}..{}", header.size, sizeof header, most));
}

bool Session::on_version(Message& message) {
    auto client = parse_version(message.payload);
    if (!client) {
        reply_error(message.header, {EINVAL}, client.error().message());
        close(client.error().message(), /*fault=*/true);
        return false;
    }
    client_ = *client;
    negotiated_ = true;
    handshake_.cancel();
    channel_.set_max_message_size(kMaxMessageSize);
    const auto answer = version_reply(client_);
    reply(message.header, {reinterpret_cast<const uint8_t*>(answer.data()), answer.size()});
    return true;
}

bool Session::on_reply(const Message& message) {
    const auto& header = message.header;
    const bool read = header.command == static_cast<uint16_t>(Command::kDmaRead);
    const bool dma = read || header.command == static_cast<uint16_t>(Command::kDmaWrite);
    const int error = (header.flags & kFlagError) != 0
                          ? (header.error != 0 ? static_cast<int>(header.error) : EIO)
                          : 0;
    // Data follows address and count; a reply to DMA_WRITE may be a bare header (QEMU 10.1).
    const auto data = message.payload.size() > sizeof(DmaAccessBody)
                          ? message.payload.subspan(sizeof(DmaAccessBody))
                          : std::span<const uint8_t>{};
    if (dma && memory_.on_reply(header.id, read, error, data)) return !closed_;
    // libvfio-user answers EINVAL, as to a command. Here a reply may come late, after the transfer
    // it belonged to was given up, and a peer must not hear of it as of a command of its own.
    warn(fmt::format("reply {} to no request of ours", header.id));
    return true;
}

void Session::reply(const Header& request, std::span<const uint8_t> payload) {
    (void)reply_with(request, payload, -1);  // without a descriptor it cannot fail
}

// False: not sent, for want of a descriptor (Channel::send()).
bool Session::reply_with(const Header& request, std::span<const uint8_t> payload, int fd) {
    if ((request.flags & kFlagNoReply) != 0) return true;
    // Header and payload lie side by side for the short replies, which are nearly all: one iovec is
    // cheaper than two.
    std::array<uint8_t, 96> small;
    const Header header{request.id, request.command,
                        static_cast<uint32_t>(sizeof(Header) + payload.size()), kFlagTypeReply, 0};
    std::memcpy(small.data(), &header, sizeof header);
    if (sizeof header + payload.size() <= small.size()) {
        if (!payload.empty())
            std::memcpy(small.data() + sizeof header, payload.data(), payload.size());
        return channel_.send(std::span(small).first(sizeof header + payload.size()), {}, fd);
    }
    return channel_.send(std::span(small).first(sizeof header), payload, fd);
}

// `payload_size` is for clients that read the command's fixed reply even after an error; others
// (SPDK, libvfio-user) take what follows an error's header for the next message's.
void Session::reply_error(const Header& request, const Failure& failure, std::string_view why) {
    ++counters_.errors;
    warn(fmt::format("command {} refused with errno {}: {}", request.command, failure.error, why),
         Complaint::kRefused);
    if ((request.flags & kFlagNoReply) != 0) return;
    const size_t payload = client_.fixed_errors ? failure.payload_size : 0;
    Header header{request.id, request.command, static_cast<uint32_t>(sizeof(Header) + payload),
                  kFlagTypeReply | kFlagError, static_cast<uint32_t>(failure.error)};
    const std::vector<uint8_t> ones(payload, 0xff);
    channel_.send({reinterpret_cast<const uint8_t*>(&header), sizeof header}, ones);
}

void Session::send_command(Command command, uint16_t id, const DmaAccessBody& body,
                           std::span<const std::byte> data) {
    std::array<uint8_t, sizeof(Header) + sizeof(DmaAccessBody)> head;
    const Header header{id, static_cast<uint16_t>(command),
                        static_cast<uint32_t>(head.size() + data.size()), kFlagTypeCommand, 0};
    std::memcpy(head.data(), &header, sizeof header);
    std::memcpy(head.data() + sizeof header, &body, sizeof body);
    channel_.send(head, {reinterpret_cast<const uint8_t*>(data.data()), data.size()});
    if (channel_.wants_write() && !writing_ && !closed_) {
        // Sent outside on_fd_ready(), perhaps: nobody else would watch for room.
        writing_ = true;
        if (auto ok = loop_.rewatch(channel_.fd(), EPOLLOUT); !ok) warn(ok.error().message());
    }
}

void Session::send_dma_read(uint16_t id, uint64_t iova, uint64_t size) {
    send_command(Command::kDmaRead, id, {iova, size}, {});
}

void Session::send_dma_write(uint16_t id, uint64_t iova, std::span<const std::byte> data) {
    send_command(Command::kDmaWrite, id, {iova, data.size()}, data);
}

uint64_t Session::max_dma_message() const {
    return std::min<uint64_t>(client_.max_data_xfer_size, kMaxDataXferSize);
}

void Session::on_memory_lost(uint64_t iova) {
    warn(fmt::format("the client took away memory that it had mapped: DMA at {:#x} fails", iova));
}

void Session::send_msix(uint32_t vector) {
    interrupts_.trigger(kIrqMsix, vector);
}

void Session::send_msi(uint32_t vector) {
    interrupts_.trigger(kIrqMsi, vector);
}

void Session::set_intx(bool asserted) {
    interrupts_.set_intx_level(asserted);
}

}  // namespace mimic::vfio_user
