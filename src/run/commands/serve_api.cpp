// SPDX-License-Identifier: Apache-2.0
#include "commands/serve_api.h"

#include <poll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstdio>

#include "base/unique_fd.h"
#include "commands/api_gate.h"
#include "gateway/gateway.h"
#include "service/http_server.h"

namespace mimic::commands {
namespace {

// Requests wait for processes, so one that hangs must not hold up the others.
constexpr unsigned kWorkers = 4;  // arbitrary

Status say_where(const ServeApiOptions& options, uint16_t port, const std::string& token) {
    std::string line = fmt::format("http://127.0.0.1:{}", port);
    if (options.page) {
        line += "/#token=" + token;
    } else if (options.token_file.empty()) {
        line += fmt::format("  Authorization: Bearer {}", token);
    }
    if (std::puts(line.c_str()) < 0 || std::fflush(stdout) != 0)
        return fail_errno("cannot print the address");
    return {};
}

Status wait_for(const sigset_t& signals) {
    int number = 0;
    ::sigwait(&signals, &number);
    return {};
}

// The other end of a connection that goes through several programs, such as kubectl: those do not
// pass signals on, but close what is ours.
Status wait_for_eof(const sigset_t& signals) {
    const UniqueFd came(::signalfd(-1, &signals, SFD_CLOEXEC));
    if (!came) return fail_errno("signalfd");
    std::array<pollfd, 2> ends{{{.fd = came.get(), .events = POLLIN, .revents = 0},
                                {.fd = STDIN_FILENO, .events = POLLIN, .revents = 0}}};
    std::array<char, 256> dropped{};
    for (;;) {
        if (::poll(ends.data(), ends.size(), -1) < 0 && errno != EINTR) return fail_errno("poll");
        if (ends[0].revents != 0) return {};
        if (ends[1].revents != 0 && ::read(STDIN_FILENO, dropped.data(), dropped.size()) <= 0)
            return {};
    }
}

Status serve(const ServeApiOptions& options) {
    MIMIC_ASSIGN_OR_RETURN(const auto token, options.token_file.empty()
                                                 ? make_token()
                                                 : read_token(options.token_file));
    MIMIC_ASSIGN_OR_RETURN(const auto gateway, gateway::Gateway::create());
    ApiGate gate(token, page::web_assets(), options.page);

    // Before the threads of the server, which inherit the mask.
    sigset_t stop;
    sigemptyset(&stop);
    for (const int number : {SIGINT, SIGTERM, SIGHUP}) sigaddset(&stop, number);
    ::pthread_sigmask(SIG_BLOCK, &stop, nullptr);
    ::signal(SIGPIPE, SIG_IGN);

    service::HttpServer::Options server;
    server.handler = [&](const service::HttpRequest& request) {
        auto file = gate.file(request);
        return file ? std::move(*file) : gateway->handle(request);
    };
    server.refuse = [](int status, const char* code, const char* sentence) {
        return service::refuse({status, code, sentence});
    };
    server.guard = [&](const service::HttpRequest& head) { return gate.guard(head); };
    server.is_proof = [&](const service::HttpRequest& head) { return gate.has_token(head); };
    server.workers = kWorkers;
    server.policy = page::kContentSecurityPolicy;
    server.counters = &gateway->process().requests;
    MIMIC_ASSIGN_OR_RETURN(const auto http,
                           service::HttpServer::create_tcp(options.port, std::move(server)));
    gate.set_port(http->port());
    gate.set_tunnel(options.tunnel);
    MIMIC_TRY(say_where(options, http->port(), token));
    return options.until_eof ? wait_for_eof(stop) : wait_for(stop);
}

}  // namespace

int run_serve_api(const ServeApiOptions& options) {
    const auto served = serve(options);
    if (served) return 0;
    std::fputs(fmt::format("mimic: error: {}\n", served.error().message()).c_str(), stderr);
    return 1;
}

}  // namespace mimic::commands
