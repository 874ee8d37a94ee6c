// SPDX-License-Identifier: Apache-2.0
#include "reg/bank.h"

#include <array>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "reg/map_test.h"
#include "reg/test_map.h"

MIMIC_MAP_TEST(Natural, mimic::reg::test::kNatural);
MIMIC_MAP_TEST(Merge, mimic::reg::test::kMerge);
MIMIC_MAP_TEST(Whole, mimic::reg::test::kWhole);

namespace mimic::reg {
namespace {

using namespace test;
using testing::ElementsAre;
using testing::HasSubstr;

template <typename B>
uint64_t read(B& bank, uint64_t offset, size_t size) {
    std::array<uint8_t, 8> bytes{};
    bank.read(offset, {bytes.data(), size});
    uint64_t value = 0;
    for (size_t i = 0; i < size; ++i) value |= uint64_t{bytes[i]} << (8 * i);
    return value;
}

template <typename B>
void write(B& bank, uint64_t offset, size_t size, uint64_t value) {
    std::array<uint8_t, 8> bytes{};
    for (size_t i = 0; i < size; ++i) bytes[i] = static_cast<uint8_t>(value >> (8 * i));
    bank.write(offset, std::span<const uint8_t>(bytes.data(), size));
}

TEST(BankTest, WriteHookGetsValuesOfEveryAccessKind) {
    Bank<kNatural> bank("t");
    std::vector<WriteEvent> events;
    bank.on_write<CTRL>([&](const WriteEvent& event) { events.push_back(event); });

    write(bank, 0x00, 4, 0xff53ff5a);

    ASSERT_EQ(events.size(), 1U);
    EXPECT_EQ(events[0].old, 0x060f03a5U);
    EXPECT_EQ(events[0].now, 0x065cf35aU);
    EXPECT_EQ(events[0].written, 0xff53ff5aU);
    EXPECT_EQ((bank.get<CTRL, "W1C">()), 0xcU);
    EXPECT_EQ((bank.get<CTRL, "W1S">()), 0x5U);
    EXPECT_EQ((bank.get<CTRL, "WO">()), 0xfU);
    EXPECT_EQ(read(bank, 0x00, 4), 0x065c035aU);
    EXPECT_EQ((bank.get<CTRL, "RC">()), 0U);
}

TEST(BankTest, ReadHookMakesTheValueOnlyForGuests) {
    Bank<kNatural> bank("t");
    bank.on_read<TIMER>([](const ReadEvent&) { return 0xffabcdefU; });

    EXPECT_EQ(read(bank, 0x04, 4), 0xabcdefU);  // bits 31:24 have no field
    std::array<uint8_t, 4> bytes{};
    bank.debug_read(0x04, bytes);
    EXPECT_THAT(bytes, ElementsAre(0, 0, 0, 0));
    EXPECT_EQ((bank.get<TIMER, "TICKS">()), 0U);
}

TEST(BankTest, UnboundHookIsNamed) {
    Bank<kNatural> bank("dev0");
    bank.on_write<CTRL>([](const WriteEvent&) {});
    bank.on_write<ADDRESS>([](const WriteEvent&) {});
    bank.on_write<DOORBELL>([](const WriteEvent&) {});

    const Status status = bank.check_bound();

    ASSERT_FALSE(status.has_value());
    EXPECT_THAT(status.error().message(),
                HasSubstr("dev0: register TIMER of test declares a read"));
    bank.on_read<TIMER>([](const ReadEvent& event) { return event.stored; });
    EXPECT_TRUE(bank.check_bound().has_value());
}

TEST(BankTest, CommitOnHighHoldsTheLowHalfBack) {
    Bank<kNatural> bank("t");
    std::vector<uint64_t> values;
    bank.on_write<ADDRESS>([&](const WriteEvent& event) { values.push_back(event.now); });

    write(bank, 0x08, 4, 0xaaaaaaaa);
    EXPECT_EQ(read(bank, 0x08, 8), 0x1122334455667788U);
    write(bank, 0x08, 4, 0xbbbbbbbb);
    write(bank, 0x0c, 4, 0xcccccccc);
    write(bank, 0x0c, 4, 0xdddddddd);  // no low half is held any more
    EXPECT_THAT(values, ElementsAre(0xccccccccbbbbbbbb, 0xddddddddbbbbbbbb));

    write(bank, 0x08, 4, 0xeeeeeeee);
    write(bank, 0x08, 8, 0x0123456789abcdef);
    write(bank, 0x0c, 4, 0);
    EXPECT_EQ((bank.get<ADDRESS, "VALUE">()), 0x89abcdefU);
    EXPECT_EQ(read(bank, 0x08, 4), 0x89abcdefU);
    EXPECT_EQ(read(bank, 0x0c, 4), 0U);
}

TEST(BankTest, CommitOnHighKeepsHalvesOfSeveralRegistersApart) {
    Bank<kNatural> bank("t");
    write(bank, 0x100, 4, 0x1000);
    write(bank, 0x120, 4, 0x2000);
    write(bank, 0x104, 4, 1);
    write(bank, 0x124, 4, 2);
    EXPECT_EQ(bank.value<BASE>(0), 0x100001000U);
    EXPECT_EQ(bank.value<BASE>(1), 0x200002000U);
}

TEST(BankTest, ResetDropsAHeldHalf) {
    Bank<kNatural> bank("t");
    write(bank, 0x08, 4, 1);
    bank.reset();
    write(bank, 0x0c, 4, 2);
    EXPECT_EQ((bank.get<ADDRESS, "VALUE">()), 0x255667788U);
}

TEST(BankTest, HalvesPolicyWritesAtOnce) {
    Bank<kMerge> bank("t");
    write(bank, 0x08, 4, 0xaaaaaaaa);
    EXPECT_EQ((bank.get<ADDRESS, "VALUE">()), 0x11223344aaaaaaaaU);
}

TEST(BankTest, WholeOnlyPolicyRefusesHalves) {
    Bank<kWhole> bank("t");
    write(bank, 0x08, 4, 0xaaaaaaaa);
    EXPECT_EQ(read(bank, 0x0c, 4), 0xffffffffU);
    EXPECT_EQ(read(bank, 0x08, 8), 0x1122334455667788U);
    EXPECT_EQ(bank.counters().undecodable_writes, 1U);
    EXPECT_EQ(bank.counters().undecodable_reads, 1U);
}

TEST(BankTest, ByteMergeWritesOnlyTheBytesOfTheAccess) {
    Bank<kMerge> bank("t");
    std::vector<WriteEvent> events;
    bank.on_write<CTRL>([&](const WriteEvent& event) { events.push_back(event); });

    write(bank, 0x02, 1, 0x31);  // W1C 1, W1S 3

    ASSERT_EQ(events.size(), 1U);
    EXPECT_EQ(events[0].written, 0x310000U);
    EXPECT_EQ(bank.value<CTRL>(), 0x063e03a5U);
    EXPECT_EQ(read(bank, 0x01, 2), 0x3e03U);
    EXPECT_EQ((bank.get<CTRL, "RC">()), 6U);  // its byte was not read
    EXPECT_EQ(read(bank, 0x03, 1), 6U);
    EXPECT_EQ((bank.get<CTRL, "RC">()), 0U);
}

TEST(BankTest, NaturalOnlyRefusesParts) {
    Bank<kNatural> bank("t");
    write(bank, 0x00, 1, 0);
    write(bank, 0x02, 4, 0);  // the end of CTRL and the begin of TIMER
    EXPECT_EQ((bank.get<CTRL, "RW">()), 0xa5U);
    EXPECT_EQ(read(bank, 0x00, 2), 0U);
    EXPECT_EQ(bank.counters().undecodable_writes, 2U);
    EXPECT_EQ(bank.counters().undecodable_reads, 1U);
}

TEST(BankTest, WideAccessIsSplitAtRegisterBorders) {
    Bank<kNatural> bank("t");
    bank.set<SERIAL, "VALUE">(0x11111111, 0);
    bank.set<SERIAL, "VALUE">(0x22222222, 1);
    EXPECT_EQ(read(bank, 0x10, 8), 0x2222222211111111U);
    write(bank, 0x20, 8, 0xff'ffff'ffff'ffff);  // a hole, PORT, MODE and a hole
    EXPECT_EQ((bank.get<PORT, "VALUE">()), 0xffffU);
    EXPECT_EQ((bank.get<MODE, "VALUE">()), 0xfU);
    EXPECT_EQ(bank.counters().undecodable_writes, 1U);
}

TEST(BankTest, HookOfAnArrayInABlockGetsTheFlatIndex) {
    Bank<kNatural> bank("t");
    std::vector<std::pair<uint32_t, uint64_t>> rings;
    bank.on_write<DOORBELL>(
        [&](const WriteEvent& event) { rings.emplace_back(event.index, event.now); });
    write(bank, 0x10c, 4, 7);  // queue 0, doorbell 1
    write(bank, 0x448, 4, 9);  // queue 5: third of the second run
    EXPECT_THAT(rings, ElementsAre(std::pair(1U, 7U), std::pair(10U, 9U)));
}

TEST(BankTest, PerDeviceFieldsSurviveReset) {
    Bank<kNatural> bank("t");
    std::vector<uint8_t> serial(16);
    for (size_t i = 0; i < serial.size(); ++i) serial[i] = static_cast<uint8_t>(i + 1);
    bank.set_bytes<SERIAL>(serial);
    bank.set<MODE, "VALUE">(1);
    bank.reset();
    EXPECT_EQ(bank.bytes<SERIAL>(), serial);
    EXPECT_EQ(read(bank, 0x14, 4), 0x08070605U);
    EXPECT_EQ((bank.get<MODE, "VALUE">()), 9U);
}

TEST(BankTest, SnapshotHasNamesAndHeldHalves) {
    Bank<kNatural> bank("t");
    write(bank, 0x08, 4, 0xabcd);
    write(bank, 0x440, 8, 0x5000);
    const Snapshot saved = bank.snapshot();
    EXPECT_EQ(saved.values.at("ADDRESS:low"), 0xabcdU);
    EXPECT_EQ(saved.values.at("QUEUE[5].BASE"), 0x5000U);
    EXPECT_TRUE(saved.values.contains("QUEUE[2].DOORBELL[1]"));
    EXPECT_TRUE(saved.values.contains("SERIAL[3]"));

    Bank<kNatural> other("u");
    ASSERT_TRUE(other.restore(saved).has_value());
    write(other, 0x0c, 4, 1);
    EXPECT_EQ((other.get<ADDRESS, "VALUE">()), 0x10000abcdU);
}

TEST(BankTest, BadSnapshotIsRefusedWhole) {
    Bank<kNatural> bank("t");
    const Snapshot good = bank.snapshot();
    const auto refused = [&](const std::function<void(Snapshot&)>& change, const char* message) {
        Snapshot bad = good;
        bad.values["MODE"] = 0x3c;
        change(bad);
        const Status status = bank.restore(bad);
        ASSERT_FALSE(status.has_value()) << message;
        EXPECT_THAT(status.error().message(), HasSubstr(message));
        EXPECT_EQ(bank.snapshot().values, good.values) << message;
    };
    refused([](Snapshot& s) { s.values["NOISE"] = 1; }, "has no such name");
    refused([](Snapshot& s) { s.values.erase("PORT"); }, "lacks register PORT");
    refused([](Snapshot& s) { s.values["PORT"] = 0x10000; }, "bits that no field has");
    refused([](Snapshot& s) { s.values["ADDRESS:low"] = 1ULL << 32; }, "exceeds 32 bits");
    refused([](Snapshot& s) { s.values["SERIAL[1]"] = 1; }, "a device with other options");
    refused([](Snapshot& s) { s.values["CTRL:low"] = 1; }, "has no such name");
    refused([](Snapshot& s) { s.map_name = "other"; }, "snapshot is of map other");
}

TEST(BankTest, HashKnowsNamesPlacesAndKindsButNoPolicy) {
    EXPECT_EQ(kNatural.hash, kMerge.hash);
    constexpr auto kShort = make_map<CTRL>(
        options(Narrow::kNaturalOnly, Wide::kHalves, Unmapped::kZeros));
    EXPECT_NE(kNatural.hash, kShort.hash);
}

TEST(BankTest, MemoryOfABankIsSmall) {
    Bank<kNatural> bank("t");
    EXPECT_LE(sizeof(bank), 256U);
    EXPECT_LE(bank.heap_bytes(), 512U);
}

}  // namespace
}  // namespace mimic::reg
