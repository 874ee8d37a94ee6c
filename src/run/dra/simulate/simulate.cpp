// SPDX-License-Identifier: Apache-2.0
#include "dra/simulate/simulate.h"

#include <pthread.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cmath>
#include <csignal>
#include <cstdio>
#include <cstring>

#include "base/log.h"
#include "dra/simulate/simulation.h"
#include "dra/simulate/template.h"
#include "service/http_server.h"

namespace mimic::dra {
namespace {

// To delete everything at the end. Arbitrary: 5,000 slices take some 20 s on a busy machine.
constexpr std::chrono::milliseconds kRemoveLimit = std::chrono::minutes(3);

int complain(int status, const std::string& message) {
    std::fputs(fmt::format("mimic-dra: {}\n", message).c_str(), stderr);
    return status;
}

void say(const std::string& line) {
    std::fputs((line + "\n").c_str(), stdout);
    std::fflush(stdout);  // a script waits for it in a pipe
}

// `mimic` in the folder of this program, else in PATH.
std::string mimic_beside_us() {
    std::array<char, 4096> path{};
    const ssize_t size = ::readlink("/proc/self/exe", path.data(), path.size());
    if (size <= 0 || size == static_cast<ssize_t>(path.size())) return "mimic";
    std::string beside(path.data(), static_cast<size_t>(size));
    beside.resize(beside.rfind('/') + 1);
    beside += "mimic";
    return ::access(beside.c_str(), X_OK) == 0 ? beside : "mimic";
}

Status check_options(const SimulationOptions& options) {
    if (options.workers < 1 || options.workers > 256) {
        return fail(std::errc::invalid_argument, "--workers is 1 to 256");
    }
    if (!std::isfinite(options.churn) || options.churn < 0 || options.churn > 10'000) {
        return fail(std::errc::invalid_argument, "--churn is 0 to 10000 changes a second");
    }
    return {};
}

Result<std::unique_ptr<service::HttpServer>> serve(uint16_t port, const Simulation& simulation) {
    using service::HttpRequest;
    using service::HttpResponse;
    const auto text = [](int status, std::string body) {
        HttpResponse response;
        response.status = status;
        response.body = std::move(body);
        response.content_type = "text/plain; version=0.0.4; charset=utf-8";
        return response;
    };
    service::HttpServer::Options options;
    options.handler = [text, &simulation](const HttpRequest& request) {
        if (request.method != "GET") return text(405, "GET only\n");
        if (request.path == "/metrics") return text(200, simulation.metrics());
        if (request.path == "/healthz") return text(200, "ok\n");
        return text(404, "there are /metrics and /healthz\n");
    };
    options.refuse = [text](int status, const char*, const char* sentence) {
        return text(status, std::string(sentence) + "\n");
    };
    // Whoever is on this machine may read counters.
    options.guard = [](const HttpRequest&) { return std::optional<HttpResponse>(); };
    return service::HttpServer::create_tcp(port, std::move(options));
}

void tell_published(const Simulation& simulation) {
    const double seconds = simulation.publishing_time().count();
    say(fmt::format(
        "published nodes={} slices={} devices={} seconds={:.3f} slices_per_second={:.1f}",
        simulation.fleet().size(), simulation.slices(), simulation.fleet().devices(), seconds,
        static_cast<double>(simulation.slices()) / std::max(seconds, 1e-9)));
}

// Blocked before the first thread, so that all threads have them blocked and sigtimedwait() gets
// them.
sigset_t block_stop_signals() {
    sigset_t set;
    ::sigemptyset(&set);
    for (const int number : {SIGINT, SIGTERM, SIGHUP}) ::sigaddset(&set, number);
    ::pthread_sigmask(SIG_BLOCK, &set, nullptr);
    ::signal(SIGPIPE, SIG_IGN);
    return set;
}

bool stop_requested(const sigset_t& signals, std::chrono::milliseconds wait) {
    const timespec time{static_cast<time_t>(wait.count() / 1000),
                        (wait.count() % 1000) * 1'000'000};
    return ::sigtimedwait(&signals, nullptr, &time) > 0;
}

}  // namespace

int run_simulation(const SimulationOptions& options) {
    if (const auto status = check_options(options); !status) {
        return complain(2, status.error().message());
    }
    const auto text = run_plan(options.mimic.empty() ? mimic_beside_us() : options.mimic,
                               options.file, options.numvfs);
    if (!text) return complain(1, text.error().message());
    auto pools = pools_of_list(*text);
    if (!pools) return complain(1, options.file + ": " + pools.error().message());
    auto fleet = Fleet::create(std::move(*pools), options.nodes, options.name_prefix);
    if (!fleet) return complain(2, fleet.error().message());
    auto config = kube::default_config(options.kubeconfig);
    if (!config) return complain(1, config.error().message());
    if (config->user_agent.empty()) config->user_agent = "mimic-dra-simulate";

    const sigset_t signals = block_stop_signals();
    Simulation simulation(std::move(*fleet),
                          std::make_shared<const kube::ClientConfig>(std::move(*config)),
                          {.workers = options.workers,
                           .churn = options.churn,
                           .churn_steps = options.churn_steps,
                           .seed = options.seed,
                           .create_nodes = options.create_nodes});
    std::unique_ptr<service::HttpServer> http;
    if (options.http_port) {
        auto server = serve(*options.http_port, simulation);
        if (!server) return complain(1, server.error().message());
        http = std::move(*server);
        say(fmt::format("http port={}", http->port()));
    }
    simulation.start();
    bool told = false;
    do {
        if (!told && simulation.wait_published(std::chrono::milliseconds(0))) {
            tell_published(simulation);
            told = true;
        }
    } while (!stop_requested(signals, std::chrono::milliseconds(told ? 1000 : 20)));
    simulation.stop();
    if (options.delete_on_exit && !simulation.remove_all(kRemoveLimit)) {
        return complain(1, "some slices or nodes are left on the API server");
    }
    return 0;
}

}  // namespace mimic::dra
