// SPDX-License-Identifier: Apache-2.0
// Session: one connected client and the function it drives. Decodes commands, checks every field
// once, and answers.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/event_loop.h"
#include "base/log.h"
#include "base/thread_bound.h"
#include "base/timer.h"
#include "pci/function/function.h"
#include "vfio_user/channel.h"
#include "vfio_user/guest_memory.h"
#include "vfio_user/interrupts.h"
#include "vfio_user/negotiation.h"

namespace mimic::vfio_user {

/// What clients have done, summed over the sessions of one server. Plain counters; thread-bound
/// with the server.
struct Counters {
    uint64_t connections = 0;
    uint64_t messages = 0;
    uint64_t region_reads = 0;
    uint64_t region_writes = 0;
    uint64_t dma_maps = 0;
    uint64_t interrupts = 0;
    uint64_t errors = 0;           // commands answered with an error
    uint64_t protocol_faults = 0;  // connections closed because of what the peer sent
};

/// Kinds of what a peer makes a server log; each has its own limit.
enum class Complaint : uint8_t {
    kOther,
    kRefused,     // a command got an error
    kClosed,      // the connection was ended for what the peer did
    kGone,        // the peer ended it
    kTurnedAway,  // there is a client already
    kNotTaken,    // no connection could be made
    kCount,
};

/// One client. Thread-bound to `loop`. Created with a connected socket; reports its end once
/// through Owner.
class Session final : public FdHandler,
                      public pci::Slot,
                      private Channel::Handler,
                      private GuestMemory::Messenger {
public:
    class Owner {
    public:
        /// The connection is over; the owner destroys the session, but not before this call has
        /// returned.
        virtual void on_session_closed() = 0;

        /// For what the peer makes us say, by what it is about. Of the device, not of the session:
        /// connecting again does not refill it.
        virtual log::RateLimit& log_limit(Complaint about) = 0;

    protected:
        ~Owner() = default;
    };

    struct Options {
        /// A peer that has not sent VERSION by then is dropped, so that it does not keep the
        /// device.
        Duration handshake_timeout = std::chrono::seconds(5);

        /// A peer that has begun a message must have sent all of it by then, counted from its first
        /// byte, or is dropped likewise. Long, since an honest one may be stopped in the middle, in
        /// a debugger or by a host that swaps. A peer that is silent between messages is not
        /// limited: that is what an idle guest looks like.
        Duration message_timeout = std::chrono::seconds(60);
    };

    /// All references are borrowed and outlive the session. Call start() next.
    Session(EventLoop& loop, pci::Function& function, UniqueFd socket, ReceiveBuffer& buffer,
            Counters& counters, Owner& owner, Options options);
    ~Session();

    /// Watches the socket. Errors: those of epoll_ctl(2).
    Status start();

    /// Ends the session if the client has hung up, after the messages that it left. For an owner
    /// that wants to know whether a client that seems connected is still there.
    void close_if_hung_up();

    bool closed() const { return closed_; }

    void on_fd_ready(uint32_t events) override;

    // pci::Slot
    void send_msix(uint32_t vector) override;
    void send_msi(uint32_t vector) override;
    void set_intx(bool asserted) override;
    memory::DmaSpace& dma() override { return memory_; }
    TaskRunner& runner() override { return loop_; }

private:
    // What a reply to a failed command must look like for clients that read fixed sizes.
    struct Failure {
        int error;
        size_t payload_size = 0;
    };

    bool on_message(Message& message) override;
    bool turn_is_over() override { return loop_.share_is_over(); }
    void on_bad_size(const Header& header, uint32_t most) override;
    bool on_reply(const Message& message);
    bool on_version(Message& message);
    void on_dma_map(Message& message);
    void on_dma_unmap(const Message& message);
    void on_get_info(const Message& message);
    void on_get_region_info(const Message& message);
    void on_get_region_io_fds(const Message& message);
    void on_get_irq_info(const Message& message);
    void on_set_irqs(Message& message);
    void on_region_read(const Message& message);
    void on_region_write(const Message& message);
    void on_write_multi(const Message& message);
    void on_reset(const Message& message);
    void on_device_feature(const Message& message);

    void send_dma_read(uint16_t id, uint64_t iova, uint64_t size) override;
    void send_dma_write(uint16_t id, uint64_t iova, std::span<const std::byte> data) override;
    uint64_t max_dma_message() const override;
    void on_memory_lost(uint64_t iova) override;

    uint64_t region_size(uint32_t region) const;
    bool region_access_ok(uint32_t region, uint64_t offset, uint64_t size, bool write) const;
    void read_region(uint32_t region, uint64_t offset, std::span<uint8_t> data);
    void write_region(uint32_t region, uint64_t offset, std::span<const uint8_t> data);

    void set_many_irqs(const Message& message, const SetIrqsBody& body,
                       std::span<const uint8_t> data);
    void read_in_pieces(const Header& header, const RegionAccessBody& body);
    void write_in_pieces(const Header& header, const RegionAccessBody& body,
                         std::span<const uint8_t> data);
    void in_pieces(std::function<bool()> piece);
    void go_on();
    void go_on_without_room();

    void reply(const Header& request, std::span<const uint8_t> payload);
    bool reply_with(const Header& request, std::span<const uint8_t> payload, int fd);
    void reply_error(const Header& request, const Failure& failure, std::string_view why);
    void close(std::string_view why, bool fault);
    void warn(std::string_view what, Complaint about = Complaint::kOther);
    void watch_half_message();
    void await_rest(Duration limit);
    void after_io(Channel::State state);
    void watch_for(uint32_t events);
    void send_command(Command command, uint16_t id, const DmaAccessBody& body,
                      std::span<const std::byte> data);

    EventLoop& loop_;
    pci::Function& function_;
    Counters& counters_;
    Owner& owner_;
    Options options_;
    Channel channel_;
    GuestMemory memory_;
    Interrupts interrupts_;
    ClientCapabilities client_;
    bool negotiated_ = false;
    bool closed_ = false;
    bool writing_ = false;  // EPOLLOUT instead of EPOLLIN is watched, as the channel wants_write()
    uint64_t half_message_ = UINT64_MAX;  // counters_.messages before the message that is half here
    TimePoint half_since_{};              // when its first bytes came
    std::vector<uint8_t> reply_buffer_;
    std::function<bool()> rest_;  // of the message that in_pieces() is at
    Timer handshake_;             // until VERSION
    Timer await_rest_;            // while a message is half here
    Timer no_room_;               // go_on_without_room()
    ThreadBound thread_;
};

}  // namespace mimic::vfio_user
