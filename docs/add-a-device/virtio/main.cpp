// SPDX-License-Identifier: Apache-2.0
// virtio-adder-server SOCKET: serves one virtio adder, as a PCI function, until SIGTERM or SIGINT.
#include <cstdio>
#include <memory>
#include <string>
#include <string_view>

#include "host/server.h"
#include "host/stop_signals.h"
#include "virtio_adder.h"
#include "virtio_pci/virtio_pci.h"

namespace {

int fail_with(const mimic::Error& error) {
    std::fprintf(stderr, "virtio-adder-server: %s\n", error.message().c_str());
    return 1;
}

int serve(const std::string& socket_path) {
    const mimic::host::StopSignals stop;  // before there are threads
    auto function = mimic::virtio_pci::create(std::make_unique<adder::VirtioAdder>("adder0"),
                                              {.class_code = 0x120000});
    if (!function) return fail_with(function.error());
    const auto server = mimic::host::Server::create(std::move(*function), socket_path, {});
    if (!server) return fail_with(server.error());
    std::printf("Serving on %s\n", socket_path.c_str());
    std::fflush(stdout);
    stop.wait();
    return 0;
}

}  // namespace

int main(int argc, char** argv) {
    constexpr const char* kUsage = "usage: virtio-adder-server SOCKET";
    const std::string_view argument = argc == 2 ? argv[1] : "";
    if (argument == "--version") return std::puts("virtio-adder-server 1"), 0;
    if (argument == "--help" || argument == "-h") return std::puts(kUsage), 0;
    if (argument.empty() || argument.front() == '-') return std::fprintf(stderr, "%s\n", kUsage), 2;
    return serve(argv[1]);
}
