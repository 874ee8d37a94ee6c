// SPDX-License-Identifier: Apache-2.0
// MediatorRig: a mediator's sockets and engine in this process, on a thread of their own, with
// backends that only wait; and raw peers of it, which say what they like.
#pragma once

#include <atomic>
#include <chrono>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include "base/event_loop.h"
#include "base/unique_fd.h"
#include "compute/codec.h"
#include "compute/shared_memory.h"
#include "mediator/engine/testing/engine_rig.h"
#include "mediator/server/server.h"

namespace mimic::mediator {

namespace wire = compute::wire;

/// Started by the constructor, ended by the destructor.
class MediatorRig {
public:
    /// `config` gets sockets in a folder of this rig's own.
    explicit MediatorRig(Config config = rig_config());
    ~MediatorRig();

    std::string framed() const { return folder_ + "/mediator.sock"; }
    std::string of_vm(VmId vm) const { return folder_ + "/vm-" + std::to_string(vm) + ".sock"; }
    const std::string& folder() const { return folder_; }

    /// Runs `work` on the mediator's loop, and waits for what it returns.
    template <typename Work>
    auto on_loop(Work work) -> std::invoke_result_t<Work> {
        std::promise<std::invoke_result_t<Work>> result;
        loop_->post([&] {
            if constexpr (std::is_void_v<std::invoke_result_t<Work>>) {
                work();
                result.set_value();
            } else {
                result.set_value(work());
            }
        });
        return result.get_future().get();
    }

    ServerCounters counters() {
        return on_loop([this] { return server_->counters(); });
    }
    VmStatus vm(VmId id);
    /// Waits until `holds` is true of the counters. False: not within a minute.
    bool wait_for(const std::function<bool(const ServerCounters&)>& holds);
    /// The same, of anything that is looked at on the loop.
    bool wait_until(const std::function<bool()>& holds);

    /// Ends sockets and engine, not backends, and begins anew: a mediator that was killed.
    void restart();

    Engine& engine() { return *engine_; }
    Server& server() { return *server_; }
    FakeBackends& backends() { return backends_; }
    Config& config() { return config_; }
    EventLoop& loop() { return *loop_; }

private:
    void begin();
    void end();

    std::string folder_;
    Config config_;
    FakeBackends backends_;
    std::unique_ptr<EventLoop> loop_;
    std::unique_ptr<Engine> engine_;
    std::unique_ptr<Server> server_;
    std::thread thread_;
};

/// A connection without any manners. Its calls wait a minute at most.
class RawPeer {
public:
    explicit RawPeer(const std::string& path);

    bool send(std::span<const std::byte> bytes);
    template <typename T>
    bool send_value(const T& value) {
        return send(wire::bytes_of(value));
    }
    /// Exactly so many bytes; nothing: the connection ended before.
    std::optional<std::vector<std::byte>> receive(size_t count);
    template <typename T>
    std::optional<T> receive_value() {
        const auto bytes = receive(sizeof(T));
        if (!bytes) return std::nullopt;
        T value;
        std::memcpy(&value, bytes->data(), sizeof value);
        return value;
    }
    /// Whether the mediator has ended the connection and sent nothing before.
    bool is_ended();
    int fd() const { return fd_.get(); }
    void close() { fd_.reset(); }
    /// The descriptor that came with the last receive().
    UniqueFd take_descriptor() { return std::move(descriptor_); }

private:
    UniqueFd fd_;
    UniqueFd descriptor_;
};

/// What a peer begins v3 with.
wire::HeaderV2 hello_header(VmId vm, char pool = 'A');
wire::Hello hello_of(uint64_t session = 0, uint32_t shared_bytes = 0);
/// Says Hello; the answer. Nothing: the connection ended.
std::optional<wire::Hello> greet(RawPeer& peer, VmId vm, const wire::Hello& hello);

/// A frame of a request, with its bytes.
std::vector<std::byte> request_frame(uint64_t id, std::span<const std::byte> request,
                                     uint16_t flags = 0, uint32_t room = 4096);
struct FrameAnswer {
    wire::Frame head{};
    std::vector<std::byte> bytes;
};
std::optional<FrameAnswer> receive_frame(RawPeer& peer);

/// A packet of the original, with its bytes.
std::vector<std::byte> packet_of(VmId vm, uint32_t id, std::span<const std::byte> request);
struct PacketGot {
    wire::PacketAnswer head{};
    vgpu_response response{};
};
std::optional<PacketGot> receive_packet(RawPeer& peer);

}  // namespace mimic::mediator
