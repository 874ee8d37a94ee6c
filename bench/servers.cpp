// SPDX-License-Identifier: Apache-2.0
#include "bench/servers.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <string>
#include <utility>

#include <fmt/format.h>

#include "base/event_loop.h"
#include "base/unix_socket.h"
#include "bench/measure.h"
#include "bench/wire.h"
#include "devices/mock_accel/mock_accel.h"
#include "devices/vmd/vmd.h"
#include "pci/trace/trace_ring.h"
#include "vfio_user/server.h"

namespace mimic::bench {
namespace {

constexpr size_t kReadRequest = 32;
constexpr size_t kWriteRequest = 36;
constexpr size_t kReadReply = 36;

// As `mimic serve` sets it.
constexpr Duration kSpin = std::chrono::microseconds(50);
constexpr uint64_t kTraceBytes = uint64_t{1} << 20;

// What a child tells its parent once its devices listen.
struct Report {
    double start_ms;
    double device_bytes;
};

[[noreturn]] void die(const std::string& what) {
    fmt::print(stderr, "bench: {}\n", what);
    std::exit(1);
}

double resident_bytes() {
    std::ifstream statm("/proc/self/statm");
    double size = 0;
    double resident = 0;
    statm >> size >> resident;
    return resident * static_cast<double>(::sysconf(_SC_PAGESIZE));
}

// Blocking recv and send of the same sizes: the floor that any request-reply server over this
// socket has.
[[noreturn]] void serve_bare(int fd) {
    // A multiple of the write's size, so that a read never ends inside a message.
    static std::array<uint8_t, kWriteRequest * 1820> buffer;
    const std::array<uint8_t, kReadReply> reply{};
    for (;;) {
        const ssize_t n = ::recv(fd, buffer.data(), buffer.size(), 0);
        if (n <= 0) ::_exit(0);
        // The read that ends a stream of writes may come together with the last of them.
        if (static_cast<size_t>(n) % kWriteRequest == kReadRequest &&
            ::send(fd, reply.data(), reply.size(), MSG_NOSIGNAL) < 0)
            ::_exit(0);
    }
}

std::string socket_path(const std::string& folder, unsigned device) {
    return fmt::format("{}/{}.sock", folder, device);
}

std::unique_ptr<mock_accel::MockAccel> make_accel(unsigned index) {
    mock_accel::Options options;
    options.name = fmt::format("bench{}", index);
    options.identifier = fmt::format("BENCH-{:04}", index);
    auto device = mock_accel::MockAccel::create(options);
    if (!device) die(device.error().message());
    return std::move(*device);
}

// An accelerator behind a root port and a switch, as in a server with eight of them.
std::unique_ptr<pci::Function> make_fabric() {
    auto endpoint = vmd::Vmd::create({.name = "bench"});
    if (!endpoint) die(endpoint.error().message());
    pci::Fabric& fabric = (*endpoint)->fabric();
    auto root = fabric.add_bridge(nullptr, 0, {.name = "root"}, 1, 8);
    if (!root) die(root.error().message());
    auto up = fabric.add_bridge(*root, 0, {.name = "up", .type = pci::PciePortType::kUpstreamPort},
                                2, 8);
    if (!up) die(up.error().message());
    auto down = fabric.add_bridge(
        *up, 0, {.name = "down", .type = pci::PciePortType::kDownstreamPort}, 3, 3);
    if (!down) die(down.error().message());
    if (auto added = fabric.add_function(*down, 0, make_accel(0)); !added) {
        die(added.error().message());
    }
    return std::move(*endpoint);
}

[[noreturn]] void serve_mimic(const ChildOptions& options, const std::string& folder,
                              int report_fd) {
    const double before = resident_bytes();
    const uint64_t start = now_ns();
    auto loop = EventLoop::create();
    if (!loop) die(loop.error().message());
    if (options.spin) (*loop)->set_spin(kSpin);
    vfio_user::LoopContext context(**loop);
    std::vector<std::unique_ptr<pci::Function>> devices;
    std::vector<std::unique_ptr<vfio_user::Server>> servers;
    const SteadyClock clock;
    pci::TraceRing ring(kTraceBytes, clock, 1, pci::cheapest_ticks());
    for (unsigned i = 0; i < options.devices; ++i) {
        if (options.kind == Kind::kFabric) {
            devices.push_back(make_fabric());
        } else {
            devices.push_back(make_accel(i));
        }
        if (options.trace != Trace::kNever) devices.back()->set_tracer(&ring);
        if (options.trace == Trace::kOff) devices.back()->set_tracer(nullptr);
        auto server = vfio_user::Server::create(context, *devices.back(),
                                                {socket_path(folder, i), {}});
        if (!server) die(server.error().message());
        servers.push_back(std::move(*server));
    }
    const Report report{static_cast<double>(now_ns() - start) / 1e6,
                        (resident_bytes() - before) / options.devices};
    if (::write(report_fd, &report, sizeof report) != sizeof report) die("report");
    (*loop)->run();
    ::_exit(0);
}

// To a server that does not say when it listens.
UniqueFd connect_in_time(const std::string& path) {
    for (const uint64_t end = now_ns() + 5'000'000'000; now_ns() < end; ::usleep(10'000)) {
        auto fd = unix_connect(path);
        if (fd && negotiate(fd->get())) return std::move(*fd);
    }
    die(path + ": nobody serves");
}

}  // namespace

Child Child::start(const ChildOptions& options) {
    Child child;
    std::string folder = "/tmp/mimic-bench.XXXXXX";
    if (::mkdtemp(folder.data()) == nullptr) die("mkdtemp");
    int pair[2];
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) die("socketpair");
    std::fflush(stdout);
    child.pid_ = ::fork();
    if (child.pid_ < 0) die("fork");
    if (child.pid_ == 0) {
        ::prctl(PR_SET_PDEATHSIG, SIGKILL);
        ::close(pair[0]);
        pin_to(options.cpu);
        if (options.kind == Kind::kBare) serve_bare(pair[1]);
        if (options.kind == Kind::kProgram) {
            ::execl(options.program.c_str(), options.program.c_str(),
                    socket_path(folder, 0).c_str(), nullptr);
            die(fmt::format("{}: {}", options.program, std::strerror(errno)));
        }
        serve_mimic(options, folder, pair[1]);
    }
    ::close(pair[1]);
    child.fd_.reset(pair[0]);
    if (options.kind == Kind::kProgram) child.fd_ = connect_in_time(socket_path(folder, 0));
    if (options.kind == Kind::kMimic || options.kind == Kind::kFabric) {
        Report report;
        if (!receive_exactly(child.fd(), reinterpret_cast<uint8_t*>(&report), sizeof report))
            die("the server did not start");
        child.start_ms_ = report.start_ms;
        child.device_bytes_ = report.device_bytes;
        auto fd = unix_connect(socket_path(folder, 0));
        if (!fd) die(fd.error().message());
        child.fd_ = std::move(*fd);
        if (!negotiate(child.fd())) die("negotiation with the server");
    }
    for (unsigned i = 0; i < options.devices; ++i) ::unlink(socket_path(folder, i).c_str());
    ::rmdir(folder.c_str());
    return child;
}

Child::Child(Child&& other) noexcept
    : fd_(std::move(other.fd_)),
      pid_(std::exchange(other.pid_, -1)),
      start_ms_(other.start_ms_),
      device_bytes_(other.device_bytes_) {}

Child::~Child() {
    if (pid_ < 0) return;
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
}

}  // namespace mimic::bench
