// SPDX-License-Identifier: Apache-2.0
#include "mediator/daemon/daemon.h"

#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/event_loop.h"
#include "base/log.h"
#include "base/timer.h"
#include "mediator/backend/backend.h"
#include "mediator/config/parse.h"
#include "mediator/control/api.h"
#include "mediator/control/run_folder.h"
#include "mediator/daemon/signals.h"
#include "mediator/server/server.h"

namespace mimic::mediator {
namespace {

// sd_notify(3)'s protocol: a datagram to the socket that the service manager names.
void notify_manager(const char* state) {
    const char* const path = std::getenv("NOTIFY_SOCKET");
    if (path == nullptr || (path[0] != '/' && path[0] != '@')) return;
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    const size_t length = std::strlen(path);
    if (length >= sizeof address.sun_path) return;
    std::memcpy(address.sun_path, path, length);
    if (path[0] == '@') address.sun_path[0] = '\0';  // an abstract one
    const UniqueFd fd(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + length);
    if (!fd || ::sendto(fd.get(), state, std::strlen(state), MSG_NOSIGNAL,
                        reinterpret_cast<const sockaddr*>(&address), size) < 0)
        MIMIC_LOG("mediator", kWarn, "The service manager does not hear \"{}\"", state);
}

// Each connection is a descriptor, and shells give 1,024.
void raise_descriptors() {
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
    limit.rlim_cur = limit.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &limit);
}

/// Everything of one process. Made and destroyed on the main thread, which runs its loop.
class Daemon {
public:
    static Result<std::unique_ptr<Daemon>> create(DaemonOptions options, RunFolder folder);

    void run();
    void on_signal(int number);  // on any thread
    const Config& config() const { return engine_->config(); }

private:
    Daemon(DaemonOptions options, RunFolder folder)
        : options_(std::move(options)), folder_(std::move(folder)), process_(options_.name) {}
    Status start();
    void complete(Config& config) const;
    Result<Config> read_config() const;
    // These on the loop.
    Status apply(const Config& given);
    void drain(bool on);
    void end_softly();
    void tell(const AuditEvent& event);
    void reload_on_signal(const Result<Config>& config);

    const DaemonOptions options_;
    RunFolder folder_;
    service::ProcessContext process_;
    std::unique_ptr<EventLoop> loop_;
    std::unique_ptr<AuditLog> audit_;
    std::unique_ptr<Engine> engine_;
    std::unique_ptr<Server> server_;
    std::unique_ptr<MediatorControl> control_;  // ends first: its thread asks the others
    bool ending_ = false;                       // these two: the loop's
    bool drained_ = false;
};

// What a configuration leaves to the process.
void Daemon::complete(Config& config) const {
    config.run_folder = folder_.path();
    if (config.socket.empty()) config.socket = folder_.path() + "/mediator.sock";
    name_backends(config);
}

Result<Config> Daemon::read_config() const {
    MIMIC_ASSIGN_OR_RETURN(auto config, load(options_.config_file));
    if (!config.run_folder.empty() && config.run_folder != folder_.path())
        return fail(std::errc::invalid_argument,
                    "{}: run_folder is {} now; it changes only with a new process",
                    options_.config_file, config.run_folder);
    complete(config);
    return config;
}

Result<std::unique_ptr<Daemon>> Daemon::create(DaemonOptions options, RunFolder folder) {
    std::unique_ptr<Daemon> daemon(new Daemon(std::move(options), std::move(folder)));
    MIMIC_TRY(daemon->start());
    return daemon;
}

Status Daemon::start() {
    Config config = options_.config;
    complete(config);
    MIMIC_ASSIGN_OR_RETURN(loop_, EventLoop::create());
    loop_->set_spin(options_.spin);
    MIMIC_ASSIGN_OR_RETURN(audit_, AuditLog::open(options_.name, config.audit_log));
    const backend::BackendPlace place{
        .run_folder = folder_.path(), .program = "", .patience = std::chrono::seconds(30)};
    MIMIC_ASSIGN_OR_RETURN(
        engine_, make_engine(config,
                             [this, place](const BackendConfig& wanted) {
                                 return backend::make_backend(wanted, place, *loop_);
                             },
                             *loop_, {.audit = [this](const AuditEvent& event) { tell(event); }}));
    MIMIC_ASSIGN_OR_RETURN(server_, Server::listen(server_options(config), *engine_, *loop_));
    ApiParts parts;
    parts.engine = engine_.get();
    parts.loop = loop_.get();
    parts.process = &process_;
    parts.audit = audit_.get();
    parts.sockets = [this] { return server_->counters(); };
    parts.config_file = options_.config_file;
    parts.read_config = [this] { return read_config(); };
    parts.apply = [this](const Config& given) { return apply(given); };
    parts.drain = [this](bool on) { drain(on); };
    parts.drained = [this] { return drained_; };
    MIMIC_ASSIGN_OR_RETURN(control_,
                           MediatorControl::create(folder_.control_socket(), std::move(parts)));
    return {};
}

void Daemon::run() {
    tell({"started", std::nullopt, fmt::format("pid {}", ::getpid())});
    loop_->run();
    control_.reset();
    tell({"ended", std::nullopt, ""});
}

// Nobody is left to tell who asked: it is in the log.
static void keep(const char* what, const Status& done) {
    if (!done)
        MIMIC_LOG("mediator", kError, "{} could not be opened again: {}", what,
                  done.error().message());
}

// All or nothing: what can fail comes first, and is taken back.
Status Daemon::apply(const Config& given) {
    const Config before = engine_->config();
    MIMIC_TRY(audit_->reopen(given.audit_log));
    if (auto done = server_->reload(server_options(given)); !done) {
        keep("the audit log", audit_->reopen(before.audit_log));
        return done;
    }
    if (auto done = engine_->reload(given); !done) {
        keep("the sockets", server_->reload(server_options(before)));
        keep("the audit log", audit_->reopen(before.audit_log));
        return done;
    }
    return {};
}

void Daemon::drain(bool on) {
    drained_ = false;
    if (on)
        engine_->drain(true, [this] {
            drained_ = true;
            if (ending_) loop_->stop();
        });
    else
        engine_->drain(false, nullptr);
}

void Daemon::end_softly() {
    if (ending_) return loop_->stop();  // the second time: now
    ending_ = true;
    notify_manager("STOPPING=1");
    drain(true);
    loop_->post_delayed([this] { loop_->stop(); }, options_.drain_patience);
}

void Daemon::tell(const AuditEvent& event) {
    audit_->write(event);
    MIMIC_LOG("mediator", kInfo, "{}{}: {}", event.what,
              event.vm ? fmt::format(" VM {}", *event.vm) : "", event.detail);
    if (!process_.events.listening()) return;
    nlohmann::ordered_json members = {
        {"what", event.what}, {"vm", nullptr}, {"detail", event.detail}};
    if (event.vm) members["vm"] = *event.vm;
    process_.events.publish("mediator", "", members);
}

void Daemon::reload_on_signal(const Result<Config>& config) {
    Status done;
    if (config)
        done = apply(*config);
    else
        done = tl::unexpected(config.error());
    if (done) return;
    MIMIC_LOG("mediator", kError, "The old configuration stays: {}", done.error().message());
    tell({"reload-failed", std::nullopt, done.error().message()});
}

void Daemon::on_signal(int number) {
    if (number == SIGINT) return loop_->stop();
    if (number == SIGTERM) return loop_->post([this] { end_softly(); });
    if (options_.config_file.empty())
        return loop_->post(
            [this] { keep("the audit log", audit_->reopen(engine_->config().audit_log)); });
    loop_->post([this, config = read_config()] { reload_on_signal(config); });
}

void introduce(const DaemonOptions& options, const Config& config) {
    if (!options.quiet) {
        std::fputs(fmt::format("mimic-mediator: {} at {}\n", options.name, config.socket).c_str(),
                   stdout);
        if (!config.vm_sockets.empty())
            std::fputs(
                fmt::format("mimic-mediator: {} VMs at {}\n", config.vms.size(), config.vm_sockets)
                    .c_str(),
                stdout);
    }
    std::fputs("mimic-mediator: ready\n", stdout);
    std::fflush(stdout);  // a script waits for this line in a pipe
    notify_manager("READY=1");
}

}  // namespace

Status run_daemon(DaemonOptions options) {
    Signals signals;
    raise_descriptors();
    MIMIC_ASSIGN_OR_RETURN(auto folder, RunFolder::claim(options.name, options.config.run_folder));
    MIMIC_ASSIGN_OR_RETURN(const auto daemon, Daemon::create(options, std::move(folder)));
    introduce(options, daemon->config());
    signals.start([raw = daemon.get()](int number) { raw->on_signal(number); });
    daemon->run();
    signals.stop();  // before the daemon goes, to which it hands them
    return {};
}

}  // namespace mimic::mediator
