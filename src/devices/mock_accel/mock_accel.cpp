// SPDX-License-Identifier: Apache-2.0
#include "devices/mock_accel/mock_accel.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <utility>

#include "pci/function/sriov.h"

namespace mimic::mock_accel {
const NativeVfs* MockAccel::Plan::native_vfs() const {
    const Pf* const pf = std::get_if<Pf>(&options.role);
    return pf != nullptr ? std::get_if<NativeVfs>(&pf->vfs) : nullptr;
}

Result<std::unique_ptr<MockAccel>> MockAccel::create(const Options& options) {
    return make({options});
}

Result<std::unique_ptr<MockAccel>> MockAccel::make(const Plan& plan) {
    const Options& options = plan.options;
    const auto in_context = [&](Error error) {
        return tl::unexpected<Error>(
            std::move(error).with_context(fmt::format("mock-accel {}", options.name)));
    };
    auto identifier = parse_identifier(options.identifier);
    if (!identifier) return in_context(std::move(identifier).error());
    if (Status status = check(plan); !status) return in_context(std::move(status).error());
    std::unique_ptr<DeviceMemory> memory;
    if (options.memory_bar_bytes != 0) {
        auto created = DeviceMemory::create(options.name, options.memory_bar_bytes);
        if (!created) return in_context(std::move(created).error());
        memory = std::move(*created);
    }
    std::unique_ptr<MockAccel> device(new MockAccel(plan, *identifier, std::move(memory)));
    if (Status status = device->add_capabilities(plan); !status) {
        return in_context(std::move(status).error());
    }
    MIMIC_TRY(device->bank_.check_bound());
    return device;
}

Status MockAccel::check(const Plan& plan) {
    const Options& options = plan.options;
    if (options.class_code > 0xffffff) {
        return fail(std::errc::invalid_argument, "class code {:#x} has more than 24 bits",
                    options.class_code);
    }
    if (const Pf* const pf = std::get_if<Pf>(&options.role)) {
        const StaticVfs* const vfs = std::get_if<StaticVfs>(&pf->vfs);
        if (vfs != nullptr && vfs->total > kMaxVfs) {
            return fail(std::errc::invalid_argument, "{} VFs, at most {} fit in a slot", vfs->total,
                        kMaxVfs);
        }
    } else if (const uint32_t index = std::get<StaticVf>(options.role).index;
               !plan.native && index >= kMaxVfs) {
        return fail(std::errc::invalid_argument, "VF index {}, the last one possible is {}", index,
                    kMaxVfs - 1);
    }
    if (options.memory_size_bytes == 0) {
        return fail(std::errc::invalid_argument, "memory size is 0");
    }
    if (options.rings.value_or(0) > kMaxRings) {
        return fail(std::errc::invalid_argument, "{} rings, at most {} are possible",
                    *options.rings, kMaxRings);
    }
    if (options.memory_bar_bytes != 0 && (!std::has_single_bit(options.memory_bar_bytes) ||
                                          options.memory_bar_bytes < kMinMemoryBarBytes)) {
        return fail(std::errc::invalid_argument,
                    "device memory of {} bytes: want a power of two from {} on",
                    options.memory_bar_bytes, kMinMemoryBarBytes);
    }
    if (const NativeVfs* const vfs = plan.native_vfs()) MIMIC_TRY(check_native_vfs(options, *vfs));
    return validate(function_options(plan, nullptr));
}

Status MockAccel::check_native_vfs(const Options& pf, const NativeVfs& native) {
    if (native.vfs.empty() || native.vfs.size() > kMaxNativeVfs) {
        return fail(std::errc::invalid_argument, "native SR-IOV with {} VFs: want 1 to {}",
                    native.vfs.size(), kMaxNativeVfs);
    }
    for (size_t i = 0; i < native.vfs.size(); ++i) {
        const Options vf = vf_options(pf, native, i);
        if (const auto identifier = parse_identifier(vf.identifier); !identifier) {
            return fail(std::errc::invalid_argument, "{}: {}", vf.name,
                        identifier.error().message());
        }
        MIMIC_TRY(check({vf, /*native=*/true}));
    }
    return {};
}

Options MockAccel::vf_options(const Options& pf, const NativeVfs& native, size_t index) {
    const NativeVf& vf = native.vfs[index];
    return {.name = vf.name,
            .role = StaticVf{static_cast<uint32_t>(index)},
            .identifier = vf.identifier,
            .memory_size_bytes = vf.memory_size_bytes,
            .capabilities = vf.capabilities,
            .class_code = pf.class_code,
            .link_speed = pf.link_speed,
            .link_width = pf.link_width,
            .rings = vf.rings,
            .memory_bar_bytes = native.memory_bar_bytes};
}

pci::FunctionOptions MockAccel::function_options(const Plan& plan, const DeviceMemory* memory) {
    const Pf* const pf = std::get_if<Pf>(&plan.options.role);
    pci::FunctionOptions result;
    result.name = plan.options.name;
    result.vendor_id = kVendorId;
    result.device_id = pf != nullptr ? kPfDeviceId : kVfDeviceId;
    result.class_code = plan.options.class_code;
    result.multifunction = pf != nullptr && pf->multifunction;
    result.virtual_function = plan.native;
    result.bars = bars_for(plan.options.memory_bar_bytes, memory);
    return result;
}

std::array<pci::Bar, pci::kBarCount> MockAccel::bars_for(uint64_t memory_bar_bytes,
                                                         const DeviceMemory* memory) {
    std::array<pci::Bar, pci::kBarCount> result;
    result[0] = {.type = pci::BarType::kMemory32, .size = kBarSizeBytes};
    if (memory_bar_bytes == 0) return result;
    pci::Bar& bar = result[kMemoryBar];
    bar = {.type = pci::BarType::kMemory64, .prefetchable = true, .size = memory_bar_bytes};
    if (memory != nullptr) {
        bar.fd = memory->fd();
        bar.areas = {{0, memory_bar_bytes}};
    }
    return result;
}

MockAccel::MockAccel(const Plan& plan, const Identifier& identifier,
                     std::unique_ptr<DeviceMemory> memory)
    : Function(function_options(plan, memory.get())),
      role_(plan.role()),
      identifier_(identifier),
      rings_(plan.options.rings.value_or(role_ == Role::kPf ? kDefaultPfRings : kDefaultVfRings)),
      bank_(plan.options.name),
      memory_(std::move(memory)) {
    const Options& options = plan.options;
    bank_.set_bytes<UUID>(identifier_.uuid);
    bank_.set_bytes<LABEL>(identifier_.label);
    bank_.set<MEMORY_SIZE, "VALUE">(options.memory_size_bytes);
    bank_.set<CAPABILITIES, "VALUE">(options.capabilities);
    uint64_t total_vfs = 0;
    uint32_t vf_index = kNoVfIndex;
    if (const NativeVfs* const native = plan.native_vfs()) {
        for (size_t i = 0; i < native->vfs.size(); ++i)
            vfs_.push_back(vf_options(options, *native, i));
        total_vfs = vfs_.size();
    } else if (const Pf* const pf = std::get_if<Pf>(&options.role)) {
        const StaticVfs* const vfs = std::get_if<StaticVfs>(&pf->vfs);
        if (vfs != nullptr) total_vfs = vfs->total;
    } else {
        vf_index = std::get<StaticVf>(options.role).index;
    }
    bank_.set<TOTAL_VFS, "VALUE">(total_vfs);
    bank_.set<VF_INDEX, "VALUE">(vf_index);
    bank_.on_write<STATUS>([this](const reg::WriteEvent& event) { status_written(event); });
    bank_.on_write<NUM_VFS>([this](const reg::WriteEvent& event) { num_vfs_written(event); });
    bank_.set<RING_COUNT, "VALUE">(rings_);
    bank_.set<ENGINE_CAPS, "DEVICE_MEMORY">(memory_ ? 1 : 0);
    bank_.set<LOCAL_MEMORY_SIZE, "VALUE">(options.memory_bar_bytes);
    bind_rings();
}

Status MockAccel::add_capabilities(const Plan& plan) {
    const Options& options = plan.options;
    const NativeVfs* const native_vfs = plan.native_vfs();
    pci::CapabilityBuilder builder(*this);
    MIMIC_TRY(builder.add_power_management({}));
    MIMIC_TRY(builder.add_msix({.vectors = kFirstRingVector + rings_,
                                .table_bar = 0,
                                .table_offset = kMsixTableOffset,
                                .pba_bar = 0,
                                .pba_offset = kMsixPbaOffset}));
    MIMIC_TRY(builder.add_pcie({.max_speed = options.link_speed, .max_width = options.link_width}));
    MIMIC_TRY(builder.add_aer({}));
    if (native_vfs != nullptr || plan.native) MIMIC_TRY(builder.add_ari());
    // The serial number is the device's, and its PF shows it.
    if (!plan.native) {
        MIMIC_TRY(builder.add_device_serial_number(identifier_.serial_number()));
    }
    if (native_vfs == nullptr) return {};
    MIMIC_TRY(builder.add_sriov({.total_vfs = static_cast<uint16_t>(native_vfs->vfs.size()),
                                 .vf_device_id = kVfDeviceId,
                                 .vf_bars = bars_for(native_vfs->memory_bar_bytes, nullptr)}));
    return {};
}

void MockAccel::on_read(unsigned bar, uint64_t offset, std::span<uint8_t> data) {
    if (bar == kMemoryBar) {
        if (memory_)
            std::memcpy(data.data(), memory_->bytes().data() + offset, data.size());
        else
            std::ranges::fill(data, uint8_t{0xff});
        return;
    }
    bank_.read(offset, data);
}

void MockAccel::on_write(unsigned bar, uint64_t offset, std::span<const uint8_t> data) {
    if (bar == kMemoryBar) {
        if (memory_) std::memcpy(memory_->bytes().data() + offset, data.data(), data.size());
        return;
    }
    bank_.write(offset, data);
}

std::vector<pci::RegisterBlock> MockAccel::register_blocks() const {
    return {{.bar = 0, .offset = 0, .name = kMap.options.name, .registers = &bank_}};
}

uint32_t MockAccel::status() const {
    return static_cast<uint32_t>(bank_.get<STATUS, "VALUE">());
}

void MockAccel::set_status(uint32_t status) {
    const bool changed = status != this->status();
    bank_.set<STATUS, "VALUE">(status);
    if (changed) raise_msix(kStatusVector);
}

uint32_t MockAccel::num_vfs() const {
    return static_cast<uint32_t>(bank_.get<NUM_VFS, "VALUE">());
}

Status MockAccel::restore(const reg::Snapshot& snapshot) {
    const auto num_vfs = snapshot.values.find(NUM_VFS.name);
    if (num_vfs != snapshot.values.end() && num_vfs->second > bank_.get<TOTAL_VFS, "VALUE">()) {
        return fail(std::errc::invalid_argument, "{}: the snapshot's NUM_VFS is {}, of {} VFs",
                    name(), num_vfs->second, bank_.get<TOTAL_VFS, "VALUE">());
    }
    MIMIC_TRY(check_rings(snapshot));
    MIMIC_TRY(bank_.restore(snapshot));
    if (engine_) engine_->stop_all();
    for (uint32_t ring = 0; ring < rings_; ++ring) {
        bank_.set<RING_CONTROL, "ENABLE">(0, ring);
        bank_.set<RING_STATUS, "HALTED">(0, ring);
    }
    show_native_vfs();
    return {};
}

void MockAccel::on_reset(pci::ResetKind kind) {
    if (engine_) engine_->stop_all();
    bank_.reset();
    show_native_vfs();
    // As a device that loses power, or whose next client must not see what the last one left.
    const bool loses_memory = kind == pci::ResetKind::kConventional ||
                              kind == pci::ResetKind::kDetach;
    if (!memory_ || !loses_memory) return;
    // What the last client keeps of it shall hold no pages that were made on our account.
    memory_->clear();
    if (kind != pci::ResetKind::kDetach) return;
    set_bar_file(kMemoryBar, -1);
    memory_.reset();
}

// The first client gets the memory that create() made, which so could report that there is too
// little.
void MockAccel::on_attach() {
    if (memory_ || bars()[kMemoryBar].size == 0) return;
    const Status made = make_memory();
    uint64_t suppressed = 0;
    // BAR2 then reads as ones, and no descriptor reaches it.
    if (!made && without_memory_.allow(slot()->runner().now(), suppressed)) {
        MIMIC_LOG("mock_accel", kError, "{}: no device memory for this client: {}{}", name(),
                  made.error().message(), log::more_like_it(suppressed));
    }
}

Status MockAccel::make_memory() {
    MIMIC_ASSIGN_OR_RETURN(memory_, DeviceMemory::create(name(), bars()[kMemoryBar].size));
    set_bar_file(kMemoryBar, memory_->fd());
    return {};
}

std::span<std::byte> MockAccel::device_memory() {
    return memory_ ? memory_->bytes() : std::span<std::byte>{};
}

void MockAccel::status_written(const reg::WriteEvent& event) {
    if (event.now != event.old) raise_msix(kStatusVector);
}

void MockAccel::num_vfs_written(const reg::WriteEvent& event) {
    // TOTAL_VFS of a VF is 0, so this is what makes a VF ignore every write.
    if (!vfs_.empty() || event.now > bank_.get<TOTAL_VFS, "VALUE">()) {
        bank_.set<NUM_VFS, "VALUE">(event.old);
    }
}

// --- Native SR-IOV ---------------------------------------------------------------------------

std::unique_ptr<pci::Function> MockAccel::make_vf(uint32_t index) {
    if (index >= vfs_.size()) return nullptr;
    auto vf = make({vfs_[index], /*native=*/true});
    if (vf) return std::move(*vf);
    // Its options were checked with the PF's, so what is missing is a resource: device memory.
    // The guest may try again as often as it likes.
    uint64_t suppressed = 0;
    if (missing_vfs_.allow(SteadyClock().now(), suppressed)) {
        MIMIC_LOG("mock_accel", kError, "{}: VF {} does not come to be: {} ({} more)", name(),
                  index, vf.error().message(), suppressed);
    }
    return nullptr;
}

void MockAccel::on_vfs_changed(uint32_t enabled) {
    bank_.set<NUM_VFS, "VALUE">(enabled);
}

// NUM_VFS of a native PF, after registers were reset or restored.
void MockAccel::show_native_vfs() {
    if (sriov() != nullptr) bank_.set<NUM_VFS, "VALUE">(sriov()->num_vfs());
}

}  // namespace mimic::mock_accel
