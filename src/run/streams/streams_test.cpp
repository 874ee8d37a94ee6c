// SPDX-License-Identifier: Apache-2.0
// The relay, its clients and the guest's program, which runs here as it does in a guest.
#include <gmock/gmock.h>

#include <atomic>
#include <cstring>
#include <thread>

#include "streams/guest_command.h"
#include "streams/test_guest.h"

namespace mimic::streams {
namespace {

using testing::HasSubstr;

struct Done {
    Result<CommandEnd> end = CommandEnd{};
    std::string out;
    std::string err;
};

Done run(const TestGuest& guest, CommandSpec spec) {
    Done done;
    spec.output = [&done](int stream, std::string_view data) -> Status {
        (stream == 1 ? done.out : done.err) += data;
        return {};
    };
    done.end = run_command(guest.socket(), std::move(spec), kPatience);
    return done;
}

Done shell(const TestGuest& guest, const std::string& script) {
    return run(guest, {.argv = {"sh", "-c", script}});
}

// A pipe with `text` in it, which a thread writes.
class Input {
public:
    explicit Input(std::string text) {
        int ends[2];
        EXPECT_EQ(::pipe2(ends, O_CLOEXEC), 0);
        read.reset(ends[0]);
        writer_ = std::thread([fd = ends[1], data = std::move(text)] {
            ::signal(SIGPIPE, SIG_IGN);
            (void)write_all(fd, data);
            ::close(fd);
        });
    }
    ~Input() {
        read.reset();
        writer_.join();
    }
    UniqueFd read;

private:
    std::thread writer_;
};

TEST(Streams, ACommandHasItsStreamsApartAndItsStatus) {
    TestGuest guest;
    guest.start();
    const Done done = shell(guest, "echo out; echo err >&2; exit 7");
    ASSERT_TRUE(done.end) << done.end.error().message();
    EXPECT_EQ(done.end->shell_status(), 7);
    EXPECT_EQ(done.out, "out\n");
    EXPECT_EQ(done.err, "err\n");
    EXPECT_EQ(shell(guest, "kill -KILL $$").end->shell_status(), 128 + SIGKILL);
    // No input: not ours.
    EXPECT_EQ(run(guest, {.argv = {"cat"}}).out, "");
    const Done folder = run(guest, {.argv = {"sh", "-c", "pwd; echo \"$A|$B\""},
                                    .environment = {"A=x y", "B=\xff="},
                                    .folder = "/usr"});
    EXPECT_EQ(folder.out, "/usr\nx y|\xff=\n");
}

TEST(Streams, WhatCannotStartSaysWhy) {
    TestGuest guest;
    guest.start();
    const auto code = [&](CommandSpec spec) { return run(guest, std::move(spec)).end.error(); };
    EXPECT_EQ(code({.argv = {"/no/such"}}).code(), std::errc::no_such_file_or_directory);
    EXPECT_EQ(code({.argv = {"/etc"}}).code(), std::errc::permission_denied);
    const Error folder = code({.argv = {"true"}, .folder = "/no/such"});
    EXPECT_EQ(folder.code(), std::errc::invalid_argument);
    EXPECT_THAT(folder.message(), HasSubstr("/no/such"));
    EXPECT_EQ(code({.argv = {"echo", std::string(40000, 'x')}}).code(),
              std::errc::argument_list_too_long);
}

TEST(Streams, WhatCannotStartTakesNoPlace) {
    TestGuest guest;
    guest.start();
    EXPECT_EQ(shell(guest, "echo hi").out, "hi\n");
    const size_t before = guest.open_files();  // with those that a test's parents leave open
    for (unsigned i = 0; i < STREAM_MAX_CHANNELS + 8; ++i)
        EXPECT_EQ(run(guest, {.argv = {"/no/such"}}).end.error().code(),
                  std::errc::no_such_file_or_directory);
    EXPECT_EQ(shell(guest, "echo hi").out, "hi\n");
    EXPECT_TRUE(eventually([&] { return guest.open_files() <= before; }));
}

TEST(Streams, BytesGoThroughUnchanged) {
    TestGuest guest;
    guest.start();
    std::string data(5u << 20, '\0');
    for (size_t i = 0; i < data.size(); ++i) data[i] = static_cast<char>(i * 2654435761u >> 13);
    const Input input(data);
    const Done done = run(guest, {.argv = {"cat"}, .input = input.read.get()});
    ASSERT_TRUE(done.end) << done.end.error().message();
    EXPECT_TRUE(done.out == data) << done.out.size();
}

TEST(Streams, InputThatNobodyReadsIsNoReasonToWait) {
    TestGuest guest;
    guest.start();
    const Input input(std::string(3u << 20, 'x'));
    const Done done = run(guest,
                          {.argv = {"sh", "-c", "exec <&-; echo done"}, .input = input.read.get()});
    ASSERT_TRUE(done.end) << done.end.error().message();
    EXPECT_EQ(done.out, "done\n");
}

TEST(Streams, ASlowReaderHoldsUpNobodyElse) {
    TestGuest guest;
    guest.start();
    CommandSpec spec{.argv = {"yes"}};
    const auto slow = GuestCommand::start(guest.socket(), spec, kPatience);
    ASSERT_TRUE(slow) << slow.error().message();
    for (int i = 0; i < 20; ++i) EXPECT_EQ(shell(guest, "echo hi").out, "hi\n");
}

TEST(Streams, WhoHangsUpEndsHisCommand) {
    TestGuest guest;
    guest.start();
    std::string pid;
    CommandSpec spec{.argv = {"sh", "-c", "trap '' HUP; echo $$; while :; do sleep 1; done"}};
    spec.output = [&](int, std::string_view data) -> Status {
        pid += data;
        return {};
    };
    auto command = GuestCommand::start(guest.socket(), spec, kPatience);
    ASSERT_TRUE(command) << command.error().message();
    ASSERT_TRUE(eventually([&] {
        EXPECT_TRUE((*command)->step(std::chrono::milliseconds(10)));
        return pid.ends_with('\n');
    }));
    command->reset();
    EXPECT_TRUE(eventually([&] { return ::kill(std::stoi(pid), 0) != 0; }));
    EXPECT_EQ(shell(guest, "echo on").out, "on\n");
}

TEST(Streams, SignalsReachTheCommandsGroup) {
    TestGuest guest;
    guest.start();
    std::string out;
    CommandSpec spec{
        .argv = {"sh", "-c", "trap 'echo caught; exit 3' INT; echo on; while :; do sleep 1; done"}};
    spec.output = [&](int, std::string_view data) -> Status {
        out += data;
        return {};
    };
    auto command = GuestCommand::start(guest.socket(), spec, kPatience);
    ASSERT_TRUE(command) << command.error().message();
    std::optional<CommandEnd> end;
    bool told = false;
    EXPECT_TRUE(eventually([&] {
        auto step = (*command)->step(std::chrono::milliseconds(10));
        EXPECT_TRUE(step);
        if (step) end = *step;
        if (!told && out == "on\n") {
            (*command)->signal(SIGINT);
            told = true;
        }
        return end.has_value();
    }));
    EXPECT_EQ(out, "on\ncaught\n");
    EXPECT_EQ(end->status, 3);
}

TEST(Streams, ATerminalHasASizeAndAnEnd) {
    TestGuest guest;
    guest.start();
    const Input input("stty size; echo err >&2\n");
    const Done done = run(guest, {.argv = {"sh", "-c", "stty -echo; tty >/dev/null && sh"},
                                  .terminal = true,
                                  .window = {.rows = 33, .columns = 77},
                                  .input = input.read.get()});
    ASSERT_TRUE(done.end) << done.end.error().message();
    EXPECT_EQ(done.end->shell_status(), 0);
    EXPECT_THAT(done.out, HasSubstr("33 77\r\n"));
    EXPECT_THAT(done.out, HasSubstr("err\r\n"));
    EXPECT_EQ(done.err, "");
}

TEST(Streams, AProgramThatDiesLosesItsCommandsAndComesBack) {
    TestGuest guest;
    guest.start();
    CommandSpec spec{.argv = {"yes"}};
    auto command = GuestCommand::start(guest.socket(), spec, kPatience);
    ASSERT_TRUE(command) << command.error().message();
    guest.stop();   // in the middle of a frame, most likely
    guest.start();  // on the same port
    std::string why;
    EXPECT_TRUE(eventually([&] {
        auto step = (*command)->step(std::chrono::milliseconds(10));
        if (!step) why = step.error().message();
        return !why.empty();
    }));
    EXPECT_THAT(why, HasSubstr("the guest's streams are lost"));
    EXPECT_EQ(shell(guest, "echo back").out, "back\n");
}

// Both asked at once, and each took the other's beginning for a fault: they greeted each other in
// circles.
TEST(Streams, WhoAsksTwiceIsGreetedAndThenLeftAlone) {
    TestGuest guest;
    guest.port = guest.accept_port();
    stream_header header{};
    header.length = sizeof(stream_sync);
    header.type = STREAM_RESTART;
    stream_sync sync{};
    std::memcpy(sync.magic, STREAM_MAGIC, sizeof sync.magic);
    for (int i = 0; i < 3; ++i) {
        ASSERT_EQ(::write(guest.port.get(), &header, sizeof header), ssize_t{sizeof header});
        ASSERT_EQ(::write(guest.port.get(), &sync, sizeof sync), ssize_t{sizeof sync});
    }
    guest.start();
    for (int i = 0; i < 30; ++i) {
        const Done done = shell(guest, "echo on; sleep 0.02");
        ASSERT_TRUE(done.end) << i << ": " << done.end.error().message();
        EXPECT_EQ(done.out, "on\n");
    }
}

// The guest's end in the test's hand: it answers HELLO, and then nothing.
void welcome(const TestGuest& guest) {
    std::string hello(STREAM_FILLER_BYTES + sizeof(stream_header) + sizeof(stream_sync), '\0');
    size_t have = 0;
    ASSERT_TRUE(eventually([&] {
        const ssize_t got = ::read(guest.port.get(), hello.data() + have, hello.size() - have);
        if (got > 0) have += static_cast<size_t>(got);
        return have == hello.size();
    }));
    stream_header header{};
    header.length = sizeof(stream_sync);
    header.type = STREAM_WELCOME;
    std::string answer(reinterpret_cast<const char*>(&header), sizeof header);
    answer += hello.substr(hello.size() - sizeof(stream_sync));
    ASSERT_TRUE(write_all(guest.port.get(), answer));
}

TEST(Streams, AGuestThatSaysNothingIsNotWaitedForForEver) {
    TestGuest guest;
    guest.port = guest.accept_port();
    welcome(guest);
    const auto none = GuestCommand::start(guest.socket(), {.argv = {"true"}}, kPatience,
                                          std::chrono::milliseconds(50));
    ASSERT_FALSE(none);
    EXPECT_EQ(none.error().code(), std::errc::host_unreachable);
    EXPECT_THAT(none.error().message(), HasSubstr("does not start true within 0.05 s"));
}

stream_header header_of(uint32_t channel, uint8_t type, uint32_t sequence) {
    stream_header header{};
    header.channel = channel;
    header.type = type;
    header.sequence = sequence;
    return header;
}

// What a relay that has gone since had said: HELLO, a command, and most of a frame for it.
void old_relay(int port) {
    stream_sync sync{};
    std::memcpy(sync.magic, STREAM_MAGIC, sizeof sync.magic);
    stream_open open{};
    open.credit = 1000;
    open.arguments = 2;
    std::string command(reinterpret_cast<const char*>(&open), sizeof open);
    command += std::string("\0sleep\0001000\0", 12);
    const std::string data(1000, 'x');
    ByteQueue said;
    append_frame(said, header_of(0, STREAM_HELLO, 0), bytes_of(sync));
    append_frame(said, header_of(7, STREAM_OPEN, 1), std::as_bytes(std::span(command)));
    append_frame(said, header_of(7, STREAM_DATA, 2), std::as_bytes(std::span(data)));
    const auto bytes = said.bytes();
    ASSERT_TRUE(write_all(port, {reinterpret_cast<const char*>(bytes.data()), bytes.size() - 100}));
}

// What looks like the frame that is hunted for, but is one of a stream, is none.
TEST(Streams, AGreetingIsOfNoStream) {
    stream_sync sync{};
    std::memcpy(sync.magic, STREAM_MAGIC, sizeof sync.magic);
    stream_header of_stream = header_of(0, STREAM_WELCOME, 0);
    of_stream.stream = 2;
    stream_header reserved = header_of(0, STREAM_WELCOME, 0);
    reserved.zero = 1;
    ByteQueue said;
    append_frame(said, of_stream, bytes_of(sync));
    append_frame(said, reserved, bytes_of(sync));
    EXPECT_FALSE(hunt(said));
    append_frame(said, header_of(0, STREAM_WELCOME, 0), bytes_of(sync));
    EXPECT_TRUE(hunt(said));
    EXPECT_EQ(said.size(), 0u);
}

// A guest that goes on where a snapshot was taken: its program is in the middle of its life, with a
// command, and waits for the rest of a frame; the relay is new.
TEST(Streams, ANewRelayBeginsAnewWithAProgramThatLives) {
    int ends[2];
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    const UniqueFd ours(ends[0]);  // what QEMU has of the port
    TestGuest guest;
    const UniqueFd qemu = guest.accept_port();
    guest.port.reset(ends[1]);
    guest.start();
    old_relay(ours.get());
    // From here on the new relay is at the other end.
    std::atomic<bool> stop{false};
    const auto carry = [&stop](int from, int to) {
        std::vector<char> buffer(65536);
        while (!stop) {
            pollfd ready{.fd = from, .events = POLLIN, .revents = 0};
            if (::poll(&ready, 1, 50) <= 0) continue;
            const ssize_t count = ::read(from, buffer.data(), buffer.size());
            if (count <= 0 || !write_all(to, {buffer.data(), static_cast<size_t>(count)})) return;
        }
    };
    ::fcntl(qemu.get(), F_SETFL, 0);
    std::thread in(carry, qemu.get(), ours.get());
    std::thread out(carry, ours.get(), qemu.get());
    for (int i = 0; i < 20; ++i) {
        const Done done = shell(guest, "echo new; sleep 0.01");
        EXPECT_TRUE(done.end) << (done.end ? "" : done.end.error().message());
        EXPECT_EQ(done.out, "new\n");
    }
    stop = true;
    in.join();
    out.join();
}

TEST(Streams, WithoutAProgramInTheGuestItIsSaid) {
    TestGuest guest;
    const auto none = run_command(guest.socket(), {.argv = {"true"}}, std::chrono::milliseconds(1));
    ASSERT_FALSE(none);
    EXPECT_EQ(none.error().code(), std::errc::not_supported);
    const auto gone = run_command("/nonexistent/streams.sock", {.argv = {"true"}}, kPatience);
    ASSERT_FALSE(gone);
    EXPECT_EQ(gone.error().code(), std::errc::not_supported);
}

TEST(Streams, TheLimitOfCommandsIsSaid) {
    TestGuest guest;
    guest.start();
    std::vector<std::unique_ptr<GuestCommand>> all;
    for (unsigned i = 0; i < STREAM_MAX_CHANNELS; ++i) {
        auto one = GuestCommand::start(guest.socket(), {.argv = {"sleep", "1000"}}, kPatience);
        ASSERT_TRUE(one) << one.error().message();
        all.push_back(std::move(*one));
    }
    const auto more = run_command(guest.socket(), {.argv = {"true"}}, kPatience);
    ASSERT_FALSE(more);
    EXPECT_THAT(more.error().message(), HasSubstr("is the limit"));
    all.clear();
    EXPECT_TRUE(eventually([&] { return shell(guest, "echo hi").out == "hi\n"; }));
}

}  // namespace
}  // namespace mimic::streams
