// SPDX-License-Identifier: Apache-2.0
// From a function of a topology to the device.
#include "devices/vgpu_stub/model.h"
#include "devices/vgpu_stub/vgpu_stub.h"

namespace mimic::vgpu_stub {
namespace {

using model::SettingValue;

Duration to_duration(uint64_t picoseconds) {
    constexpr uint64_t kPicosecondsPerNanosecond = 1000;
    return Duration(static_cast<int64_t>(picoseconds / kPicosecondsPerNanosecond));
}

const SettingValue* mediator_of(const model::FunctionSpec& function) {
    return function.settings.find("mediator");
}

compute::Identity identity_of(const model::FunctionSpec& function) {
    return {.vm_id = static_cast<uint32_t>(function.value(kVmIdKey)),
            .pool_id = static_cast<char>(function.value(kPoolIdKey)),
            .priority = static_cast<uint8_t>(function.value(kPriorityKey))};
}

/// `mediator`: of the PF, also for its VFs.
Options options_of(const model::FunctionSpec& function, const SettingValue* mediator) {
    Options options;
    options.name = function.name;
    options.vendor_id = function.vendor_id;
    options.device_id = function.device_id;
    options.class_code = function.class_code;
    options.identity = identity_of(function);
    options.extensions = function.value(kExtensionsKey) != 0;
    options.length_error = function.value(kLengthErrorKey) != 0 ? VGPU_ERROR_INVALID_LENGTH
                                                                : VGPU_ERROR_REQUEST_TOO_LARGE;
    if (mediator == nullptr || mediator->text_of("socket").empty()) return options;
    compute::SocketOptions socket;
    socket.identity = options.identity;
    socket.path = mediator->text_of("socket");
    socket.protocol = static_cast<compute::Protocol>(mediator->number_of("protocol"));
    socket.answer_timeout = to_duration(mediator->number_of("answer_timeout"));
    socket.resume_patience = to_duration(mediator->number_of("resume_patience"));
    options.timeout = socket.answer_timeout;
    options.make_queue = [socket](TaskRunner& runner) {
        return compute::make_socket_queue(socket, runner);
    };
    return options;
}

}  // namespace

Result<std::unique_ptr<pci::Function>> make_function(const model::FunctionRequest& request) {
    const SettingValue* const mediator = mediator_of(request.function);
    Options options = options_of(request.function, mediator);
    options.link_speed = static_cast<pci::LinkSpeed>(request.link.generation);
    options.link_width = request.link.width;
    options.multifunction = request.multifunction;
    for (const model::FunctionSpec& vf : request.native_vfs) {
        Options& one = options.vfs.emplace_back(options_of(vf, mediator));
        one.link_speed = options.link_speed;
        one.link_width = options.link_width;
    }
    return VgpuStub::create(std::move(options));
}

}  // namespace mimic::vgpu_stub
