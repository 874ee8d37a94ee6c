// SPDX-License-Identifier: Apache-2.0
// A PF and its VFs on a fabric, through the addresses and buses that a guest gave them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "devices/vgpu_stub/test_bench.h"
#include "pci/testing/fabric.h"

namespace mimic::vgpu_stub {
namespace {

using testing::ElementsAre;

constexpr uint32_t kPort = 0x008;  // 00:01.0
constexpr uint32_t kPf = 0x100;    // 01:00.0
constexpr uint64_t kVfRegisters = pci::kWindow32 + 0x10'0000;
constexpr uint64_t kVfTables = pci::kWindow32 + 0x20'0000;
constexpr uint64_t kVfStride = 4096;

struct VgpuFabricTest : testing::Test {
    VgpuFabricTest() {
        Options options{.name = "vgpu0"};
        for (uint32_t i = 0; i < 16; ++i) {
            Options& vf = options.vfs.emplace_back();
            vf.name = fmt::format("vgpu0-vf{}", i);
            vf.identity.vm_id = 1 + i;
            vf.make_queue = [](TaskRunner&) -> Result<std::unique_ptr<compute::Queue>> {
                return std::make_unique<compute::ScriptedQueue>(
                    compute::ScriptedQueue::answer_sums);
            };
        }
        pci::Port* const port = fabric.add_bridge(nullptr, kPort, {.name = "rp0"}, 1, 8).value();
        auto made = VgpuStub::create(std::move(options)).value();
        pf = made.get();
        MIMIC_CHECK(fabric.add_function(port, 0, std::move(made)).has_value());
        fabric.attach(host);
        guest.open_port(kPort, 0, 32, 0, 1);
        guest.set_bits(kPort, port->pcie_capability() + pci::regs::DEVCTL2,
                       pci::regs::DEVCTL2_ARI_FORWARDING);
        guest.set_config(kPf, pci::regs::BAR0, static_cast<uint32_t>(pci::kWindow32));
        guest.set_bits(kPf, pci::regs::COMMAND,
                       pci::regs::COMMAND_MEMORY_SPACE | pci::regs::COMMAND_BUS_MASTER);
        const uint32_t cap = pf->config().find_extended_capability(pci::regs::EXT_CAP_ID_SRIOV);
        guest.set_config(kPf, cap + pci::regs::SRIOV_NUM_VFS, uint16_t{16});
        guest.set_config(kPf, cap + pci::regs::SRIOV_VF_BAR0, static_cast<uint32_t>(kVfRegisters));
        guest.set_config(kPf, cap + pci::regs::SRIOV_VF_BAR0 + 4, static_cast<uint32_t>(kVfTables));
        guest.set_config(kPf, cap + pci::regs::SRIOV_CONTROL, uint16_t{0x19});
        host.run();
    }
    ~VgpuFabricTest() override {
        fabric.detach();
        host.run();
    }

    static uint64_t at(uint32_t vf, const reg::Register& reg) {
        return kVfRegisters + vf * kVfStride + reg.offset;
    }
    uint32_t load(uint32_t vf, const reg::Register& reg) { return guest.load(at(vf, reg)); }
    void store(uint32_t vf, const reg::Register& reg, uint32_t value) {
        guest.store(at(vf, reg), value);
    }
    /// Bus mastering and MSI-X of a VF: its vectors are the host's first and the next.
    void open(uint32_t vf, uint32_t first) {
        const uint32_t rid = kPf + 1 + vf;
        guest.set_bits(rid, pci::regs::COMMAND, pci::regs::COMMAND_BUS_MASTER);
        for (uint32_t i = 0; i < kVectors; ++i) {
            const uint64_t entry = kVfTables + vf * kVfStride + 16 * i;
            guest.store<uint32_t>(entry, static_cast<uint32_t>(pci::kMsiAddress) | (first + i)
                                                                                       << 12);
            guest.store<uint32_t>(entry + 4, 0);
            guest.store<uint32_t>(entry + 8, 0);
            guest.store<uint32_t>(entry + 12, 0);
        }
        const uint32_t cap = pf->sriov()->vf(vf)->config().find_capability(pci::regs::CAP_ID_MSIX);
        guest.set_bits(rid, cap + pci::regs::MSIX_CONTROL, pci::regs::MSIX_CONTROL_ENABLE);
    }

    pci::FakeHost host;
    pci::Fabric fabric{32};
    pci::Guest guest{fabric};
    VgpuStub* pf = nullptr;
};

TEST_F(VgpuFabricTest, EachVfHasItsRegistersAtItsAddress) {
    ASSERT_EQ(pf->sriov()->num_vfs(), 16U);
    for (uint32_t i = 0; i < 16; ++i) {
        EXPECT_EQ(load(i, VM_ID), 1 + i);
        store(i, SCRATCH, 100 + i);
    }
    for (uint32_t i = 0; i < 16; ++i) EXPECT_EQ(load(i, SCRATCH), 100 + i);
}

TEST_F(VgpuFabricTest, RingsOfTwoVfsMoveMemoryAndInterrupt) {
    const uint32_t numbers[] = {40, 2};
    const auto request = compute::make_request(VGPU_OP_SUM, numbers);
    std::memcpy(host.memory.at(0x8000), request.data(), request.size());
    for (const uint32_t vf : {3U, 15U}) {
        const uint32_t base = vf == 3 ? 0x1000 : 0x3000;
        open(vf, vf == 3 ? 4 : 8);
        store(vf, RING_LO, base);
        store(vf, COMPLETION_LO, base + 0x800);
        store(vf, RING_SIZE, 4);
        store(vf, INTERRUPT_CTRL, kInterruptRing);
        store(vf, RING_CTRL, 1);
        const RingEntry entry{.request_address = 0x8000,
                              .request_length = static_cast<uint32_t>(request.size()),
                              .flags = 0,
                              .response_address = base + 0xc00,
                              .response_size = 64,
                              .reserved = 0,
                              .cookie = vf,
                              .zero = {}};
        host.memory.put(base, entry);
        store(vf, RING_TAIL, 1);
        host.run();
        EXPECT_EQ(load(vf, COMPLETION_TAIL), 1U);
        EXPECT_EQ(host.memory.get<RingCompletion>(base + 0x800).cookie, vf);
        EXPECT_EQ(host.memory.get<uint32_t>(base + 0xc00 + 32), 42U);
        EXPECT_THAT(host.take(), ElementsAre((vf == 3 ? 4 : 8) + kRingVector));
    }
    EXPECT_EQ(load(4, RING_STATUS), 0U);
}

}  // namespace
}  // namespace mimic::vgpu_stub
