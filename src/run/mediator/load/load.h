// SPDX-License-Identifier: Apache-2.0
// Load on a mediator: some VMs that each keep a number of requests in flight through the same queue
// as devices do, and what came of it. For tests, benchmarks and examples without guests.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/event_loop.h"
#include "base/result.h"
#include "compute/queue.h"
#include "mediator/load/latencies.h"

namespace mimic::mediator::load {

/// What a VM asks for, again and again.
struct Job {
    enum class Kind : uint8_t { kNop, kSum, kSpin };
    Kind kind = Kind::kNop;
    std::vector<uint64_t> spin_ns;  // kSpin: these lengths in turns
    bool operator==(const Job&) const = default;
};

struct Vm {
    compute::Identity identity;
    size_t depth = 1;  // requests in flight, 1 .. Queue::kMaxInFlight
    Job job;
    Duration think{};  // between an answer and the next request
    bool operator==(const Vm&) const = default;
};

struct Options {
    std::string path;  // "<vm_id>" in it becomes the number
    compute::Protocol protocol = compute::Protocol::kV3;
    std::vector<Vm> vms;
    Duration warm_up{};  // not counted
    Duration duration = std::chrono::seconds(1);
    uint64_t requests = 0;  // of each VM, then it is quiet; 0: no end but the duration
    Duration connect_within = std::chrono::seconds(10);
};

struct VmResult {
    Vm vm;
    uint64_t done = 0;                    // with status OK
    std::map<uint32_t, uint64_t> failed;  // by enum vgpu_error
    Latencies latencies;                  // of what was done
    uint64_t asked_ns = 0;                // of spin jobs that were done
    compute::Queue::Counters counters;
};

struct Outcome {
    double seconds = 0;  // that were counted
    std::vector<VmResult> vms;
};

/// Runs it on `loop` (which is run() and stopped) and waits at the end for what is in flight, at
/// most for the queue's time for an answer; that is not counted. stop() of the loop ends it early.
/// Errors: ETIMEDOUT if the mediator is not there for all VMs within connect_within; those of
/// make_socket_queue().
Result<Outcome> run(const Options& options, EventLoop& loop);

/// "ID,pool=A,priority=high,depth=8,think=1ms,job=spin:1ms:20ms"; all but the ID may be left out, a
/// job is nop, sum or spin with times. Errors: EINVAL with the word that is wrong.
Result<Vm> parse_vm(const std::string& words);
/// "20ms", "1.5s", "50us", "100ns". Errors: EINVAL.
Result<Duration> parse_time(const std::string& word);

/// A line a VM, and one of all.
std::string as_text(const Outcome& outcome);
/// One JSON object: {"seconds", "per_second", "vms": [{"vm_id", "done", "failed": {"7": 1},
/// "per_second", "share", "p50_us", "p90_us", "p99_us", "max_us", "resent", "connections"}]}.
std::string as_json(const Outcome& outcome);

}  // namespace mimic::mediator::load
