// SPDX-License-Identifier: Apache-2.0
// Errors of functions behind a fabric: AER status, masks, severity, logs, and the message's way to
// its root port (PCIe 6.0, 6.2).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "pci/testing/fabric.h"

namespace mimic::pci {
namespace {

using testing::ElementsAre;
using T = TestTree;

constexpr AerError kPoisoned = {.bit = regs::AER_POISONED_TLP, .header = {1, 2, 3, 4}};
constexpr AerError kMalformed = {.bit = regs::AER_MALFORMED_TLP, .header = {5, 6, 7, 8}};
constexpr AerError kReceiver = {.correctable = true, .bit = regs::AER_RECEIVER_ERROR};
constexpr AerError kUnsupported = {.bit = regs::AER_UNSUPPORTED_REQUEST};

// `a` lies below a root port, and both ports of a switch.
class ErrorTest : public testing::Test {
protected:
    ErrorTest() {
        for (const uint32_t port : {T::kRp1, T::kUp, T::kDown0, T::kDown1}) {
            tree.guest.set_config<uint16_t>(port, regs::BRIDGE_CONTROL, regs::BRIDGE_CONTROL_SERR);
            set_devctl(port, regs::DEVCTL_ERROR_REPORTING);
        }
        set_devctl(T::kA, regs::DEVCTL_ERROR_REPORTING);
    }
    void set_devctl(uint32_t rid, uint16_t value) {
        tree.guest.set_config<uint16_t>(rid, pcie(rid) + regs::DEVCTL, value);
    }
    uint32_t pcie(uint32_t rid) {
        Function* found = nullptr;
        tree.fabric.for_each([&](Function& function, uint16_t id) {
            if (id == rid) found = &function;
        });
        return found->pcie_capability();
    }
    uint32_t aer(uint32_t offset) { return tree.guest.config(T::kA, cap + offset); }
    uint32_t root_status() {
        return tree.guest.config(T::kRp1, tree.aer_cap(*tree.rp1) + regs::AER_ROOT_STATUS);
    }
    uint32_t root_source() {
        return tree.guest.config(T::kRp1, tree.aer_cap(*tree.rp1) + regs::AER_ROOT_SOURCE);
    }

    TestTree tree;
    uint32_t cap = tree.aer_cap(*tree.a);
};

TEST_F(ErrorTest, NonFatalErrorIsLoggedAndReachesTheRootPort) {
    tree.a->report_error(kPoisoned);
    EXPECT_EQ(aer(regs::AER_UNCORRECTABLE_STATUS), regs::AER_POISONED_TLP);
    EXPECT_EQ(aer(regs::AER_CONTROL) & regs::AER_CONTROL_FIRST_ERROR_POINTER, 12u);
    EXPECT_EQ(aer(regs::AER_HEADER_LOG), 1u);
    EXPECT_EQ(aer(regs::AER_HEADER_LOG + 12), 4u);
    EXPECT_EQ(tree.guest.config<uint16_t>(T::kA, pcie(T::kA) + regs::DEVSTA),
              regs::DEVSTA_NON_FATAL);
    EXPECT_EQ(root_status(), regs::AER_ROOT_STATUS_UNCORRECTABLE | regs::AER_ROOT_STATUS_NON_FATAL);
    EXPECT_EQ(root_source(), T::kA << 16);
    EXPECT_EQ(tree.fabric.counters().errors, 1u);
}

TEST_F(ErrorTest, FirstErrorKeepsTheLogUntilItIsCleared) {
    tree.a->report_error(kPoisoned);
    tree.a->report_error(kMalformed);
    EXPECT_EQ(aer(regs::AER_UNCORRECTABLE_STATUS),
              regs::AER_POISONED_TLP | regs::AER_MALFORMED_TLP);
    EXPECT_EQ(aer(regs::AER_HEADER_LOG), 1u);
    tree.guest.set_config<uint32_t>(T::kA, cap + regs::AER_UNCORRECTABLE_STATUS,
                                    regs::AER_POISONED_TLP);
    tree.a->report_error({.bit = regs::AER_ECRC, .header = {9}});
    EXPECT_EQ(aer(regs::AER_HEADER_LOG), 9u);
    EXPECT_EQ(aer(regs::AER_CONTROL) & regs::AER_CONTROL_FIRST_ERROR_POINTER, 19u);
}

TEST_F(ErrorTest, MaskedErrorSetsItsStatusAndNothingElse) {
    tree.guest.set_config<uint32_t>(T::kA, cap + regs::AER_UNCORRECTABLE_MASK,
                                    regs::AER_POISONED_TLP);
    tree.a->report_error(kPoisoned);
    EXPECT_EQ(aer(regs::AER_UNCORRECTABLE_STATUS), regs::AER_POISONED_TLP);
    EXPECT_EQ(aer(regs::AER_HEADER_LOG), 0u);
    EXPECT_EQ(root_status(), 0u);
}

TEST_F(ErrorTest, SeverityIsTheGuests) {
    tree.guest.set_config<uint32_t>(T::kA, cap + regs::AER_UNCORRECTABLE_SEVERITY,
                                    regs::AER_POISONED_TLP);
    tree.a->report_error(kPoisoned);
    EXPECT_TRUE(root_status() & regs::AER_ROOT_STATUS_FATAL);
    tree.guest.set_config<uint32_t>(T::kA, cap + regs::AER_UNCORRECTABLE_SEVERITY, 0);
    tree.a->report_error(kMalformed);
    EXPECT_TRUE(root_status() & regs::AER_ROOT_STATUS_NON_FATAL);
}

TEST_F(ErrorTest, CorrectableErrorLeavesTheLogAlone) {
    tree.a->report_error(kReceiver);
    EXPECT_EQ(aer(regs::AER_CORRECTABLE_STATUS), regs::AER_RECEIVER_ERROR);
    EXPECT_EQ(root_status(), regs::AER_ROOT_STATUS_CORRECTABLE);
    EXPECT_EQ(root_source(), T::kA);
}

TEST_F(ErrorTest, ReportingOffSendsNothing) {
    set_devctl(T::kA, 0);
    tree.a->report_error(kPoisoned);
    tree.a->report_error(kReceiver);
    EXPECT_EQ(aer(regs::AER_UNCORRECTABLE_STATUS), regs::AER_POISONED_TLP);
    EXPECT_EQ(root_status(), 0u);
}

TEST_F(ErrorTest, SerrEnableReportsUncorrectableErrorsToo) {
    set_devctl(T::kA, 0);
    tree.guest.set_bits(T::kA, regs::COMMAND, regs::COMMAND_SERR_ENABLE);
    tree.a->report_error(kReceiver);
    EXPECT_EQ(root_status(), 0u);
    tree.a->report_error(kPoisoned);
    EXPECT_TRUE(root_status() & regs::AER_ROOT_STATUS_NON_FATAL);
    EXPECT_TRUE(tree.guest.config<uint16_t>(T::kA, regs::STATUS) &
                regs::STATUS_SIGNALED_SYSTEM_ERROR);
}

TEST_F(ErrorTest, UnsupportedRequestWantsItsOwnEnableToo) {
    set_devctl(T::kA, regs::DEVSTA_NON_FATAL);
    tree.a->report_error(kUnsupported);
    EXPECT_EQ(root_status(), 0u);
    set_devctl(T::kA, regs::DEVSTA_NON_FATAL | regs::DEVSTA_UNSUPPORTED_REQUEST);
    tree.a->report_error(kUnsupported);
    EXPECT_TRUE(root_status() & regs::AER_ROOT_STATUS_NON_FATAL);
}

TEST_F(ErrorTest, AnyPortOnTheWayCanStopMessages) {
    for (const uint32_t port : {T::kRp1, T::kUp, T::kDown0}) {
        tree.guest.clear_bits(port, regs::BRIDGE_CONTROL, regs::BRIDGE_CONTROL_SERR);
        tree.a->report_error(kPoisoned);
        tree.a->report_error(kReceiver);
        EXPECT_EQ(root_status(), 0u) << port;
        tree.guest.set_bits(port, regs::BRIDGE_CONTROL, regs::BRIDGE_CONTROL_SERR);
    }
    tree.guest.clear_bits(T::kDown1, regs::BRIDGE_CONTROL, regs::BRIDGE_CONTROL_SERR);
    tree.a->report_error(kPoisoned);
    EXPECT_NE(root_status(), 0u) << "down1 is not on the way";
}

TEST_F(ErrorTest, PortForwardsUncorrectableErrorsWhereItsOwnAreEnabled) {
    set_devctl(T::kUp, 0);
    tree.a->report_error(kReceiver);
    EXPECT_EQ(root_status(), regs::AER_ROOT_STATUS_CORRECTABLE);
    tree.a->report_error(kPoisoned);
    EXPECT_EQ(root_status(), regs::AER_ROOT_STATUS_CORRECTABLE);
    tree.guest.set_bits(T::kUp, regs::COMMAND, regs::COMMAND_SERR_ENABLE);
    tree.a->report_error(kPoisoned);
    EXPECT_TRUE(root_status() & regs::AER_ROOT_STATUS_NON_FATAL);
    EXPECT_TRUE(tree.guest.config<uint16_t>(T::kUp, regs::SECONDARY_STATUS) &
                regs::STATUS_SIGNALED_SYSTEM_ERROR);
}

TEST_F(ErrorTest, RootPortsOwnErrorStaysInside) {
    tree.guest.clear_bits(T::kRp1, regs::BRIDGE_CONTROL, regs::BRIDGE_CONTROL_SERR);
    tree.rp1->report_error({.bit = regs::AER_COMPLETION_TIMEOUT});
    EXPECT_EQ(root_source(), T::kRp1 << 16);
}

TEST_F(ErrorTest, OtherRootPortsDoNotHearOfIt) {
    tree.a->report_error(kPoisoned);
    EXPECT_EQ(tree.guest.config(T::kRp0, tree.aer_cap(*tree.rp0) + regs::AER_ROOT_STATUS), 0u);
}

// A hot reset follows a fatal error; software then reads what happened.
TEST_F(ErrorTest, HotResetKeepsLogAndStatusButNotTheRest) {
    tree.a->report_error(kMalformed);
    tree.guest.set_bits(T::kDown0, regs::BRIDGE_CONTROL, regs::BRIDGE_CONTROL_BUS_RESET);
    tree.guest.clear_bits(T::kDown0, regs::BRIDGE_CONTROL, regs::BRIDGE_CONTROL_BUS_RESET);
    EXPECT_EQ(aer(regs::AER_UNCORRECTABLE_STATUS), regs::AER_MALFORMED_TLP);
    EXPECT_EQ(aer(regs::AER_HEADER_LOG), 5u);
    EXPECT_EQ(tree.guest.config<uint16_t>(T::kA, regs::COMMAND), 0);
    EXPECT_EQ(tree.guest.config<uint16_t>(T::kA, pcie(T::kA) + regs::DEVSTA), 0);
    EXPECT_EQ(tree.guest.config<uint16_t>(T::kA, pcie(T::kA) + regs::DEVCTL) &
                  regs::DEVCTL_ERROR_REPORTING,
              0);
}

TEST_F(ErrorTest, FundamentalResetForgetsTheLog) {
    tree.a->report_error(kMalformed);
    tree.fabric.reset();
    EXPECT_EQ(aer(regs::AER_UNCORRECTABLE_STATUS), 0u);
    EXPECT_EQ(aer(regs::AER_HEADER_LOG), 0u);
}

TEST_F(ErrorTest, DetachedFunctionKeepsItToItself) {
    auto alone = TestDevice::create({});
    alone->report_error(kPoisoned);
    EXPECT_EQ(alone->config().u32(cap + regs::AER_UNCORRECTABLE_STATUS), regs::AER_POISONED_TLP);
}

// 9.3.5.4, 9.3.6.1: enables, masks and severities of VFs are those of their PF.
TEST(VfErrorTest, PfsEnablesAndMasksHoldForItsVfs) {
    TestTree tree;
    Guest& guest = tree.guest;
    guest.set_bits(T::kRp0, regs::BRIDGE_CONTROL, regs::BRIDGE_CONTROL_SERR);
    guest.set_bits(T::kRp0, tree.rp0->pcie_capability() + regs::DEVCTL,
                   regs::DEVCTL_ERROR_REPORTING);
    guest.open_vfs(*tree.pf, T::kPf, 2, T::kVfBar0);
    const uint32_t root = tree.aer_cap(*tree.rp0) + regs::AER_ROOT_STATUS;
    TestDevice& vf = tree.pf->vf(1);

    vf.report_error(kPoisoned);
    EXPECT_EQ(guest.config(T::kRp0, root), 0u);
    guest.set_bits(T::kPf, tree.pf->pcie_capability() + regs::DEVCTL, regs::DEVCTL_ERROR_REPORTING);
    guest.set_config<uint32_t>(T::kPf, tree.aer_cap(*tree.pf) + regs::AER_UNCORRECTABLE_SEVERITY,
                               regs::AER_POISONED_TLP);
    vf.report_error(kPoisoned);
    EXPECT_TRUE(guest.config(T::kRp0, root) & regs::AER_ROOT_STATUS_FATAL);
    EXPECT_EQ(guest.config(T::kRp0, root + 4), (T::kPf + 2) << 16) << "the VF is the source";
    EXPECT_EQ(vf.config().u32(tree.aer_cap(vf) + regs::AER_UNCORRECTABLE_STATUS),
              regs::AER_POISONED_TLP);
    EXPECT_EQ(tree.pf->config().u32(tree.aer_cap(*tree.pf) + regs::AER_UNCORRECTABLE_STATUS), 0u);

    guest.set_config<uint32_t>(T::kRp0, root, ~0u);
    guest.set_config<uint32_t>(T::kPf, tree.aer_cap(*tree.pf) + regs::AER_UNCORRECTABLE_MASK, ~0u);
    vf.report_error(kPoisoned);
    EXPECT_EQ(guest.config(T::kRp0, root), 0u);
}

}  // namespace
}  // namespace mimic::pci
