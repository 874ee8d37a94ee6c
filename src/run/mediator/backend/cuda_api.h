// SPDX-License-Identifier: Apache-2.0
// What is used of CUDA's driver API, found in libcuda.so.1 when a backend starts: Mimic is built
// without CUDA. Names, numbers and signatures are those of NVIDIA's "CUDA Driver API" (12).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "base/result.h"

namespace mimic::mediator::backend::cuda {

using Code = int;  // CUresult
using Device = int;
using Context = void*;
using Stream = void*;
using ModuleHandle = void*;
using Function = void*;
using Pointer = uint64_t;  // CUdeviceptr

inline constexpr Code kSuccess = 0;
inline constexpr Code kInvalidValue = 1;
inline constexpr Code kOutOfMemory = 2;
inline constexpr Code kInvalidImage = 200;
inline constexpr Code kNoBinaryForGpu = 209;
inline constexpr Code kEccUncorrectable = 214;
inline constexpr Code kInvalidPtx = 218;
inline constexpr Code kNvlinkUncorrectable = 220;
inline constexpr Code kUnsupportedPtxVersion = 222;
inline constexpr Code kNotFound = 500;
inline constexpr Code kNotReady = 600;
inline constexpr Code kIllegalAddress = 700;
inline constexpr Code kLaunchOutOfResources = 701;
inline constexpr Code kLaunchTimeout = 702;
inline constexpr Code kAssert = 710;
inline constexpr Code kHardwareStackError = 714;
inline constexpr Code kLaunchFailed = 719;
inline constexpr Code kUnknown = 999;

inline constexpr int kMultiprocessorCount = 16;  // CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT
inline constexpr unsigned kStreamNonBlocking = 1;

// CUjit_option
inline constexpr int kJitErrorLogBuffer = 5;
inline constexpr int kJitErrorLogBufferSizeBytes = 6;

// `extra` of cuLaunchKernel
inline void* const kLaunchParamEnd = nullptr;
inline void* const kLaunchParamBuffer = reinterpret_cast<void*>(1);
inline void* const kLaunchParamBufferSize = reinterpret_cast<void*>(2);

/// The functions. As the library exports them, some with the suffix _v2.
struct Api {
    Code (*init)(unsigned flags) = nullptr;
    Code (*device_get)(Device* device, int ordinal) = nullptr;
    Code (*device_get_count)(int* count) = nullptr;
    Code (*device_get_name)(char* name, int length, Device device) = nullptr;
    Code (*device_total_mem)(size_t* bytes, Device device) = nullptr;
    Code (*device_get_attribute)(int* value, int attribute, Device device) = nullptr;
    Code (*primary_ctx_retain)(Context* context, Device device) = nullptr;
    Code (*ctx_set_current)(Context context) = nullptr;
    Code (*stream_create)(Stream* stream, unsigned flags) = nullptr;
    Code (*stream_query)(Stream stream) = nullptr;
    Code (*stream_synchronize)(Stream stream) = nullptr;
    Code (*mem_alloc)(Pointer* pointer, size_t bytes) = nullptr;
    Code (*mem_free)(Pointer pointer) = nullptr;
    Code (*memset_d8)(Pointer to, unsigned char byte, size_t count, Stream stream) = nullptr;
    Code (*memcpy_htod)(Pointer to, const void* from, size_t bytes, Stream stream) = nullptr;
    Code (*memcpy_dtoh)(void* to, Pointer from, size_t bytes, Stream stream) = nullptr;
    Code (*memcpy_dtod)(Pointer to, Pointer from, size_t bytes, Stream stream) = nullptr;
    Code (*module_load)(ModuleHandle* module, const void* image, unsigned options, int* names,
                        void** values) = nullptr;
    Code (*module_unload)(ModuleHandle module) = nullptr;
    Code (*module_get_function)(Function* function, ModuleHandle module,
                                const char* name) = nullptr;
    Code (*launch_kernel)(Function function, unsigned grid_x, unsigned grid_y, unsigned grid_z,
                          unsigned block_x, unsigned block_y, unsigned block_z, unsigned shared,
                          Stream stream, void** parameters, void** extra) = nullptr;
    Code (*get_error_name)(Code code, const char** name) = nullptr;

    /// "CUDA_ERROR_ILLEGAL_ADDRESS (700)".
    std::string say(Code code) const;
};

/// Opens the library for as long as the process lives. Errors: "no libcuda: ..." with the loader's
/// words, or the function that it lacks.
Result<Api> load();

/// Whether nothing works in the process after this error, which only its end mends.
bool is_sticky(Code code);

}  // namespace mimic::mediator::backend::cuda
