// SPDX-License-Identifier: Apache-2.0
#include <atomic>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "sim/socket/server.h"

namespace mimic::sim {
namespace {

/// Requests wait in a queue whose length is an atomic of its own, so that looking costs a load.
/// Answers that pile up while the loop's thread works reach it by one task.
class ThreadedServer final : public PolledServer, private ServerHandler {
public:
    explicit ThreadedServer(std::unique_ptr<EventLoop> loop) : loop_(std::move(loop)) {}

    ~ThreadedServer() override {
        loop_->stop();
        if (thread_.joinable()) thread_.join();
    }

    Status start(const ServerOptions& options) {
        MIMIC_ASSIGN_OR_RETURN(server_, Server::listen(options, *loop_, *this));
        try {
            thread_ = std::thread([this] {
                loop_->run();
                server_.reset();  // bound to this thread
            });
        } catch (const std::system_error& error) {
            return fail(std::errc::resource_unavailable_try_again, "thread of {}: {}", options.path,
                        error.what());
        }
        return {};
    }

    bool poll(Request& request) override {
        if (waiting_.load(std::memory_order_acquire) == 0) return false;
        const std::lock_guard lock(mutex_);
        request = requests_.front();
        requests_.pop_front();
        waiting_.store(requests_.size(), std::memory_order_release);
        return true;
    }

    bool wait(Duration limit) override {
        std::unique_lock lock(mutex_);
        return came_.wait_for(lock, limit, [this] { return !requests_.empty(); });
    }

    void answer(const Ticket& ticket, const SSTResponse& response,
                const sst_timing& timing) override {
        const std::lock_guard lock(mutex_);
        answers_.push_back({ticket, response, timing});
        if (answers_.size() == 1) loop_->post([this] { send_answers(); });
    }

    size_t clients() const override { return clients_.load(std::memory_order_acquire); }
    uint64_t connections() const override { return connections_.load(std::memory_order_acquire); }

private:
    struct Given {
        Ticket ticket;
        SSTResponse response;
        sst_timing timing;
    };

    void on_connected(uint64_t) override {
        clients_.fetch_add(1, std::memory_order_release);
        connections_.fetch_add(1, std::memory_order_release);
    }
    void on_disconnected(uint64_t) override { clients_.fetch_sub(1, std::memory_order_release); }

    void on_request(const Asked& asked) override {
        {
            const std::lock_guard lock(mutex_);
            requests_.push_back({asked.ticket, asked.request, asked.submitted});
            waiting_.store(requests_.size(), std::memory_order_release);
        }
        came_.notify_one();
    }

    void send_answers() {
        {
            const std::lock_guard lock(mutex_);
            sending_.swap(answers_);
        }
        for (const auto& given : sending_) {
            server_->answer(given.ticket, given.response, given.timing);
        }
        sending_.clear();
    }

    std::unique_ptr<EventLoop> loop_;
    std::unique_ptr<Server> server_;
    std::atomic<size_t> waiting_{0};
    std::atomic<size_t> clients_{0};
    std::atomic<uint64_t> connections_{0};
    std::mutex mutex_;  // guards the two below
    std::deque<Request> requests_;
    std::vector<Given> answers_;
    std::vector<Given> sending_;  // the loop's
    std::condition_variable came_;
    std::thread thread_;
};

}  // namespace

Result<std::unique_ptr<PolledServer>> PolledServer::listen(const ServerOptions& options) {
    MIMIC_ASSIGN_OR_RETURN(auto loop, EventLoop::create());
    auto server = std::make_unique<ThreadedServer>(std::move(loop));
    MIMIC_TRY(server->start(options));
    return server;
}

}  // namespace mimic::sim
