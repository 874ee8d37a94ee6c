// SPDX-License-Identifier: Apache-2.0
// Drivers that break the rules of rings and descriptors: the queue stops and says why; nothing is
// used that is not the driver's, and what was popped before can still be returned.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "virtio/queue.h"
#include "virtio/testing/guest_queue.h"

namespace mimic::virtio {
namespace {

using memory::FakeMemory;
using testing::HasSubstr;
using Element = GuestQueue::Element;

constexpr uint64_t kBadRing = 0x10'0000;
constexpr uint64_t kBuffer = 0x1000;
constexpr uint16_t kEntries = 8;

class BadInput {
public:
    explicit BadInput(bool packed)
        : guest(make_guest_queue(memory, kBadRing, {kEntries, packed, false})) {
        memory.add(kBuffer, 0x1000);
        EXPECT_TRUE(queue.start(guest->settings()));
    }

    // Why the queue broke when it was asked for a buffer; "" if there was one or none.
    std::string pop() {
        const auto chain = queue.pop(memory);
        EXPECT_FALSE(chain && queue.broken());
        return queue.broken() ? queue.why_broken() : "";
    }

    FakeMemory memory;
    std::unique_ptr<GuestQueue> guest;
    Queue queue;
};

class BothRings : public testing::TestWithParam<bool>, public BadInput {
protected:
    BothRings() : BadInput(GetParam()) {}
};

TEST_P(BothRings, ZeroLength) {
    guest->add_elements({{kBuffer, 4}, {kBuffer, 0}});
    EXPECT_THAT(pop(), HasSubstr("zero bytes"));
}

TEST_P(BothRings, ZeroLengthInATable) {
    guest->add_elements({{kBuffer, 4}, {kBuffer, 0, kWrite}}, true);
    EXPECT_THAT(pop(), HasSubstr("zero bytes"));
}

TEST_P(BothRings, ReadableBehindWritable) {
    guest->add_elements({{kBuffer, 4, kWrite}, {kBuffer, 4}});
    EXPECT_THAT(pop(), HasSubstr("behind a writable"));
}

TEST_P(BothRings, ReadableBehindWritableInATable) {
    guest->add_elements({{kBuffer, 4, kWrite}, {kBuffer, 4}}, true);
    EXPECT_THAT(pop(), HasSubstr("behind a writable"));
}

TEST_P(BothRings, AddressesThatOverflow) {
    guest->add_elements({{~uint64_t{0} - 2, 4}});
    EXPECT_THAT(pop(), HasSubstr("end of memory"));
}

TEST_P(BothRings, ChainsOfMoreThanAnIntegerCounts) {
    guest->add_elements({{kBuffer, 0xffff'ffff}, {kBuffer, 0xffff'ffff}});
    EXPECT_THAT(pop(), HasSubstr("4 GiB"));
}

TEST_P(BothRings, BuffersWhereNoMemoryIs) {
    guest->add_elements({{kBuffer + 0xffe, 4}, {kBuffer + 0xffe, 4, kWrite}});
    auto chain = queue.pop(memory);
    ASSERT_TRUE(chain);
    std::array<std::byte, 8> bytes{};
    EXPECT_EQ(queue.read(memory, *chain, 0, bytes), 2U);  // as many as there are
    EXPECT_TRUE(queue.broken());
    EXPECT_EQ(queue.write(memory, *chain, 0, bytes), 2U);
    queue.push(memory, std::move(*chain), 0);
    EXPECT_TRUE(guest->take());  // it comes back all the same
    guest->add_elements({{kBuffer, 4}});
    EXPECT_FALSE(queue.pop(memory));
}

TEST_P(BothRings, WritableBuffersInMemoryThatMayOnlyBeRead) {
    memory.add(0x8000, 16, FakeMemory::Kind::kMapped, memory::DmaAccess::kRead);
    guest->add_elements({{0x8000, 4, kWrite}});
    auto chain = queue.pop(memory);
    ASSERT_TRUE(chain);
    const std::array<std::byte, 4> bytes{};
    EXPECT_EQ(queue.write(memory, *chain, 0, bytes), 0U);
    EXPECT_THAT(queue.why_broken(), HasSubstr("writable buffer"));
}

TEST_P(BothRings, MemoryThatIsOnlyReachedByMessageIsNone) {
    memory.add(0x8000, 16, FakeMemory::Kind::kByMessage);
    guest->add_elements({{0x8000, 4}});
    auto chain = queue.pop(memory);
    ASSERT_TRUE(chain);
    std::array<std::byte, 4> bytes{};
    EXPECT_EQ(queue.read(memory, *chain, 0, bytes), 0U);
    EXPECT_TRUE(queue.broken());
    EXPECT_TRUE(memory.messages.empty());
}

TEST_P(BothRings, TablesOfNoWholeDescriptors) {
    for (const uint32_t size : {0U, 8U, 17U, 0xffff'ffffU}) {
        BadInput one(GetParam());
        one.guest->add_elements({{one.guest->table(0), size, kIndirect}});
        EXPECT_THAT(one.pop(), HasSubstr("no whole descriptors")) << size;
    }
}

TEST_P(BothRings, TablesWhereNoMemoryIs) {
    guest->add_elements({{0xffff'0000'0000, 32, kIndirect}});
    EXPECT_THAT(pop(), HasSubstr("no memory"));
}

TEST_P(BothRings, TablesThatAreTooLong) {
    memory.add(0x100'0000, (kMostElements + 1) * 16);
    for (uint64_t i = 0; i <= kMostElements; ++i) {
        const uint64_t at = 0x100'0000 + i * 16;
        if (GetParam()) {
            memory.put(at, PackedDescriptor{kBuffer, 1, 0, 0});
        } else {
            memory.put(at, SplitDescriptor{kBuffer, 1, kNext, static_cast<uint16_t>(i + 1)});
        }
    }
    guest->add_elements({{0x100'0000, (kMostElements + 1) * 16, kIndirect}});
    EXPECT_THAT(pop(), HasSubstr("too many"));
}

TEST_P(BothRings, TablesThatWereNotAgreedOn) {
    auto settings = guest->settings();
    settings.indirect = false;
    ASSERT_TRUE(queue.start(settings));
    guest->add_elements({{kBuffer, 4}}, true);
    EXPECT_THAT(pop(), HasSubstr("not agreed"));
}

TEST_P(BothRings, ADescriptorBehindATable) {
    guest->add_elements({{guest->table(0), 16, kIndirect}, {kBuffer, 4}});
    EXPECT_NE(pop(), "");
}

TEST_P(BothRings, RingsWhereNoMemoryIs) {
    for (int area = 0; area < 3; ++area) {
        auto settings = guest->settings();
        auto& at = settings.addresses;
        (area == 0 ? at.descriptors : area == 1 ? at.driver : at.device) = 0xdead'0000;
        ASSERT_TRUE(queue.start(settings));
        EXPECT_THAT(pop(), HasSubstr("no memory")) << area;
        EXPECT_FALSE(queue.needs_interrupt(memory));
        queue.want_kicks(memory, true);
    }
}

TEST_P(BothRings, RingsAtTheEndOfAddresses) {
    auto settings = guest->settings();
    settings.addresses.descriptors = ~uint64_t{0} - 15;
    ASSERT_TRUE(queue.start(settings));
    EXPECT_THAT(pop(), HasSubstr("no memory"));
}

TEST_P(BothRings, RingsInMemoryThatWasMappedAtAnOddPlace) {
    std::vector<std::byte> bytes(0x1001);
    memory.add(0x20'0000, std::span(bytes).subspan(1));
    auto settings = guest->settings();
    settings.addresses.device = 0x20'0000;
    ASSERT_TRUE(queue.start(settings));
    EXPECT_THAT(pop(), HasSubstr("no memory"));
}

TEST_P(BothRings, MemoryThatItsOwnerTakesAway) {
    if (!GetParam()) guest->add_elements({{kBuffer, 4}});  // else zeros: nothing is available
    memory.taken = kBadRing;
    memory.taken_size = 16;
    EXPECT_THAT(pop(), HasSubstr("taken away"));
}

TEST_P(BothRings, BuffersThatTheirOwnerTakesAway) {
    guest->add_elements({{kBuffer, 4}});
    auto chain = queue.pop(memory);
    ASSERT_TRUE(chain);
    memory.taken = kBuffer;
    memory.taken_size = 1;
    std::array<std::byte, 4> bytes{};
    EXPECT_EQ(queue.read(memory, *chain, 0, bytes), 0U);
    EXPECT_TRUE(queue.broken());
}

TEST_P(BothRings, StartsAnewAfterItBroke) {
    guest->add_elements({{kBuffer, 0}});
    EXPECT_NE(pop(), "");
    guest.reset();
    guest = make_guest_queue(memory, kBadRing, {kEntries, GetParam(), false});
    ASSERT_TRUE(queue.start(guest->settings()));
    guest->add_elements({{kBuffer, 4}});
    EXPECT_TRUE(queue.pop(memory));
}

std::string ring_name(const testing::TestParamInfo<bool>& info) {
    return info.param ? "Packed" : "Split";
}
INSTANTIATE_TEST_SUITE_P(Rings, BothRings, testing::Bool(), ring_name);

// --- What only one layout has ----------------------------------------------------------------

class BadSplit : public testing::Test, public BadInput {
protected:
    BadSplit() : BadInput(false), split(static_cast<SplitGuestQueue&>(*guest)) {}

    void put(uint32_t slot, uint16_t flags, uint16_t next) {
        split.put(guest->descriptor(slot), {kBuffer, 4, flags, next});
    }

    SplitGuestQueue& split;
};

TEST_F(BadSplit, ADescriptorThatFollowsItself) {
    put(3, kNext, 3);
    split.make_available(3);
    EXPECT_THAT(pop(), HasSubstr("loop"));
}

TEST_F(BadSplit, ALoopOfAll) {
    for (uint16_t i = 0; i < kEntries; ++i) {
        put(i, kNext, static_cast<uint16_t>((i + 1) % kEntries));
    }
    split.make_available(0);
    EXPECT_THAT(pop(), HasSubstr("loop"));
}

TEST_F(BadSplit, ALoopInATable) {
    split.put(guest->table(0), {kBuffer, 4, kNext, 1});
    split.put(guest->table(0) + 16, {kBuffer, 4, kNext, 0});
    split.put(guest->descriptor(0), {guest->table(0), 32, kIndirect, 0});
    split.make_available(0);
    EXPECT_THAT(pop(), HasSubstr("loop"));
}

TEST_F(BadSplit, AHeadBeyondTheTable) {
    split.make_available(kEntries);
    EXPECT_THAT(pop(), HasSubstr("beyond the table"));
}

TEST_F(BadSplit, ANextBeyondTheTable) {
    put(0, kNext, 0xffff);
    split.make_available(0);
    EXPECT_THAT(pop(), HasSubstr("beyond the table"));
}

TEST_F(BadSplit, ANextBeyondItsIndirectTable) {
    split.put(guest->table(0), {kBuffer, 4, kNext, 2});
    split.put(guest->descriptor(0), {guest->table(0), 32, kIndirect, 0});
    split.make_available(0);
    EXPECT_THAT(pop(), HasSubstr("beyond its indirect table"));
}

TEST_F(BadSplit, ATableInATable) {
    split.put(guest->table(0), {guest->table(1), 16, kIndirect, 0});
    split.put(guest->descriptor(0), {guest->table(0), 16, kIndirect, 0});
    split.make_available(0);
    EXPECT_THAT(pop(), HasSubstr("in an indirect table"));
}

// 2.7.5.3.2: allowed, and WRITE in what refers to the table means nothing.
TEST_F(BadSplit, ATableBehindDescriptorsIsAllowed) {
    put(0, kNext, 1);
    split.put(guest->table(0), {kBuffer, 8, kWrite, 0});
    split.put(guest->descriptor(1), {guest->table(0), 16, kIndirect | kWrite, 0});
    split.make_available(0);
    const auto chain = queue.pop(memory);
    ASSERT_TRUE(chain);
    EXPECT_EQ(chain->readable_bytes(), 4U);
    EXPECT_EQ(chain->writable_bytes(), 8U);
}

TEST_F(BadSplit, AnIndexThatRanAhead) {
    put(0, 0, 0);
    split.set_available_index(kEntries + 1);
    EXPECT_THAT(pop(), HasSubstr("ran ahead"));
}

TEST_F(BadSplit, AnIndexThatWentBack) {
    put(0, 0, 0);
    split.make_available(0);
    queue.push(memory, std::move(queue.pop(memory).value()), 0);
    split.set_available_index(0);
    EXPECT_THAT(pop(), HasSubstr("ran ahead"));
}

// Each entry alone is well-formed; together they are more than the driver has.
TEST_F(BadSplit, TheSameDescriptorsAgainAndAgain) {
    put(0, kNext, 1);
    put(1, 0, 0);
    std::vector<Chain> held;
    for (uint32_t i = 0; i < kEntries; ++i) split.make_available(0);
    while (auto chain = queue.pop(memory)) held.push_back(std::move(*chain));
    EXPECT_EQ(held.size(), kEntries / 2U);
    EXPECT_THAT(queue.why_broken(), HasSubstr("more descriptors"));
    for (Chain& chain : held) queue.push(memory, std::move(chain), 0);
    EXPECT_EQ(queue.outstanding(), 0U);
    EXPECT_EQ(memory.get<uint16_t>(guest->addresses().device + 2), kEntries / 2);
}

class BadPacked : public testing::Test, public BadInput {
protected:
    BadPacked() : BadInput(true) {}

    void put(uint32_t slot, uint16_t flags) {
        memory.put(guest->descriptor(slot),
                   PackedDescriptor{kBuffer, 4, 0, static_cast<uint16_t>(flags | kAvailableFlag)});
    }
};

TEST_F(BadPacked, AListWithoutAnEnd) {
    for (uint32_t i = 0; i < kEntries; ++i) put(i, kNext);
    EXPECT_THAT(pop(), HasSubstr("more descriptors"));
}

TEST_F(BadPacked, AListThatRunsIntoWhatIsOut) {
    for (uint32_t i = 0; i < kEntries; ++i) put(i, i == 0 ? 0 : kNext);
    ASSERT_TRUE(queue.pop(memory));
    EXPECT_THAT(pop(), HasSubstr("more descriptors"));
}

TEST_F(BadPacked, ATableInAList) {
    put(0, kNext);
    put(1, kIndirect);
    EXPECT_THAT(pop(), HasSubstr("in a list"));
}

// 2.8.7: flags of an element but WRITE are reserved, and ignored.
TEST_F(BadPacked, ATableInATableIsABufferLikeAnother) {
    memory.put(guest->table(0), PackedDescriptor{kBuffer, 16, 0, kIndirect | kNext});
    guest->add_elements({{guest->table(0), 16, kIndirect}});
    const auto chain = queue.pop(memory);
    ASSERT_TRUE(chain);
    EXPECT_EQ(chain->readable_bytes(), 16U);
}

TEST_F(BadPacked, APlaceToGoOnBeyondTheRing) {
    auto settings = guest->settings();
    settings.position.next_available = 0xffff;
    settings.position.next_used = 0x7fff;
    ASSERT_TRUE(queue.start(settings));
    guest->add_elements({{kBuffer, 4}});
    EXPECT_TRUE(queue.pop(memory));
}

// An event that lies nowhere in the ring, or flags that are reserved: whatever the answer is, it is
// one.
TEST_F(BadPacked, AnyEventIsSurvived) {
    auto settings = guest->settings();
    settings.event_index = true;
    ASSERT_TRUE(queue.start(settings));
    for (uint32_t value = 0; value < 0x10000; value += 257) {
        guest->add_elements({{kBuffer, 4}});
        queue.push(memory, std::move(queue.pop(memory).value()), 0);
        memory.put<uint16_t>(settings.addresses.driver, static_cast<uint16_t>(value));
        memory.put<uint16_t>(settings.addresses.driver + 2, static_cast<uint16_t>(value % 4));
        const bool wanted = queue.needs_interrupt(memory);
        if (value % 4 != 2) {
            EXPECT_EQ(wanted, value % 4 != 1) << value;
        }
        ASSERT_TRUE(guest->take());
    }
}

}  // namespace
}  // namespace mimic::virtio
