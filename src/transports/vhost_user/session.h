// SPDX-License-Identifier: Apache-2.0
// Session: one connected front-end and the virtio device that it drives. Decodes requests, checks
// every field once, and answers.
//
// A front-end says less of a driver than a PCI bus does: it sets features and rings up, and takes
// rings down one by one, whether the driver has reset the device or the machine was paused. So the
// device goes to DRIVER_OK when all rings that were set up are enabled, and is reset first unless
// they go on where they were stopped.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string_view>
#include <utility>
#include <vector>

#include "base/event_loop.h"
#include "base/log.h"
#include "base/thread_bound.h"
#include "base/timer.h"
#include "vhost_user/channel.h"
#include "vhost_user/ring.h"
#include "vhost_user/shared_memory.h"
#include "virtio/device.h"

namespace mimic::vhost_user {

/// What front-ends have done, summed over the sessions of one server. Plain counters; thread-bound
/// with the server.
struct Counters {
    uint64_t connections = 0;
    uint64_t messages = 0;
    uint64_t kicks = 0;
    uint64_t interrupts = 0;  // calls signalled, and changes of configuration
    uint64_t memory_regions = 0;
    uint64_t errors = 0;           // requests that were refused
    uint64_t protocol_faults = 0;  // connections closed because of what the peer sent
};

/// Kinds of what a peer makes a server log; each has its own limit.
enum class Complaint : uint8_t {
    kOther,
    kRefused,     // a request was refused
    kClosed,      // the connection was ended for what the peer did
    kGone,        // the peer ended it
    kTurnedAway,  // there is a front-end already
    kNotTaken,    // no connection could be made
    kCount,
};

/// One front-end. Thread-bound to `loop`. Created with a connected socket; reports its end once
/// through Owner.
class Session final : public FdHandler, public virtio::Slot, private Ring::Owner {
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
        /// A peer that has sent no request by then is dropped, so that it does not keep the device.
        Duration handshake_timeout = std::chrono::seconds(5);

        /// A peer that has begun a message must have sent all of it by then, or is dropped
        /// likewise.
        Duration message_timeout = std::chrono::seconds(60);

        /// GET_VRING_BASE is answered when no buffer of its ring is out, or after this, counted
        /// from the first ring of those that are stopped together. QEMU waits for the answer with
        /// all of the machine. Arbitrary.
        Duration drain_timeout = std::chrono::milliseconds(500);
    };

    /// All references are borrowed and outlive the session. Call start() next.
    Session(EventLoop& loop, virtio::Device& device, UniqueFd socket, Counters& counters,
            Owner& owner, Options options);
    ~Session();

    /// Watches the socket. Errors: those of epoll_ctl(2).
    Status start();

    /// Ends the session if the front-end has hung up, after the messages that it left. For an owner
    /// that wants to know whether one that seems connected is still there.
    void close_if_hung_up();

    bool closed() const { return closed_; }

    void on_fd_ready(uint32_t events) override;

    // virtio::Slot
    memory::DmaSpace* dma() override {
        return closed_ || memory_.count() == 0 ? nullptr : &memory_;
    }
    void interrupt_queue(uint16_t index) override;
    void interrupt_config() override;
    TaskRunner& runner() override { return loop_; }

private:
    // Whether a request could be carried out: what REPLY_ACK says.
    using Outcome = Status;

    void handle();
    Outcome carry_out(Request request);
    Outcome carry_out_ring(Request request);
    void finish(const Outcome& outcome);
    void reply(std::span<const uint8_t> bytes);

    // session_requests.cpp
    Outcome on_get_u64(uint64_t value);
    Outcome on_set_features();
    Outcome on_set_protocol_features();
    Outcome on_set_status();
    Outcome on_set_mem_table();
    Outcome on_add_mem_reg();
    Outcome on_rem_mem_reg();
    Outcome on_backend_socket();
    Outcome on_get_config();
    Outcome on_set_config();
    Outcome on_reset_device();

    // session_rings.cpp
    Outcome on_vring_num();
    Outcome on_vring_addr();
    Outcome on_vring_base();
    Outcome on_get_vring_base();
    Outcome on_vring_descriptor(Request request);
    Outcome on_vring_enable();
    Result<Ring*> ring_of(uint64_t index, bool may_run);
    void on_kick(uint16_t index) override;
    void start_rings();
    bool goes_on(const std::vector<Ring*>& rings) const;
    Status begin_device();
    Status start_ring(Ring& ring);
    void stop_ring(Ring& ring);
    void stop_all_rings();
    bool any_running() const;
    void drain(Ring& ring);
    void answer_vring_base(const Ring& ring);

    Result<uint64_t> u64();
    Status no_fds();
    Result<UniqueFd> one_fd();
    const virtio::Queue& queue_of(const Ring& ring) const {
        return std::as_const(device_).queue(ring.index());
    }
    bool has(unsigned protocol_feature) const {
        return (protocol_features_ & protocol(protocol_feature)) != 0;
    }
    uint64_t offered_features() const;
    uint64_t offered_protocol() const;
    void watch_again();
    void watch_half_message();
    void close(std::string_view why, bool fault);
    void end(std::string_view why, bool fault);
    void warn(std::string_view what, Complaint about);

    EventLoop& loop_;
    virtio::Device& device_;
    Counters& counters_;
    Owner& owner_;
    const Options options_;
    Channel channel_;
    SharedMemory memory_;
    std::vector<std::unique_ptr<Ring>> rings_;
    UniqueFd backend_socket_;
    uint64_t features_ = 0;  // that the front-end has set, with kProtocolFeaturesBit
    uint64_t protocol_features_ = 0;
    uint8_t status_ = 0;     // that it has set, with STATUS
    bool answered_ = false;  // the request at hand has had an answer of its own
    bool closed_ = false;
    uint32_t watched_ = 0;   // events of the socket
    bool writing_ = false;   // EPOLLOUT is watched: the peer does not read
    bool draining_ = false;  // a GET_VRING_BASE waits: nothing is read meanwhile
    TimePoint drain_end_{};  // zero: none was stopped since rings were started
    Timer handshake_;        // until the first request
    Timer await_rest_;       // while a message is half here
    Timer drain_timer_;
    ThreadBound thread_;
};

}  // namespace mimic::vhost_user
