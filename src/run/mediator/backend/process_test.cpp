// SPDX-License-Identifier: Apache-2.0
// Backends with real processes: jobs, restarts of either side, what does not end, what dies.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <csignal>
#include <filesystem>
#include <fstream>

#include "mediator/backend/testing/loop_fixture.h"

namespace mimic::mediator::backend {
namespace {

using namespace testing;  // NOLINT(google-build-using-namespace): of this folder
using ::testing::HasSubstr;

constexpr uint64_t kForever = ~uint64_t{0};
constexpr Owner kOwner{1, 10};

class ProcessTest : public ::testing::Test {
protected:
    ProcessTest() { config_.name = "A0"; }
    ~ProcessTest() override {
        if (backend_) backend_->stop();
    }

    // Until it is ready.
    void make() {
        BackendPlace place;
        place.run_folder = folder_.path();
        place.program = MIMIC_WORKER;
        place.patience = patience_;
        auto made = make_backend(config_, place, *loop_);
        ASSERT_TRUE(made) << made.error().message();
        backend_ = std::move(*made);
    }
    void make_ready() {
        make();
        ASSERT_TRUE(until([&] { return backend_->ready(); })) << backend_->state().what;
    }
    // As a mediator that was killed and started again.
    void forget() { backend_.reset(); }

    bool until(const std::function<bool()>& condition) { return turn_until(*loop_, condition); }
    Done run(const Bytes& request, Owner owner = kOwner, uint64_t id = 0, bool again = false) {
        return run_job(*loop_, *backend_, job_of(request, owner, id, again));
    }
    uint64_t memory_with(std::vector<uint8_t> values, Owner owner = kOwner) {
        const auto handle = run(request(VGPU_OP_MEM_ALLOC, words({values.size()})), owner)
                                .response.result64();
        const auto wrote = run(request(VGPU_OP_MEM_WRITE, words({handle, 0}),
                                       bytes_of(std::span<const uint8_t>(values))),
                               owner);
        EXPECT_EQ(wrote.response.status(), VGPU_OK);
        return handle;
    }
    Done read(uint64_t handle, uint64_t length, Owner owner = kOwner) {
        return run(request(VGPU_OP_MEM_READ, words({handle, 0, length})), owner);
    }
    int pid() const { return backend_->state().pid; }
    // Until none of its threads goes on.
    static void halt(int pid) {
        ASSERT_EQ(::kill(pid, SIGSTOP), 0);
        int status = 0;
        ASSERT_EQ(::waitpid(pid, &status, WUNTRACED), pid);
        ASSERT_TRUE(WIFSTOPPED(status));
    }

    RunFolder folder_;
    std::unique_ptr<EventLoop> loop_ = EventLoop::create().value();
    BackendConfig config_;
    Duration patience_ = std::chrono::seconds(60);
    std::unique_ptr<Backend> backend_;
};

TEST_F(ProcessTest, CarriesOutJobs) {
    make_ready();
    EXPECT_THAT(backend_->state().what, HasSubstr("cpu"));
    const Done sum = run(request(VGPU_OP_SUM, {20, 22}));
    EXPECT_EQ(sum.error, VGPU_OK);
    EXPECT_EQ(sum.response.results, std::vector<uint32_t>{42});
    const Done spun = run(spin(5'000'000));
    EXPECT_GE(spun.took, std::chrono::milliseconds(5));
    const uint64_t handle = memory_with(std::vector<uint8_t>(4 << 20, 3));
    EXPECT_EQ(backend_->owners(), std::vector<Owner>{kOwner});
    EXPECT_EQ(backend_->memory_used(1), 4u << 20);
    EXPECT_EQ(read(handle, 4 << 20).response.data.size(), 4u << 20);
    Job tight = job_of({});
    const Bytes asked = request(VGPU_OP_NOP);
    tight.request = asked;
    tight.room = 31;
    EXPECT_EQ(run_job(*loop_, *backend_, tight).error, VGPU_ERROR_INVALID_LENGTH);
    EXPECT_EQ(run(Bytes(5)).error, VGPU_ERROR_INVALID_REQUEST);
    EXPECT_EQ(backend_->state().restarts, 0u);
}

TEST_F(ProcessTest, TheNextJobCanBeGivenWithinTheEndOfTheLast) {
    make_ready();
    const Bytes asked = request(VGPU_OP_SUM, {1, 1});
    int left = 5000;
    const std::function<void(const Outcome&)> next = [&](const Outcome& outcome) {
        EXPECT_EQ(outcome.error, VGPU_OK);
        if (--left > 0) backend_->start(job_of(asked), std::chrono::seconds(30), next);
    };
    backend_->start(job_of(asked), std::chrono::seconds(30), next);
    EXPECT_TRUE(until([&] { return left == 0; }));
    EXPECT_EQ(backend_->state().jobs, 5000u);
}

TEST_F(ProcessTest, IsFoundByTheNextMediatorWithMemoryAndResults) {
    make_ready();
    const int first = pid();
    const uint64_t handle = memory_with({1, 2, 3});
    const Bytes asked = request(VGPU_OP_MEM_ALLOC, words({1000}));
    const Done allocated = run(asked, kOwner, 5);
    forget();
    make_ready();
    EXPECT_EQ(pid(), first);
    EXPECT_EQ(backend_->owners(), std::vector<Owner>{kOwner});
    EXPECT_EQ(backend_->memory_used(1), 256u + 1024u);
    EXPECT_EQ(read(handle, 3).response.values<uint8_t>(), (std::vector<uint8_t>{1, 2, 3}));
    const Done again = run(asked, kOwner, 5, true);
    EXPECT_EQ(again.response.result64(), allocated.response.result64());
    EXPECT_EQ(backend_->memory_used(1), 256u + 1024u);
    // What was seen need not be kept.
    backend_->acknowledge(kOwner, 5);
    EXPECT_TRUE(until([&] { return run(asked, kOwner, 5, true).error == VGPU_ERROR_BACKEND; }));
}

TEST_F(ProcessTest, OwnersOfResultsAreFoundAsThoseOfMemory) {
    make_ready();
    run(request(VGPU_OP_SUM, {1, 2}), {1, 10}, 5);
    run(request(VGPU_OP_SUM, {1, 2}), {2, 20}, 5);
    run(request(VGPU_OP_SUM, {1, 2}), {3, 0}, 5);  // of a protocol without sessions: not kept
    EXPECT_TRUE(backend_->owners().empty());
    forget();
    make_ready();
    EXPECT_EQ(backend_->owners(), (std::vector<Owner>{{1, 10}, {2, 20}}));
}

TEST_F(ProcessTest, AJobOfAMediatorThatWentIsDoneOnce) {
    make_ready();
    const int first = pid();
    const uint64_t out = memory_with(std::vector<uint8_t>(4, 0));
    const std::vector<float> ones(1, 1.0f);
    const uint64_t one = memory_with(std::vector<uint8_t>{0, 0, 0x80, 0x3f});
    // Takes a while, then adds 1.
    const Bytes asked = batch({spin(300'000'000), launch("saxpy", {memory_arg(out), memory_arg(one),
                                                                   value_arg(1), float_arg(1)})});
    std::optional<Done> lost;
    start_job(*backend_, job_of(asked, kOwner, 9), std::chrono::seconds(30), lost);
    loop_->run_once({});
    forget();
    EXPECT_FALSE(lost);
    make_ready();
    EXPECT_EQ(pid(), first);
    const Done again = run(asked, kOwner, 9, true);
    EXPECT_EQ(again.response.status(), VGPU_OK);
    EXPECT_EQ(parts(again.response).size(), 2u);
    EXPECT_EQ(read(out, 4).response.values<float>(), ones);
}

TEST_F(ProcessTest, TheEndOfOneThatWasFoundIsARestart) {
    make_ready();
    const int first = pid();
    forget();
    make_ready();
    ASSERT_EQ(pid(), first);
    EXPECT_EQ(backend_->state().restarts, 0u);
    ASSERT_EQ(::kill(first, SIGKILL), 0);
    ASSERT_TRUE(until([&] { return backend_->ready() && pid() != first; }));
    EXPECT_EQ(backend_->state().restarts, 1u);
}

TEST_F(ProcessTest, ACrashIsTheErrorOfOneJob) {
    make_ready();
    const int first = pid();
    const uint64_t handle = memory_with({1});
    std::optional<Done> done;
    const Bytes asked = spin(kForever);
    start_job(*backend_, job_of(asked), std::chrono::seconds(60), done);
    ASSERT_EQ(::kill(first, SIGSEGV), 0);
    ASSERT_TRUE(until([&] { return done.has_value(); }));
    EXPECT_EQ(done->error, VGPU_ERROR_BACKEND);
    EXPECT_FALSE(backend_->ready());
    ASSERT_TRUE(until([&] { return backend_->ready(); }));
    EXPECT_NE(pid(), first);
    EXPECT_EQ(backend_->state().restarts, 1u);
    EXPECT_TRUE(backend_->owners().empty());
    EXPECT_EQ(read(handle, 1).response.status(), VGPU_ERROR_HANDLE);
    EXPECT_EQ(run(request(VGPU_OP_SUM, {1, 1})).error, VGPU_OK);
}

TEST_F(ProcessTest, AnIdleProcessThatDiesIsTold) {
    make_ready();
    int changes = 0;
    backend_->on_change([&] { ++changes; });
    ASSERT_EQ(::kill(pid(), SIGKILL), 0);
    EXPECT_TRUE(until([&] { return changes == 1; }));
    EXPECT_FALSE(backend_->ready());
    EXPECT_TRUE(until([&] { return changes == 2; }));
    EXPECT_TRUE(backend_->ready());
}

TEST_F(ProcessTest, AKernelThatNeverEndsIsEnded) {
    make_ready();
    const int first = pid();
    const uint64_t handle = memory_with({7});
    const Bytes asked = spin(kForever);
    const Done ended = run_job(*loop_, *backend_, job_of(asked, kOwner, 3),
                               std::chrono::milliseconds(30));
    EXPECT_EQ(ended.error, VGPU_ERROR_TIMEOUT);
    EXPECT_EQ(pid(), first);  // it listened
    EXPECT_EQ(read(handle, 1).response.values<uint8_t>(), std::vector<uint8_t>{7});
    // It was carried out, and is not begun once more.
    EXPECT_EQ(run(asked, kOwner, 3, true).error, VGPU_ERROR_CANCELLED);
}

TEST_F(ProcessTest, AProcessThatDoesNotListenIsKilled) {
    make_ready();
    const int first = pid();
    std::optional<Done> done;
    const Bytes asked = spin(kForever);
    start_job(*backend_, job_of(asked), std::chrono::milliseconds(20), done);
    halt(first);
    ASSERT_TRUE(until([&] { return done.has_value(); }));
    EXPECT_EQ(done->error, VGPU_ERROR_TIMEOUT);
    ASSERT_TRUE(until([&] { return backend_->ready(); }));
    EXPECT_NE(pid(), first);
    EXPECT_EQ(run(request(VGPU_OP_SUM, {1, 1})).error, VGPU_OK);
}

TEST_F(ProcessTest, ACancelledJobEnds) {
    make_ready();
    std::optional<Done> done;
    const Bytes asked = spin(kForever);
    start_job(*backend_, job_of(asked), std::chrono::seconds(60), done);
    loop_->run_once({});
    backend_->cancel();
    ASSERT_TRUE(until([&] { return done.has_value(); }));
    EXPECT_EQ(done->error, VGPU_ERROR_CANCELLED);
    // The signal was for that one only.
    EXPECT_EQ(run(spin(1000)).error, VGPU_OK);
}

// What others have there is worth more than the end of a job a moment sooner.
TEST_F(ProcessTest, ACancelledJobThatDoesNotListenHasItsTime) {
    make_ready();
    const int first = pid();
    const uint64_t handle = memory_with({7}, {2, 20});
    std::optional<Done> done;
    const Bytes asked = spin(kForever);
    start_job(*backend_, job_of(asked), std::chrono::seconds(60), done);
    halt(first);
    backend_->cancel();
    const TimePoint end = loop_->now() + 3 * Backend::kGrace;
    ASSERT_TRUE(until([&] { return loop_->now() > end; }));
    EXPECT_FALSE(done);
    ASSERT_EQ(::kill(first, SIGCONT), 0);
    ASSERT_TRUE(until([&] { return done.has_value(); }));
    EXPECT_EQ(done->error, VGPU_ERROR_CANCELLED);
    EXPECT_EQ(pid(), first);
    EXPECT_EQ(read(handle, 1, {2, 20}).response.values<uint8_t>(), std::vector<uint8_t>{7});
}

TEST_F(ProcessTest, ACancelledJobThatOutlivesItsTimeoutIsOne) {
    make_ready();
    const int first = pid();
    std::optional<Done> done;
    const Bytes asked = spin(kForever);
    start_job(*backend_, job_of(asked), std::chrono::milliseconds(300), done);
    halt(first);
    backend_->cancel();
    ASSERT_TRUE(until([&] { return done.has_value(); }));
    EXPECT_EQ(done->error, VGPU_ERROR_TIMEOUT);
    EXPECT_GE(done->took, std::chrono::milliseconds(300));
}

TEST_F(ProcessTest, ReleaseFreesWhileAnotherRuns) {
    config_.memory_bytes = 4096;
    make_ready();
    const Owner other{2, 20};
    const uint64_t handle = memory_with(std::vector<uint8_t>(4096, 1), other);
    std::optional<Done> done;
    const Bytes asked = spin(50'000'000);
    start_job(*backend_, job_of(asked), std::chrono::seconds(60), done);
    backend_->release(other);
    EXPECT_TRUE(backend_->owners().empty());
    ASSERT_TRUE(until([&] { return done.has_value(); }));
    EXPECT_EQ(run(request(VGPU_OP_MEM_ALLOC, words({4096}))).response.status(), VGPU_OK);
    EXPECT_EQ(read(handle, 1, other).response.status(), VGPU_ERROR_HANDLE);
}

// Its message is behind many others, and the job is not.
TEST_F(ProcessTest, AJobBehindAReleaseFindsNothing) {
    config_.memory_bytes = 4096;
    make_ready();
    const Owner owner{2, 20};
    for (int round = 0; round < 20; ++round) {
        const uint64_t handle = memory_with(std::vector<uint8_t>(4096, 1), owner);
        for (uint32_t other = 0; other < 500; ++other) backend_->release({3, other});
        backend_->release(owner);
        EXPECT_EQ(read(handle, 1, owner).response.status(), VGPU_ERROR_HANDLE);
        // Nor is it in the way of the next session's.
        const Owner next{2, 21};
        const uint64_t again = memory_with(std::vector<uint8_t>(4096, 2), next);
        EXPECT_NE(again, 0u);
        backend_->release(next);
    }
}

TEST_F(ProcessTest, WhatAnotherHasLeftCanBeHadAtOnce) {
    config_.memory_bytes = 4096;
    make_ready();
    for (int round = 0; round < 20; ++round) {
        const Owner owner{2, 20};
        const Owner next{1, 10};
        EXPECT_NE(memory_with(std::vector<uint8_t>(4096, 1), owner), 0u);
        for (uint32_t other = 0; other < 500; ++other) backend_->release({3, other});
        backend_->release(owner);
        EXPECT_NE(memory_with(std::vector<uint8_t>(4096, 2), next), 0u);
        backend_->release(next);
    }
}

TEST_F(ProcessTest, GoesWithoutAMediator) {
    patience_ = std::chrono::milliseconds(300);
    make_ready();
    const int first = pid();
    forget();
    // A zombie of ours until it is waited for.
    EXPECT_TRUE(until([&] { return ::waitpid(first, nullptr, WNOHANG) == first; }));
}

TEST_F(ProcessTest, AnotherConfigurationIsAnotherProcess) {
    make_ready();
    const int first = pid();
    memory_with({1});
    forget();
    config_.kind = CpuBackend{2};
    make_ready();
    EXPECT_NE(pid(), first);
    EXPECT_TRUE(backend_->owners().empty());
}

// A tracer that does not wait keeps the dead process from its parent, as a driver's call keeps it
// from its end.
TEST_F(ProcessTest, NobodyWaitsForTheEndOfOneThatIsStopped) {
    make_ready();
    const int first = pid();
    int ready[2];
    ASSERT_EQ(::pipe(ready), 0);
    const pid_t tracer = ::fork();
    if (tracer == 0) {
        const bool traces = ::ptrace(PTRACE_SEIZE, first, 0, 0) == 0;
        (void)!::write(ready[1], traces ? "y" : "n", 1);
        ::sleep(30);  // not for ever: whoever waits is to fail, not to hang
        ::_exit(0);
    }
    char traces = 0;
    ASSERT_EQ(::read(ready[0], &traces, 1), 1);
    ::close(ready[0]);
    ::close(ready[1]);
    ASSERT_EQ(traces, 'y');
    backend_->stop();
    backend_.reset();
    EXPECT_EQ(::waitpid(tracer, nullptr, WNOHANG), 0);  // it is still there
    siginfo_t none{};
    EXPECT_EQ(::waitid(P_PID, static_cast<id_t>(first), &none, WEXITED | WNOHANG | WNOWAIT), 0);
    ASSERT_EQ(::kill(tracer, SIGKILL), 0);
    ASSERT_EQ(::waitpid(tracer, nullptr, 0), tracer);
    // Then it is waited for.
    EXPECT_TRUE(until([&] {
        return ::waitid(P_PID, static_cast<id_t>(first), &none, WEXITED | WNOHANG | WNOWAIT) != 0;
    }));
}

// Many more than a socket takes at once, and a mediator that does not read at first.
TEST_F(ProcessTest, ManyOwnersAreTold) {
    make_ready();
    std::vector<Owner> all;
    const Bytes asked = request(VGPU_OP_SUM, {1, 1});
    for (uint32_t vm = 1; vm <= 1500; ++vm) {
        all.push_back({vm, 10});
        run(asked, all.back(), 1);
    }
    forget();
    make();
    // Greets, and does not read what follows.
    for (int turn = 0; turn < 5; ++turn) {
        loop_->run_once(std::chrono::milliseconds(5));
        ::usleep(20'000);
    }
    ASSERT_TRUE(until([&] { return backend_->ready(); }));
    EXPECT_EQ(backend_->owners(), all);
}

TEST_F(ProcessTest, IsConfined) {
    make_ready();
    std::ifstream status(fmt::format("/proc/{}/status", pid()));
    const std::string text{std::istreambuf_iterator<char>(status), {}};
    EXPECT_THAT(text, HasSubstr("\nSeccomp:\t2\n"));
    EXPECT_THAT(text, HasSubstr("\nNoNewPrivs:\t1\n"));
    struct stat socket {};
    ASSERT_EQ(::stat((folder_.path() + "/backend-A0.sock").c_str(), &socket), 0);
    EXPECT_EQ(socket.st_mode & 0777, 0600u);
    // Only what it was given and has made: 0, 1, 2, its listener, our connection and its copy, the
    // eventfd. None of ours.
    EXPECT_TRUE(until([&] {
        const std::filesystem::directory_iterator all(fmt::format("/proc/{}/fd", pid()));
        return std::distance(begin(all), end(all)) <= 7;
    }));
}

TEST_F(ProcessTest, SimTakesTheTimeOfItsModel) {
    SimBackend sim;
    sim.model = "linear";
    sim.parameters = {{"latency", "2ms"}, {"per-unit", "1us"}};
    config_.kind = sim;
    make_ready();
    EXPECT_THAT(backend_->state().what, HasSubstr("sim, linear"));
    const uint64_t memory = memory_with(std::vector<uint8_t>(8192, 0));
    const Done done = run(launch("vector_add", {memory_arg(memory), memory_arg(memory),
                                                memory_arg(memory), value_arg(1000)}));
    EXPECT_EQ(done.response.status(), VGPU_OK);
    EXPECT_GE(done.took, std::chrono::milliseconds(3));
}

TEST_F(ProcessTest, AModelThatIsNoneIsSaid) {
    config_.kind = SimBackend{"no-such-model", {}, 1};
    make();
    EXPECT_TRUE(
        until([&] { return backend_->state().what.find("no-such-model") != std::string::npos; }));
    EXPECT_FALSE(backend_->ready());
}

TEST(MakeBackend, RefusesNamesThatArePaths) {
    const auto loop = EventLoop::create().value();
    const RunFolder folder;
    BackendConfig config;
    for (const char* name : {"", "../x", "a/b", ".hidden", "a b"}) {
        config.name = name;
        EXPECT_FALSE(make_backend(config, {folder.path(), MIMIC_WORKER, {}}, *loop)) << name;
    }
}

TEST(MakeBackend, RefusesARunFolderThatIsTooLong) {
    const auto loop = EventLoop::create().value();
    const RunFolder folder;
    BackendConfig config;
    config.name = std::string(32, 'n');
    const auto fits = [&](size_t bytes) {
        const std::string long_one = folder.path() + "/" +
                                     std::string(bytes, 'x').substr(folder.path().size() + 1);
        auto made = make_backend(config, {long_one, MIMIC_WORKER, {}}, *loop);
        return made.has_value();
    };
    EXPECT_TRUE(fits(61));
    EXPECT_FALSE(fits(62));
    config.kind = CudaBackend{};  // up to "~63"
    EXPECT_TRUE(fits(58));
    EXPECT_FALSE(fits(59));
}

TEST(MakeBackend, RefusesARunFolderOfOthers) {
    const auto loop = EventLoop::create().value();
    const RunFolder folder;
    ASSERT_EQ(::chmod(folder.path().c_str(), 0777), 0);
    BackendConfig config;
    config.name = "A0";
    EXPECT_FALSE(make_backend(config, {folder.path(), MIMIC_WORKER, {}}, *loop));
}

}  // namespace
}  // namespace mimic::mediator::backend
