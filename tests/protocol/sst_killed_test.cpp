// SPDX-License-Identifier: Apache-2.0
// The process that serves a virtio-sst is killed with 64 requests in flight. What its client has
// lent it is as it should be: no buffer came back, none was written to; and with the next process
// at the same socket a driver sends them again and has each answered once.
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <set>

#include <gtest/gtest.h>

#include "base/check.h"
#include "base/loop_pool.h"
#include "devices/virtio_sst/virtio_sst.h"
#include "memory/mapping.h"
#include "sim/builtin/spec.h"
#include "tests/protocol/client.h"
#include "tests/protocol/device_host.h"
#include "vfio_user/server.h"
#include "virtio_pci/layout.h"
#include "virtio_pci/virtio_pci.h"

namespace mimic::test {
namespace {

using namespace virtio_pci;

constexpr uint16_t kRequests = 64;
constexpr uint16_t kEntries = 128;  // two for each
constexpr uint64_t kDesc = 0x1000;
constexpr uint64_t kAvail = 0x2000;
constexpr uint64_t kUsed = 0x3000;
constexpr uint64_t kBuffers = 0x10000;
constexpr uint64_t kBuffer = 0x4000;  // a request, and half way its response
constexpr uint64_t kMemory = kBuffers + kRequests * kBuffer;
constexpr uint8_t kUntouched = 0xa5;

/// A process that serves one device, until it is killed.
class Host {
public:
    Host(const std::string& path, sim::SimTime latency) {
        pid_ = ::fork();
        MIMIC_CHECK(pid_ >= 0);
        if (pid_ == 0) serve(path, latency);
    }
    ~Host() { kill(); }
    Host(const Host&) = delete;
    Host& operator=(const Host&) = delete;

    void kill() {
        if (pid_ <= 0) return;
        ::kill(pid_, SIGKILL);
        int status = 0;
        MIMIC_CHECK(::waitpid(std::exchange(pid_, -1), &status, 0) > 0);
        EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL)
            << "it ended before it was killed";
    }

private:
    [[noreturn]] static void serve(const std::string& path, sim::SimTime latency) {
        auto pool = LoopPool::create(1).value();
        vfio_user::LoopContext context(pool->loop(0));
        std::unique_ptr<pci::Function> function;
        std::unique_ptr<vfio_user::Server> server;
        LoopPool::run_on(pool->loop(0), [&] {
            sim::BuiltinSpec spec;
            spec.models.resize(1);
            spec.models[0].kind = sim::ModelKind::kFixed;
            spec.models[0].latency = latency;
            spec.units = kRequests;
            spec.pace = sim::Pace::kScaled;
            auto device = virtio_sst::VirtioSst::create({.name = "sst0",
                                                         .make_simulator =
                                                             [spec](TaskRunner& runner) {
                                                                 return sim::make_builtin(spec,
                                                                                          runner);
                                                             }})
                              .value();
            function = create(std::move(device), {.class_code = 0x120000}).value();
            server = vfio_user::Server::create(context, *function,
                                               {.socket_path = path, .session = {}})
                         .value();
        });
        for (;;) ::pause();
    }

    pid_t pid_ = -1;
};

class SstKilled : public ::testing::Test {
protected:
    SstKilled() {
        std::string folder = "/tmp/mimic-sst-XXXXXX";
        MIMIC_CHECK(::mkdtemp(folder.data()) != nullptr);
        folder_ = folder;
        memory_ = make_memfd(kMemory);
        guest_ = Mapping::map(memory_.get(), 0, kMemory, PROT_READ | PROT_WRITE).value();
    }
    ~SstKilled() override {
        ::unlink(path().c_str());
        ::rmdir(folder_.c_str());
    }

    std::string path() const { return folder_ + "/sst0.sock"; }

    template <typename T>
    T& guest(uint64_t at) {
        return *reinterpret_cast<T*>(guest_.bytes().data() + at);
    }
    uint16_t used() { return *const_cast<volatile uint16_t*>(&guest<uint16_t>(kUsed + 2)); }

    /// Asks until it is so, and then not once more: `condition` may do something.
    template <typename Condition>
    static bool eventually(const Condition& condition) {
        for (int i = 0; i < 60'000; ++i) {
            if (condition()) return true;
            ::usleep(1000);
        }
        return false;
    }

    /// A driver of queue 0 at whoever serves the socket now.
    void start() {
        ASSERT_TRUE(eventually([&] {
            client_.reset();  // first: a second one would be turned away
            client_ = std::make_unique<Client>(path());
            return client_->raw().connected() && client_->negotiate() == 0;
        }));
        enable_device(*client_);
        ASSERT_EQ(client_->dma_map(0, kMemory, memory_.get()), 0);
        std::memset(guest_.bytes().data(), 0, kBuffers);
        const auto common = [&]<typename T>(uint64_t offset, T value) {
            client_->put<T>(kBar, kCommonOffset + offset, value);
        };
        common(0x14, uint8_t{0});
        common(0x14, uint8_t{3});
        common(0x08, uint32_t{1});
        common(0x0c, uint32_t{1});  // VIRTIO_F_VERSION_1
        common(0x14, uint8_t{11});
        common(0x16, uint16_t{0});
        common(0x18, kEntries);
        common(0x20, kDesc);
        common(0x28, kAvail);
        common(0x30, kUsed);
        common(0x1c, uint16_t{1});
        common(0x14, uint8_t{15});
        ASSERT_EQ(client_->get<uint8_t>(kBar, kCommonOffset + 0x14), 15);
    }

    void send_all() {
        for (uint16_t i = 0; i < kRequests; ++i) {
            const uint64_t at = kBuffers + i * kBuffer;
            std::memset(guest_.bytes().data() + at, kUntouched, kBuffer);
            SSTRequest request{};
            request.type = SST_REQ_COMPUTE;
            request.request_id = 1000u + i;
            request.payload.compute.compute_units = 1;
            std::memcpy(guest_.bytes().data() + at, &request, sizeof request);
            const uint64_t out = kDesc + i * 32;
            guest<uint64_t>(out) = at;
            guest<uint64_t>(out + 8) = sizeof request | uint64_t{1} << 32 |
                                       (2 * uint64_t{i} + 1) << 48;
            guest<uint64_t>(out + 16) = at + kBuffer / 2;
            guest<uint64_t>(out + 24) = sizeof(SSTResponse) | uint64_t{2} << 32;
            guest<uint16_t>(kAvail + 4 + i * 2) = static_cast<uint16_t>(2 * i);
        }
        guest<uint16_t>(kAvail + 2) = kRequests;
        const uint16_t queue = 0;
        ASSERT_TRUE(
            client_->post(kBar, kNotifyOffset, {reinterpret_cast<const uint8_t*>(&queue), 2}));
        // Answered after the kick, which is in order before it.
        (void)client_->get<uint8_t>(kBar, kCommonOffset + 0x14);
    }

    bool is_untouched(uint16_t i) {
        const auto* const response = &guest<uint8_t>(kBuffers + i * kBuffer + kBuffer / 2);
        return std::all_of(response, response + kBuffer / 2,
                           [](uint8_t byte) { return byte == kUntouched; });
    }

    std::string folder_;
    UniqueFd memory_;
    Mapping guest_;
    std::unique_ptr<Client> client_;
};

TEST_F(SstKilled, WithRequestsInFlight) {
    constexpr sim::SimTime kHour = 3'600'000'000'000'000;
    {
        Host host(path(), kHour);
        start();
        if (HasFatalFailure()) return;
        send_all();
        EXPECT_EQ(used(), 0);
        host.kill();
    }
    EXPECT_TRUE(client_->raw().closed_by_peer());
    EXPECT_EQ(used(), 0);
    for (uint16_t i = 0; i < kRequests; ++i) EXPECT_TRUE(is_untouched(i)) << i;

    constexpr sim::SimTime kMicrosecond = 1'000'000;
    Host host(path(), kMicrosecond);
    start();
    if (HasFatalFailure()) return;
    send_all();
    ASSERT_TRUE(eventually([&] { return used() == kRequests; })) << used() << " answered";
    std::set<uint64_t> ids;
    for (uint16_t i = 0; i < kRequests; ++i) {
        const auto head = guest<uint32_t>(kUsed + 4 + i * 8);
        EXPECT_EQ(guest<uint32_t>(kUsed + 8 + i * 8), sizeof(SSTResponse));
        SSTResponse response;
        std::memcpy(&response, &guest<uint8_t>(kBuffers + head / 2 * kBuffer + kBuffer / 2),
                    sizeof response);
        EXPECT_EQ(response.status, SST_STATUS_OK);
        EXPECT_EQ(response.request_id, 1000u + head / 2);
        ids.insert(response.request_id);
    }
    EXPECT_EQ(ids.size(), kRequests);
}

}  // namespace
}  // namespace mimic::test
