// SPDX-License-Identifier: Apache-2.0
// From the `simulator:` of a topology file to what sim is told.
#pragma once

#include "model/function_spec.h"
#include "sim/builtin/spec.h"
#include "sim/socket/client.h"

namespace mimic::virtio_sst {

/// Whether a simulator of the user's answers, behind a socket.
bool has_socket(const model::FunctionSpec& function);

/// A simulator of the user's. `function` names one.
sim::SocketOptions socket_options(const model::FunctionSpec& function);

/// A simulator that is built in.
sim::BuiltinSpec builtin_spec(const model::FunctionSpec& function);

}  // namespace mimic::virtio_sst
