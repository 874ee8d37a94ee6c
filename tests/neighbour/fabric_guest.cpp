// SPDX-License-Identifier: Apache-2.0
#include "tests/neighbour/fabric_guest.h"

#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <cstring>

#include "base/check.h"
#include "devices/mock_accel/descriptor.h"
#include "devices/mock_accel/registers.h"
#include "devices/vmd/vmd.h"
#include "pci/config/pci_regs.h"
#include "tests/neighbour/host.h"

namespace mimic::neighbour {
namespace {

namespace regs = pci::regs;
using mock_accel::Completion;
using mock_accel::Descriptor;

constexpr uint32_t kWindow = 0x8000'0000;  // of the VMD, on the bus; arbitrary
constexpr uint32_t kVfBars = 0x10'0000;    // VF BAR0 of the first VF, from there
constexpr uint16_t kOn = regs::COMMAND_MEMORY_SPACE | regs::COMMAND_BUS_MASTER;
constexpr uint32_t kPf = 0x100;  // routing id

// What each VF works with, in a memfd that lies at kMemory on the bus.
constexpr uint64_t kMemory = 0x1'0000'0000;
constexpr uint32_t kOrder = 6;
constexpr uint32_t kCopy = 256U << 10;
constexpr uint64_t kCompletions = 0x1000;
constexpr uint64_t kSource = 0x2000;
constexpr uint64_t kShare = kSource + 2 * kCopy;

uint64_t config_of(uint32_t rid) {
    return uint64_t{rid} << 12;
}

}  // namespace

FabricGuest::FabricGuest(const std::string& path) : client_(path) {
    MIMIC_CHECK(client_.negotiate() == 0);
    client_.put<uint32_t>(vfio_user::kRegionConfig, regs::BAR0 + 4 * vmd::kMemory32Bar, kWindow);
    client_.put<uint16_t>(vfio_user::kRegionConfig, regs::COMMAND, kOn);
    constexpr uint32_t kTwoMegabytes = (kWindow >> 16) | (kWindow + kVfBars);
    client_.put<uint32_t>(vmd::kConfigBar, regs::MEMORY_BASE, kTwoMegabytes);
    client_.put<uint16_t>(vmd::kConfigBar, regs::COMMAND, kOn);
    for (uint32_t at = client_.get<uint8_t>(vmd::kConfigBar, regs::CAPABILITIES_POINTER); at != 0;
         at = client_.get<uint8_t>(vmd::kConfigBar, at + 1)) {
        if (client_.get<uint8_t>(vmd::kConfigBar, at) == regs::CAP_ID_PCIE)
            client_.put<uint16_t>(vmd::kConfigBar, at + regs::DEVCTL2,
                                  regs::DEVCTL2_ARI_FORWARDING);
    }
    client_.put<uint32_t>(vmd::kConfigBar, config_of(kPf) + regs::BAR0, kWindow);
    client_.put<uint16_t>(vmd::kConfigBar, config_of(kPf) + regs::COMMAND, kOn);
    sriov_ = extended_capability(kPf, regs::EXT_CAP_ID_SRIOV);
    MIMIC_CHECK(sriov_ != 0);
    const uint64_t sriov = config_of(kPf) + sriov_;
    client_.put<uint32_t>(vmd::kConfigBar, sriov + regs::SRIOV_VF_BAR0, kWindow + kVfBars);
    client_.put<uint16_t>(vmd::kConfigBar, sriov_control(), regs::SRIOV_CONTROL_ARI_HIERARCHY);
    client_.put<uint16_t>(vmd::kConfigBar, sriov + regs::SRIOV_NUM_VFS, kVfs);
}

uint32_t FabricGuest::extended_capability(uint32_t rid, uint16_t id) {
    uint32_t at = 0x100;
    while (at != 0) {
        const auto header = client_.get<uint32_t>(vmd::kConfigBar, config_of(rid) + at);
        if ((header & 0xffff) == id) return at;
        at = header >> 20;
    }
    return 0;
}

uint64_t FabricGuest::sriov_control() const {
    return config_of(kPf) + sriov_ + regs::SRIOV_CONTROL;
}

uint16_t FabricGuest::control_value(bool on) {
    return regs::SRIOV_CONTROL_ARI_HIERARCHY |
           (on ? regs::SRIOV_CONTROL_VF_ENABLE | regs::SRIOV_CONTROL_VF_MEMORY_SPACE : 0);
}

test::Request FabricGuest::vfs_request(bool on) const {
    return test::write_request(vmd::kConfigBar, sriov_control(), test::bytes_of(control_value(on)));
}

uint64_t FabricGuest::vf_registers(uint32_t vf) const {
    return kVfBars + vf * mock_accel::kBarSizeBytes;
}

void FabricGuest::start_copying(uint32_t count) {
    MIMIC_CHECK(client_.status(vfs_request(true)) == 0);
    copying_ = count;
    fd_ = test::make_memfd(count * kShare);
    memory_ = std::move(*Mapping::map(fd_.get(), 0, count * kShare, PROT_READ | PROT_WRITE));
    MIMIC_CHECK(client_.dma_map(kMemory, count * kShare, fd_.get()) == 0);
    tails_.assign(count, 0);
    for (uint32_t vf = 0; vf < count; ++vf) start_ring(vf);
}

void FabricGuest::start_ring(uint32_t vf) {
    const uint64_t sriov = config_of(kPf) + sriov_;
    const auto first = client_.get<uint16_t>(vmd::kConfigBar, sriov + regs::SRIOV_FIRST_VF_OFFSET);
    const auto stride = client_.get<uint16_t>(vmd::kConfigBar, sriov + regs::SRIOV_VF_STRIDE);
    const uint32_t rid = kPf + first + vf * stride;
    client_.put<uint16_t>(vmd::kConfigBar, config_of(rid) + regs::COMMAND, kOn);
    const uint64_t share = kMemory + vf * kShare;
    for (uint64_t i = 0; i < uint64_t{1} << kOrder; ++i) {
        const Descriptor copy{.opcode = mock_accel::kOpcodeCopy,
                              .length = kCopy,
                              .source = share + kSource,
                              .destination = share + kSource + kCopy,
                              .cookie = i};
        std::memcpy(memory_.bytes().data() + vf * kShare + i * sizeof copy, &copy, sizeof copy);
    }
    const uint64_t bar = vf_registers(vf);
    client_.put<uint64_t>(vmd::kMemory32Bar, bar + mock_accel::RING_BASE.offset, share);
    client_.put<uint64_t>(vmd::kMemory32Bar, bar + mock_accel::COMPLETION_BASE.offset,
                          share + kCompletions);
    client_.put<uint32_t>(vmd::kMemory32Bar, bar + mock_accel::RING_ORDER.offset, kOrder);
    client_.put<uint32_t>(vmd::kMemory32Bar, bar + mock_accel::RING_CONTROL.offset, 1);
}

void FabricGuest::work_on() {
    for (uint32_t vf = 0; vf < copying_; ++vf) {
        if (tails_[vf] != 0) {
            const uint32_t last = tails_[vf] - 1;
            const uint64_t slot = last & ((1U << kOrder) - 1);
            const uint64_t phase = ((last >> kOrder) & 1) ^ 1;
            // The half of a completion that holds the phase in its upper 16 bits.
            auto* const word = reinterpret_cast<uint64_t*>(memory_.bytes().data() + vf * kShare +
                                                           kCompletions +
                                                           slot * sizeof(Completion) + 8);
            const uint64_t half = std::atomic_ref<uint64_t>(*word).load(std::memory_order_acquire);
            if (half >> 48 != phase) continue;
            MIMIC_CHECK(((half >> 32) & 0xffff) == 0);  // the copies succeed
        }
        tails_[vf] += 1U << kOrder;
        client_.post(vmd::kMemory32Bar, vf_registers(vf) + mock_accel::RING_TAIL.offset,
                     test::bytes_of(tails_[vf]));
    }
    ::usleep(200);
}

}  // namespace mimic::neighbour
