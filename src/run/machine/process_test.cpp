// SPDX-License-Identifier: Apache-2.0
#include "machine/process.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <thread>

#include "base/unix_socket.h"
#include "machine/qmp.h"

namespace mimic::machine {
namespace {

using namespace std::chrono_literals;

TEST(ProcessTest, CapturesOutputAndStatus) {
    const auto done = run_capture({"sh", "-c", "echo out; echo err >&2; exit 3"}, 60s);
    ASSERT_TRUE(done) << done.error().message();
    EXPECT_EQ(done->out, "out\n");
    EXPECT_EQ(done->err, "err\n");
    EXPECT_EQ(done->exit.str(), "ended with exit status 3");
}

TEST(ProcessTest, TimeoutKillsTheCommand) {
    const auto done = run_capture({"sleep", "1000"}, 10ms);
    ASSERT_FALSE(done);
    EXPECT_EQ(done.error().code(), std::errc::timed_out);
}

void on_signal(int) {}

// A ^C that somebody catches must not keep us in a read beyond the deadline.
TEST(ProcessTest, ASignalDoesNotDelayTheTimeout) {
    struct sigaction action {};
    action.sa_handler = on_signal;
    ASSERT_EQ(::sigaction(SIGUSR1, &action, nullptr), 0);
    // The first line leaves its mark in revents; then nothing comes but the signal.
    const auto done = run_capture(
        {"sh", "-c", fmt::format("echo x; sleep 0.2; kill -USR1 {}; exec sleep 60", ::getpid())},
        1s);
    ASSERT_FALSE(done);
    EXPECT_EQ(done.error().code(), std::errc::timed_out);
}

// Makes a system call fail with ENOSYS from now on, in this process and its children.
void forbid(unsigned number) {
    std::array<sock_filter, 4> code{{
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    }};
    const sock_fprog program{code.size(), code.data()};
    if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
        ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
        ::_exit(2);
}

// As in a container whose seccomp profile is older than pidfd_open(2): this took an hour.
[[noreturn]] void spawn_what_cannot_be_watched() {
    forbid(SYS_pidfd_open);
    SpawnOptions options;
    options.argv = {"sleep", "1000"};
    const bool failed = !Process::spawn(options);
    const bool none_left = ::waitpid(-1, nullptr, WNOHANG) == -1;
    ::_exit(failed && none_left ? 0 : 1);
}

TEST(ProcessTest, AChildThatCannotBeWatchedIsEndedAtOnce) {
    EXPECT_EXIT(spawn_what_cannot_be_watched(), testing::ExitedWithCode(0), "");
}

TEST(ProcessTest, AMissingProgramIsAnErrorNotAStatus) {
    EXPECT_EQ(run_capture({"/nonexistent"}, 60s).error().code(),
              std::errc::no_such_file_or_directory);
    EXPECT_EQ(run_capture({"no-such-program-here"}, 60s).error().code(),
              std::errc::no_such_file_or_directory);
}

TEST(ProcessTest, NoDescriptorLeaksIntoTheChild) {
    // Not close-on-exec, as a careless parent of ours would leave it.
    std::array<int, 2> ends{};
    ASSERT_EQ(::pipe(ends.data()), 0);
    const auto done = run_capture({"sh", "-c", "ls /proc/self/fd | wc -l"}, 60s);
    ::close(ends[0]);
    ::close(ends[1]);
    ASSERT_TRUE(done);
    EXPECT_EQ(done->out, "4\n");  // 0, 1, 2 and the folder that ls reads
}

TEST(ProcessTest, PassesDescriptorsAtTheirNumbers) {
    std::array<int, 2> ends{};
    ASSERT_EQ(::pipe2(ends.data(), O_CLOEXEC), 0);
    const UniqueFd reader(ends[0]);
    UniqueFd writer(ends[1]);
    SpawnOptions options;
    options.argv = {"sh", "-c", "echo hello >&7"};
    options.pass_fds = {{writer.get(), 7}};
    auto process = Process::spawn(options);
    ASSERT_TRUE(process);
    writer.reset();
    std::array<char, 16> buffer{};
    EXPECT_EQ(::read(reader.get(), buffer.data(), buffer.size()), 6);
    EXPECT_TRUE(process->wait(60s)->ok());
}

TEST(ProcessTest, StopReportsTheSignal) {
    SpawnOptions options;
    options.argv = {"sleep", "1000"};
    auto process = Process::spawn(options);
    ASSERT_TRUE(process);
    EXPECT_TRUE(process_start_time(process->pid()));
    EXPECT_EQ(process->stop(60s)->signal, SIGTERM);
    EXPECT_FALSE(process->running());
}

TEST(ProcessTest, AZombieCountsAsGone) {
    SpawnOptions options;
    options.argv = {"true"};
    auto process = Process::spawn(options);
    ASSERT_TRUE(process);
    const pid_t pid = process->pid();
    siginfo_t info{};
    ASSERT_EQ(::waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOWAIT), 0);
    EXPECT_FALSE(process_start_time(pid));
}

/// A peer that says `script` at once and reads nothing.
class QmpTest : public testing::Test {
protected:
    Result<std::unique_ptr<QmpClient>> connect_to(std::string script, Duration timeout) {
        path_ = testing::TempDir() + "mimic-qmp-" + std::to_string(::getpid()) + ".sock";
        auto listener = UnixListener::listen(path_);
        EXPECT_TRUE(listener);
        listener_ = std::make_unique<UnixListener>(std::move(*listener));
        peer_ = std::thread([this, script = std::move(script)] {
            while (!client_) client_ = std::move(*listener_->accept());
            ::fcntl(client_.get(), F_SETFL, 0);  // send() below waits for the reader
            ::send(client_.get(), script.data(), script.size(), MSG_NOSIGNAL);
        });
        return QmpClient::connect(path_, timeout);
    }
    void TearDown() override {
        if (peer_.joinable()) peer_.join();
    }

    std::string path_;
    std::unique_ptr<UnixListener> listener_;
    std::thread peer_;
    UniqueFd client_;
};

constexpr const char* kHello = "{\"QMP\": {\"version\": {}}}\r\n{\"return\": {}}\r\n";

TEST_F(QmpTest, SkipsEventsAndReadsStatus) {
    auto client = connect_to(std::string(kHello) + "{\"event\": \"RESUME\"}\r\n" +
                                 "{\"return\": {\"status\": \"running\"}}\r\n",
                             60s);
    ASSERT_TRUE(client) << client.error().message();
    EXPECT_EQ((*client)->status(60s).value_or("none"), "running");
}

TEST_F(QmpTest, ARefusalKeepsQemusWords) {
    auto client = connect_to(
        std::string(kHello) + "{\"error\": {\"class\": \"X\", \"desc\": \"not now\"}}\r\n", 60s);
    ASSERT_TRUE(client);
    const auto refused = (*client)->execute("stop", 60s);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code(), std::errc::invalid_argument);
    EXPECT_NE(refused.error().message().find("not now"), std::string::npos);
}

TEST_F(QmpTest, APeerThatSaysSomethingElseIsRefused) {
    const auto client = connect_to("HTTP/1.1 200 OK\r\n", 60s);
    ASSERT_FALSE(client);
    EXPECT_EQ(client.error().code(), std::errc::protocol_error);
}

TEST_F(QmpTest, ASilentPeerTimesOut) {
    const auto client = connect_to("", 10ms);
    ASSERT_FALSE(client);
    EXPECT_EQ(client.error().code(), std::errc::timed_out);
}

TEST_F(QmpTest, ALineWithoutEndIsCut) {
    const auto client = connect_to(std::string(3u << 20, 'x'), 60s);
    ASSERT_FALSE(client);
    EXPECT_EQ(client.error().code(), std::errc::protocol_error);
}

}  // namespace
}  // namespace mimic::machine
