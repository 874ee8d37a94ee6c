// SPDX-License-Identifier: Apache-2.0
// One process, several devices: while some are attacked, the others answer every request correctly.
#include <sys/socket.h>

#include <atomic>
#include <functional>
#include <random>
#include <thread>

#include <gtest/gtest.h>

#include "tests/protocol/device_host.h"

namespace mimic::test {
namespace {

using namespace vfio_user;

/// Runs attacks on devices 0, 1 and 2 until it is destroyed.
class Attackers {
public:
    using Attack = std::function<void(const std::string& path, unsigned round)>;

    Attackers(DeviceHost& host, std::vector<Attack> attacks) {
        for (unsigned i = 0; i < attacks.size(); ++i)
            threads_.emplace_back([this, path = host.path(i), attack = std::move(attacks[i])] {
                for (unsigned round = 0; !stop_; ++round, ++rounds) attack(path, round);
            });
    }
    ~Attackers() {
        stop_ = true;
        for (auto& thread : threads_) thread.join();
    }
    std::atomic<unsigned> rounds{0};

private:
    std::atomic<bool> stop_{false};
    std::vector<std::thread> threads_;
};

// Random bytes behind a good VERSION, headers sometimes right.
void send_garbage(const std::string& path, unsigned round) {
    std::minstd_rand random(round + 1);
    RawClient raw(path);
    if (!raw.connected()) return;
    raw.send(version_request());
    for (int i = 0; i < 20; ++i) {
        Bytes payload(random() % 64);
        for (auto& byte : payload) byte = static_cast<uint8_t>(random());
        Request request(static_cast<Command>(random() % 20), payload);
        if (i == 19) request.header.size = static_cast<uint32_t>(random());
        if (!raw.send(request)) return;
    }
}

// Connects as fast as it can and leaves descriptors behind.
void flood(const std::string& path, unsigned round) {
    static const UniqueFd file = make_memfd(4096);
    RawClient raw(path);
    if (!raw.connected()) return;
    raw.send_bytes(version_request().bytes());
    const Bytes map = map_request(0, 4096).bytes();
    raw.send_bytes(std::span(map).first(1 + round % 40), std::vector<int>(60, file.get()));
}

// Asks for much and reads nothing; drops memory under the device's feet.
void starve(const std::string& path, unsigned) {
    const UniqueFd memory = make_memfd(0x100000);
    Client client(path);
    if (!client.raw().connected() || client.negotiate() != 0) return;
    enable_device(client);
    client.dma_map(0, 0x100000, memory.get());
    if (::ftruncate(memory.get(), 0) != 0) return;
    (void)run_dma(client, kStartWrite, 0, 0x10000);
    Bytes burst;
    for (int i = 0; i < 100; ++i) burst = std::move(burst) + read_request(2, 0, 1 << 20).bytes();
    ::send(client.raw().fd(), burst.data(), burst.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
}

// One byte of VERSION, then nothing.
void loiter(const std::string& path, unsigned) {
    RawClient raw(path);
    if (raw.connected() && raw.send_bytes(Bytes(1))) (void)raw.closed_by_peer();
}

void expect_device_works(DeviceHost& host, unsigned device, unsigned rounds) {
    const auto client = host.patient_client(device);
    const UniqueFd memory = make_memfd(0x1000);
    const UniqueFd event = make_eventfd();
    ASSERT_EQ(client->dma_map(0, 0x1000, memory.get()), 0);
    ASSERT_EQ(client->set_irqs(kIrqDataEventfd | kIrqActionTrigger, kIrqMsix, 3, 1, {event.get()}),
              0);
    for (uint32_t i = 0; i < rounds; ++i) {
        ASSERT_TRUE(client->post(0, kScratch, bytes_of(i)));
        ASSERT_EQ(client->get(0, kScratch), i);
        ASSERT_EQ(run_dma(*client, kStartWrite, 0, 2), kDmaDone);
        ASSERT_EQ(run_dma(*client, kStartRead, 0, 2), kDmaDone);
        ASSERT_EQ(client->get(0, kDmaSum), 5u);
        ASSERT_EQ(client->put(0, kInterrupt, 3u), 0);
        ASSERT_EQ(take_events(event.get()), 1u);
    }
}

TEST(Isolation, FourthDeviceAnswersWhileThreeAreAttacked) {
    DeviceHost host(4, 1, {.handshake_timeout = std::chrono::milliseconds(100)});
    {
        Attackers attackers(host, {send_garbage, flood, starve});
        expect_device_works(host, 3, 300);
        while (attackers.rounds < 50) std::this_thread::yield();
    }
    for (unsigned device = 0; device < 4; ++device) {
        ASSERT_TRUE(host.wait_idle(device));
        expect_device_works(host, device, 3);
    }
}

TEST(Isolation, SlowLorisOnThreeDevicesDoesNotDelayTheFourth) {
    DeviceHost host(4, 1, {.handshake_timeout = std::chrono::milliseconds(20)});
    Attackers attackers(host, {loiter, loiter, loiter});
    expect_device_works(host, 3, 200);
}

// For ThreadSanitizer above all: devices on several loops at once, servers made and destroyed
// meanwhile.
TEST(Isolation, DevicesOnSeveralLoopsWorkAtTheSameTime) {
    DeviceHost host(6, 3);
    std::vector<std::thread> threads;
    for (unsigned device = 0; device < 6; ++device)
        threads.emplace_back([&host, device] {
            for (int i = 0; i < 3; ++i) {
                expect_device_works(host, device, 30);
                EXPECT_TRUE(host.wait_idle(device));
            }
        });
    for (auto& thread : threads) thread.join();
}

}  // namespace
}  // namespace mimic::test
