// SPDX-License-Identifier: Apache-2.0
#include "sim/socket/client.h"

#include <sys/epoll.h>

#include <cstdlib>
#include <utility>

#include "base/private_files.h"
#include "base/unix_socket.h"
#include "sim/socket/socket_simulator.h"

namespace mimic::sim {
namespace {

constexpr std::string_view kPlaceOfPath = "{socket}";

Status check_socket_options(const SocketOptions& options) {
    const auto wrong = [](std::string_view what) {
        return fail(std::errc::invalid_argument, "simulator: {}", what);
    };
    if (options.path.empty() && options.command.empty())
        return wrong("a socket or a command is needed");
    if (!options.command.empty() && options.command.front().empty())
        return wrong("the command's program has no name");
    if (options.timeout <= Duration::zero() || options.wait_limit <= Duration::zero() ||
        options.first_retry <= Duration::zero() || options.last_retry < options.first_retry)
        return wrong("times must be above zero, and the last retry not below the first");
    if (options.max_in_flight == 0 || options.max_queued == 0)
        return wrong("max_in_flight and max_queued must be above zero");
    if (options.clock_hz == 0) return wrong("the clock must be above zero");
    constexpr size_t kLongest = 107;  // of sockaddr_un
    if (options.path.size() > kLongest)
        return fail(std::errc::filename_too_long, "simulator: socket path of {} bytes, at most {}",
                    options.path.size(), kLongest);
    return {};
}

// A folder that nobody else can reach, for the socket of a command that was given none.
Result<std::string> make_socket_folder() {
    // NOLINTNEXTLINE(concurrency-mt-unsafe): nothing here calls setenv(3)
    const char* const runtime = std::getenv("XDG_RUNTIME_DIR");
    std::string pattern = fmt::format("{}/mimic-sim-XXXXXX",
                                      runtime && *runtime ? runtime : "/tmp");
    if (::mkdtemp(pattern.data()) == nullptr) return fail_errno("mkdtemp {}", pattern);
    return pattern;
}

}  // namespace

Result<std::unique_ptr<Simulator>> make_socket_simulator(const SocketOptions& options,
                                                         TaskRunner& runner) {
    MIMIC_TRY(check_socket_options(options));
    EventLoop* const loop = runner.event_loop();
    if (loop == nullptr)
        return fail(std::errc::not_supported,
                    "a simulator behind a socket needs an event loop, not simulated time");
    SocketOptions complete = options;
    std::string folder;
    if (complete.path.empty()) {
        MIMIC_ASSIGN_OR_RETURN(folder, make_socket_folder());
        complete.path = folder + "/sst.sock";
    }
    for (auto& word : complete.command) {
        if (const auto at = word.find(kPlaceOfPath); at != std::string::npos)
            word.replace(at, kPlaceOfPath.size(), complete.path);
    }
    auto simulator = std::make_unique<SocketSimulator>(std::move(complete), std::move(folder),
                                                       *loop);
    simulator->start();
    return simulator;
}

}  // namespace mimic::sim
