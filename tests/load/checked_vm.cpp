// SPDX-License-Identifier: Apache-2.0
// A VM without a guest that looks at each answer: one that allocates memory, finds it zeroed and
// reads what it wrote, or one whose requests are all wrong. Prints what became of them as one JSON
// object. (mimic-mediator-load has the requests that are only to be many.)
#include <signal.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/event_loop.h"
#include "compute/queue.h"
#include "compute/request.h"

namespace mimic::load {
namespace {

using compute::make_request;
using Bytes = std::vector<std::byte>;

enum class Job { kMemory, kBroken };

struct Options {
    compute::SocketOptions queue;
    Job job = Job::kMemory;
    size_t depth = 1;
    uint64_t count = 0;  // 0: until `seconds` are over, or SIGTERM
    double seconds = 0;
};

constexpr const char* kUsage =
    "usage: checked_vm --socket PATH --vm N [--depth N] [--job memory|broken] [--count N]\n"
    "                  [--seconds S]\n"
    "Prints one JSON object. Exit status 1: an answer was wrong, or one that was to work failed.\n";

volatile sig_atomic_t g_stop = 0;

Bytes of_words(uint32_t opcode, std::initializer_list<uint64_t> values, Bytes data = {}) {
    std::vector<uint32_t> params;
    for (const uint64_t value : values) compute::push_wide(params, value);
    return make_request(opcode, params, data);
}

/// One requester: has at most one request in flight, and asks the next when it is answered.
class Asker {
public:
    virtual ~Asker() = default;
    virtual Bytes next() = 0;
    /// Whether the answer to the last request is as it has to be.
    virtual bool answered(const compute::Completion& completion) = 0;
};

/// Allocates, looks whether the memory is zero, writes, reads it back and frees.
class Memory final : public Asker {
public:
    explicit Memory(uint32_t seed) : random_(seed) {}
    Bytes next() override {
        switch (step_) {
            case 0:
                size_ = 1 + random_() % 65536;
                return of_words(VGPU_OP_MEM_ALLOC, {size_});
            case 1:
            case 3:
                return of_words(VGPU_OP_MEM_READ, {handle_, 0, size_});
            case 2:
                data_.resize(size_);
                for (std::byte& one : data_) one = static_cast<std::byte>(random_());
                return of_words(VGPU_OP_MEM_WRITE, {handle_, 0}, data_);
            default:
                return of_words(VGPU_OP_MEM_FREE, {handle_});
        }
    }
    bool answered(const compute::Completion& completion) override {
        const unsigned step = step_;
        step_ = (step_ + 1) % 5;
        if (completion.error != VGPU_OK) return start_again();
        const auto view = compute::view_response(completion.response);
        if (!view || view->header.status != VGPU_OK) return start_again();
        if (step == 0) handle_ = view->results.wide(0);
        if (step == 1 || step == 3) {
            if (view->data.size() != size_) return start_again();
            const auto right = [&](size_t i) {
                return view->data[i] == (step == 1 ? std::byte{0} : data_[i]);
            };
            for (size_t i = 0; i < size_; ++i)
                if (!right(i)) return start_again();
        }
        return true;
    }

private:
    bool start_again() {
        step_ = 0;
        return false;
    }
    std::minstd_rand random_;
    unsigned step_ = 0;
    uint64_t size_ = 0;
    uint64_t handle_ = 0;
    Bytes data_;
};

/// Requests that are none, or ask for what there is not. Each must have an error for an answer.
class Broken final : public Asker {
public:
    explicit Broken(uint32_t seed) : random_(seed) {}
    Bytes next() override {
        switch (random_() % 6) {
            case 0:
                return Bytes(1 + random_() % 31, std::byte{0x55});  // shorter than a header
            case 1:
                return of_words(0x7777, {1, 2});
            case 2:
                return of_words(VGPU_OP_MEM_READ, {random_() | uint64_t{1} << 40, 0, 16});
            case 3:
                return of_words(VGPU_OP_MEM_ALLOC, {uint64_t{1} << 60});
            case 4: {
                Bytes request = make_request(VGPU_OP_NOP);
                request[random_() % 2 != 0 ? 12 : 20] = std::byte{0xff};  // a count, a length
                return request;
            }
            default:
                return make_request(VGPU_OP_LAUNCH, {}, Bytes(random_() % 96, std::byte{1}));
        }
    }
    bool answered(const compute::Completion& completion) override {
        if (completion.error != VGPU_OK) return completion.error != VGPU_ERROR_MEDIATOR_UNAVAILABLE;
        const auto view = compute::view_response(completion.response);
        return view && view->header.status != VGPU_OK;
    }

private:
    std::minstd_rand random_;
};

class Load {
public:
    explicit Load(Options options)
        : options_(std::move(options)), loop_(EventLoop::create().value()) {
        loop_->set_spin(std::chrono::microseconds(50));
        auto queue = compute::make_socket_queue(options_.queue, *loop_);
        if (!queue) {
            std::fprintf(stderr, "checked_vm: %s\n", queue.error().message().c_str());
            std::exit(2);
        }
        queue_ = std::move(*queue);
        for (size_t i = 0; i < options_.depth; ++i)
            askers_.push_back(make_asker(static_cast<uint32_t>(i + 1)));
    }

    int run() {
        const TimePoint patience = loop_->now() + std::chrono::seconds(60);
        while (!queue_->connected() && loop_->now() < patience && g_stop == 0)
            loop_->run_once(std::chrono::milliseconds(10));
        end_ = options_.seconds > 0
                   ? loop_->now() + std::chrono::duration_cast<Duration>(
                                        std::chrono::duration<double>(options_.seconds))
                   : TimePoint::max();
        for (const auto& asker : askers_) ask(*asker);
        while (queue_->in_flight() != 0 || !due_.empty()) {
            loop_->run_once(std::chrono::milliseconds(100));
            // Answers that came within submit() may not ask again from within themselves.
            std::vector<Asker*> due;
            due.swap(due_);
            for (Asker* asker : due) ask(*asker);
        }
        report();
        return wrong_ == 0 && asked_ == answered_ ? 0 : 1;
    }

private:
    std::unique_ptr<Asker> make_asker(uint32_t seed) const {
        if (options_.job == Job::kBroken) return std::make_unique<Broken>(seed);
        return std::make_unique<Memory>(seed);
    }

    bool is_over() const {
        return g_stop != 0 || (options_.count != 0 && asked_ >= options_.count) ||
               loop_->now() >= end_;
    }

    void ask(Asker& asker) {
        if (is_over()) return;
        ++asked_;
        queue_->submit(0, asker.next(), size_t{1} << 20,
                       [this, &asker](const compute::Completion& completion) {
                           ++answered_;
                           if (completion.error != VGPU_OK) ++errors_[completion.error];
                           if (!asker.answered(completion)) ++wrong_;
                           due_.push_back(&asker);
                       });
    }

    void report() {
        std::vector<std::string> errors;
        errors.reserve(errors_.size());
        for (const auto& [code, count] : errors_)
            errors.push_back(fmt::format("\"{}\": {}", code, count));
        fmt::print(
            "{{\"vm\": {}, \"asked\": {}, \"answered\": {}, \"wrong\": {}, \"errors\": {{{}}}, "
            "\"connections\": {}, \"resent\": {}}}\n",
            options_.queue.identity.vm_id, asked_, answered_, wrong_, fmt::join(errors, ", "),
            queue_->counters().connections, queue_->counters().resent);
    }

    const Options options_;
    std::unique_ptr<EventLoop> loop_;
    std::unique_ptr<compute::Queue> queue_;
    std::vector<std::unique_ptr<Asker>> askers_;
    std::vector<Asker*> due_;
    TimePoint end_{};
    uint64_t asked_ = 0;
    uint64_t answered_ = 0;
    uint64_t wrong_ = 0;
    std::map<int, uint64_t> errors_;
};

template <typename T>
bool number(std::string_view text, T& value) {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    return error == std::errc() && end == text.data() + text.size();
}

bool set(Options& options, std::string_view name, std::string_view value) {
    if (name == "--socket") {
        options.queue.path = value;
        return true;
    }
    if (name == "--job") {
        options.job = value == "broken" ? Job::kBroken : Job::kMemory;
        return value == "broken" || value == "memory";
    }
    if (name == "--vm") return number(value, options.queue.identity.vm_id);
    if (name == "--depth") {
        return number(value, options.depth) && options.depth >= 1 &&
               options.depth <= compute::Queue::kMaxInFlight;
    }
    if (name == "--count") return number(value, options.count);
    return name == "--seconds" && number(value, options.seconds);
}

int main_of(int argc, char** argv) {
    Options options;
    for (int i = 1; i < argc; i += 2) {
        if (i + 1 >= argc || !set(options, argv[i], argv[i + 1])) {
            std::fputs(kUsage, stderr);
            return 2;
        }
    }
    if (options.queue.path.empty()) {
        std::fputs(kUsage, stderr);
        return 2;
    }
    ::signal(SIGTERM, [](int) { g_stop = 1; });
    return Load(std::move(options)).run();
}

}  // namespace
}  // namespace mimic::load

int main(int argc, char** argv) {
    return mimic::load::main_of(argc, argv);
}
