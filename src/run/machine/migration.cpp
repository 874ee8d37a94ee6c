// SPDX-License-Identifier: Apache-2.0
#include "machine/migration.h"

#include <nlohmann/json.hpp>
#include <thread>

#include "base/interrupt.h"
#include "machine/qmp.h"

namespace mimic::machine {
namespace {

using namespace std::chrono_literals;
using Json = nlohmann::ordered_json;

constexpr auto kAnswer = 60s;  // a busy host may stop QEMU for 20 s
constexpr auto kLook = 20ms;   // between two looks at how far QEMU is; arbitrary

std::string channels(const std::string& path) {
    const Json address{{"transport", "file"}, {"filename", path}, {"offset", 0}};
    const Json channel{{"channel-type", "main"}, {"addr", address}};
    return Json{{"channels", Json::array({channel})}}.dump(-1, ' ', false,
                                                           Json::error_handler_t::replace);
}

Status set_mapped_ram(QmpClient& monitor, bool on) {
    const Json capability{{"capability", "mapped-ram"}, {"state", on}};
    const auto set = monitor.execute("migrate-set-capabilities",
                                     Json{{"capabilities", Json::array({capability})}}.dump(),
                                     kAnswer);
    if (!set) return tl::unexpected(set.error());
    return {};
}

/// How far QEMU is.
struct MigrationStatus {
    std::string word;  // of the QAPI's MigrationStatus; empty: none yet
    std::string why;   // it failed
};

Result<MigrationStatus> migration_status(QmpClient& monitor) {
    MIMIC_ASSIGN_OR_RETURN(const auto text, monitor.execute("query-migrate", kAnswer));
    const Json json = Json::parse(text, nullptr, false);
    const auto word = [&](const char* key) {
        const auto at = json.is_object() ? json.find(key) : json.end();
        return at != json.end() && at->is_string() ? at->get<std::string>() : std::string();
    };
    return MigrationStatus{word("status"), word("error-desc")};
}

/// Waits until QEMU has written or read all of it.
Status wait_until_done(QmpClient& monitor, TimePoint deadline) {
    for (;;) {
        MIMIC_ASSIGN_OR_RETURN(const auto now, migration_status(monitor));
        const std::string& status = now.word;
        if (status == "completed") return {};
        if (status == "failed" || status == "cancelled")
            return fail(std::errc::io_error, "QEMU: {}", now.why.empty() ? status : now.why);
        if (SteadyClock().now() >= deadline)
            return fail(std::errc::timed_out, "QEMU was not done in time ({})",
                        status.empty() ? "no status" : status);
        if (interrupted() != 0) return fail(std::errc::interrupted, "interrupted");
        sleep_unless_interrupted(kLook);
    }
}

/// However it ends: only then does QEMU let the guest go on.
void wait_until_over(QmpClient& monitor) {
    const TimePoint ends = SteadyClock().now() + kAnswer;
    while (SteadyClock().now() < ends) {
        const auto status = migration_status(monitor);
        if (!status || status->word.empty() || status->word == "completed" ||
            status->word == "failed" || status->word == "cancelled")
            return;
        std::this_thread::sleep_for(kLook);  // ^C has been heard already
    }
}

Status write_guest(QmpClient& monitor, const std::string& path, TimePoint deadline) {
    MIMIC_TRY(set_mapped_ram(monitor, true));
    const auto begun = monitor.execute("migrate", channels(path), kAnswer);
    if (!begun) return tl::unexpected(begun.error());
    Status done = wait_until_done(monitor, deadline);
    if (done || done.error().code() == std::errc::io_error) return done;
    // A guest cannot go on while it is written, and a cancel only asks for its end.
    [[maybe_unused]] const auto cancelled = monitor.execute("migrate_cancel", kAnswer);
    wait_until_over(monitor);
    return done;
}

Status resume(QmpClient& monitor) {
    const auto going = monitor.execute("cont", kAnswer);
    if (!going) return tl::unexpected(going.error());
    return {};
}

}  // namespace

Status save_guest(const std::string& qmp_socket, const std::string& path, Duration timeout) {
    const TimePoint deadline = SteadyClock().now() + timeout;
    MIMIC_ASSIGN_OR_RETURN(const auto monitor, QmpClient::connect(qmp_socket, kAnswer));
    if (const auto stopped = monitor->execute("stop", kAnswer); !stopped)
        return tl::unexpected(stopped.error());
    Status written = write_guest(*monitor, path, deadline);
    // The next one may be without: it is no part of the machine.
    [[maybe_unused]] const Status off = set_mapped_ram(*monitor, false);
    Status going = resume(*monitor);
    if (going || written) return written ? going : written;
    return fail(std::errc::state_not_recoverable, "{}; and the guest does not go on: {}",
                written.error().message(), going.error().message());
}

Status let_guest_run(const std::string& qmp_socket) {
    MIMIC_ASSIGN_OR_RETURN(const auto monitor, QmpClient::connect(qmp_socket, kAnswer));
    MIMIC_ASSIGN_OR_RETURN(const auto text, monitor->execute("query-status", kAnswer));
    const Json json = Json::parse(text, nullptr, false);
    if (!json.is_object() || json.value("running", Json(true)) == Json(true)) return {};
    if (json.value("status", Json()) == "debug")
        return fail(std::errc::device_or_resource_busy, "a debugger holds the guest");
    wait_until_over(*monitor);
    return resume(*monitor);
}

Status load_guest(const std::string& qmp_socket, const std::string& path, Duration timeout) {
    const TimePoint deadline = SteadyClock().now() + timeout;
    MIMIC_ASSIGN_OR_RETURN(const auto monitor, QmpClient::connect(qmp_socket, kAnswer));
    MIMIC_TRY(set_mapped_ram(*monitor, true));
    if (const auto begun = monitor->execute("migrate-incoming", channels(path), kAnswer); !begun)
        return tl::unexpected(begun.error());
    Status loaded = wait_until_done(*monitor, deadline);
    if (!loaded && (loaded.error().code() == std::errc::connection_reset ||
                    loaded.error().code() == std::errc::broken_pipe))
        return fail(std::errc::state_not_recoverable, "QEMU ended while it loaded {}", path);
    MIMIC_TRY(loaded);
    return resume(*monitor);
}

}  // namespace mimic::machine
