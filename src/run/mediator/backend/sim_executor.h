// SPDX-License-Identifier: Apache-2.0
// SimExecutor: an accelerator that is not there. Results are those of `cpu`; a named kernel takes
// as long as a latency model of src/lib/sim says, times a scale.
#pragma once

#include "mediator/backend/cpu_executor.h"
#include "sim/models/model.h"

namespace mimic::mediator::backend {

/// The model that a configuration names. Errors: EINVAL in words.
Result<sim::ModelSpec> model_spec(const SimBackend& config);

class SimExecutor final : public CpuExecutor {
public:
    SimExecutor(const SimBackend& config, sim::ModelSpec spec);

    /// The work of a model is the kernel's operations as units, operations and bytes; GEMM has its
    /// sides as well. `spin` takes its ns of simulated time whatever the model. Memory operations
    /// take no simulated time.
    vgpu_error run(const KernelCall& call, const StopSignal& stop) override;

    /// Simulated time of `call`, in ps, as run() reserves it. nullopt: longer than a model can say.
    std::optional<sim::SimTime> reserve(const KernelCall& call);

private:
    const double scale_;
    sim::Servers units_{1};
    sim::Model model_;
    sim::SimTime now_ = 0;  // the end of the last job: one at a time
};

}  // namespace mimic::mediator::backend
