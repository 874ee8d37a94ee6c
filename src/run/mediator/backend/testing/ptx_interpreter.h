// SPDX-License-Identifier: Apache-2.0
// PtxInterpreter: executes a small part of PTX, slowly and strictly, so that the text of our
// kernels is tested where no GPU is. Instructions and their meaning are those of NVIDIA's "Parallel
// Thread Execution ISA" 6.0; anything else does not load.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace mimic::mediator::backend::testing {

struct PtxInstruction {
    std::string op;                     // with its types: "ld.global.f32"
    int guard = -1;                     // register of @%p
    std::vector<std::string> operands;  // as written, without brackets
    std::vector<int> registers;         // of operands; -1: none
    std::vector<int64_t> offsets;       // "[%rd6+1024]"
    size_t target = 0;                  // of bra
};

struct PtxKernel {
    std::vector<std::pair<std::string, size_t>> parameters;  // name, bytes
    std::map<std::string, int> registers;
    std::map<std::string, size_t> shared;  // name, offset
    size_t shared_bytes = 0;
    std::vector<PtxInstruction> code;
};

using PtxModule = std::map<std::string, PtxKernel>;

/// Kernels of a text. False, and `log`: what does not parse.
bool parse_ptx(std::string_view text, PtxModule& module, std::string& log);

enum class PtxEnd { kDone, kIllegalAddress, kEndless };

struct PtxLaunch {
    std::array<unsigned, 3> grid{1, 1, 1};
    std::array<unsigned, 3> block{1, 1, 1};
    std::vector<std::byte> parameters;
    // Whether these bytes are memory of the GPU.
    std::function<bool(uint64_t address, size_t bytes)> is_memory;
};

PtxEnd run_ptx(const PtxKernel& kernel, const PtxLaunch& launch);

}  // namespace mimic::mediator::backend::testing
