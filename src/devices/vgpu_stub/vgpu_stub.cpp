// SPDX-License-Identifier: Apache-2.0
// The device's life, what an access of each size does, and its VFs. Requests are in requests.cpp,
// the ring's registers in ring_registers.cpp, instruments in instruments.cpp.
#include "devices/vgpu_stub/vgpu_stub.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "devices/vgpu_stub/model.h"
#include "pci/function/sriov.h"

namespace mimic::vgpu_stub {
namespace {

std::array<pci::Bar, pci::kBarCount> device_bars() {
    std::array<pci::Bar, pci::kBarCount> bars;
    bars[0] = {.type = pci::BarType::kMemory32, .size = kBarSizeBytes};
    bars[kMsixBar] = {.type = pci::BarType::kMemory32, .size = kMsixBarBytes};
    return bars;
}

}  // namespace

Result<std::unique_ptr<VgpuStub>> VgpuStub::create(Options options) {
    return make(std::move(options), /*native=*/false);
}

Result<std::unique_ptr<VgpuStub>> VgpuStub::make(Options options, bool native) {
    const std::string name = options.name;
    const auto in_context = [&](Error error) {
        return tl::unexpected<Error>(
            std::move(error).with_context(fmt::format("vgpu-stub {}", name)));
    };
    if (Status status = check(options); !status) return in_context(std::move(status).error());
    if (Status status = validate(function_options(options, native)); !status)
        return in_context(std::move(status).error());
    std::unique_ptr<VgpuStub> device(new VgpuStub(std::move(options), native));
    if (Status status = device->add_capabilities(native); !status)
        return in_context(std::move(status).error());
    MIMIC_TRY(device->bank_.check_bound());
    return device;
}

Status VgpuStub::check(const Options& options) {
    const compute::Identity& identity = options.identity;
    if (options.class_code > 0xffffff) {
        return fail(std::errc::invalid_argument, "class code {:#x} has more than 24 bits",
                    options.class_code);
    }
    if (identity.pool_id < 'A' || identity.pool_id > 'Z')
        return fail(std::errc::invalid_argument, "a pool is a letter, A to Z");
    if (identity.priority > 2)
        return fail(std::errc::invalid_argument, "priority {}: want 0 to 2", identity.priority);
    if (options.length_error != VGPU_ERROR_REQUEST_TOO_LARGE &&
        options.length_error != VGPU_ERROR_INVALID_LENGTH)
        return fail(std::errc::invalid_argument, "length error {}: want 2 or 9",
                    static_cast<unsigned>(options.length_error));
    if (options.vfs.size() > kMaxNativeVfs) {
        return fail(std::errc::invalid_argument, "{} VFs, at most {}", options.vfs.size(),
                    kMaxNativeVfs);
    }
    for (const Options& vf : options.vfs) {
        if (!vf.vfs.empty()) return fail(std::errc::invalid_argument, "{} has VFs", vf.name);
        MIMIC_TRY(check(vf));
    }
    return {};
}

pci::FunctionOptions VgpuStub::function_options(const Options& options, bool native) {
    pci::FunctionOptions out;
    out.name = options.name;
    out.vendor_id = options.vendor_id;
    out.device_id = options.device_id;
    out.subsystem_vendor_id = kVendorId;
    out.subsystem_id = kSubsystemId;
    out.class_code = options.class_code;
    out.revision = kRevision;
    out.interrupt_pin = native ? 0 : 1;  // a VF has none (9.3.4.1.14)
    out.multifunction = options.multifunction;
    out.virtual_function = native;
    out.bars = device_bars();
    return out;
}

VgpuStub::VgpuStub(Options options, bool native)
    : Function(function_options(options, native)),
      options_(std::move(options)),
      bank_(options_.name),
      errands_([this] { return faults(); }, options_.timeout),
      ring_(*this) {
    bank_.set<POOL_ID, "VALUE">(static_cast<unsigned char>(options_.identity.pool_id));
    bank_.set<PRIORITY, "VALUE">(options_.identity.priority);
    bank_.set<VM_ID, "VALUE">(options_.identity.vm_id);
    const uint64_t more = options_.extensions ? 1 : 0;
    bank_.set<CAPABILITIES, "INTERRUPT">(more);
    bank_.set<CAPABILITIES, "DMA">(more);
    bank_.set<CAPABILITIES, "RING">(more);
    bind();
    bind_ring();
}

VgpuStub::~VgpuStub() = default;

Status VgpuStub::add_capabilities(bool native) {
    pci::CapabilityBuilder builder(*this);
    MIMIC_TRY(builder.add_power_management({}));
    MIMIC_TRY(builder.add_msix({.vectors = kVectors,
                                .table_bar = kMsixBar,
                                .table_offset = 0,
                                .pba_bar = kMsixBar,
                                .pba_offset = kMsixPbaOffset}));
    MIMIC_TRY(
        builder.add_pcie({.max_speed = options_.link_speed, .max_width = options_.link_width}));
    MIMIC_TRY(builder.add_aer({}));
    if (native || !options_.vfs.empty()) MIMIC_TRY(builder.add_ari());
    if (options_.vfs.empty()) return {};
    MIMIC_TRY(builder.add_sriov({.total_vfs = static_cast<uint16_t>(options_.vfs.size()),
                                 .vf_device_id = options_.vfs.front().device_id,
                                 .vf_bars = device_bars()}));
    return {};
}

// --- Accesses --------------------------------------------------------------------------------

// The original's functions are called by QEMU's memory core: 8 bytes come as two words, what is not
// aligned to its size does not come at all. A control register answers at its own offset only,
// whatever the size; "size == 4" stands before each access of the buffers.
void VgpuStub::on_read(unsigned bar, uint64_t offset, std::span<uint8_t> data) {
    std::ranges::fill(data, uint8_t{0});
    if (bar != 0) return;
    const uint64_t end = options_.extensions ? kBarSizeBytes : kExtensionsOffset;
    const size_t size = data.size();
    if (size >= 4 && offset % std::min<size_t>(size, 8) != 0 && size <= 8) return;
    for (; data.size() >= 4 && offset % 4 == 0 && offset < end; offset += 4) {
        bank_.read(offset, data.first(4));
        data = data.subspan(4);
    }
    if (data.empty() || offset % 4 != 0 || offset >= kRequestOffset || data.size() > 2) return;
    std::array<uint8_t, 4> word{};
    bank_.read(offset, word);
    std::copy_n(word.begin(), data.size(), data.begin());
}

void VgpuStub::on_write(unsigned bar, uint64_t offset, std::span<const uint8_t> data) {
    if (bar != 0) return;
    const uint64_t end = options_.extensions ? kBarSizeBytes : kExtensionsOffset;
    const size_t size = data.size();
    if (size >= 4 && offset % std::min<size_t>(size, 8) != 0 && size <= 8) return;
    for (; data.size() >= 4 && offset % 4 == 0 && offset < end; offset += 4) {
        bank_.write(offset, data.first(4));
        data = data.subspan(4);
    }
    if (data.empty() || offset % 4 != 0 || offset >= kRequestOffset || data.size() > 2) return;
    std::array<uint8_t, 4> word{};  // the value is what was written, as in the original's `val`
    std::copy(data.begin(), data.end(), word.begin());
    bank_.write(offset, word);
}

bool VgpuStub::is_doorbell(unsigned bar, uint64_t offset) const {
    if (bar != 0) return false;
    return offset == DOORBELL.offset ||
           (options_.extensions && (offset == DMA_DOORBELL.offset || offset == RING_TAIL.offset));
}

std::optional<uint32_t> VgpuStub::doorbell_interrupt(unsigned bar, uint64_t offset) const {
    if (!options_.extensions || !is_doorbell(bar, offset)) return std::nullopt;
    return offset == RING_TAIL.offset ? kRingVector : kRegisterVector;
}

pci::ModelHooks::Habits VgpuStub::habits() const {
    return {.vectors = options_.extensions ? kVectors : 0,
            .dma = options_.extensions,
            .doorbells = true,
            .backend = true};
}

// --- Life ------------------------------------------------------------------------------------

void VgpuStub::on_attach() {
    if (!options_.make_queue) return errands_.open(nullptr, slot()->runner());
    auto made = options_.make_queue(slot()->runner());
    if (!made) {
        MIMIC_LOG("vgpu", kError,
                  "{} has no mediator, its requests end with MEDIATOR_UNAVAILABLE: {}", name(),
                  made.error().message());
        return errands_.open(nullptr, slot()->runner());
    }
    errands_.open(std::move(*made), slot()->runner());
}

void VgpuStub::on_reset(pci::ResetKind kind) {
    ++round_;
    sent_ = false;
    ring_.put_back(RingState::kOff, VGPU_OK, {});
    if (kind == pci::ResetKind::kDetach)
        errands_.close();
    else
        errands_.start_over();
    bank_.reset();
    set_intx(false);
}

void VgpuStub::on_backend_changed() {
    if (faults() != nullptr && faults()->is_backend_dead())
        errands_.fail_all(VGPU_ERROR_MEDIATOR_UNAVAILABLE);
}

// --- Native SR-IOV ---------------------------------------------------------------------------

std::unique_ptr<pci::Function> VgpuStub::make_vf(uint32_t index) {
    if (index >= options_.vfs.size()) return nullptr;
    auto vf = make(options_.vfs[index], /*native=*/true);
    if (vf) return std::move(*vf);
    uint64_t suppressed = 0;
    if (missing_vfs_.allow(SteadyClock().now(), suppressed)) {
        MIMIC_LOG("vgpu", kError, "{}: VF {} does not come to be: {} ({} more)", name(), index,
                  vf.error().message(), suppressed);
    }
    return nullptr;
}

}  // namespace mimic::vgpu_stub
