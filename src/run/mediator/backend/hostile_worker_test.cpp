// SPDX-License-Identifier: Apache-2.0
// A backend's process that a guest has taken over: whatever it says to the mediator costs it its
// life and its job, and nothing else.
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <csignal>
#include <thread>

#include "base/unix_socket.h"
#include "mediator/backend/channel.h"
#include "mediator/backend/testing/loop_fixture.h"

namespace mimic::mediator::backend {
namespace {

using namespace testing;  // NOLINT(google-build-using-namespace): of this folder

// The other end, in a process of its own: it will be killed.
class Hostile {
public:
    explicit Hostile(int socket) : socket_(socket) {}

    void say(MessageKind kind, uint64_t value = 0, uint32_t magic = kChannelMagic) const {
        Message message;
        message.magic = magic;
        message.kind = kind;
        message.value = value;
        (void)send_message(socket_, message);
    }

    void say_owner(uint32_t vm) const {
        Message message;
        message.kind = MessageKind::kOwner;
        message.vm = vm;
        message.value = 1;
        while (!send_message(socket_, message)) ::usleep(100);
    }

    // Its mailbox and eventfd.
    void take_mailbox() {
        for (MessageReader reader;;) {
            Message message;
            std::vector<UniqueFd> descriptors;
            const auto got = reader.read(socket_, message, descriptors);
            if (!got) ::_exit(1);
            if (!*got || message.kind != MessageKind::kAttach) continue;
            box_ = MailboxMapping::map(descriptors.at(0).get()).value();
            event_ = std::move(descriptors.at(1));
            return;
        }
    }

    void wait_for_job() const {
        while (box_.head().submitted.load() == 0) ::usleep(100);
    }

    void answer(const MailedOutcome& outcome) const {
        answer_asleep(outcome);
        wake();
    }
    // Wakes nobody.
    void answer_asleep(const MailedOutcome& outcome) const {
        box_.head().outcome = outcome;
        box_.head().completed.store(box_.head().submitted.load());
    }
    // Says how much time it was given.
    void answer_timeout() const {
        MailedOutcome outcome;
        outcome.took_ns = ~uint64_t{0};
        outcome.response_length = sizeof(uint64_t);
        std::memcpy(box_.response(), &box_.head().job.timeout_ns, sizeof(uint64_t));
        answer(outcome);
    }
    void wake() const {
        const uint64_t one = 1;
        (void)!::write(event_.get(), &one, sizeof one);
    }
    // Reads what it is told and does nothing of it, for ever.
    void count_messages(std::atomic<uint32_t>& count) const {
        std::array<char, 64 * sizeof(Message)> buffer;
        for (size_t bytes = 0;;) {
            const ssize_t got = ::recv(socket_, buffer.data(), buffer.size(), 0);
            if (got <= 0) {
                ::usleep(100);
                continue;
            }
            bytes += static_cast<size_t>(got);
            count = static_cast<uint32_t>(bytes / sizeof(Message));
        }
    }
    void send_bytes(size_t count) const {
        const std::vector<char> bytes(count, 'x');
        (void)::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    }
    void send_descriptors() const {
        Message message;
        message.kind = MessageKind::kOwner;
        const int many[] = {0, 0};
        for (int i = 0; i < 3; ++i) (void)send_message(socket_, message, many);
    }

private:
    const int socket_;
    MailboxMapping box_;
    UniqueFd event_;
};

using Script = std::function<void(Hostile&, uint64_t fingerprint)>;

class HostileWorkerTest : public ::testing::Test {
protected:
    HostileWorkerTest() { config_.name = "A0"; }
    ~HostileWorkerTest() override {
        if (backend_) backend_->stop();
    }

    // A process that listens where the mediator looks first. It plays `script` and then waits to be
    // killed, unless the script ends it.
    void plant(const Script& script) {
        const bool cuda = std::holds_alternative<CudaBackend>(config_.kind);
        const std::string path = folder_.path() +
                                 (cuda ? "/backend-A0~0.sock" : "/backend-A0.sock");
        // Whether somebody listens is looked at first (per_vm_backend.cpp).
        int looks = cuda ? 1 : 0;
        int ready[2];
        ASSERT_EQ(::pipe(ready), 0);
        child_ = ::fork();
        if (child_ == 0) {
            auto listener = UnixListener::listen(path).value();
            (void)!::write(ready[1], "x", 1);
            UniqueFd socket;
            while (!socket) {
                ::usleep(1000);
                socket = listener.accept().value();
                if (socket && looks-- > 0) socket.reset();
            }
            Hostile hostile(socket.get());
            script(hostile, fingerprint(config_));
            for (;;) ::pause();
        }
        char byte = 0;
        ASSERT_EQ(::read(ready[0], &byte, 1), 1);
        ::close(ready[0]);
        ::close(ready[1]);
        auto made = make_backend(config_, {folder_.path(), MIMIC_WORKER, std::chrono::seconds(60)},
                                 *loop_);
        ASSERT_TRUE(made);
        backend_ = std::move(*made);
    }

    // It is killed, and a process of ours takes its place and works.
    void expect_replaced(bool killed = true) {
        ASSERT_TRUE(turn_until(*loop_, [&] {
            return backend_->ready() && backend_->state().pid != child_;
        })) << backend_->state().what;
        int status = 0;
        ASSERT_EQ(::waitpid(child_, &status, 0), child_);
        if (killed) {
            EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
        }
        const Bytes asked = request(VGPU_OP_SUM, {1, 2});
        const Done done = run_job(*loop_, *backend_, job_of(asked));
        EXPECT_EQ(done.response.results, std::vector<uint32_t>{3});
        EXPECT_TRUE(backend_->owners().empty());
    }

    // One that is attached as it should be. `script` begins when there is a job, unless not `job`.
    void plant_attached(const Script& script, bool job = true) {
        plant([&](Hostile& hostile, uint64_t print) {
            hostile.say(MessageKind::kHello, print);
            hostile.take_mailbox();
            hostile.say(MessageKind::kAttached);
            if (job) hostile.wait_for_job();
            script(hostile, print);
        });
        ASSERT_TRUE(turn_until(*loop_, [&] { return backend_->ready(); }));
    }

    // With a job under way, whose error is BACKEND.
    void expect_job_fails(const Script& script) {
        plant_attached(script);
        const Bytes asked = request(VGPU_OP_SUM, {1, 2});
        Job job = job_of(asked);
        job.room = 100;
        EXPECT_EQ(run_job(*loop_, *backend_, job).error, VGPU_ERROR_BACKEND);
        expect_replaced();
    }

    RunFolder folder_;
    std::unique_ptr<EventLoop> loop_ = EventLoop::create().value();
    BackendConfig config_;
    std::unique_ptr<Backend> backend_;
    pid_t child_ = 0;
};

TEST_F(HostileWorkerTest, ThatSpeaksNonsense) {
    plant([](Hostile& hostile, uint64_t) { hostile.send_bytes(1000); });
    expect_replaced();
}

TEST_F(HostileWorkerTest, OfAnotherVersion) {
    plant([](Hostile& hostile, uint64_t print) {
        hostile.say(MessageKind::kHello, print, kChannelMagic + 1);
    });
    expect_replaced();
}

TEST_F(HostileWorkerTest, OfAnotherConfiguration) {
    plant([](Hostile& hostile, uint64_t print) { hostile.say(MessageKind::kHello, print ^ 1); });
    expect_replaced();
}

TEST_F(HostileWorkerTest, ThatIsAttachedBeforeItSaidHello) {
    plant([](Hostile& hostile, uint64_t) { hostile.say(MessageKind::kAttached); });
    expect_replaced();
}

TEST_F(HostileWorkerTest, ThatSendsDescriptors) {
    plant([](Hostile& hostile, uint64_t print) {
        hostile.say(MessageKind::kHello, print);
        hostile.send_descriptors();
        hostile.say(MessageKind::kHello, print);
    });
    expect_replaced();
}

TEST_F(HostileWorkerTest, ThatHasMoreOwnersThanThereCanBe) {
    plant([](Hostile& hostile, uint64_t print) {
        hostile.say(MessageKind::kHello, print);
        hostile.take_mailbox();
        for (uint32_t vm = 0;; ++vm) hostile.say_owner(vm);
    });
    expect_replaced();
}

TEST_F(HostileWorkerTest, ThatHangsUp) {
    plant([](Hostile& hostile, uint64_t print) {
        hostile.say(MessageKind::kHello, print);
        ::_exit(0);
    });
    expect_replaced(false);
}

TEST_F(HostileWorkerTest, ThatAnswersMoreThanThereIsRoomFor) {
    expect_job_fails([](Hostile& hostile, uint64_t) {
        MailedOutcome outcome;
        outcome.response_length = 101;
        hostile.answer(outcome);
    });
}

TEST_F(HostileWorkerTest, ThatAnswersMoreThanThereIsMemory) {
    expect_job_fails([](Hostile& hostile, uint64_t) {
        MailedOutcome outcome;
        outcome.response_length = 0xffffffff;
        hostile.answer(outcome);
    });
}

TEST_F(HostileWorkerTest, WithAnErrorThatIsNone) {
    expect_job_fails([](Hostile& hostile, uint64_t) {
        MailedOutcome outcome;
        outcome.error = 0x80000000;
        hostile.answer(outcome);
    });
}

TEST_F(HostileWorkerTest, ThatWakesForNothing) {
    expect_job_fails([](Hostile& hostile, uint64_t) {
        for (;;) hostile.wake();
    });
}

TEST_F(HostileWorkerTest, WhoseTimesAreNoTimes) {
    plant_attached([](Hostile& hostile, uint64_t) {
        MailedOutcome outcome;
        outcome.took_ns = ~uint64_t{0};
        hostile.answer(outcome);
    });
    const TimePoint begin = loop_->now();
    const Bytes asked = request(VGPU_OP_SUM, {1, 2});
    const Done done = run_job(*loop_, *backend_, job_of(asked));
    // Nobody is charged for longer than it was away.
    EXPECT_GE(done.took, Duration{});
    EXPECT_LE(done.took, loop_->now() - begin);
    ::kill(child_, SIGKILL);
    expect_replaced();
}

TEST_F(HostileWorkerTest, WhoseLastAnswerComesWithItsEnd) {
    plant_attached([](Hostile& hostile, uint64_t) {
        hostile.answer_asleep({});
        ::_exit(0);
    });
    const Bytes asked = request(VGPU_OP_SUM, {1, 2});
    std::optional<vgpu_error> error;
    bool ready = true;
    backend_->start(job_of(asked), std::chrono::seconds(60), [&](const Outcome& outcome) {
        error = outcome.error;
        // Who would give it the next job now would lose it.
        ready = backend_->ready();
    });
    ASSERT_TRUE(turn_until(*loop_, [&] { return error.has_value(); }));
    EXPECT_EQ(*error, VGPU_OK);
    EXPECT_FALSE(ready);
    expect_replaced(false);
}

TEST_F(HostileWorkerTest, MayBeStoppedWithItsLastAnswer) {
    plant_attached([](Hostile& hostile, uint64_t) {
        hostile.answer_asleep({});
        ::_exit(0);
    });
    const Bytes asked = request(VGPU_OP_SUM, {1, 2});
    bool done = false;
    backend_->start(job_of(asked), std::chrono::seconds(60), [&](const Outcome&) {
        done = true;
        backend_->stop();
    });
    ASSERT_TRUE(turn_until(*loop_, [&] { return done; }));
    ASSERT_EQ(::waitpid(child_, nullptr, 0), child_);
    // It does not come back.
    for (int turn = 0; turn < 20; ++turn) loop_->run_once(std::chrono::milliseconds(1));
    EXPECT_EQ(backend_->state().what, "it was stopped");
    EXPECT_EQ(backend_->state().restarts, 0u);
}

TEST_F(HostileWorkerTest, ThatFreesNothing) {
    // Messages that it has read.
    void* const shared = ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
                                -1, 0);
    ASSERT_NE(shared, MAP_FAILED);
    auto& got = *static_cast<std::atomic<uint32_t>*>(shared);
    plant_attached([&](Hostile& hostile, uint64_t) { hostile.count_messages(got); }, false);
    constexpr uint32_t kFew = 1000;
    constexpr uint32_t kMost = 100'000;
    uint32_t vm = 0;
    while (backend_->ready() && vm < kMost) {
        backend_->release({vm, 1});
        // It does read.
        if (++vm % kFew == 0) {
            ASSERT_TRUE(turn_until(*loop_, [&] { return got + kFew >= vm || !backend_->ready(); }));
        }
    }
    EXPECT_LT(vm, kMost) << "what it was told is kept without a bound";
    EXPECT_EQ(backend_->state().what, "it does not free what it is told to");
    expect_replaced();
    ::munmap(shared, 4096);
}

// cuda's processes run code of VMs, which may write what it likes there.
TEST_F(HostileWorkerTest, ThatSaysItTookNoTime) {
    config_.kind = CudaBackend{};
    plant_attached([](Hostile& hostile, uint64_t) {
        ::usleep(50'000);
        hostile.answer({});
    });
    const TimePoint begin = loop_->now();
    const Bytes asked = request(VGPU_OP_SUM, {1, 2});
    const Done done = run_job(*loop_, *backend_, job_of(asked));
    EXPECT_GE(done.took, std::chrono::milliseconds(49));
    EXPECT_LE(done.took, loop_->now() - begin);
    backend_->stop();
    EXPECT_EQ(::waitpid(child_, nullptr, 0), child_);
}

// What it took to start is not the job's, neither of its service nor of its time.
TEST_F(HostileWorkerTest, ThatIsLateForItsVmsJob) {
    config_.kind = CudaBackend{};
    static constexpr auto kLate = std::chrono::milliseconds(200);
    plant([](Hostile& hostile, uint64_t print) {
        std::this_thread::sleep_for(kLate);
        hostile.say(MessageKind::kHello, print);
        hostile.take_mailbox();
        hostile.say(MessageKind::kAttached);
        hostile.wait_for_job();
        hostile.answer_timeout();
    });
    const TimePoint begin = loop_->now();
    const Bytes asked = request(VGPU_OP_SUM, {1, 2});
    bool done = false;
    uint64_t timeout = 0;
    backend_->start(job_of(asked), std::chrono::seconds(60), [&](const Outcome& outcome) {
        done = true;
        EXPECT_LE(outcome.took, loop_->now() - begin - kLate);
        ASSERT_EQ(outcome.response.size(), sizeof timeout);
        std::memcpy(&timeout, outcome.response.data(), sizeof timeout);
    });
    ASSERT_TRUE(turn_until(*loop_, [&] { return done; }));
    EXPECT_EQ(timeout, 60'000'000'000u);
    backend_->stop();
    EXPECT_EQ(::waitpid(child_, nullptr, 0), child_);
}

}  // namespace
}  // namespace mimic::mediator::backend
