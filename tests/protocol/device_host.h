// SPDX-License-Identifier: Apache-2.0
// DeviceHost: toy devices served over real sockets by a thread of their own, as a device host
// process does.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/loop_pool.h"
#include "tests/protocol/client.h"
#include "tests/protocol/toy_device.h"
#include "vfio_user/server.h"

namespace mimic::test {

/// Serves `devices` toys on `threads` loops until destroyed. Created and destroyed by the test's
/// thread.
class DeviceHost {
public:
    explicit DeviceHost(unsigned devices = 1, unsigned threads = 1,
                        vfio_user::Session::Options options = {});
    ~DeviceHost();
    DeviceHost(const DeviceHost&) = delete;
    DeviceHost& operator=(const DeviceHost&) = delete;

    const std::string& path(unsigned device = 0) const { return paths_[device]; }
    ToyDevice& toy(unsigned device = 0) { return *toys_[device]; }
    vfio_user::Server& server(unsigned device = 0) { return *servers_[device]; }
    const std::string& folder() const { return folder_; }

    /// A connected, negotiated client with bus mastering, memory space and MSI-X enabled.
    std::unique_ptr<Client> client(unsigned device = 0, uint16_t minor = 0);
    /// The same, again until it is negotiated: a busy machine may need longer than a short
    /// handshake_timeout.
    std::unique_ptr<Client> patient_client(unsigned device = 0);

    /// Runs `task` on the loop of a device, for looking at thread-bound state.
    void on_loop(unsigned device, const std::function<void()>& task);
    vfio_user::Counters counters(unsigned device = 0);

    /// Waits until the device has no client.
    bool wait_idle(unsigned device = 0);

private:
    std::string folder_;
    std::unique_ptr<LoopPool> pool_;
    std::vector<std::unique_ptr<vfio_user::LoopContext>> contexts_;
    std::vector<std::unique_ptr<ToyDevice>> toys_;
    std::vector<std::unique_ptr<vfio_user::Server>> servers_;
    std::vector<std::string> paths_;
};

/// Entries of /proc/self/fd.
size_t open_descriptors();

/// Config offset of a capability of the client's device, 0 if there is none.
uint32_t find_capability(Client& client, uint8_t id);

/// Writes COMMAND with memory space, bus mastering and `more`.
void enable_device(Client& client, uint16_t more = 0);
void enable_msix(Client& client);

/// Runs a transfer of the toy's engine to its end and returns DMA_STATUS.
uint32_t run_dma(Client& client, uint32_t start, uint64_t iova, uint32_t size);

}  // namespace mimic::test
