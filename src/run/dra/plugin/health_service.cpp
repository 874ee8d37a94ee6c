// SPDX-License-Identifier: Apache-2.0
#include "dra/plugin/health_service.h"

#include <algorithm>
#include <ctime>

#include "dra/plugin/names.h"

namespace mimic::dra {
namespace {

constexpr size_t kMaxMessage = 1024;  // of DeviceHealth

struct HealthV1 {
    using Service = v1::DRAResourceHealth::CallbackService;
    using Request = v1::NodeWatchResourcesRequest;
    using Response = v1::NodeWatchResourcesResponse;
    static constexpr auto kHealthy = v1::HEALTHY;
    static constexpr auto kUnhealthy = v1::UNHEALTHY;
    static constexpr auto kUnknown = v1::UNKNOWN;
};

struct HealthV1alpha1 {
    using Service = v1alpha1::DRAResourceHealth::CallbackService;
    using Request = v1alpha1::NodeWatchResourcesRequest;
    using Response = v1alpha1::NodeWatchResourcesResponse;
    static constexpr auto kHealthy = v1alpha1::HEALTHY;
    static constexpr auto kUnhealthy = v1alpha1::UNHEALTHY;
    static constexpr auto kUnknown = v1alpha1::UNKNOWN;
};

// protobuf wants UTF-8; what is none came from a device.
std::string as_text(std::string text) {
    std::replace_if(
        text.begin(), text.end(), [](char c) { return c < 0x20 || c == 0x7f; }, '?');
    return text.substr(0, kMaxMessage);
}

template <typename Api>
typename Api::Response describe(const HealthStreams& streams) {
    typename Api::Response out;
    const auto inventory = streams.inventory();
    if (inventory == nullptr) return out;
    const int64_t now = ::time(nullptr);
    for (const auto& device : inventory->devices) {
        auto& entry = *out.add_devices();
        entry.mutable_device()->set_pool_name(streams.pool());
        entry.mutable_device()->set_device_name(device.name);
        entry.set_health(device.health == Health::kHealthy     ? Api::kHealthy
                         : device.health == Health::kUnhealthy ? Api::kUnhealthy
                                                               : Api::kUnknown);
        entry.set_last_updated_time(now);
        entry.set_health_check_timeout_seconds(streams.timeout().count());
        if (device.health != Health::kHealthy) entry.set_message(as_text(device.health_message));
    }
    return out;
}

template <typename Api>
class Stream final : public HealthStream, public grpc::ServerWriteReactor<typename Api::Response> {
public:
    explicit Stream(HealthStreams& streams) : streams_(streams) {
        if (streams_.add(*this)) {
            poke();
            return;
        }
        const std::lock_guard lock(mutex_);
        end(grpc::Status(grpc::StatusCode::RESOURCE_EXHAUSTED, "too many health streams"));
    }

    void poke() override {
        const std::lock_guard lock(mutex_);
        if (ended_) return;
        if (writing_)
            pending_ = true;
        else
            write();
    }

    // NOLINTBEGIN(readability-identifier-naming): gRPC's names
    void OnWriteDone(bool ok) override {
        const std::lock_guard lock(mutex_);
        writing_ = false;
        if (ended_) return;
        if (!ok || cancelled_)
            end(grpc::Status::CANCELLED);
        else if (pending_)
            write();
    }

    void OnCancel() override {
        const std::lock_guard lock(mutex_);
        cancelled_ = true;
        if (!writing_ && !ended_) end(grpc::Status::CANCELLED);
    }

    void OnDone() override {
        streams_.remove(*this);
        // Whoever called Finish() may not have let go yet.
        mutex_.lock();
        mutex_.unlock();
        delete this;
    }
    // NOLINTEND(readability-identifier-naming)

private:
    void write() {
        pending_ = false;
        writing_ = true;
        message_ = describe<Api>(streams_);
        this->StartWrite(&message_);
    }

    void end(const grpc::Status& status) {
        ended_ = true;
        this->Finish(status);
    }

    HealthStreams& streams_;
    std::mutex mutex_;
    bool writing_ = false, pending_ = false, cancelled_ = false, ended_ = false;
    typename Api::Response message_;  // while it is on its way
};

template <typename Api>
class Service final : public Api::Service {
public:
    explicit Service(HealthStreams& streams) : streams_(streams) {}

    // NOLINTNEXTLINE(readability-identifier-naming): gRPC's name
    grpc::ServerWriteReactor<typename Api::Response>* NodeWatchResources(
        grpc::CallbackServerContext* /*context*/, const typename Api::Request* /*in*/) override {
        return new Stream<Api>(streams_);  // deletes itself, as gRPC has it
    }

private:
    HealthStreams& streams_;
};

}  // namespace

HealthStreams::HealthStreams(Options options)
    : options_(std::move(options)), thread_([this](const std::stop_token& stop) { run(stop); }) {}

HealthStreams::~HealthStreams() {
    thread_.request_stop();
    wake_.notify_all();
    thread_.join();
}

void HealthStreams::run(const std::stop_token& stop) {
    while (!stop.stop_requested()) {
        {
            std::unique_lock lock(mutex_);
            wake_.wait_for(lock, stop, options_.period, [this] { return changed_; });
            changed_ = false;
        }
        const std::lock_guard lock(list_mutex_);
        for (HealthStream* const stream : streams_) stream->poke();
    }
}

void HealthStreams::set_inventory(InventoryPtr inventory) {
    {
        const std::lock_guard lock(mutex_);
        inventory_ = std::move(inventory);
        changed_ = true;
    }
    wake_.notify_all();
}

InventoryPtr HealthStreams::inventory() const {
    const std::lock_guard lock(mutex_);
    return inventory_;
}

std::chrono::seconds HealthStreams::timeout() const {
    // Three messages may be late; Kubernetes' own default is 30 s.
    const auto period = std::chrono::duration_cast<std::chrono::seconds>(options_.period);
    return std::max(std::chrono::seconds(30), 4 * period);
}

bool HealthStreams::add(HealthStream& stream) {
    const std::lock_guard lock(list_mutex_);
    if (streams_.size() >= options_.max_streams) return false;
    streams_.insert(&stream);
    return true;
}

void HealthStreams::remove(HealthStream& stream) {
    const std::lock_guard lock(list_mutex_);
    streams_.erase(&stream);
}

size_t HealthStreams::count() const {
    const std::lock_guard lock(list_mutex_);
    return streams_.size();
}

std::unique_ptr<grpc::Service> make_health_v1(HealthStreams& streams) {
    return std::make_unique<Service<HealthV1>>(streams);
}

std::unique_ptr<grpc::Service> make_health_v1alpha1(HealthStreams& streams) {
    return std::make_unique<Service<HealthV1alpha1>>(streams);
}

}  // namespace mimic::dra
