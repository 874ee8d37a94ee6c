// SPDX-License-Identifier: Apache-2.0
// VhostClient: a vhost-user front-end with a guest's memory and a driver's rings, which does what
// QEMU 11.1's generic device does, in its order, and whatever else a test wants.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/loop_pool.h"
#include "base/unique_fd.h"
#include "memory/testing/fake_memory.h"
#include "tests/protocol/toy_virtio.h"
#include "vhost_user/protocol.h"
#include "vhost_user/server.h"
#include "virtio/testing/guest_queue.h"

namespace mimic::test {

/// A toy on a vhost-user socket, on a loop of its own.
class VhostHost {
public:
    explicit VhostHost(vhost_user::Session::Options options = {});
    ~VhostHost();
    VhostHost(const VhostHost&) = delete;
    VhostHost& operator=(const VhostHost&) = delete;

    const std::string& path() const { return path_; }
    ToyVirtio& toy() { return *toy_; }
    void on_loop(const std::function<void()>& task) { LoopPool::run_on(pool_->loop(0), task); }
    vhost_user::Counters counters();
    bool connected();

private:
    std::string folder_;
    std::string path_;
    std::unique_ptr<LoopPool> pool_;
    std::unique_ptr<ToyVirtio> toy_;
    std::unique_ptr<vhost_user::Server> server_;
};

/// Blocks, at most ten seconds a message.
class VhostClient {
public:
    static constexpr uint64_t kUserBase = 0x7000'0000'0000;  // its own address of guest address 0
    static constexpr uint64_t kMemory = 4 << 20;
    static constexpr uint64_t kRings = 0x10'0000;
    static constexpr uint64_t kRingSize = 0x10'0000;  // between rings
    static constexpr uint64_t kData = 0x8000;
    static constexpr uint32_t kFirstRings = 3;

    explicit VhostClient(const std::string& path);

    // --- Messages ----------------------------------------------------------------------------

    /// Sends the bytes as they are, with descriptors. False if the peer is gone.
    bool send_raw(std::span<const uint8_t> bytes, std::span<const int> fds = {});
    bool send(vhost_user::Request request, std::span<const uint8_t> body = {},
              std::span<const int> fds = {}, uint32_t flags = vhost_user::kVersion);
    template <typename T>
    bool send(vhost_user::Request request, const T& body, std::span<const int> fds = {},
              uint32_t flags = vhost_user::kVersion) {
        return send(request, {reinterpret_cast<const uint8_t*>(&body), sizeof body}, fds, flags);
    }

    /// The next message; nullopt at the end of the connection.
    struct Answer {
        vhost_user::Header header{};
        std::vector<uint8_t> body;
    };
    std::optional<Answer> receive();

    /// Sends with NEED_REPLY; the u64 of the answer, or nullopt.
    std::optional<uint64_t> ask(vhost_user::Request request, std::span<const uint8_t> body = {},
                                std::span<const int> fds = {});
    template <typename T>
    std::optional<uint64_t> ask(vhost_user::Request request, const T& body,
                                std::span<const int> fds = {}) {
        return ask(request, {reinterpret_cast<const uint8_t*>(&body), sizeof body}, fds);
    }
    std::optional<uint64_t> get(vhost_user::Request request);

    /// Whether the peer ends the connection, after whatever it still sends.
    bool ends();

    // --- What QEMU does ----------------------------------------------------------------------

    /// SET_OWNER, features and protocol features, the back-end's socket.
    bool negotiate();
    /// SET_FEATURES, memory, rings [0, rings) and their enabling.
    bool start(uint16_t rings, bool packed = false);
    /// SET_VRING_ENABLE 0 and GET_VRING_BASE of each; what the latter said.
    std::vector<uint32_t> stop(uint16_t rings);
    /// As start(), with the same rings, where stop() said that they are.
    bool go_on(uint16_t rings, const std::vector<uint32_t>& bases);

    /// Adds a buffer of `room` bytes to ring `index`, kicks, and waits for it; what the device
    /// wrote, or nullopt.
    std::optional<std::vector<uint8_t>> request(uint16_t index, uint32_t room);
    void kick(uint16_t index);
    /// Waits for a call; false after ten seconds.
    bool wait_call(uint16_t index);

    vhost_user::VringAddress ring_address(uint16_t index) const;
    vhost_user::MemoryRegion region() const { return {0, kMemory, kUserBase, 0}; }
    int memory_fd() const { return memory_fd_.get(); }
    int call_fd(uint16_t index) const { return calls_[index].get(); }
    int kick_fd(uint16_t index) const { return kicks_[index].get(); }
    virtio::GuestQueue& queue(uint16_t index) { return *queues_[index]; }
    memory::FakeMemory& memory() { return memory_; }
    int socket() const { return socket_.get(); }
    void hang_up() { socket_.reset(); }
    uint64_t features = 0;  // that the back-end offers, after negotiate()

    /// Whether a change of configuration was told of, within ten seconds.
    bool wait_config_change();

private:
    bool set_up_ring(uint16_t index, uint32_t base);

    UniqueFd socket_;
    UniqueFd backend_;
    UniqueFd memory_fd_;
    Mapping mapping_;
    memory::FakeMemory memory_;
    std::array<UniqueFd, kToyQueues> kicks_;
    std::array<UniqueFd, kToyQueues> calls_;
    std::array<std::unique_ptr<virtio::GuestQueue>, kToyQueues> queues_;
    bool packed_ = false;
};

/// Whether `condition` holds before ten seconds are over.
bool eventually(const std::function<bool()>& condition);

}  // namespace mimic::test
