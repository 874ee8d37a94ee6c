// SPDX-License-Identifier: Apache-2.0
// Our event kernel's callbacks beside SystemC's timed methods: the same random delays, one chain
// and 2,000 in flight. Each measurement runs in a process of its own, for SystemC's kernel is one a
// process; the two take turns, and CPU time is what counts.
#include <fmt/format.h>
#include <systemc>

#include <fcntl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <memory>
#include <vector>

#include "bench/measure.h"
#include "sim/kernel/event_kernel.h"

namespace {

using mimic::sim::EventKernel;

constexpr int kRounds = 7;
constexpr uint64_t kMaxDelay = 1'000'000;  // ps

// xorshift64: the same work for both, and little of it.
struct Random {
    uint64_t state = 88172645463325252ull;
    uint64_t delay() {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        return 1 + state % kMaxDelay;
    }
};

double cpu_seconds() {
    timespec t{};
    ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) / 1e9;
}

// Events a second of each kind, `chains` in flight until `events` have run.
double ours(unsigned chains, uint64_t events) {
    struct Chain {
        EventKernel* kernel;
        Random* random;
        uint64_t* ran;
        void operator()() const {
            ++*ran;
            kernel->after(random->delay(), *this);
        }
    };
    EventKernel kernel;
    Random random;
    uint64_t ran = 0;
    for (unsigned i = 0; i < chains; ++i) {
        kernel.after(random.delay(), Chain{&kernel, &random, &ran});
    }
    const double start = cpu_seconds();
    kernel.run_until(EventKernel::kNever, events);
    return static_cast<double>(ran) / (cpu_seconds() - start);
}

// What all methods share.
struct Methods {
    Random random;
    uint64_t ran = 0;
    uint64_t events = 0;
};

struct Method : sc_core::sc_module {
    Methods& all;

    SC_HAS_PROCESS(Method);
    Method(const sc_core::sc_module_name& name, Methods& methods) : sc_module(name), all(methods) {
        SC_METHOD(run);
    }
    void run() {
        if (++all.ran >= all.events) sc_core::sc_stop();
        next_trigger(sc_core::sc_time::from_value(all.random.delay()));
    }
};

double systemc(unsigned chains, uint64_t events) {
    Methods all;
    all.events = events;
    std::vector<std::unique_ptr<Method>> methods;
    for (unsigned i = 0; i < chains; ++i) {
        methods.push_back(std::make_unique<Method>(sc_core::sc_gen_unique_name("chain"), all));
    }
    const double start = cpu_seconds();
    sc_core::sc_start();
    return static_cast<double>(all.ran) / (cpu_seconds() - start);
}

// The result of `measure` in a child.
double apart(const std::function<double()>& measure) {
    int ends[2];
    std::fflush(nullptr);
    if (::pipe2(ends, O_CLOEXEC) != 0) std::abort();
    const pid_t child = ::fork();
    if (child < 0) std::abort();
    if (child == 0) {
        sc_core::sc_report_handler::set_actions(sc_core::SC_INFO, sc_core::SC_DO_NOTHING);
        const double rate = measure();
        const bool told = ::write(ends[1], &rate, sizeof rate) == sizeof rate;
        ::_exit(told ? 0 : 1);
    }
    ::close(ends[1]);
    double rate = 0;
    if (::read(ends[0], &rate, sizeof rate) != sizeof rate) rate = 0;
    ::close(ends[0]);
    ::waitpid(child, nullptr, 0);
    return rate;
}

void compare(const char* what, unsigned chains, uint64_t events, double goal) {
    std::vector<double> mine;
    std::vector<double> theirs;
    std::vector<double> ratios;
    for (int round = 0; round < kRounds; ++round) {
        theirs.push_back(apart([&] { return systemc(chains, events / 4); }));
        mine.push_back(apart([&] { return ours(chains, events); }));
        ratios.push_back(mine.back() / theirs.back());
    }
    fmt::print("{:34} SystemC {:6.1f} M/s   Mimic {:6.1f} M/s   ratio {:5.2f} (goal >= {})\n", what,
               mimic::bench::median(theirs) / 1e6, mimic::bench::median(mine) / 1e6,
               mimic::bench::median(ratios), goal);
}

}  // namespace

// SystemC's main() calls this.
int sc_main(int, char**) {
    fmt::print("event kernel, random delays up to 1 us, CPU time, {} rounds, {}\n", kRounds,
               sc_core::sc_version());
    compare("one chain", 1, 8'000'000, 3);
    compare("2,000 in flight (goal >= 20 M/s)", 2000, 8'000'000, 4);
    return 0;
}
