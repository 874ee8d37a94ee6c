// SPDX-License-Identifier: Apache-2.0
#include "mediator/backend/executor.h"

namespace mimic::mediator::backend {

Result<std::unique_ptr<Executor>> make_cuda_executor(const CudaBackend&) {
    return fail(std::errc::not_supported, "no libcuda: not yet");
}

}  // namespace mimic::mediator::backend
