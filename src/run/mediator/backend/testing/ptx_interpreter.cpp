// SPDX-License-Identifier: Apache-2.0
#include "mediator/backend/testing/ptx_interpreter.h"

#include <algorithm>
#include <bit>
#include <chrono>
#include <cstring>
#include <set>

namespace mimic::mediator::backend::testing {
namespace {

const std::set<std::string, std::less<>> kOps = {"ld.param.u64",
                                                 "ld.param.f32",
                                                 "ld.param.u32",
                                                 "mov.u32",
                                                 "mov.u64",
                                                 "mov.f32",
                                                 "mul.wide.u32",
                                                 "cvt.u64.u32",
                                                 "cvt.u32.u64",
                                                 "add.u64",
                                                 "add.u32",
                                                 "sub.u64",
                                                 "min.u64",
                                                 "mul.lo.u64",
                                                 "shl.b64",
                                                 "shl.b32",
                                                 "shr.u32",
                                                 "xor.b64",
                                                 "setp.ge.u64",
                                                 "setp.lt.u64",
                                                 "setp.ge.u32",
                                                 "setp.le.u32",
                                                 "setp.ne.u32",
                                                 "or.pred",
                                                 "bra",
                                                 "ld.global.f32",
                                                 "ld.global.u8",
                                                 "ld.global.u64",
                                                 "st.global.f32",
                                                 "st.global.u64",
                                                 "st.global.u32",
                                                 "ld.shared.f32",
                                                 "st.shared.f32",
                                                 "add.rn.f32",
                                                 "mul.rn.f32",
                                                 "bar.sync",
                                                 "ret"};

constexpr uint64_t kManySteps = 2'000'000;  // of a thread: more is taken for endless

std::string trim(std::string_view text) {
    const auto begin = text.find_first_not_of(" \t\r\n");
    if (begin == std::string_view::npos) return "";
    return std::string(text.substr(begin, text.find_last_not_of(" \t\r\n") - begin + 1));
}

std::vector<std::string> split(std::string_view text, char separator) {
    std::vector<std::string> parts;
    while (true) {
        const auto end = text.find(separator);
        if (auto part = trim(text.substr(0, end)); !part.empty()) parts.push_back(part);
        if (end == std::string_view::npos) return parts;
        text.remove_prefix(end + 1);
    }
}

size_t type_bytes(std::string_view op) {
    const auto type = op.substr(op.rfind('.') + 1);
    if (type == "u8") return 1;
    return type.ends_with("64") ? 8 : 4;
}

bool declare(const std::string& text, PtxKernel& kernel) {
    if (text.starts_with(".shared")) {
        const auto open = text.find('['), name = text.rfind(' ', open);
        kernel.shared[trim(text.substr(name, open - name))] = kernel.shared_bytes;
        kernel.shared_bytes += std::stoul(text.substr(open + 1));
        return true;
    }
    // ".reg .b32 %r<5>": %r0 .. %r4
    const auto percent = text.find('%'), less = text.find('<');
    if (percent == std::string::npos || less == std::string::npos) return false;
    const int count = std::stoi(text.substr(less + 1));
    for (int i = 0; i < count; ++i) {
        const int index = static_cast<int>(kernel.registers.size());
        kernel.registers[text.substr(percent, less - percent) + std::to_string(i)] = index;
    }
    return true;
}

int find_register(const PtxKernel& kernel, const std::string& name) {
    const auto found = kernel.registers.find(name);
    return found == kernel.registers.end() ? -1 : found->second;
}

bool parse_instruction(std::string text, PtxKernel& kernel, std::string& log) {
    PtxInstruction instruction;
    if (text[0] == '@') {
        const auto space = text.find(' ');
        instruction.guard = find_register(kernel, text.substr(1, space - 1));
        if (instruction.guard < 0) return log = "no such predicate: " + text, false;
        text = trim(text.substr(space));
    }
    const auto space = text.find_first_of(" \t");
    instruction.op = text.substr(0, space);
    if (!kOps.contains(instruction.op)) return log = "unknown instruction: " + text, false;
    if (space != std::string::npos) {
        for (std::string operand : split(std::string_view(text).substr(space), ',')) {
            int64_t offset = 0;
            if (operand[0] == '[') {
                operand = trim(std::string_view(operand).substr(1, operand.size() - 2));
                if (const auto plus = operand.find('+'); plus != std::string::npos) {
                    offset = std::stoll(operand.substr(plus + 1));
                    operand = trim(operand.substr(0, plus));
                }
            }
            instruction.registers.push_back(find_register(kernel, operand));
            instruction.operands.push_back(operand);
            instruction.offsets.push_back(offset);
        }
    }
    kernel.code.push_back(std::move(instruction));
    return true;
}

bool parse_body(std::string_view body, PtxKernel& kernel, std::string& log) {
    std::map<std::string, size_t> labels;
    for (std::string statement : split(body, ';')) {
        for (auto colon = statement.find(':'); colon != std::string::npos;
             colon = statement.find(':')) {
            labels[trim(statement.substr(0, colon))] = kernel.code.size();
            statement = trim(std::string_view(statement).substr(colon + 1));
        }
        if (statement.empty()) continue;
        if (statement[0] == '.') {
            if (!declare(statement, kernel)) return log = "declaration: " + statement, false;
        } else if (!parse_instruction(statement, kernel, log)) {
            return false;
        }
    }
    for (auto& instruction : kernel.code) {
        if (instruction.op != "bra") continue;
        const auto label = labels.find(instruction.operands.at(0));
        if (label == labels.end()) return log = "no label " + instruction.operands[0], false;
        instruction.target = label->second;
    }
    return true;
}

// A thread of a block.
struct Thread {
    std::vector<uint64_t> registers;
    size_t at = 0;
    uint64_t steps = 0;
    bool ended = false;
    std::map<std::string, uint64_t, std::less<>> special;  // %tid.x and so on
};

class Block {
public:
    Block(const PtxKernel& kernel, const PtxLaunch& launch)
        : kernel_(kernel), launch_(launch), shared_(kernel.shared_bytes) {}

    PtxEnd run(std::array<unsigned, 3> block_index) {
        std::vector<Thread> threads;
        const auto& size = launch_.block;
        for (unsigned z = 0; z < size[2]; ++z) {
            for (unsigned y = 0; y < size[1]; ++y) {
                for (unsigned x = 0; x < size[0]; ++x) {
                    Thread thread;
                    thread.registers.resize(kernel_.registers.size());
                    thread.special = {{"%tid.x", x},
                                      {"%tid.y", y},
                                      {"%ntid.x", size[0]},
                                      {"%ntid.y", size[1]},
                                      {"%ctaid.x", block_index[0]},
                                      {"%ctaid.y", block_index[1]},
                                      {"%nctaid.x", launch_.grid[0]}};
                    threads.push_back(std::move(thread));
                }
            }
        }
        // All up to the next barrier, again and again.
        while (std::any_of(threads.begin(), threads.end(), [](auto& t) { return !t.ended; })) {
            for (Thread& thread : threads) {
                const PtxEnd end = run_to_barrier(thread);
                if (end != PtxEnd::kDone) return end;
            }
        }
        return PtxEnd::kDone;
    }

private:
    PtxEnd run_to_barrier(Thread& thread) {
        while (!thread.ended) {
            if (++thread.steps > kManySteps) return PtxEnd::kEndless;
            const PtxInstruction& instruction = kernel_.code[thread.at];
            const bool skipped = instruction.guard >= 0 &&
                                 thread.registers[static_cast<size_t>(instruction.guard)] == 0;
            if (!skipped && instruction.op == "bra") {
                thread.at = instruction.target;
                continue;
            }
            if (++thread.at >= kernel_.code.size()) thread.ended = true;
            if (skipped) continue;
            if (instruction.op == "ret") thread.ended = true;
            if (instruction.op == "bar.sync") return PtxEnd::kDone;
            if (!step(thread, instruction)) return PtxEnd::kIllegalAddress;
        }
        return PtxEnd::kDone;
    }

    uint64_t value(const Thread& thread, const PtxInstruction& from, size_t index) const {
        if (from.registers[index] >= 0)
            return thread.registers[static_cast<size_t>(from.registers[index])];
        const std::string& word = from.operands[index];
        if (word == "%globaltimer") {
            return static_cast<uint64_t>(
                std::chrono::steady_clock::now().time_since_epoch().count());
        }
        if (const auto special = thread.special.find(word); special != thread.special.end()) {
            return special->second;
        }
        if (const auto shared = kernel_.shared.find(word); shared != kernel_.shared.end()) {
            return shared->second;
        }
        if (word.starts_with("0f")) return std::stoul(word.substr(2), nullptr, 16);
        return std::stoull(word, nullptr, 0);
    }

    // False: an address that is none.
    bool access(Thread& thread, const PtxInstruction& what) {
        const bool load = what.op.starts_with("ld");
        const size_t address_operand = load ? 1 : 0;
        const size_t bytes = type_bytes(what.op);
        std::byte* at = nullptr;
        if (what.op.find(".param.") != std::string::npos) {
            size_t offset = 0;
            for (const auto& [name, size] : kernel_.parameters) {
                offset = (offset + size - 1) / size * size;
                if (name == what.operands[1]) break;
                offset += size;
            }
            at = const_cast<std::byte*>(launch_.parameters.data()) + offset;
        } else {
            const uint64_t address = value(thread, what, address_operand) +
                                     static_cast<uint64_t>(what.offsets[address_operand]);
            if (what.op.find(".shared.") != std::string::npos) {
                if (address + bytes > shared_.size() || address % bytes != 0) return false;
                at = shared_.data() + address;
            } else {
                if (address % bytes != 0 || !launch_.is_memory(address, bytes)) return false;
                at = reinterpret_cast<std::byte*>(address);
            }
        }
        if (load) {
            uint64_t read = 0;
            std::memcpy(&read, at, bytes);
            thread.registers[static_cast<size_t>(what.registers[0])] = read;
        } else {
            const uint64_t written = value(thread, what, 1);
            std::memcpy(at, &written, bytes);
        }
        return true;
    }

    bool step(Thread& thread, const PtxInstruction& what) {
        const std::string& op = what.op;
        if (op == "ret") return true;
        if (op.starts_with("ld.") || op.starts_with("st.")) return access(thread, what);
        const uint64_t a = value(thread, what, 1);
        const uint64_t b = what.operands.size() > 2 ? value(thread, what, 2) : 0;
        uint64_t& to = thread.registers[static_cast<size_t>(what.registers[0])];
        to = result(op, a, b);
        return true;
    }

    static uint64_t result(const std::string& op, uint64_t a, uint64_t b) {
        const auto low = [](uint64_t value) { return static_cast<uint32_t>(value); };
        if (op.starts_with("mov")) return a;
        if (op == "mul.wide.u32") return uint64_t{low(a)} * low(b);
        if (op == "cvt.u64.u32" || op == "cvt.u32.u64") return low(a);
        if (op == "add.u64") return a + b;
        if (op == "add.u32") return low(a + b);
        if (op == "sub.u64") return a - b;
        if (op == "min.u64") return std::min(a, b);
        if (op == "mul.lo.u64") return a * b;
        if (op == "shl.b64") return a << b;
        if (op == "shl.b32") return low(a << b);
        if (op == "shr.u32") return low(a) >> b;
        if (op == "xor.b64") return a ^ b;
        if (op == "or.pred") return a | b;
        if (op == "setp.ge.u64") return a >= b;
        if (op == "setp.lt.u64") return a < b;
        if (op == "setp.ge.u32") return low(a) >= low(b);
        if (op == "setp.le.u32") return low(a) <= low(b);
        if (op == "setp.ne.u32") return low(a) != low(b);
        volatile float x = std::bit_cast<float>(low(a));
        const float y = std::bit_cast<float>(low(b));
        x = op == "add.rn.f32" ? x + y : x * y;
        return std::bit_cast<uint32_t>(static_cast<float>(x));
    }

    const PtxKernel& kernel_;
    const PtxLaunch& launch_;
    std::vector<std::byte> shared_;
};

}  // namespace

bool parse_ptx(std::string_view text, PtxModule& module, std::string& log) {
    if (!text.starts_with(".version")) return log = "no .version", false;
    for (size_t at = text.find(".entry"); at != std::string_view::npos;
         at = text.find(".entry", at + 1)) {
        const auto open = text.find('(', at), close = text.find(')', at);
        const auto begin = text.find('{', at), end = text.find('}', at);
        if (end == std::string_view::npos || close > begin || open > close) {
            return log = "an entry without a body", false;
        }
        PtxKernel kernel;
        for (const std::string& parameter : split(text.substr(open + 1, close - open - 1), ',')) {
            const auto name = parameter.rfind(' ');
            kernel.parameters.emplace_back(trim(parameter.substr(name)),
                                           type_bytes(trim(parameter.substr(0, name))));
        }
        if (!parse_body(text.substr(begin + 1, end - begin - 1), kernel, log)) return false;
        module[trim(text.substr(at + 6, open - at - 6))] = std::move(kernel);
    }
    return true;
}

PtxEnd run_ptx(const PtxKernel& kernel, const PtxLaunch& launch) {
    for (unsigned y = 0; y < launch.grid[1]; ++y) {
        for (unsigned x = 0; x < launch.grid[0]; ++x) {
            const PtxEnd end = Block(kernel, launch).run({x, y, 0});
            if (end != PtxEnd::kDone) return end;
        }
    }
    return PtxEnd::kDone;
}

}  // namespace mimic::mediator::backend::testing
