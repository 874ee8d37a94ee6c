// SPDX-License-Identifier: Apache-2.0
#include "mediator/backend/cuda_executor.h"

#include <algorithm>
#include <cstring>
#include <thread>

#include "base/log.h"
#include "mediator/backend/cpu_kernels.h"
#include "mediator/backend/cuda_kernels.h"

namespace mimic::mediator::backend {
namespace {

constexpr size_t kParameterBytes = 4096;  // of a kernel, on GPUs of every age
constexpr size_t kJitLogBytes = 8192;

// Between two looks at whether the GPU is done: at first at once, for most jobs are short.
constexpr Duration kLookHard = std::chrono::microseconds(200);
constexpr Duration kLookAgain = std::chrono::microseconds(20);

class CudaMemory final : public Memory {
public:
    CudaMemory(const cuda::Api& api, cuda::Context context, cuda::Stream stream, uint64_t bytes,
               cuda::Pointer pointer)
        : Memory(bytes), api_(api), context_(context), stream_(stream), pointer_(pointer) {}
    ~CudaMemory() override {
        // On the thread that releases an owner, too. What was in it is nobody else's business.
        api_.ctx_set_current(context_);
        if (api_.memset_d8(pointer_, 0, size_bytes(), stream_) == cuda::kSuccess) {
            api_.stream_synchronize(stream_);
        }
        api_.mem_free(pointer_);
    }
    cuda::Pointer pointer() const { return pointer_; }

private:
    const cuda::Api& api_;
    const cuda::Context context_;
    const cuda::Stream stream_;
    const cuda::Pointer pointer_;
};

class CudaModule final : public Module {
public:
    CudaModule(const cuda::Api& api, cuda::Context context, cuda::ModuleHandle module)
        : api_(api), context_(context), module_(module) {}
    ~CudaModule() override {
        api_.ctx_set_current(context_);
        api_.module_unload(module_);
    }
    cuda::ModuleHandle get() const { return module_; }

private:
    const cuda::Api& api_;
    const cuda::Context context_;
    const cuda::ModuleHandle module_;
};

// All memory of this executor is of its own making.
cuda::Pointer device_pointer(const Memory* memory, uint64_t offset) {
    return memory == nullptr ? 0 : static_cast<const CudaMemory*>(memory)->pointer() + offset;
}
cuda::Pointer device_pointer(const Extent& extent) {
    return device_pointer(extent.memory, extent.offset);
}

vgpu_error error_of(cuda::Code code) {
    switch (code) {
        case cuda::kSuccess:
            return VGPU_OK;
        case cuda::kOutOfMemory:
            return VGPU_ERROR_MEMORY;
        case cuda::kInvalidValue:
        case cuda::kInvalidImage:
        case cuda::kInvalidPtx:
        case cuda::kNotFound:
        case cuda::kLaunchOutOfResources:
            return VGPU_ERROR_INVALID_REQUEST;
        case cuda::kNoBinaryForGpu:
        case cuda::kUnsupportedPtxVersion:
            return VGPU_ERROR_UNSUPPORTED;
        default:
            return VGPU_ERROR_BACKEND;
    }
}

// The least number of blocks for `elements`, as many as a GPU has use for: kernels loop.
unsigned blocks_for(uint64_t elements) {
    constexpr uint64_t kMany = 65'535;
    return static_cast<unsigned>(
        std::clamp<uint64_t>((elements + kCudaBlock - 1) / kCudaBlock, 1, kMany));
}

}  // namespace

// Arguments as a kernel has them in memory: each at a multiple of its size. What a kernel has
// beyond those that were given is 0.
class CudaExecutor::Parameters {
public:
    Parameters& u64(uint64_t value) { return add(&value, sizeof value); }
    Parameters& f32(float value) { return add(&value, sizeof value); }
    Parameters& u32(uint32_t value) { return add(&value, sizeof value); }

    std::byte* data() { return bytes_.data(); }
    size_t& size() { return size_; }

private:
    Parameters& add(const void* value, size_t bytes) {
        // At most VGPU_MAX_ARGS of 8.
        size_ = (size_ + bytes - 1) / bytes * bytes;
        std::memcpy(bytes_.data() + size_, value, bytes);
        size_ += bytes;
        return *this;
    }
    alignas(16) std::array<std::byte, kParameterBytes> bytes_{};
    size_t size_ = 0;
};

Result<std::unique_ptr<Executor>> CudaExecutor::create(const CudaBackend& config) {
    MIMIC_ASSIGN_OR_RETURN(const cuda::Api api, cuda::load());
    // NOLINTNEXTLINE(cppcoreguidelines-owning-memory): its constructor is private
    std::unique_ptr<CudaExecutor> executor(new CudaExecutor(api));
    MIMIC_TRY(executor->set_up(config.device));
    return executor;
}

Status CudaExecutor::set_up(uint32_t number) {
    cuda::Device device = 0;
    int count = 0, units = 0;
    char name[256] = {};
    size_t bytes = 0;
    const auto check = [this](cuda::Code code, const char* what) -> Status {
        if (code == cuda::kSuccess) return {};
        return fail(std::errc::no_such_device, "no CUDA: {}: {}", what, api_.say(code));
    };
    MIMIC_TRY(check(api_.init(0), "cuInit"));
    MIMIC_TRY(check(api_.device_get_count(&count), "cuDeviceGetCount"));
    if (static_cast<int64_t>(number) >= count) {
        return fail(std::errc::no_such_device, "no CUDA: there is no device {}, but {}", number,
                    count);
    }
    MIMIC_TRY(check(api_.device_get(&device, static_cast<int>(number)), "cuDeviceGet"));
    MIMIC_TRY(check(api_.device_get_name(name, sizeof name - 1, device), "cuDeviceGetName"));
    MIMIC_TRY(check(api_.device_total_mem(&bytes, device), "cuDeviceTotalMem"));
    MIMIC_TRY(check(api_.device_get_attribute(&units, cuda::kMultiprocessorCount, device),
                    "cuDeviceGetAttribute"));
    MIMIC_TRY(check(api_.primary_ctx_retain(&context_, device), "cuDevicePrimaryCtxRetain"));
    MIMIC_TRY(check(api_.ctx_set_current(context_), "cuCtxSetCurrent"));
    MIMIC_TRY(check(api_.stream_create(&stream_, cuda::kStreamNonBlocking), "cuStreamCreate"));
    cuda::ModuleHandle module = nullptr;
    MIMIC_TRY(check(api_.module_load(&module, kCudaKernels, 0, nullptr, nullptr),
                    "cuModuleLoadDataEx of the named kernels"));
    for (const Kernel kernel : kKernels) {
        const std::string symbol = fmt::format("mimic_{}", kernel_name(kernel));
        MIMIC_TRY(check(api_.module_get_function(&kernels_[static_cast<size_t>(kernel)], module,
                                                 symbol.c_str()),
                        symbol.c_str()));
    }
    info_ = {"cuda", name, bytes, static_cast<uint32_t>(std::max(units, 1))};
    return {};
}

// Errors are said once here; sticky ones end the process after this job.
vgpu_error CudaExecutor::settle(cuda::Code code) {
    if (code == cuda::kSuccess) return VGPU_OK;
    if (cuda::is_sticky(code)) broken_ = true;
    MIMIC_LOG("backend", kInfo, "CUDA: {}{}", api_.say(code),
              broken_ ? "; this process can go on no more" : "");
    return error_of(code);
}

// For what was given to the stream. Kernels of ours are short; of a VM's own nothing can stop it
// but the end of this process, which the mediator sees to.
vgpu_error CudaExecutor::wait() {
    const SteadyClock clock;
    const auto begin = clock.now();
    for (;;) {
        const cuda::Code code = api_.stream_query(stream_);
        if (code != cuda::kNotReady) return settle(code);
        if (clock.now() - begin > kLookHard) std::this_thread::sleep_for(kLookAgain);
    }
}

std::unique_ptr<Memory> CudaExecutor::allocate(uint64_t bytes) {
    if (!current_) current_ = api_.ctx_set_current(context_) == cuda::kSuccess;
    cuda::Pointer pointer = 0;
    if (settle(api_.mem_alloc(&pointer, bytes)) != VGPU_OK) return nullptr;
    auto memory = std::make_unique<CudaMemory>(api_, context_, stream_, bytes, pointer);
    if (settle(api_.memset_d8(pointer, 0, bytes, stream_)) != VGPU_OK || wait() != VGPU_OK) {
        return nullptr;
    }
    return memory;
}

vgpu_error CudaExecutor::write(Memory& to, uint64_t offset, std::span<const std::byte> data) {
    const auto error = settle(
        api_.memcpy_htod(device_pointer(&to, offset), data.data(), data.size(), stream_));
    return error != VGPU_OK ? error : wait();
}

vgpu_error CudaExecutor::read(Memory& from, uint64_t offset, std::span<std::byte> data) {
    const auto error = settle(
        api_.memcpy_dtoh(data.data(), device_pointer(&from, offset), data.size(), stream_));
    return error != VGPU_OK ? error : wait();
}

vgpu_error CudaExecutor::copy(const Extent& to, const Extent& from, const StopSignal&) {
    const bool overlap = to.memory == from.memory && to.offset < from.offset + from.length &&
                         from.offset < to.offset + to.length;
    // CUDA says nothing of copies that overlap: through memory of our own.
    std::unique_ptr<Memory> between;
    cuda::Pointer source = device_pointer(from);
    if (overlap) {
        between = allocate(from.length);
        if (!between) return VGPU_ERROR_MEMORY;
        const auto error = settle(
            api_.memcpy_dtod(device_pointer(between.get(), 0), source, from.length, stream_));
        if (error != VGPU_OK) return error;
        source = device_pointer(between.get(), 0);
    }
    const auto error = settle(api_.memcpy_dtod(device_pointer(to), source, to.length, stream_));
    return error != VGPU_OK ? error : wait();
}

vgpu_error CudaExecutor::fill(const Extent& to, uint8_t byte, const StopSignal&) {
    const auto error = settle(api_.memset_d8(device_pointer(to), byte, to.length, stream_));
    return error != VGPU_OK ? error : wait();
}

vgpu_error CudaExecutor::start(cuda::Function function, const Grid& grid, Parameters& parameters) {
    if (!current_) current_ = api_.ctx_set_current(context_) == cuda::kSuccess;
    void* extra[] = {cuda::kLaunchParamBuffer, parameters.data(), cuda::kLaunchParamBufferSize,
                     &parameters.size(), cuda::kLaunchParamEnd};
    const auto error = settle(api_.launch_kernel(
        function, grid.blocks[0], grid.blocks[1], grid.blocks[2], grid.threads[0], grid.threads[1],
        grid.threads[2], grid.shared_bytes, stream_, nullptr, extra));
    return error != VGPU_OK ? error : wait();
}

vgpu_error CudaExecutor::element_wise(const KernelCall& call, const StopSignal& stop) {
    constexpr uint64_t kOfLaunch = uint64_t{1} << 28;  // 3 GiB through memory: some ms
    const bool add = call.kernel == Kernel::kVectorAdd;
    for (uint64_t done = 0; done < call.n; done += kOfLaunch) {
        if (stop.requested()) return VGPU_ERROR_CANCELLED;
        const uint64_t count = std::min(kOfLaunch, call.n - done);
        const uint64_t at = done * sizeof(float);
        Parameters parameters;
        parameters.u64(device_pointer(call.out) + at).u64(device_pointer(call.a) + at);
        if (add) {
            parameters.u64(device_pointer(call.b) + at).u64(count);
        } else {
            parameters.u64(count).f32(call.scalar);
        }
        Grid grid;
        grid.blocks[0] = blocks_for(count);
        grid.threads[0] = kCudaBlock;
        const auto error = start(kernels_[static_cast<size_t>(call.kernel)], grid, parameters);
        if (error != VGPU_OK) return error;
    }
    return VGPU_OK;
}

vgpu_error CudaExecutor::gemm(const KernelCall& call, const StopSignal& stop) {
    if (call.m == 0 || call.n == 0) return VGPU_OK;
    constexpr uint64_t kOperations = uint64_t{1} << 32;  // of a launch: some ms
    const uint64_t of_row = std::max<uint64_t>(call.n, 1) * std::max<uint64_t>(call.k, 1);
    const uint64_t rows = std::clamp<uint64_t>(kOperations / of_row / kCudaTile * kCudaTile,
                                               kCudaTile, uint64_t{65'535} * kCudaTile);
    for (uint64_t done = 0; done < call.m; done += rows) {
        if (stop.requested()) return VGPU_ERROR_CANCELLED;
        const uint64_t count = std::min(rows, call.m - done);
        Parameters parameters;
        parameters.u64(device_pointer(call.out) + done * call.n * sizeof(float))
            .u64(device_pointer(call.a) + done * call.k * sizeof(float))
            .u64(device_pointer(call.b))
            .u64(count)
            .u64(call.n)
            .u64(call.k);
        Grid grid;
        grid.blocks[0] = static_cast<unsigned>((call.n + kCudaTile - 1) / kCudaTile);
        grid.blocks[1] = static_cast<unsigned>((count + kCudaTile - 1) / kCudaTile);
        grid.threads = {kCudaTile, kCudaTile, 1};
        const auto error = start(kernels_[static_cast<size_t>(call.kernel)], grid, parameters);
        if (error != VGPU_OK) return error;
    }
    return VGPU_OK;
}

// Level by level, 512 to one, between two buffers of our own.
vgpu_error CudaExecutor::reduce_sum(const KernelCall& call, const StopSignal& stop) {
    if (call.n == 0) return fill(call.out, 0, stop);
    uint64_t count = call.n;
    cuda::Pointer source = device_pointer(call.a);
    std::array<std::unique_ptr<Memory>, 2> buffers;
    for (size_t level = 0; count > 1 || level == 0; ++level) {
        if (stop.requested()) return VGPU_ERROR_CANCELLED;
        const uint64_t blocks = (count + kCudaSumOfBlock - 1) / kCudaSumOfBlock;
        cuda::Pointer target = device_pointer(call.out);
        if (blocks > 1) {
            auto& buffer = buffers[level % 2];
            buffer = allocate(blocks * sizeof(float));
            if (!buffer) return VGPU_ERROR_MEMORY;
            target = device_pointer(buffer.get(), 0);
        }
        Parameters parameters;
        parameters.u64(target).u64(source).u64(count);
        Grid grid;
        grid.blocks[0] = static_cast<unsigned>(blocks);  // 2^31 of them are 4 TiB
        grid.threads[0] = kCudaBlock;
        const auto error = start(kernels_[static_cast<size_t>(call.kernel)], grid, parameters);
        if (error != VGPU_OK) return error;
        source = target;
        count = blocks;
    }
    return VGPU_OK;
}

vgpu_error CudaExecutor::checksum(const KernelCall& call, const StopSignal& stop) {
    constexpr uint64_t kOfLaunch = uint64_t{256} * 1024;  // by one thread: some ms
    const uint64_t basis = cpu::kFnvBasis;
    auto error = write(*call.out.memory, call.out.offset,
                       std::as_bytes(std::span<const uint64_t>(&basis, 1)));
    for (uint64_t done = 0; done < call.n && error == VGPU_OK; done += kOfLaunch) {
        if (stop.requested()) return VGPU_ERROR_CANCELLED;
        Parameters parameters;
        parameters.u64(device_pointer(call.out))
            .u64(device_pointer(call.a) + done)
            .u64(std::min(kOfLaunch, call.n - done));
        error = start(kernels_[static_cast<size_t>(call.kernel)], {}, parameters);
    }
    return error;
}

vgpu_error CudaExecutor::spin(uint64_t ns, const StopSignal& stop) {
    constexpr uint64_t kOfLaunch = 10'000'000;
    const SteadyClock clock;
    const auto begin = clock.now();
    for (;;) {
        const auto spent = static_cast<uint64_t>((clock.now() - begin).count());
        if (spent >= ns) return VGPU_OK;
        if (stop.requested()) return VGPU_ERROR_CANCELLED;
        Parameters parameters;
        parameters.u64(std::min(ns - spent, kOfLaunch));
        const auto error = start(kernels_[static_cast<size_t>(Kernel::kSpin)], {}, parameters);
        if (error != VGPU_OK) return error;
    }
}

vgpu_error CudaExecutor::run(const KernelCall& call, const StopSignal& stop) {
    switch (call.kernel) {
        case Kernel::kVectorAdd:
        case Kernel::kSaxpy:
            return element_wise(call, stop);
        case Kernel::kGemm:
            return gemm(call, stop);
        case Kernel::kReduceSum:
            return reduce_sum(call, stop);
        case Kernel::kChecksum:
            return checksum(call, stop);
        case Kernel::kSpin:
            return spin(call.n, stop);
    }
    return VGPU_ERROR_UNSUPPORTED;
}

std::unique_ptr<Module> CudaExecutor::load(std::string_view text, vgpu_error& error,
                                           std::string& log) {
    if (!current_) current_ = api_.ctx_set_current(context_) == cuda::kSuccess;
    // PTX only: a binary image (ELF, a fat binary) would be parsed by less careful code.
    if (text.find('\0') != std::string_view::npos || text.find(".version") == text.npos) {
        error = VGPU_ERROR_INVALID_REQUEST;
        log = "this is no PTX text";
        return nullptr;
    }
    const std::string ended(text);
    std::vector<char> said(kJitLogBytes);
    int names[] = {cuda::kJitErrorLogBuffer, cuda::kJitErrorLogBufferSizeBytes};
    // NOLINTNEXTLINE(performance-no-int-to-ptr): the driver takes a size where others are pointers
    void* values[] = {said.data(), reinterpret_cast<void*>(said.size() - 1)};
    cuda::ModuleHandle module = nullptr;
    const auto code = api_.module_load(&module, ended.c_str(), 2, names, values);
    error = settle(code);
    if (error == VGPU_OK) return std::make_unique<CudaModule>(api_, context_, module);
    log = said.data();
    if (log.empty()) log = api_.say(code);
    return nullptr;
}

vgpu_error CudaExecutor::launch(const ModuleCall& call, const StopSignal&) {
    cuda::Function function = nullptr;
    const auto found = api_.module_get_function(
        &function, static_cast<CudaModule*>(call.module)->get(), std::string(call.name).c_str());
    if (found != cuda::kSuccess) return settle(found);
    Parameters parameters;
    for (const LaunchArgument& argument : call.arguments) {
        if (argument.memory != nullptr) {
            parameters.u64(device_pointer(argument.memory, argument.offset));
        } else if (argument.size == 4) {
            parameters.u32(static_cast<uint32_t>(argument.value));
        } else {
            parameters.u64(argument.value);
        }
    }
    const vgpu_launch& as = *call.launch;
    Grid grid;
    std::copy_n(as.grid, 3, grid.blocks.begin());
    std::copy_n(as.block, 3, grid.threads.begin());
    grid.shared_bytes = as.shared_bytes;
    return start(function, grid, parameters);
}

Result<std::unique_ptr<Executor>> make_cuda_executor(const CudaBackend& config) {
    return CudaExecutor::create(config);
}

}  // namespace mimic::mediator::backend
