// SPDX-License-Identifier: Apache-2.0
// The JSON that ui.perfetto.dev and chrome://tracing open (the "Trace Event Format"): one process,
// the machine; a track for each device and, below it, one for each ring.
#pragma once

#include <memory>

#include "trace/writer.h"

namespace mimic::trace {

std::unique_ptr<Writer> make_perfetto_writer(Sink sink);

}  // namespace mimic::trace
