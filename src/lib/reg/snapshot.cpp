// SPDX-License-Identifier: Apache-2.0
// Saving and restoring a bank by register names. A snapshot comes from a file, so all of it is
// checked before any of it is applied.
#include <set>

#include "reg/bank.h"

namespace mimic::reg {
namespace {

constexpr std::string_view kLowSuffix = ":low";

}  // namespace

std::string element_name(const RegisterInfo& info, uint32_t index) {
    MIMIC_CHECK(index < info.elements);
    std::string name;
    if (info.in_block()) {
        name = info.block->name;
        if (info.block->instances() > 1) name += fmt::format("[{}]", index / info.reg->count);
        name += '.';
    }
    name += info.reg->name;
    if (info.reg->count > 1) name += fmt::format("[{}]", index % info.reg->count);
    return name;
}

Snapshot BankCore::snapshot() const {
    Snapshot result{view_->options.name, view_->hash, {}};
    for (const RegisterInfo& info : view_->registers) {
        for (uint32_t i = 0; i < info.elements; ++i) {
            const std::string name = element_name(info, i);
            result.values[name] = load(info, i);
            for (const HeldHalf& held : held_) {
                if (held.storage != info.storage + i * info.width_bytes) continue;
                result.values[name + std::string(kLowSuffix)] = held.low;
            }
        }
    }
    return result;
}

/// A snapshot's content in the form of a bank's members, while it is being checked.
struct BankCore::Restored {
    std::unique_ptr<uint8_t[]> storage;
    std::vector<HeldHalf> held;
    std::set<std::string, std::less<>> names;
};

Status BankCore::restore_element(const Snapshot& snapshot, const RegisterInfo& info, uint32_t index,
                                 Restored& out) const {
    const std::string name = element_name(info, index);
    const auto found = snapshot.values.find(name);
    if (found == snapshot.values.end()) {
        return fail(std::errc::invalid_argument, "{}: the snapshot lacks register {}", device_name_,
                    name);
    }
    if ((found->second & ~info.stored) != 0) {
        return fail(std::errc::invalid_argument,
                    "{}: the snapshot's {} = {:#x} has bits that no field has", device_name_, name,
                    found->second);
    }
    if (((found->second ^ load(info, index)) & info.per_device) != 0) {
        return fail(
            std::errc::invalid_argument,
            "{}: the snapshot is of a device with other options: its {} is {:#x}, not {:#x}",
            device_name_, name, found->second, load(info, index));
    }
    out.names.insert(name);
    const uint32_t storage = info.storage + index * info.width_bytes;
    for (unsigned b = 0; b < info.width_bytes; ++b) {
        out.storage[storage + b] = static_cast<uint8_t>(found->second >> (8 * b));
    }
    if (info.width_bytes != 8 || view_->options.wide != Wide::kCommitOnHigh || !info.writable()) {
        return {};
    }
    const auto low = snapshot.values.find(name + std::string(kLowSuffix));
    if (low == snapshot.values.end()) return {};
    if (low->second > 0xffffffff) {
        return fail(std::errc::invalid_argument, "{}: the snapshot's {} = {:#x} exceeds 32 bits",
                    device_name_, low->first, low->second);
    }
    out.names.insert(low->first);
    out.held.push_back({storage, static_cast<uint32_t>(low->second)});
    return {};
}

Status BankCore::restore(const Snapshot& snapshot) {
    if (snapshot.map_hash != view_->hash || snapshot.map_name != view_->options.name) {
        return fail(std::errc::invalid_argument,
                    "{}: the snapshot is of map {} {:#018x}, the device has {} {:#018x}",
                    device_name_, snapshot.map_name, snapshot.map_hash, view_->options.name,
                    view_->hash);
    }
    Restored out;
    out.storage = std::make_unique<uint8_t[]>(view_->storage_bytes);
    for (const RegisterInfo& info : view_->registers) {
        for (uint32_t i = 0; i < info.elements; ++i) {
            MIMIC_TRY(restore_element(snapshot, info, i, out));
        }
    }
    for (const auto& [name, value] : snapshot.values) {
        if (!out.names.contains(name)) {
            return fail(std::errc::invalid_argument, "{}: the snapshot has {}, {} has no such name",
                        device_name_, name, view_->options.name);
        }
    }
    storage_ = std::move(out.storage);
    held_ = std::move(out.held);
    return {};
}

}  // namespace mimic::reg
