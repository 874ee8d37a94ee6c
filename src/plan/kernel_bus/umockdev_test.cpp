// SPDX-License-Identifier: Apache-2.0
#include "kernel_bus/umockdev.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <string>

namespace mimic::kernel_bus {
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

// The format as umockdev itself understands it: what it shows a program is what was in the tree.
TEST(Umockdev, IsWhatUmockdevReads) {
    if (std::system("command -v umockdev-run >/dev/null 2>&1") != 0) {
        GTEST_SKIP() << "umockdev-run is not installed (tools/setup test)";
    }
    FileTree tree;
    const std::string folder = "sys/devices/pci0000:00/0000:00:01.0/";
    tree.add_file(folder + "uevent", "DRIVER=x\nPCI_ID=1:2\n");
    tree.add_link(folder + "subsystem", "sys/bus/pci");
    tree.add_link(folder + "driver", "sys/bus/pci/drivers/x");
    tree.add_file(folder + "text", "a\\n\nb\n");
    tree.add_file(folder + "config", std::string("\x01\xfe\0a", 4));

    std::string path = "/tmp/mimic-umockdev.XXXXXX";
    const int fd = ::mkstemp(path.data());
    ASSERT_GE(fd, 0);
    const std::string text = umockdev_text(tree);
    ASSERT_EQ(::write(fd, text.data(), text.size()), static_cast<ssize_t>(text.size()));
    ::close(fd);
    const std::string command = "umockdev-run --device " + path +
                                " -- sh -c 'cd /sys/bus/pci/devices/0000:00:01.0 && cat text && "
                                "od -An -tx1 config && readlink driver && grep PCI_ID uevent' 2>&1";
    std::FILE* pipe = ::popen(command.c_str(), "r");
    ASSERT_NE(pipe, nullptr);
    std::string seen;
    for (int c = std::fgetc(pipe); c != EOF; c = std::fgetc(pipe)) seen += static_cast<char>(c);
    EXPECT_EQ(::pclose(pipe), 0) << seen;
    ::unlink(path.c_str());
    EXPECT_EQ(seen, "a\\n\nb\n 01 fe 00 61\n../../../bus/pci/drivers/x\nPCI_ID=1:2\n");
}

TEST(Umockdev, LeavesOutWhatIsNoDevice) {
    FileTree tree;
    tree.add_file("sys/devices/system/cpu/online", "0\n");
    tree.add_file("sys/bus/pci/slots/1/address", "0\n");
    EXPECT_EQ(umockdev_text(tree), "");
}

}  // namespace
}  // namespace mimic::kernel_bus
