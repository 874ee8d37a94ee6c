// SPDX-License-Identifier: Apache-2.0
#include "mediator/backend/operations.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstring>
#include <limits>
#include <new>
#include <string>

#include "mediator/backend/response_writer.h"

namespace mimic::mediator::backend {
namespace {

constexpr uint64_t kMaxLog = 4096;  // of a module that does not load: what the guest gets of it

uint64_t steady_ns() {
    return static_cast<uint64_t>(
        std::chrono::duration_cast<Duration>(std::chrono::steady_clock::now().time_since_epoch())
            .count());
}

// A bijection (splitmix64's), so that handles are unique.
uint64_t scramble(uint64_t value) {
    value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9;
    value = (value ^ (value >> 27)) * 0x94d049bb133111eb;
    return value ^ (value >> 31);
}

// Parameters that an opcode has, and whether it has data. -1: no such opcode.
struct Shape {
    int parameters = -1;
    bool data = false;
};
Shape shape(uint32_t opcode) {
    switch (opcode) {
        case VGPU_OP_NOP:
        case VGPU_OP_GET_DEVICE_INFO:
        case VGPU_OP_SYNCHRONIZE:
            return {0, false};
        case VGPU_OP_SUM:
        case VGPU_OP_MEM_ALLOC:
        case VGPU_OP_MEM_FREE:
        case VGPU_OP_MODULE_UNLOAD:
            return {2, false};
        case VGPU_OP_MEM_WRITE:
            return {4, true};
        case VGPU_OP_MEM_READ:
            return {6, false};
        case VGPU_OP_MEM_COPY:
            return {10, false};
        case VGPU_OP_MEM_FILL:
            return {7, false};
        case VGPU_OP_LAUNCH:
        case VGPU_OP_MODULE_LOAD:
        case VGPU_OP_BATCH:
            return {0, true};
        default:
            return {};
    }
}

}  // namespace

struct Operations::Request {
    vgpu_request header{};
    std::array<uint32_t, VGPU_MAX_PARAMS> parameters{};
    std::span<const std::byte> data;

    uint64_t parameter64(size_t index) const {
        return parameters[index] | uint64_t{parameters[index + 1]} << 32;
    }
};

struct Operations::Context {
    const Order& order;
    OwnerState& owner;
    const StopSignal& stop;
    bool in_batch = false;

    Memory* find(uint64_t handle) const {
        const auto found = owner.memory.find(handle);
        return found == owner.memory.end() ? nullptr : found->second.memory.get();
    }

    // Whole within its memory, or HANDLE.
    vgpu_error extent(uint64_t handle, uint64_t offset, uint64_t length, Extent& to) const {
        Memory* const memory = find(handle);
        if (memory == nullptr) return VGPU_ERROR_HANDLE;
        const uint64_t size = memory->size_bytes();
        if (offset > size || length > size - offset) return VGPU_ERROR_HANDLE;
        to = {memory, offset, length};
        return VGPU_OK;
    }
};

Operations::Operations(Executor& executor, uint64_t memory_bytes, uint64_t secret)
    : executor_(executor), memory_bytes_(memory_bytes), secret_(secret) {}

// False: no request of this version at all.
bool Operations::parse(std::span<const std::byte> bytes, Request& request) {
    if (bytes.size() < sizeof(vgpu_request)) return false;
    std::memcpy(&request.header, bytes.data(), sizeof(vgpu_request));
    const vgpu_request& header = request.header;
    if (header.version != VGPU_PROTOCOL_VERSION) return false;
    if (header.param_count > VGPU_MAX_PARAMS) return false;
    const uint64_t end = sizeof(vgpu_request) + uint64_t{header.param_count} * sizeof(uint32_t);
    if (end > bytes.size()) return false;
    if (header.param_count != 0) {
        std::memcpy(request.parameters.data(), bytes.data() + sizeof(vgpu_request),
                    header.param_count * sizeof(uint32_t));
    }
    if (header.data_length == 0) return header.data_offset == 0;
    if (header.data_offset < end || header.data_offset > bytes.size()) return false;
    if (header.data_length > bytes.size() - header.data_offset) return false;
    request.data = bytes.subspan(header.data_offset, header.data_length);
    return true;
}

vgpu_error Operations::check(const Request& request) {
    const Shape expected = shape(request.header.opcode);
    if (expected.parameters < 0 || request.header.flags != 0) return VGPU_ERROR_UNSUPPORTED;
    if (request.header.reserved[0] != 0 || request.header.reserved[1] != 0 ||
        request.header.param_count != static_cast<uint32_t>(expected.parameters) ||
        request.data.empty() == expected.data) {
        return VGPU_ERROR_INVALID_REQUEST;
    }
    return VGPU_OK;
}

vgpu_error Operations::carry_out(const Order& order, std::span<const std::byte> request,
                                 std::vector<std::byte>& response, const StopSignal& stop) {
    try {
        response.clear();
        auto owner = owners_.get(order.owner);
        if (!owner && order.wait_for_freed && order.wait_for_freed()) {
            owner = owners_.get(order.owner);
        }
        if (!owner) return VGPU_ERROR_MEMORY;
        return carry_out_of(*owner, order, request, response, stop);
    } catch (const std::bad_alloc&) {
        // Before it began.
        response = {};
        return VGPU_ERROR_MEMORY;
    }
}

vgpu_error Operations::carry_out_of(OwnerState& owner, const Order& order,
                                    std::span<const std::byte> request,
                                    std::vector<std::byte>& response, const StopSignal& stop) {
    if (is_kept(order) && order.again) {
        KeptResult kept;
        switch (owner.kept.find(order.request_id, kept)) {
            case Kept::kNever:
                break;
            case Kept::kGone:
                return VGPU_ERROR_BACKEND;
            case Kept::kHere:
                if (kept.response.size() > order.room) return VGPU_ERROR_INVALID_LENGTH;
                response = std::move(kept.response);
                return kept.error;
        }
    }
    vgpu_error error = VGPU_ERROR_INVALID_LENGTH;
    if (order.room >= sizeof(vgpu_response)) {
        ResponseWriter writer(response, order.room);
        Context context{order, owner, stop};
        vgpu_error status = VGPU_OK;
        try {
            error = perform(context, request, writer, status);
        } catch (const std::bad_alloc&) {
            // What was done until then stays done; it is kept, so as not to be done once more.
            error = VGPU_ERROR_MEMORY;
        }
    }
    // What was stopped has no answer; whoever asks again learns the same.
    if (error != VGPU_OK) response.clear();
    if (is_kept(order)) owner.kept.keep(order.request_id, error, response);
    return error;
}

// Outcome::error; `status` is that of the operation, which is in the response, too.
vgpu_error Operations::perform(Context& context, std::span<const std::byte> bytes,
                               ResponseWriter& to, vgpu_error& status) {
    const uint64_t begin = steady_ns();
    Request request;
    if (!parse(bytes, request)) return VGPU_ERROR_INVALID_REQUEST;
    status = check(request);
    if (status == VGPU_OK) status = dispatch(context, request, to);
    if (status == VGPU_ERROR_CANCELLED) return status;
    const uint32_t opcode = request.header.opcode;
    to.finish(status, steady_ns() - begin,
              opcode == VGPU_OP_BATCH || opcode == VGPU_OP_MODULE_LOAD);
    return VGPU_OK;
}

vgpu_error Operations::dispatch(Context& context, const Request& request, ResponseWriter& to) {
    switch (request.header.opcode) {
        case VGPU_OP_NOP:
        case VGPU_OP_SYNCHRONIZE:
            return VGPU_OK;  // jobs come one at a time
        case VGPU_OP_SUM:
            if (!to.fits(1, 0)) return VGPU_ERROR_INVALID_LENGTH;
            to.result(request.parameters[0] + request.parameters[1]);
            return VGPU_OK;
        case VGPU_OP_GET_DEVICE_INFO:
            return device_info(context, to);
        case VGPU_OP_MEM_ALLOC:
            return allocate(context, request, to);
        case VGPU_OP_MEM_FREE:
            return free(context, request);
        case VGPU_OP_MEM_WRITE:
            return write(context, request);
        case VGPU_OP_MEM_READ:
            return read(context, request, to);
        case VGPU_OP_MEM_COPY:
            return copy(context, request);
        case VGPU_OP_MEM_FILL:
            return fill(context, request);
        case VGPU_OP_LAUNCH:
            return launch(context, request);
        case VGPU_OP_MODULE_LOAD:
            return load_module(context, request, to);
        case VGPU_OP_MODULE_UNLOAD:
            return unload_module(context, request);
        case VGPU_OP_BATCH:
            return batch(context, request, to);
        default:
            return VGPU_ERROR_UNSUPPORTED;
    }
}

vgpu_error Operations::device_info(Context& context, ResponseWriter& to) {
    if (!to.fits(0, sizeof(vgpu_device_info))) return VGPU_ERROR_INVALID_LENGTH;
    vgpu_device_info info{};
    const ExecutorInfo& of = executor_.info();
    std::strncpy(info.backend, of.kind.c_str(), sizeof info.backend - 1);
    std::strncpy(info.name, of.name.c_str(), sizeof info.name - 1);
    info.memory_bytes = memory_bytes_;
    info.memory_limit = context.order.memory_limit;
    info.compute_units = of.compute_units;
    info.weight = context.order.weight;
    info.priority = context.order.priority;
    info.queue_depth = context.order.queue_depth;
    const auto data = to.data(sizeof info);
    std::memcpy(data.data(), &info, sizeof info);
    return VGPU_OK;
}

vgpu_error Operations::allocate(Context& context, const Request& request, ResponseWriter& to) {
    if (!to.fits(2, 0)) return VGPU_ERROR_INVALID_LENGTH;
    const uint64_t bytes = request.parameter64(0);
    if (bytes == 0) return VGPU_ERROR_INVALID_REQUEST;
    if (bytes > memory_bytes_ || context.owner.memory.size() >= kMaxHandles) {
        return VGPU_ERROR_MEMORY;
    }
    const uint64_t charged = (bytes + kMemoryGranule - 1) / kMemoryGranule * kMemoryGranule;
    const uint64_t limit = context.order.memory_limit == 0 ? std::numeric_limits<uint64_t>::max()
                                                           : context.order.memory_limit;
    if (!context.owner.vm.memory->take(charged, limit)) return VGPU_ERROR_MEMORY;
    // Only who finds none waits for what others have left.
    const auto& wait_for_freed = context.order.wait_for_freed;
    if (!owners_.account()->take(charged, memory_bytes_) &&
        (!wait_for_freed || !wait_for_freed() ||
         !owners_.account()->take(charged, memory_bytes_))) {
        context.owner.vm.memory->give(charged);
        return VGPU_ERROR_MEMORY;
    }
    Charge charge(owners_.account(), context.owner.vm.memory, charged);
    auto memory = executor_.allocate(bytes);
    if (!memory) return VGPU_ERROR_MEMORY;
    const uint64_t handle = new_handle();
    context.owner.memory.emplace(handle,
                                 OwnerState::Allocation{std::move(charge), std::move(memory)});
    context.owner.memory_bytes += charged;
    to.result64(handle);
    return VGPU_OK;
}

vgpu_error Operations::free(Context& context, const Request& request) {
    const auto found = context.owner.memory.find(request.parameter64(0));
    if (found == context.owner.memory.end()) return VGPU_ERROR_HANDLE;
    const vgpu_error error = executor_.empty(*found->second.memory, context.stop);
    if (error != VGPU_OK) return error;
    context.owner.memory_bytes -= found->second.charge.bytes();
    context.owner.memory.erase(found);
    return VGPU_OK;
}

vgpu_error Operations::write(Context& context, const Request& request) {
    Extent to;
    const vgpu_error error = context.extent(request.parameter64(0), request.parameter64(2),
                                            request.data.size(), to);
    return error != VGPU_OK ? error : executor_.write(*to.memory, to.offset, request.data);
}

vgpu_error Operations::read(Context& context, const Request& request, ResponseWriter& to) {
    Extent from;
    const uint64_t length = request.parameter64(4);
    const vgpu_error error = context.extent(request.parameter64(0), request.parameter64(2), length,
                                            from);
    if (error != VGPU_OK) return error;
    if (length > VGPU_MAX_MESSAGE || !to.fits(0, length)) return VGPU_ERROR_INVALID_LENGTH;
    if (length == 0) return VGPU_OK;
    return executor_.read(*from.memory, from.offset, to.data(length));
}

vgpu_error Operations::copy(Context& context, const Request& request) {
    Extent to, from;
    const uint64_t length = request.parameter64(8);
    vgpu_error error = context.extent(request.parameter64(0), request.parameter64(2), length, to);
    if (error != VGPU_OK) return error;
    error = context.extent(request.parameter64(4), request.parameter64(6), length, from);
    if (error != VGPU_OK || length == 0) return error;
    return executor_.copy(to, from, context.stop);
}

vgpu_error Operations::fill(Context& context, const Request& request) {
    Extent to;
    const uint64_t length = request.parameter64(4);
    if (request.parameters[6] > 0xff) return VGPU_ERROR_INVALID_REQUEST;
    const vgpu_error error = context.extent(request.parameter64(0), request.parameter64(2), length,
                                            to);
    if (error != VGPU_OK || length == 0) return error;
    return executor_.fill(to, static_cast<uint8_t>(request.parameters[6]), context.stop);
}

vgpu_error Operations::launch(Context& context, const Request& request) {
    vgpu_launch launch{};
    if (request.data.size() < sizeof launch) return VGPU_ERROR_INVALID_REQUEST;
    std::memcpy(&launch, request.data.data(), sizeof launch);
    if (launch.arg_count > VGPU_MAX_ARGS ||
        request.data.size() != sizeof launch + launch.arg_count * sizeof(vgpu_arg) ||
        std::memchr(launch.name, 0, sizeof launch.name) == nullptr || launch.name[0] == 0) {
        return VGPU_ERROR_INVALID_REQUEST;
    }
    std::array<LaunchArgument, VGPU_MAX_ARGS> arguments{};
    for (uint32_t i = 0; i < launch.arg_count; ++i) {
        vgpu_arg arg{};
        std::memcpy(&arg, request.data.data() + sizeof launch + i * sizeof arg, sizeof arg);
        if (arg.kind == VGPU_ARG_VALUE) {
            if ((arg.size != 4 && arg.size != 8) || arg.offset != 0) {
                return VGPU_ERROR_INVALID_REQUEST;
            }
            arguments[i] = {nullptr, 0, arg.value, arg.size};
        } else if (arg.kind == VGPU_ARG_MEMORY && arg.size == 8) {
            Extent at;
            const vgpu_error error = context.extent(arg.value, arg.offset, 0, at);
            if (error != VGPU_OK) return error;
            arguments[i] = {at.memory, at.offset, 0, 8};
        } else {
            return VGPU_ERROR_INVALID_REQUEST;
        }
    }
    const std::span<const LaunchArgument> given(arguments.data(), launch.arg_count);
    if (launch.module != 0) {
        const auto module = context.owner.modules.find(launch.module);
        if (module == context.owner.modules.end()) return VGPU_ERROR_HANDLE;
        return executor_.launch({module->second.get(), launch.name, &launch, given}, context.stop);
    }
    const auto kernel = find_kernel(launch.name);
    if (!kernel) return VGPU_ERROR_UNSUPPORTED;
    const auto call = check_call(*kernel, given);
    return call ? executor_.run(*call, context.stop) : call.error();
}

vgpu_error Operations::load_module(Context& context, const Request& request, ResponseWriter& to) {
    if (!to.fits(2, 0)) return VGPU_ERROR_INVALID_LENGTH;
    if (context.owner.modules.size() >= kMaxModules) return VGPU_ERROR_MEMORY;
    vgpu_error error = VGPU_OK;
    std::string log;
    auto module = executor_.load(
        {reinterpret_cast<const char*>(request.data.data()), request.data.size()}, error, log);
    if (!module) {
        log.resize(std::min<size_t>(log.size(), kMaxLog));
        if (!log.empty() && to.fits(0, log.size())) {
            std::memcpy(to.data(log.size()).data(), log.data(), log.size());
        }
        return error;
    }
    const uint64_t handle = new_handle();
    context.owner.modules.emplace(handle, std::move(module));
    to.result64(handle);
    return VGPU_OK;
}

vgpu_error Operations::unload_module(Context& context, const Request& request) {
    return context.owner.modules.erase(request.parameter64(0)) == 1 ? VGPU_OK : VGPU_ERROR_HANDLE;
}

vgpu_error Operations::batch(Context& context, const Request& request, ResponseWriter& to) {
    if (context.in_batch) return VGPU_ERROR_INVALID_REQUEST;
    context.in_batch = true;
    to.begin_data();
    for (auto rest = request.data; !rest.empty();) {
        uint32_t length = 0;
        if (rest.size() < sizeof length) return VGPU_ERROR_INVALID_REQUEST;
        std::memcpy(&length, rest.data(), sizeof length);
        if (length > rest.size() - sizeof length) return VGPU_ERROR_INVALID_REQUEST;
        if (context.stop.requested()) return VGPU_ERROR_CANCELLED;
        auto part = to.begin_part();
        if (!part) return VGPU_ERROR_INVALID_LENGTH;
        vgpu_error status = VGPU_OK;
        const vgpu_error error = perform(context, rest.subspan(sizeof length, length), *part,
                                         status);
        if (error == VGPU_ERROR_CANCELLED) return error;
        if (error != VGPU_OK) part->finish(status = error, 0, false);
        to.end_part(*part);
        if (status != VGPU_OK) return status;
        const size_t whole = (sizeof length + length + 7) / 8 * 8;
        rest = rest.subspan(std::min(whole, rest.size()));
    }
    return VGPU_OK;
}

uint64_t Operations::new_handle() {
    for (;;) {
        const uint64_t handle = scramble(secret_ + ++handles_);
        if (handle != 0) return handle;
    }
}

}  // namespace mimic::mediator::backend
