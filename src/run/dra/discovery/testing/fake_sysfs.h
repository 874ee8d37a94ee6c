// SPDX-License-Identifier: Apache-2.0
// FakeSysfs: a root folder whose /sys a test writes as it likes. Test code only.
#pragma once

#include <stdlib.h>

#include <array>
#include <filesystem>
#include <fstream>
#include <string>

#include "base/check.h"
#include "slices/dra_facts.h"

namespace mimic::dra {

inline constexpr std::array kGpuAttributes = {
    slices::DraAttribute{"uuid", "uuid", slices::DraAttribute::Kind::kText},
    slices::DraAttribute{"memory", "memory_size", slices::DraAttribute::Kind::kCapacity},
};
inline constexpr std::array kGpuFaults = {
    slices::DraFault{0x80000000, "failed", true, "it failed"},
    slices::DraFault{0x40000000, "degraded", false, "it is degraded"},
};
/// A device that nobody has.
inline constexpr slices::DraFacts kGpu{.driver = "gpu.example.com",
                                       .sysfs_class = "gpu",
                                       .node_prefix = "gpu",
                                       .cdi_class = "gpu",
                                       .cdi_vendor = "example.com",
                                       .env_prefix = "GPU",
                                       .attributes = kGpuAttributes,
                                       .status_file = "status",
                                       .faults = kGpuFaults,
                                       .total_vfs_file = "sriov_totalvfs",
                                       .num_vfs_file = "sriov_numvfs"};

class FakeSysfs {
public:
    FakeSysfs() {
        // In memory where there is a place: some tests make very many files.
        std::error_code ignored;
        const bool memory = std::filesystem::is_directory("/dev/shm", ignored);
        std::string name = std::string(memory ? "/dev/shm" : "/tmp") + "/mimic-sysfs.XXXXXX";
        MIMIC_CHECK(::mkdtemp(name.data()) != nullptr);
        root_ = name;
    }
    ~FakeSysfs() {
        std::error_code ignored;
        std::filesystem::remove_all(root_, ignored);
    }
    FakeSysfs(const FakeSysfs&) = delete;
    FakeSysfs& operator=(const FakeSysfs&) = delete;

    std::string root() const { return root_.string(); }
    std::filesystem::path path(const std::string& below) const { return root_ / below; }

    void write(const std::string& below, const std::string& text) const {
        std::filesystem::create_directories(path(below).parent_path());
        std::ofstream(path(below), std::ios::binary) << text;
    }

    /// A PCI device `address` below root port 0000:10:00.0, with class device `node`.
    void add(const std::string& node, const std::string& address) const {
        const std::string pci = "sys/devices/pci0000:10/0000:10:00.0/" + address;
        const std::string dir = pci + "/gpu/" + node;
        write(pci + "/numa_node", "1\n");
        write(dir + "/uuid", "U-" + node + "\n");
        write(dir + "/memory_size", "1024\n");
        write(dir + "/status", "0x00000000\n");
        write(dir + "/dev", "240:7\n");
        write(dir + "/uevent", "MAJOR=240\nMINOR=7\nDEVNAME=" + node + "\n");
        link(dir + "/device", "../..");
        link("sys/class/gpu/" + node,
             "../../devices/pci0000:10/0000:10:00.0/" + address + "/gpu/" + node);
    }

    void link(const std::string& below, const std::string& target) const {
        std::filesystem::create_directories(path(below).parent_path());
        std::filesystem::create_symlink(target, path(below));
    }

    /// Where the files of `node` are, once add() has made them.
    std::string file(const std::string& node, const std::string& name) const {
        return "sys/class/gpu/" + node + "/" + name;
    }

    void remove(const std::string& node) const {
        std::filesystem::remove_all(std::filesystem::canonical(path("sys/class/gpu/" + node)));
        std::filesystem::remove(path("sys/class/gpu/" + node));
    }

private:
    std::filesystem::path root_;
};

}  // namespace mimic::dra
