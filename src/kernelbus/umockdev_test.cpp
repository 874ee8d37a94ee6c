// SPDX-License-Identifier: Apache-2.0
#include "kernelbus/umockdev.h"

#include <gtest/gtest.h>

namespace mimic::kernelbus {
namespace {

TEST(Umockdev, WritesARecordForEachDevice) {
    FileTree tree;
    tree.add_file("sys/devices/pci0000:00/0000:00:01.0/uevent", "DRIVER=x\nPCI_ID=1:2\n");
    tree.add_link("sys/devices/pci0000:00/0000:00:01.0/subsystem", "sys/bus/pci");
    tree.add_link("sys/devices/pci0000:00/0000:00:01.0/driver", "sys/bus/pci/drivers/x");
    tree.add_file("sys/devices/pci0000:00/0000:00:01.0/vendor", "0x0001\n");
    tree.add_file("sys/devices/pci0000:00/0000:00:01.0/config", std::string("\x01\xfe\0a", 4));
    tree.add_file("sys/devices/pci0000:00/0000:00:01.0/folder/file", "not a device's");
    EXPECT_EQ(umockdev_text(tree),
              "P: /devices/pci0000:00/0000:00:01.0\n"
              "E: DRIVER=x\n"
              "E: PCI_ID=1:2\n"
              "E: SUBSYSTEM=pci\n"
              "H: config=01FE0061\n"
              "L: driver=../../../bus/pci/drivers/x\n"
              "A: vendor=0x0001\\n\n");
}

TEST(Umockdev, EscapesBackslashesAndNewlines) {
    FileTree tree;
    tree.add_file("sys/devices/d/uevent", "");
    tree.add_link("sys/devices/d/subsystem", "sys/class/c");
    tree.add_file("sys/devices/d/text", "a\\n\nb");
    EXPECT_EQ(umockdev_text(tree), "P: /devices/d\nE: SUBSYSTEM=c\nA: text=a\\\\n\\nb\n");
}

TEST(Umockdev, LeavesOutWhatIsNoDevice) {
    FileTree tree;
    tree.add_file("sys/devices/system/cpu/online", "0\n");
    tree.add_file("sys/bus/pci/slots/1/address", "0\n");
    EXPECT_EQ(umockdev_text(tree), "");
}

}  // namespace
}  // namespace mimic::kernelbus
