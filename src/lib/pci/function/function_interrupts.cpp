// SPDX-License-Identifier: Apache-2.0
// Interrupts of a function: when messages of MSI-X and MSI go out, and what drives the pin.
// PCIe 6.0, 6.1.2 (INTx), 6.1.4 (MSI and MSI-X), 7.7.
#include <utility>

#include "base/check.h"
#include "pci/config/pci_regs.h"
#include "pci/function/function.h"

namespace mimic::pci {

bool Function::can_send_messages() const {
    return slot_ != nullptr && in_d0_ && bus_master_enabled();
}

void Function::interrupt_control_written() {
    update_intx();
    deliver_pending();
}

void Function::send(TraceKind kind, uint32_t vector) {
    const bool msix = kind == TraceKind::kMsix;
    const bool swallowed = faults_ && faults_->message(msix, vector);
    trace_message(kind, vector, swallowed);
    if (!swallowed) msix ? slot_->send_msix(vector) : slot_->send_msi(vector);
}

void Function::deliver_pending() {
    if (!can_send_messages()) return;
    if (msi_enabled()) {
        for (auto one = msi_->take_pending(0); one; one = msi_->take_pending(*one + 1))
            send(TraceKind::kMsi, *one);
    }
    if (!msix_enabled() || !can_send_messages()) return;
    const bool entries = msix_entries_count();
    for (auto one = msix_->take_pending(0, entries); one;
         one = msix_->take_pending(*one + 1, entries))
        send(TraceKind::kMsix, *one);
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

void Function::adopt(const MsiCapability& msi) {
    msi_ = std::make_unique<MsiCapability>(msi);
    const auto changed = [this](const ConfigWrite&) { interrupt_control_written(); };
    config_.on_write(msi_->offset() + regs::MSI_CONTROL, 2, changed);
    if (const uint32_t mask = msi_->mask_offset(); mask != 0) config_.on_write(mask, 4, changed);
}

void Function::raise_msi(uint32_t vector) {
    MIMIC_CHECK(vector < msi_vectors());
    if (!msi_->enabled()) return;
    const uint32_t message = msi_->message_number(vector);
    if (msi_->admit(message) && can_send_messages()) send(TraceKind::kMsi, message);
}

MsiMessage Function::msi_message(uint32_t vector) const {
    MIMIC_CHECK(vector < msi_vectors());
    return msi_->message(vector);
}

// --- MSI-X -----------------------------------------------------------------------------------

void Function::adopt(MsixCapability&& msix) {
    msix_ = std::make_unique<MsixCapability>(std::move(msix));
    msix_places_ = msix_->places();
    config_.on_write(msix_->offset() + regs::MSIX_CONTROL, 2,
                     [this](const ConfigWrite&) { interrupt_control_written(); });
}

bool Function::msix_entries_count() const {
    return slot_ != nullptr && !slot_->owns_msix_table();
}

void Function::raise_msix(uint32_t vector) {
    MIMIC_CHECK(vector < msix_vectors());
    if (!msix_->enabled()) return;
    if (msix_->admit(vector, msix_entries_count()) && can_send_messages())
        send(TraceKind::kMsix, vector);
}

MsiMessage Function::msix_message(uint32_t vector) const {
    MIMIC_CHECK(vector < msix_vectors());
    return msix_->table().message(vector);
}

void Function::divide_read(unsigned bar, uint64_t offset, std::span<uint8_t> data) {
    for (size_t done = 0; done < data.size();) {
        const auto part = msix_places_.first_part(bar, offset + done, data.size() - done);
        const std::span<uint8_t> bytes = data.subspan(done, part.size);
        part.owner == MsixPlaces::Owner::kModel ? on_read(bar, part.offset, bytes)
                                                : msix_->read(part, bytes);
        done += part.size;
    }
}

void Function::divide_write(unsigned bar, uint64_t offset, std::span<const uint8_t> data) {
    for (size_t done = 0; done < data.size();) {
        const auto part = msix_places_.first_part(bar, offset + done, data.size() - done);
        const std::span<const uint8_t> bytes = data.subspan(done, part.size);
        if (part.owner == MsixPlaces::Owner::kModel)
            on_write(bar, part.offset, bytes);
        else if (msix_->write(part, bytes))
            deliver_pending();
        done += part.size;
    }
}

}  // namespace mimic::pci
