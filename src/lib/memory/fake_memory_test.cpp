// SPDX-License-Identifier: Apache-2.0
// The guest memory of all other tests: it must fail where real memory does.
#include "memory/testing/fake_memory.h"

#include <gtest/gtest.h>

#include <array>

namespace mimic::memory {
namespace {

using Kind = FakeMemory::Kind;

class FakeMemoryTest : public testing::Test {
protected:
    // "" while there is no answer, "ok", or the name of the error.
    std::string read(uint64_t iova, uint64_t size) {
        auto result = std::make_shared<std::string>();
        memory.read(iova, size, [this, result](const auto& bytes) {
            *result = bytes ? "ok" : std::make_error_code(bytes.error().code()).message();
            if (bytes) last.assign(bytes->begin(), bytes->end());
            answers.push_back(*result);
        });
        return *result;
    }
    std::string write(uint64_t iova, size_t size) {
        auto result = std::make_shared<std::string>();
        const std::vector<std::byte> data(size, std::byte{7});  // gone before a late answer
        memory.write(iova, data, [this, result](const Status& status) {
            *result = status ? "ok" : std::make_error_code(status.error().code()).message();
            answers.push_back(*result);
        });
        return *result;
    }

    FakeMemory memory;
    std::vector<std::byte> last;
    std::vector<std::string> answers;
};

TEST_F(FakeMemoryTest, OnlyMappedRegionsHaveSpans) {
    memory.add(0x1000, 16);
    memory.add(0x1010, 16, Kind::kCopied);
    EXPECT_TRUE(memory.span(0x1008, 8, DmaAccess::kReadWrite));
    EXPECT_FALSE(memory.span(0x1008, 9, DmaAccess::kRead));
    EXPECT_FALSE(memory.span(0x1010, 1, DmaAccess::kRead));
    EXPECT_FALSE(memory.span(0x1000, 0, DmaAccess::kRead));
    EXPECT_EQ(write(0x1008, 16), "ok");  // across both
    EXPECT_EQ(memory.get<uint64_t>(0x1010), 0x0707'0707'0707'0707u);
    EXPECT_EQ(read(0x1018, 8), "ok");
    EXPECT_EQ(last, std::vector<std::byte>(8));
}

TEST_F(FakeMemoryTest, FailsWhereThereIsNothingOrNoRight) {
    memory.add(0x1000, 16, Kind::kMapped, DmaAccess::kRead);
    EXPECT_EQ(read(0x0fff, 2), "Bad address");
    EXPECT_EQ(read(0x1000, 17), "Bad address");
    EXPECT_EQ(read(0x1000, 0), "Bad address");
    EXPECT_EQ(read(~uint64_t{0}, 2), "Bad address");
    EXPECT_EQ(write(0x1000, 1), "Bad address");
    EXPECT_FALSE(memory.span(0x1000, 1, DmaAccess::kWrite));
    EXPECT_EQ(memory.transfers, 0U);
}

TEST_F(FakeMemoryTest, MessagesWaitForTheirAnswer) {
    memory.add(0x1000, 16, Kind::kByMessage);
    EXPECT_EQ(write(0x1000, 4), "");
    EXPECT_EQ(read(0x1000, 4), "");
    EXPECT_TRUE(memory.answer(fail(std::errc::io_error, "told so")));
    EXPECT_EQ(memory.get<uint32_t>(0x1000), 0U);
    EXPECT_TRUE(memory.answer());
    EXPECT_FALSE(memory.answer());
    EXPECT_EQ(answers, (std::vector<std::string>{"Input/output error", "ok"}));
}

TEST_F(FakeMemoryTest, TheTestRefusesAndDelaysAll) {
    memory.add(0x1000, 16);
    memory.refusal = std::errc::operation_canceled;
    EXPECT_EQ(read(0x1000, 4), "Operation canceled");
    EXPECT_FALSE(memory.span(0x1000, 4, DmaAccess::kRead));
    memory.refusal.reset();
    memory.answers_later = true;
    EXPECT_EQ(read(0x1000, 4), "");
    EXPECT_TRUE(memory.answer());
    EXPECT_EQ(answers.back(), "ok");
}

TEST_F(FakeMemoryTest, ADeviceHearsOfWritesInsteadOfStoring) {
    uint64_t where = 0;
    memory.add(0x1000, 16, Kind::kCopied).written = [&](uint64_t offset, auto) { where = offset; };
    EXPECT_EQ(write(0x1008, 4), "ok");
    EXPECT_EQ(where, 8U);
    EXPECT_EQ(memory.get<uint32_t>(0x1008), 0U);
}

}  // namespace
}  // namespace mimic::memory
