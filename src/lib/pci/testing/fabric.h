// SPDX-License-Identifier: Apache-2.0
// What the tests of fabrics plug together: a host that writes down what it gets and has memory, a
// device with registers, MSI-X and, as a PF, VFs of its own kind; and a fabric of both, programmed
// as firmware would.
#pragma once

#include <array>
#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/check.h"
#include "base/testing/virtual_time.h"
#include "memory/testing/fake_memory.h"
#include "pci/fabric/fabric.h"
#include "pci/function/capabilities.h"
#include "pci/function/sriov.h"

namespace mimic::pci {

// Windows of the host, in bus addresses.
inline constexpr uint64_t kWindow32 = 0x8000'0000;
inline constexpr uint64_t kWindow32Size = 0x1000'0000;
inline constexpr uint64_t kWindow64 = 0x40'0000'0000;
inline constexpr uint64_t kWindow64Size = 0x10'0000'0000;
inline constexpr uint64_t kMsiAddress = 0xfee0'0000;  // vector n of the host: | n << 12

/// A fabric's host with 16 vectors, 64 KiB of memory at 0, and tasks that wait for run().
class FakeHost final : public Fabric::Host {
public:
    FakeHost() { memory.add(0, 0x1'0000); }

    std::vector<uint32_t> interrupts;
    memory::FakeMemory memory;
    VirtualTime time;
    bool bus_master = true;

    /// Runs what was posted, answers DMA that waits, and runs what comes of that.
    void run() {
        do {
            time.run();
        } while (memory.answer());
    }
    std::vector<uint32_t> take() { return std::exchange(interrupts, {}); }

    void interrupt(uint32_t vector) override { interrupts.push_back(vector); }
    uint32_t vectors() const override { return 16; }
    memory::DmaSpace* fabric_dma() override { return bus_master ? &memory : nullptr; }
    TaskRunner& fabric_runner() override { return time; }
    bool is_window(uint64_t address) const override {
        return (address >= kWindow32 && address - kWindow32 < kWindow32Size) ||
               (address >= kWindow64 && address - kWindow64 < kWindow64Size);
    }
};

/// What differs between two test devices.
struct TestDeviceOptions {
    std::string name = "dev";
    uint16_t vfs = 0;  // more than 0: a PF
    uint16_t first_offset = 1;
    uint16_t stride = 1;
    uint64_t bar0_bytes = 0x1'0000;
    bool multifunction = false;
};

/// A device: BAR0 (32 bits, in a VF 64 bits and 16 KiB) has an MSI-X table of 4 vectors at 0, its
/// PBA at 0x800 and 4 KiB of memory at 0x1000; BAR2 (64 bits, prefetchable, 1 MiB) repeats it.
class TestDevice final : public Function {
public:
    static constexpr uint32_t kRegisters = 0x1000;
    static constexpr uint64_t kVfBarBytes = 0x4000;

    static std::unique_ptr<TestDevice> create(const TestDeviceOptions& options) {
        FunctionOptions function;
        function.name = options.name;
        function.vendor_id = 0x1de5;
        function.device_id = 0x0001;
        function.subsystem_vendor_id = 0x1af4;
        function.subsystem_id = 0x1100;
        function.class_code = 0x120000;
        function.multifunction = options.multifunction;
        function.bars[0] = {.type = BarType::kMemory32, .size = options.bar0_bytes};
        function.bars[2] = {
            .type = BarType::kMemory64, .prefetchable = true, .size = uint64_t{1} << 20};
        std::unique_ptr<TestDevice> device(new TestDevice(std::move(function)));
        device->add_capabilities(options);
        return device;
    }
    ~TestDevice() override { --alive; }

    using Function::dma;
    using Function::raise_msix;

    /// VF `index` of this PF.
    TestDevice& vf(uint32_t index) { return static_cast<TestDevice&>(*sriov()->vf(index)); }

    std::array<uint8_t, 0x1000> memory{};
    std::vector<ResetKind> resets;
    std::vector<uint32_t> vf_changes;
    std::function<void()> on_bar_write;
    std::function<void()> during_reset;
    uint32_t writes = 0;

    static inline int alive = 0;  // devices that exist

private:
    explicit TestDevice(FunctionOptions options) : Function(std::move(options)) { ++alive; }

    void add_capabilities(const TestDeviceOptions& options) {
        CapabilityBuilder builder(*this);
        const auto ok = [](const auto& result) { MIMIC_CHECK(result.has_value()); };
        ok(builder.add_power_management({.no_soft_reset = true}));
        ok(builder.add_msix({.vectors = 4, .table_offset = 0, .pba_offset = 0x800}));
        ok(builder.add_pcie({}));
        ok(builder.add_aer({}));
        if (!this->options().virtual_function) ok(builder.add_ari());
        if (options.vfs == 0) return;
        SriovOptions sriov;
        sriov.total_vfs = options.vfs;
        sriov.vf_device_id = 0x0002;
        sriov.first_offset = options.first_offset;
        sriov.stride = options.stride;
        sriov.vf_bars[0] = {.type = BarType::kMemory64, .prefetchable = true, .size = kVfBarBytes};
        sriov.vf_bars[2] = {.type = BarType::kMemory32, .size = 0x1000};
        vf_bars_ = sriov.vf_bars;
        ok(builder.add_sriov(sriov));
    }

    std::unique_ptr<Function> make_vf(uint32_t index) override {
        FunctionOptions vf = options();
        vf.name = fmt::format("{}-vf{}", name(), index);
        vf.virtual_function = true;
        vf.multifunction = false;
        vf.bars = vf_bars_;
        std::unique_ptr<TestDevice> device(new TestDevice(std::move(vf)));
        device->add_capabilities({});
        return device;
    }
    void on_vfs_changed(uint32_t enabled) override { vf_changes.push_back(enabled); }
    void on_read(unsigned, uint64_t offset, std::span<uint8_t> data) override {
        for (size_t i = 0; i < data.size(); ++i) data[i] = memory[(offset + i) % memory.size()];
    }
    void on_write(unsigned, uint64_t offset, std::span<const uint8_t> data) override {
        ++writes;
        for (size_t i = 0; i < data.size(); ++i) memory[(offset + i) % memory.size()] = data[i];
        if (on_bar_write) on_bar_write();
    }
    void on_reset(ResetKind kind) override {
        resets.push_back(kind);
        memory.fill(0);
        if (during_reset) during_reset();
    }

    std::array<Bar, kBarCount> vf_bars_{};
};

/// Accesses as a guest makes them. Functions are named by routing id: bus << 8 | devfn.
class Guest {
public:
    explicit Guest(Fabric& fabric) : fabric_(fabric) {}

    template <typename T = uint32_t>
    T config(uint32_t rid, uint32_t offset) {
        T value{};
        fabric_.config_read((uint64_t{rid} << 12) + offset,
                            {reinterpret_cast<uint8_t*>(&value), sizeof value});
        return value;
    }
    template <typename T>
    void set_config(uint32_t rid, uint32_t offset, T value) {
        fabric_.config_write((uint64_t{rid} << 12) + offset,
                             {reinterpret_cast<const uint8_t*>(&value), sizeof value});
    }
    void set_bits(uint32_t rid, uint32_t offset, uint16_t bits) {
        set_config(rid, offset, static_cast<uint16_t>(config<uint16_t>(rid, offset) | bits));
    }
    void clear_bits(uint32_t rid, uint32_t offset, uint16_t bits) {
        set_config(rid, offset, static_cast<uint16_t>(config<uint16_t>(rid, offset) & ~bits));
    }
    template <typename T = uint32_t>
    T load(uint64_t address) {
        T value{};
        fabric_.memory_read(address, {reinterpret_cast<uint8_t*>(&value), sizeof value});
        return value;
    }
    template <typename T = uint32_t>
    void store(uint64_t address, T value) {
        fabric_.memory_write(address, {reinterpret_cast<const uint8_t*>(&value), sizeof value});
    }

    /// Opens the windows of a port, in MiB from kWindow32 and GiB from kWindow64, and its bus
    /// mastering.
    void open_port(uint32_t rid, uint32_t first_mib, uint32_t mibs, uint32_t first_gib,
                   uint32_t gibs) {
        const uint64_t base = kWindow32 + (uint64_t{first_mib} << 20);
        const uint64_t limit = base + (uint64_t{mibs} << 20) - 1;
        set_config(rid, regs::MEMORY_BASE,
                   static_cast<uint32_t>((base >> 16) | (limit & 0xfff0'0000)));
        const uint64_t wide = kWindow64 + (uint64_t{first_gib} << 30);
        const uint64_t wide_limit = wide + (uint64_t{gibs} << 30) - 1;
        set_config(
            rid, regs::PREFETCHABLE_BASE,
            static_cast<uint32_t>(((wide & 0xffff'ffff) >> 16) | (wide_limit & 0xfff0'0000)));
        set_config(rid, regs::PREFETCHABLE_BASE_UPPER, static_cast<uint32_t>(wide >> 32));
        set_config(rid, regs::PREFETCHABLE_LIMIT_UPPER, static_cast<uint32_t>(wide_limit >> 32));
        set_bits(rid, regs::COMMAND, regs::COMMAND_MEMORY_SPACE | regs::COMMAND_BUS_MASTER);
    }

    /// Gives a test device its BARs and turns it on.
    void open_device(uint32_t rid, uint64_t bar0, uint64_t bar2) {
        set_config(rid, regs::BAR0, static_cast<uint32_t>(bar0));
        set_config(rid, regs::BAR0 + 8, bar2);
        set_bits(rid, regs::COMMAND, regs::COMMAND_MEMORY_SPACE | regs::COMMAND_BUS_MASTER);
    }

    /// Enables MSI-X of a test device (or VF) whose BAR0 is at `bar0`: its vector i fires the
    /// host's vector first + i.
    void open_msix(const Function& function, uint32_t rid, uint64_t bar0, uint32_t first) {
        for (uint32_t i = 0; i < 4; ++i) {
            store<uint64_t>(bar0 + 16 * i, kMsiAddress | (uint64_t{first + i} << 12));
            store<uint64_t>(bar0 + 16 * i + 8, 0);
        }
        const uint32_t cap = function.config().find_capability(regs::CAP_ID_MSIX);
        set_bits(rid, cap + regs::MSIX_CONTROL, regs::MSIX_CONTROL_ENABLE);
    }

    /// Enables the MSI of a port.
    void open_msi(const Function& function, uint32_t rid, uint32_t vector) {
        const uint32_t cap = function.config().find_capability(regs::CAP_ID_MSI);
        set_config(rid, cap + regs::MSI_ADDRESS,
                   static_cast<uint32_t>(kMsiAddress | (vector << 12)));
        set_bits(rid, cap + regs::MSI_CONTROL, regs::MSI_CONTROL_ENABLE);
        set_bits(rid, regs::COMMAND, regs::COMMAND_BUS_MASTER);
    }

    /// Enables `count` VFs with their memory; VF BAR0 begins at `bar0`.
    void open_vfs(const Function& pf, uint32_t rid, uint16_t count, uint64_t bar0,
                  bool ari = true) {
        const uint32_t cap = pf.config().find_extended_capability(regs::EXT_CAP_ID_SRIOV);
        set_config(rid, cap + regs::SRIOV_NUM_VFS, count);
        set_config(rid, cap + regs::SRIOV_VF_BAR0, bar0);
        set_config(rid, cap + regs::SRIOV_CONTROL,
                   static_cast<uint16_t>(regs::SRIOV_CONTROL_VF_ENABLE |
                                         regs::SRIOV_CONTROL_VF_MEMORY_SPACE |
                                         (ari ? regs::SRIOV_CONTROL_ARI_HIERARCHY : 0)));
    }

private:
    Fabric& fabric_;
};

/// The tree of most tests, programmed and running:
///
///     00:01.0 rp0, hot-plug ── 01:00.0 pf (64 VFs)
///     00:02.0 rp1 ── 09:00.0 up ──┬─ 0a:00.0 down0 ── 0b:00.0 a
///                                 └─ 0a:01.0 down1 ── 0c:00.0 b
///     00:03.0 rp2, hot-plug ── (spare, not plugged in)
struct TestTree {
    static constexpr uint32_t kRp0 = 0x008, kRp1 = 0x010, kRp2 = 0x018, kPf = 0x100, kUp = 0x900,
                              kDown0 = 0xa00, kDown1 = 0xa08, kA = 0xb00, kB = 0xc00,
                              kSentinelPort = 0, kSentinel = 0x1e00;
    static constexpr uint64_t kPfBar0 = kWindow32, kPfBar2 = kWindow64,
                              kVfBar0 = kWindow64 + 0x1000'0000, kABar0 = kWindow32 + 0x0200'0000,
                              kABar2 = kWindow64 + 0x4000'0000, kBBar0 = kABar0 + 0x10'0000,
                              kBBar2 = kABar2 + 0x4000'0000;

    /// `with_sentinel`: adds 00:00.0 ── 1e:00.0, which have addresses and buses of their own and
    /// come first in their look-up.
    explicit TestTree(bool with_sentinel = false) {
        if (with_sentinel) {
            sentinel_port = port(nullptr, kSentinelPort, {.name = "rp-sentinel"}, 30, 31);
            sentinel = device(sentinel_port, 0, {.name = "sentinel"});
        }
        rp0 = port(nullptr, kRp0, {.name = "rp0", .slot = 1, .hot_plug = true}, 1, 8);
        rp1 = port(nullptr, kRp1, {.name = "rp1"}, 9, 16);
        rp2 = port(nullptr, kRp2, {.name = "rp2", .slot = 2, .hot_plug = true}, 17, 20);
        up = port(rp1, 0, {.name = "up", .type = PciePortType::kUpstreamPort}, 10, 16);
        down0 = port(up, 0, {.name = "down0", .type = PciePortType::kDownstreamPort}, 11, 11);
        down1 = port(up, 8, {.name = "down1", .type = PciePortType::kDownstreamPort}, 12, 12);
        pf = device(rp0, 0, {.name = "pf", .vfs = 64});
        a = device(down0, 0, {.name = "a"});
        b = device(down1, 0, {.name = "b"});
        spare = device(rp2, 0, {.name = "spare"}, false);
        fabric.attach(host);
        program();
    }
    ~TestTree() {
        fabric.detach();
        host.run();
    }

    /// What firmware and the guest's PCI core do, but for VFs and interrupts.
    void program() {
        if (sentinel != nullptr) {
            guest.open_port(kSentinelPort, 255, 1, 60, 1);
            guest.open_device(kSentinel, kWindow32 + 0xff0'0000, kWindow64 + (60ULL << 30));
        }
        guest.open_port(kRp0, 0, 32, 0, 1);
        guest.open_port(kRp1, 32, 32, 1, 2);
        guest.open_port(kUp, 32, 32, 1, 2);
        guest.open_port(kDown0, 32, 1, 1, 1);
        guest.open_port(kDown1, 33, 1, 2, 1);
        guest.open_device(kPf, kPfBar0, kPfBar2);
        guest.open_device(kA, kABar0, kABar2);
        guest.open_device(kB, kBBar0, kBBar2);
        guest.set_bits(kRp0, rp0->pcie_capability() + regs::DEVCTL2, regs::DEVCTL2_ARI_FORWARDING);
    }
    uint64_t vf_bar0(uint32_t index) const { return kVfBar0 + index * TestDevice::kVfBarBytes; }
    uint32_t sriov_cap() const {
        return pf->config().find_extended_capability(regs::EXT_CAP_ID_SRIOV);
    }
    uint32_t aer_cap(const Function& function) const {
        return function.config().find_extended_capability(regs::EXT_CAP_ID_AER);
    }

    Port* port(Port* above, uint32_t devfn, const PortOptions& options, uint8_t secondary,
               uint8_t subordinate) {
        auto made = fabric.add_bridge(above, static_cast<uint8_t>(devfn), options, secondary,
                                      subordinate);
        MIMIC_CHECK(made.has_value());
        return *made;
    }
    TestDevice* device(Port* above, uint8_t devfn, const TestDeviceOptions& options,
                       bool plugged = true) {
        auto made = TestDevice::create(options);
        TestDevice* const result = made.get();
        MIMIC_CHECK(fabric.add_function(above, devfn, std::move(made), plugged).has_value());
        return result;
    }

    FakeHost host;
    Fabric fabric{32};
    Guest guest{fabric};
    Port *rp0, *rp1, *rp2, *up, *down0, *down1;
    TestDevice *pf, *a, *b, *spare;
    Port* sentinel_port = nullptr;
    TestDevice* sentinel = nullptr;
};

}  // namespace mimic::pci
