// SPDX-License-Identifier: Apache-2.0
// Config space of a function with every capability there is: reads, writes, resets and interrupts
// in any order. The lists stay walkable, read-only registers keep their values, and a reset
// restores what there was.
#include <algorithm>
#include <array>
#include <memory>
#include <set>

#include "pci/function/capabilities.h"
#include "pci/testing/slot.h"
#include "tests/fuzz/fuzz.h"

namespace mimic::fuzz {
namespace {

using namespace pci;

using Image = std::array<uint8_t, 4096>;

class VectorsThatExist final : public FakeSlot {
public:
    void send_msix(uint32_t vector) override { FUZZ_REQUIRE(vector < 16); }
    void send_msi(uint32_t vector) override { FUZZ_REQUIRE(vector < 32); }
    void set_intx(bool) override {}
};

class Everything final : public Function {
public:
    static std::unique_ptr<Everything> create() {
        FunctionOptions options;
        options.name = "fuzz";
        options.vendor_id = 0x1de5;
        options.device_id = 0x00fe;
        options.class_code = 0x120000;
        options.interrupt_pin = 1;
        options.bars[0] = {.type = BarType::kMemory32, .size = 0x10000};
        options.bars[1] = {.type = BarType::kIo, .size = 32};
        options.bars[2] = {
            .type = BarType::kMemory64, .prefetchable = true, .size = uint64_t{1} << 33};
        std::unique_ptr<Everything> made(new Everything(std::move(options)));
        const std::array<uint8_t, 5> body = {1, 2, 3, 4, 5};
        const std::array<uint8_t, 5> writable = {0xff, 0, 0x0f};
        CapabilityBuilder builder(*made);
        FUZZ_REQUIRE(builder.add_power_management({.d1 = true}));
        FUZZ_REQUIRE(builder.add_msi({.vectors = 32}));
        FUZZ_REQUIRE(builder.add_msix({.vectors = 16, .table_offset = 0, .pba_offset = 0x1000}));
        FUZZ_REQUIRE(builder.add_pcie({}));
        FUZZ_REQUIRE(builder.add_vendor_specific({.body = body, .writable = writable}));
        FUZZ_REQUIRE(builder.add_aer({}));
        FUZZ_REQUIRE(builder.add_device_serial_number(0x0123456789abcdef));
        FUZZ_REQUIRE(builder.add_vsec({.vsec_id = 7, .body = body, .writable = writable}));
        return made;
    }

    std::span<const uint8_t> rom() const override { return rom_; }

    using Function::raise_msi;
    using Function::raise_msix;
    using Function::set_intx;

private:
    explicit Everything(FunctionOptions options) : Function(std::move(options)) {}
    void on_read(unsigned, uint64_t, std::span<uint8_t> data) override {
        std::fill(data.begin(), data.end(), uint8_t{0});
    }
    void on_write(unsigned, uint64_t, std::span<const uint8_t>) override {}
    void on_reset(ResetKind) override {}

    std::array<uint8_t, 3000> rom_{0x55, 0xaa};
};

Image image_of(Function& function) {
    Image image;
    function.config_read(0, image);
    return image;
}

void require_walkable(const Image& image, size_t capabilities, size_t extended) {
    std::set<uint32_t> seen;
    for (uint32_t at = image[0x34]; at != 0; at = image[at + 1]) {
        FUZZ_REQUIRE(at >= 0x40 && at <= 0xfc && at % 4 == 0);
        FUZZ_REQUIRE(seen.insert(at).second);
    }
    FUZZ_REQUIRE(seen.size() == capabilities);
    seen.clear();
    for (uint32_t at = 0x100; at != 0;) {
        FUZZ_REQUIRE(at >= 0x100 && at <= 0xffc && at % 4 == 0);
        FUZZ_REQUIRE(seen.insert(at).second);
        uint32_t header;
        std::memcpy(&header, &image[at], sizeof header);
        at = header >> 20;
    }
    FUZZ_REQUIRE(seen.size() == extended);
}

// Bits that no write may change: those with no rule that lets a guest change them.
void require_read_only(const Function& function, const Image& before, const Image& now) {
    for (uint32_t at = 0; at < before.size(); at += 4) {
        uint32_t was;
        uint32_t is;
        std::memcpy(&was, &before[at], sizeof was);
        std::memcpy(&is, &now[at], sizeof is);
        if (was == is) continue;
        const RegisterRules rules = function.config().rules(at);
        // STATUS.INTERRUPT and the pending bits of MSI follow the device, not the guest.
        const bool by_device = at == 4 || (rules.writable | rules.w1c) == 0;
        FUZZ_REQUIRE(by_device || ((was ^ is) & ~(rules.writable | rules.w1c)) == 0);
        FUZZ_REQUIRE(at >= 4 || at == 0x34);
        FUZZ_REQUIRE(at != 0x08 && at != 0x2c && at != 0x34);
    }
}

void step(Everything& function, Input& input) {
    const auto op = input.take<uint8_t>();
    const auto at = static_cast<uint32_t>(input.take<uint16_t>() % 4200);
    switch (op & 7) {
        case 0:
        case 1:
        case 2:
            function.config_write(at, input.take_bytes(1 + (op >> 3) % 8));
            break;
        case 3: {
            std::array<uint8_t, 64> data;
            function.config_read(at, std::span(data).first(1 + (op >> 3)));
            break;
        }
        case 4:
            function.write_bar(0, at, input.take_bytes(8));
            break;
        case 5:
            if ((op & 8) != 0)
                function.raise_msi(at % 32);
            else
                function.raise_msix(at % 16);
            break;
        case 6:
            function.set_intx((op & 8) != 0);
            break;
        default:
            function.reset(static_cast<ResetKind>((op >> 3) % 4));
            break;
    }
}

}  // namespace
}  // namespace mimic::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    using namespace mimic;
    using namespace mimic::fuzz;
    Input input(data, size);
    auto function = Everything::create();
    VectorsThatExist slot;
    slot.owns_table = (input.take<uint8_t>() & 1) != 0;
    function->attach(slot);
    const Image fresh = image_of(*function);
    require_walkable(fresh, 5, 3);
    while (!input.empty()) step(*function, input);
    const Image now = image_of(*function);
    require_walkable(now, 5, 3);
    require_read_only(*function, fresh, now);
    function->reset(pci::ResetKind::kConventional);
    FUZZ_REQUIRE(image_of(*function) == fresh);
    FUZZ_REQUIRE(function->in_d0());
    function->detach();
    return 0;
}
