// SPDX-License-Identifier: Apache-2.0
// A libcuda.so.1 for tests: one GPU of 64 MiB, whose kernels are interpreted. Errors stick as those
// of a real one do.
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <mutex>

#include "mediator/backend/cuda_api.h"
#include "mediator/backend/testing/ptx_interpreter.h"

using namespace mimic::mediator::backend::cuda;     // NOLINT: a program of its own
using namespace mimic::mediator::backend::testing;  // NOLINT: a program of its own

namespace {

constexpr size_t kTotalBytes = 64 << 20;

struct Gpu {
    std::mutex mutex;  // guards all: memory is freed on other threads
    std::map<uint64_t, size_t> memory;
    size_t used = 0;
    std::map<ModuleHandle, std::unique_ptr<PtxModule>> modules;
    Code sticky = kSuccess;
    bool endless = false;
};

Gpu& gpu() {
    static Gpu* const the = new Gpu;  // never destroyed: the process ends by _exit()
    return *the;
}

thread_local bool current_context = false;

bool is_memory(uint64_t address, size_t bytes) {
    auto after = gpu().memory.upper_bound(address);
    if (after == gpu().memory.begin()) return false;
    const auto& [begin, size] = *--after;
    return address - begin <= size && bytes <= size - (address - begin);
}

// What every call begins with.
#define FAKE_CHECK()                                        \
    const std::lock_guard lock(gpu().mutex);                \
    if (!current_context) return 201; /* INVALID_CONTEXT */ \
    if (gpu().sticky != kSuccess) return gpu().sticky

}  // namespace

extern "C" {

Code cuInit(unsigned) {
    return std::getenv("FAKE_CUDA_NO_DEVICE") != nullptr ? 100 : kSuccess;
}
Code cuDeviceGet(Device* device, int ordinal) {
    *device = ordinal;
    return kSuccess;
}
Code cuDeviceGetCount(int* count) {
    *count = 1;
    return kSuccess;
}
Code cuDeviceGetName(char* name, int length, Device) {
    std::strncpy(name, "Fake GPU", static_cast<size_t>(length));
    return kSuccess;
}
Code cuDeviceTotalMem_v2(size_t* bytes, Device) {
    *bytes = kTotalBytes;
    return kSuccess;
}
Code cuDeviceGetAttribute(int* value, int attribute, Device) {
    if (attribute != kMultiprocessorCount) return kInvalidValue;
    *value = 7;
    return kSuccess;
}
Code cuDevicePrimaryCtxRetain(Context* context, Device) {
    *context = &gpu();
    return kSuccess;
}
Code cuCtxSetCurrent(Context context) {
    current_context = context == &gpu();
    return kSuccess;
}
Code cuStreamCreate(Stream* stream, unsigned) {
    *stream = &gpu();
    return kSuccess;
}
Code cuStreamQuery(Stream) {
    FAKE_CHECK();
    return gpu().endless ? kNotReady : kSuccess;
}
Code cuStreamSynchronize(Stream) {
    FAKE_CHECK();
    return kSuccess;
}
Code cuMemAlloc_v2(Pointer* pointer, size_t bytes) {
    FAKE_CHECK();
    if (bytes > kTotalBytes - gpu().used) return kOutOfMemory;
    void* const memory = std::malloc(bytes);
    std::memset(memory, 0xcd, bytes);  // of somebody before
    *pointer = reinterpret_cast<uint64_t>(memory);
    gpu().memory[*pointer] = bytes;
    gpu().used += bytes;
    return kSuccess;
}
Code cuMemFree_v2(Pointer pointer) {
    FAKE_CHECK();
    const auto found = gpu().memory.find(pointer);
    if (found == gpu().memory.end()) return kInvalidValue;
    gpu().used -= found->second;
    gpu().memory.erase(found);
    std::free(reinterpret_cast<void*>(pointer));
    return kSuccess;
}
Code cuMemsetD8Async(Pointer to, unsigned char byte, size_t count, Stream) {
    FAKE_CHECK();
    if (!is_memory(to, count)) return kInvalidValue;
    std::memset(reinterpret_cast<void*>(to), byte, count);
    return kSuccess;
}
Code cuMemcpyHtoDAsync_v2(Pointer to, const void* from, size_t bytes, Stream) {
    FAKE_CHECK();
    if (!is_memory(to, bytes)) return kInvalidValue;
    std::memcpy(reinterpret_cast<void*>(to), from, bytes);
    return kSuccess;
}
Code cuMemcpyDtoHAsync_v2(void* to, Pointer from, size_t bytes, Stream) {
    FAKE_CHECK();
    if (!is_memory(from, bytes)) return kInvalidValue;
    std::memcpy(to, reinterpret_cast<void*>(from), bytes);
    return kSuccess;
}
Code cuMemcpyDtoDAsync_v2(Pointer to, Pointer from, size_t bytes, Stream) {
    FAKE_CHECK();
    if (!is_memory(to, bytes) || !is_memory(from, bytes)) return kInvalidValue;
    std::memcpy(reinterpret_cast<void*>(to), reinterpret_cast<void*>(from), bytes);
    return kSuccess;
}
Code cuModuleLoadDataEx(ModuleHandle* module, const void* image, unsigned options, int* names,
                        void** values) {
    FAKE_CHECK();
    auto parsed = std::make_unique<PtxModule>();
    std::string log;
    if (!parse_ptx(static_cast<const char*>(image), *parsed, log)) {
        if (options == 2 && names[0] == kJitErrorLogBuffer) {
            const auto room = reinterpret_cast<size_t>(values[1]);
            std::strncpy(static_cast<char*>(values[0]), ("ptxas: " + log).c_str(), room);
        }
        return kInvalidPtx;
    }
    *module = parsed.get();
    gpu().modules[*module] = std::move(parsed);
    return kSuccess;
}
Code cuModuleUnload(ModuleHandle module) {
    FAKE_CHECK();
    gpu().modules.erase(module);
    return kSuccess;
}
Code cuModuleGetFunction(Function* function, ModuleHandle module, const char* name) {
    FAKE_CHECK();
    auto& kernels = *static_cast<PtxModule*>(module);
    const auto found = kernels.find(name);
    if (found == kernels.end()) return kNotFound;
    *function = &found->second;
    return kSuccess;
}
Code cuLaunchKernel(Function function, unsigned grid_x, unsigned grid_y, unsigned grid_z,
                    unsigned block_x, unsigned block_y, unsigned block_z, unsigned, Stream,
                    void** parameters, void** extra) {
    FAKE_CHECK();
    if (parameters != nullptr || extra[0] != kLaunchParamBuffer) return kInvalidValue;
    if (uint64_t{grid_x} * grid_y * grid_z == 0 ||
        uint64_t{block_x} * block_y * block_z - 1 > 1023) {
        return kInvalidValue;
    }
    const auto& kernel = *static_cast<const PtxKernel*>(function);
    size_t bytes = 0;
    for (const auto& [name, size] : kernel.parameters) {
        bytes = (bytes + size - 1) / size * size + size;
    }
    if (*static_cast<size_t*>(extra[3]) != bytes) return kInvalidValue;
    PtxLaunch launch;
    launch.grid = {grid_x, grid_y, grid_z};
    launch.block = {block_x, block_y, block_z};
    const auto* const first = static_cast<const std::byte*>(extra[1]);
    launch.parameters.assign(first, first + bytes);
    launch.is_memory = is_memory;
    switch (run_ptx(kernel, launch)) {
        case PtxEnd::kDone:
            return kSuccess;
        case PtxEnd::kEndless:
            gpu().endless = true;
            return kSuccess;
        case PtxEnd::kIllegalAddress:
            gpu().sticky = kIllegalAddress;
            return kSuccess;
    }
    return kUnknown;
}
Code cuGetErrorName(Code code, const char** name) {
    *name = code == kIllegalAddress ? "CUDA_ERROR_ILLEGAL_ADDRESS"
            : code == kInvalidPtx   ? "CUDA_ERROR_INVALID_PTX"
            : code == 100           ? "CUDA_ERROR_NO_DEVICE"
                                    : "CUDA_ERROR";
    return kSuccess;
}

}  // extern "C"
