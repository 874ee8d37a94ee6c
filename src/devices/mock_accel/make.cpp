// SPDX-License-Identifier: Apache-2.0
// From a function of a topology file to a MockAccel.
#include "devices/mock_accel/mock_accel.h"
#include "devices/mock_accel/model.h"

namespace mimic::mock_accel {
namespace {

uint32_t value32(const model::FunctionSpec& function, std::string_view key) {
    return static_cast<uint32_t>(function.value(key));
}

Result<NativeVfs> native_vfs(std::span<const model::FunctionSpec> vfs) {
    NativeVfs result{.memory_bar_bytes = vfs.front().value(kMemoryBarKey)};
    for (const model::FunctionSpec& vf : vfs) {
        if (vf.value(kMemoryBarKey) != result.memory_bar_bytes) {
            return fail(std::errc::invalid_argument,
                        "{}: want as much device memory as the other VFs of its PF", vf.name);
        }
        result.vfs.push_back({.name = vf.name,
                              .identifier = vf.identifier.text,
                              .memory_size_bytes = vf.value(kMemoryKey),
                              .capabilities = value32(vf, kCapabilitiesKey),
                              .rings = value32(vf, kRingsKey)});
    }
    return result;
}

}  // namespace

Result<std::unique_ptr<pci::Function>> make_function(const model::FunctionRequest& request) {
    const model::FunctionSpec& function = request.function;
    Options options;
    options.name = function.name;
    options.identifier = function.identifier.text;
    options.memory_size_bytes = function.value(kMemoryKey);
    options.capabilities = value32(function, kCapabilitiesKey);
    options.class_code = function.class_code;
    options.link_speed = static_cast<pci::LinkSpeed>(request.link.generation);
    options.link_width = request.link.width;
    options.rings = value32(function, kRingsKey);
    options.memory_bar_bytes = function.value(kMemoryBarKey);
    if (function.vf_index) {
        options.role = StaticVf{*function.vf_index};
    } else if (!request.native_vfs.empty()) {
        MIMIC_ASSIGN_OR_RETURN(auto vfs, native_vfs(request.native_vfs));
        options.role = Pf{.vfs = std::move(vfs)};
    } else {
        options.role = Pf{.vfs = StaticVfs{function.total_vfs},
                          .multifunction = request.multifunction};
    }
    return MockAccel::create(options);
}

}  // namespace mimic::mock_accel
