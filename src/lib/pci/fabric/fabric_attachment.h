// SPDX-License-Identifier: Apache-2.0
// Attachment: what one function of a fabric is plugged into: its way up for interrupts, errors and
// DMA. Internal to the fabric.
#pragma once

#include "pci/fabric/fabric.h"

namespace mimic::pci {

/// A port's, function's or VF's slot. Bus mastering of all bridges on the way counts, and so
/// do their links. Thread-bound with the fabric.
class Attachment final : public Slot, public memory::DmaSpace {
public:
    /// `pf_rid_offset`: 0, or for a VF its routing id minus that of the PF at `devfn`.
    Attachment(Fabric& fabric, Fabric::Segment& segment, Function& function, uint8_t devfn,
               uint32_t pf_rid_offset);

    Fabric::Segment& segment() const { return segment_; }
    Function& function() const { return function_; }
    uint16_t routing_id() const;

    // Slot
    void send_msix(uint32_t vector) override;
    void send_msi(uint32_t vector) override;
    bool owns_msix_table() const override { return false; }
    void set_intx(bool) override {}  // a VMD has no way for INTx messages
    memory::DmaSpace& dma() override { return *this; }
    TaskRunner& runner() override;
    bool send_error(ErrorMessage message) override;
    ErrorPath error_path() const override;
    bool message_path() const override;
    std::unique_ptr<Slot> make_vf_slot(Function& vf, uint32_t rid_offset) override;
    void routing_changed() override { fabric_.routing_changed(); }

    // memory::DmaSpace
    std::optional<std::span<std::byte>> span(uint64_t iova, uint64_t size,
                                             memory::DmaAccess access) override;
    bool intact(uint64_t iova, uint64_t size) override;
    void read(uint64_t iova, uint64_t size, ReadDone done) override;
    void write(uint64_t iova, std::span<const std::byte> data, WriteDone done) override;

private:
    memory::DmaSpace* memory() const;
    bool peer(uint64_t iova, uint64_t size, const std::function<void(uint64_t, uint64_t)>& piece);

    Fabric& fabric_;
    Fabric::Segment& segment_;
    Function& function_;
    uint8_t devfn_;
    uint32_t rid_offset_;
};

/// A function's place on a bus.
struct Fabric::Node {
    uint8_t devfn = 0;
    std::unique_ptr<Function> function;
    std::unique_ptr<Attachment> attachment;
    std::unique_ptr<Segment> below;  // of a bridge

    Port* bridge() const { return below ? below->bridge : nullptr; }
};

}  // namespace mimic::pci
