// SPDX-License-Identifier: Apache-2.0
// From a function of a topology to the device.
#include "devices/virtio_sst/model.h"
#include "devices/virtio_sst/simulator_choice.h"
#include "devices/virtio_sst/virtio_sst.h"

namespace mimic::virtio_sst {

Result<std::unique_ptr<virtio::Device>> make_device(const model::FunctionRequest& request) {
    const model::FunctionSpec& function = request.function;
    Options options;
    options.name = function.name;
    options.device_id = static_cast<uint32_t>(function.value(kIdKey));
    options.pairs = static_cast<uint16_t>(function.value(kQueuesKey));
    options.queue_size = kQueueEntries;
    options.memory_bytes = function.value(kMemoryKey);
    options.lock_step = function.lock_step;
    const sim::SocketOptions socket = socket_options(function);
    options.timeout = socket.timeout;
    if (has_socket(function)) {
        options.make_simulator = [socket](TaskRunner& runner) {
            return sim::make_socket_simulator(socket, runner);
        };
    } else {
        options.make_simulator = [spec = builtin_spec(function)](TaskRunner& runner) {
            return sim::make_builtin(spec, runner);
        };
    }
    return VirtioSst::create(std::move(options));
}

}  // namespace mimic::virtio_sst
