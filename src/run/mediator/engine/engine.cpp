// SPDX-License-Identifier: Apache-2.0
#include "mediator/engine/engine.h"

#include <utility>

#include "mediator/engine/engine_core.h"

namespace mimic::mediator {

EngineCore::EngineCore(Config config, MakeBackend make_backend, TaskRunner& runner, Hooks hooks)
    : config_(std::move(config)),
      make_backend_(std::move(make_backend)),
      runner_(runner),
      hooks_(std::move(hooks)),
      start_(runner.now()) {
    for (const PoolConfig& wanted : config_.pools) {
        pools_.push_back(std::make_unique<Pool>());
        Pool& pool = *pools_.back();
        pool.id = wanted.id;
        pool.rule = make_pool_rule();
    }
    for (const VmConfig& listed : config_.vms) {
        find_or_make_vm(listed, kFirstPool, listed.priority.value_or(Priority::kMedium));
    }
    // Last: a backend that is found again brings its owners.
    for (size_t i = 0; i < pools_.size(); ++i) {
        reload_pool(*pools_[i], config_.pools[i]);
    }
}

// Backends first: none of them may call back any more. Their processes go on.
EngineCore::~EngineCore() {
    for (const auto& pool : pools_) {
        for (const auto& slot : pool->slots) slot->backend.reset();
    }
}

void EngineCore::audit(std::string what, std::optional<VmId> vm, std::string detail) {
    if (hooks_.audit) hooks_.audit({std::move(what), vm, std::move(detail)});
}

Result<std::unique_ptr<Engine>> make_engine(Config config, MakeBackend make_backend,
                                            TaskRunner& runner, Engine::Hooks hooks) {
    return std::make_unique<EngineCore>(std::move(config), std::move(make_backend), runner,
                                        std::move(hooks));
}

}  // namespace mimic::mediator
