// SPDX-License-Identifier: Apache-2.0
// A request that a virtio device has answered, as an event of a trace. For the function around it,
// and for who serves it by another transport.
#pragma once

#include <algorithm>
#include <cstdint>

#include "pci/trace/tracer.h"
#include "virtio/instruments.h"

namespace mimic::virtio_pci {

/// Borrows the slice's name.
inline pci::TraceEvent request_event(const virtio::RequestSlice& slice) {
    return {.kind = pci::TraceKind::kRequest,
            .bar = static_cast<uint8_t>(slice.queue),
            .flags = slice.status == 0 ? uint8_t{0} : pci::kTraceFailed,
            .address = slice.begun_ns,
            .size = slice.ended_ns - std::min(slice.begun_ns, slice.ended_ns),
            .value = slice.id,
            .text = slice.name};
}

}  // namespace mimic::virtio_pci
