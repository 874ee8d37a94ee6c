// SPDX-License-Identifier: Apache-2.0
#include "dra/discovery/health.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "dra/discovery/testing/fake_sysfs.h"

namespace mimic::dra {
namespace {

using slices::Taint;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

constexpr auto kSecond = std::chrono::seconds(1);

Sighting sighting(const std::string& node, std::optional<uint32_t> status, int error = 0) {
    Sighting out;
    out.device.view.node = node;
    out.device.view.pci_address = "0000:11:00.0";
    out.device.name = slices::device_name(node);
    out.status = status;
    out.status_error = error;
    return out;
}

Sighting with_errors(uint64_t fatal, uint64_t nonfatal) {
    Sighting out = sighting("gpu0", 0);
    out.aer = AerCounters{fatal, nonfatal};
    return out;
}

class Judged : public testing::Test {
protected:
    KnownDevice one(const Sighting& seen, Duration at = {}) {
        const auto all = judge_.judge({seen}, TimePoint(at));
        EXPECT_THAT(all, SizeIs(1));
        return all.at(0);
    }

    HealthJudge judge_{kGpu, {.aer_hold = 60 * kSecond, .keep_gone = 30 * kSecond}};
};

TEST_F(Judged, StatusBitsAreTaints) {
    EXPECT_EQ(one(sighting("gpu0", 1)).health, Health::kHealthy);
    const KnownDevice failed = one(sighting("gpu0", 0x80000001));
    EXPECT_EQ(failed.health, Health::kUnhealthy);
    EXPECT_EQ(failed.health_message, "it failed");
    EXPECT_EQ(failed.view.taints,
              std::vector<Taint>({{"gpu.example.com/failed", "", Taint::Effect::kNoExecute}}));
    const KnownDevice both = one(sighting("gpu0", 0xc0000000));
    ASSERT_THAT(both.view.taints, SizeIs(2));
    EXPECT_EQ(both.view.taints[1],
              (Taint{"gpu.example.com/degraded", "", Taint::Effect::kNoSchedule}));
    EXPECT_EQ(both.health_message, "it failed; it is degraded");
    const KnownDevice again = one(sighting("gpu0", 0));
    EXPECT_THAT(again.view.taints, IsEmpty());
    EXPECT_EQ(again.health, Health::kHealthy);
}

TEST_F(Judged, ADeviceThatDoesNotAnswerEvicts) {
    for (const int error : {ENODEV, EIO, ENXIO}) {
        const KnownDevice device = one(sighting("gpu0", std::nullopt, error));
        EXPECT_EQ(device.health, Health::kUnhealthy);
        EXPECT_EQ(
            device.view.taints,
            std::vector<Taint>({{"gpu.example.com/unreachable", "", Taint::Effect::kNoExecute}}));
    }
}

TEST_F(Judged, AFileThatWeMayNotReadEvictsNobody) {
    for (const int error : {EACCES, ENOENT, EBADMSG}) {
        const KnownDevice device = one(sighting("gpu0", std::nullopt, error));
        EXPECT_EQ(device.health, Health::kUnknown);
        EXPECT_THAT(device.view.taints, IsEmpty());
        EXPECT_THAT(device.health_message, HasSubstr("status cannot be read"));
    }
}

TEST_F(Judged, NewErrorsTaintUntilTheyHaveStopped) {
    EXPECT_THAT(one(with_errors(7, 9), 0 * kSecond).view.taints, IsEmpty()) << "the past";
    const KnownDevice hit = one(with_errors(8, 11), 1 * kSecond);
    EXPECT_EQ(hit.view.taints,
              std::vector<Taint>({{"gpu.example.com/aer", "", Taint::Effect::kNoExecute}}));
    EXPECT_EQ(hit.health_message, "PCIe errors: 1 fatal, 2 non-fatal");
    EXPECT_THAT(one(with_errors(8, 11), 60 * kSecond).view.taints, SizeIs(1));
    EXPECT_THAT(one(with_errors(8, 12), 60 * kSecond).view.taints, SizeIs(1)) << "begins anew";
    EXPECT_THAT(one(with_errors(8, 12), 119 * kSecond).view.taints, SizeIs(1));
    EXPECT_THAT(one(with_errors(8, 12), 120 * kSecond).view.taints, IsEmpty());
    EXPECT_EQ(one(with_errors(9, 12), 121 * kSecond).health_message,
              "PCIe errors: 1 fatal, 0 non-fatal");
}

TEST_F(Judged, CountersThatGoBackAreNoErrors) {
    EXPECT_THAT(one(with_errors(7, 9)).view.taints, IsEmpty());
    EXPECT_THAT(one(with_errors(0, 0)).view.taints, IsEmpty());
    EXPECT_THAT(one(with_errors(1, 0)).view.taints, SizeIs(1));
}

TEST_F(Judged, AnotherDeviceOfTheSameNameBeginsAnew) {
    EXPECT_THAT(one(with_errors(7, 9)).view.taints, IsEmpty());
    Sighting other = with_errors(20, 20);
    other.device.view.pci_address = "0000:21:00.0";
    EXPECT_THAT(one(other).view.taints, IsEmpty());
}

TEST_F(Judged, ADeviceThatLeftIsListedForAWhile) {
    one(sighting("gpu0", 0));
    const auto gone = judge_.judge({}, TimePoint(1 * kSecond));
    ASSERT_THAT(gone, SizeIs(1));
    EXPECT_TRUE(gone[0].gone);
    EXPECT_FALSE(gone[0].view.exists);
    EXPECT_EQ(gone[0].health, Health::kUnhealthy);
    EXPECT_THAT(gone[0].health_message, HasSubstr("removed"));
    Inventory inventory;
    inventory.facts = &kGpu;
    inventory.devices = gone;
    std::vector<std::string> problems;
    EXPECT_THAT(pool_of(inventory, {.node = "n1", .vfs_on_demand = true}, &problems).devices,
                IsEmpty());
    EXPECT_NE(inventory.find("gpu0"), nullptr);
    EXPECT_THAT(judge_.judge({}, TimePoint(30 * kSecond)), SizeIs(1));
    EXPECT_THAT(judge_.judge({}, TimePoint(31 * kSecond)), IsEmpty());
}

TEST_F(Judged, ADeviceThatComesBackIsAsNew) {
    one(with_errors(1, 1));
    EXPECT_THAT(one(with_errors(2, 1), 1 * kSecond).view.taints, SizeIs(1));
    EXPECT_THAT(judge_.judge({}, TimePoint(2 * kSecond)), SizeIs(1));
    const KnownDevice back = one(with_errors(5, 5), 3 * kSecond);
    EXPECT_FALSE(back.gone);
    EXPECT_EQ(back.health, Health::kHealthy);
    EXPECT_THAT(back.view.taints, IsEmpty());
}

TEST_F(Judged, AVfThatEndsAndMayBeMadeAgainStaysOne) {
    one(sighting("gpu0_vf0", 0));
    Sighting future = sighting("gpu0_vf0", std::nullopt);
    future.device.view.exists = false;
    const KnownDevice device = one(future, 1 * kSecond);
    EXPECT_FALSE(device.gone);
    EXPECT_EQ(device.health, Health::kUnhealthy);
    EXPECT_EQ(one(future, 40 * kSecond).health, Health::kUnknown);
}

}  // namespace
}  // namespace mimic::dra
