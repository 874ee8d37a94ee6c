// SPDX-License-Identifier: Apache-2.0
// A fabric under a hostile guest and a restless world: accesses of any size, VFs that come and go,
// slots, links, errors, resets, interrupts and DMA in any order. A function that nothing addresses
// keeps all it has, VFs are exactly those that are enabled, and nothing outlives its end.
#include <algorithm>
#include <array>

#include "pci/testing/fabric.h"
#include "tests/fuzz/fuzz.h"

namespace mimic::fuzz {
namespace {

using namespace pci;
using T = TestTree;

constexpr uint64_t kSentinelMemory32 = kWindow32 + 0xff0'0000;
constexpr uint64_t kSentinelMemory64 = kWindow64 + (60ULL << 30);

struct Image {
    std::array<uint8_t, 4096> port{};
    std::array<uint8_t, 4096> device{};
    std::array<uint8_t, 0x1000> memory{};
    bool operator==(const Image&) const = default;
};

class World {
public:
    explicit World(Input& input) : input_(input) {
        // A device that answers each write with one of its own.
        tree_.pf->on_bar_write = [this] {
            if (memory::DmaSpace* const dma = tree_.pf->dma()) {
                dma->write(echo_, std::array{std::byte{1}, std::byte{2}}, [](Status) {});
            }
        };
        sentinel_ = image();
    }

    ~World() {
        tree_.fabric.detach();
        tree_.host.run();
        FUZZ_REQUIRE(tree_.pf->sriov()->num_vfs() == 0);
        FUZZ_REQUIRE(TestDevice::alive == kDevices);
    }

    void step() {
        const auto op = input_.take<uint8_t>();
        switch (op & 15) {
            case 0:
            case 1:
            case 2:
            case 3:
                config_write(1 + (op >> 4) % 8);
                break;
            case 4:
                config_read(1 + (op >> 4));
                break;
            case 5:
            case 6:
                memory_write(1 + (op >> 4));
                break;
            case 7:
                memory_read(1 + (op >> 4));
                break;
            case 8:
                tree_.guest.open_vfs(*tree_.pf, T::kPf, input_.take<uint8_t>() % 70, T::kVfBar0,
                                     (op & 16) != 0);
                break;
            case 9:
                slot_or_link(op >> 4);
                break;
            case 10:
                report_error(op >> 4);
                break;
            case 11:
                power(op >> 4);
                break;
            case 12:
                interrupt();
                break;
            case 13:
                dma((op >> 4) & 1);
                break;
            case 14:
                echo_ = address();
                break;
            default:
                host(op >> 4);
                break;
        }
    }

    void check() {
        FUZZ_REQUIRE(image() == sentinel_);
        Sriov& sriov = *tree_.pf->sriov();
        const uint16_t control = tree_.pf->config().u16(tree_.sriov_cap() + regs::SRIOV_CONTROL);
        const uint16_t wanted = tree_.pf->config().u16(tree_.sriov_cap() + regs::SRIOV_NUM_VFS);
        const bool enabled = (control & regs::SRIOV_CONTROL_VF_ENABLE) != 0;
        FUZZ_REQUIRE(wanted <= sriov.total_vfs());
        // They come in a later turn where too many wait to be freed.
        if (enabled && sriov.num_vfs() == 0 && wanted != 0) tree_.host.run();
        FUZZ_REQUIRE(sriov.num_vfs() == (enabled ? wanted : 0));
        for (uint32_t i = 0; i < sriov.num_vfs(); ++i) {
            FUZZ_REQUIRE(sriov.vf_at(sriov.routing_id_offset(i)) == sriov.vf(i));
            FUZZ_REQUIRE(sriov.vf(i)->physical_function() == tree_.pf);
        }
        FUZZ_REQUIRE(tree_.guest.config(0x2000, 0) == ~0U);  // a bus that there is not
    }

private:
    static constexpr int kDevices = 5;

    Image image() {
        Image result;
        tree_.sentinel_port->config().read(0, result.port);
        tree_.sentinel->config().read(0, result.device);
        result.memory = tree_.sentinel->memory;
        return result;
    }

    // Half of them name a function that is there.
    uint32_t routing_id() {
        constexpr std::array<uint32_t, 10> kKnown = {T::kRp0,    T::kRp1, T::kRp2,   T::kPf,
                                                     T::kPf + 1, T::kUp,  T::kDown0, T::kDown1,
                                                     T::kA,      T::kB};
        const auto which = input_.take<uint8_t>();
        const uint32_t rid = which < 128 ? kKnown[which % kKnown.size()] : input_.take<uint16_t>();
        const uint32_t bus = rid >> 8;
        return rid == T::kSentinelPort || bus == 30 || bus == 31 ? T::kPf : rid;
    }

    uint64_t address() {
        constexpr std::array<uint64_t, 10> kKnown = {
            0,         kMsiAddress, T::kPfBar0, T::kPfBar2, T::kABar0,
            T::kABar2, T::kBBar0,   T::kBBar2,  T::kVfBar0, T::kVfBar0 + TestDevice::kVfBarBytes};
        const auto which = input_.take<uint8_t>();
        const uint64_t at = which < 224 ? kKnown[which % kKnown.size()] + input_.take<uint16_t>()
                                        : input_.take<uint64_t>();
        // The sentinel's megabyte and gigabyte, and what is so near that an access may reach them.
        const bool near32 = at + (1 << 20) >= kSentinelMemory32 && at < kWindow32 + kWindow32Size;
        const bool near64 = at + (1 << 20) >= kSentinelMemory64 &&
                            at < kSentinelMemory64 + (1ULL << 30);
        return near32 || near64 ? 0 : at;
    }

    void config_write(size_t size) {
        const uint32_t rid = routing_id();
        const uint64_t at = (uint64_t{rid} << 12) + input_.take<uint16_t>() % 4096;
        tree_.fabric.config_write(at, input_.take_bytes(size));
    }

    void config_read(size_t size) {
        std::array<uint8_t, 16> data;
        tree_.fabric.config_read(input_.take<uint32_t>(), std::span(data).first(size));
    }

    void memory_write(size_t size) {
        const uint64_t at = address();
        const auto data = input_.take_bytes(size);
        if (!data.empty()) tree_.fabric.memory_write(at, data);
    }

    void memory_read(size_t size) {
        std::array<uint8_t, 16> data;
        tree_.fabric.memory_read(address(), std::span(data).first(size));
    }

    void slot_or_link(uint32_t what) {
        constexpr std::array kNames = {"pf", "spare", "rp0", "rp1", "up", "down0", "a", "b"};
        const char* const name = kNames[input_.take<uint8_t>() % kNames.size()];
        Status status;
        if (what % 4 == 0) status = tree_.fabric.unplug(name);
        if (what % 4 == 1) status = tree_.fabric.plug(name);
        if (what % 4 >= 2) status = tree_.fabric.set_link(name, what % 4 == 2);
        (void)status;
    }

    Function& function() {
        const std::array<Function*, 10> all = {tree_.rp0,   tree_.rp1,  tree_.rp2, tree_.up,
                                               tree_.down0, tree_.pf,   tree_.a,   tree_.b,
                                               tree_.spare, tree_.down1};
        const auto which = input_.take<uint8_t>();
        if (Function* const vf = tree_.pf->sriov()->vf(which)) return *vf;
        return *all[which % all.size()];
    }

    void report_error(uint32_t what) {
        AerError error;
        error.correctable = (what & 1) != 0;
        error.bit = 1U << (input_.take<uint8_t>() % 32);
        error.header[0] = input_.take<uint32_t>();
        if ((what & 2) != 0) error.fatal = (what & 4) != 0;
        function().report_error(error);
    }

    void power(uint32_t what) {
        if (what < 10) {
            return function().reset(static_cast<ResetKind>(what % 3));
        }
        if (what < 13) {
            tree_.fabric.reset();
        } else {
            tree_.fabric.detach();
            if (what == 13) tree_.host.run();
            tree_.fabric.attach(tree_.host);
        }
        tree_.program();
        sentinel_ = image();
    }

    TestDevice& device() {
        const auto which = input_.take<uint8_t>();
        if (which < tree_.pf->sriov()->num_vfs()) return tree_.pf->vf(which);
        return which % 3 == 0 ? *tree_.pf : which % 3 == 1 ? *tree_.a : *tree_.spare;
    }

    void interrupt() {
        TestDevice& from = device();
        from.raise_msix(input_.take<uint8_t>() % 4);
    }

    void dma(bool write) {
        TestDevice& from = device();
        memory::DmaSpace* const space = from.dma();
        const uint64_t at = address();
        const size_t size = input_.take<uint16_t>();
        if (space == nullptr) return;
        // As a model does, which is not answered once it was detached or has gone.
        const auto done = [&from](const auto&) { FUZZ_REQUIRE(from.slot() != nullptr); };
        if (!write) return space->read(at, size, done);
        space->write(at, std::vector<std::byte>(size, std::byte{0x5a}), done);
    }

    void host(uint32_t what) {
        if (what < 8) return tree_.host.run();
        if (what < 12) tree_.host.memory.answers_later = (what & 1) != 0;
        if (what >= 12) tree_.host.bus_master = (what & 1) != 0;
    }

    Input& input_;
    TestTree tree_{true};
    Image sentinel_;
    uint64_t echo_ = 0;
};

}  // namespace
}  // namespace mimic::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    using namespace mimic::fuzz;
    Input input(data, size);
    World world(input);
    while (!input.empty()) {
        world.step();
        world.check();
    }
    return 0;
}
