// SPDX-License-Identifier: Apache-2.0
#include "streams/guest_command.h"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <thread>

#include "base/terminal_text.h"
#include "base/unix_socket.h"

namespace mimic::streams {
namespace {

using std::chrono::milliseconds;

/// Of each output stream: what is on the way while we write what came before.
constexpr uint32_t kCredit = 512u << 10;
constexpr uint32_t kGrant = kCredit / 4;
constexpr auto kTryAgain = milliseconds(100);
/// With its header it is as much as one write(2) to a virtio port takes in a guest.
constexpr size_t kInputPart = STREAM_MAX_PAYLOAD - sizeof(stream_header);
constexpr size_t kMostOut = size_t{256} << 10;  // waits for the relay; arbitrary

TimePoint steady() {
    return SteadyClock().now();
}

/// The payload of OPEN.
Result<std::string> request_of(const CommandSpec& spec) {
    stream_open open{};
    open.flags = (spec.terminal ? STREAM_TERMINAL : 0) | (spec.input >= 0 ? STREAM_INPUT : 0);
    open.credit = kCredit;
    open.window = spec.window;
    open.environment = static_cast<uint32_t>(spec.environment.size());
    open.arguments = static_cast<uint32_t>(spec.argv.size());
    if (spec.argv.empty()) return fail(std::errc::invalid_argument, "no command given");
    std::string text(reinterpret_cast<const char*>(&open), sizeof open);
    const auto add = [&text](const std::string& word) {
        text.append(word.c_str());  // to its first NUL: execve(2) would see no more
        text.push_back('\0');
    };
    add(spec.folder);
    for (const auto& word : spec.environment) add(word);
    for (const auto& word : spec.argv) add(word);
    if (text.size() > STREAM_MAX_PAYLOAD)
        return fail(std::errc::argument_list_too_long,
                    "the command and its environment have {} bytes, {} are possible; copy a script "
                    "to the guest (mimic cp)",
                    text.size(), STREAM_MAX_PAYLOAD);
    return text;
}

Error start_error(const CommandSpec& spec, const stream_opened& opened) {
    const int number = static_cast<int>(std::min<uint32_t>(opened.error, 4095));
    if (opened.step == STREAM_STEP_FOLDER)
        return Error(
            std::errc::invalid_argument,
            Error::from_errno(number, fmt::format("enter {} in the guest", spec.folder)).message());
    if (opened.step == STREAM_STEP_PROGRAM)
        return Error::from_errno(number, fmt::format("run {} in the guest", spec.argv[0]));
    return Error(std::errc::resource_unavailable_try_again,
                 Error::from_errno(number, "start a command in the guest").message());
}

Status check_cancelled(const CommandSpec& spec) {
    if (spec.cancelled && spec.cancelled()) return fail(std::errc::interrupted, "interrupted");
    return {};
}

Error refusal_error(const Frame& frame) {
    uint32_t why = 0;
    if (frame.payload.size() < sizeof why)
        return Error(std::errc::protocol_error, "the machine's relay refused without a reason");
    std::memcpy(&why, frame.payload.data(), sizeof why);
    const auto rest = frame.payload.subspan(sizeof why);
    const std::string text = terminal_text(
        {reinterpret_cast<const char*>(rest.data()), rest.size()});
    switch (why) {
        case STREAM_NOT_READY:
            return Error(std::errc::not_supported, text);
        case STREAM_TOO_MANY:
            return Error(std::errc::resource_unavailable_try_again, text);
        case STREAM_LOST:
            return Error(std::errc::connection_reset, "the guest's streams are lost: " + text);
        case STREAM_ENDS:
            return Error(std::errc::connection_aborted, text);
        default:
            return Error(std::errc::protocol_error, text);
    }
}

}  // namespace

Result<std::unique_ptr<GuestCommand>> GuestCommand::start(const std::string& path, CommandSpec spec,
                                                          Duration patience, Duration answer) {
    MIMIC_ASSIGN_OR_RETURN(const std::string request, request_of(spec));
    const TimePoint deadline = steady() + patience;
    for (;;) {
        auto command = try_start(path, spec, request, answer);
        if (command || command.error().code() != std::errc::not_supported || steady() >= deadline)
            return command;
        if (::access(path.c_str(), F_OK) != 0) return command;  // nobody will answer there
        MIMIC_TRY(check_cancelled(spec));
        std::this_thread::sleep_for(kTryAgain);
    }
}

Result<std::unique_ptr<GuestCommand>> GuestCommand::try_start(const std::string& path,
                                                              const CommandSpec& spec,
                                                              std::string_view request,
                                                              Duration answer) {
    auto socket = unix_connect(path);
    if (!socket)
        return fail(std::errc::not_supported, "the machine has no stream port: {}",
                    socket.error().message());
    std::unique_ptr<GuestCommand> command(new GuestCommand(spec, std::move(*socket)));
    command->send(STREAM_OPEN, 0, std::as_bytes(std::span(request.data(), request.size())));
    const TimePoint deadline = steady() + answer;
    while (!command->opened_) {
        const Duration left = deadline - steady();
        if (left <= Duration::zero())
            return fail(std::errc::host_unreachable,
                        "the guest does not start {} within {:g} s: its mimic-streamd, or all of "
                        "it, does not answer (mimic console shows whether it lives)",
                        spec.argv[0], std::chrono::duration<double>(answer).count());
        MIMIC_TRY(command->step(std::min<Duration>(left, kTryAgain)));
        if (!command->opened_) MIMIC_TRY(check_cancelled(spec));
    }
    return command;
}

void GuestCommand::send(uint8_t type, uint8_t stream, std::span<const std::byte> payload) {
    stream_header header{};
    header.type = type;
    header.stream = stream;
    append_frame(stream_.out(), header, payload);
}

// Whoever does not take it has ended, and receive() finds out why.
void GuestCommand::flush() {
    [[maybe_unused]] const bool there = stream_.flush();
}

bool GuestCommand::wants_input() const {
    return opened_ && spec_.input >= 0 && !input_ended_ && input_credit_ > STREAM_COST(0) &&
           stream_.out_size() < kMostOut;
}

Result<std::optional<CommandEnd>> GuestCommand::step(Duration wait, int wake_fd) {
    flush();
    std::array<pollfd, 3> fds{};
    fds[0] = {.fd = stream_.fd(), .events = POLLIN, .revents = 0};
    if (stream_.out_size() != 0) fds[0].events |= POLLOUT;
    fds[1] = {.fd = wants_input() ? spec_.input : -1, .events = POLLIN, .revents = 0};
    fds[2] = {.fd = wake_fd, .events = POLLIN, .revents = 0};
    const auto timeout = std::chrono::ceil<milliseconds>(std::max(wait, Duration::zero())).count();
    const int ready = ::poll(fds.data(), fds.size(),
                             static_cast<int>(std::min<int64_t>(timeout, 3'600'000)));
    if (ready <= 0) return std::optional<CommandEnd>();
    if ((fds[0].revents & (POLLIN | POLLHUP | POLLERR)) != 0) MIMIC_TRY(receive());
    if (end_) return end_;
    if (fds[1].revents != 0) MIMIC_TRY(read_input());
    flush();
    return std::optional<CommandEnd>();
}

Status GuestCommand::receive() {
    const Stream::Got got = stream_.fill();
    while (!end_) {
        Frame frame;
        const Taken taken = peek_frame(stream_.in(), frame);
        if (taken == Taken::kBroken)
            return fail(std::errc::protocol_error, "the machine's relay sent no frame");
        if (taken == Taken::kMore) break;
        MIMIC_TRY(take_one(frame));
        stream_.in().drop(frame_size(frame));
    }
    if (!end_ && got == Stream::Got::kEnd)
        return fail(std::errc::connection_aborted, "the machine ended, or its supervisor did");
    return {};
}

Status GuestCommand::take_one(const Frame& frame) {
    const stream_header& header = frame.header;
    switch (header.type) {
        case STREAM_OPENED:
            return on_opened(frame);
        case STREAM_DATA:
            return on_data(frame);
        case STREAM_EOF:
            if (header.stream == 0) input_ended_ = true;  // nobody reads it any more
            return {};
        case STREAM_CREDIT:
            input_credit_ += frame.as<uint32_t>().value_or(0);
            return {};
        case STREAM_EXIT: {
            const auto exit = frame.as<stream_exit>();
            if (!exit) break;
            const int status = static_cast<int>(exit->status & 0xff);
            end_ = exit->by_signal != 0 ? CommandEnd{0, status} : CommandEnd{status, 0};
            return {};
        }
        case STREAM_REFUSED:
            return tl::unexpected(refusal_error(frame));
        default:
            break;
    }
    return fail(std::errc::protocol_error, "the machine's relay sent a frame of type {}",
                header.type);
}

Status GuestCommand::on_opened(const Frame& frame) {
    const auto opened = frame.as<stream_opened>();
    if (!opened) return fail(std::errc::protocol_error, "the guest's answer is none");
    if (opened->error != 0) return tl::unexpected(start_error(spec_, *opened));
    opened_ = true;
    input_credit_ = opened->credit;
    return {};
}

Status GuestCommand::on_data(const Frame& frame) {
    const uint8_t stream = frame.header.stream;
    if (stream == 0) return fail(std::errc::protocol_error, "the guest sent its own input");
    if (spec_.output)
        MIMIC_TRY(spec_.output(
            stream, {reinterpret_cast<const char*>(frame.payload.data()), frame.payload.size()}));
    uint32_t& taken = taken_[stream];
    taken += STREAM_COST(frame.payload.size());
    if (taken < kGrant) return {};
    send(STREAM_CREDIT, stream, bytes_of(taken));
    taken = 0;
    flush();
    return {};
}

Status GuestCommand::read_input() {
    std::array<char, kInputPart> buffer{};
    const size_t room = std::min<size_t>(buffer.size(), input_credit_ - STREAM_COST(0));
    const ssize_t count = ::read(spec_.input, buffer.data(), room);
    if (count < 0 && (errno == EINTR || errno == EAGAIN)) return {};
    // A terminal that has gone (EIO) has no more to say.
    if (count < 0 && errno != EIO) return fail_errno("read standard input");
    if (count <= 0) {
        input_ended_ = true;
        send(STREAM_EOF, 0, {});
        return {};
    }
    input_credit_ -= STREAM_COST(count);
    send(STREAM_DATA, 0, std::as_bytes(std::span(buffer.data(), static_cast<size_t>(count))));
    return {};
}

void GuestCommand::signal(int number) {
    send(STREAM_SIGNAL, 0, bytes_of(static_cast<uint32_t>(number)));
    flush();
}

void GuestCommand::resize(stream_window window) {
    send(STREAM_WINDOW, 0, bytes_of(window));
    flush();
}

Result<CommandEnd> run_to_end(GuestCommand& command) {
    for (;;) {
        MIMIC_ASSIGN_OR_RETURN(const auto end, command.step(std::chrono::hours(1)));
        if (end) return *end;
    }
}

Result<CommandEnd> run_command(const std::string& path, CommandSpec spec, Duration patience) {
    MIMIC_ASSIGN_OR_RETURN(const auto command,
                           GuestCommand::start(path, std::move(spec), patience));
    return run_to_end(*command);
}

}  // namespace mimic::streams
