// SPDX-License-Identifier: Apache-2.0
// A blocking vfio-user client for tests and benchmarks. RawClient sends any bytes and descriptors
// in any pieces; Client is well behaved. Neither is for production: errors are exceptional values
// that the tests look at.
#pragma once

#include <cstdint>
#include <cstring>
#include <functional>
#include <initializer_list>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/unique_fd.h"
#include "vfio_user/protocol.h"

namespace mimic::test {

using Bytes = std::vector<uint8_t>;

/// Bytes of trivially copyable values, one after the other.
template <typename... T>
Bytes bytes_of(const T&... values) {
    Bytes out((sizeof values + ... + 0));
    uint8_t* next = out.data();
    const auto add = [&next](const auto& value) {
        std::memcpy(next, &value, sizeof value);
        next += sizeof value;
    };
    (add(values), ...);
    return out;
}

Bytes operator+(Bytes left, std::span<const uint8_t> right);

/// A message with a correct size field unless the test changes it.
struct Request {
    vfio_user::Header header{};
    Bytes payload;
    std::vector<int> fds;  // borrowed

    Request(vfio_user::Command command, Bytes body, std::vector<int> descriptors = {});
    Bytes bytes() const;
};

struct Reply {
    vfio_user::Header header{};
    Bytes payload;
    std::vector<UniqueFd> fds;

    bool is_reply() const {
        return (header.flags & vfio_user::kFlagTypeMask) == vfio_user::kFlagTypeReply;
    }
    /// The errno of an error reply, 0 of another.
    int error() const {
        return (header.flags & vfio_user::kFlagError) != 0 ? static_cast<int>(header.error) : 0;
    }
    /// The payload's first bytes as T; zeros where it is shorter.
    template <typename T>
    T as() const {
        T value{};
        const size_t size = payload.size() < sizeof value ? payload.size() : sizeof value;
        for (size_t i = 0; i < size; ++i) reinterpret_cast<uint8_t*>(&value)[i] = payload[i];
        return value;
    }
};

/// One connection, byte for byte. Owns the socket; blocking, with a deadline so that a broken
/// server fails a test instead of stopping it.
class RawClient {
public:
    explicit RawClient(UniqueFd socket);
    /// Connects; check connected().
    explicit RawClient(const std::string& path);

    bool connected() const { return static_cast<bool>(socket_); }
    int fd() const { return socket_.get(); }
    void close() { socket_.reset(); }

    /// Sends all bytes, descriptors on the first one. False when the peer is gone or takes nothing
    /// until the deadline.
    bool send_bytes(std::span<const uint8_t> bytes, std::span<const int> fds = {});
    bool send(const Request& request) { return send_bytes(request.bytes(), request.fds); }

    /// The next whole message; nullopt on EOF, reset, or when nothing comes before the deadline.
    std::optional<Reply> receive();

    /// Whether the server closes the connection before the deadline. Drops what it sends until
    /// then.
    bool closed_by_peer();

    /// How long receive() and send() wait. Default 20 s: never reached when all is well.
    void set_deadline_ms(int ms);

private:
    bool read_exact(uint8_t* to, size_t size, std::vector<UniqueFd>& fds);

    UniqueFd socket_;
};

/// What IRQ_INFO, REGION_INFO and GET_INFO brought.
struct RegionInfo {
    vfio_user::RegionInfoBody body{};
    std::vector<vfio_user::SparseMmapArea> areas;
    UniqueFd fd;
    int error = 0;
};

/// A client that follows the protocol: one request at a time, ids counted up, DMA requests of the
/// server served from `memory` while it waits. Results are errnos: 0 for success, ECONNRESET when
/// the connection ended.
class Client {
public:
    explicit Client(const std::string& path) : raw_(path) {}
    explicit Client(UniqueFd socket) : raw_(std::move(socket)) {}

    RawClient& raw() { return raw_; }

    /// VERSION 0.`minor` with `json` (NUL added). The reply's minor and JSON are kept.
    int negotiate(uint16_t minor = 0,
                  std::string_view json =
                      R"({"capabilities":{"max_msg_fds":16,"max_data_xfer_size":1048576}})");
    uint16_t server_minor() const { return server_minor_; }
    const std::string& server_json() const { return server_json_; }

    /// Sends and waits for the reply with the same id.
    Reply call(Request request);
    int status(Request request) { return call(std::move(request)).error(); }

    vfio_user::DeviceInfoBody device_info();
    RegionInfo region_info(uint32_t index);
    vfio_user::IrqInfoBody irq_info(uint32_t index);
    int set_irqs(uint32_t flags, uint32_t index, uint32_t start, uint32_t count,
                 std::vector<int> fds = {}, Bytes data = {});
    int dma_map(uint64_t iova, uint64_t size, int fd = -1, uint64_t fd_offset = 0,
                uint32_t flags = 3);
    int dma_unmap(uint64_t iova, uint64_t size, uint32_t flags = 0);
    int read(uint32_t region, uint64_t offset, std::span<uint8_t> data);
    int write(uint32_t region, uint64_t offset, std::span<const uint8_t> data);
    /// Posted (NO_REPLY): false when the connection is gone.
    bool post(uint32_t region, uint64_t offset, std::span<const uint8_t> data);
    int reset();

    /// The value at an offset; all ones after an error.
    template <typename T = uint32_t>
    T get(uint32_t region, uint64_t offset) {
        T value{};
        const int error = read(region, offset, {reinterpret_cast<uint8_t*>(&value), sizeof value});
        return error == 0 ? value : static_cast<T>(~T{});
    }
    template <typename T = uint32_t>
    int put(uint32_t region, uint64_t offset, T value) {
        return write(region, offset, {reinterpret_cast<const uint8_t*>(&value), sizeof value});
    }

    /// Answers one DMA_READ or DMA_WRITE of the server from `memory` (which starts at IOVA
    /// `memory_base`).
    void serve_dma(const Reply& command);
    /// Waits for the next message of the server, which must be a command, and serves it. False
    /// otherwise.
    bool serve_one();

    Bytes memory;
    uint64_t memory_base = 0;
    /// Commands of the server that call() met while it waited for a reply, served already.
    unsigned served = 0;
    /// Serve them as they come; otherwise they are put into `held`.
    bool serve_while_waiting = true;
    std::vector<Reply> held;

private:
    RawClient raw_;
    uint16_t next_id_ = 1;
    uint16_t server_minor_ = 0xffff;
    std::string server_json_;
};

// Requests with correct fields, for tests that then break one of them.
Request version_request(uint16_t minor = 0, std::string_view json = "{\"capabilities\":{}}",
                        uint16_t major = 0);
Request map_request(uint64_t iova, uint64_t size, int fd = -1, uint64_t fd_offset = 0,
                    uint32_t flags = 3);
Request unmap_request(uint64_t iova, uint64_t size, uint32_t flags = 0);
Request irqs_request(uint32_t flags, uint32_t index, uint32_t start, uint32_t count,
                     std::vector<int> fds = {}, Bytes data = {});
Request read_request(uint32_t region, uint64_t offset, uint32_t count);
Request write_request(uint32_t region, uint64_t offset, std::span<const uint8_t> data);
Request posted(Request request);

/// Guest memory and interrupts for tests.
UniqueFd make_memfd(uint64_t size);
UniqueFd make_eventfd();
/// Takes the counter's value; 0 if it is not signalled.
uint64_t take_events(int fd);
/// Waits until it is signalled, at most `deadline_ms`, and takes the value.
uint64_t wait_events(int fd, int deadline_ms = 20000);

}  // namespace mimic::test
