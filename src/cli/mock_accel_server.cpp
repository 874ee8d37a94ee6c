// SPDX-License-Identifier: Apache-2.0
// mock-accel-server: one mock accelerator on one socket, with the command line of mock-device.
#include <cstdio>

#include "base/log.h"
#include "base/result.h"
#include "cli/version.h"
#include "devices/mock_accel/command_line.h"
#include "host/server.h"
#include "host/stop_signals.h"
#include "memory/process_limits.h"

namespace {

using mimic::mock_accel::CommandLine;
using mimic::mock_accel::MockAccel;
using mimic::mock_accel::Pf;
using mimic::mock_accel::StaticVf;
using mimic::mock_accel::StaticVfs;

int fail(int status, const std::string& message) {
    std::fputs(fmt::format("mock-accel-server: {}\n", message).c_str(), stderr);
    return status;
}

// 17179869184 -> "16G", as the option takes it.
std::string size_text(uint64_t bytes) {
    const char* suffix = "";
    for (const char* larger : {"K", "M", "G", "T"}) {
        if (bytes == 0 || bytes % 1024 != 0) break;
        bytes /= 1024;
        suffix = larger;
    }
    return fmt::format("{}{}", bytes, suffix);
}

void introduce(const CommandLine& line, const MockAccel& device) {
    const auto& options = line.device;
    const bool is_vf = options.is_vf();
    std::string text = fmt::format(
        "Mock PCIe accelerator ({})\n"
        "  Socket:  {}\n"
        "  UUID:    {}\n"
        "  Memory:  {} ({} bytes)\n"
        "  PCI ID:  {:04x}:{:04x}\n",
        is_vf ? "Virtual Function" : "Physical Function", line.socket_path, device.display_uuid(),
        size_text(options.memory_size_bytes), options.memory_size_bytes,
        mimic::mock_accel::kVendorId,
        is_vf ? mimic::mock_accel::kVfDeviceId : mimic::mock_accel::kPfDeviceId);
    if (const auto* const vf = std::get_if<StaticVf>(&options.role)) {
        text += fmt::format("  VF:      {}\n", vf->index);
    } else {
        const auto& vfs = std::get<StaticVfs>(std::get<Pf>(options.role).vfs);
        text += fmt::format("  VFs:     {}\n", vfs.total);
    }
    std::fputs((text + "Waiting for client...\n").c_str(), stdout);
    std::fflush(stdout);  // a script waits for this line in a pipe
}

int serve(const CommandLine& line) {
    auto device = MockAccel::create(line.device);
    if (!device) return fail(2, device.error().message());
    const MockAccel& model = **device;
    mimic::raise_descriptor_limit();

    const mimic::host::StopSignals stop;
    const auto server = mimic::host::Server::create(std::move(*device), line.socket_path,
                                                    mimic::host::Server::Options{});
    if (!server) return fail(1, server.error().message());
    introduce(line, model);
    stop.wait();
    return 0;
}

}  // namespace

int main(int argc, char** argv) {
    const auto line = mimic::mock_accel::parse_command_line(argc, argv);
    if (!line) return fail(2, line.error().message());
    switch (line->action) {
        case CommandLine::Action::kHelp:
            std::fputs(std::string(mimic::mock_accel::usage()).c_str(), stdout);
            return 0;
        case CommandLine::Action::kVersion:
            std::printf("mock-accel-server %s\n", mimic::kVersion);
            return 0;
        case CommandLine::Action::kServe:
            break;
    }
    if (line->verbose) mimic::log::set_level(mimic::log::Level::kDebug);
    for (const auto& warning : line->warnings) fail(0, "warning: " + warning);
    return serve(*line);
}
