// SPDX-License-Identifier: Apache-2.0
// The MSI-X table and PBA as memory: layout, masks, hostile accesses.
#include "pci/capabilities/msix_table.h"

#include <gtest/gtest.h>

#include <vector>

namespace mimic::pci {
namespace {

bool write_u32(MsixTable& table, uint64_t offset, uint32_t value) {
    return table.write(offset, {reinterpret_cast<const uint8_t*>(&value), 4});
}

bool write_u64(MsixTable& table, uint64_t offset, uint64_t value) {
    return table.write(offset, {reinterpret_cast<const uint8_t*>(&value), 8});
}

uint64_t read_u64(const MsixTable& table, uint64_t offset) {
    uint64_t value = ~uint64_t{0};
    table.read(offset, {reinterpret_cast<uint8_t*>(&value), 8});
    return value;
}

TEST(MsixTable, ResetStateIsZeroAndMaskedAndCostsNoEntries) {
    const MsixTable table(2048);
    EXPECT_EQ(read_u64(table, 0), 0U);
    EXPECT_EQ(read_u64(table, 8), uint64_t{1} << 32);
    EXPECT_EQ(read_u64(table, 2047 * 16 + 8), uint64_t{1} << 32);
    EXPECT_TRUE(table.masked(2047));
    EXPECT_LE(table.heap_bytes(), 2048U / 8);
}

TEST(MsixTable, DwordAndQwordWritesMakeTheMessage) {
    MsixTable table(4);
    EXPECT_FALSE(write_u32(table, 0x10, 0xfee0'1003));  // low two bits hold zero
    EXPECT_FALSE(write_u32(table, 0x14, 0x1));
    EXPECT_FALSE(write_u64(table, 0x18, 0x0000'0000'0000'4041));
    EXPECT_EQ(table.message(1).address, 0x1'fee0'1000U);
    EXPECT_EQ(table.message(1).data, 0x4041U);
    EXPECT_FALSE(table.masked(1));
    EXPECT_TRUE(table.masked(0));
    EXPECT_TRUE(table.masked(2));
    EXPECT_EQ(read_u64(table, 0x10), 0x1'fee0'1000U);
    EXPECT_EQ(table.heap_bytes(), 4 * 16U + 8U);
}

TEST(MsixTable, VectorControlStoresOnlyTheMask) {
    MsixTable table(1);
    write_u32(table, 12, 0xffff'fffe);
    EXPECT_FALSE(table.masked(0));
    EXPECT_EQ(read_u64(table, 8) >> 32, 0U);
    write_u32(table, 12, 0xffff'ffff);
    EXPECT_EQ(read_u64(table, 8) >> 32, 1U);
}

TEST(MsixTable, UnmaskingAPendingVectorIsReported) {
    MsixTable table(70);
    table.set_pending(69, true);
    EXPECT_FALSE(write_u32(table, 68 * 16 + 12, 0));
    EXPECT_FALSE(write_u32(table, 69 * 16 + 12, 1));
    EXPECT_TRUE(write_u32(table, 69 * 16 + 12, 0));
    EXPECT_FALSE(write_u32(table, 69 * 16 + 12, 0));  // was unmasked already
}

TEST(MsixTable, PendingBits) {
    MsixTable table(130);
    EXPECT_FALSE(table.any_pending());
    EXPECT_EQ(table.next_pending(0), 130U);
    for (const uint32_t vector : {0U, 63U, 64U, 129U}) table.set_pending(vector, true);
    table.set_pending(64, true);  // again
    table.set_pending(1, false);  // was clear
    std::vector<uint32_t> found;
    for (uint32_t v = table.next_pending(0); v < 130; v = table.next_pending(v + 1))
        found.push_back(v);
    EXPECT_EQ(found, (std::vector<uint32_t>{0, 63, 64, 129}));

    std::vector<uint8_t> pba(32, 0xaa);
    table.read_pba(0, pba);
    EXPECT_EQ(pba[0], 0x01);
    EXPECT_EQ(pba[7], 0x80);
    EXPECT_EQ(pba[8], 0x01);
    EXPECT_EQ(pba[16], 0x02);
    EXPECT_EQ(pba[24], 0x00);  // beyond its end
    table.read_pba(7, {pba.data(), 2});
    EXPECT_EQ(pba[0], 0x80);
    EXPECT_EQ(pba[1], 0x01);

    for (const uint32_t vector : found) table.set_pending(vector, false);
    EXPECT_FALSE(table.any_pending());
}

TEST(MsixTable, BadAccessesAreIgnored) {
    MsixTable table(2);
    const std::vector<uint8_t> zeros(64, 0);
    EXPECT_FALSE(table.write(12, {zeros.data(), 1}));
    EXPECT_FALSE(table.write(12, {zeros.data(), 2}));
    EXPECT_FALSE(table.write(13, {zeros.data(), 4}));
    EXPECT_FALSE(table.write(12, {zeros.data(), 0}));
    EXPECT_FALSE(table.write(32, {zeros.data(), 4}));
    EXPECT_FALSE(table.write(~uint64_t{3}, {zeros.data(), 8}));
    EXPECT_TRUE(table.masked(0));
    EXPECT_TRUE(table.masked(1));
    EXPECT_FALSE(table.write(28, {zeros.data(), 8}));  // second dword lies beyond the end
    EXPECT_FALSE(table.masked(1));

    std::vector<uint8_t> data(16, 0xaa);
    table.read(24, data);
    EXPECT_EQ(data, std::vector<uint8_t>(16, 0));
    table.read(~uint64_t{0}, data);
    table.read_pba(~uint64_t{0}, data);
    EXPECT_EQ(data, std::vector<uint8_t>(16, 0));
    std::vector<uint8_t> byte(1);
    table.read(12, byte);
    EXPECT_EQ(byte[0], 1);
}

TEST(MsixTable, ResetMasksAndForgets) {
    MsixTable table(2);
    write_u64(table, 8, 7);
    table.set_pending(1, true);
    table.reset();
    EXPECT_TRUE(table.masked(0));
    EXPECT_EQ(table.message(0).data, 0U);
    EXPECT_FALSE(table.any_pending());
    EXPECT_EQ(table.next_pending(0), 2U);
}

TEST(MsixTable, Sizes) {
    EXPECT_EQ(MsixTable::table_size(3), 48U);
    EXPECT_EQ(MsixTable::pba_size(1), 8U);
    EXPECT_EQ(MsixTable::pba_size(64), 8U);
    EXPECT_EQ(MsixTable::pba_size(65), 16U);
}

}  // namespace
}  // namespace mimic::pci
