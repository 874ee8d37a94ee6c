// SPDX-License-Identifier: Apache-2.0
// From a function of a topology file to a MockAccel.
#include "devices/mock_accel/mock_accel.h"
#include "devices/mock_accel/model.h"

namespace mimic::mock_accel {
namespace {

Options options_of(const model::FunctionSpec& function, const model::FunctionRequest& request) {
    Options options;
    options.name = function.name;
    options.role = function.is_vf() ? Role::kVf : Role::kPf;
    options.identifier = function.identifier.text;
    options.memory_size_bytes = function.value(kMemoryKey);
    options.capabilities = static_cast<uint32_t>(function.value(kCapabilitiesKey));
    options.total_vfs = request.native_vfs.empty() ? function.total_vfs : 0;
    options.vf_index = function.vf_index.value_or(0);
    options.multifunction = request.multifunction;
    options.class_code = function.class_code;
    options.link_speed = static_cast<pci::LinkSpeed>(request.link.generation);
    options.link_width = request.link.width;
    options.rings = static_cast<uint32_t>(function.value(kRingsKey));
    options.memory_bar_bytes = function.value(kMemoryBarKey);
    return options;
}

}  // namespace

Result<std::unique_ptr<pci::Function>> make_function(const model::FunctionRequest& request) {
    Options options = options_of(request.function, request);
    options.native_sriov = !request.native_vfs.empty();
    for (const model::FunctionSpec& vf : request.native_vfs)
        options.vfs.push_back(options_of(vf, {.function = vf, .link = request.link}));
    return MockAccel::create(options);
}

}  // namespace mimic::mock_accel
