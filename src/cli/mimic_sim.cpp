// SPDX-License-Identifier: Apache-2.0
// mimic-sim: simulators on sockets, and a client that tries those of others. Exit status: 0 done or
// ended by a signal, 1 failure (ping: an answer was not as the protocol wants it), 2 wrong usage.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <exception>
#include <future>
#include <thread>

#include "base/log.h"
#include "cli/reference.h"
#include "cli/version.h"
#include "service/http_server.h"
#include "service/metrics.h"
#include "sim_server/ping.h"
#include "sim_server/signals.h"
#include "sim_server/stats.h"
#include "sim_server/words.h"

namespace {

using namespace mimic;  // NOLINT(google-build-using-namespace): a program, not a header
using sim_server::Servers;

constexpr int kFailure = 1;
constexpr int kUsage = 2;
constexpr auto kAnswerWithin = std::chrono::seconds(5);
constexpr const char* kSeedSocket = "/tmp/qemu-sst-linux.sock";

struct ServeWords {
    std::vector<std::string> sockets, registers, models, peers;
    std::string pace = "fast", clock = "1GHz", memory = "256M", launch = "0",
                memory_latency = "100ns", memory_bandwidth = "0", memory_limit = "0";
    double scale = 1, patience = 5, stats = 0;
    uint64_t seed = 1, register_latency = 0;
    uint32_t units = 1, max_in_flight = 4096;
    size_t max_clients = 64;
    bool shared = false, plain = false, quiet = false;
    std::string metrics;
};

int complain(int status, const std::string& message) {
    std::fputs(fmt::format("mimic-sim: {}\n", message).c_str(), stderr);
    return status;
}

void add_time_options(CLI::App& app, ServeWords& words) {
    app.add_option("--model", words.models,
                   "A latency model, KIND:KEY=VALUE,...; the first is a request's model 0. Kinds: "
                   "fixed, linear, bandwidth, roofline, contention, systolic, table")
        ->allow_extra_args(false);
    app.add_option("--pace", words.pace, "fast: an answer at once; scaled: when its time has come")
        ->check(CLI::IsMember({"fast", "scaled"}))
        ->capture_default_str();
    app.add_option("--scale", words.scale, "Wall time is simulated time times this")
        ->check(CLI::Range(1e-9, 1e9))
        ->capture_default_str();
    app.add_option("--seed", words.seed, "Of all jitter")->capture_default_str();
    app.add_option("--clock", words.clock, "Of what is told in cycles")->capture_default_str();
    app.add_option("--units", words.units, "COMPUTEs served at the same time")
        ->capture_default_str();
    app.add_option("--launch-latency", words.launch, "Of each COMPUTE, on its unit")
        ->capture_default_str();
    app.add_option("--memory", words.memory, "What READ and WRITE may address; sparse")
        ->capture_default_str();
    app.add_option("--memory-latency", words.memory_latency, "Of each READ and WRITE")
        ->capture_default_str();
    app.add_option("--memory-bandwidth", words.memory_bandwidth, "Bytes a second; 0: no bound")
        ->capture_default_str();
    app.add_option("--memory-limit", words.memory_limit,
                   "Of host memory for what was written; 0: all")
        ->capture_default_str();
    app.add_option("--max-in-flight", words.max_in_flight, "More are answered BUSY")
        ->capture_default_str();
}

void add_serve_options(CLI::App& app, ServeWords& words) {
    app.add_option("-s,--socket", words.sockets,
                   std::string("Socket of the protocol of 4,104 and 4,112 bytes; may be given more "
                               "than once. Without any socket: ") +
                       kSeedSocket)
        ->allow_extra_args(false);
    app.add_option("--registers", words.registers,
                   "PATH=echo or PATH=compute, maybe @0xBASE: socket of the bare-metal protocol of "
                   "20 and 16 bytes, with a device of registers")
        ->allow_extra_args(false);
    app.add_option("--peers", words.peers,
                   "PATH,PATH: two compute devices whose PEER_OUT is the other's PEER_IN")
        ->allow_extra_args(false);
    app.add_option("--register-latency", words.register_latency,
                   "Cycles of a register device's operation; 0: echo 10, compute 100")
        ->capture_default_str();
    add_time_options(app, words);
    app.add_flag("--shared", words.shared,
                 "One device for all clients of a socket; without, each has its own");
    app.add_option("--max-clients", words.max_clients, "Of each socket")->capture_default_str();
    app.add_option("--patience", words.patience,
                   "Seconds until a part of a request is answered INVALID and its client closed")
        ->check(CLI::Range(0.01, 3600.0))
        ->capture_default_str();
    app.add_flag("--plain", words.plain,
                 "Only what Linux SST's protocol has: one request in flight, no times");
    app.add_option("--stats", words.stats, "Print a line of counters every so many seconds; 0: not")
        ->check(CLI::Range(0.0, 86400.0))
        ->capture_default_str();
    app.add_option("--metrics", words.metrics,
                   "Serve GET /metrics for Prometheus on this UNIX socket");
    app.add_flag("-q,--quiet", words.quiet, "Do not say what is served");
}

Result<sim::BuiltinSpec> spec_of(const ServeWords& words) {
    sim::BuiltinSpec spec;
    for (const auto& text : words.models) {
        auto model = sim_server::parse_model(text);
        if (!model) return tl::unexpected<Error>(std::move(model).error().with_context("--model"));
        spec.models.push_back(std::move(*model));
    }
    spec.pace = words.pace == "fast" ? sim::Pace::kFast : sim::Pace::kScaled;
    spec.scale = words.scale;
    spec.seed = words.seed;
    spec.units = words.units;
    spec.max_in_flight = words.max_in_flight;
    MIMIC_ASSIGN_OR_RETURN(spec.clock_hz, sim_server::parse_rate(words.clock));
    MIMIC_ASSIGN_OR_RETURN(spec.launch_latency, sim_server::parse_time(words.launch));
    MIMIC_ASSIGN_OR_RETURN(spec.memory_bytes, sim_server::parse_bytes(words.memory));
    MIMIC_ASSIGN_OR_RETURN(spec.memory_latency, sim_server::parse_time(words.memory_latency));
    MIMIC_ASSIGN_OR_RETURN(spec.memory_bandwidth, sim_server::parse_rate(words.memory_bandwidth));
    MIMIC_ASSIGN_OR_RETURN(spec.memory_limit, sim_server::parse_bytes(words.memory_limit));
    MIMIC_TRY(sim::validate(spec));
    return spec;
}

Status open_sockets(const ServeWords& words, const sim::BuiltinSpec& spec, EventLoop& loop,
                    Servers& servers) {
    const auto patience = std::chrono::duration_cast<Duration>(
        std::chrono::duration<double>(words.patience));
    std::vector<std::string> sockets = words.sockets;
    if (sockets.empty() && words.registers.empty()) sockets.emplace_back(kSeedSocket);
    for (const auto& path : sockets) {
        sim::ServerOptions options;
        options.path = path;
        options.max_clients = words.max_clients;
        options.patience = patience;
        options.pipelined = options.timed = !words.plain;
        MIMIC_ASSIGN_OR_RETURN(
            auto server,
            sim_server::SimServer::create(
                options, words.shared,
                [spec](TaskRunner& runner) { return sim::make_builtin(spec, runner); }, loop));
        servers.simulators.push_back(std::move(server));
    }
    for (const auto& text : words.registers) {
        MIMIC_ASSIGN_OR_RETURN(auto options, sim_server::parse_registers(text));
        options.max_clients = words.max_clients;
        options.patience = patience;
        options.device.latency = words.register_latency;
        options.device.clock_hz = spec.clock_hz;
        options.device.scale = spec.pace == sim::Pace::kScaled ? spec.scale : 0;
        MIMIC_ASSIGN_OR_RETURN(auto server, sim_server::RegisterServer::create(options, loop));
        servers.registers.push_back(std::move(server));
    }
    return {};
}

Status join_peers(const ServeWords& words, Servers& servers) {
    const auto device = [&](const std::string& path) -> sim_server::RegisterDevice* {
        for (const auto& server : servers.registers) {
            if (server->path() == path) return &server->device();
        }
        return nullptr;
    };
    for (const auto& text : words.peers) {
        const auto comma = text.find(',');
        auto* const one = device(text.substr(0, comma));
        auto* const other = comma == std::string::npos ? nullptr : device(text.substr(comma + 1));
        if (one == nullptr || other == nullptr)
            return fail(std::errc::invalid_argument,
                        "--peers {}: two paths of --registers are meant, PATH,PATH", text);
        one->set_peer(other);
        other->set_peer(one);
    }
    return {};
}

// Asks the loop, which has the counters, from a thread of the HTTP server.
service::HttpResponse answer_metrics(const service::HttpRequest& request, EventLoop& loop,
                                     const Servers& servers) {
    service::HttpResponse response;
    response.content_type = "text/plain; charset=utf-8";
    if (request.path != "/metrics" || request.method != "GET") {
        response.status = 404;
        response.body = "there is GET /metrics\n";
        return response;
    }
    const auto text = std::make_shared<std::promise<std::string>>();
    auto ready = text->get_future();
    loop.post([text, &servers] { text->set_value(sim_server::metrics_text(servers)); });
    if (ready.wait_for(kAnswerWithin) != std::future_status::ready) {
        response.status = 503;
        response.body = "busy\n";
        return response;
    }
    response.content_type = service::kMetricsContentType;
    response.body = ready.get();
    return response;
}

Result<std::unique_ptr<service::HttpServer>> serve_metrics(const std::string& path, EventLoop& loop,
                                                           const Servers& servers) {
    service::HttpServer::Options options;
    options.handler = [&loop, &servers](const service::HttpRequest& request) {
        return answer_metrics(request, loop, servers);
    };
    options.refuse = [](int status, const char*, const char* sentence) {
        service::HttpResponse response;
        response.status = status;
        response.content_type = "text/plain; charset=utf-8";
        response.body = fmt::format("{}\n", sentence);
        return response;
    };
    return service::HttpServer::create(path, std::move(options));
}

void print_stats_again(EventLoop& loop, const Servers& servers, Duration period) {
    loop.post_delayed(
        [&loop, &servers, period] {
            std::fputs((sim_server::stats_line(servers) + "\n").c_str(), stdout);
            std::fflush(stdout);
            print_stats_again(loop, servers, period);
        },
        period);
}

void introduce(const Servers& servers) {
    for (const auto& server : servers.simulators)
        std::fputs(fmt::format("serving a simulator at {}\n", server->path()).c_str(), stdout);
    for (const auto& server : servers.registers)
        std::fputs(fmt::format("serving registers at {}\n", server->path()).c_str(), stdout);
    std::fflush(stdout);  // a script waits for these lines in a pipe
}

int serve(const ServeWords& words) {
    const sim_server::StopSignals stop;  // before the first thread
    const auto spec = spec_of(words);
    if (!spec) return complain(kUsage, spec.error().message());
    auto loop = EventLoop::create();
    if (!loop) return complain(kFailure, loop.error().message());
    Servers servers;
    if (const auto opened = open_sockets(words, *spec, **loop, servers); !opened) {
        const bool usage = opened.error().code() == std::errc::invalid_argument;
        return complain(usage ? kUsage : kFailure, opened.error().message());
    }
    if (const auto joined = join_peers(words, servers); !joined)
        return complain(kUsage, joined.error().message());
    if (words.stats > 0)
        print_stats_again(
            **loop, servers,
            std::chrono::duration_cast<Duration>(std::chrono::duration<double>(words.stats)));
    std::unique_ptr<service::HttpServer> http;
    if (!words.metrics.empty()) {
        auto made = serve_metrics(words.metrics, **loop, servers);
        if (!made) return complain(kFailure, made.error().message());
        http = std::move(*made);
    }
    if (!words.quiet) introduce(servers);
    std::thread waiter([&] {
        stop.wait();
        (*loop)->stop();
    });
    (*loop)->run();
    waiter.join();
    http.reset();
    if (!words.quiet) std::fputs((sim_server::stats_line(servers) + "\n").c_str(), stdout);
    return 0;
}

int run_ping(const sim_server::PingOptions& options) {
    const auto lines = sim_server::ping(options);
    if (!lines) return complain(kFailure, lines.error().message());
    bool good = true;
    for (const auto& line : *lines) {
        good = good && line.good;
        std::fputs(fmt::format("{} {:<24} {:<10} {:>9.1f} us  {}\n", line.good ? "ok  " : "BAD ",
                               line.request, line.answer, line.microseconds, line.detail)
                       .c_str(),
                   stdout);
    }
    return good ? 0 : kFailure;
}

int run(int argc, char** argv) {
    CLI::App app("Simulators of accelerators on UNIX sockets.\ndocs/simulators.md says more.",
                 "mimic-sim");
    app.set_version_flag("--version", std::string("mimic-sim ") + kVersion);
    app.require_subcommand(1);
    ServeWords words;
    auto* const serve_command = app.add_subcommand(
        "serve", "Answer QEMUs with Linux SST's device, device hosts, and programs of yours");
    add_serve_options(*serve_command, words);
    sim_server::PingOptions options;
    double timeout = 5;
    auto* const ping_command = app.add_subcommand(
        "ping", "Ask a server each type of request and say whether it keeps to the protocol");
    ping_command->add_option("socket", options.path, "Its socket")->required();
    ping_command->add_option("-c,--count", options.count, "NOOPs whose latency is measured")
        ->capture_default_str();
    ping_command->add_option("--timeout", timeout, "Seconds for an answer")
        ->check(CLI::Range(0.001, 3600.0))
        ->capture_default_str();
    ping_command->add_flag("!--whole", options.parts, "Do not try a part of a request");
    if (const auto status = mimic::cli::reference_asked(argc, argv, app)) return *status;
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
        const int status = app.exit(error);
        return status == 0 ? 0 : kUsage;
    }
    if (serve_command->parsed()) return serve(words);
    options.timeout = std::chrono::duration_cast<Duration>(std::chrono::duration<double>(timeout));
    return run_ping(options);
}

}  // namespace

int main(int argc, char** argv) {
    try {
        return run(argc, argv);
    } catch (const std::exception& error) {
        // We throw nothing; this is a library's, such as out of memory.
        return complain(kFailure, error.what());
    }
}
