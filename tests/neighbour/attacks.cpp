// SPDX-License-Identifier: Apache-2.0
#include "tests/neighbour/attacks.h"

#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include <fmt/format.h>

#include "base/check.h"
#include "bench/measure.h"
#include "devices/vmd/vmd.h"
#include "pci/config/pci_regs.h"
#include "tests/neighbour/fabric_guest.h"
#include "tests/neighbour/host.h"

namespace mimic::neighbour {
namespace {

using namespace vfio_user;
using test::operator+;
using test::bytes_of;
using test::Client;
using test::Request;
using Begun = std::function<void()>;
namespace regs = pci::regs;

// What a flood sends at once: what a socket takes although nobody reads, so that it has begun when
// the first is sent. What is larger is one message. Arbitrary.
constexpr size_t kBurst = 64U << 10;
constexpr uint32_t kMegabyte = 1U << 20;

Client connect(const Host& host, const char* device) {
    Client client(host.path(device));
    if (client.negotiate() != 0) ::_exit(1);
    client.raw().set_deadline_ms(600'000);  // the host may let it wait
    return client;
}

// Sends `messages` again and again, without a reply, as fast as the host takes them.
void flood(Client& client, std::initializer_list<Request> messages, const Begun& begun) {
    test::Bytes once;
    for (const Request& message : messages) once = std::move(once) + test::posted(message).bytes();
    test::Bytes burst = once;
    while (burst.size() < kBurst) burst.insert(burst.end(), once.begin(), once.end());
    for (bool first = true; client.raw().send_bytes(burst); first = false)
        if (first) begun();
}

// --- Work that the guest's own driver brings -------------------------------------------------

void copy_by(const Host& host, uint32_t vfs, const Begun& begun) {
    FabricGuest guest(host.path(kFabric));
    guest.start_copying(vfs);
    guest.work_on();
    begun();
    for (;;) guest.work_on();
}

void busy_16(const Host& host, const Begun& begun) {
    copy_by(host, 16, begun);
}

void busy_64(const Host& host, const Begun& begun) {
    copy_by(host, 64, begun);
}

// --- Messages that cost much -----------------------------------------------------------------

void trigger_2048(const Host& host, const Begun& begun) {
    Client client = connect(host, kMany);
    const UniqueFd event = test::make_eventfd();
    const std::vector<int> events(kMaxMsgFds, event.get());
    for (uint32_t first = 0; first < kManyVectors; first += kMaxMsgFds)
        if (client.set_irqs(kIrqDataEventfd | kIrqActionTrigger, kIrqMsix, first, kMaxMsgFds,
                            events) != 0)
            ::_exit(1);
    flood(client, {test::irqs_request(kIrqDataNone | kIrqActionTrigger, kIrqMsix, 0, kManyVectors)},
          begun);
}

void trigger_16(const Host& host, const Begun& begun) {
    Client client = connect(host, kFabric);
    const UniqueFd event = test::make_eventfd();
    if (client.set_irqs(kIrqDataEventfd | kIrqActionTrigger, kIrqMsix, 0, vmd::kVectors,
                        std::vector<int>(vmd::kVectors, event.get())) != 0)
        ::_exit(1);
    flood(client,
          {test::irqs_request(kIrqDataNone | kIrqActionTrigger, kIrqMsix, 0, vmd::kVectors)},
          begun);
}

void vf_enable(const Host& host, const Begun& begun) {
    FabricGuest guest(host.path(kFabric));
    guest.client().raw().set_deadline_ms(600'000);
    flood(guest.client(), {guest.vfs_request(true), guest.vfs_request(false)}, begun);
}

Request write_multi(const std::vector<WriteMultiEntry>& entries) {
    test::Bytes body = bytes_of(uint64_t{entries.size()});
    const auto* const bytes = reinterpret_cast<const uint8_t*>(entries.data());
    body.insert(body.end(), bytes, bytes + entries.size() * sizeof entries[0]);
    return {Command::kRegionWriteMulti, std::move(body)};
}

void vf_enable_multi(const Host& host, const Begun& begun) {
    FabricGuest guest(host.path(kFabric));
    guest.client().raw().set_deadline_ms(600'000);
    std::vector<WriteMultiEntry> entries;
    for (int i = 0; i < 40'000; ++i) {
        WriteMultiEntry entry{guest.sriov_control(), vmd::kConfigBar, 2, {}};
        const uint16_t value = FabricGuest::control_value(i % 2 == 0);
        std::memcpy(entry.data, &value, sizeof value);
        entries.push_back(entry);
    }
    flood(guest.client(), {write_multi(entries)}, begun);
}

void multi_40000(const Host& host, const Begun& begun) {
    Client client = connect(host, kEndpoint);
    flood(client, {write_multi(std::vector<WriteMultiEntry>(40'000, {0x2c, 0, 4, {1}}))}, begun);
}

void read_memory(const Host& host, const Begun& begun) {
    Client client = connect(host, kEndpoint);
    flood(client, {test::read_request(2, 0, kMegabyte)}, begun);
}

void read_memory_replies(const Host& host, const Begun& begun) {
    Client client = connect(host, kEndpoint);
    begun();
    const Request request = test::read_request(2, 0, kMegabyte);
    std::vector<uint8_t> data(kMegabyte);
    const test::Bytes burst = request.bytes() + request.bytes();
    while (client.raw().send_bytes(burst) && client.raw().receive() && client.raw().receive()) {
    }
}

void read_domain(const Host& host, const Begun& begun) {
    FabricGuest guest(host.path(kFabric));
    guest.client().raw().set_deadline_ms(600'000);
    if (guest.client().status(guest.vfs_request(true)) != 0) ::_exit(1);
    flood(guest.client(), {test::read_request(vmd::kConfigBar, kMegabyte, kMegabyte)}, begun);
}

void read_config_fabric(const Host& host, const Begun& begun) {
    FabricGuest guest(host.path(kFabric));
    guest.client().raw().set_deadline_ms(600'000);
    flood(guest.client(), {test::read_request(vmd::kConfigBar, kMegabyte, 4096)}, begun);
}

void read_config(const Host& host, const Begun& begun) {
    Client client = connect(host, kEndpoint);
    flood(client, {test::read_request(kRegionConfig, 0, 4096)}, begun);
}

void read_registers(const Host& host, const Begun& begun) {
    Client client = connect(host, kEndpoint);
    client.put<uint16_t>(kRegionConfig, regs::COMMAND, regs::COMMAND_MEMORY_SPACE);
    flood(client, {test::read_request(0, 0, 4096)}, begun);
}

void write_config(const Host& host, const Begun& begun) {
    Client client = connect(host, kEndpoint);
    flood(client, {test::write_request(kRegionConfig, regs::COMMAND, bytes_of(uint16_t{6}))},
          begun);
}

void unknown_commands(const Host& host, const Begun& begun) {
    Client client = connect(host, kEndpoint);
    flood(client, {Request(static_cast<Command>(99), {})}, begun);
}

// --- Resets ----------------------------------------------------------------------------------

void reset_fabric(const Host& host, const Begun& begun) {
    Client client = connect(host, kFabric);
    flood(client, {Request(Command::kDeviceReset, {})}, begun);
}

void reset_endpoint(const Host& host, const Begun& begun) {
    Client client = connect(host, kEndpoint);
    flood(client, {Request(Command::kDeviceReset, {})}, begun);
}

void reset_full_memory(const Host& host, const Begun& begun) {
    Client client = connect(host, kEndpoint);
    const test::RegionInfo info = client.region_info(2);
    auto memory = Mapping::map(info.fd.get(), 0, kDeviceMemory, PROT_READ | PROT_WRITE);
    if (!memory) ::_exit(1);
    for (bool first = true;; first = false) {
        for (uint64_t at = 0; at < kDeviceMemory; at += 4096) memory->bytes()[at] = std::byte{1};
        if (client.reset() != 0) return;
        if (first) begun();
    }
}

void function_level_reset(const Host& host, const Begun& begun) {
    Client client = connect(host, kEndpoint);
    uint32_t at = client.get<uint8_t>(kRegionConfig, regs::CAPABILITIES_POINTER);
    while (at != 0 && client.get<uint8_t>(kRegionConfig, at) != regs::CAP_ID_PCIE)
        at = client.get<uint8_t>(kRegionConfig, at + 1);
    flood(client,
          {test::write_request(kRegionConfig, at + regs::DEVCTL,
                               bytes_of(uint16_t{regs::DEVCTL_INITIATE_FLR}))},
          begun);
}

// --- Guest memory ----------------------------------------------------------------------------

void map_and_unmap(const Host& host, const Begun& begun) {
    Client client = connect(host, kEndpoint);
    flood(client, {test::map_request(0, 4096), test::unmap_request(0, 4096)}, begun);
}

// 2,000 of them with a mapping, which costs most to take away.
void unmap_all(const Host& host, const Begun& begun) {
    Client client = connect(host, kEndpoint);
    const UniqueFd memory = test::make_memfd(4096);
    for (bool first = true;; first = false) {
        for (uint64_t i = 0; i < 2000; ++i)
            if (client.dma_map(i << 12, 4096, memory.get()) != 0) return;
        test::Bytes maps;
        for (uint64_t i = 2000; i < kMaxDmaMaps; ++i)
            maps = std::move(maps) + test::posted(test::map_request(i << 12, 4096)).bytes();
        if (!client.raw().send_bytes(maps)) return;
        if (client.dma_unmap(0, 0, kUnmapAll) != 0) return;
        if (first) begun();
    }
}

// --- Those that come and go ------------------------------------------------------------------

// In the middle of a message, with regions that are still mapped.
void dying(const Host& host, const Begun& begun) {
    const test::Bytes half = test::write_request(0, 0, bytes_of(uint64_t{1})).bytes();
    for (int round = 0;; ++round) {
        const pid_t pid = ::fork();
        if (pid == 0) {
            ::prctl(PR_SET_PDEATHSIG, SIGKILL);
            Client client = connect(host, kEndpoint);
            for (uint64_t i = 0; i < 100; ++i) (void)client.dma_map(i << 12, 4096);
            client.raw().send_bytes(std::span(half).first(half.size() - 3));
            ::kill(::getpid(), SIGKILL);
        }
        int status = 0;
        ::waitpid(pid, &status, 0);
        if (round == 0) begun();
    }
}

void connecting(const Host& host, const Begun& begun) {
    const Client first = connect(host, kEndpoint);
    begun();
    for (;;) {
        const test::RawClient again(host.path(kEndpoint));
    }
}

constexpr std::array kAttacks = {
    Attack{"busy-16", "16 VFs copy all the time", busy_16},
    Attack{"busy-64", "64 VFs copy all the time", busy_64},
    Attack{"trigger-2048", "SET_IRQS triggers 2,048 vectors", trigger_2048},
    Attack{"trigger-16", "SET_IRQS triggers 16 vectors", trigger_16},
    Attack{"vf-enable", "64 VFs made and ended", vf_enable},
    Attack{"vf-enable-multi", "the same, 40,000 times a message", vf_enable_multi},
    Attack{"multi-40000", "REGION_WRITE_MULTI of 40,000", multi_40000},
    Attack{"read-memory", "1 MiB reads without replies", read_memory},
    Attack{"read-memory-replies", "1 MiB reads with replies", read_memory_replies},
    Attack{"read-domain", "1 MiB of a fabric's configuration", read_domain},
    Attack{"read-config-fabric", "4 KiB of a fabric's configuration", read_config_fabric},
    Attack{"read-config", "4 KiB of configuration", read_config},
    Attack{"read-registers", "4 KiB of registers", read_registers},
    Attack{"write-config", "COMMAND written", write_config},
    Attack{"unknown-commands", "commands that do not exist", unknown_commands},
    Attack{"reset-fabric", "DEVICE_RESET of a fabric", reset_fabric},
    Attack{"reset-endpoint", "DEVICE_RESET of an endpoint", reset_endpoint},
    Attack{"reset-full-memory", "DEVICE_RESET with 256 MiB written", reset_full_memory},
    Attack{"flr", "function level resets", function_level_reset},
    Attack{"map-unmap", "DMA_MAP and DMA_UNMAP", map_and_unmap},
    Attack{"unmap-all", "65,535 regions mapped and unmapped", unmap_all},
    Attack{"dying", "kill -9 in the middle of a message", dying},
    Attack{"connecting", "connects as fast as it can", connecting},
};

}  // namespace

std::span<const Attack> attacks() {
    return kAttacks;
}

Neighbour::Neighbour(const Host& host, const Attack& attack, int cpu) {
    std::array<int, 2> pipe{};
    MIMIC_CHECK(::pipe(pipe.data()) == 0);
    std::fflush(nullptr);
    pid_ = ::fork();
    MIMIC_CHECK(pid_ >= 0);
    if (pid_ == 0) {
        ::prctl(PR_SET_PDEATHSIG, SIGKILL);
        ::close(pipe[0]);
        if (cpu >= 0) {
            bench::pin_to(cpu);
            // It must not be what takes the CPU from the client that is measured.
            const sched_param none{};
            (void)::sched_setscheduler(0, SCHED_IDLE, &none);
        }
        attack.run(host, [&pipe] { MIMIC_CHECK(::write(pipe[1], "b", 1) == 1); });
        ::_exit(1);
    }
    ::close(pipe[1]);
    char begun = 0;
    if (::read(pipe[0], &begun, 1) != 1) {
        fmt::print(stderr, "neighbour: {} did not begin\n", attack.name);
        std::exit(1);
    }
    ::close(pipe[0]);
}

Neighbour::~Neighbour() {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
}

bool Neighbour::alive() const {
    siginfo_t info{};
    return ::waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
           info.si_pid == 0;
}

}  // namespace mimic::neighbour
