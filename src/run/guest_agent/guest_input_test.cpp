// SPDX-License-Identifier: Apache-2.0
// Input of commands in a guest. The agent is a fake, but what it starts are real shells and pipes:
// those of this computer.
#include "guest_agent/guest_input.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>

#include "guest_agent/base64.h"
#include "guest_agent/fake_guest_agent.h"

namespace mimic::guest_agent {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

// guest-exec and guest-exec-status as qemu-guest-agent has them (QEMU 7.2, qga/commands.c): input
// goes through a pipe, an exit counts when both outputs have ended, too.
class LocalAgent {
public:
    ~LocalAgent() {
        for (auto& [pid, one] : running_) {
            ::kill(-pid, SIGKILL);
            ::waitpid(pid, nullptr, 0);
            for (auto& thread : one.threads) thread.join();
        }
    }

    std::string answer(const std::string& line) {
        const Json request = Json::parse(line, nullptr, false);
        const Json& arguments = request.contains("arguments") ? request["arguments"] : Json();
        Json answer;
        if (request["execute"] == "guest-exec") {
            ++started;
            answer = {{"pid", start(arguments)}};
        } else {
            answer = status(arguments["pid"]);
        }
        return Json{{"return", answer}, {"id", request["id"]}}.dump() + "\n";
    }

    std::atomic<size_t> largest_input = 0;  // bytes
    std::atomic<unsigned> started = 0;

    size_t unfinished() {
        return static_cast<size_t>(std::count_if(running_.begin(), running_.end(), [](auto& one) {
            siginfo_t info{};
            const auto pid = static_cast<id_t>(one.first);
            return ::waitid(P_PID, pid, &info, WEXITED | WNOHANG | WNOWAIT) != 0 ||
                   info.si_pid == 0;
        }));
    }

private:
    struct Running {
        std::string out, err;
        std::atomic<int> open_outputs = 2;
        std::vector<std::thread> threads;
    };

    int64_t start(const Json& arguments) {
        int in[2];
        int out[2];
        int err[2];
        for (int* const ends : {in, out, err})
            if (::pipe2(ends, O_CLOEXEC) != 0) std::abort();
        const auto input = base64_decode(arguments.value("input-data", "")).value_or("");
        largest_input = std::max(largest_input.load(), input.size());
        std::vector<std::string> argv{arguments["path"]};
        for (const auto& one : arguments["arg"]) argv.push_back(one);
        std::vector<char*> pointers;
        for (auto& one : argv) pointers.push_back(one.data());
        pointers.push_back(nullptr);
        const pid_t pid = ::fork();
        if (pid == 0) {
            ::setpgid(0, 0);
            ::dup2(in[0], 0);
            ::dup2(out[1], 1);
            ::dup2(err[1], 2);
            ::execvp(pointers[0], pointers.data());
            ::_exit(127);
        }
        for (const int fd : {in[0], out[1], err[1]}) ::close(fd);
        Running& one = running_[pid];
        const auto drain = [&one](int fd, std::string& text) {
            char buffer[65536];
            for (ssize_t count = 0; (count = ::read(fd, buffer, sizeof buffer)) > 0;)
                text.append(buffer, static_cast<size_t>(count));
            ::close(fd);
            --one.open_outputs;
        };
        one.threads.emplace_back([&one, drain, fd = out[0]] { drain(fd, one.out); });
        one.threads.emplace_back([&one, drain, fd = err[0]] { drain(fd, one.err); });
        one.threads.emplace_back([input, fd = in[1]] {
            for (size_t at = 0; at < input.size();) {
                const ssize_t count = ::write(fd, input.data() + at, input.size() - at);
                if (count < 0) break;
                at += static_cast<size_t>(count);
            }
            ::close(fd);
        });
        return pid;
    }

    Json status(pid_t pid) {
        const auto found = running_.find(pid);
        if (found == running_.end()) return {{"exited", false}};
        int state = 0;
        if (found->second.open_outputs != 0 || ::waitpid(pid, &state, WNOHANG) != pid)
            return {{"exited", false}};
        for (auto& thread : found->second.threads) thread.join();
        Json answer{{"exited", true},
                    {"out-data", base64_encode(found->second.out)},
                    {"err-data", base64_encode(found->second.err)}};
        if (WIFSIGNALED(state)) {
            answer["signal"] = WTERMSIG(state);
        } else {
            answer["exitcode"] = WEXITSTATUS(state);
        }
        running_.erase(found);
        return answer;
    }

    std::map<pid_t, Running> running_;
};

class GuestInputTest : public testing::Test {
protected:
    GuestInputTest() : fake_([this](const std::string& line) { return local_.answer(line); }) {
        ::signal(SIGPIPE, SIG_IGN);
        std::string name = testing::TempDir() + "mimic-input-XXXXXX";
        folder_ = ::mkdtemp(name.data());
    }
    ~GuestInputTest() override {
        std::error_code ignored;
        fs::remove_all(folder_, ignored);
    }

    // What `write` puts into our end of a pipe is the input of `argv`.
    Result<GuestAgent::ExecResult> run(const std::vector<std::string>& argv,
                                       const std::function<void(int fd)>& write) {
        int ends[2];
        if (::pipe2(ends, O_CLOEXEC) != 0) return fail_errno("pipe");
        const UniqueFd input(ends[0]);
        std::thread writer([&, fd = ends[1]] {
            write(fd);
            ::close(fd);
        });
        DescriptorInput source(input.get());
        auto result = exec_with_input(agent_, argv, source);
        {
            // Whoever still writes sees that nobody reads.
            const UniqueFd gone(::open("/dev/null", O_RDONLY | O_CLOEXEC));
            ::dup3(gone.get(), input.get(), O_CLOEXEC);
        }
        writer.join();
        return result;
    }
    static void put(int fd, std::string_view text) {
        while (!text.empty()) {
            const ssize_t count = ::write(fd, text.data(), text.size());
            if (count <= 0) return;
            text.remove_prefix(static_cast<size_t>(count));
        }
    }

    LocalAgent local_;
    FakeGuestAgent fake_;
    // No doubt while a busy machine carries large input: this fake knows no sync.
    GuestAgent agent_{fake_.take_client(), std::chrono::seconds(120)};
    std::string folder_;
};

std::string some_bytes(size_t size) {
    std::string text(size, '\0');
    uint32_t state = 1;
    for (char& c : text) c = static_cast<char>((state = state * 1664525 + 1013904223) >> 24);
    return text;
}

TEST_F(GuestInputTest, ShortInputGoesAlong) {
    const std::string bytes("x\0\xff\r\n\x1b", 6);
    const auto result = run({"cat"}, [&](int fd) { put(fd, bytes); });
    ASSERT_TRUE(result) << result.error().message();
    EXPECT_EQ(result->out, bytes);
    const auto none = run({"cat"}, [](int) {});
    ASSERT_TRUE(none);
    EXPECT_EQ(none->out, "");
}

// More than goes along with a command, more than a FIFO holds, and more than is ever in memory:
// what the agent gets at once does not grow with the whole. (100 MiB arrive as well.)
TEST_F(GuestInputTest, LargeInputArrivesWholeInParts) {
    const size_t size = size_t{12} << 20;
    const std::string block = some_bytes(1 << 20);
    const std::string out = folder_ + "/out";
    const auto result = run({"sh", "-c", "cat >\"$1\"; exit 3", "sh", out}, [&](int fd) {
        for (size_t sent = 0; sent < size; sent += block.size()) put(fd, block);
        put(fd, "end");
    });
    ASSERT_TRUE(result) << result.error().message();
    EXPECT_EQ(result->exit_status, 3);
    EXPECT_EQ(result->err, "");
    EXPECT_LE(local_.largest_input, kInputPart);
    EXPECT_EQ(fs::file_size(out), size + 3);
    std::ifstream file(out, std::ios::binary);
    std::string got(block.size(), '\0');
    for (size_t at = 0; at < size; at += block.size()) {
        file.read(got.data(), static_cast<std::streamsize>(got.size()));
        ASSERT_TRUE(got == block) << "from byte " << at;
    }
    EXPECT_EQ(std::string(std::istreambuf_iterator<char>(file), {}), "end");
}

// Input whose end depends on what has arrived: nothing is held back until there is more.
TEST_F(GuestInputTest, PartsArriveAsTheyCome) {
    const std::string seen = folder_ + "/seen";
    const auto result = run(
        {"sh", "-c", "while read -r line; do echo \"$line\" >>\"$1\"; done", "sh", seen},
        [&](int fd) {
            for (const char* line : {"one\n", "two\n", "three\n"}) {
                put(fd, line);
                const std::string wanted(line, std::strlen(line) - 1);
                for (std::string last; last != wanted; ::usleep(1000)) {
                    std::ifstream file(seen);
                    for (std::string text; std::getline(file, text);) last = text;
                }
            }
        });
    ASSERT_TRUE(result) << result.error().message();
    EXPECT_EQ(result->exit_status, 0);
}

TEST_F(GuestInputTest, CommandThatReadsNothingEnds) {
    const std::string block(1 << 20, 'x');
    for (int i = 0; i < 3; ++i) {
        const auto result = run({"sh", "-c", "exit 9"}, [&](int fd) {
            for (int n = 0; n < 64; ++n) put(fd, block);
        });
        ASSERT_TRUE(result) << result.error().message();
        EXPECT_EQ(result->exit_status, 9);
    }
    const auto some = run({"head", "-c", "5"}, [&](int fd) { put(fd, "12345" + block + block); });
    ASSERT_TRUE(some);
    EXPECT_EQ(some->out, "12345");
    const auto closes = run({"sh", "-c", "exec <&-; sleep 1; echo done"},
                            [&](int fd) { put(fd, block + block); });
    ASSERT_TRUE(closes) << closes.error().message();
    EXPECT_EQ(closes->out, "done\n");
}

// As in a script whose input is somebody's terminal or pipe that nobody writes to.
TEST_F(GuestInputTest, InputThatNeverEndsKeepsNobody) {
    const auto result = run({"echo", "hi"}, [](int fd) {
        // Until the reader is gone, at the end of run().
        pollfd reader{.fd = fd, .events = 0, .revents = 0};
        ::poll(&reader, 1, -1);
    });
    ASSERT_TRUE(result) << result.error().message();
    EXPECT_EQ(result->out, "hi\n");
}

TEST_F(GuestInputTest, EndOfACommandIsItsOwn) {
    const std::string block(1 << 20, 'x');
    const auto put_block = [&](int fd) { put(fd, block); };
    const auto killed = run({"sh", "-c", "cat >/dev/null; kill -9 $$"}, put_block);
    ASSERT_TRUE(killed) << killed.error().message();
    EXPECT_EQ(killed->signal, 9);
    const auto missing = run({"mimic-no-such-command"}, put_block);
    ASSERT_TRUE(missing);
    EXPECT_EQ(missing->exit_status, 127);
    const auto arguments = run({"printf", "<%s>", "a b", "", "$1", "'\"\\"}, put_block);
    ASSERT_TRUE(arguments);
    EXPECT_EQ(arguments->out, "<a b><><$1><'\"\\>");
}

TEST_F(GuestInputTest, NothingIsLeftInTheGuest) {
    const auto folders = [] {
        size_t count = 0;
        for (const auto& entry : fs::directory_iterator("/tmp"))
            count += entry.path().filename().string().starts_with(".mimic-exec-") ? 1 : 0;
        return count;
    };
    const size_t before = folders();
    const std::string block(1 << 20, 'x');
    ASSERT_TRUE(run({"sh", "-c", "exit 0"}, [&](int fd) { put(fd, block); }));
    ASSERT_TRUE(run({"wc", "-c"}, [&](int fd) { put(fd, block); }));
    EXPECT_LE(folders(), before);
    for (int tries = 0; tries < 6000 && local_.unfinished() != 0; ++tries) ::usleep(10000);
    EXPECT_EQ(local_.unfinished(), 0u) << "a cat waits in open(2) or write(2)";
}

TEST_F(GuestInputTest, BrokenInputIsAnError) {
    const UniqueFd folder(::open("/", O_RDONLY | O_CLOEXEC | O_DIRECTORY));
    DescriptorInput source(folder.get());
    const auto result = exec_with_input(agent_, {"cat"}, source);
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().code(), std::errc::is_a_directory);
    DescriptorInput closed(1000);
    EXPECT_FALSE(exec_with_input(agent_, {"cat"}, closed));
    EXPECT_EQ(local_.started, 0u);
}

}  // namespace
}  // namespace mimic::guest_agent
