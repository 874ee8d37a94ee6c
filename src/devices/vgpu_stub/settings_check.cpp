// SPDX-License-Identifier: Apache-2.0
#include "devices/vgpu_stub/model.h"

namespace mimic::vgpu_stub {

std::vector<model::SettingProblem> check_settings(const model::FunctionSpec& function) {
    const model::SettingValue* const mediator = function.settings.find("mediator");
    if (mediator == nullptr || !mediator->given || mediator->find("socket") != nullptr) return {};
    return {{mediator->line, mediator->column, "'mediator' without 'socket'; expected its path"}};
}

}  // namespace mimic::vgpu_stub
