// SPDX-License-Identifier: Apache-2.0
// Connection: one peer of the mediator, whichever protocol it speaks. Private to this folder.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/event_loop.h"
#include "base/stream.h"
#include "base/timer.h"
#include "compute/codec.h"
#include "compute/shared_memory.h"
#include "mediator/engine/engine.h"

namespace mimic::mediator {

namespace wire = compute::wire;

class ServerCore;

/// Who connected, and where.
struct Peer {
    UniqueFd socket;
    uint32_t uid = 0;
    std::optional<VmId> vm;  // of the socket, which then speaks the original's packet
};

/// Takes messages, gives requests to the engine and sends answers. Reads no more while its peer
/// has as much in flight, or as many answers unread, as it may. Ends by itself; its server removes
/// it later. Thread-bound to the server's loop.
class Connection final : private FdHandler, private ClientSink {
public:
    Connection(ServerCore& server, uint64_t id, Peer peer);
    ~Connection();

    /// Begins to read. Errors: those of EventLoop::watch().
    Status start();

    /// Sends what the turn has brought, and takes what had to wait for it.
    void turn_is_over();
    /// What waits too long ends here: a message that does not come in whole, answers that nobody
    /// reads.
    void time_passed(TimePoint now);
    /// Ends it at once.
    void close(bool may_come_back);

    bool closed() const { return !stream_; }
    uint64_t id() const { return id_; }
    uint32_t uid() const { return uid_; }
    /// Whose it is: by its socket, or by what it said.
    std::optional<VmId> vm() const { return vm_; }
    /// It has said who it is, or need not.
    bool is_introduced() const { return form_ != Form::kProbing; }
    bool is_idle() const { return in_flight_ == 0; }

    bool goes_on = false;  // its server has it in its list of those whose turn is over

private:
    enum class Form : uint8_t { kProbing, kPacket, kV1, kV2, kV3 };

    /// What an answer has to know of its request.
    struct Asked {
        uint64_t id = 0;
        uint16_t flags = 0;
        uint32_t room_offset = 0;
        size_t room = 0;
        uint64_t charge = 0;  // bytes that it holds, here or in the engine
    };

    void on_fd_ready(uint32_t events) override;
    void on_answer(uint64_t request_id, const Answer& answer) override;
    void on_replaced() override;

    void take_messages();
    bool may_take() const;
    bool take_message();
    void flush();
    void watch();
    void note_partial();
    void note_held();
    void note_unread(size_t sent);
    void malformed(const char* why);
    vgpu_error admit(const Client& client);
    void submit(const Asked& asked, bool again, std::span<const std::byte> bytes,
                std::vector<std::byte> storage);

    void give(const Asked& asked, const Answer& answer);

    // legacy.cpp: the framed socket's first bytes, v1 and v2.
    bool take_first();
    template <typename Header>
    bool take_legacy(const wire::Message<Header>& message);
    void take_legacy_request(std::span<const std::byte> payload);
    void answer_legacy(const Answer& answer);
    void send_legacy(wire::Type type, std::span<const std::byte> payload = {});

    // packet.cpp
    bool take_packet();
    vgpu_error admit_packet();
    void answer_packet(const Answer& answer);

    // frames.cpp: v3
    bool take_hello();
    vgpu_error greet(const wire::HeaderV2& header, const wire::Hello& hello, wire::Hello& answer);
    void offer_shared_memory(uint32_t wanted, wire::Hello& answer);
    bool take_frame();
    bool take_request(const wire::Message<wire::Frame>& message);
    void answer_frame(const Asked& asked, const Answer& answer);

    ServerCore& server_;
    const uint64_t id_;
    const uint32_t uid_;
    std::optional<VmId> vm_;
    Form form_ = Form::kProbing;
    Stream stream_;
    uint32_t watched_ = 0;
    bool taking_ = false;
    bool ended_ = false;          // nothing more is read
    bool end_when_sent_ = false;  // nor taken: what is to be sent is the last
    bool waits_ = false;          // its share was over; messages are left in the buffer
    bool quiet_ = false;          // nothing followed the first bytes
    bool begun_ = false;          // a message has
    TimePoint begun_since_{};
    size_t unread_ = 0;  // of the answers that wait, those that must have been read by then
    TimePoint unread_end_{};
    Timer quiet_timer_;

    // Of whoever was admitted.
    ClientKey key_ = 0;
    Client client_;
    bool resumes_ = false;

    // In flight. What is answered within submit() never comes into the table.
    size_t in_flight_ = 0;
    uint64_t charged_ = 0;  // by those
    uint64_t held_ = 0;     // and by the buffers: this connection's part of all that is held
    std::optional<Asked> submitting_;
    std::unordered_map<uint64_t, Asked> asked_;
    wire::Packet packet_{};
    wire::HeaderV2 legacy_{};  // of v1, too
    uint64_t last_id_ = 0;     // of packet, v1, v2: the engine's name of the request

    // v3
    wire::FrameLimits limits_;
    uint32_t max_in_flight_ = 1;
    compute::SharedMemory shared_;
};

}  // namespace mimic::mediator
