// SPDX-License-Identifier: Apache-2.0
#include "devices/mock_accel/mock_accel.h"

#include <algorithm>
#include <utility>

namespace mimic::mock_accel {
namespace {

/// Calls `piece(offset, first, size)` for the parts of [offset, offset + size) that lie in the
/// registers, the MSI-X table and the PBA: a guest's access has one, a tool that reads the whole
/// BAR has three.
template <typename Piece>
void for_each_area(uint64_t offset, size_t size, Piece piece) {
    for (size_t done = 0; done < size;) {
        const uint64_t at = offset + done;
        size_t length = size - done;
        for (const uint64_t border : {uint64_t{kMsixTableOffset}, uint64_t{kMsixPbaOffset}}) {
            if (at < border) length = std::min<size_t>(length, border - at);
        }
        piece(at, done, length);
        done += length;
    }
}

}  // namespace

Result<std::unique_ptr<MockAccel>> MockAccel::create(const Options& options) {
    const auto in_context = [&](Error error) {
        return tl::unexpected<Error>(
            std::move(error).with_context(fmt::format("mock-accel {}", options.name)));
    };
    auto identifier = parse_identifier(options.identifier);
    if (!identifier) return in_context(std::move(identifier).error());
    if (Status status = check(options); !status) return in_context(std::move(status).error());
    std::unique_ptr<MockAccel> device(new MockAccel(options, *identifier));
    if (Status status = device->add_capabilities(options); !status) {
        return in_context(std::move(status).error());
    }
    MIMIC_TRY(device->bank_.check_bound());
    return device;
}

Status MockAccel::check(const Options& options) {
    if (options.class_code > 0xffffff) {
        return fail(std::errc::invalid_argument, "class code {:#x} has more than 24 bits",
                    options.class_code);
    }
    if (options.role == Role::kPf && options.total_vfs > kMaxVfs) {
        return fail(std::errc::invalid_argument, "{} VFs, at most {} fit in a slot",
                    options.total_vfs, kMaxVfs);
    }
    if (options.role == Role::kVf && options.vf_index >= kMaxVfs) {
        return fail(std::errc::invalid_argument, "VF index {}, the last one possible is {}",
                    options.vf_index, kMaxVfs - 1);
    }
    if (options.memory_size_bytes == 0) {
        return fail(std::errc::invalid_argument, "memory size is 0");
    }
    return validate(function_options(options));
}

pci::FunctionOptions MockAccel::function_options(const Options& options) {
    pci::FunctionOptions result;
    result.name = options.name;
    result.vendor_id = kVendorId;
    result.device_id = options.role == Role::kPf ? kPfDeviceId : kVfDeviceId;
    result.class_code = options.class_code;
    result.multifunction = options.multifunction;
    result.bars[0] = {.type = pci::BarType::kMemory32, .size = kBarSizeBytes};
    return result;
}

MockAccel::MockAccel(const Options& options, const Identifier& identifier)
    : Function(function_options(options)),
      role_(options.role),
      identifier_(identifier),
      bank_(options.name) {
    const bool is_pf = role_ == Role::kPf;
    bank_.set_bytes<UUID>(identifier_.uuid);
    bank_.set_bytes<LABEL>(identifier_.label);
    bank_.set<MEMORY_SIZE, "VALUE">(options.memory_size_bytes);
    bank_.set<CAPABILITIES, "VALUE">(options.capabilities);
    bank_.set<TOTAL_VFS, "VALUE">(is_pf ? options.total_vfs : 0);
    bank_.set<VF_INDEX, "VALUE">(is_pf ? kNoVfIndex : options.vf_index);
    bank_.on_write<STATUS>([this](const reg::WriteEvent& event) { status_written(event); });
    bank_.on_write<NUM_VFS>([this](const reg::WriteEvent& event) { num_vfs_written(event); });
}

Status MockAccel::add_capabilities(const Options& options) {
    pci::CapabilityBuilder builder(*this);
    MIMIC_TRY(builder.add_power_management({}));
    MIMIC_TRY(builder.add_msix({.vectors = 1,
                                .table_bar = 0,
                                .table_offset = kMsixTableOffset,
                                .pba_bar = 0,
                                .pba_offset = kMsixPbaOffset}));
    MIMIC_TRY(builder.add_pcie({.max_speed = options.link_speed, .max_width = options.link_width}));
    MIMIC_TRY(builder.add_aer({}));
    MIMIC_TRY(builder.add_device_serial_number(identifier_.serial_number()));
    return {};
}

void MockAccel::bar_read(unsigned bar, uint64_t offset, std::span<uint8_t> data) {
    if (offset < kMsixTableOffset && data.size() <= kMsixTableOffset - offset) [[likely]] {
        return bank_.read(offset, data);
    }
    for_each_area(offset, data.size(), [&](uint64_t at, size_t first, size_t size) {
        const std::span<uint8_t> part = data.subspan(first, size);
        if (!msix_read(bar, at, part)) bank_.read(at, part);
    });
}

void MockAccel::bar_write(unsigned bar, uint64_t offset, std::span<const uint8_t> data) {
    for_each_area(offset, data.size(), [&](uint64_t at, size_t first, size_t size) {
        const std::span<const uint8_t> part = data.subspan(first, size);
        if (!msix_write(bar, at, part)) bank_.write(at, part);
    });
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
    return bank_.restore(snapshot);
}

void MockAccel::on_reset(pci::ResetKind) {
    bank_.reset();
}

void MockAccel::status_written(const reg::WriteEvent& event) {
    if (event.now != event.old) raise_msix(kStatusVector);
}

void MockAccel::num_vfs_written(const reg::WriteEvent& event) {
    // TOTAL_VFS of a VF is 0, so this is what makes a VF ignore every write.
    if (event.now > bank_.get<TOTAL_VFS, "VALUE">()) bank_.set<NUM_VFS, "VALUE">(event.old);
}

}  // namespace mimic::mock_accel
