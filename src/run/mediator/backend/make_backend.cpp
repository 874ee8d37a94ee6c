// SPDX-License-Identifier: Apache-2.0
#include <sys/un.h>

#include "base/check.h"
#include "base/private_files.h"
#include "mediator/backend/per_vm_backend.h"
#include "mediator/backend/worker_process.h"

namespace mimic::mediator::backend {
namespace {

// A name becomes a part of a file's.
bool is_plain(const std::string& name) {
    return !name.empty() && name.size() <= 40 && name[0] != '.' &&
           name.find_first_not_of(
               "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
               "-_.") == std::string::npos;
}

// The longest path of its sockets: those of cuda have a number, too.
Status check_path(const BackendConfig& config, const BackendPlace& place) {
    constexpr size_t kMax = sizeof(sockaddr_un::sun_path) - 1;
    const bool numbered = std::holds_alternative<CudaBackend>(config.kind);
    const auto path = fmt::format("{}/backend-{}{}.sock", place.run_folder, config.name,
                                  numbered ? fmt::format("~{}", kMaxVmProcesses - 1) : "");
    if (path.size() <= kMax) return {};
    return fail(std::errc::filename_too_long,
                "the socket {} has a path of {} bytes; a UNIX socket can have {}", path,
                path.size(), kMax);
}

}  // namespace

Result<std::unique_ptr<Backend>> make_backend(const BackendConfig& config,
                                              const BackendPlace& place, TaskRunner& runner) {
    EventLoop* const loop = runner.event_loop();
    MIMIC_CHECK(loop != nullptr);
    if (!is_plain(config.name)) {
        return fail(std::errc::invalid_argument,
                    "\"{}\" is no name of a backend: letters, digits, '-', '_' and '.', at most 40",
                    config.name);
    }
    MIMIC_TRY(check_path(config, place));
    MIMIC_TRY(make_private_dir(place.run_folder));
    if (std::holds_alternative<CudaBackend>(config.kind)) {
        return std::make_unique<PerVmBackend>(config, place, *loop);
    }
    return std::make_unique<WorkerProcess>(config, place, *loop);
}

}  // namespace mimic::mediator::backend
