// SPDX-License-Identifier: Apache-2.0
// Register banks of all access policies: any access at any place. Bits change only as their access
// kinds allow, reads show readable bits only, debug reads change nothing, and a snapshot holds
// everything.
#include <array>
#include <vector>

#include "base/log.h"
#include "reg/bank.h"
#include "reg/test_map.h"
#include "tests/fuzz/fuzz.h"

namespace mimic::fuzz {
namespace {

using namespace reg;

std::vector<uint64_t> values_of(const BankCore& bank) {
    std::vector<uint64_t> values;
    for (const RegisterInfo& info : bank.map().registers)
        for (uint32_t i = 0; i < info.elements; ++i) values.push_back(bank.load(info, i));
    return values;
}

// A write may change bits of writable kinds only; a read, bits that it clears.
void require_allowed(const BankCore& bank, const std::vector<uint64_t>& before, bool wrote) {
    size_t n = 0;
    for (const RegisterInfo& info : bank.map().registers)
        for (uint32_t i = 0; i < info.elements; ++i, ++n) {
            const uint64_t now = bank.load(info, i);
            const uint64_t changed = now ^ before[n];
            const uint64_t may = wrote ? info.direct | info.clear_ones | info.set_ones
                                       : info.clear_on_read;
            FUZZ_REQUIRE((changed & ~may) == 0);
            FUZZ_REQUIRE((now & ~info.stored) == 0);
        }
}

void step(BankCore& bank, Input& input) {
    const auto op = input.take<uint8_t>();
    const uint64_t extent = bank.map().extent() + 32;
    const uint64_t offset = input.take<uint16_t>() % extent;
    const size_t size = 1 + (op >> 3);
    const auto before = values_of(bank);
    std::array<uint8_t, 64> data{};
    switch (op & 3) {
        case 0:
            bank.read(offset, std::span(data).first(size));
            require_allowed(bank, before, false);
            break;
        case 1:
            bank.write(offset, input.take_bytes(size));
            require_allowed(bank, before, true);
            break;
        case 2:
            bank.debug_read(offset, std::span(data).first(size));
            FUZZ_REQUIRE(values_of(bank) == before);
            break;
        default:
            if (op == 0xff) {
                bank.reset();
            } else {
                const Snapshot snapshot = bank.snapshot();
                BankCore other(bank.map(), "other");
                if (other.restore(snapshot)) FUZZ_REQUIRE(values_of(other) == before);
                FUZZ_REQUIRE(bank.restore(snapshot));
                FUZZ_REQUIRE(values_of(bank) == before);
            }
    }
}

}  // namespace
}  // namespace mimic::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    using namespace mimic;
    using namespace mimic::fuzz;
    log::set_level(log::Level::kOff);
    Input input(data, size);
    static const std::array<reg::MapView, 3> views = {
        reg::test::kNatural.view(), reg::test::kMerge.view(), reg::test::kWhole.view()};
    reg::BankCore bank(views[input.take<uint8_t>() % views.size()], "fuzz");
    while (!input.empty()) step(bank, input);
    return 0;
}
