// SPDX-License-Identifier: Apache-2.0
#include "mediator/backend/worker.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>

#include "base/check.h"
#include "base/log.h"
#include "base/unix_socket.h"
#include "mediator/backend/channel.h"
#include "mediator/backend/executor.h"
#include "mediator/backend/job_thread.h"
#include "mediator/backend/operations.h"
#include "mediator/backend/sandbox.h"

namespace mimic::mediator::backend {
namespace {

constexpr int kTickMs = 250;  // how often stuck jobs and patience are looked at
// Beside the memory of VMs: mailboxes, kept results, code, stacks. Address space costs nothing.
constexpr uint64_t kOwnAddressSpace = uint64_t{4} << 30;

bool is_ours(int socket) {
    ucred peer{};
    socklen_t length = sizeof peer;
    return ::getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &length) == 0 &&
           (peer.uid == ::geteuid() || peer.uid == 0);
}

// The thread of the socket: one mediator at a time.
class Worker {
public:
    Worker(const WorkerOptions& options, UnixListener listener, Executor& executor,
           Operations& operations, JobThread& jobs)
        : options_(options),
          listener_(std::move(listener)),
          executor_(executor),
          operations_(operations),
          jobs_(jobs) {}

    [[noreturn]] void run() {
        auto alone_since = SteadyClock().now();
        for (;;) {
            pollfd waits[2] = {{socket_.get(), POLLIN, 0}, {listener_.fd(), POLLIN, 0}};
            ::poll(waits, 2, kTickMs);
            // First who may have gone, then who comes in its place.
            if (socket_) read();
            if ((waits[1].revents & POLLIN) != 0) accept();
            if (jobs_.is_stuck(static_cast<bool>(socket_))) {
                leave(1, "a job does not end");
            }
            const auto now = SteadyClock().now();
            if (socket_) alone_since = now;
            if (now - alone_since > options_.patience) leave(0, "no mediator has come");
        }
    }

private:
    [[noreturn]] void leave(int status, const char* why) {
        MIMIC_LOG("backend", kInfo, "Backend {} ends: {}", options_.config.name, why);
        ::_exit(status);
    }

    void accept() {
        auto accepted = listener_.accept();
        if (!accepted || !*accepted) return;
        if (socket_ || !is_ours(accepted->get())) return;  // closed: it will try again
        socket_ = std::move(*accepted);
        reader_ = {};
        Message hello;
        hello.kind = MessageKind::kHello;
        hello.value = fingerprint(options_.config);
        hello.set_text(executor_.info().name);
        if (!send_message(socket_.get(), hello)) drop();
    }

    void drop() {
        jobs_.attach(nullptr);
        socket_.reset();
    }

    void read() {
        for (;;) {
            Message message;
            std::vector<UniqueFd> descriptors;
            const auto got = reader_.read(socket_.get(), message, descriptors);
            if (!got) return drop();
            if (!*got) return;
            if (!take(message, descriptors)) return drop();
        }
    }

    bool take(const Message& message, std::vector<UniqueFd>& descriptors) {
        switch (message.kind) {
            case MessageKind::kAttach:
                return attach(descriptors);
            case MessageKind::kRelease:
                operations_.owners().release(message.owner());
                jobs_.count_release();
                return true;
            case MessageKind::kAcknowledge:
                if (const auto owner = operations_.owners().find(message.owner())) {
                    owner->kept.acknowledge(message.value);
                }
                return true;
            default:
                return false;
        }
    }

    bool attach(std::vector<UniqueFd>& descriptors) {
        if (descriptors.size() != 2) return false;
        auto box = MailboxMapping::map(descriptors[0].get());
        if (!box) return false;
        auto attachment = std::make_unique<Attachment>();
        attachment->box = std::move(*box);
        attachment->event = std::move(descriptors[1]);
        attachment->socket.reset(::fcntl(socket_.get(), F_DUPFD_CLOEXEC, 3));
        if (!attachment->socket) return false;
        jobs_.attach(std::move(attachment));
        return true;
    }

    const WorkerOptions& options_;
    UnixListener listener_;
    Executor& executor_;
    Operations& operations_;
    JobThread& jobs_;
    UniqueFd socket_;
    MessageReader reader_;
};

// Tells the first who connects why there is no executor.
int tell_failure(UnixListener& listener, const std::string& why) {
    std::fputs((why + "\n").c_str(), stderr);
    pollfd waits{listener.fd(), POLLIN, 0};
    if (::poll(&waits, 1, 10'000) != 1) return 1;
    auto accepted = listener.accept();
    if (!accepted || !*accepted) return 1;
    Message message;
    message.kind = MessageKind::kFailed;
    message.set_text(why);
    (void)send_message(accepted->get(), message);
    return 1;
}

uint64_t random_number() {
    uint64_t number = 0;
    // So few bytes come whole.
    MIMIC_CHECK(::getrandom(&number, sizeof number, 0) == sizeof number);
    return number;
}

void set_signals() {
    for (const int number : {SIGPIPE, SIGHUP, SIGINT}) std::signal(number, SIG_IGN);
}

}  // namespace

int run_worker(const std::vector<std::string>& arguments) {
    const auto options = parse_worker(arguments);
    if (!options) {
        std::fputs(("backend: " + options.error().message() + "\n").c_str(), stderr);
        return 2;
    }
    set_signals();
    ::umask(077);
    ::prctl(PR_SET_NAME, "mimic-backend", 0, 0, 0);
    const bool driver = std::holds_alternative<CudaBackend>(options->config.kind);
    const uint64_t address_space = options->config.memory_bytes + kOwnAddressSpace;
    const bool limited = !driver && !kSanitized && address_space > kOwnAddressSpace;
    Status ready = close_descriptors();
    if (ready) ready = limit_process(limited ? address_space : 0);
    auto listener = UnixListener::listen(options->socket);
    if (!listener) {
        std::fputs(("backend: " + listener.error().message() + "\n").c_str(), stderr);
        return 1;
    }
    if (!ready) return tell_failure(*listener, ready.error().message());
    auto executor = make_executor(options->config);
    if (!executor) return tell_failure(*listener, executor.error().message());
    Operations operations(**executor, options->config.memory_bytes, random_number());
    JobThread jobs(**executor, operations);
    jobs.begin();
    // Nothing of a guest has come yet, and all threads are there.
    const auto confined = confine(driver ? Confinement::kDriver : Confinement::kCompute);
    if (!confined) {
        tell_failure(*listener, confined.error().message());
        ::_exit(1);
    }
    Worker(*options, std::move(*listener), **executor, operations, jobs).run();
}

}  // namespace mimic::mediator::backend
