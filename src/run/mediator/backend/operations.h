// SPDX-License-Identifier: Apache-2.0
// Operations: the bytes of a request (compute/vgpu_protocol.h) carried out by an executor, on the
// memory of their owner only. Every field is a guest's and is checked here, once.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "mediator/backend/backend.h"
#include "mediator/backend/executor.h"
#include "mediator/backend/owners.h"

namespace mimic::mediator::backend {

/// A request that is being carried out.
struct Order {
    Owner owner;
    uint64_t request_id = 0;
    bool again = false;
    uint64_t room = 0;
    uint64_t memory_limit = 0;  // of the VM; 0: none but the backend's
    uint32_t weight = 0;
    uint32_t priority = 0;
    uint32_t queue_depth = 0;
    /// Waits until what had been released before the request came is freed, and can be had. False:
    /// the request is to end first. Empty: it is freed.
    std::function<bool()> wait_for_freed;
};

class ResponseWriter;

/// Bound to the thread of jobs, but for owners().
class Operations {
public:
    /// `executor` is borrowed. `memory_bytes`: of all owners. `secret`: any number, so that handles
    /// differ from backend to backend.
    Operations(Executor& executor, uint64_t memory_bytes, uint64_t secret);

    /// Carries `request` out, or says again what was kept of it. `response` is overwritten; empty
    /// unless OK is returned. What is returned is Outcome::error; MEMORY where the process itself
    /// has no more.
    vgpu_error carry_out(const Order& order, std::span<const std::byte> request,
                         std::vector<std::byte>& response, const StopSignal& stop);

    Owners& owners() { return owners_; }

private:
    struct Request;
    struct Context;

    // Of a protocol with sessions.
    static bool is_kept(const Order& order) {
        return order.owner.session != 0 && order.request_id != 0;
    }
    vgpu_error carry_out_of(OwnerState& owner, const Order& order,
                            std::span<const std::byte> request, std::vector<std::byte>& response,
                            const StopSignal& stop);
    static bool parse(std::span<const std::byte> bytes, Request& request);
    static vgpu_error check(const Request& request);
    vgpu_error perform(Context& context, std::span<const std::byte> bytes, ResponseWriter& to,
                       vgpu_error& status);
    vgpu_error dispatch(Context& context, const Request& request, ResponseWriter& to);
    vgpu_error device_info(Context& context, ResponseWriter& to);
    vgpu_error allocate(Context& context, const Request& request, ResponseWriter& to);
    vgpu_error free(Context& context, const Request& request);
    vgpu_error write(Context& context, const Request& request);
    vgpu_error read(Context& context, const Request& request, ResponseWriter& to);
    vgpu_error copy(Context& context, const Request& request);
    vgpu_error fill(Context& context, const Request& request);
    vgpu_error launch(Context& context, const Request& request);
    vgpu_error load_module(Context& context, const Request& request, ResponseWriter& to);
    vgpu_error unload_module(Context& context, const Request& request);
    vgpu_error batch(Context& context, const Request& request, ResponseWriter& to);
    uint64_t new_handle();

    Executor& executor_;
    const uint64_t memory_bytes_;
    const uint64_t secret_;
    uint64_t handles_ = 0;
    Owners owners_;
};

}  // namespace mimic::mediator::backend
