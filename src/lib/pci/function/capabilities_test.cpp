// SPDX-License-Identifier: Apache-2.0
// Capability layouts: reset values, masks and sticky bits of each register
// and options that no hardware could have.
#include "pci/function/capabilities.h"

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

#include "pci/testing/function.h"

namespace mimic::pci {
namespace {

using namespace regs;

constexpr auto kInvalid = std::errc::invalid_argument;

// What a register reads at birth and after the guest wrote all ones to it.
struct RegisterCase {
    const char* name;
    uint32_t offset;
    uint32_t reset;
    uint32_t after_ones;
};

void expect_registers(TestFunction& function, uint32_t cap,
                      const std::vector<RegisterCase>& cases) {
    for (const RegisterCase& c : cases) {
        EXPECT_EQ(function.read_u32(cap + c.offset), c.reset) << c.name;
    }
    for (const RegisterCase& c : cases) {
        function.write_u32(cap + c.offset, 0xffff'ffff);
        EXPECT_EQ(function.read_u32(cap + c.offset), c.after_ones) << c.name;
    }
}

TEST(PowerManagement, Layout) {
    TestFunction function;
    const uint32_t cap = *CapabilityBuilder(function).add_power_management({.d1 = true});
    EXPECT_EQ(function.read_u32(cap), 0x0203'0001U);
    EXPECT_EQ(function.read_u32(cap + PMCSR), 0U);
    function.write_u32(cap + PMCSR, 0xffff'ffff);
    EXPECT_EQ(function.read_u32(cap + PMCSR), 0x3U);  // neither PME_En nor PME_Status
}

TEST(PowerManagement, NoSoftResetReadsBack) {
    TestFunction function;
    const uint32_t cap = *CapabilityBuilder(function).add_power_management({.no_soft_reset = true});
    function.write_u32(cap + PMCSR, 0);
    EXPECT_EQ(function.read_u32(cap + PMCSR), PMCSR_NO_SOFT_RESET);
}

struct MsiCase {
    const char* name;
    MsiOptions options;
    uint32_t control;  // upper half of the first dword
    uint32_t data;     // offsets of registers, 0: absent
    uint32_t mask;
    uint32_t mask_bits;
    uint32_t next;  // offset behind the capability, dword aligned
};

class MsiLayout : public testing::TestWithParam<MsiCase> {};

TEST_P(MsiLayout, RegistersAndMasks) {
    const MsiCase& c = GetParam();
    TestFunction function;
    CapabilityBuilder builder(function);
    const uint32_t cap = *builder.add_msi(c.options);
    EXPECT_EQ(*builder.add_vendor_specific({}), cap + c.next);
    EXPECT_EQ(function.config().u16(cap + MSI_CONTROL), c.control);
    function.write_u16(cap + MSI_CONTROL, 0xffff);
    EXPECT_EQ(function.config().u16(cap + MSI_CONTROL), c.control | 0x71);
    function.write_u16(cap + MSI_CONTROL, 0);
    function.write_u32(cap + MSI_ADDRESS, 0xffff'ffff);
    EXPECT_EQ(function.read_u32(cap + MSI_ADDRESS), 0xffff'fffcU);
    function.write_u32(cap + c.data, 0xffff'ffff);
    EXPECT_EQ(function.read_u32(cap + c.data), 0xffffU);
    if (c.mask == 0) return;
    function.write_u32(cap + c.mask, 0xffff'ffff);
    EXPECT_EQ(function.read_u32(cap + c.mask), c.mask_bits);
    function.write_u32(cap + c.mask + 4, 0xffff'ffff);
    EXPECT_EQ(function.read_u32(cap + c.mask + 4), 0U);
}

INSTANTIATE_TEST_SUITE_P(
    Forms, MsiLayout,
    testing::Values(
        MsiCase{"narrow",
                {.vectors = 1, .address_64 = false, .per_vector_masking = false},
                0x0000,
                0x08,
                0,
                0,
                0x0c},
        MsiCase{
            "narrow_masked", {.vectors = 2, .address_64 = false}, 0x0102, 0x08, 0x0c, 0x3, 0x14},
        MsiCase{"wide", {.vectors = 16, .per_vector_masking = false}, 0x0088, 0x0c, 0, 0, 0x10},
        MsiCase{"wide_masked", {.vectors = 32}, 0x018a, 0x0c, 0x10, 0xffff'ffff, 0x18}),
    [](const auto& test) { return std::string(test.param.name); });

TEST(Msi, BadVectorCounts) {
    TestFunction function;
    for (const uint32_t vectors : {0U, 3U, 31U, 33U, 64U, ~0U}) {
        EXPECT_EQ(CapabilityBuilder(function).add_msi({.vectors = vectors}).error().code(),
                  kInvalid);
    }
    EXPECT_EQ(function.msi_vectors(), 0U);
    EXPECT_EQ(function.config().u8(CAPABILITIES_POINTER), 0);
}

TEST(Msix, Layout) {
    TestFunction function;
    const uint32_t cap = *CapabilityBuilder(function).add_msix(
        {.vectors = 2048, .table_offset = 0x4000, .pba_offset = 0xc000, .at = 0x80});
    EXPECT_EQ(cap, 0x80U);
    EXPECT_EQ(function.msix_vectors(), 2048U);
    expect_registers(function, cap,
                     {{"control", 0, 0x07ff'0011, 0xc7ff'0011},
                      {"table", MSIX_TABLE, 0x4000, 0x4000},
                      {"pba", MSIX_PBA, 0xc000, 0xc000}});
}

TEST(Msix, PlacesMustBeInMemoryBarsAndApart) {
    FunctionOptions options = TestFunction::default_options();
    options.bars[1] = {.type = BarType::kIo, .size = 256};
    options.bars[2] = {.type = BarType::kMemory64,
                       .size = 0x4000,
                       .fd = 0,
                       .areas = {{.offset = 0x2000, .size = 0x1000}}};
    struct {
        const char* why;
        MsixOptions options;
        bool good;
    } const cases[] = {
        {"no vector", {.vectors = 0, .pba_offset = 0x800}, false},
        {"too many vectors", {.vectors = 2049, .pba_offset = 0xf000}, false},
        {"I/O BAR", {.table_bar = 1, .pba_bar = 0}, false},
        {"upper half of a pair", {.table_bar = 3, .pba_bar = 0}, false},
        {"BAR that is not there", {.table_bar = 4, .pba_bar = 0}, false},
        {"BAR number 6", {.table_bar = 6, .pba_bar = 0}, false},
        {"BAR number 7", {.table_bar = 0, .pba_bar = 7}, false},
        {"unaligned table", {.table_offset = 4, .pba_offset = 0x800}, false},
        {"unaligned PBA", {.pba_offset = 0x801}, false},
        {"table ends beyond", {.vectors = 2, .table_offset = 0xfff0, .pba_offset = 0}, false},
        {"table begins beyond", {.table_offset = 0x1'0000, .pba_offset = 0}, false},
        {"offset near 4 GiB", {.table_offset = 0xffff'fff8, .pba_offset = 0}, false},
        {"PBA in the table", {.vectors = 4, .pba_offset = 0x38}, false},
        {"table in the PBA", {.vectors = 65, .table_offset = 8, .pba_offset = 0}, false},
        {"mappable table", {.table_bar = 2, .table_offset = 0x2ff0, .pba_bar = 0}, false},
        {"mappable PBA", {.pba_bar = 2, .pba_offset = 0x2000}, false},
        {"adjacent", {.vectors = 4, .pba_offset = 0x40}, true},
        {"last bytes", {.table_offset = 0xfff0, .pba_offset = 0xffe8}, true},
        {"two BARs", {.vectors = 64, .table_bar = 0, .pba_bar = 2}, true},
        {"beside an area",
         {.table_bar = 2, .table_offset = 0x1ff0, .pba_bar = 2, .pba_offset = 0x3000},
         true},
    };
    for (const auto& c : cases) {
        TestFunction function(options);
        const auto result = CapabilityBuilder(function).add_msix(c.options);
        EXPECT_EQ(result.has_value(), c.good) << c.why;
        if (!result) {
            EXPECT_EQ(result.error().code(), kInvalid) << c.why;
        }
    }
}

TEST(Pcie, EndpointRegisters) {
    TestFunction function;
    const uint32_t cap = *CapabilityBuilder(function).add_pcie(
        {.max_speed = LinkSpeed::kGen5, .max_width = 16, .speed = LinkSpeed::kGen4, .width = 8});
    expect_registers(function, cap,
                     {{"capabilities", 0, 0x0002'0010, 0x0002'0010},
                      {"DEVCAP", DEVCAP, 0x1000'8021, 0x1000'8021},
                      {"LNKCAP", LNKCAP, 0x0040'0105, 0x0040'0105},
                      {"LNKCTL LNKSTA", LNKCTL, 0x1084'0000, 0x1084'02cb},
                      {"slot", 0x14, 0, 0},
                      {"slot control", 0x18, 0, 0},
                      {"root control", 0x1c, 0, 0},
                      {"root status", 0x20, 0, 0},
                      {"DEVCAP2", DEVCAP2, 0x0001'0013, 0x0001'0013},
                      {"DEVCTL2", DEVCTL2, 0, 0x1f},
                      {"LNKCAP2", LNKCAP2, 0x3e, 0x3e},
                      {"LNKCTL2 LNKSTA2", LNKCTL2, 0x001e'0005, 0x001e'ffbf},
                      {"slot capabilities 2", 0x34, 0, 0},
                      {"slot control 2", 0x38, 0, 0}});
    EXPECT_EQ(function.read_u32(cap + DEVCTL), 0x2810U);
    function.write_u32(cap + DEVCTL, 0xffff'7fff);
    EXPECT_EQ(function.read_u32(cap + DEVCTL), 0x79ffU);
    EXPECT_TRUE(function.resets.empty());
}

TEST(Pcie, StatusBitsAreClearedByOnes) {
    TestFunction function;
    const uint32_t cap = *CapabilityBuilder(function).add_pcie({});
    function.config().set_u16(cap + DEVSTA, DEVSTA_ERRORS | DEVSTA_TRANSACTIONS_PENDING);
    function.write_u16(cap + DEVSTA, 0x5);
    EXPECT_EQ(function.config().u16(cap + DEVSTA), 0xa | DEVSTA_TRANSACTIONS_PENDING);
    function.config().set_bits(cap + LNKSTA2, 2, LNKSTA2_LINK_EQUALIZATION_REQUEST, ~0U);
    function.write_u16(cap + LNKSTA2, 0xffff);
    EXPECT_EQ(function.config().u16(cap + LNKSTA2), LNKSTA2_EQUALIZATION);
}

TEST(Pcie, OptionsReachTheirBits) {
    struct {
        const char* what;
        PcieOptions options;
        uint32_t offset, mask, value;
    } const cases[] = {
        {"legacy", {.type = PciePortType::kLegacyEndpoint}, 0, 0x00f0'0000, 0x0010'0000},
        {"integrated",
         {.type = PciePortType::kRootComplexIntegratedEndpoint},
         0,
         0x00f0'0000,
         0x90'0000},
        {"integrated link", {.type = PciePortType::kRootComplexIntegratedEndpoint}, LNKCAP, ~0U, 0},
        {"payload 128", {.max_payload_bytes = 128}, DEVCAP, 7, 0},
        {"payload 4096", {.max_payload_bytes = 4096}, DEVCAP, 7, 5},
        {"no FLR", {.flr = false}, DEVCAP, DEVCAP_FLR, 0},
        {"no extended tag", {.extended_tag = false}, DEVCAP, DEVCAP_EXTENDED_TAG, 0},
        {"no slot clock", {.slot_clock = false}, LNKCTL, LNKSTA_SLOT_CLOCK << 16, 0},
        {"gen1", {.max_speed = LinkSpeed::kGen1}, LNKCAP2, 0xff, 0x02},
        {"gen6", {.max_speed = LinkSpeed::kGen6}, LNKCAP2, 0xff, 0x7e},
        {"gen6 speed", {.max_speed = LinkSpeed::kGen6}, LNKCTL, 0xf << 16, 6 << 16},
        {"x1", {.max_width = 1}, LNKCAP, 0x3f0, 0x010},
        {"x32", {.max_width = 32}, LNKCAP, 0x3f0, 0x200},
        {"x32 now", {.max_width = 32}, LNKCTL, 0x3f0 << 16, 0x200 << 16},
        {"gen2 is not equalized", {.max_speed = LinkSpeed::kGen2}, LNKCTL2, 0xffff'0000, 0},
        {"gen3 tags", {.max_speed = LinkSpeed::kGen3}, DEVCAP2, DEVCAP2_10_BIT_TAG_COMPLETER, 0},
    };
    for (const auto& c : cases) {
        TestFunction function;
        const uint32_t cap = *CapabilityBuilder(function).add_pcie(c.options);
        EXPECT_EQ(function.read_u32(cap + c.offset) & c.mask, c.value) << c.what;
    }
}

TEST(Pcie, BadOptions) {
    const PcieOptions cases[] = {
        {.max_speed = static_cast<LinkSpeed>(7)},
        {.max_speed = static_cast<LinkSpeed>(0)},
        {.max_speed = LinkSpeed::kGen3, .speed = LinkSpeed::kGen4},
        {.max_width = 0},
        {.max_width = 3},
        {.max_width = 64},
        {.max_width = 4, .width = 8},
        {.max_payload_bytes = 64},
        {.max_payload_bytes = 8192},
        {.max_payload_bytes = 300},
    };
    TestFunction function;
    for (const PcieOptions& options : cases) {
        EXPECT_EQ(CapabilityBuilder(function).add_pcie(options).error().code(), kInvalid);
    }
    EXPECT_EQ(function.config().u8(CAPABILITIES_POINTER), 0);
}

TEST(Aer, RegistersAtBirthAndAfterOnes) {
    TestFunction function;
    const uint32_t cap = *CapabilityBuilder(function).add_aer({});
    EXPECT_EQ(cap, 0x100U);
    expect_registers(function, cap,
                     {{"header", 0, 0x0002'0001, 0x0002'0001},
                      {"uncorrectable status", AER_UNCORRECTABLE_STATUS, 0, 0},
                      {"uncorrectable mask", AER_UNCORRECTABLE_MASK, 0x0040'0000, 0x005f'f010},
                      {"severity", AER_UNCORRECTABLE_SEVERITY, 0x0046'2010, 0x005f'f010},
                      {"correctable status", AER_CORRECTABLE_STATUS, 0, 0},
                      {"correctable mask", AER_CORRECTABLE_MASK, 0xe000, 0xf1c1},
                      {"control", AER_CONTROL, 0xa0, 0x1e0},
                      {"log", AER_HEADER_LOG, 0, 0},
                      {"end of log", AER_HEADER_LOG + 12, 0, 0}});
}

TEST(Aer, StatusIsClearedByOnesAndKeptByFlr) {
    TestFunction function;
    CapabilityBuilder builder(function);
    const uint32_t pcie = *builder.add_pcie({});
    const uint32_t cap = *builder.add_aer({});
    ConfigSpace& config = function.config();
    config.set_u32(cap + AER_UNCORRECTABLE_STATUS, AER_MALFORMED_TLP | AER_POISONED_TLP);
    config.set_u32(cap + AER_CORRECTABLE_STATUS, AER_BAD_TLP | AER_RECEIVER_ERROR);
    config.set_bits(cap + AER_CONTROL, 4, AER_CONTROL_FIRST_ERROR_POINTER, 18);
    config.set_u32(cap + AER_HEADER_LOG, 0x1234'5678);
    function.write_u32(cap + AER_UNCORRECTABLE_STATUS, AER_POISONED_TLP);
    function.write_u32(cap + AER_CORRECTABLE_STATUS, AER_RECEIVER_ERROR);
    function.write_u32(cap + AER_UNCORRECTABLE_SEVERITY, AER_POISONED_TLP);
    function.write_u32(cap + AER_CORRECTABLE_MASK, AER_BAD_DLLP);
    function.write_u32(cap + AER_CONTROL, AER_CONTROL_ECRC_CHECK_ENABLE);

    function.write_u16(pcie + DEVCTL, DEVCTL_INITIATE_FLR);

    ASSERT_EQ(function.resets.size(), 1U);
    EXPECT_EQ(config.u32(cap + AER_UNCORRECTABLE_STATUS), AER_MALFORMED_TLP);
    EXPECT_EQ(config.u32(cap + AER_CORRECTABLE_STATUS), AER_BAD_TLP);
    EXPECT_EQ(config.u32(cap + AER_UNCORRECTABLE_SEVERITY), AER_POISONED_TLP);
    EXPECT_EQ(config.u32(cap + AER_CORRECTABLE_MASK), AER_BAD_DLLP);
    EXPECT_EQ(config.u32(cap + AER_CONTROL), 0x1b2U);
    EXPECT_EQ(config.u32(cap + AER_HEADER_LOG), 0x1234'5678U);

    function.reset(ResetKind::kConventional);
    EXPECT_EQ(config.u32(cap + AER_UNCORRECTABLE_STATUS), 0U);
    EXPECT_EQ(config.u32(cap + AER_CORRECTABLE_MASK), 0xe000U);
    EXPECT_EQ(config.u32(cap + AER_HEADER_LOG), 0U);
}

TEST(Aer, ChosenErrorsOnly) {
    TestFunction function;
    const uint32_t cap = *CapabilityBuilder(function).add_aer(
        {.uncorrectable = AER_SURPRISE_DOWN | AER_ACS_VIOLATION, .ecrc = false});
    EXPECT_EQ(function.read_u32(cap + AER_UNCORRECTABLE_SEVERITY), AER_SURPRISE_DOWN);
    function.write_u32(cap + AER_UNCORRECTABLE_MASK, ~0U);
    EXPECT_EQ(function.read_u32(cap + AER_UNCORRECTABLE_MASK),
              AER_SURPRISE_DOWN | AER_ACS_VIOLATION);
    function.write_u32(cap + AER_CONTROL, ~0U);
    EXPECT_EQ(function.read_u32(cap + AER_CONTROL), 0U);
    TestFunction other;
    EXPECT_EQ(CapabilityBuilder(other).add_aer({.uncorrectable = 1}).error().code(), kInvalid);
}

TEST(SerialNumber, LowerDwordFirst) {
    TestFunction function;
    const uint32_t cap = *CapabilityBuilder(function).add_device_serial_number(
        0x1122'3344'5566'7788);
    expect_registers(function, cap,
                     {{"header", 0, 0x0001'0003, 0x0001'0003},
                      {"lower", DSN_LOWER, 0x5566'7788, 0x5566'7788},
                      {"upper", DSN_UPPER, 0x1122'3344, 0x1122'3344}});
}

TEST(VendorSpecific, BodyAndMask) {
    TestFunction function;
    CapabilityBuilder builder(function);
    const std::vector<uint8_t> body{0xaa, 0xbb, 0xcc, 0xdd, 0xee};
    const std::vector<uint8_t> writable{0x0f, 0x00, 0xff};
    const uint32_t cap = *builder.add_vendor_specific({.body = body, .writable = writable});
    expect_registers(
        function, cap,
        {{"first", 0, 0xaa08'0009, 0xaf08'0009}, {"rest", 4, 0xeedd'ccbb, 0xeedd'ffbb}});
    EXPECT_EQ(*builder.add_vendor_specific({}), cap + 8);
    const std::vector<uint8_t> huge(253);
    EXPECT_EQ(builder.add_vendor_specific({.body = huge}).error().code(), kInvalid);
}

TEST(VendorSpecific, ExtendedBodyAndMask) {
    TestFunction function;
    CapabilityBuilder builder(function);
    const std::vector<uint8_t> body{1, 2, 3, 4, 5};
    const std::vector<uint8_t> writable(9, 0xf0);  // more than there is
    const uint32_t cap = *builder.add_vsec(
        {.vsec_id = 0xbeef, .revision = 2, .body = body, .writable = writable});
    expect_registers(function, cap,
                     {{"capability", 0, 0x0001'000b, 0x0001'000b},
                      {"header", VSEC_HEADER, 0x00d2'beef, 0x00d2'beef},
                      {"body", VSEC_BODY, 0x0403'0201, 0xf4f3'f2f1},
                      {"end of body", VSEC_BODY + 4, 0x05, 0xf5}});
    EXPECT_EQ(*builder.add_vsec({.vsec_id = 1}), cap + 16);
    EXPECT_EQ(builder.add_vsec({.revision = 16}).error().code(), kInvalid);
    const std::vector<uint8_t> huge(4096);
    EXPECT_EQ(builder.add_vsec({.body = huge}).error().code(), kInvalid);
}

TEST(CapabilityBuilder, SingleKindsAreSingle) {
    TestFunction function;
    CapabilityBuilder builder(function);
    for (const bool first : {true, false}) {
        EXPECT_EQ(builder.add_power_management({}).has_value(), first);
        EXPECT_EQ(builder.add_msi({}).has_value(), first);
        EXPECT_EQ(builder.add_msix({.pba_offset = 0x800}).has_value(), first);
        EXPECT_EQ(builder.add_pcie({}).has_value(), first);
        EXPECT_EQ(builder.add_aer({}).has_value(), first);
        EXPECT_EQ(builder.add_device_serial_number(1).has_value(), first);
    }
    EXPECT_EQ(builder.add_msi({}).error().code(), std::errc::file_exists);
}

TEST(CapabilityBuilder, VmdPlaces) {
    TestFunction function;
    ASSERT_TRUE(function.config().reserve(0x40, 8));
    CapabilityBuilder builder(function);
    EXPECT_EQ(*builder.add_msix({.vectors = 64, .pba_offset = 0x1000, .at = 0x80}), 0x80U);
    EXPECT_EQ(*builder.add_pcie({.at = 0x90}), 0x90U);
    EXPECT_EQ(*builder.add_power_management({}), 0x48U);
}

TEST(CapabilityBuilder, WalkSurvivesRandomWrites) {
    constexpr unsigned kSeed = 20261121;  // arbitrary
    std::mt19937 random(kSeed);
    TestFunction function;
    FakeSlot upstream;
    CapabilityBuilder builder(function);
    ASSERT_TRUE(builder.add_power_management({.d1 = true, .d2 = true}));
    ASSERT_TRUE(builder.add_msi({.vectors = 32}));
    ASSERT_TRUE(builder.add_msix({.vectors = 70, .pba_offset = 0x800}));
    ASSERT_TRUE(builder.add_pcie({}));
    ASSERT_TRUE(builder.add_aer({}));
    ASSERT_TRUE(builder.add_device_serial_number(1));
    function.attach(upstream);
    const auto walk = [&] {
        std::vector<uint32_t> ids;
        const ConfigSpace& config = function.config();
        for (uint32_t at = config.u8(0x34); at != 0 && ids.size() < 99; at = config.u8(at + 1)) {
            ids.push_back(config.u8(at));
        }
        for (uint32_t at = 0x100; at != 0 && ids.size() < 99; at = config.u32(at) >> 20) {
            ids.push_back(config.u32(at) & 0xf'ffff);
        }
        return ids;
    };
    const std::vector<uint32_t> before = walk();
    EXPECT_EQ(before.size(), 6U);
    std::vector<uint8_t> data;
    for (int i = 0; i < 100'000; ++i) {
        data.resize(random() % 9);
        for (auto& byte : data) byte = static_cast<uint8_t>(random());
        function.config_write(static_cast<uint32_t>(random() % 0x140), data);
        function.write_bar(0, random() % 0x900, data);
        if (i % 3 == 0) function.raise_msix(static_cast<uint32_t>(random() % 70));
        if (i % 3 == 1) function.raise_msi(static_cast<uint32_t>(random() % 32));
        if (i % 3 == 2) function.set_intx(random() % 2 != 0);
        upstream.events.clear();
    }
    EXPECT_EQ(walk(), before) << "seed " << kSeed;
    function.reset(ResetKind::kConventional);
    EXPECT_TRUE(function.in_d0());
}

}  // namespace
}  // namespace mimic::pci
