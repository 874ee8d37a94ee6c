// SPDX-License-Identifier: Apache-2.0
// The toy device as a VF, which the guest may end while its DMA is under way. What a device needs
// for that is nothing: a read by dma_read() ends with the function. Under AddressSanitizer, a
// completion that found a VF that is gone would be reported.
#include "adder.h"

#include <gtest/gtest.h>

#include "pci/function/sriov.h"
#include "pci/testing/fabric.h"

namespace adder {
namespace {

using namespace mimic::pci;

// A PF that does nothing but bring adders.
class Pf final : public Function {
public:
    Pf() : Function(function_options()) {
        CapabilityBuilder builder(*this);
        MIMIC_CHECK(builder.add_pcie({}).has_value());
        MIMIC_CHECK(builder.add_ari().has_value());
        SriovOptions sriov{.total_vfs = 2, .vf_device_id = 0xadd1};
        sriov.vf_bars[0] = {.type = BarType::kMemory64, .prefetchable = true, .size = 4096};
        MIMIC_CHECK(builder.add_sriov(sriov).has_value());
    }

    void on_read(unsigned, uint64_t, std::span<uint8_t>) override {}
    void on_write(unsigned, uint64_t, std::span<const uint8_t>) override {}

private:
    static FunctionOptions function_options() {
        return {.name = "pf", .vendor_id = 0x1de5, .device_id = 0xadd0, .class_code = 0x120000};
    }
    std::unique_ptr<Function> make_vf(uint32_t index) override {
        return Adder::create("adder" + std::to_string(index), /*virtual_function=*/true).value();
    }
    void on_reset(ResetKind) override {}
};

// A fabric with one port, the PF behind it, and one VF that a driver has set up.
class AdderVfTest : public testing::Test {
protected:
    static constexpr uint32_t kPort = 0x008, kPf = 0x100, kVf = kPf + 1;
    static constexpr uint64_t kBar = kWindow64;

    AdderVfTest() {
        auto port = fabric.add_bridge(nullptr, kPort, {.name = "port"}, 1, 7);
        auto made = std::make_unique<Pf>();
        pf = made.get();
        MIMIC_CHECK(port && fabric.add_function(*port, 0, std::move(made)));
        fabric.attach(host);
        guest.open_port(kPort, 0, 32, 0, 1);
        guest.set_bits(kPort, (*port)->pcie_capability() + regs::DEVCTL2,
                       regs::DEVCTL2_ARI_FORWARDING);
        guest.set_bits(kPf, regs::COMMAND, regs::COMMAND_MEMORY_SPACE | regs::COMMAND_BUS_MASTER);
        guest.open_vfs(*pf, kPf, 1, kBar);
        guest.set_bits(kVf, regs::COMMAND, regs::COMMAND_BUS_MASTER);
        host.memory.put<uint32_t>(0, 40);
        host.memory.put<uint32_t>(4, 2);
    }
    ~AdderVfTest() override {
        fabric.detach();
        host.run();
    }

    void disable_vfs() {
        const uint32_t cap = pf->config().find_extended_capability(regs::EXT_CAP_ID_SRIOV);
        guest.set_config<uint16_t>(kPf, cap + regs::SRIOV_CONTROL,
                                   regs::SRIOV_CONTROL_ARI_HIERARCHY);
    }
    /// Begins to add the two words at 0.
    void add() {
        guest.store<uint32_t>(kBar + COUNT.offset, 2);
        guest.store<uint32_t>(kBar + CTRL.offset, 1);
    }
    /// Begins to add; memory answers when answer() says so.
    void add_and_wait() {
        host.memory.answers_later = true;
        add();
    }
    void answer() {
        EXPECT_TRUE(host.memory.answer()) << "nobody had asked";
        host.run();
    }

    FakeHost host;
    Fabric fabric{8};
    Guest guest{fabric};
    Pf* pf = nullptr;
};

TEST_F(AdderVfTest, AddsAsAnyFunctionDoes) {
    add();
    EXPECT_EQ(guest.load(kBar + STATUS.offset), 0x2u);
    EXPECT_EQ(guest.load(kBar + SUM.offset), 42u);
}

TEST_F(AdderVfTest, AnAnswerThatComesAfterItsEndFindsNobody) {
    add_and_wait();
    ASSERT_EQ(guest.load(kBar + STATUS.offset), 0x1u) << "busy";
    disable_vfs();
    host.time.run();  // the VF is freed
    ASSERT_EQ(pf->sriov()->num_vfs(), 0u);
    answer();
    EXPECT_TRUE(host.take().empty());
}

TEST_F(AdderVfTest, AnAnswerDoesNotReachTheVfThatComesNext) {
    add_and_wait();
    disable_vfs();
    host.time.run();
    guest.open_vfs(*pf, kPf, 1, kBar);
    answer();
    EXPECT_EQ(guest.load(kBar + STATUS.offset), 0u) << "it was never asked to add";
}

TEST_F(AdderVfTest, ItsPfTakenOutOfTheSlotEndsItToo) {
    add_and_wait();
    fabric.detach();
    host.time.run();
    answer();
    fabric.attach(host);
    EXPECT_EQ(pf->sriov()->num_vfs(), 0u);
}

}  // namespace
}  // namespace adder
