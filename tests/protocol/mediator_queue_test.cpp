// SPDX-License-Identifier: Apache-2.0
// The queue of a device and the real mimic-mediator, in all four protocols.
#include "tests/protocol/mediator_program.h"

namespace mimic::compute {
namespace {

class MediatorQueue : public ::testing::TestWithParam<Protocol>, protected MediatorFolder {
protected:
    void SetUp() override {
        program_->start();
        SocketOptions options;
        options.protocol = GetParam();
        ASSERT_TRUE(connect(options));
    }
    uint32_t sum(uint32_t a, uint32_t b) {
        const auto response = ask(make_request(VGPU_OP_SUM, std::vector<uint32_t>{a, b}));
        const auto view = view_response(response);
        EXPECT_TRUE(view && view->results.size() == 1);
        return view ? view->results[0] : 0;
    }
};

TEST_P(MediatorQueue, SumsAndMemory) {
    EXPECT_EQ(sum(40, 2), 42u);
    EXPECT_EQ(sum(0xffffffff, 3), 2u);
    const std::vector<std::byte> data(256, std::byte{0x5a});
    const uint64_t memory = allocate(data.size());
    EXPECT_EQ(read(memory, data.size()), std::vector<std::byte>(data.size()));  // zeroed
    write(memory, data);
    EXPECT_EQ(read(memory, data.size()), data);
}

TEST_P(MediatorQueue, AWrongRequestFailsAndTheNextIsAnswered) {
    EXPECT_EQ(status_of(std::vector<std::byte>(7)), uint32_t{VGPU_ERROR_INVALID_REQUEST});
    EXPECT_EQ(sum(1, 2), 3u);
}

std::string name_of_protocol(const ::testing::TestParamInfo<Protocol>& one) {
    static constexpr std::array<const char*, 4> kNames{"Packet", "V1", "V2", "V3"};
    return kNames.at(static_cast<size_t>(one.param));
}

INSTANTIATE_TEST_SUITE_P(Protocols, MediatorQueue,
                         ::testing::Values(Protocol::kPacket, Protocol::kV1, Protocol::kV2,
                                           Protocol::kV3),
                         name_of_protocol);

class MediatorData : public ::testing::TestWithParam<uint32_t>, protected MediatorFolder {};

TEST_P(MediatorData, LongDataComesBackAsItWas) {
    program_->start();
    SocketOptions options;
    options.shared_bytes = GetParam();
    ASSERT_TRUE(connect(options));
    // What a message has room for beside its header and parameters.
    std::vector<std::byte> data(VGPU_MAX_MESSAGE - 4096);
    for (size_t i = 0; i < data.size(); ++i) data[i] = static_cast<std::byte>(i * 7 + i / 4096);
    const uint64_t memory = allocate(data.size());
    write(memory, data);
    EXPECT_TRUE(read(memory, data.size()) == data);
}

// What a guest had is gone with its reset; what it gets then is its own.
TEST_P(MediatorData, AResetFreesMemory) {
    program_->start();
    SocketOptions options;
    options.shared_bytes = GetParam();
    ASSERT_TRUE(connect(options));
    const uint64_t before = allocate(4096);
    queue_->start_over();
    EXPECT_EQ(status_of(make_request(VGPU_OP_MEM_READ, wide({before, 0, 16}))),
              uint32_t{VGPU_ERROR_HANDLE});
    const uint64_t after = allocate(4096);
    EXPECT_EQ(read(after, 4096), std::vector<std::byte>(4096));
    EXPECT_EQ(queue_->counters().connections, 1U);
}

INSTANTIATE_TEST_SUITE_P(Memory, MediatorData, ::testing::Values(0u, 2 * VGPU_MAX_MESSAGE));

}  // namespace
}  // namespace mimic::compute
