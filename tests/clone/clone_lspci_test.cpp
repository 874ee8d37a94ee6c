// SPDX-License-Identifier: Apache-2.0
// What lspci says about a clone is what it said about the original. The clone is made as mimic up
// makes it, a guest's writes of addresses and enables are replayed, and pciutils decodes both.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

#include <cstdio>
#include <regex>

#include "device_host/device_factory.h"
#include "device_host/fabric_factory.h"
#include "devices/all_models.h"
#include "dump/clone.h"
#include "dump/test_samples.h"
#include "pci/config/config_image.h"
#include "pci/config/pci_regs.h"
#include "topology/topology.h"

namespace mimic {
namespace {

using Image = std::vector<uint8_t>;

std::string output_of(const std::string& command) {
    std::string result;
    FILE* const pipe = ::popen(command.c_str(), "r");
    if (pipe == nullptr) return result;
    std::array<char, 4096> buffer;
    while (const size_t count = std::fread(buffer.data(), 1, buffer.size(), pipe)) {
        result.append(buffer.data(), count);
    }
    ::pclose(pipe);
    return result;
}

// All that lspci prints about these bytes.
std::string decoded(const Image& image) {
    std::string dump = "00:01.0 x\n";
    for (size_t at = 0; at < image.size(); ++at) {
        if (at % 16 == 0) dump += fmt::format("{}{:02x}:", at == 0 ? "" : "\n", at);
        dump += fmt::format(" {:02x}", image[at]);
    }
    std::string path = "/tmp/mimic-clone.XXXXXX";
    const int fd = ::mkstemp(path.data());
    EXPECT_GE(fd, 0);
    dump += "\n";
    EXPECT_EQ(::write(fd, dump.data(), dump.size()), static_cast<ssize_t>(dump.size()));
    ::close(fd);
    const std::string text = output_of("PATH=$PATH:/sbin:/usr/sbin lspci -n -vvv -F " + path +
                                       " 2>/dev/null");
    ::unlink(path.c_str());
    return text;
}

// Lines that tell what happens and not what is there; docs/clone.md lists them.
std::string without_volatile(const std::string& text) {
    static const std::regex kVolatile(
        "DevSta:|UESta:|CESta:|HeaderLog:|ErrorSrc:|RootSta:|LaneErrStat:|SltSta:|SltCtl:"
        "|IOVCtl:|Initial VFs:|I/O behind bridge");
    std::string out;
    for (size_t at = 0; at < text.size();) {
        const size_t end = std::min(text.find('\n', at), text.size());
        // A link that is not powered, and slots without commands that take time.
        static const std::regex kOwn("(DLActive|NoCompl)[+-]");
        const std::string line = std::regex_replace(text.substr(at, end - at), kOwn, "$1");
        if (!std::regex_search(line, kVolatile)) out += line + "\n";
        at = end + 1;
    }
    return out;
}

// The bits that act when they are written, by capability and offset: nothing of these is replayed.
bool acts(const pci::ImageWalk& walk, uint32_t at) {
    if (at == pci::regs::BRIDGE_CONTROL - 2) return true;
    for (const auto& one : walk.capabilities) {
        if (at < one.offset || at >= one.offset + one.size) continue;
        const uint32_t inside = at - one.offset;
        if (!one.extended && one.id == pci::regs::CAP_ID_PM) return true;
        if (!one.extended && one.id == 0x03) return true;
        if (!one.extended && one.id == pci::regs::CAP_ID_PCIE && inside == 0x18) return true;
        if (one.extended && one.id == pci::regs::EXT_CAP_ID_SRIOV && inside == 0x08) return true;
        if (one.extended && one.id == pci::regs::EXT_CAP_ID_SRIOV && inside == 0x10) return true;
    }
    return false;
}

// What firmware and the operating system wrote into the original, written into the clone.
void replay(pci::Function& clone, const Image& original) {
    const pci::ImageWalk walk = pci::walk_image(original);
    for (uint32_t at = 4; at < original.size(); at += 4) {
        if (acts(walk, at)) continue;
        std::array<uint8_t, 4> data{};
        std::copy_n(original.begin() + at, 4, data.begin());
        clone.config_write(at, data);
    }
    if (const auto sriov = pci::image_sriov(original)) {  // where VFs are depends on this bit
        const uint8_t ari = original.at(sriov->offset + pci::regs::SRIOV_CONTROL) & 0x10;
        clone.config_write(sriov->offset + pci::regs::SRIOV_CONTROL, std::span(&ari, 1));
    }
    clone.config_write(pci::regs::INTERRUPT_LINE,
                       std::span(original).subspan(pci::regs::INTERRUPT_LINE, 1));
}

Image bytes_of(pci::Function& function, size_t size) {
    Image out(size);
    for (size_t at = 0; at < size; at += 4) {
        function.config_read(static_cast<uint32_t>(at), std::span(out).subspan(at, 4));
    }
    return out;
}

class CloneLspci : public testing::TestWithParam<const char*> {
protected:
    void SetUp() override {
        if (output_of("PATH=$PATH:/sbin:/usr/sbin command -v lspci").empty()) {
            GTEST_SKIP() << "lspci is not installed (tools/setup test)";
        }
    }
};

TEST_P(CloneLspci, SaysTheSameAboutTheClone) {
    auto dump = dump::parse_dump(dump::sample(GetParam()));
    ASSERT_TRUE(dump);
    const auto cloned = dump::make_clone(*dump, {.models = devices::all_models()});
    ASSERT_TRUE(cloned);
    const auto model = topology::parse(cloned->yaml, "clone.yaml", devices::all_models());
    ASSERT_TRUE(model) << model.error().str();
    const topology::Machine& machine = model->machines.at(0);

    std::vector<std::unique_ptr<vmd::Vmd>> fabrics;
    std::vector<std::unique_ptr<pci::Function>> endpoints;
    std::vector<pci::Function*> clones;
    for (const auto& fabric : machine.fabrics) {
        auto made = device_host::make_fabric(machine, fabric);
        ASSERT_TRUE(made) << made.error().message();
        fabrics.push_back(std::move(*made));
        fabrics.back()->fabric().for_each(
            [&](pci::Function& function, uint16_t) { clones.push_back(&function); });
    }
    for (const auto& device : machine.devices) {
        if (device.on_fabric) continue;
        auto made = device_host::make_function(device, device.functions.at(0));
        ASSERT_TRUE(made) << made.error().message();
        endpoints.push_back(std::move(*made));
        clones.push_back(endpoints.back().get());
    }
    size_t compared = 0;
    for (pci::Function* const one : clones) {
        // Functions of a kind come in the same order.
        const auto original = std::find_if(
            dump->functions.begin(), dump->functions.end(), [&](const dump::DumpFunction& of) {
                return !of.config.empty() && pci::image_u32(of.config, 0) == one->config().u32(0);
            });
        if (original == dump->functions.end()) continue;  // a root port of Mimic's
        SCOPED_TRACE(one->name() + " of " + original->address.str());
        Image expected = original->config;
        original->config.clear();
        replay(*one, expected);
        Image got = bytes_of(*one, expected.size());
        // No ROM before the function is attached, and bridges keep their control register.
        const bool is_bridge = (expected[pci::regs::HEADER_TYPE] & 0x7f) == 1;
        if (is_bridge) {
            std::copy_n(expected.begin() + 0x3c, 4, got.begin() + 0x3c);
        } else {
            std::copy_n(expected.begin() + 0x30, 4, got.begin() + 0x30);
        }
        EXPECT_EQ(without_volatile(decoded(got)), without_volatile(decoded(expected)));
        ++compared;
    }
    EXPECT_EQ(compared, cloned->functions + cloned->ports);
}

INSTANTIATE_TEST_SUITE_P(Samples, CloneLspci, testing::Values("gpu", "nvme", "nic", "switch"));

}  // namespace
}  // namespace mimic
