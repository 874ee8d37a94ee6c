// SPDX-License-Identifier: Apache-2.0
// The DMA engine of mock-accel, driven as a VMM's guest would: rings and data in a memfd that the
// server maps, doorbells as posted writes, completions polled. Copies of 64 KiB and more against
// memcpy of the same bytes on the server's CPU, in turns; and the rate of small descriptors.
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstring>

#include <fmt/format.h>

#include "bench/measure.h"
#include "bench/servers.h"
#include "devices/mock_accel/descriptor.h"
#include "devices/mock_accel/registers.h"
#include "memory/mapping.h"
#include "tests/protocol/client.h"

namespace {

using namespace mimic;
using namespace mimic::bench;
using namespace mimic::mock_accel;

constexpr int kRepetitions = 9;
constexpr uint64_t kMemoryBase = 0x100000000;  // where the memfd lies on the bus
constexpr uint64_t kRingAt = 0;                // offsets in the memfd
constexpr uint64_t kCompletionsAt = 1U << 20;
constexpr uint64_t kSourceAt = 2U << 20;
constexpr uint64_t kDataBytes = 32U << 20;
constexpr uint64_t kTargetAt = kSourceAt + kDataBytes;
constexpr uint64_t kPortion = 8U << 20;  // of the data, between two looks at the clock: short, so
                                         // that few are interrupted
constexpr uint64_t kMemoryBytes = kTargetAt + kDataBytes;
constexpr uint32_t kRegionBar0 = 0;
constexpr uint32_t kRegionConfig = 7;

[[noreturn]] void die(const char* what) {
    fmt::print(stderr, "bench: {}\n", what);
    std::exit(1);
}

/// A client with one ring of 2^order equal descriptors, which a doorbell runs again.
class Driver {
public:
    explicit Driver(const Child& child) : client_(UniqueFd(::dup(child.fd()))) {
        ucred peer{};
        socklen_t size = sizeof peer;
        if (::getsockopt(child.fd(), SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0 ||
            ::clock_getcpuclockid(peer.pid, &server_clock_) != 0) {
            die("who the server is");
        }
        fd_ = test::make_memfd(kMemoryBytes);
        auto mapping = Mapping::map(fd_.get(), 0, kMemoryBytes, PROT_READ | PROT_WRITE);
        if (!mapping) die("mmap");
        memory_ = std::move(*mapping);
        std::memset(at(0), 1, kMemoryBytes);
        std::memset(at(0), 0, kSourceAt);
        if (client_.dma_map(kMemoryBase, kMemoryBytes, fd_.get()) != 0) die("DMA_MAP");
        if (client_.put<uint16_t>(kRegionConfig, 0x04, 0x0006) != 0) die("COMMAND");
    }

    /// CPU time that the server has taken so far, in nanoseconds.
    double server_cpu_ns() const {
        timespec time{};
        if (::clock_gettime(server_clock_, &time) != 0) die("the server's clock");
        return static_cast<double>(time.tv_sec) * 1e9 + static_cast<double>(time.tv_nsec);
    }

    std::byte* at(uint64_t offset) { return memory_.bytes().data() + offset; }

    /// Makes a ring of 2^order COPYs of `size` bytes that walk through all data.
    void set_up(uint32_t order, uint32_t size) {
        order_ = order;
        tail_ = 0;
        std::memset(at(0), 0, kSourceAt);
        for (uint64_t i = 0; i < uint64_t{1} << order; ++i) {
            const uint64_t offset = i * size % kDataBytes;
            const Descriptor copy{.opcode = kOpcodeCopy,
                                  .length = size,
                                  .source = kMemoryBase + kSourceAt + offset,
                                  .destination = kMemoryBase + kTargetAt + offset,
                                  .cookie = i};
            std::memcpy(at(kRingAt + i * sizeof copy), &copy, sizeof copy);
        }
        put(RING_CONTROL, 0);
        client_.put<uint64_t>(kRegionBar0, RING_BASE.offset, kMemoryBase + kRingAt);
        client_.put<uint64_t>(kRegionBar0, COMPLETION_BASE.offset, kMemoryBase + kCompletionsAt);
        put(RING_ORDER, order);
        put(RING_CONTROL, 1);
    }

    /// Rings the doorbell for `count` more and waits for the last one's completion. Nanoseconds.
    double run(uint32_t count) {
        const uint32_t last = tail_ + count - 1;
        tail_ += count;
        const uint32_t slot = last & ((1U << order_) - 1);
        const uint64_t phase = ((last >> order_) & 1) ^ 1;
        // The second half of a completion, which holds the phase in its upper 16 bits.
        auto* const word = reinterpret_cast<uint64_t*>(
            at(kCompletionsAt + slot * sizeof(Completion) + 8));
        const std::atomic_ref<uint64_t> done(*word);
        const uint64_t start = now_ns();
        if (!client_.post(kRegionBar0, RING_TAIL.offset,
                          {reinterpret_cast<const uint8_t*>(&tail_), sizeof tail_})) {
            die("the server is gone");
        }
        while (done.load(std::memory_order_acquire) >> 48 != phase) {
            if (now_ns() - start > 20'000'000'000) die("no completion");
        }
        const auto elapsed = static_cast<double>(now_ns() - start);
        if (((done.load() >> 32) & 0xffff) != 0) die("a descriptor failed");
        return elapsed;
    }

private:
    void put(const reg::Register& reg, uint32_t value) {
        if (client_.put<uint32_t>(kRegionBar0, reg.offset, value) != 0) die(reg.name);
    }

    test::Client client_;
    clockid_t server_clock_{};
    UniqueFd fd_;
    Mapping memory_;
    uint32_t order_ = 0;
    uint32_t tail_ = 0;
};

double copy_here(Driver& driver, uint64_t offset, uint32_t size) {
    const uint64_t start = now_ns();
    for (const uint64_t end = offset + kPortion; offset < end; offset += size) {
        std::memcpy(driver.at(kTargetAt + offset), driver.at(kSourceAt + offset), size);
    }
    return static_cast<double>(now_ns() - start);
}

void bench_copies(Driver& driver, uint32_t order, int client_cpu, int server_cpu) {
    const auto size = static_cast<uint32_t>(kDataBytes >> order);
    driver.set_up(order, size);
    driver.run(1U << order);
    std::vector<double> ours;
    std::vector<double> theirs;
    std::vector<double> ratios;
    // Of all portions together: this clock may stand still for longer than one takes.
    const double cpu_before = driver.server_cpu_ns();
    for (int i = 0; i < kRepetitions * 4; ++i) {
        const uint64_t offset = static_cast<uint64_t>(i) * kPortion % kDataBytes;
        pin_to(server_cpu);
        theirs.push_back(kPortion / copy_here(driver, offset, size));
        pin_to(client_cpu);
        ours.push_back(kPortion / driver.run(static_cast<uint32_t>(kPortion / size)));
        ratios.push_back(ours.back() / theirs.back());
    }
    const double cpu_rate = kRepetitions * 4 * double{kPortion} /
                            (driver.server_cpu_ns() - cpu_before);
    fmt::print(
        "dma copy {:5} KiB: memcpy {:5.2f} GB/s, mimic {:5.2f} GB/s, ratio {:.3f} (goal >= 0.7), "
        "by "
        "the server's CPU time {:.3f}\n",
        size >> 10, median(theirs), median(ours), median(ratios), cpu_rate / median(theirs));
}

void bench_descriptors(Driver& driver) {
    constexpr uint32_t kOrder = 10;
    constexpr uint32_t kSize = 64;
    constexpr int kRounds = 200;
    driver.set_up(kOrder, kSize);
    driver.run(1U << kOrder);
    std::vector<double> rates;
    for (int i = 0; i < kRepetitions; ++i) {
        double elapsed = 0;
        for (int round = 0; round < kRounds; ++round) elapsed += driver.run(1U << kOrder);
        rates.push_back(kRounds * double{1U << kOrder} / elapsed * 1e3);
    }
    std::vector<double> single;
    for (int i = 0; i < 20'000; ++i) single.push_back(driver.run(1) / 1e3);
    fmt::print(
        "dma descriptors of {} B, 1024 a doorbell: {:.2f} M/s (goal >= 1); one alone, doorbell to "
        "completion: p50 {:.2f} us, p99 {:.2f} us\n",
        kSize, median(rates), quantile(single, 0.5), quantile(single, 0.99));
}

}  // namespace

int main() {
    const auto cpus = usable_cpus();
    if (cpus.size() < 2) {
        fmt::print("dma: skipped, this process may use only one CPU, and the client polls\n");
        return 0;
    }
    const Child child = Child::start({Kind::kMimic, cpus[1]});
    pin_to(cpus[0]);
    Driver driver(child);
    bench_copies(driver, 9, cpus[0], cpus[1]);  // 64 KiB
    bench_copies(driver, 5, cpus[0], cpus[1]);  // 1 MiB
    bench_copies(driver, 2, cpus[0], cpus[1]);  // 8 MiB
    bench_descriptors(driver);
    return 0;
}
