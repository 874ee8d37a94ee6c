// SPDX-License-Identifier: Apache-2.0
// adder-server SOCKET: serves one adder until SIGTERM or SIGINT.
#include <csignal>
#include <cstdio>
#include <string_view>

#include "adder.h"
#include "vfio_user/server.h"

namespace {

mimic::EventLoop* g_loop = nullptr;

int fail_with(const mimic::Error& error) {
    std::fprintf(stderr, "adder-server: %s\n", error.message().c_str());
    return 1;
}

int serve(const char* socket_path) {
    auto loop = mimic::EventLoop::create();
    if (!loop) return fail_with(loop.error());
    g_loop = loop->get();
    std::signal(SIGTERM, [](int) { g_loop->stop(); });
    std::signal(SIGINT, [](int) { g_loop->stop(); });

    auto device = adder::Adder::create("adder0");
    if (!device) return fail_with(device.error());
    mimic::vfio_user::LoopContext context(**loop);
    auto server = mimic::vfio_user::Server::create(context, **device, {socket_path, {}});
    if (!server) return fail_with(server.error());
    std::printf("Serving on %s\n", socket_path);
    std::fflush(stdout);
    (*loop)->run();
    return 0;
}

}  // namespace

int main(int argc, char** argv) {
    constexpr const char* kUsage = "usage: adder-server SOCKET";
    const std::string_view argument = argc == 2 ? argv[1] : "";
    if (argument == "--version") return std::puts("adder-server 1"), 0;
    if (argument == "--help" || argument == "-h") return std::puts(kUsage), 0;
    // A socket with such a name is "./-x": what is meant here is an option.
    if (argument.empty() || argument.front() == '-') return std::fprintf(stderr, "%s\n", kUsage), 2;
    return serve(argv[1]);
}
