// SPDX-License-Identifier: Apache-2.0
// Events that anybody may have written, fed to the models of a machine: the replay ends, and says
// something. The input is the lines of a trace file behind its header.
#include <cstddef>
#include <cstdint>
#include <sstream>
#include <string>

#include "base/check.h"
#include "devices/all_models.h"
#include "replay/replay.h"
#include "topology/topology.h"

namespace {

constexpr const char* kTopology = R"(version: 1
machines:
  - name: box
    memory: 512M
    devices:
      - { name: gpu0, model: mock-accel, vfs: { count: 2 } }
      - { name: gpu1, model: mock-accel, memory_bar: 64K }
      - { name: gpu2, model: mock-accel, sriov: native, vfs: { count: 2 } }
)";

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    using namespace mimic;
    trace::TraceHeader header{.mimic = "0", .machine = "box", .topology = kTopology, .devices = {}};
    header.data_bytes = pci::kMaxTraceDmaBytes;
    std::istringstream in(trace::header_line(header) +
                          std::string(reinterpret_cast<const char*>(data), size));
    const auto file = trace::read_trace(in, "fuzz");
    if (!file) return 0;
    const auto result = replay::replay_trace(*file);
    // Else nothing here would ever be replayed.
    static const bool is_valid = topology::parse(kTopology, "fuzz", devices::all_models())
                                     .has_value();
    MIMIC_CHECK(is_valid);
    MIMIC_CHECK(result ? !replay::replay_report(*result).empty()
                       : !result.error().message().empty());
    return 0;
}
