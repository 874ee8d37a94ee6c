// SPDX-License-Identifier: Apache-2.0
// Two kubectl: one runs the server in the pod, whose standard input it holds open so that it ends
// with us; one forwards a port of ours. The server listens where the pod has room, for pods of the
// host's network share it with whoever asks, and is told the port here, for it lets in no requests
// that name another.
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>

#include "base/interrupt.h"
#include "base/terminal_text.h"
#include "base/unique_fd.h"
#include "remote/places.h"
#include "remote/remote_commands.h"

namespace mimic::remote {
namespace {

using namespace std::chrono_literals;

constexpr auto kStart = 60s;
constexpr auto kLook = 200ms;
constexpr size_t kMaxLine = 1000;
constexpr std::string_view kAddress = "http://127.0.0.1:";

/// A kubectl whose standard output we read and whose input we hold.
struct Connection {
    machine::Process process;
    UniqueFd input;
    UniqueFd output;
};

Result<Connection> connect(const std::vector<std::string>& argv) {
    std::array<int, 2> in{};
    std::array<int, 2> out{};
    if (::pipe2(in.data(), O_CLOEXEC) != 0) return fail_errno("pipe");
    const UniqueFd theirs_in(in[0]);
    Connection connection;
    connection.input.reset(in[1]);
    if (::pipe2(out.data(), O_CLOEXEC) != 0) return fail_errno("pipe");
    connection.output.reset(out[0]);
    const UniqueFd theirs_out(out[1]);
    machine::SpawnOptions options;
    options.argv = argv;
    options.stdin_fd = theirs_in.get();
    options.stdout_fd = theirs_out.get();
    options.die_with_parent = true;
    MIMIC_ASSIGN_OR_RETURN(connection.process, machine::Process::spawn(options));
    return connection;
}

/// The next line that the other end prints.
Result<std::string> next_line(Connection& connection, const char* what) {
    std::string line;
    const TimePoint end = SteadyClock().now() + kStart;
    while (line.size() < kMaxLine && interrupted() == 0) {
        pollfd readable{.fd = connection.output.get(), .events = POLLIN, .revents = 0};
        if (SteadyClock().now() >= end) return fail(std::errc::timed_out, "{} says nothing", what);
        if (::poll(&readable, 1, 200) <= 0) continue;
        char c = 0;
        if (::read(connection.output.get(), &c, 1) != 1)
            return fail(std::errc::io_error, "{} ended", what);
        if (c == '\n') return line;
        line += c;
    }
    return interrupted() != 0 ? fail(std::errc::interrupted, "interrupted")
                              : fail(std::errc::protocol_error, "{} prints long lines", what);
}

// Somebody may take it before kubectl does; that says so and ends.
Result<uint16_t> free_port() {
    const UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof address;
    if (!fd || ::bind(fd.get(), reinterpret_cast<sockaddr*>(&address), length) != 0 ||
        ::getsockname(fd.get(), reinterpret_cast<sockaddr*>(&address), &length) != 0)
        return fail_errno("no free TCP port");
    return ntohs(address.sin_port);
}

/// What a server says of itself: its port, and what follows the address.
struct Address {
    uint16_t port = 0;
    std::string rest;
};

Result<Address> parse_address(const std::string& line) {
    const auto wrong = [&] {
        return fail(std::errc::protocol_error, "the pod's server says \"{}\"", terminal_text(line));
    };
    if (!line.starts_with(kAddress)) return wrong();
    Address address;
    const char* const begin = line.data() + kAddress.size();
    const auto parsed = std::from_chars(begin, line.data() + line.size(), address.port);
    if (parsed.ec != std::errc() || address.port == 0) return wrong();
    address.rest = line.substr(static_cast<size_t>(parsed.ptr - line.data()));
    // A token and its frame: nothing else leads the user's browser anywhere.
    const auto is_plain = [](char c) { return c >= ' ' && c <= '~' && c != '@' && c != '\\'; };
    const bool starts_well = address.rest.starts_with("/#token=") ||
                             address.rest.starts_with("  Authorization: Bearer ");
    if (!starts_well || !std::all_of(address.rest.begin(), address.rest.end(), is_plain))
        return wrong();
    return address;
}

/// The pod of a word that means a pod or a machine.
Result<std::string> pod_of(const Kubectl& kubectl, const std::string& where) {
    if (where.empty()) return find_pod(kubectl, where);
    MIMIC_ASSIGN_OR_RETURN(const auto pods, kubectl.pods());
    for (const Pod& pod : pods)
        if (pod.name == where) return find_pod(kubectl, where);
    MIMIC_ASSIGN_OR_RETURN(const auto place, find_place(kubectl, where));
    return place.pod;
}

Status serve(const Kubectl& kubectl, const std::string& command, const std::string& where) {
    MIMIC_ASSIGN_OR_RETURN(const auto pod, pod_of(kubectl, where));
    MIMIC_ASSIGN_OR_RETURN(const uint16_t port, free_port());
    MIMIC_ASSIGN_OR_RETURN(
        auto server,
        connect(kubectl.in_pod(pod, {command, "--until-eof", "--tunnel-port", std::to_string(port)},
                               {"--stdin"})));
    MIMIC_ASSIGN_OR_RETURN(const auto line, next_line(server, "mimic in the pod"));
    MIMIC_ASSIGN_OR_RETURN(const auto address, parse_address(line));
    MIMIC_ASSIGN_OR_RETURN(
        auto tunnel, connect(kubectl.argv({"port-forward", "--address=127.0.0.1", "pod/" + pod,
                                           fmt::format("{}:{}", port, address.port)})));
    MIMIC_TRY(next_line(tunnel, "kubectl port-forward"));  // "Forwarding from ..."
    fmt::print("{}{}{}\n", kAddress, port, address.rest);
    std::fflush(stdout);
    while (interrupted() == 0) {
        sleep_unless_interrupted(kLook);
        if (server.process.poll()) return fail(std::errc::io_error, "the pod's server ended");
        if (tunnel.process.poll()) return fail(std::errc::io_error, "kubectl port-forward ended");
    }
    return {};
}

}  // namespace

int run_remote_web(const Kubectl& kubectl, const std::string& command, const std::string& where) {
    catch_interrupts();
    const Status served = serve(kubectl, command, where);
    if (served || interrupted() != 0) return 0;
    fmt::print(stderr, "mimic: error: {}\n", terminal_lines(served.error().message()));
    return 1;
}

}  // namespace mimic::remote
