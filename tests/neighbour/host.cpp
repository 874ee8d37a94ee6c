// SPDX-License-Identifier: Apache-2.0
#include "tests/neighbour/host.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "base/loop_pool.h"
#include "bench/measure.h"
#include "devices/mock_accel/mock_accel.h"
#include "devices/vmd/vmd.h"
#include "pci/function/capabilities.h"
#include "vfio_user/server.h"

namespace mimic::neighbour {
namespace {

// As `mimic serve` sets it.
constexpr Duration kSpin = std::chrono::microseconds(50);

[[noreturn]] void die(const std::string& what) {
    fmt::print(stderr, "neighbour: the host: {}\n", what);
    ::_exit(1);
}

template <typename T>
T must(Result<T> result) {
    if (!result) die(result.error().message());
    return std::move(*result);
}

/// Nothing but an MSI-X table.
class ManyVectors final : public pci::Function {
public:
    static std::unique_ptr<pci::Function> create() {
        pci::FunctionOptions options;
        options.name = kMany;
        options.vendor_id = 0x1de5;
        options.device_id = 0x7e57;
        options.class_code = 0x120000;
        options.bars[0] = {.type = pci::BarType::kMemory32, .size = 0x10000};
        std::unique_ptr<ManyVectors> made(new ManyVectors(std::move(options)));
        pci::CapabilityBuilder builder(*made);
        must(builder.add_msix({.vectors = kManyVectors, .table_offset = 0, .pba_offset = 0x8000}));
        must(builder.add_pcie({}));
        return made;
    }

private:
    explicit ManyVectors(pci::FunctionOptions options) : Function(std::move(options)) {}
    void on_read(unsigned, uint64_t, std::span<uint8_t> data) override {
        std::memset(data.data(), 0, data.size());
    }
    void on_write(unsigned, uint64_t, std::span<const uint8_t>) override {}
    void on_reset(pci::ResetKind) override {}
};

std::unique_ptr<pci::Function> make_accel(const char* name, uint64_t memory_bytes) {
    return must(mock_accel::MockAccel::create(
        {.name = name, .identifier = name, .memory_bar_bytes = memory_bytes}));
}

std::unique_ptr<pci::Function> make_fabric() {
    auto endpoint = must(vmd::Vmd::create({.name = kFabric}));
    pci::Port* const port = must(endpoint->fabric().add_bridge(nullptr, 0, {.name = "root"}, 1, 8));
    mock_accel::NativeVfs native{.memory_bar_bytes = 0x4000};
    for (uint32_t i = 0; i < kVfs; ++i) {
        native.vfs.push_back(
            {.name = fmt::format("pf-vf{}", i), .identifier = fmt::format("VF-{}", i)});
    }
    const mock_accel::Options options{
        .name = "pf", .role = mock_accel::Pf{.vfs = std::move(native)}, .identifier = "PF"};
    auto added = endpoint->fabric().add_function(port, 0,
                                                 must(mock_accel::MockAccel::create(options)));
    if (!added) die(added.error().message());
    return endpoint;
}

std::unique_ptr<pci::Function> make_device(const std::string& name) {
    if (name == kMany) return ManyVectors::create();
    if (name == kFabric) return make_fabric();
    return name == kEndpoint ? make_accel(kEndpoint, kDeviceMemory) : make_accel(kVictim, 0);
}

[[noreturn]] void serve(const Placement& placement, const std::string& folder, int ready) {
    const auto pool = must(LoopPool::create(placement.same_loop ? 1 : 2));
    std::vector<std::unique_ptr<vfio_user::LoopContext>> contexts;
    std::vector<std::unique_ptr<pci::Function>> devices;
    std::vector<std::unique_ptr<vfio_user::Server>> servers;
    for (unsigned i = 0; i < pool->size(); ++i) {
        contexts.push_back(std::make_unique<vfio_user::LoopContext>(pool->loop(i)));
        const int cpu = i == 0 ? placement.victim_cpu : placement.others_cpu;
        LoopPool::run_on(pool->loop(i), [&] {
            pool->loop(i).set_spin(kSpin);
            if (cpu >= 0) bench::pin_to(cpu);
        });
    }
    for (const char* name : {kVictim, kEndpoint, kMany, kFabric}) {
        vfio_user::LoopContext& context = name == kVictim ? *contexts.front() : *contexts.back();
        LoopPool::run_on(context.loop, [&] {
            devices.push_back(make_device(name));
            servers.push_back(must(vfio_user::Server::create(
                context, *devices.back(), {.socket_path = folder + "/" + name, .session = {}})));
        });
    }
    if (::write(ready, "r", 1) != 1) die("nobody waits");
    for (;;) ::pause();
}

}  // namespace

Host::Host(const Placement& placement) {
    folder_ = "/tmp/mimic-neighbour.XXXXXX";
    std::array<int, 2> pipe{};
    if (::mkdtemp(folder_.data()) == nullptr || ::pipe(pipe.data()) != 0) die("no folder or pipe");
    std::fflush(nullptr);
    pid_ = ::fork();
    if (pid_ < 0) die("fork");
    if (pid_ == 0) {
        ::prctl(PR_SET_PDEATHSIG, SIGKILL);
        ::close(pipe[0]);
        serve(placement, folder_, pipe[1]);
    }
    ::close(pipe[1]);
    char ready = 0;
    if (::read(pipe[0], &ready, 1) != 1) die("did not start");
    ::close(pipe[0]);
}

Host::~Host() {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
    for (const char* name : {kVictim, kEndpoint, kMany, kFabric}) ::unlink(path(name).c_str());
    ::rmdir(folder_.c_str());
}

}  // namespace mimic::neighbour
