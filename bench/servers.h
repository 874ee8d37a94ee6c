// SPDX-License-Identifier: Apache-2.0
// What the benchmarks measure against: child processes that serve a socket, either Mimic's server
// or the bare baseline.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>

#include "base/unique_fd.h"

namespace mimic::bench {

enum class Kind : uint8_t {
    kBare,     // recv and send of messages of the same sizes, no protocol: the baseline
    kMimic,    // vfio_user::Server with mock accelerators
    kFabric,   // vfio_user::Server with a VMD: root port 00:00.0, switch 01:00.0 with a port
               // 02:00.0, mock accelerator 03:00.0
    kProgram,  // somebody else's server: options.program with the socket's path as its argument
};

/// Whether the accesses of kMimic are traced.
enum class Trace : uint8_t {
    kNever,  // there is no tracer
    kOff,    // there was one, and it was taken away
    kOn,     // a ring of 1 MiB, as `mimic serve` has it
};

struct ChildOptions {
    Kind kind = Kind::kMimic;
    int cpu = 0;           // the child runs there and nowhere else
    unsigned devices = 1;  // kMimic: all in one process, on one loop
    bool spin = true;      // kMimic: let the loop spin as a device host does
    Trace trace = Trace::kNever;
    std::string program{};  // kProgram
};

/// A forked child with a client socket that is connected to its first device. Ends and reaps the
/// child when destroyed.
class Child {
public:
    /// Starts a server and connects to it (and negotiates, for kMimic). Exits the program on
    /// failure.
    static Child start(const ChildOptions& options);
    Child(Child&& other) noexcept;
    Child(const Child&) = delete;
    ~Child();

    int fd() const { return fd_.get(); }

    /// Time the child took to make its devices and listen, in milliseconds, and the memory they
    /// took, in bytes of resident set. Of kMimic.
    double start_ms() const { return start_ms_; }
    double device_bytes() const { return device_bytes_; }

private:
    Child() = default;
    UniqueFd fd_;
    pid_t pid_ = -1;
    double start_ms_ = 0;
    double device_bytes_ = 0;
};

}  // namespace mimic::bench
