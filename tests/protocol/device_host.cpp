// SPDX-License-Identifier: Apache-2.0
#include "tests/protocol/device_host.h"

#include <dirent.h>
#include <sys/stat.h>

#include <chrono>
#include <cstdlib>
#include <thread>

#include "base/check.h"
#include "pci/config/pci_regs.h"

namespace mimic::test {

using namespace vfio_user;

DeviceHost::DeviceHost(unsigned devices, unsigned threads, Session::Options options) {
    std::string name = "/tmp/mimic-protocol-XXXXXX";
    MIMIC_CHECK(::mkdtemp(name.data()) != nullptr);
    folder_ = name;
    pool_ = LoopPool::create(threads).value();
    for (unsigned i = 0; i < threads; ++i)
        contexts_.push_back(std::make_unique<LoopContext>(pool_->loop(i)));
    toys_.resize(devices);
    servers_.resize(devices);
    for (unsigned i = 0; i < devices; ++i) {
        paths_.push_back(fmt::format("{}/toy{}.sock", folder_, i));
        on_loop(i, [&] {
            toys_[i] = ToyDevice::create(fmt::format("toy{}", i)).value();
            servers_[i] = Server::create(*contexts_[i % contexts_.size()], *toys_[i],
                                         {.socket_path = paths_[i], .session = options})
                              .value();
        });
    }
}

DeviceHost::~DeviceHost() {
    for (unsigned i = 0; i < servers_.size(); ++i) on_loop(i, [&] { servers_[i].reset(); });
    pool_.reset();
    ::rmdir(folder_.c_str());
}

void DeviceHost::on_loop(unsigned device, const std::function<void()>& task) {
    LoopPool::run_on(pool_->loop(device % static_cast<unsigned>(contexts_.size())), task);
}

Counters DeviceHost::counters(unsigned device) {
    Counters copy;
    on_loop(device, [&] { copy = servers_[device]->counters(); });
    return copy;
}

std::unique_ptr<Client> DeviceHost::client(unsigned device, uint16_t minor) {
    auto client = std::make_unique<Client>(paths_[device]);
    MIMIC_CHECK(client->raw().connected());
    if (client->negotiate(minor) != 0) return client;
    enable_device(*client);
    enable_msix(*client);
    return client;
}

std::unique_ptr<Client> DeviceHost::patient_client(unsigned device) {
    for (;;) {
        auto one = client(device);
        if (one->server_minor() != 0xffff) return one;
    }
}

bool DeviceHost::wait_idle(unsigned device) {
    for (int i = 0; i < 20000; ++i) {
        bool connected = true;
        on_loop(device, [&] { connected = servers_[device]->connected(); });
        if (!connected) return true;
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    return false;
}

size_t open_descriptors() {
    DIR* folder = ::opendir("/proc/self/fd");
    size_t count = 0;
    while (::readdir(folder) != nullptr) ++count;
    ::closedir(folder);
    return count;
}

uint32_t find_capability(Client& client, uint8_t id) {
    uint32_t at = client.get<uint8_t>(kRegionConfig, pci::regs::CAPABILITIES_POINTER);
    while (at != 0) {
        if (client.get<uint8_t>(kRegionConfig, at) == id) return at;
        at = client.get<uint8_t>(kRegionConfig, at + 1);
    }
    return 0;
}

void enable_device(Client& client, uint16_t more) {
    client.put<uint16_t>(kRegionConfig, pci::regs::COMMAND,
                         static_cast<uint16_t>(pci::regs::COMMAND_MEMORY_SPACE |
                                               pci::regs::COMMAND_BUS_MASTER | more));
}

void enable_msix(Client& client) {
    const uint32_t cap = find_capability(client, pci::regs::CAP_ID_MSIX);
    client.put<uint16_t>(kRegionConfig, cap + pci::regs::MSIX_CONTROL,
                         static_cast<uint16_t>(pci::regs::MSIX_CONTROL_ENABLE));
}

uint32_t run_dma(Client& client, uint32_t start, uint64_t iova, uint32_t size) {
    client.put<uint64_t>(0, kDmaAddress, iova);
    client.put(0, kDmaSize, size);
    client.put(0, kDmaStart, start);
    for (;;) {
        const auto status = client.get(0, kDmaStatus);
        if (status != kDmaBusy) return status;
    }
}

}  // namespace mimic::test
