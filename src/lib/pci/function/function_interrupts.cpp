// SPDX-License-Identifier: Apache-2.0
// Interrupts of a function: which of MSI-X, MSI and the pin the guest enabled, masks, and pending
// bits. PCIe 6.0, 6.1.2 (INTx), 6.1.4 (MSI and MSI-X), 7.7.
#include <algorithm>
#include <utility>

#include "base/check.h"
#include "pci/config/pci_regs.h"
#include "pci/function/function.h"

namespace mimic::pci {

bool Function::msi_enabled() const {
    return msi_cap_ != 0 &&
           (config_.u16(msi_cap_ + regs::MSI_CONTROL) & regs::MSI_CONTROL_ENABLE) != 0;
}

bool Function::msix_enabled() const {
    return msix_cap_ != 0 &&
           (config_.u16(msix_cap_ + regs::MSIX_CONTROL) & regs::MSIX_CONTROL_ENABLE) != 0;
}

bool Function::can_send_messages() const {
    return slot_ != nullptr && in_d0_ && bus_master_enabled();
}

void Function::interrupt_control_written() {
    update_intx();
    deliver_pending_msi();
    deliver_pending_msix();
}

void Function::send_msix(uint32_t vector) {
    const bool swallowed = faults_ && faults_->message(true, vector);
    trace_message(TraceKind::kMsix, vector, swallowed);
    if (!swallowed) slot_->send_msix(vector);
}

void Function::send_msi(uint32_t vector) {
    const bool swallowed = faults_ && faults_->message(false, vector);
    trace_message(TraceKind::kMsi, vector, swallowed);
    if (!swallowed) slot_->send_msi(vector);
}

// --- INTx ------------------------------------------------------------------------------------

void Function::set_intx(bool asserted) {
    if (options_.interrupt_pin == 0) return;
    intx_level_ = asserted;
    update_intx();
}

void Function::update_intx() {
    // STATUS shows the level inside the function, whatever holds the pin back (7.5.1.1.4).
    config_.set_bits(regs::STATUS, 2, regs::STATUS_INTERRUPT, intx_level_ ? ~0U : 0U);
    const bool disabled = (config_.u32(regs::COMMAND) & regs::COMMAND_INTERRUPT_DISABLE) != 0;
    const bool level = intx_level_ && !disabled && in_d0_ && !msi_enabled() && !msix_enabled();
    if (slot_ == nullptr || level == pin_) return;
    pin_ = level;
    if (level) ++counters_.interrupts;
    if (tracer_ != nullptr) trace({.kind = TraceKind::kIntx, .value = level});
    slot_->set_intx(level);
}

// --- MSI -------------------------------------------------------------------------------------

void Function::bind_msi(uint32_t cap, uint32_t vectors) {
    msi_cap_ = cap;
    msi_vectors_ = vectors;
    const auto changed = [this](const ConfigWrite&) { interrupt_control_written(); };
    config_.on_write(cap + regs::MSI_CONTROL, 2, changed);
    if (const uint32_t mask = msi_mask_offset(); mask != 0) config_.on_write(mask, 4, changed);
}

uint32_t Function::msi_mask_offset() const {
    const uint32_t control = config_.u16(msi_cap_ + regs::MSI_CONTROL);
    if ((control & regs::MSI_CONTROL_PER_VECTOR_MASKING) == 0) return 0;
    const bool wide = (control & regs::MSI_CONTROL_64_BIT_ADDRESS) != 0;
    return msi_cap_ + (wide ? regs::MSI_MASK_64 : regs::MSI_MASK_32);
}

uint32_t Function::msi_message_number(uint32_t vector) const {
    // The function may change only the low bits of the data that the guest granted; more than it
    // can do, or a reserved encoding, grants what it can do (7.7.1.2).
    const uint32_t control = config_.u16(msi_cap_ + regs::MSI_CONTROL);
    const uint32_t granted = 1U << ((control & regs::MSI_CONTROL_MULTIPLE_MESSAGE_ENABLE) >> 4);
    return vector & (std::min(granted, msi_vectors_) - 1);
}

void Function::raise_msi(uint32_t vector) {
    MIMIC_CHECK(vector < msi_vectors_);
    if (!msi_enabled()) return;
    const uint32_t message = msi_message_number(vector);
    const uint32_t mask = msi_mask_offset();
    if (mask != 0 && ((config_.u32(mask) >> message) & 1) != 0) {
        config_.set_bits(mask + 4, 4, 1U << message, ~0U);  // Pending Bits follow Mask Bits
        return;
    }
    if (can_send_messages()) send_msi(message);
}

void Function::deliver_pending_msi() {
    if (!msi_enabled() || !can_send_messages()) return;
    const uint32_t mask = msi_mask_offset();
    if (mask == 0) return;
    for (uint32_t message = 0; message < msi_vectors_; ++message) {
        const uint32_t bit = 1U << message;
        if ((config_.u32(mask + 4) & ~config_.u32(mask) & bit) == 0) continue;
        config_.set_bits(mask + 4, 4, bit, 0);
        send_msi(message);
    }
}

MsiMessage Function::msi_message(uint32_t vector) const {
    MIMIC_CHECK(vector < msi_vectors_);
    const uint32_t control = config_.u16(msi_cap_ + regs::MSI_CONTROL);
    const bool wide = (control & regs::MSI_CONTROL_64_BIT_ADDRESS) != 0;
    const uint32_t upper = wide ? config_.u32(msi_cap_ + regs::MSI_UPPER_ADDRESS) : 0;
    const uint32_t data = config_.u16(msi_cap_ + (wide ? regs::MSI_DATA_64 : regs::MSI_DATA_32));
    const uint32_t granted = 1U << ((control & regs::MSI_CONTROL_MULTIPLE_MESSAGE_ENABLE) >> 4);
    const uint32_t low_bits = std::min(granted, msi_vectors_) - 1;
    return {.address = (uint64_t{upper} << 32) | config_.u32(msi_cap_ + regs::MSI_ADDRESS),
            .data = (data & ~low_bits) | (vector & low_bits)};
}

// --- MSI-X -----------------------------------------------------------------------------------

void Function::bind_msix(uint32_t cap, uint32_t vectors, const MsixPlaces& places) {
    msix_cap_ = cap;
    msix_vectors_ = vectors;
    msix_table_.emplace(vectors);
    msix_places_ = places;
    config_.on_write(cap + regs::MSIX_CONTROL, 2,
                     [this](const ConfigWrite&) { interrupt_control_written(); });
}

bool Function::msix_masked(uint32_t vector) const {
    const uint32_t control = config_.u16(msix_cap_ + regs::MSIX_CONTROL);
    if ((control & regs::MSIX_CONTROL_FUNCTION_MASK) != 0) return true;
    return slot_ != nullptr && !slot_->owns_msix_table() && msix_table_->masked(vector);
}

void Function::raise_msix(uint32_t vector) {
    MIMIC_CHECK(vector < msix_vectors_);
    if (!msix_enabled()) return;
    if (msix_masked(vector)) {
        msix_table_->set_pending(vector, true);
        return;
    }
    if (can_send_messages()) send_msix(vector);
}

void Function::deliver_pending_msix() {
    if (!msix_table_ || !msix_table_->any_pending() || !msix_enabled() || !can_send_messages()) {
        return;
    }
    for (uint32_t vector = msix_table_->next_pending(0); vector < msix_vectors_;
         vector = msix_table_->next_pending(vector + 1)) {
        if (msix_masked(vector)) continue;
        msix_table_->set_pending(vector, false);
        send_msix(vector);
    }
}

MsiMessage Function::msix_message(uint32_t vector) const {
    MIMIC_CHECK(vector < msix_vectors_);
    return msix_table_->message(vector);
}

void Function::divide_read(unsigned bar, uint64_t offset, std::span<uint8_t> data) {
    for (size_t done = 0; done < data.size();) {
        const auto part = msix_places_.first_part(bar, offset + done, data.size() - done);
        const std::span<uint8_t> bytes = data.subspan(done, part.size);
        if (part.owner == MsixPlaces::Owner::kModel)
            on_read(bar, part.offset, bytes);
        else if (part.owner == MsixPlaces::Owner::kTable)
            msix_table_->read(part.offset, bytes);
        else
            msix_table_->read_pba(part.offset, bytes);
        done += part.size;
    }
}

void Function::divide_write(unsigned bar, uint64_t offset, std::span<const uint8_t> data) {
    for (size_t done = 0; done < data.size();) {
        const auto part = msix_places_.first_part(bar, offset + done, data.size() - done);
        const std::span<const uint8_t> bytes = data.subspan(done, part.size);
        if (part.owner == MsixPlaces::Owner::kModel) on_write(bar, part.offset, bytes);
        // The PBA is read only.
        if (part.owner == MsixPlaces::Owner::kTable && msix_table_->write(part.offset, bytes)) {
            deliver_pending_msix();
        }
        done += part.size;
    }
}

}  // namespace mimic::pci
