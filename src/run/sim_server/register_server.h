// SPDX-License-Identifier: Apache-2.0
// RegisterServer: Linux SST's bare-metal protocol. A QEMU without an operating system sends each
// access to its device's registers as 20 bytes and waits for 16.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "base/event_loop.h"
#include "base/result.h"
#include "sim_server/registers.h"

namespace mimic::sim_server {

#pragma pack(push, 1)
struct RegisterRequest {
    uint8_t type;  // 0 read, 1 write
    uint8_t size;  // 1, 2, 4, 8
    uint16_t reserved;
    uint64_t address;
    uint64_t data;
};
struct RegisterResponse {
    uint8_t success;
    uint8_t reserved[7];
    uint64_t data;
};
#pragma pack(pop)
static_assert(sizeof(RegisterRequest) == 20 && sizeof(RegisterResponse) == 16);

struct RegisterServerOptions {
    std::string path;
    /// Of the device's 4 KiB; without: any, and the low 12 bits of an address say the register.
    std::optional<uint64_t> base;
    RegisterOptions device;
    size_t max_clients = 64;
    Duration patience = std::chrono::seconds(5);  // as sim::ServerOptions
};

/// One device for all clients of a socket, one access at a time each. Thread-bound to the loop.
class RegisterServer {
public:
    struct Counters {
        uint64_t connections = 0;
        uint64_t requests = 0;
        uint64_t answers = 0;
        uint64_t malformed = 0;  // answered with success 0
        uint64_t parts = 0;      // of these: those that did not come in whole
        size_t clients = 0;
    };

    /// Borrows the loop. Errors: those of UnixListener::listen().
    static Result<std::unique_ptr<RegisterServer>> create(const RegisterServerOptions& options,
                                                          EventLoop& loop);
    virtual ~RegisterServer() = default;

    virtual Counters counters() const = 0;
    virtual RegisterDevice& device() = 0;
    virtual const std::string& path() const = 0;
};

}  // namespace mimic::sim_server
