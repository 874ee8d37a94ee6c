// SPDX-License-Identifier: Apache-2.0
// A client and a server on one thread, for callgrind: bench/run counts the instructions of
// EventLoop::run_once(), which is all that the server executes for a request.
#include <fmt/format.h>

#include <unistd.h>

#include <cstdlib>

#include "base/unix_socket.h"
#include "bench/wire.h"
#include "devices/mock_accel/mock_accel.h"
#include "vfio_user/server.h"

int main(int argc, char** argv) {
    using namespace mimic;
    const int reads = argc > 1 ? std::atoi(argv[1]) : 10'000;
    const auto path = fmt::format("/tmp/mimic-bench-{}.sock", ::getpid());
    auto loop = std::move(EventLoop::create()).value();
    auto device = std::move(
                      mock_accel::MockAccel::create({.name = "bench", .identifier = "BENCH-0001"}))
                      .value();
    vfio_user::LoopContext context(*loop);
    auto server = std::move(vfio_user::Server::create(context, *device, {path, {}})).value();
    auto client = std::move(unix_connect(path)).value();

    // Everything is on one thread: the server runs between the client's send and its receive.
    const auto turn = [&] { loop->run_once(Duration::zero()); };
    turn();
    const auto hello = bench::message(vfio_user::Command::kVersion, vfio_user::VersionBody{0, 0},
                                      0);
    if (!bench::send_all(client.get(), hello)) return 1;
    turn();
    std::array<uint8_t, 4096> reply;
    if (::recv(client.get(), reply.data(), reply.size(), 0) <= 0) return 1;
    const auto request = bench::region_read(0);
    for (int i = 0; i < reads; ++i) {
        if (!bench::send_all(client.get(), request)) return 1;
        turn();
        if (!bench::receive_exactly(client.get(), reply.data(), 36)) return 1;
    }
    return 0;
}
