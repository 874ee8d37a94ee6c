// SPDX-License-Identifier: Apache-2.0
// Neighbours: what else may happen on a device host while somebody uses one of its devices.
#pragma once

#include <sys/types.h>

#include <functional>
#include <span>
#include <string>

namespace mimic::neighbour {

class Host;

/// One kind of neighbour.
struct Attack {
    const char* name;
    const char* what;

    /// Runs until the process is killed; calls `begun` once it is at it. Returns if the host does
    /// not let it go on.
    void (*run)(const Host& host, const std::function<void()>& begun);
};

/// All of them, in the order of a table.
std::span<const Attack> attacks();

/// A process that is one neighbour, from when it is at it until the end of the object.
class Neighbour {
public:
    /// On `cpu` it gives way to all others; -1: anywhere, and it does not. Ends the program with a
    /// message if the attack does not come to begin.
    Neighbour(const Host& host, const Attack& attack, int cpu);
    ~Neighbour();
    Neighbour(const Neighbour&) = delete;
    Neighbour& operator=(const Neighbour&) = delete;

    /// False if it had to end.
    bool alive() const;

private:
    pid_t pid_ = -1;
};

}  // namespace mimic::neighbour
