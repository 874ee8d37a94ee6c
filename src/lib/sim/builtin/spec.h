// SPDX-License-Identifier: Apache-2.0
// BuiltinSpec: what a user says of a built-in simulator: latency models and their parameters, how
// simulated time passes, memory, clock, seed. docs/simulators.md has the tables of all keys.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/task_runner.h"
#include "sim/simulator.h"

namespace mimic::sim {

/// How long a COMPUTE takes. Each formula stands in docs/simulators.md and above its function in
/// models/formulas.h.
enum class ModelKind : uint8_t {
    kFixed,       // latency
    kLinear,      // latency + units x per-unit
    kBandwidth,   // latency + bytes over a bus that requests share
    kRoofline,    // latency + the longer of operations / peak and bytes / bandwidth
    kContention,  // as linear, on `shared` servers, slower by `penalty` for each that is busy
    kSystolic,    // latency + a GEMM of MxNxK on an array of rows x columns
    kTable,       // latency + what was measured: by units, or one after the other
};

/// What stays in the array's elements: SCALE-Sim's three.
enum class Dataflow : uint8_t { kOutputStationary, kWeightStationary, kInputStationary };

/// Which point of a table a request gets.
enum class Lookup : uint8_t {
    kUnits,     // by its units, linear between two points and on from the last two
    kSequence,  // the n-th request the n-th point, again from the first after the last
};

/// Words of the three, as YAML has them: "roofline", "output-stationary", "sequence". nullopt:
/// none.
std::string_view word(ModelKind kind);
std::string_view word(Dataflow dataflow);
std::string_view word(Lookup lookup);
std::optional<ModelKind> model_kind(std::string_view word);
std::optional<Dataflow> dataflow(std::string_view word);
std::optional<Lookup> lookup(std::string_view word);

/// All kinds, for documents and "did you mean".
inline constexpr std::array kModelKinds = {
    ModelKind::kFixed,      ModelKind::kLinear,   ModelKind::kBandwidth, ModelKind::kRoofline,
    ModelKind::kContention, ModelKind::kSystolic, ModelKind::kTable};

/// A measured point of a table.
struct TablePoint {
    uint64_t units = 0;
    SimTime time = 0;
    bool operator==(const TablePoint&) const = default;
};

/// One latency model. Key of each member in YAML: the word at the end of its line. Members that its
/// kind does not use are ignored.
struct ModelSpec {
    ModelKind kind = ModelKind::kLinear;                 // kind
    std::string name = {};                               // name: for people
    SimTime latency = 0;                                 // latency: of every request
    SimTime per_unit = 100 * kPicosecondsPerNanosecond;  // per-unit: linear, contention
    uint64_t bandwidth = 0;                              // bandwidth: bytes a second
    uint64_t bytes_per_unit = 0;                         // bytes-per-unit
    uint64_t peak = 0;                                   // peak: operations a second
    uint64_t operations_per_unit = 0;                    // operations-per-unit
    uint32_t shared = 1;                                 // shared: servers of contention
    double penalty = 0;                                  // penalty: 0 .. 100
    uint32_t rows = 0;                                   // rows: of the array, 1 .. 65,536
    uint32_t columns = 0;                                // columns: the same
    Dataflow dataflow = Dataflow::kOutputStationary;     // dataflow
    uint32_t m = 0;                                      // m: of one unit's GEMM
    uint32_t n = 0;                                      // n
    uint32_t k = 0;                                      // k
    uint32_t element_bytes = 4;                          // element-bytes: GEMM on a roofline
    std::vector<TablePoint> points = {};                 // points: in order of units
    std::string file = {};                               // file: points of a file
    Lookup lookup = Lookup::kUnits;                      // lookup
    double jitter = 0;  // jitter: 0 .. 1; each time is multiplied by 1 - jitter .. 1 + jitter
};

/// A simulator. As made, it is Linux SST's device: one linear model, 100 cycles of 1 ns a unit.
struct BuiltinSpec {
    /// Their index is SSTRequest.payload.compute.latency_model; 0 means the one that CONFIGURE has
    /// chosen, the first at start. None: one ModelSpec as it is made.
    std::vector<ModelSpec> models = {};    // models
    Pace pace = Pace::kFast;               // pace
    double scale = 1;                      // scale: wall time is simulated time times this
    uint64_t seed = 1;                     // seed: of all jitter
    uint64_t memory_bytes = 256ull << 20;  // memory: sparse; what READ and WRITE may address
    uint64_t clock_hz = 1'000'000'000;     // clock: of what is told in cycles
    uint32_t units = 1;                    // units: COMPUTEs served at the same time
    SimTime launch_latency = 0;            // launch-latency: of each COMPUTE, on its unit
    SimTime memory_latency = 100 * kPicosecondsPerNanosecond;  // memory-latency: READ, WRITE
    uint64_t memory_bandwidth = 0;  // memory-bandwidth: bytes a second on one bus; 0: no bound
    uint32_t max_in_flight = 4096;  // max-in-flight: more are answered BUSY
    uint64_t memory_limit = 0;      // memory-limit: of host memory for what was written; 0: all
};

/// What is wrong with a spec. Immutable.
struct SpecError {
    std::optional<size_t> model;  // index in `models`
    std::string key;              // as in YAML
    std::string message;          // without the key
};

/// The first mistake in `spec`, or nullopt. Pure: reads no file. Thread-safe.
std::optional<SpecError> find_error(const BuiltinSpec& spec);

/// The same as a Status: EINVAL, "models[1].bandwidth: must be ..".
Status validate(const BuiltinSpec& spec);

/// Points of a text file: a line "UNITS TIME" each (a comma or blanks between them, time with a
/// unit ps, ns, us, ms or s; ns without), '#' begins a comment. Errors: those of open(2) and
/// read(2); EINVAL with the line's number; E2BIG for more than kMaxTablePoints.
Result<std::vector<TablePoint>> load_points(const std::string& path);
inline constexpr size_t kMaxTablePoints = 1'000'000;
inline constexpr size_t kMaxModels = 256;

/// A simulator as `spec` says. `runner` is borrowed; the simulator is bound to its thread. Errors:
/// those of validate() and load_points().
Result<std::unique_ptr<Simulator>> make_builtin(const BuiltinSpec& spec, TaskRunner& runner);

}  // namespace mimic::sim
