// SPDX-License-Identifier: Apache-2.0
// mock_accel's BAR0 and config space: accesses of all sizes, resets and status changes in any
// order. Identity never changes, a PF never shows more VFs than it has, and interrupts come from
// enabled vectors only.
#include <array>
#include <memory>

#include "base/log.h"
#include "devices/mock_accel/mock_accel.h"
#include "pci/testing/slot.h"
#include "tests/fuzz/fuzz.h"

namespace mimic::fuzz {
namespace {

using namespace pci;

// Time stands still: rings never start.
class OneVector final : public FakeSlot {
public:
    explicit OneVector(const Function& function) : function_(function) {}
    void send_msix(uint32_t vector) override {
        FUZZ_REQUIRE(vector == mock_accel::kStatusVector);
        FUZZ_REQUIRE(function_.in_d0() && function_.bus_master_enabled());
    }

private:
    const Function& function_;
};

constexpr uint32_t kTotalVfs = 4;

uint64_t read(Function& device, uint64_t offset, size_t size) {
    uint64_t value = 0;
    device.read_bar(0, offset, {reinterpret_cast<uint8_t*>(&value), size});
    return value;
}

void require_identity(mock_accel::MockAccel& device, const mock_accel::Options& options) {
    FUZZ_REQUIRE(read(device, mock_accel::DEVICE_ID.offset, 4) == mock_accel::kDeviceIdValue);
    FUZZ_REQUIRE(read(device, mock_accel::MEMORY_SIZE.offset, 8) == options.memory_size_bytes);
    FUZZ_REQUIRE(read(device, mock_accel::CAPABILITIES.offset, 4) == options.capabilities);
    FUZZ_REQUIRE(device.num_vfs() <= (options.is_vf() ? 0 : kTotalVfs));
    FUZZ_REQUIRE(device.display_uuid() == options.identifier);
}

void step(mock_accel::MockAccel& device, Input& input) {
    const auto op = input.take<uint8_t>();
    // A transport passes accesses inside the BAR only.
    const uint64_t at = input.take<uint16_t>() % mock_accel::kBarSizeBytes;
    const size_t size = std::min<uint64_t>(size_t{1} << ((op >> 3) & 3),
                                           mock_accel::kBarSizeBytes - at);
    switch (op & 7) {
        case 0:
        case 1:
            if (const auto data = input.take_bytes(size); !data.empty())
                device.write_bar(
                    0, at,
                    data.first(std::min<size_t>(data.size(), mock_accel::kBarSizeBytes - at)));
            break;
        case 2:
            (void)read(device, at, size);
            break;
        case 3:
        case 4:
            device.config_write(static_cast<uint32_t>(at), input.take_bytes(size));
            break;
        case 5:
            device.set_status(input.take<uint32_t>());
            break;
        case 6: {
            std::array<uint8_t, 4096> all;
            device.read_bar(0, 0, all);
            break;
        }
        default:
            device.reset(static_cast<ResetKind>((op >> 3) % 4));
            break;
    }
}

}  // namespace
}  // namespace mimic::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    using namespace mimic;
    using namespace mimic::fuzz;
    log::set_level(log::Level::kOff);
    Input input(data, size);
    const bool is_vf = (input.take<uint8_t>() & 1) != 0;
    mock_accel::Options options{.name = "fuzz", .identifier = "NODE1-NUMA0-PF"};
    if (is_vf)
        options.role = mock_accel::StaticVf{};
    else
        options.role = mock_accel::Pf{.vfs = mock_accel::StaticVfs{kTotalVfs}};
    auto device = mock_accel::MockAccel::create(options).value();
    OneVector slot(*device);
    device->attach(slot);
    while (!input.empty()) step(*device, input);
    if (device->in_d0()) require_identity(*device, options);
    const auto snapshot = device->snapshot();
    FUZZ_REQUIRE(device->restore(snapshot));
    device->detach();
    require_identity(*device, options);
    FUZZ_REQUIRE(device->num_vfs() == 0);
    return 0;
}
