// SPDX-License-Identifier: Apache-2.0
#include "virtio_pci/virtio_pci.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/check.h"
#include "pci/config/pci_regs.h"
#include "pci/function/capabilities.h"
#include "virtio_pci/backend_faults.h"
#include "virtio_pci/common_config.h"
#include "virtio_pci/config_window.h"
#include "virtio_pci/device_state.h"
#include "virtio_pci/layout.h"
#include "virtio_pci/request_event.h"

namespace mimic::virtio_pci {
namespace {

constexpr uint16_t kVendorId = 0x1af4;
constexpr uint16_t kFirstDeviceId = 0x1040;
constexpr uint16_t kMaxVirtioId = 0x3f;
constexpr uint16_t kSubsystemId = 0x1100;  // as QEMU's; 0x40 and up of a modern device: 4.1.2.1
constexpr uint8_t kRevision = 1;           // 4.1.2.1
constexpr uint8_t kIntA = 1;

pci::FunctionOptions function_options(const virtio::Device& device, const Options& options) {
    pci::FunctionOptions result;
    result.name = device.name();
    result.vendor_id = kVendorId;
    result.device_id = static_cast<uint16_t>(kFirstDeviceId + device.options().virtio_id);
    result.subsystem_vendor_id = kVendorId;
    result.subsystem_id = kSubsystemId;
    result.class_code = options.class_code;
    result.revision = kRevision;
    result.interrupt_pin = kIntA;
    result.multifunction = options.multifunction;
    result.bars[kBar] = {.type = pci::BarType::kMemory32, .size = kBarBytes};
    result.bars[kMsixBar] = {.type = pci::BarType::kMemory32, .size = kMsixBarBytes};
    return result;
}

/// struct virtio_pci_cap behind its length byte.
std::vector<uint8_t> capability(Structure type, uint32_t offset, uint32_t length) {
    std::vector<uint8_t> body(13);
    body[0] = static_cast<uint8_t>(type);
    body[1] = kBar;
    const auto put = [&](size_t at, uint32_t value) {
        for (unsigned i = 0; i < 4; ++i) body[at + i] = static_cast<uint8_t>(value >> (8 * i));
    };
    put(kCapOffset - 3, offset);
    put(kCapLength - 3, length);
    return body;
}

void append(std::vector<uint8_t>& body, uint32_t value) {
    for (unsigned i = 0; i < 4; ++i) body.push_back(static_cast<uint8_t>(value >> (8 * i)));
}

/// Guest memory for queues, which work on memory that is mapped and nothing else: where a function
/// gives none, to answer by message (for faults of DMA, or a trace that keeps its bytes), this
/// gives what the slot has. Such a trace shows what was mapped, not the bytes.
class QueueMemory final : public memory::DmaSpace {
public:
    QueueMemory& refresh(memory::DmaSpace& space, memory::DmaSpace& slot, pci::Function& function) {
        space_ = &space;
        slot_ = &slot;
        function_ = &function;
        return *this;
    }

    std::optional<std::span<std::byte>> span(uint64_t iova, uint64_t size,
                                             memory::DmaAccess access) override {
        if (const auto bytes = space_->span(iova, size, access)) return bytes;
        const auto bytes = slot_->span(iova, size, access);
        pci::Tracer* const tracer = function_->tracer();
        if (bytes && tracer != nullptr) {
            tracer->record(tracer->source(function_->name()), {.kind = pci::TraceKind::kDmaMap,
                                                               .bar = static_cast<uint8_t>(access),
                                                               .address = iova,
                                                               .size = size});
        }
        return bytes;
    }
    bool intact(uint64_t iova, uint64_t size) override { return slot_->intact(iova, size); }
    void read(uint64_t iova, uint64_t size, ReadDone done) override {
        space_->read(iova, size, std::move(done));
    }
    void write(uint64_t iova, std::span<const std::byte> data, WriteDone done) override {
        space_->write(iova, data, std::move(done));
    }

private:
    // Borrowed for the turn of the loop that asked.
    memory::DmaSpace* space_ = nullptr;
    memory::DmaSpace* slot_ = nullptr;
    pci::Function* function_ = nullptr;
};

/// See virtio_pci.h. Thread-bound as all functions.
class VirtioFunction final : public pci::Function, private virtio::RequestObserver {
public:
    VirtioFunction(std::unique_ptr<virtio::Device> device, const Options& options)
        : Function(function_options(*device, options)),
          device_(std::move(device)),
          upstream_(*this),
          common_(*device_, device_->queue_count() + 1u, [this] { clear_isr(); }),
          notify_(notify_view(device_->queue_count()), device_->name()),
          state_(*device_),
          isr_(device_->name()) {
        isr_.on_read<ISR_STATUS>([this](const reg::ReadEvent& event) {
            set_intx(false);
            return event.stored;
        });
        device_->set_backend_faults(&backend_faults_);
        device_->set_request_observer(this);
    }
    ~VirtioFunction() override {
        if (slot() != nullptr) device_->detach();
    }

    Status add_capabilities(const Options& options);

    std::vector<pci::RegisterBlock> register_blocks() const override;
    std::vector<std::pair<const char*, uint64_t>> model_counters() const override {
        std::vector<std::pair<const char*, uint64_t>> counters;
        for (const virtio::Counter& one : device_->counters())
            counters.emplace_back(one.name, one.value);
        return counters;
    }
    std::optional<uint32_t> doorbell_interrupt(unsigned bar, uint64_t offset) const override {
        if (!is_doorbell(bar, offset)) return std::nullopt;
        const uint16_t vector = common_.queue_vector(queue_at(offset));
        return vector == kNoVector ? std::nullopt : std::optional<uint32_t>(vector);
    }
    Status restore_registers(std::span<const reg::Snapshot> snapshots) override;
    bool at_work() const override {
        if (device_->at_work()) return true;
        for (uint16_t i = 0; i < device_->queue_count(); ++i)
            if (std::as_const(*device_).queue(i).outstanding() > 0) return true;
        return false;
    }

protected:
    void on_read(unsigned bar, uint64_t offset, std::span<uint8_t> data) override;
    void on_write(unsigned bar, uint64_t offset, std::span<const uint8_t> data) override;
    void on_reset(pci::ResetKind kind) override;
    void on_attach() override { device_->attach(upstream_); }
    bool is_doorbell(unsigned bar, uint64_t offset) const override {
        return bar == kBar && offset >= kNotifyOffset && queue_at(offset) < device_->queue_count();
    }
    Habits habits() const override {
        return {.dma = false, .doorbells = true, .backend = device_->has_backend()};
    }
    void on_backend_changed() override { device_->backend_changed(); }

private:
    /// What the device is plugged into.
    class Upstream final : public virtio::Slot {
    public:
        explicit Upstream(VirtioFunction& owner) : owner_(owner) {}
        memory::DmaSpace* dma() override {
            memory::DmaSpace* const space = owner_.dma();
            if (space == nullptr) return nullptr;
            return &memory_.refresh(*space, owner_.slot()->dma(), owner_);
        }
        void interrupt_queue(uint16_t index) override {
            owner_.interrupt(owner_.common_.queue_vector(index), kIsrQueue);
        }
        void interrupt_config() override {
            owner_.common_.refresh();
            owner_.interrupt(owner_.common_.config_vector(), kIsrConfig);
        }
        TaskRunner& runner() override { return owner_.slot()->runner(); }

    private:
        VirtioFunction& owner_;
        QueueMemory memory_;
    };

    static uint16_t queue_at(uint64_t offset) {
        return static_cast<uint16_t>((offset - kNotifyOffset) / kNotifyMultiplier);
    }
    bool msix_on() const {
        const uint16_t control = config().u16(msix_ + pci::regs::MSIX_CONTROL);
        return (control & pci::regs::MSIX_CONTROL_ENABLE) != 0;
    }
    void reset_device() {
        device_->reset();
        common_.reset();
        isr_.reset();
    }
    void on_request(const virtio::RequestSlice& slice) override {
        trace_request(request_event(slice));
    }
    void interrupt(uint16_t vector, uint8_t cause);
    void clear_isr() {
        isr_.reset();
        set_intx(false);
    }
    Status add_window();
    void window_read();
    void window_written();

    FunctionBackendFaults backend_faults_{[this] { return faults(); }};  // outlives the device
    std::unique_ptr<virtio::Device> device_;
    Upstream upstream_;
    CommonConfig common_;
    reg::BankCore notify_;       // for the names: kicks do not pass it
    mutable DeviceState state_;  // what tools see: brought up to date when they look
    reg::Bank<kIsrMap> isr_;
    std::optional<ConfigWindow> window_;
    uint32_t msix_ = 0;  // offset of the capability
};

Status VirtioFunction::add_capabilities(const Options& options) {
    pci::CapabilityBuilder builder(*this);
    MIMIC_TRY(builder.add_power_management({}));
    const auto add = [&](const std::vector<uint8_t>& body) {
        return builder.add_vendor_specific({.body = body});
    };
    MIMIC_TRY(add(capability(Structure::kCommon, kCommonOffset, kCommonBytes)));
    auto notify = capability(Structure::kNotify, kNotifyOffset,
                             std::max<uint32_t>(1, device_->queue_count()) * kNotifyMultiplier);
    append(notify, kNotifyMultiplier);
    MIMIC_TRY(add(notify));
    MIMIC_TRY(add(capability(Structure::kIsr, kIsrOffset, 1)));
    if (const uint32_t size = device_->options().config_size; size > 0)
        MIMIC_TRY(add(capability(Structure::kDevice, kDeviceOffset, size)));
    MIMIC_TRY(add_window());
    MIMIC_ASSIGN_OR_RETURN(msix_, builder.add_msix({.vectors = device_->queue_count() + 1u,
                                                    .table_bar = kMsixBar,
                                                    .pba_bar = kMsixBar,
                                                    .pba_offset = kMsixPbaOffset}));
    MIMIC_TRY(builder.add_pcie({.max_speed = options.link_speed, .max_width = options.link_width}));
    MIMIC_TRY(builder.add_aer({}));
    return {};
}

// --- Accesses --------------------------------------------------------------------------------

void VirtioFunction::on_read(unsigned bar, uint64_t offset, std::span<uint8_t> data) {
    std::ranges::fill(data, uint8_t{0});
    if (bar != kBar || offset >= kNotifyOffset) return;
    if (offset >= kDeviceOffset)
        device_->config_read(static_cast<uint32_t>(offset - kDeviceOffset), data);
    else if (offset >= kIsrOffset)
        isr_.read(offset - kIsrOffset, data);
    else
        common_.read(offset - kCommonOffset, data);
}

void VirtioFunction::on_write(unsigned bar, uint64_t offset, std::span<const uint8_t> data) {
    if (bar != kBar) return;
    if (offset >= kNotifyOffset)
        device_->kick(queue_at(offset));
    else if (offset >= kDeviceOffset)
        device_->config_write(static_cast<uint32_t>(offset - kDeviceOffset), data);
    else if (offset < kIsrOffset)
        common_.write(offset - kCommonOffset, data);
}

void VirtioFunction::on_reset(pci::ResetKind kind) {
    if (kind == pci::ResetKind::kDetach) device_->detach();
    reset_device();  // the pin is down already
}

// --- Interrupts ------------------------------------------------------------------------------

// The ISR status is for those who have no MSI-X (4.1.4.5.1).
void VirtioFunction::interrupt(uint16_t vector, uint8_t cause) {
    if (msix_on()) {
        if (vector != kNoVector) raise_msix(vector);
        return;
    }
    isr_.set_value<ISR_STATUS>(isr_.value<ISR_STATUS>() | cause);
    set_intx(true);
}

// --- The window in configuration space -------------------------------------------------------

Status VirtioFunction::add_window() {
    auto body = capability(Structure::kPciConfig, 0, 0);
    body[kCapBar - 3] = 0;
    append(body, 0);
    std::vector<uint8_t> writable(body.size(), 0);
    writable[kCapBar - 3] = 0xff;
    std::fill(writable.begin() + (kCapOffset - 3), writable.end(), uint8_t{0xff});
    pci::CapabilityBuilder builder(*this);
    MIMIC_ASSIGN_OR_RETURN(const uint32_t at,
                           builder.add_vendor_specific({.body = body, .writable = writable}));
    window_.emplace(config(), bars(), at);
    config().on_write(window_->data_offset(), 4,
                      [this](const pci::ConfigWrite&) { window_written(); });
    set_config_read_hook(window_->data_offset(), 4, [this] { window_read(); });
    return {};
}

void VirtioFunction::window_read() {
    const auto access = window_->access();
    if (!access || !in_d0()) return;
    std::array<uint8_t, 4> bytes{};
    read_bar(access->bar, access->offset, std::span(bytes).first(access->size));
    for (unsigned i = 0; i < access->size; ++i)
        config().set_u8(window_->data_offset() + i, bytes[i]);
}

void VirtioFunction::window_written() {
    const auto access = window_->access();
    if (!access || !in_d0()) return;
    std::array<uint8_t, 4> bytes{};
    for (unsigned i = 0; i < access->size; ++i) bytes[i] = config().u8(window_->data_offset() + i);
    write_bar(access->bar, access->offset, std::span(bytes).first(access->size));
}

// --- Tools -----------------------------------------------------------------------------------

// Blocks of the device lie where its configuration does; the state of the queues lies behind the
// BAR, out of every guest's reach.
std::vector<pci::RegisterBlock> VirtioFunction::register_blocks() const {
    common_.capture(state_);
    std::vector<pci::RegisterBlock> blocks = {
        {.bar = kBar, .offset = kCommonOffset, .name = "virtio_pci", .registers = &common_.bank()},
        {.bar = kBar, .offset = kIsrOffset, .name = "virtio_isr", .registers = &isr_},
        {.bar = kBar, .offset = kNotifyOffset, .name = "virtio_notify", .registers = &notify_},
        {.bar = kBar, .offset = kBarBytes, .name = "virtio_state", .registers = &state_.bank()}};
    for (virtio::RegisterBlock& one : device_->register_blocks()) {
        blocks.push_back({.bar = kBar,
                          .offset = kDeviceOffset,
                          .name = std::move(one.name),
                          .registers = one.registers});
    }
    return blocks;
}

Status VirtioFunction::restore_registers(std::span<const reg::Snapshot> snapshots) {
    constexpr size_t kOwn = 4;
    if (snapshots.size() < kOwn) {
        return fail(std::errc::invalid_argument, "{}: {} blocks of registers, want {} and its own",
                    name(), snapshots.size(), kOwn);
    }
    DeviceState saved(*device_);
    MIMIC_TRY(saved.bank().restore(snapshots[3]));
    reset_device();
    MIMIC_TRY(isr_.restore(snapshots[1]));
    if (snapshots.size() > kOwn) MIMIC_TRY(device_->restore_registers(snapshots.subspan(kOwn)));
    MIMIC_TRY(common_.restore(snapshots[0], saved));
    set_intx(isr_.value<ISR_STATUS>() != 0);
    return {};
}

}  // namespace

Result<std::unique_ptr<pci::Function>> create(std::unique_ptr<virtio::Device> device,
                                              const Options& options) {
    MIMIC_CHECK(device != nullptr);
    const virtio::DeviceOptions& facts = device->options();
    if (facts.virtio_id == 0 || facts.virtio_id > kMaxVirtioId) {
        return fail(std::errc::invalid_argument, "{}: virtio id {}, PCI has numbers for 1 to {}",
                    facts.name, facts.virtio_id, kMaxVirtioId);
    }
    if (device->queue_count() > kMaxQueues) {
        return fail(std::errc::invalid_argument, "{}: {} queues, at most {} are possible",
                    facts.name, device->queue_count(), kMaxQueues);
    }
    if (facts.config_size > kMaxConfigBytes) {
        return fail(std::errc::invalid_argument,
                    "{}: {} bytes of configuration space, at most {} are possible", facts.name,
                    facts.config_size, kMaxConfigBytes);
    }
    MIMIC_TRY(pci::Function::validate(function_options(*device, options)));
    auto function = std::make_unique<VirtioFunction>(std::move(device), options);
    MIMIC_TRY(function->add_capabilities(options));
    return function;
}

}  // namespace mimic::virtio_pci
