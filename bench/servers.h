// SPDX-License-Identifier: Apache-2.0
// What the benchmarks measure against: child processes that serve a socket, either Mimic's server or the bare baseline.
#pragma once

#include <sys/types.h>

#include <string>

#include "base/unique_fd.h"

namespace mimic::bench {

enum class Kind : uint8_t {
    kBare,   // recv and send of messages of the same sizes, no protocol: the baseline
    kMimic,  // vfio_user::Server with a mock accelerator
};

/// A forked child with a connected client socket. Ends and reaps the child when destroyed.
class Child {
public:
    /// Starts a server of `kind` pinned to `cpu` and connects (and negotiates, for kMimic).
    static Child start(Kind kind, int cpu);
    Child(Child&& other) noexcept;
    Child(const Child&) = delete;
    ~Child();

    int fd() const { return fd_.get(); }
    pid_t pid() const { return pid_; }

private:
    Child() = default;
    UniqueFd fd_;
    pid_t pid_ = -1;
};

}  // namespace mimic::bench
