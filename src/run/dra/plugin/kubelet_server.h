// SPDX-License-Identifier: Apache-2.0
// KubeletServer: the two gRPC servers that a kubelet talks to. It finds the registration socket,
// asks there for the service socket, and calls that: DRAPlugin v1 and v1beta1, DRAResourceHealth v1
// and v1alpha1, and gRPC's own health service. No header of gRPC is needed to use it.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>

#include "base/result.h"
#include "dra/discovery/inventory.h"
#include "dra/plugin/preparer.h"
#include "dra/plugin/sockets.h"

namespace mimic::dra {

struct KubeletServerOptions {
    SocketNames sockets;
    std::string driver;
    std::string pool;

    // Called on threads of gRPC, several at a time.
    std::function<PrepareAnswers(std::span<const ClaimRef>)> prepare;
    std::function<UnprepareAnswers(std::span<const ClaimRef>)> unprepare;
    /// The kubelet has looked at us; `error` says what it did not like, or is empty.
    std::function<void(const std::string& error)> registered{};

    size_t max_message_bytes = size_t{4} << 20;
    /// Threads for calls: as many run at a time, more are refused with RESOURCE_EXHAUSTED.
    int max_threads = 16;
    int max_health_streams = 16;  // arbitrary; a kubelet has one
    std::chrono::milliseconds health_period = std::chrono::seconds(5);  // without a change
};

/// Thread-safe.
class KubeletServer {
public:
    /// Makes the data folder, removes sockets that a killed instance left, and serves: first the
    /// service, then the registration. Errors: address_in_use, with what to do, if another instance
    /// of the same name runs; those of mkdir(2) and bind(2), with the path.
    static Result<std::unique_ptr<KubeletServer>> create(KubeletServerOptions options);

    /// stop().
    ~KubeletServer();

    /// Takes the registration back, lets calls that run end (within `grace`), ends health streams
    /// and removes the sockets, unless they are somebody else's by now. May be called again.
    void stop(std::chrono::milliseconds grace = std::chrono::seconds(5));

    /// What health streams say from now on. Streams that are behind skip what is in between.
    void set_inventory(InventoryPtr inventory);

    /// Calls GetInfo and an empty NodePrepareResources over the sockets, as a kubelet would.
    /// Errors: io_error with what failed.
    Status self_check(std::chrono::milliseconds timeout);

    /// Health streams that are open.
    size_t health_streams() const;

private:
    class Impl;
    explicit KubeletServer(std::unique_ptr<Impl> impl);
    std::unique_ptr<Impl> impl_;
};

}  // namespace mimic::dra
