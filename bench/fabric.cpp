// SPDX-License-Identifier: Apache-2.0
// Round trip of a 4-byte read of an accelerator behind a fabric (root port and switch, behind a
// VMD) against that of the same accelerator as an endpoint. Both are served by the same server and
// alternate in one run; the figure is the median of the repetitions' ratios.
#include <fmt/format.h>

#include "bench/reads.h"
#include "devices/vmd/vmd.h"
#include "pci/config/pci_regs.h"

namespace {

using namespace mimic::bench;
namespace regs = mimic::pci::regs;

constexpr int kRepetitions = 15;
constexpr int kReads = 20'000;
constexpr uint32_t kConfigRegion = 7;
constexpr uint32_t kWindow = 0x8000'0000;  // arbitrary, below 4 GiB
constexpr uint32_t kOn = regs::COMMAND_MEMORY_SPACE | regs::COMMAND_BUS_MASTER;

void write(const Child& child, uint32_t region, uint64_t offset, uint32_t value) {
    if (!send_all(child.fd(), posted_write(offset, region, value))) std::exit(1);
}

uint32_t read(const Child& child, const Bytes& request) {
    std::array<uint8_t, kReadReplySize> reply;
    if (!send_all(child.fd(), request) ||
        !receive_exactly(child.fd(), reply.data(), reply.size())) {
        std::exit(1);
    }
    uint32_t value = 0;
    std::memcpy(&value, reply.data() + reply.size() - sizeof value, sizeof value);
    return value;
}

// What firmware and the guest's PCI core do: addresses of the VMD, windows of the three ports, and
// the accelerator's BAR0.
void program(const Child& child) {
    write(child, kConfigRegion, regs::BAR0 + 4 * mimic::vmd::kMemory32Bar, kWindow);
    write(child, kConfigRegion, regs::COMMAND, kOn);
    for (const uint64_t bus : {0, 1, 2}) {
        const uint64_t port = bus << 20;
        constexpr uint32_t kOneMegabyte = (kWindow >> 16) | kWindow;
        write(child, mimic::vmd::kConfigBar, port + regs::MEMORY_BASE, kOneMegabyte);
        write(child, mimic::vmd::kConfigBar, port + regs::COMMAND, kOn);
    }
    constexpr uint64_t kDevice = 3 << 20;
    write(child, mimic::vmd::kConfigBar, kDevice + regs::BAR0, kWindow);
    write(child, mimic::vmd::kConfigBar, kDevice + regs::COMMAND, kOn);
}

void bench(const char* name, int client_cpu, int server_cpu) {
    pin_to(client_cpu);
    const Child endpoint = Child::start({Kind::kMimic, server_cpu});
    const Child fabric = Child::start({Kind::kFabric, server_cpu});
    program(fabric);
    const Bytes direct = region_read(0);
    const Bytes routed = region_read(0, mimic::vmd::kMemory32Bar);
    if (read(endpoint, direct) != read(fabric, routed)) {
        fmt::print(stderr, "bench: the accelerator behind the fabric does not answer\n");
        std::exit(1);
    }
    measure_reads(endpoint, kReads, direct);
    measure_reads(fabric, kReads, routed);
    std::vector<double> endpoint50, fabric50, ratios;
    for (int i = 0; i < kRepetitions; ++i) {
        endpoint50.push_back(measure_reads(endpoint, kReads, direct).p50);
        fabric50.push_back(measure_reads(fabric, kReads, routed).p50);
        ratios.push_back(fabric50.back() / endpoint50.back());
    }
    fmt::print(
        "fabric read 4 B, {:22} endpoint p50 {:6.2f} us, fabric p50 {:6.2f} us, ratio {:.3f} (goal "
        "<= 1.1)\n",
        name, median(endpoint50), median(fabric50), median(ratios));
}

}  // namespace

int main() {
    const auto cpus = usable_cpus();
    bench("one CPU:", cpus[0], cpus[0]);
    if (cpus.size() > 1) {
        bench("two CPUs:", cpus[0], cpus[1]);
    } else {
        fmt::print("fabric read on two CPUs: skipped, this process may use only one\n");
    }
    return 0;
}
