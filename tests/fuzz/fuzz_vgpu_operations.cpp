// SPDX-License-Identifier: Apache-2.0
// A hostile guest of a backend: the input is a script of requests, some of any bytes, some made of
// parts that nearly fit together. Whatever they are, the answer fits its room and is whole, memory
// is accounted for, and memory of another VM, whose handles this one tries, stays as it is.
#include <iterator>
#include <string>
#include <vector>

#include "mediator/backend/cpu_executor.h"
#include "mediator/backend/operations.h"
#include "mediator/backend/testing/requests.h"
#include "tests/fuzz/fuzz.h"

namespace mimic::fuzz {
namespace {

using namespace mediator::backend;
using namespace mediator::backend::testing;

constexpr uint64_t kMemory = 1 << 20;
constexpr uint64_t kSecretBytes = 256;
constexpr Owner kGuest{1, 10};
constexpr Owner kOther{2, 20};

// Nothing takes longer than a moment: what would is taken for done.
class ShortExecutor final : public CpuExecutor {
public:
    ShortExecutor() : CpuExecutor(1) {}
    vgpu_error run(const KernelCall& call, const StopSignal& stop) override {
        if (call.kernel == Kernel::kSpin || call.operations() > 100'000) return VGPU_OK;
        return CpuExecutor::run(call, stop);
    }
};

class Script {
public:
    explicit Script(Input input) : input_(input) {
        Order order;
        order.owner = kOther;
        order.room = 4096;
        std::vector<std::byte> response;
        operations_.carry_out(order, request(VGPU_OP_MEM_ALLOC, words({kSecretBytes})), response,
                              stop_);
        secret_ = Response(response).result64();
        const Bytes pattern(kSecretBytes, std::byte{0x5a});
        operations_.carry_out(order, request(VGPU_OP_MEM_WRITE, words({secret_, 0}), pattern),
                              response, stop_);
        handles_ = {0, secret_};
    }

    void run() {
        while (!input_.empty()) {
            ask(next_request(0));
            check_other();
        }
        operations_.owners().release(kGuest);
        FUZZ_REQUIRE(operations_.owners().account()->used() == kSecretBytes);
    }

private:
    uint64_t value() {
        const auto how = input_.take<uint8_t>();
        if (how < 128) return handles_[how % handles_.size()];
        if (how < 192) return input_.take<uint8_t>();
        if (how < 224) return input_.take<uint16_t>();
        return input_.take<uint64_t>();
    }

    Bytes raw_bytes(size_t most) {
        const auto taken = input_.take_bytes(input_.take<uint8_t>() % most);
        return bytes_of(taken);
    }

    Bytes launch_of() {
        static constexpr const char* kNames[] = {"vector_add", "saxpy", "gemm", "reduce_sum",
                                                 "checksum",   "spin",  "x"};
        std::vector<vgpu_arg> args(input_.take<uint8_t>() % 8);
        for (auto& arg : args) {
            const auto kind = input_.take<uint8_t>();
            arg.kind = kind % 4 == 3 ? input_.take<uint8_t>() : kind % 2;
            arg.size = kind % 8 == 0 ? 4 : 8;
            arg.value = value();
            arg.offset = arg.kind == VGPU_ARG_MEMORY ? input_.take<uint8_t>() * 4u : 0;
        }
        return launch(kNames[input_.take<uint8_t>() % std::size(kNames)], args,
                      input_.take<uint8_t>() % 8 == 0 ? value() : 0);
    }

    Bytes next_request(int depth) {
        const auto how = input_.take<uint8_t>();
        if (how < 16) return raw_bytes(200);
        if (how < 64) return launch_of();
        if (how < 80 && depth < 2) {
            std::vector<Bytes> requests;
            for (size_t count = input_.take<uint8_t>() % 5; count > 0; --count) {
                requests.push_back(next_request(depth + 1));
            }
            return batch(requests);
        }
        static constexpr uint32_t kOpcodes[] = {
            VGPU_OP_NOP,      VGPU_OP_SUM,        VGPU_OP_GET_DEVICE_INFO, VGPU_OP_MEM_ALLOC,
            VGPU_OP_MEM_FREE, VGPU_OP_MEM_READ,   VGPU_OP_MEM_WRITE,       VGPU_OP_MEM_COPY,
            VGPU_OP_MEM_FILL, VGPU_OP_LAUNCH,     VGPU_OP_MODULE_LOAD,     VGPU_OP_MODULE_UNLOAD,
            VGPU_OP_BATCH,    VGPU_OP_SYNCHRONIZE};
        static constexpr size_t kValues[] = {0, 1, 0, 1, 1, 3, 2, 5, 3, 0, 0, 1, 0, 0};
        const size_t which = how % std::size(kOpcodes);
        std::vector<uint32_t> parameters;
        for (size_t i = 0; i < kValues[which]; ++i) {
            for (const uint32_t word : words({value()})) parameters.push_back(word);
        }
        if (kOpcodes[which] == VGPU_OP_MEM_FILL) parameters.push_back(input_.take<uint8_t>());
        const bool data = kOpcodes[which] == VGPU_OP_MEM_WRITE || how >= 240;
        return request(kOpcodes[which], parameters, data ? raw_bytes(100) : Bytes());
    }

    void ask(const Bytes& bytes) {
        Order order;
        order.owner = kGuest;
        order.request_id = input_.take<uint8_t>() % 8;
        order.again = input_.take<uint8_t>() % 8 == 0;
        order.room = input_.take<uint8_t>() % 4 == 0 ? input_.take<uint8_t>() : 100'000;
        order.memory_limit = kMemory / 2;
        std::vector<std::byte> answer;
        const vgpu_error error = operations_.carry_out(order, bytes, answer, stop_);
        FUZZ_REQUIRE(error <= VGPU_ERROR_CANCELLED);
        FUZZ_REQUIRE(answer.size() <= order.room);
        FUZZ_REQUIRE(answer.empty() == (error != VGPU_OK));
        FUZZ_REQUIRE(operations_.owners().account()->used() <= kMemory / 2 + kSecretBytes);
        if (error != VGPU_OK) return;
        const Response response(answer);
        FUZZ_REQUIRE(response.whole);
        FUZZ_REQUIRE(response.header.status <= VGPU_ERROR_CANCELLED);
        // What looks like a handle is tried later, if it is one or not.
        if (response.results.size() == 2 && handles_.size() < 64) {
            handles_.push_back(response.result64());
        }
    }

    void check_other() {
        Order order;
        order.owner = kOther;
        order.room = 4096;
        std::vector<std::byte> response;
        const auto error = operations_.carry_out(
            order, request(VGPU_OP_MEM_READ, words({secret_, 0, kSecretBytes})), response, stop_);
        FUZZ_REQUIRE(error == VGPU_OK);
        FUZZ_REQUIRE(Response(response).data == Bytes(kSecretBytes, std::byte{0x5a}));
    }

    Input input_;
    ShortExecutor executor_;
    Operations operations_{executor_, kMemory, 7};
    StopSignal stop_;
    uint64_t secret_ = 0;
    std::vector<uint64_t> handles_;
};

}  // namespace
}  // namespace mimic::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    mimic::fuzz::Script(mimic::fuzz::Input(data, size)).run();
    return 0;
}
