// SPDX-License-Identifier: Apache-2.0
// adder-server SOCKET [CONTROL]: serves one adder until SIGTERM or SIGINT; with CONTROL, the
// control API for it on that socket.
#include <cstdio>
#include <string>
#include <string_view>

#include "adder.h"
#include "host/server.h"
#include "host/stop_signals.h"

namespace {

int fail_with(const mimic::Error& error) {
    std::fprintf(stderr, "adder-server: %s\n", error.message().c_str());
    return 1;
}

int serve(const std::string& socket_path, const std::string& control_path) {
    const mimic::host::StopSignals stop;  // before there are threads
    auto device = adder::Adder::create("adder0");
    if (!device) return fail_with(device.error());
    const auto server = mimic::host::Server::create(std::move(*device), socket_path,
                                                    {.control_socket = control_path});
    if (!server) return fail_with(server.error());
    std::printf("Serving on %s\n", socket_path.c_str());
    std::fflush(stdout);
    stop.wait();
    return 0;
}

}  // namespace

int main(int argc, char** argv) {
    constexpr const char* kUsage = "usage: adder-server SOCKET [CONTROL]";
    const std::string_view argument = argc == 2 || argc == 3 ? argv[1] : "";
    if (argument == "--version") return std::puts("adder-server 1"), 0;
    if (argument == "--help" || argument == "-h") return std::puts(kUsage), 0;
    const std::string_view control = argc == 3 ? argv[2] : "";
    // A socket with such a name is "./-x": what is meant here is an option.
    if (argument.empty() || argument.front() == '-' || control.starts_with('-'))
        return std::fprintf(stderr, "%s\n", kUsage), 2;
    return serve(argv[1], std::string(control));
}
