// SPDX-License-Identifier: Apache-2.0
// Memory of a VM that goes, on the backend of the real mimic-mediator: it is freed once nobody came
// back for it, and others can have it.
#include <sys/socket.h>

#include <array>
#include <utility>

#include "base/unix_socket.h"
#include "tests/protocol/mediator_program.h"

namespace mimic::compute {
namespace {

constexpr uint64_t kMiB = uint64_t{1} << 20;
constexpr uint32_t kGoes = 3;
constexpr uint32_t kStays = 4;
constexpr uint64_t kOfVm = 6;  // MiB
constexpr uint64_t kOfAll = 8;

/// The protocol of the VM that goes.
class MediatorMemory : public ::testing::TestWithParam<Protocol>, protected MediatorFolder {
protected:
    void SetUp() override {
        const std::string file = folder_ + "/mediator.yaml";
        std::ofstream(file) << "version: 1\n"
                            << "mediator:\n"
                            << "  socket: " << folder_ << "/m.sock\n"
                            << "  vm_sockets: " << folder_ << "/vm-<vm_id>.sock\n"
                            << "  run_folder: " << folder_ << "/run\n"
                            << "  session_patience: 200ms\n"
                            << "pools:\n"
                            << "  - {id: A, backends: [{kind: cpu, memory_bytes: 8M}]}\n"
                            << "vms:\n"
                            << "  - {id: 3, limits: {memory_bytes: 6M}}\n"
                            << "  - {id: 4}\n";
        program_ = std::make_unique<MediatorProgram>(folder_, file);
        program_->start();
        SocketOptions options;
        options.identity.vm_id = kStays;
        ASSERT_TRUE(connect(options));
        stays_ = std::move(queue_);
        come();
    }
    void TearDown() override { stays_.reset(); }

    void come() {
        SocketOptions options;
        options.identity.vm_id = kGoes;
        options.protocol = GetParam();
        ASSERT_TRUE(connect(options));
    }
    void go() { queue_.reset(); }

    /// Allocates a MiB on `queue_`; how that ended.
    uint32_t allocate_one() { return status_of(make_request(VGPU_OP_MEM_ALLOC, wide({kMiB}))); }
    /// As many as there are to be had.
    uint64_t allocate_all() {
        uint64_t count = 0;
        uint32_t status = VGPU_OK;
        while ((status = allocate_one()) == VGPU_OK) ++count;
        EXPECT_EQ(status, uint32_t{VGPU_ERROR_MEMORY});
        return count;
    }
    uint64_t other_allocates_all() {
        std::swap(queue_, stays_);
        const uint64_t count = allocate_all();
        std::swap(queue_, stays_);
        return count;
    }

    /// What the control API says of a VM.
    std::string state_of(uint32_t vm) const {
        const auto socket = unix_connect(folder_ + "/run/control.sock");
        if (!socket) return {};
        const std::string request = "GET /v1/mediator/vms/" + std::to_string(vm) +
                                    " HTTP/1.1\r\nHost: mimic\r\nConnection: close\r\n\r\n";
        if (::send(socket->get(), request.data(), request.size(), MSG_NOSIGNAL) < 0) return {};
        std::string answer;
        std::array<char, 4096> some{};
        for (;;) {
            const ssize_t got = ::recv(socket->get(), some.data(), some.size(), 0);
            if (got <= 0) return answer;
            answer.append(some.data(), static_cast<size_t>(got));
        }
    }
    /// Whether it says that the VM has so much memory (its limits come before).
    bool has(uint32_t vm, uint64_t mib) const {
        const std::string state = state_of(vm);
        const size_t begin = state.find("\"quarantine\"");
        if (begin == std::string::npos) return false;
        const std::string wanted = "\"memory_bytes\":" + std::to_string(mib * kMiB) + ",";
        return state.find(wanted, begin) != std::string::npos;
    }

    std::unique_ptr<Queue> stays_;
};

TEST_P(MediatorMemory, OfAVmThatWentIsFreedAndItsOwnAndOthersAgain) {
    EXPECT_EQ(allocate_all(), kOfVm) << "its limit";
    EXPECT_EQ(other_allocates_all(), kOfAll - kOfVm) << "what the backend has left";
    EXPECT_TRUE(has(kGoes, kOfVm)) << state_of(kGoes);
    go();
    ASSERT_TRUE(until([this] { return has(kGoes, 0); })) << state_of(kGoes);
    EXPECT_TRUE(has(kStays, kOfAll - kOfVm));
    EXPECT_EQ(other_allocates_all(), kOfVm) << "all that was freed, and no more";
    come();
    EXPECT_EQ(allocate_one(), uint32_t{VGPU_ERROR_MEMORY});
    std::swap(queue_, stays_);
    go();
    ASSERT_TRUE(until([this] { return has(kStays, 0); })) << state_of(kStays);
    std::swap(queue_, stays_);
    EXPECT_EQ(allocate_all(), kOfVm) << "as at first";
}

std::string name_of(const ::testing::TestParamInfo<Protocol>& one) {
    return one.param == Protocol::kPacket ? "Packet" : "V3";
}

INSTANTIATE_TEST_SUITE_P(Protocols, MediatorMemory,
                         ::testing::Values(Protocol::kPacket, Protocol::kV3), name_of);

}  // namespace
}  // namespace mimic::compute
