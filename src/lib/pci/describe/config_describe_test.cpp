// SPDX-License-Identifier: Apache-2.0
// describe_config() says what pciutils says of the same bytes, and survives any bytes.
#include "pci/describe/config_describe.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <random>
#include <set>

#include "pci/config/pci_regs.h"
#include "pci/testing/fabric.h"
#include "pci/testing/lspci.h"

namespace mimic::pci {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using T = TestTree;

std::vector<uint8_t> image_of(const Function& function) {
    std::vector<uint8_t> image(4096);
    function.config().read(0, image);
    return image;
}

const ConfigSection* find_section(const ConfigDescription& all, const std::string& name) {
    for (const auto& one : all.sections)
        if (one.name == name) return &one;
    return nullptr;
}

const DescribedRegister* find_register(const ConfigDescription& all, const std::string& section,
                                       const std::string& name) {
    const auto* const part = find_section(all, section);
    if (part == nullptr) return nullptr;
    for (const auto& one : part->registers)
        if (one.name == name) return &one;
    return nullptr;
}

// "SECTION/REGISTER.FIELD" or "SECTION/REGISTER": the text, or the number in decimal.
std::string at(const ConfigDescription& all, const std::string& path) {
    const size_t slash = path.find('/');
    const size_t dot = path.find('.', slash);
    const std::string name = path.substr(slash + 1, dot - slash - 1);
    const auto* const reg = find_register(all, path.substr(0, slash), name);
    if (reg == nullptr) return "no register";
    if (dot == std::string::npos) return fmt::format("{}", reg->value);
    for (const auto& field : reg->fields) {
        if (field.name == path.substr(dot + 1))
            return field.text.empty() ? fmt::format("{}", field.value) : field.text;
    }
    return "no field";
}

// A configuration space made by hand.
struct Image {
    std::vector<uint8_t> bytes = std::vector<uint8_t>(4096);
    uint32_t last = 0;
    uint32_t last_extended = 0;

    Image() {
        set(regs::VENDOR_ID, 2, 0x10de);
        set(regs::DEVICE_ID, 2, 0x1234);
        set(regs::STATUS, 2, regs::STATUS_CAPABILITIES_LIST);
        set(regs::CLASS_CODE, 3, 0x030200);
    }
    void set(uint32_t at, unsigned size, uint64_t value) {
        for (unsigned i = 0; i < size; ++i) bytes[at + i] = static_cast<uint8_t>(value >> (8 * i));
    }
    uint32_t add(uint8_t id, uint32_t at) {
        set(last == 0 ? regs::CAPABILITIES_POINTER : last + 1, 1, at);
        set(at, 1, id);
        last = at;
        return at;
    }
    uint32_t extended(uint16_t id, uint32_t at, unsigned version = 1) {
        if (last_extended != 0) set(last_extended + 2, 2, at << 4 | 1);
        set(at, 4, id | version << 16);
        last_extended = at;
        return at;
    }
};

// Registers lie in their section, in order, without two of one name, and fields in registers.
void expect_sound(const ConfigDescription& all, size_t size) {
    for (const auto& section : all.sections) {
        std::set<std::string> names;
        uint64_t last = 0;
        ASSERT_LE(section.offset + section.size, size);
        for (const auto& reg : section.registers) {
            EXPECT_TRUE(names.insert(reg.name).second) << section.name << " " << reg.name;
            ASSERT_GE(reg.offset, std::max<uint64_t>(last, section.offset)) << reg.name;
            ASSERT_LE(reg.offset + reg.width / 8, section.offset + section.size) << reg.name;
            last = reg.offset;
            uint64_t seen = 0;
            std::set<std::string> fields;
            for (const auto& field : reg.fields) {
                EXPECT_TRUE(fields.insert(field.name).second) << reg.name << "." << field.name;
                ASSERT_LT(field.hi, reg.width) << reg.name << "." << field.name;
                ASSERT_LE(field.lo, field.hi);
                const uint64_t mask = (~uint64_t{0} >> (63 - (field.hi - field.lo))) << field.lo;
                EXPECT_EQ(seen & mask, 0u) << reg.name << "." << field.name;
                EXPECT_EQ(field.value, (reg.value & mask) >> field.lo);
                seen |= mask;
            }
        }
    }
}

class ConfigDescribeTest : public testing::Test {
protected:
    void SetUp() override {
        lspci_ = find_lspci();
        if (lspci_.empty()) GTEST_SKIP() << "lspci is not installed (tools/setup test)";
    }
    // Each of `facts`: what we say at a path, and what pciutils prints.
    void compare(const std::vector<uint8_t>& image,
                 const std::vector<std::array<const char*, 3>>& facts) {
        const auto all = describe_config(image);
        EXPECT_THAT(all.problems, IsEmpty());
        expect_sound(all, image.size());
        const std::string text = lspci_text(lspci_, image);
        for (const auto& [path, ours, theirs] : facts) {
            EXPECT_EQ(at(all, path), ours) << path;
            EXPECT_THAT(text, HasSubstr(theirs)) << path;
        }
    }

    std::string lspci_;
    TestTree tree;
};

TEST_F(ConfigDescribeTest, RootPortAgreesWithPciutils) {
    Function& port = *tree.fabric.find("rp0");
    compare(image_of(port),
            {{"Header/VENDOR_ID", "7653", "0604: 1de5:0100"},
             {"Header/SECONDARY_BUS", "1", "secondary=01"},
             {"Header/SUBORDINATE_BUS", "8", "subordinate=08"},
             {"Header/MEMORY_BASE.ADDRESS", "0x80000000", "80000000-81ffffff"},
             {"PCI Express/PCIE_CAPABILITIES.PORT_TYPE", "Root Port", "Root Port (Slot+)"},
             {"PCI Express/SLTCAP.SLOT_NUMBER", "1", "Slot #1"},
             {"PCI Express/SLTCAP.SURPRISE", "1", "Surprise+"},
             {"PCI Express/SLTSTA.PRESENCE", "present", "PresDet+"},
             {"PCI Express/LNKSTA.DLL_ACTIVE", "1", "DLActive+"},
             {"PCI Express/DEVCAP2.ARI_FORWARDING", "1", "ARIFwd+"},
             {"Advanced Error Reporting/ROOT_ERROR_COMMAND", "0", "RootCmd: CERptEn-"},
             {"Access Control Services/ACS_CAPABILITY.SOURCE_VALIDATION", "1", "SrcValid+"},
             {"MSI/MSI_CONTROL.MULTIPLE_MESSAGE_CAPABLE", "1", "Count=1/1"},
             {"MSI/MSI_CONTROL.64_BIT_ADDRESS", "1", "64bit+"}});
}

TEST_F(ConfigDescribeTest, PfAgreesWithPciutils) {
    tree.guest.open_vfs(*tree.pf, T::kPf, 3, T::kVfBar0);
    compare(image_of(*tree.pf),
            {{"Header/CLASS_CODE.BASE_CLASS", "Processing accelerator", "1200: 1de5:0001"},
             {"PCI Express/PCIE_CAPABILITIES.PORT_TYPE", "Endpoint", "Endpoint"},
             {"PCI Express/DEVCAP.FLR", "1", "FLReset+"},
             {"PCI Express/DEVCAP.MAX_PAYLOAD_SIZE", "256 bytes", "MaxPayload 256 bytes"},
             {"PCI Express/DEVCTL.MAX_READ_REQUEST_SIZE", "512 bytes", "MaxReadReq 512 bytes"},
             {"PCI Express/LNKCAP.MAX_LINK_SPEED", "16 GT/s", "Speed 16GT/s"},
             {"PCI Express/LNKCAP.MAX_LINK_WIDTH", "x16", "Width x16"},
             {"MSI-X/MSIX_CONTROL.TABLE_SIZE", "4", "MSI-X: Enable- Count=4 Masked-"},
             {"MSI-X/MSIX_PBA.OFFSET", "0x800", "PBA: BAR=0 offset=00000800"},
             {"MSI-X/MSIX_TABLE.BIR", "BAR 0", "Vector table: BAR=0"},
             {"SR-IOV/SRIOV_CONTROL.VF_ENABLE", "Enabled", "Enable+ Migration-"},
             {"SR-IOV/NUM_VFS", "3", "Number of VFs: 3"},
             {"SR-IOV/TOTAL_VFS", "64", "Total VFs: 64"},
             {"SR-IOV/VF_DEVICE_ID", "2", "Device ID: 0002"},
             {"SR-IOV/FIRST_VF_OFFSET", "1", "VF offset: 1"},
             {"SR-IOV/SYSTEM_PAGE_SIZE.SIZE", "4 KiB", "System Page Size: 00000001"},
             {"SR-IOV/VF_BAR0.TYPE", "64 bits", "(64-bit, prefetchable)"}});
}

// What a cloned device may bring, laid out by hand.
TEST_F(ConfigDescribeTest, FurtherCapabilitiesAgreeWithPciutils) {
    Image image;
    image.set(image.add(regs::CAP_ID_PM, 0x40) + 2, 4, 0x0008'c803);
    image.set(image.add(0x03, 0x48) + 2, 2, 0x8010);
    const uint32_t pcie = image.add(regs::CAP_ID_PCIE, 0x60);
    image.set(pcie + 2, 2, 0x0002);
    image.set(pcie + regs::LNKCAP, 4, 0x0007'3d05 | 0x400000);
    image.set(pcie + regs::LNKSTA, 2, 0x1043);
    image.set(pcie + regs::DEVCAP2, 4, 0x0007'0813);
    image.set(pcie + regs::LNKCAP2, 4, 0x3e);
    image.set(pcie + regs::LNKCTL2, 2, 0x5);
    image.set(image.extended(0x18, 0x100) + 4, 4, 0x1003'0c10);
    image.set(image.extended(0x1e, 0x110) + 4, 4, 0x0028'0a1f);
    image.set(image.extended(0x0f, 0x130) + 4, 4, 0x8000'0060);
    image.set(image.extended(0x1b, 0x140) + 4, 4, 0x0001'1406);
    const uint32_t pri = image.extended(0x13, 0x150);
    image.set(pri + 4, 4, 0x8100'0001);
    image.set(pri + 8, 4, 0x200);
    const uint32_t tph = image.extended(0x17, 0x170);
    image.set(tph + 4, 4, 0x0003'0205);
    const uint32_t dpc = image.extended(0x1d, 0x190);
    image.set(dpc + 4, 4, 0x0001'0088);
    const uint32_t serial = image.extended(regs::EXT_CAP_ID_DSN, 0x1b0);
    image.set(serial + 4, 8, 0x0011'22ff'ff33'4455);
    compare(
        image.bytes,
        {{"Power Management/PMCSR.NO_SOFT_RESET", "1", "NoSoftRst+"},
         {"Power Management/PMCSR.POWER_STATE", "D0", "Status: D0"},
         {"Power Management/PMC.PME_SUPPORT", "D0 D3hot D3cold", "PME(D0+,D1-,D2-,D3hot+,D3cold+)"},
         {"PCI Express/LNKCAP.MAX_LINK_SPEED", "32 GT/s", "Speed 32GT/s"},
         {"PCI Express/LNKSTA.CURRENT_LINK_SPEED", "8 GT/s", "Speed 8GT/s"},
         {"PCI Express/LNKSTA.NEGOTIATED_LINK_WIDTH", "x4", "Width x4"},
         {"PCI Express/LNKCAP.ASPM_SUPPORT", "L0s L1", "ASPM L0s L1"},
         {"PCI Express/DEVCAP2.COMPLETION_TIMEOUT_RANGES", "A B", "Range AB"},
         {"PCI Express/DEVCAP2.LTR", "1", "LTR+"},
         {"PCI Express/LNKCTL2.TARGET_LINK_SPEED", "32 GT/s", "Target Link Speed: 32GT/s"},
         {"Latency Tolerance Reporting/MAX_SNOOP_LATENCY.SCALE", "x 32768 ns",
          "Max snoop latency: 524288ns"},
         {"L1 PM Substates/L1SS_CAPABILITIES.ASPM_L1_2", "1", "ASPM_L1.2+"},
         {"L1 PM Substates/L1SS_CAPABILITIES.PORT_COMMON_MODE_RESTORE_TIME_US", "10",
          "PortCommonModeRestoreTime=10us"},
         {"Address Translation Service/ATS_CONTROL.ENABLE", "Enabled", "Enable+"},
         {"Process Address Space ID/PASID_CAPABILITY.MAX_PASID_WIDTH", "20", "Max PASID Width: 14"},
         {"Page Request Interface/PRI_CONTROL.ENABLE", "Enabled", "PRICtl: Enable+ Reset-"},
         {"Page Request Interface/PRI_STATUS.STOPPED", "1", "Stopped+"},
         {"TLP Processing Hints/TPH_REQUESTER_CAPABILITY.DEVICE_SPECIFIC_MODE", "1",
          "Device specific mode"},
         {"TLP Processing Hints/TPH_ST_ENTRY[3]", "0", "TPH"},
         {"Downstream Port Containment/DPC_CAPABILITY.SOFTWARE_TRIGGERING", "1", "SwTrigger+"},
         {"Downstream Port Containment/DPC_CONTROL.TRIGGER_ENABLE", "fatal", "Trigger:1"},
         {"Device Serial Number/SERIAL_NUMBER_UPPER", "1123071", "00-11-22-ff-ff-33-44-55"}});
}

TEST(ConfigDescribe, RegistersThatTheListsDoNotNameAreShownAsTheyAre) {
    Image image;
    const uint32_t vendor = image.add(regs::CAP_ID_VENDOR, 0x40);
    image.set(vendor + 2, 1, 10);
    image.set(vendor + 4, 4, 0x1234'5678);
    image.set(vendor + 8, 2, 0xabcd);
    image.add(0x3f, 0x60);
    image.set(0x64, 4, 0x55aa);
    image.set(0xf0, 4, 7);
    const auto all = describe_config(image.bytes);
    expect_sound(all, 4096);
    EXPECT_EQ(at(all, "Vendor Specific/DATA[0]"), "305419896");
    EXPECT_EQ(at(all, "Vendor Specific/DATA[1]"), "43981");
    EXPECT_EQ(at(all, "Capability 0x3f/DATA[0]"), "21930");
    const auto* const unknown = find_section(all, "Capability 0x3f");
    ASSERT_NE(unknown, nullptr);
    EXPECT_EQ(unknown->id, 0x3f);
    EXPECT_EQ(unknown->offset, 0x60u);
}

TEST(ConfigDescribe, MsiHasTheRegistersThatItsControlSays) {
    Image image;
    const uint32_t msi = image.add(regs::CAP_ID_MSI, 0x50);
    image.set(msi + 2, 2, 0x0101 | 3 << 1);
    image.set(msi + regs::MSI_DATA_32, 2, 0x4021);
    image.set(msi + regs::MSI_MASK_32, 4, 0xff);
    auto all = describe_config(image.bytes);
    EXPECT_EQ(at(all, "MSI/MSI_DATA"), "16417");
    EXPECT_EQ(at(all, "MSI/MSI_MASK"), "255");
    EXPECT_EQ(at(all, "MSI/MSI_UPPER_ADDRESS"), "no register");
    EXPECT_EQ(at(all, "MSI/MSI_CONTROL.MULTIPLE_MESSAGE_CAPABLE"), "8");
    image.set(msi + 2, 2, 0x0080);
    all = describe_config(image.bytes);
    EXPECT_EQ(at(all, "MSI/MSI_UPPER_ADDRESS"), "16417");
    EXPECT_EQ(at(all, "MSI/MSI_DATA"), "255");
    EXPECT_EQ(at(all, "MSI/MSI_MASK"), "no register");
}

TEST(ConfigDescribe, TheRegistersOfAVmdAreInNoList) {
    Image image;
    image.set(regs::VENDOR_ID, 2, 0x8086);
    image.set(regs::CLASS_CODE, 3, 0x010400);
    image.set(0x44, 4, 0x102);
    image.add(regs::CAP_ID_MSIX, 0x80);
    auto all = describe_config(image.bytes);
    expect_sound(all, 4096);
    EXPECT_EQ(at(all, "Volume Management Device/VMCONFIG.MSI_REMAP_DISABLE"), "1");
    EXPECT_EQ(at(all, "Volume Management Device/VMCONFIG.BUS_RESTRICTIONS"), "1");
    // Another device's registers there have no name.
    image.set(regs::VENDOR_ID, 2, 0x1de5);
    all = describe_config(image.bytes);
    EXPECT_EQ(at(all, "Other registers/DWORD_044"), "258");
}

TEST(ConfigDescribe, ListsThatLieEnd) {
    Image loop;
    loop.add(regs::CAP_ID_PM, 0x40);
    loop.set(0x41, 1, 0x40);
    EXPECT_EQ(describe_config(loop.bytes).problems.size(), 1u);

    Image beyond;
    beyond.extended(0x18, 0x100);
    beyond.set(0x102, 2, 0xffff);
    const auto all = describe_config(std::span(beyond.bytes).first(256));
    expect_sound(all, 256);
    expect_sound(describe_config(beyond.bytes), 4096);

    // The last bytes: no room for what the kind would have.
    Image edge;
    edge.add(regs::CAP_ID_MSIX, 0xfc);
    edge.extended(regs::EXT_CAP_ID_AER, 0x100);
    edge.extended(regs::EXT_CAP_ID_SRIOV, 0xffc);
    const auto cut = describe_config(edge.bytes);
    expect_sound(cut, 4096);
    EXPECT_EQ(at(cut, "MSI-X/MSIX_CONTROL.ENABLE"), "Disabled");
    EXPECT_EQ(at(cut, "MSI-X/MSIX_TABLE"), "no register");
}

TEST(ConfigDescribe, NoConfigurationSpaceIsNone) {
    EXPECT_THAT(describe_config({}).sections, IsEmpty());
    const std::vector<uint8_t> large(8192);
    EXPECT_THAT(describe_config(large).sections, IsEmpty());
    const std::vector<uint8_t> header(64, 0xff);
    EXPECT_EQ(describe_config(header).sections.size(), 1u);
}

TEST(ConfigDescribe, RandomBytesAreSurvived) {
    std::mt19937 random(7);
    for (int round = 0; round < 200; ++round) {
        Image image;
        uint32_t at = 0x100;
        // A list of extended capabilities with random insides, some of them too near to the next.
        while (at < 0xff0) {
            image.extended(static_cast<uint16_t>(random() % 0x33 + 1), at);
            const uint32_t next = at + 4 + random() % 0x80 / 4 * 4;
            for (uint32_t i = at + 4; i < std::min(next, 4096u); ++i) {
                image.bytes[i] = static_cast<uint8_t>(random());
            }
            at = next;
        }
        for (uint32_t i = 0x34; i < 0x100; ++i) image.bytes[i] = static_cast<uint8_t>(random());
        expect_sound(describe_config(image.bytes), 4096);
    }
}

}  // namespace
}  // namespace mimic::pci
