// SPDX-License-Identifier: Apache-2.0
#include "dra/discovery/scan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <atomic>
#include <chrono>
#include <thread>

#include "dra/discovery/sysfs_reader.h"
#include "dra/discovery/testing/fake_sysfs.h"

namespace mimic::dra {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

Scan look(const FakeSysfs& sysfs, bool vfs_on_demand = false) {
    auto found = scan(sysfs.root(), kGpu, vfs_on_demand);
    EXPECT_TRUE(found) << (found ? "" : found.error().message());
    return found ? std::move(*found) : Scan{};
}

std::vector<std::string> nodes(const Scan& found) {
    std::vector<std::string> out;
    for (const Sighting& sighting : found.devices) out.push_back(sighting.device.view.node);
    return out;
}

TEST(Scan, ADeviceIsWhatItsFilesSay) {
    const FakeSysfs sysfs;
    sysfs.add("gpu0", "0000:11:00.0");
    sysfs.write(sysfs.file("gpu0", "sriov_totalvfs"), "4\n");
    const Scan found = look(sysfs);
    EXPECT_THAT(found.problems, IsEmpty());
    ASSERT_THAT(found.devices, SizeIs(1));
    const KnownDevice& device = found.devices[0].device;
    EXPECT_EQ(device.name, "gpu0");
    EXPECT_EQ(device.view.pci_address, "0000:11:00.0");
    EXPECT_EQ(device.view.pcie_root, "pci0000:10");
    EXPECT_EQ(device.view.port_path, "0000:10:00.0");
    EXPECT_EQ(device.view.numa_node, 1);
    EXPECT_EQ(device.view.total_vfs, 4u);
    EXPECT_EQ(device.view.files.at("uuid"), "U-gpu0");
    EXPECT_EQ(device.view.files.at("memory_size"), "1024");
    EXPECT_EQ(device.dev_node, "/dev/gpu0");
    EXPECT_EQ(device.dev_major, 240u);
    EXPECT_EQ(device.dev_minor, 7u);
    EXPECT_EQ(device.class_dir, sysfs.root() + "/sys/class/gpu/gpu0");
    EXPECT_EQ(found.devices[0].status, 0u);
    EXPECT_FALSE(found.devices[0].aer);
}

TEST(Scan, AClassThatIsNotThereHasNoDevices) {
    const FakeSysfs sysfs;
    EXPECT_THAT(look(sysfs).devices, IsEmpty());
    sysfs.add("gpu0", "0000:11:00.0");
    EXPECT_THAT(look(sysfs).devices, SizeIs(1));
    EXPECT_FALSE(scan(sysfs.root() + "/none", kGpu, false));
}

TEST(Scan, DevicesAreInOrderAndVfsKnowTheirPf) {
    const FakeSysfs sysfs;
    sysfs.add("gpu10", "0000:31:00.0");
    sysfs.add("gpu2", "0000:21:00.0");
    sysfs.add("gpu2_vf1", "0000:21:00.2");
    sysfs.add("gpu2_vf0", "0000:21:00.1");
    const Scan found = look(sysfs);
    EXPECT_EQ(nodes(found), std::vector<std::string>({"gpu2", "gpu2_vf0", "gpu2_vf1", "gpu10"}));
    EXPECT_EQ(found.devices[2].device.view.parent, "gpu2");
    EXPECT_EQ(found.devices[2].device.view.vf_index, 1u);
    EXPECT_EQ(found.devices[2].device.name, "gpu2-vf1");
}

TEST(Scan, VfsThatCouldBeAreListedOnRequest) {
    const FakeSysfs sysfs;
    sysfs.add("gpu0", "0000:11:00.0");
    sysfs.add("gpu0_vf1", "0000:11:00.2");
    sysfs.write(sysfs.file("gpu0", "sriov_totalvfs"), "3\n");
    EXPECT_THAT(look(sysfs).devices, SizeIs(2));
    const Scan found = look(sysfs, true);
    EXPECT_EQ(nodes(found), std::vector<std::string>({"gpu0", "gpu0_vf0", "gpu0_vf1", "gpu0_vf2"}));
    EXPECT_FALSE(found.devices[1].device.view.exists);
    EXPECT_TRUE(found.devices[2].device.view.exists);
    EXPECT_EQ(found.devices[1].device.view.parent, "gpu0");
    EXPECT_EQ(found.devices[1].device.view.port_path, "0000:10:00.0");
    // A PF that claims more than anybody has costs no more than the limit.
    sysfs.write(sysfs.file("gpu0", "sriov_totalvfs"), "65535\n");
    EXPECT_LE(look(sysfs, true).devices.size(), 300u);
    sysfs.write(sysfs.file("gpu0", "sriov_totalvfs"), "65536\n");
    EXPECT_THAT(look(sysfs, true).devices, SizeIs(2));
}

TEST(Scan, AFabricIsBelowTheHostBridgeOfItsEndpoint) {
    const FakeSysfs sysfs;
    const std::string way =
        "devices/pci0000:00/0000:00:05.0/pci10000:00/10000:00:00.0/10000:01:00.0";
    sysfs.write("sys/" + way + "/gpu/gpu0/uuid", "x\n");
    sysfs.link("sys/" + way + "/gpu/gpu0/device", "../..");
    sysfs.link("sys/class/gpu/gpu0", "../../" + way + "/gpu/gpu0");
    const Scan found = look(sysfs);
    ASSERT_THAT(found.devices, SizeIs(1));
    const slices::FunctionView& view = found.devices[0].device.view;
    EXPECT_EQ(view.pci_address, "10000:01:00.0");
    EXPECT_EQ(view.pcie_root, "pci0000:00");
    EXPECT_EQ(view.port_path, "0000:00:05.0/10000:00:00.0");
    EXPECT_EQ(view.numa_node, -1);
}

TEST(Scan, StatusAndErrorsAreRead) {
    const FakeSysfs sysfs;
    sysfs.add("gpu0", "0000:11:00.0");
    sysfs.write(sysfs.file("gpu0", "status"), "0x80000001\n");
    sysfs.write(sysfs.file("gpu0", "device/aer_dev_fatal"),
                "Undefined 0\nDLP 1\nTOTAL_ERR_FATAL 3\n");
    sysfs.write(sysfs.file("gpu0", "device/aer_dev_nonfatal"), "TOTAL_ERR_NONFATAL 2\n");
    Scan found = look(sysfs);
    ASSERT_THAT(found.devices, SizeIs(1));
    EXPECT_EQ(found.devices[0].status, 0x80000001u);
    EXPECT_EQ(found.devices[0].aer, (AerCounters{3, 2}));
    sysfs.write(sysfs.file("gpu0", "status"), "hello\n");
    sysfs.write(sysfs.file("gpu0", "device/aer_dev_fatal"), "TOTAL_ERR_FATAL 4\n");
    refresh(sysfs.root(), kGpu, &found.devices);
    EXPECT_FALSE(found.devices[0].status);
    EXPECT_EQ(found.devices[0].status_error, EBADMSG);
    EXPECT_EQ(found.devices[0].aer, (AerCounters{4, 2}));
    sysfs.remove("gpu0");
    refresh(sysfs.root(), kGpu, &found.devices);
    EXPECT_EQ(found.devices[0].status_error, ENODEV);
}

TEST(ScanHostile, LinksThatLeaveTheRootLeadNowhere) {
    const FakeSysfs outside;
    outside.write("gpu9/uuid", "secret\n");
    const FakeSysfs sysfs;
    sysfs.add("gpu0", "0000:11:00.0");
    sysfs.link("sys/class/gpu/gpu1", outside.root() + "/gpu9");
    sysfs.link("sys/class/gpu/gpu2", "../../../../../../../.." + outside.root() + "/gpu9");
    sysfs.link("sys/class/gpu/gpu3", "gpu4");
    sysfs.link("sys/class/gpu/gpu4", "gpu3");
    std::filesystem::remove(sysfs.path(sysfs.file("gpu0", "uuid")));
    sysfs.link(sysfs.file("gpu0", "uuid"), outside.root() + "/gpu9/uuid");
    const Scan found = look(sysfs);
    EXPECT_EQ(nodes(found), std::vector<std::string>({"gpu0"}));
    EXPECT_FALSE(found.devices[0].device.view.files.contains("uuid"));
}

TEST(ScanHostile, WhatIsNoFileIsNotReadAndBlocksNothing) {
    const FakeSysfs sysfs;
    sysfs.add("gpu0", "0000:11:00.0");
    for (const char* const name : {"uuid", "memory_size", "status"}) {
        std::filesystem::remove(sysfs.path(sysfs.file("gpu0", name)));
    }
    ASSERT_EQ(::mkfifo(sysfs.path(sysfs.file("gpu0", "uuid")).c_str(), 0600), 0);
    ASSERT_EQ(::mkfifo(sysfs.path(sysfs.file("gpu0", "status")).c_str(), 0600), 0);
    std::filesystem::create_directory(sysfs.path(sysfs.file("gpu0", "memory_size")));
    sysfs.write("sys/class/gpu/gpu1", "a file in place of a device");
    ASSERT_EQ(::mkfifo(sysfs.path("sys/class/gpu/gpu2").c_str(), 0600), 0);
    const Scan found = look(sysfs);
    ASSERT_EQ(nodes(found), std::vector<std::string>({"gpu0"}));
    EXPECT_THAT(found.devices[0].device.view.files, IsEmpty());
    EXPECT_EQ(found.devices[0].status_error, EINVAL);
    EXPECT_THAT(found.problems, SizeIs(4));
}

TEST(ScanHostile, TextsAreBounded) {
    const FakeSysfs sysfs;
    sysfs.add("gpu0", "0000:11:00.0");
    sysfs.write(sysfs.file("gpu0", "uuid"), std::string(kMaxAttributeBytes + 1, 'x'));
    sysfs.write(sysfs.file("gpu0", "memory_size"), std::string(kMaxAttributeBytes, '9'));
    sysfs.write(sysfs.file("gpu0", "dev"), "1:2:3");
    sysfs.write(sysfs.file("gpu0", "device/numa_node"), "99999999999");
    const Scan found = look(sysfs);
    ASSERT_THAT(found.devices, SizeIs(1));
    const slices::FunctionView& view = found.devices[0].device.view;
    EXPECT_FALSE(view.files.contains("uuid"));
    EXPECT_EQ(view.files.at("memory_size").size(), kMaxAttributeBytes);
    EXPECT_EQ(view.numa_node, -1);
    EXPECT_EQ(found.devices[0].device.dev_node, "");
    EXPECT_THAT(found.problems, testing::Contains(HasSubstr("uuid has more than 4096 bytes")));
}

TEST(ScanHostile, DeviceNodesStayBelowDev) {
    const FakeSysfs sysfs;
    sysfs.add("gpu0", "0000:11:00.0");
    for (const char* const name : {"../../etc/passwd", "/etc/passwd", "a b", ""}) {
        sysfs.write(sysfs.file("gpu0", "uevent"), fmt::format("DEVNAME={}\n", name));
        EXPECT_EQ(look(sysfs).devices.at(0).device.dev_node, "") << name;
    }
    sysfs.write(sysfs.file("gpu0", "uevent"), "MAJOR=1\nDEVNAME=gpu/0\n");
    EXPECT_EQ(look(sysfs).devices.at(0).device.dev_node, "/dev/gpu/0");
}

TEST(ScanHostile, OtherNamesAreNotOurs) {
    const FakeSysfs sysfs;
    for (const char* const name : {"gpu", "gpux", "gpu1x", "gpu1_vf", "gpu1_vfx", "gpu_vf1", "GPU1",
                                   "gpu1_vf1_vf1", "gpu1234567890", "xgpu1"}) {
        std::filesystem::create_directories(sysfs.path(std::string("sys/class/gpu/") + name));
    }
    const Scan found = look(sysfs);
    EXPECT_THAT(nodes(found), IsEmpty());
    EXPECT_THAT(found.problems, IsEmpty());
}

TEST(ScanHostile, AHundredThousandEntriesAreCutOff) {
    const FakeSysfs sysfs;
    std::filesystem::create_directories(sysfs.path("sys/class/gpu"));
    for (int index = 0; index < 100'000; ++index) {
        std::filesystem::create_symlink("nowhere",
                                        sysfs.path(fmt::format("sys/class/gpu/gpu{}", index)));
    }
    const Scan found = look(sysfs);
    EXPECT_THAT(found.devices, IsEmpty());
    EXPECT_THAT(found.problems, testing::ElementsAre(HasSubstr("more than 1024 devices")));
}

// Devices come and go while the folder is read: no scan fails, and what stays is always there.
TEST(ScanHostile, DevicesThatVanishInMidScanAreLeftOut) {
    const FakeSysfs sysfs;
    sysfs.add("gpu0", "0000:11:00.0");
    std::atomic<bool> stop{false};
    std::thread churn([&] {
        for (int round = 0; !stop; ++round) {
            sysfs.add("gpu1", fmt::format("0000:21:00.{}", round % 8));
            sysfs.remove("gpu1");
        }
    });
    for (int round = 0; round < 300; ++round) {
        const Scan found = look(sysfs);
        ASSERT_FALSE(found.devices.empty());
        EXPECT_EQ(found.devices[0].device.view.files.at("uuid"), "U-gpu0");
        EXPECT_LE(found.devices.size(), 2u);
    }
    stop = true;
    churn.join();
}

// The kernel gives up on a path with ".." while anything is renamed, anywhere (openat2(2)); a
// kubelet renames files all the time. A device that is there must not seem to be gone.
TEST(ScanHostile, RenamesElsewhereTakeNoDeviceAway) {
    const FakeSysfs sysfs;
    sysfs.add("gpu0", "0000:11:00.0");
    const FakeSysfs elsewhere;
    elsewhere.write("a", "");
    std::atomic<bool> stop{false};
    std::thread renames([&] {
        const std::string a = elsewhere.path("a");
        const std::string b = elsewhere.path("b");
        while (!stop) {
            ::rename(a.c_str(), b.c_str());
            ::rename(b.c_str(), a.c_str());
        }
    });
    Scan found = look(sysfs);
    int gone = found.devices.size() == 1 ? 0 : 1;
    for (int round = 0; round < 20'000 && gone == 0; ++round) {
        refresh(sysfs.root(), kGpu, &found.devices);
        gone += found.devices[0].status == 0u ? 0 : 1;
    }
    stop = true;
    renames.join();
    EXPECT_EQ(gone, 0);
}

}  // namespace
}  // namespace mimic::dra
