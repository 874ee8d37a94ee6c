// SPDX-License-Identifier: Apache-2.0
// What a client that reads a register notices of its neighbours: p50 and p99 of its reads while
// each kind of neighbour does its worst, as ratios to its own figures alone just before and after.
//
//   bench_neighbour [NAME...]           a table; each kind on the same loop and on another
//   bench_neighbour --check [NAME...]   a test: who shares a loop with one is served within a
//   second
#include <sys/socket.h>
#include <sys/time.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "base/unix_socket.h"
#include "bench/measure.h"
#include "bench/wire.h"
#include "tests/neighbour/attacks.h"
#include "tests/neighbour/host.h"

namespace {

using namespace mimic;
using namespace mimic::neighbour;
using bench::now_ns;

constexpr double kSecond = 1e6;  // in microseconds, as all times here
constexpr size_t kReadReply = 36;
constexpr double kGoalSameLoop = 5;
constexpr double kGoalOtherLoop = 1.2;

/// The client that is measured.
class Victim {
public:
    explicit Victim(const Host& host) {
        auto socket = unix_connect(host.path(kVictim));
        // Beyond it nobody is served any more; a read that takes longer than a second fails the
        // check but is worth its figure.
        constexpr timeval kDeadline{60, 0};
        if (!socket ||
            ::setsockopt(socket->get(), SOL_SOCKET, SO_RCVTIMEO, &kDeadline, sizeof kDeadline) !=
                0 ||
            !bench::negotiate(socket->get()))
            give_up();
        socket_ = std::move(*socket);
    }

    /// Times of reads, one after the other, for so many microseconds; of one read at least.
    std::vector<double> read(double microseconds) {
        static const bench::Bytes request = bench::region_read(0);
        std::vector<double> times;
        const uint64_t begin = now_ns();
        uint64_t last = begin;
        while (times.empty() || static_cast<double>(last - begin) / 1000 < microseconds) {
            if (!bench::round_trip(socket_.get(), request, kReadReply)) give_up();
            const uint64_t now = now_ns();
            times.push_back(static_cast<double>(now - last) / 1000);
            last = now;
        }
        return times;
    }

private:
    [[noreturn]] static void give_up() {
        fmt::print(stderr, "neighbour: the client is not served\n");
        std::exit(1);
    }

    UniqueFd socket_;
};

// False if it is not served. Half of the reads may take longer than a second because of a machine
// that is busy with other things; a neighbour that can stall a loop does it to all of them.
bool check(const Attack& attack) {
    const Host host({});
    Victim victim(host);
    const Neighbour neighbour(host, attack, -1);
    std::vector<double> times = victim.read(kSecond);
    const double p50 = bench::quantile(times, 0.5);
    const bool works = p50 < kSecond && neighbour.alive();
    fmt::print("{:20} {:6} reads, p50 {:10.2f} ms, longest {:10.2f} ms{}{}\n", attack.name,
               times.size(), p50 / 1000, *std::max_element(times.begin(), times.end()) / 1000,
               p50 < kSecond ? "" : ": NOT SERVED",
               neighbour.alive() ? "" : ": the neighbour had to end");
    std::fflush(stdout);
    return works;
}

struct Figures {
    double p50;
    double p99;
};

Figures figures_of(std::vector<double> times) {
    return {bench::quantile(times, 0.5), bench::quantile(times, 0.99)};
}

// The client has a CPU with the loop, or with the neighbour, which gives way to it.
void measure(const Attack& attack, bool same_loop, const std::vector<int>& cpus) {
    const int other = cpus.size() > 1 ? cpus[1] : cpus[0];
    bench::pin_to(same_loop ? other : cpus[0]);
    const Host host({same_loop, cpus[0], other});
    Victim victim(host);
    victim.read(kSecond / 10);
    std::vector<double> alone = victim.read(kSecond / 2);
    std::vector<double> beside;
    {
        const Neighbour neighbour(host, attack, other);
        victim.read(kSecond / 10);
        beside = victim.read(kSecond);
        if (!neighbour.alive()) fmt::print("{} had to end\n", attack.name);
    }
    victim.read(kSecond / 2);  // what it left is worked off
    const std::vector<double> after = victim.read(kSecond / 2);
    alone.insert(alone.end(), after.begin(), after.end());
    const Figures a = figures_of(std::move(alone));
    const double longest = *std::max_element(beside.begin(), beside.end());
    const Figures b = figures_of(std::move(beside));
    fmt::print(
        "neighbour {:19} {:10} alone p50 {:6.1f} p99 {:7.1f} us, beside it p50 {:8.1f} p99 {:8.1f} "
        "max {:8.1f} us, p50 ratio {:6.2f}, p99 ratio {:6.2f} (goal <= {})\n",
        attack.name, same_loop ? "same loop:" : "other:", a.p50, a.p99, b.p50, b.p99, longest,
        b.p50 / a.p50, b.p99 / a.p99, same_loop ? kGoalSameLoop : kGoalOtherLoop);
    std::fflush(stdout);
}

}  // namespace

int main(int argc, char** argv) {
    std::vector<std::string> names(argv + 1, argv + argc);
    const bool checks = !names.empty() && names.front() == "--check";
    if (checks) names.erase(names.begin());
    for (const std::string& name : names) {
        if (std::ranges::none_of(attacks(), [&](const Attack& a) { return name == a.name; })) {
            fmt::print(stderr, "usage: bench_neighbour [--check] [NAME...], with NAME one of\n");
            for (const Attack& attack : attacks())
                fmt::print(stderr, "  {:20} {}\n", attack.name, attack.what);
            return 2;
        }
    }
    const auto cpus = bench::usable_cpus();
    bool all_served = true;
    for (const Attack& attack : attacks()) {
        if (!names.empty() && std::ranges::find(names, attack.name) == names.end()) continue;
        if (checks) {
            all_served = check(attack) && all_served;
            continue;
        }
        for (const bool same_loop : {true, false}) measure(attack, same_loop, cpus);
    }
    return all_served ? 0 : 1;
}
