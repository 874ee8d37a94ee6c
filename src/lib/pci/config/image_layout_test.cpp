// SPDX-License-Identifier: Apache-2.0
// lay_image(): whatever a register of an original holds, zero or not, a guest reads it in the
// clone.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <random>

#include "pci/config/config_image.h"
#include "pci/config/pci_regs.h"
#include "pci/fabric/port.h"
#include "pci/function/sriov.h"
#include "pci/testing/function.h"

namespace mimic::pci {
namespace {

using namespace regs;
using testing::IsEmpty;

using Image = std::vector<uint8_t>;

void put(Image& image, size_t at, uint32_t value, size_t size = 4) {
    for (size_t i = 0; i < size; ++i) image.at(at + i) = static_cast<uint8_t>(value >> 8 * i);
}

// Where the structures of the images below are.
constexpr uint32_t kPm = 0x40, kMsi = 0x50, kMsix = 0x70, kPcie = 0x80, kVpdAt = 0xc0;
constexpr uint32_t kAer = 0x100, kAriAt = 0x150, kSriovAt = 0x160, kAcs = 0x1a0, kLtr = 0x1b0;

/// Headers and lists with a structure of each kind that a builder owns, and nothing in them but
/// `type` of the PCI Express capability.
Image empty_structures(uint32_t type, bool bridge = false) {
    Image image(4096, 0);
    put(image, VENDOR_ID, 0x5678'1234);
    put(image, STATUS, STATUS_CAPABILITIES_LIST, 2);
    put(image, REVISION_ID, bridge ? 0x0604'0001 : 0x0200'0001);
    put(image, HEADER_TYPE, bridge ? 1 : 0, 1);
    if (bridge) put(image, PREFETCHABLE_BASE, 0x0001'0001);  // the windows are Mimic's
    put(image, CAPABILITIES_POINTER, kPm, 1);
    put(image, kPm, kMsi << 8 | CAP_ID_PM);
    put(image, kMsi, kMsix << 8 | CAP_ID_MSI);
    put(image, kMsix, kPcie << 8 | CAP_ID_MSIX);
    put(image, kPcie, type << 20 | 2U << 16 | kVpdAt << 8 | CAP_ID_PCIE);
    put(image, kVpdAt, 0x03, 2);
    put(image, kAer, kAriAt << 20 | EXT_CAP_ID_AER);
    put(image, kAriAt, kSriovAt << 20 | EXT_CAP_ID_ARI);
    put(image, kSriovAt, kAcs << 20 | EXT_CAP_ID_SRIOV);
    put(image, kAcs, kLtr << 20 | EXT_CAP_ID_ACS);
    put(image, kLtr, 0x18);
    return image;
}

/// An MSI-X table and a PBA have to be somewhere, and VFs too.
void give_places(Image& image) {
    put(image, kMsix + MSIX_PBA, 0x800);
    put(image, kSriovAt + SRIOV_TOTAL_VFS, 1, 2);
    put(image, kSriovAt + SRIOV_FIRST_VF_OFFSET, 1, 2);
    put(image, kSriovAt + SRIOV_SYSTEM_PAGE_SIZE, 1);  // its value after a reset (9.3.3.13)
    put(image, kSriovAt + SRIOV_CONTROL, SRIOV_CONTROL_ARI_HIERARCHY, 1);
}

FunctionOptions options_of(const Image& image) {
    FunctionOptions options = image_header(image);
    options.name = "clone0";
    return options;
}

Bar memory(uint64_t size) {
    return {.type = BarType::kMemory32, .size = size};
}

/// "0x8c: 00000000, not 00476c44" for each dword that differs in bits of no mask of `except`.
std::vector<std::string> differences(Function& function, const Image& image,
                                     const std::map<uint32_t, uint32_t>& except = {}) {
    std::vector<std::string> out;
    for (uint32_t at = 0; at < image.size(); at += 4) {
        const uint32_t got = function.config().u32(at);
        const uint32_t expected = image_u32(image, at);
        const auto mask = except.find(at);
        if (((got ^ expected) & ~(mask == except.end() ? 0 : mask->second)) == 0) continue;
        out.push_back(fmt::format("{:#05x}: {:08x}, not {:08x}", at, got, expected));
    }
    return out;
}

TEST(ImageLayout, ZeroInAPfsStructuresIsZeroInTheClone) {
    Image image = empty_structures(0);
    give_places(image);
    FunctionOptions options = options_of(image);
    options.bars[0] = memory(0x1000);
    TestFunction function(options);
    const auto laid = lay_image(function, {.image = image, .vf_bars = {memory(0x1000)}});
    ASSERT_TRUE(laid) << laid.error().message();
    EXPECT_THAT(laid->copied, IsEmpty());  // each was laid by its builder
    ASSERT_NE(function.sriov(), nullptr);
    function.config().set_u16(kSriovAt + SRIOV_CONTROL, SRIOV_CONTROL_ARI_HIERARCHY);
    function.sriov()->registers_reset();
    EXPECT_THAT(differences(function, image), IsEmpty());
}

TEST(ImageLayout, StructuresThatCannotWorkAreZeroToo) {
    const Image image = empty_structures(0);
    TestFunction function(options_of(image));
    const auto laid = lay_image(function, {.image = image});
    ASSERT_TRUE(laid) << laid.error().message();
    EXPECT_EQ(laid->copied.size(), 2U);  // MSI-X without a BAR, SR-IOV without VFs
    EXPECT_THAT(differences(function, image), IsEmpty());
}

TEST(ImageLayout, ZeroInAVfsStructuresIsZeroInTheClone) {
    Image image = empty_structures(0);
    put(image, VENDOR_ID, 0xffff'ffff);
    FunctionOptions options = options_of(image);
    options.vendor_id = 0x1234;
    options.virtual_function = true;
    TestFunction function(options);
    const auto laid = lay_image(function, {.image = image});
    ASSERT_TRUE(laid) << laid.error().message();
    EXPECT_THAT(differences(function, image), IsEmpty());
}

TEST(ImageLayout, ZeroInAPortsStructuresIsZeroInTheClone) {
    for (const PciePortType type :
         {PciePortType::kRootPort, PciePortType::kUpstreamPort, PciePortType::kDownstreamPort}) {
        const Image image = empty_structures(static_cast<uint32_t>(type), true);
        const auto bridge = Port::create(
            {.name = "port0", .type = type, .ari = false, .image = image});
        ASSERT_TRUE(bridge) << bridge.error().message();
        SCOPED_TRACE(static_cast<int>(type));
        // A port keeps its state in D3hot, since what is below it does (docs/clone.md).
        EXPECT_THAT(differences(**bridge, image, {{kPm + PMCSR, PMCSR_NO_SOFT_RESET}}), IsEmpty());
    }
}

TEST(ImageLayout, LegacyAndIntegratedEndpointsToo) {
    for (const uint32_t type : {1U, 9U}) {
        const Image image = empty_structures(type);
        TestFunction function(options_of(image));
        ASSERT_TRUE(lay_image(function, {.image = image}));
        EXPECT_THAT(differences(function, image), IsEmpty());
    }
}

// Of what is not zero, only what docs/clone.md lists begins as something else: what enables or
// reports something, and addresses.
TEST(ImageLayout, AnyBitsThatAreReadOnlyAreThoseOfTheOriginal) {
    const std::map<uint32_t, uint32_t> volatile_bits = {
        {COMMAND, 0xf908'ffff},
        {CACHE_LINE_SIZE, 0x4000'00ff},
        {BAR0, ~0U},
        {BAR0 + 4, ~0U},
        {BAR0 + 8, ~0U},
        {BAR0 + 12, ~0U},
        {BAR0 + 16, ~0U},
        {BAR0 + 20, ~0U},
        {EXPANSION_ROM, ~0U},
        {INTERRUPT_LINE, 0xff},
        {kPm + PMCSR, 0x8103},
        {kMsi, 0x0071'0000},
        {kMsi + 4, ~0U},
        {kMsi + 8, ~0U},
        {kMsi + 12, ~0U},
        {kMsi + 16, ~0U},
        {kMsi + 20, ~0U},
        {kMsix, 0xc000'0000},
        {kPcie + DEVCTL, 0x002f'8000},
        {kPcie + LNKCTL, 0xc800'0030},
        {kPcie + ROOTCTL, 0xffff},
        {kPcie + ROOTSTA, ~0U},
        {kPcie + DEVCTL2, 0x20},
        {kPcie + LNKCTL2, 0x0020'0000},
        {kVpdAt, 0xffff'0000},
        {kVpdAt + 4, ~0U},
        {kAer + 0x04, ~0U},
        {kAer + 0x10, ~0U},
        {kAer + 0x18, 0x1f},
        {kAer + 0x1c, ~0U},
        {kAer + 0x20, ~0U},
        {kAer + 0x24, ~0U},
        {kAer + 0x28, ~0U},
        {kAer + 0x38, ~0U},
        {kAer + 0x3c, ~0U},
        {kAer + 0x40, ~0U},
        {kAer + 0x44, ~0U},
        {kAriAt + 4, 0xffff'0000},
        {kSriovAt + 0x08, 0xffff},
        {kSriovAt + 0x10, 0xffff},
        {kSriovAt + 0x20, ~0U},
        {kSriovAt + 0x24, ~0xfU},
    };
    std::mt19937 engine(20261128);
    const auto random = [&engine] { return static_cast<uint32_t>(engine()); };
    for (int round = 0; round < 50; ++round) {
        Image image = empty_structures(0);
        const auto fill = [&](size_t first, size_t end) {
            for (size_t at = first; at < end; ++at) image[at] = static_cast<uint8_t>(random());
        };
        fill(0x08, 0x0e);
        fill(0x28, 0x34);
        fill(0x35, 0x3d);
        for (const uint32_t at : {kPm, kMsi}) fill(at + 2, at + 0x10);
        fill(kPcie + 4, kVpdAt);
        fill(kVpdAt + 2, 0x100);  // what follows the capability is the device's
        fill(kAer + 4, kAriAt);
        fill(kAriAt + 4, kSriovAt);
        fill(kSriovAt + 0x04, kSriovAt + 0x08);
        fill(kSriovAt + 0x12, kSriovAt + 0x14);
        fill(kSriovAt + 0x18, kSriovAt + 0x20);
        fill(kSriovAt + 0x3c, kAcs);
        fill(0x1b0 + 8, 4096);
        put(image, kMsi + MSI_CONTROL, random() & 0xff85, 2);  // up to 4 messages
        give_places(image);
        put(image, kSriovAt + SRIOV_INITIAL_VFS, random(), 2);
        put(image, kSriovAt + SRIOV_CONTROL, 0, 2);
        put(image, kSriovAt + SRIOV_FIRST_VF_OFFSET, 384, 2);
        FunctionOptions options = options_of(image);
        options.bars[0] = memory(0x1000);
        TestFunction function(options);
        const auto laid = lay_image(function, {.image = image, .vf_bars = {memory(0x1000)}});
        ASSERT_TRUE(laid) << laid.error().message();
        ASSERT_THAT(laid->copied, IsEmpty());
        ASSERT_THAT(differences(function, image, volatile_bits), IsEmpty());
    }
}

TEST(ImageLayout, BytesBetweenCapabilitiesStayThoughTheyAreOnes) {
    Image image(4096, 0);
    put(image, VENDOR_ID, 0x5678'1234);
    put(image, 0x60, 0xffff'ffff);
    put(image, 0x100, 0xffff'ffff);  // no extended configuration space answers
    TestFunction function(options_of(image));
    ASSERT_TRUE(lay_image(function, {.image = image}));
    EXPECT_THAT(differences(function, image), IsEmpty());
}

TEST(ImageLayout, NullCapabilitiesAreSkippedAndNotTheEnd) {
    Image image(4096, 0);
    put(image, VENDOR_ID, 0x5678'1234);
    put(image, 0x100, 0x1400'0000);
    put(image, 0x140, 0x0001'0003);
    put(image, 0x144, 0x0102'0304);
    TestFunction function(options_of(image));
    ASSERT_TRUE(lay_image(function, {.image = image}));
    EXPECT_THAT(differences(function, image), IsEmpty());
    EXPECT_THAT(walk_image(image).problems, IsEmpty());
}

// 82576 and its like: 128 in an ARI hierarchy, 384 outside of one.
TEST(ImageLayout, VfsAreAWholeBusAwayInTheOtherHierarchy) {
    struct Case {
        bool ari;
        uint16_t read, with_ari, without_ari;
    };
    for (const Case& one :
         {Case{false, 384, 128, 384}, Case{true, 128, 128, 384}, Case{false, 256, 1, 256},
          Case{true, 1, 1, 256}, Case{false, 257, 1, 257}, Case{false, 16, 16, 16},
          Case{true, 16, 16, 272}, Case{false, 0, 1, 1}}) {
        Image image = empty_structures(0);
        give_places(image);
        put(image, kSriovAt + SRIOV_FIRST_VF_OFFSET, one.read, 2);
        put(image, kSriovAt + SRIOV_CONTROL, one.ari ? SRIOV_CONTROL_ARI_HIERARCHY : 0, 2);
        FunctionOptions options = options_of(image);
        options.bars[0] = memory(0x1000);
        TestFunction function(options);
        ASSERT_TRUE(lay_image(function, {.image = image, .vf_bars = {memory(0x1000)}}));
        const uint32_t offset = kSriovAt + SRIOV_FIRST_VF_OFFSET;
        EXPECT_EQ(function.config().u16(offset), one.without_ari) << one.read << one.ari;
        const uint8_t control = SRIOV_CONTROL_ARI_HIERARCHY;
        function.config_write(kSriovAt + SRIOV_CONTROL, {&control, 1});
        EXPECT_EQ(function.config().u16(offset), one.with_ari) << one.read << one.ari;
        function.reset(ResetKind::kConventional);
        EXPECT_EQ(function.config().u16(offset), one.without_ari) << one.read << one.ari;
    }
}

TEST(ImageLayout, TenBitTagsOfVfsCanBeTurnedOnWhereTheOriginalCan) {
    for (const bool able : {false, true}) {
        Image image = empty_structures(0);
        give_places(image);
        put(image, kSriovAt + SRIOV_CAPABILITIES, able ? SRIOV_CAPABILITIES_10_BIT_TAG : 0);
        FunctionOptions options = options_of(image);
        options.bars[0] = memory(0x1000);
        TestFunction function(options);
        ASSERT_TRUE(lay_image(function, {.image = image, .vf_bars = {memory(0x1000)}}));
        const uint8_t control = SRIOV_CONTROL_10_BIT_TAG;
        function.config_write(kSriovAt + SRIOV_CONTROL, {&control, 1});
        EXPECT_EQ(function.config().u16(kSriovAt + SRIOV_CONTROL), able ? control : 0);
    }
}

}  // namespace
}  // namespace mimic::pci
