// SPDX-License-Identifier: Apache-2.0
// A device host in a process of its own: the device of the client that is measured, and those of
// its neighbours on the same loop or on another.
#pragma once

#include <sys/types.h>

#include <string>

namespace mimic::neighbour {

inline constexpr char kVictim[] = "victim";  // mock-accel
inline constexpr char kEndpoint[] = "ep";    // mock-accel with kDeviceMemory
inline constexpr char kMany[] = "many";      // a function with kManyVectors MSI-X vectors
inline constexpr char kFabric[] = "fabric";  // VMD, root port 00:00.0, PF 01:00.0 with kVfs VFs

inline constexpr uint64_t kDeviceMemory = 256ull << 20;
inline constexpr uint32_t kManyVectors = 2048;
inline constexpr uint32_t kVfs = 64;

/// Where a host's threads run; -1: anywhere.
struct Placement {
    bool same_loop = true;  // the victim's loop has the other devices, too
    int victim_cpu = -1;
    int others_cpu = -1;  // of the other loop
};

/// Ends with the object. Start it while the program has one thread.
class Host {
public:
    /// Returns when all sockets listen. Ends the program with a message if that fails.
    explicit Host(const Placement& placement);
    ~Host();
    Host(const Host&) = delete;
    Host& operator=(const Host&) = delete;

    /// Folder of the sockets, and the socket of one device.
    const std::string& folder() const { return folder_; }
    std::string path(const char* device) const { return folder_ + "/" + device; }

private:
    std::string folder_;
    pid_t pid_ = -1;
};

}  // namespace mimic::neighbour
