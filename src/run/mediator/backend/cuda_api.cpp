// SPDX-License-Identifier: Apache-2.0
#include "mediator/backend/cuda_api.h"

#include <dlfcn.h>

namespace mimic::mediator::backend::cuda {
namespace {

constexpr const char* kLibrary = "libcuda.so.1";

template <typename F>
void find(void* library, const char* name, F& function, std::string& missing) {
    function = reinterpret_cast<F>(::dlsym(library, name));
    if (function == nullptr && missing.empty()) missing = name;
}

}  // namespace

Result<Api> load() {
    void* const library = ::dlopen(kLibrary, RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr) {
        const char* const words = ::dlerror();
        return fail(std::errc::no_such_device, "no libcuda: {}",
                    words != nullptr ? words : kLibrary);
    }
    Api api;
    std::string missing;
    find(library, "cuInit", api.init, missing);
    find(library, "cuDeviceGet", api.device_get, missing);
    find(library, "cuDeviceGetCount", api.device_get_count, missing);
    find(library, "cuDeviceGetName", api.device_get_name, missing);
    find(library, "cuDeviceTotalMem_v2", api.device_total_mem, missing);
    find(library, "cuDeviceGetAttribute", api.device_get_attribute, missing);
    find(library, "cuDevicePrimaryCtxRetain", api.primary_ctx_retain, missing);
    find(library, "cuCtxSetCurrent", api.ctx_set_current, missing);
    find(library, "cuStreamCreate", api.stream_create, missing);
    find(library, "cuStreamQuery", api.stream_query, missing);
    find(library, "cuStreamSynchronize", api.stream_synchronize, missing);
    find(library, "cuMemAlloc_v2", api.mem_alloc, missing);
    find(library, "cuMemFree_v2", api.mem_free, missing);
    find(library, "cuMemsetD8Async", api.memset_d8, missing);
    find(library, "cuMemcpyHtoDAsync_v2", api.memcpy_htod, missing);
    find(library, "cuMemcpyDtoHAsync_v2", api.memcpy_dtoh, missing);
    find(library, "cuMemcpyDtoDAsync_v2", api.memcpy_dtod, missing);
    find(library, "cuModuleLoadDataEx", api.module_load, missing);
    find(library, "cuModuleUnload", api.module_unload, missing);
    find(library, "cuModuleGetFunction", api.module_get_function, missing);
    find(library, "cuLaunchKernel", api.launch_kernel, missing);
    find(library, "cuGetErrorName", api.get_error_name, missing);
    if (!missing.empty()) {
        return fail(std::errc::function_not_supported, "no libcuda: {} has no {}", kLibrary,
                    missing);
    }
    return api;
}

std::string Api::say(Code code) const {
    const char* name = nullptr;
    if (get_error_name(code, &name) != kSuccess || name == nullptr) name = "an unknown error";
    return fmt::format("{} ({})", name, code);
}

bool is_sticky(Code code) {
    return code == kIllegalAddress || code == kLaunchTimeout || code == kAssert ||
           (code >= kHardwareStackError && code <= kLaunchFailed) || code == kEccUncorrectable ||
           code == kNvlinkUncorrectable || code == kUnknown;
}

}  // namespace mimic::mediator::backend::cuda
