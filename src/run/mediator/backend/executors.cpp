// SPDX-License-Identifier: Apache-2.0
// Which executor a configuration asks for.
#include "mediator/backend/executor.h"

namespace mimic::mediator::backend {

Result<std::unique_ptr<Executor>> make_executor(const BackendConfig& config) {
    if (const auto* cpu = std::get_if<CpuBackend>(&config.kind)) return make_cpu_executor(*cpu);
    if (const auto* sim = std::get_if<SimBackend>(&config.kind)) return make_sim_executor(*sim);
    return make_cuda_executor(std::get<CudaBackend>(config.kind));
}

}  // namespace mimic::mediator::backend
