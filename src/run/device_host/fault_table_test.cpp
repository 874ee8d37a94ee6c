// SPDX-License-Identifier: Apache-2.0
// Each fault on each kind of device: it strikes, and a guest or the control API can see that, or it
// is refused with a reason. No fault is called done that does nothing.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <map>
#include <set>

#include "device_host/device_factory.h"
#include "device_host/fabric_factory.h"
#include "devices/all_models.h"
#include "devices/clone/clone.h"
#include "devices/mock_accel/device_rig.h"
#include "devices/mock_accel/registers.h"
#include "host/control_targets.h"
#include "pci/config/pci_regs.h"
#include "pci/fabric/port.h"
#include "pci/function/sriov.h"
#include "topology/topology.h"

namespace mimic::device_host {
namespace {

using pci::FaultKind;
using pci::FaultState;
using testing::HasSubstr;
using namespace pci::regs;

constexpr const char* kFaultsFile = R"(
version: 1
machine:
  name: m
  switches: [{name: sw0}]
  devices:
    - {name: old0, model: mock-accel, vfs: {count: 1}}
    - {name: gpu0, model: mock-accel, sriov: native, vfs: {count: 1}}
    - {name: gpu1, model: mock-accel, hotplug: true, slot: 7}
    - {name: gpu2, model: mock-accel, switch: sw0}
)";

// A NIC with MSI-X and AER, as lspci would show it.
clone::Options nic() {
    std::vector<uint8_t> image(4096, 0);
    const auto put = [&image](size_t at, uint32_t value) {
        for (size_t i = 0; i < 4; ++i) image[at + i] = static_cast<uint8_t>(value >> (8 * i));
    };
    put(VENDOR_ID, 0x1563'8086);
    put(COMMAND, 0x0010'0406);
    put(REVISION_ID, 0x0200'0001);
    put(BAR0, 0xfe80'000c);
    put(CAPABILITIES_POINTER, 0x50);
    put(0x50, 0x0003'7011);  // MSI-X with 4 vectors, then PCI Express
    put(0x58, 0x1000);
    put(0x70, 0x0002'0010);
    put(0x74, 0x1000'8cc2);
    put(0x100, 0x0002'0001);  // AER
    clone::Options options{.name = "nic0", .image = image};
    options.bars[0] = {.type = pci::BarType::kMemory64, .prefetchable = true, .size = 16384};
    return options;
}

// A guest's side of one function, past all routing: what it is asked here is what it does there.
class Guest {
public:
    explicit Guest(pci::Function& function) : function_(function) {}

    uint32_t config(uint32_t at) {
        uint32_t value = 0;
        function_.config_read(at, {reinterpret_cast<uint8_t*>(&value), 4});
        return value;
    }
    void set_u16(uint32_t at, uint16_t value) {
        function_.config_write(at, {reinterpret_cast<const uint8_t*>(&value), 2});
    }
    void store(uint64_t at, uint64_t value, size_t size = 4) {
        function_.write_bar(0, at, {reinterpret_cast<const uint8_t*>(&value), size});
    }

    // Everything on that a driver turns on.
    void start() {
        const auto& config = function_.config();
        set_u16(COMMAND, COMMAND_MEMORY_SPACE | COMMAND_BUS_MASTER);
        if (function_.pcie_capability() != 0)
            set_u16(function_.pcie_capability() + DEVCTL, 0xf);  // all error reporting
        if (const uint32_t aer = config.find_extended_capability(EXT_CAP_ID_AER); aer != 0) {
            set_u16(aer + AER_CORRECTABLE_MASK, 0);
            for (const uint32_t at : {AER_UNCORRECTABLE_MASK, AER_UNCORRECTABLE_MASK + 2})
                set_u16(aer + at, 0);
        }
        if (const uint32_t msix = config.find_capability(CAP_ID_MSIX); msix != 0) start_msix(msix);
        if (function_.options().header != pci::HeaderType::kBridge) return;
        set_u16(BRIDGE_CONTROL, BRIDGE_CONTROL_SERR);
        set_u16(config.find_capability(CAP_ID_MSI) + MSI_CONTROL, MSI_CONTROL_ENABLE);
    }

private:
    // Each vector goes to one of the VMD's, unmasked.
    void start_msix(uint32_t msix) {
        const uint32_t table = config(msix + MSIX_TABLE);
        for (uint32_t i = 0; i < function_.msix_vectors(); ++i) {
            const uint32_t entry[] = {0xfee0'0000U | i % 16 << 12, 0, 0, 0};
            function_.write_bar(table & 7, (table & ~7U) + sizeof entry * i,
                                {reinterpret_cast<const uint8_t*>(entry), 8});
            function_.write_bar(table & 7, (table & ~7U) + sizeof entry * i + 8,
                                {reinterpret_cast<const uint8_t*>(entry + 2), 8});
        }
        set_u16(msix + MSIX_CONTROL, MSIX_CONTROL_ENABLE);
    }

    pci::Function& function_;
};

class FaultTableTest : public testing::Test {
protected:
    FaultTableTest() {
        auto model = topology::parse(kFaultsFile, "test.yaml", devices::all_models());
        EXPECT_TRUE(model) << model.error().str();
        machine_ = model->machines.at(0);
        for (const auto& device : machine_.devices) {
            if (device.on_fabric) continue;
            for (const auto& function : device.functions)
                add(*make_function(device, function), nullptr);
        }
        add(*clone::Clone::create(nic()), nullptr);
        auto vmd = *make_fabric(machine_, machine_.fabrics.at(0));
        fabric_ = &vmd->fabric();
        add(std::move(vmd), fabric_);
    }
    ~FaultTableTest() override {
        targets_.clear();
        disconnect();
    }

    void add(std::unique_ptr<pci::Function> function, pci::Fabric* fabric) {
        const auto path = folder_ / fmt::format("{}.sock", function->name());
        servers_.push_back(
            *vfio_user::Server::create(context_, *function, {.socket_path = path, .session = {}}));
        targets_.add(*function, *servers_.back(), fabric, {});
        functions_.push_back(std::move(function));
    }

    // A guest comes, and starts all that it finds.
    void connect() {
        for (const auto& function : functions_) {
            slots_.push_back(std::make_unique<pci::FakeSlot>());
            slots_.back()->memory.add(0, 0x10'0000);
            function->attach(*slots_.back());
            Guest(*function).start();
        }
        start_fabric();
    }
    void start_fabric() {
        fabric_->for_each([](pci::Function& function, uint16_t) { Guest(function).start(); });
        pci::Function& pf = *fabric_->find("gpu0");
        const uint32_t sriov = pf.config().find_extended_capability(EXT_CAP_ID_SRIOV);
        Guest(pf).set_u16(sriov + SRIOV_NUM_VFS, 1);
        Guest(pf).set_u16(sriov + SRIOV_CONTROL,
                          SRIOV_CONTROL_VF_ENABLE | SRIOV_CONTROL_VF_MEMORY_SPACE);
        Guest(*pf.sriov()->vf(0)).start();
    }
    void disconnect() {
        for (const auto& function : functions_) function->detach();
    }
    void run() {
        tasks_.run_all(100);
        for (const auto& slot : slots_) slot->time.run_all(100);
    }

    // What makes a device do what faults stand in the way of: an access, a doorbell with its DMA,
    // an interrupt.
    void stir(pci::Function& function) {
        Guest guest(function);
        guest.config(VENDOR_ID);
        if (dynamic_cast<mock_accel::MockAccel*>(&function) != nullptr) {
            guest.store(mock_accel::STATUS.offset, ++status_);
            guest.store(mock_accel::RING_CONTROL.offset, 0);
            guest.store(mock_accel::RING_BASE.offset, 0x1000, 8);
            guest.store(mock_accel::COMPLETION_BASE.offset, 0x8000, 8);
            guest.store(mock_accel::RING_ORDER.offset, 3);
            guest.store(mock_accel::RING_CONTROL.offset, 3);
            guest.store(mock_accel::RING_TAIL.offset, 1);
        } else if (function.options().header == pci::HeaderType::kBridge) {
            // A root port interrupts for errors that it has not shown yet.
            const uint32_t aer = function.config().find_extended_capability(EXT_CAP_ID_AER);
            const bool is_root = static_cast<pci::Port&>(function).reports_errors();
            if (is_root) guest.set_u16(aer + AER_ROOT_COMMAND, 0);
            function.report_error({.correctable = true, .bit = AER_BAD_TLP});
            if (is_root) guest.set_u16(aer + AER_ROOT_COMMAND, 7);
        } else if (&function == functions_.back().get()) {
            // A VMD moves what its functions move.
            stir(*fabric_->find("gpu1"));
        }
        run();
    }

    pci::Function& function(const std::string& name) {
        for (const auto& endpoint : functions_)
            if (endpoint->name() == name) return *endpoint;
        return *fabric_->find(name);
    }
    uint32_t error_bits(pci::Function& function, const pci::Fault& fault) {
        const uint32_t aer = function.config().find_extended_capability(EXT_CAP_ID_AER);
        return function.config().u32(aer + (fault.kind == FaultKind::kCorrectable
                                                ? AER_CORRECTABLE_STATUS
                                                : AER_UNCORRECTABLE_STATUS));
    }
    std::string place(const std::string& name) {
        std::string text;
        fabric_->for_each_place([&](pci::Function& some, const pci::Fabric::Place& place) {
            if (some.name() == name)
                text = fmt::format("{} {}", place.present, place.link_up.value_or(false));
        });
        return text;
    }

    pci::FaultReport newest(control::Target& target) {
        pci::FaultReport best;
        for (const auto& report : target.faults())
            if (report.id > best.id) best = report;
        return best;
    }

    // The fault is taken, so it must be seen.
    void expect_effect(const std::string& name, const pci::Fault& fault) {
        const auto target = targets_.find(name);
        pci::Function& struck = function(name);
        const std::string before = place(name);
        const uint64_t root_errors = fabric_->counters().errors;
        const auto began = std::chrono::steady_clock::now();
        const Status injected = target->inject(fault);
        ASSERT_TRUE(injected) << injected.error().message();
        run();
        switch (fault.kind) {
            case FaultKind::kCorrectable:
            case FaultKind::kUncorrectable:
                EXPECT_NE(error_bits(struck, fault) & (1U << fault.aer_bit), 0U);
                EXPECT_EQ(fabric_->counters().errors, root_errors + 1);
                break;
            case FaultKind::kSlotRemove:
            case FaultKind::kSlotAdd:
            case FaultKind::kLinkDown:
            case FaultKind::kLinkUp:
                EXPECT_NE(place(name), before);
                break;
            case FaultKind::kHostHang:
                EXPECT_GE(std::chrono::steady_clock::now() - began, fault.delay);
                break;
            case FaultKind::kHostCrash:
                EXPECT_EQ(crashes_, 1);
                crashes_ = 0;
                break;
            case FaultKind::kClear:
                return;
            default:
                stir(struck);
        }
        const auto report = newest(*target);
        EXPECT_EQ(report.fault.name, fault.name);
        EXPECT_GE(report.strikes, 1U);
        EXPECT_EQ(report.note, "");
        target->clear_faults();
        run();
    }

    void put_back(const std::string& name) {
        const auto target = targets_.find(name);
        for (const char* fault : {"add", "link-up"})
            (void)target->inject(*pci::parse_fault(fault, {}));  // where it is not there already
        start_fabric();
    }

    // Faults of `name` that are refused now: fault, "!" where for ever.
    std::set<std::string> refused(const std::string& name) {
        std::set<std::string> names;
        for (const auto& refusal : targets_.find(name)->refusals()) {
            EXPECT_FALSE(refusal.reason.empty()) << refusal.fault;
            names.insert((refusal.for_now ? "" : "!") + std::string(refusal.fault));
        }
        return names;
    }

    std::filesystem::path folder_ = [] {
        std::string made = "/tmp/mimic-faults.XXXXXX";
        EXPECT_NE(::mkdtemp(made.data()), nullptr);
        return made;
    }();
    std::unique_ptr<EventLoop> loop_ = *EventLoop::create();
    vfio_user::LoopContext context_{*loop_};
    VirtualTime tasks_;
    int crashes_ = 0;
    uint32_t status_ = 0;
    topology::Machine machine_;
    pci::Fabric* fabric_ = nullptr;
    std::vector<std::unique_ptr<pci::FakeSlot>> slots_;
    std::vector<std::unique_ptr<pci::Function>> functions_;
    std::vector<std::unique_ptr<vfio_user::Server>> servers_;
    host::ControlTargets targets_{tasks_, [this] { ++crashes_; }};
};

std::set<std::string> names_of(std::initializer_list<FaultKind> kinds, const char* mark = "!") {
    std::set<std::string> names;
    for (const auto& entry : pci::fault_names())
        if (std::find(kinds.begin(), kinds.end(), entry.kind) != kinds.end())
            names.insert(mark + std::string(entry.name));
    return names;
}

std::set<std::string> operator+(std::set<std::string> all, const std::set<std::string>& more) {
    all.insert(more.begin(), more.end());
    return all;
}

const std::set<std::string> kErrors = names_of(
    {FaultKind::kCorrectable, FaultKind::kUncorrectable});
const std::set<std::string> kSlots = names_of(
    {FaultKind::kSlotRemove, FaultKind::kSlotAdd, FaultKind::kLinkDown, FaultKind::kLinkUp});
const std::set<std::string> kHotPlug = {"!remove", "!add"};
const std::set<std::string> kDma = names_of(
    {FaultKind::kDmaSlow, FaultKind::kDmaFail, FaultKind::kDmaCorrupt});
// Nothing here has a simulator behind it: those faults are tested with the device that has.
const std::set<std::string> kBackend = names_of(
    {FaultKind::kBackendDrop, FaultKind::kBackendDelay, FaultKind::kBackendCorrupt,
     FaultKind::kBackendWrongId, FaultKind::kBackendDead});
const std::set<std::string> kOwnMessages = {"!irq-lost", "!irq-late"};
const std::set<std::string> kPortErrors = {"!surprise-down", "!acs-violation", "!mc-blocked",
                                           "!atomicop-blocked", "!tlp-prefix-blocked"};

TEST_F(FaultTableTest, EachFaultStrikesOrIsRefused) {
    connect();
    const std::set<std::string> endpoint = kErrors + kSlots;
    const std::set<std::string> doorbell = {"!doorbell-stuck"};
    const std::map<std::string, std::set<std::string>> expected = {
        {"old0", endpoint},
        {"old0-vf0", endpoint},
        {"nic0", endpoint + kOwnMessages + kDma + doorbell},
        {"gpu0", kPortErrors + kHotPlug + std::set<std::string>{"link-up"}},
        {"gpu0-vf0", kPortErrors + kSlots},
        {"gpu1", kPortErrors + std::set<std::string>{"add", "link-up"}},
        {"gpu2", kPortErrors + kHotPlug + std::set<std::string>{"link-up"}},
        {"gpu0.port", kHotPlug + kDma + doorbell + std::set<std::string>{"link-up"}},
        {"gpu1.port", kDma + doorbell + std::set<std::string>{"add", "link-up"}},
        {"sw0.up", kHotPlug + kDma + doorbell + kOwnMessages + std::set<std::string>{"link-up"}},
        {functions_.back()->name(), endpoint + doorbell},
    };
    for (const auto& [name, refusals] : expected) {
        SCOPED_TRACE(name);
        ASSERT_NE(targets_.find(name), nullptr);
        EXPECT_EQ(refused(name), refusals + kBackend);
        for (const auto& entry : pci::fault_names()) {
            SCOPED_TRACE(entry.name);
            pci::Fault fault = *pci::parse_fault(entry.name, {});
            if (fault.kind == FaultKind::kHostHang) fault.delay = std::chrono::milliseconds(1);
            const auto now = refused(name);
            if (now.contains(std::string(entry.name)) ||
                now.contains("!" + std::string(entry.name))) {
                const Status injected = targets_.find(name)->inject(fault);
                ASSERT_FALSE(injected);
                EXPECT_THAT(injected.error().message(), HasSubstr(": "));
                continue;
            }
            expect_effect(name, fault);
            if (fault.kind == FaultKind::kLinkUp) put_back(name);
        }
    }
}

TEST_F(FaultTableTest, WithoutAGuestNoFaultIsCalledDone) {
    for (const auto& name : targets_.names()) {
        SCOPED_TRACE(name);
        for (const auto& entry : pci::fault_names()) {
            SCOPED_TRACE(entry.name);
            const auto target = targets_.find(name);
            if (entry.kind == FaultKind::kHostHang || entry.kind == FaultKind::kHostCrash ||
                entry.kind == FaultKind::kClear)
                continue;
            const std::string before = place(name);
            if (!target->inject(*pci::parse_fault(entry.name, {}))) continue;
            const bool changed = place(name) != before;
            EXPECT_EQ(newest(*target).state, changed ? FaultState::kDone : FaultState::kActive);
            target->clear_faults();
        }
    }
}

// An error that waits for its time, and then finds that the guest does not want to hear of it.
TEST_F(FaultTableTest, TheNoteOfAFaultSaysWhyTheGuestHeardNothing) {
    connect();
    const auto target = targets_.find("gpu1");
    pci::Fault fault = *pci::parse_fault("poisoned-tlp", {});
    pci::Function& gpu = function("gpu1");
    Guest(gpu).set_u16(gpu.pcie_capability() + DEVCTL, 0);
    ASSERT_TRUE(target->inject(fault));
    EXPECT_THAT(newest(*target).note, HasSubstr("not enabled"));
    ASSERT_TRUE(target->inject(*pci::parse_fault("remove", {})));
    const Status refused = target->inject(fault);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code(), std::errc::not_connected);
    fault.at = std::chrono::milliseconds(1);
    ASSERT_TRUE(target->inject(fault));
    run();
    EXPECT_NE(newest(*target).note, "");
}

}  // namespace
}  // namespace mimic::device_host
