// SPDX-License-Identifier: Apache-2.0
#include "pci/fabric/fabric_attachment.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace mimic::pci {
namespace {

constexpr uint64_t kMaxDma = 16ULL << 20;  // memory::DmaSpace's own limit
constexpr uint32_t kMaxPeerDepth = 4;      // arbitrary

}  // namespace

Attachment::Attachment(Fabric& fabric, Fabric::Segment& segment, Function& function, uint8_t devfn,
                       uint32_t pf_rid_offset)
    : fabric_(fabric),
      segment_(segment),
      function_(function),
      devfn_(devfn),
      rid_offset_(pf_rid_offset) {}

uint16_t Attachment::routing_id() const {
    return static_cast<uint16_t>(((segment_.number() << 8) | devfn_) + rid_offset_);
}

TaskRunner& Attachment::runner() {
    MIMIC_CHECK(fabric_.host_ != nullptr);  // functions are attached only while the fabric is
    return fabric_.host_->fabric_runner();
}

// --- Interrupts and errors -------------------------------------------------------------------

void Attachment::send_msix(uint32_t vector) {
    fabric_.send_message(*this, function_.msix_message(vector));
}

void Attachment::send_msi(uint32_t vector) {
    fabric_.send_message(*this, function_.msi_message(vector));
}

bool Attachment::send_error(ErrorMessage message) {
    return fabric_.send_error(*this, message);
}

ErrorPath Attachment::error_path() const {
    return fabric_.error_path(*this);
}

bool Attachment::message_path() const {
    return fabric_.host_ != nullptr && fabric_.path_is_open(segment_);
}

// --- VFs -------------------------------------------------------------------------------------

std::unique_ptr<Slot> Attachment::make_vf_slot(Function& vf, uint32_t rid_offset) {
    return std::make_unique<Attachment>(fabric_, segment_, vf, devfn_, rid_offset);
}

// --- DMA -------------------------------------------------------------------------------------

memory::DmaSpace* Attachment::memory() const {
    if (fabric_.host_ == nullptr || !fabric_.path_is_open(segment_)) return nullptr;
    return fabric_.host_->fabric_dma();
}

std::optional<std::span<std::byte>> Attachment::span(uint64_t iova, uint64_t size,
                                                     memory::DmaAccess access) {
    memory::DmaSpace* const space = memory();
    if (space == nullptr || fabric_.host_->is_window(iova)) return std::nullopt;
    return space->span(iova, size, access);
}

bool Attachment::intact(uint64_t iova, uint64_t size) {
    memory::DmaSpace* const space = memory();
    return space == nullptr || space->intact(iova, size);
}

// Calls piece(address, size) for the parts of a range that lie in one BAR each; false if some
// byte lies in none. The parts are looked up before the first is touched.
bool Attachment::peer(uint64_t iova, uint64_t size,
                      const std::function<void(uint64_t, uint64_t)>& piece) {
    // A guest can point a function at its own doorbell; the chain of writes that begets must end.
    if (fabric_.peer_depth_ == kMaxPeerDepth) return false;
    std::vector<std::pair<uint64_t, uint64_t>> parts;
    for (uint64_t done = 0; done < size;) {
        const Fabric::Target target = fabric_.find_memory(iova + done);
        if (target.function == nullptr) return false;
        const uint64_t length = std::min(size - done, target.start + target.size - (iova + done));
        parts.emplace_back(iova + done, length);
        done += length;
    }
    ++fabric_.counters_.peer_to_peer;
    ++fabric_.peer_depth_;
    for (const auto& [address, length] : parts) piece(address, length);
    --fabric_.peer_depth_;
    return true;
}

void Attachment::read(uint64_t iova, uint64_t size, ReadDone done) {
    memory::DmaSpace* const space = memory();
    if (space == nullptr) {
        return done(fail(std::errc::bad_address, "{}: no path for DMA", function_.name()));
    }
    if (!fabric_.host_->is_window(iova)) return space->read(iova, size, std::move(done));
    if (size == 0 || size > kMaxDma) {
        return done(fail(std::errc::invalid_argument, "DMA of {} bytes", size));
    }
    std::vector<std::byte> data(size);
    const bool found = peer(iova, size, [&](uint64_t address, uint64_t length) {
        auto* const at = reinterpret_cast<uint8_t*>(data.data() + (address - iova));
        fabric_.memory_read(address, {at, length});
    });
    if (!found) {
        return done(fail(std::errc::bad_address, "{}: no peer at {:#x}", function_.name(), iova));
    }
    done(std::span<const std::byte>(data));
}

void Attachment::write(uint64_t iova, std::span<const std::byte> data, WriteDone done) {
    memory::DmaSpace* const space = memory();
    if (space == nullptr) {
        return done(fail(std::errc::bad_address, "{}: no path for DMA", function_.name()));
    }
    if (!fabric_.host_->is_window(iova)) return space->write(iova, data, std::move(done));
    if (data.empty() || data.size() > kMaxDma) {
        return done(fail(std::errc::invalid_argument, "DMA of {} bytes", data.size()));
    }
    const bool found = peer(iova, data.size(), [&](uint64_t address, uint64_t length) {
        const auto* const at = reinterpret_cast<const uint8_t*>(data.data() + (address - iova));
        fabric_.memory_write(address, {at, length});
    });
    if (!found) {
        return done(fail(std::errc::bad_address, "{}: no peer at {:#x}", function_.name(), iova));
    }
    done({});
}

}  // namespace mimic::pci
