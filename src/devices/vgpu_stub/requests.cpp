// SPDX-License-Identifier: Apache-2.0
// The registers' request: IDLE, BUSY, then DONE or ERROR. Its bytes are in REQUEST, or by
// DMA_DOORBELL in guest memory.
#include <cstring>

#include "devices/vgpu_stub/vgpu_stub.h"

namespace mimic::vgpu_stub {
namespace {

constexpr unsigned kHighShift = 32;

void put_word(uint32_t word, std::byte* to) {
    std::memcpy(to, &word, sizeof word);
}

}  // namespace

/// A length register keeps what it holds when somebody writes more than `most`.
template <const reg::Register& Reg>
void VgpuStub::bind_limit(uint32_t most) {
    bank_.on_write<Reg>([this, most](const reg::WriteEvent& event) {
        if (event.now > most) bank_.set_value<Reg>(event.old);
    });
}

void VgpuStub::bind() {
    bind_limit<REQUEST_LEN>(VGPU_BUFFER_SIZE);
    bind_limit<DMA_REQUEST_LEN>(VGPU_MAX_MESSAGE);
    bind_limit<DMA_RESPONSE_SIZE>(VGPU_MAX_MESSAGE);
    bank_.on_write<DOORBELL>([this](const reg::WriteEvent& event) {
        if (event.now == 1) doorbell_written();
    });
    bank_.on_write<DMA_DOORBELL>([this](const reg::WriteEvent& event) {
        if (event.now == 1) dma_doorbell_written();
    });
    bank_.on_write<INTERRUPT_CTRL>([this](const reg::WriteEvent&) {
        if (!options_.extensions) bank_.set<INTERRUPT_CTRL, "RING">(0);
        update_pin();
    });
    bank_.on_write<INTERRUPT_STATUS>([this](const reg::WriteEvent&) { update_pin(); });
}

bool VgpuStub::is_busy() const {
    return bank_.get<STATUS, "VALUE">() == static_cast<uint32_t>(State::kBusy);
}

/// False: there is nothing to send.
bool VgpuStub::begin(uint32_t length) {
    if (is_busy()) return false;
    begun_ns_ = now_ns();
    if (length == 0) {
        finish(options_.length_error, 0);
        return false;
    }
    ++round_;
    bank_.set<STATUS, "VALUE">(static_cast<uint32_t>(State::kBusy));
    bank_.set<ERROR_CODE, "VALUE">(VGPU_OK);
    return true;
}

void VgpuStub::doorbell_written() {
    const auto length = static_cast<uint32_t>(bank_.get<REQUEST_LEN, "VALUE">());
    if (!begin(length)) return;
    std::vector<std::byte> request((length + 3) / 4 * 4);
    for (uint32_t i = 0; i < request.size() / 4; ++i)
        put_word(static_cast<uint32_t>(bank_.value<REQUEST>(i)), request.data() + 4 * size_t{i});
    request.resize(length);
    send(std::move(request), VGPU_BUFFER_SIZE, /*by_dma=*/false);
}

void VgpuStub::send(std::vector<std::byte> request, size_t room, bool by_dma) {
    sent_ = true;
    errands_.send(static_cast<uint32_t>(bank_.value<REQUEST_ID>()), std::move(request), room,
                  [this, round = round_, by_dma](const compute::Completion& completion) {
                      if (round != round_) return;
                      sent_ = false;
                      answered(completion, by_dma);
                  });
}

void VgpuStub::dma_doorbell_written() {
    const auto length = static_cast<uint32_t>(bank_.get<DMA_REQUEST_LEN, "VALUE">());
    if (!begin(length)) return;
    const uint64_t address = bank_.value<DMA_REQUEST_HI>() << kHighShift |
                             bank_.value<DMA_REQUEST_LO>();
    const auto room = static_cast<size_t>(bank_.value<DMA_RESPONSE_SIZE>());
    dma_read(address, length,
             [this, round = round_, room](const Result<std::span<const std::byte>>& bytes) {
                 if (round != round_) return;
                 if (!bytes) return finish(VGPU_ERROR_DMA, 0);
                 send({bytes->begin(), bytes->end()}, room, /*by_dma=*/true);
             });
}

void VgpuStub::answered(const compute::Completion& completion, bool by_dma) {
    const std::span<const std::byte> response = completion.response;
    if (completion.error != VGPU_OK || response.empty()) return finish(completion.error, 0);
    if (by_dma) {
        const uint64_t address = bank_.value<DMA_RESPONSE_HI>() << kHighShift |
                                 bank_.value<DMA_RESPONSE_LO>();
        return dma_write(address, response,
                         [this, round = round_, size = response.size()](const Status& status) {
                             if (round != round_) return;
                             finish(status ? VGPU_OK : VGPU_ERROR_DMA, status ? size : 0);
                         });
    }
    for (size_t at = 0; at < response.size(); at += 4) {
        uint32_t word = 0;  // the last one is filled up with zeros
        std::memcpy(&word, response.data() + at, std::min<size_t>(4, response.size() - at));
        bank_.set_value<RESPONSE>(word, static_cast<uint32_t>(at / 4));
    }
    finish(VGPU_OK, response.size());
}

void VgpuStub::finish(vgpu_error error, size_t response_bytes) {
    const uint64_t now = now_ns();
    const State state = error == VGPU_OK ? State::kDone : State::kError;
    bank_.set<STATUS, "VALUE">(static_cast<uint32_t>(state));
    bank_.set<ERROR_CODE, "VALUE">(error);
    bank_.set<RESPONSE_LEN, "VALUE">(response_bytes);
    bank_.set<TIMESTAMP_LO, "VALUE">(static_cast<uint32_t>(now));
    bank_.set<TIMESTAMP_HI, "VALUE">(now >> kHighShift);
    trace_request({.kind = pci::TraceKind::kRequest,
                   .bar = kRegisterVector,
                   .flags = error == VGPU_OK ? uint8_t{0} : pci::kTraceFailed,
                   .address = begun_ns_,
                   .size = now - begun_ns_,
                   .value = bank_.value<REQUEST_ID>(),
                   .text = "REQUEST"});
    interrupt(kInterruptDone, kRegisterVector);
}

// --- Interrupts ------------------------------------------------------------------------------

// The original never sets INTERRUPT_STATUS, and so neither does a device without extensions.
void VgpuStub::interrupt(uint32_t bit, uint32_t vector) {
    if (!options_.extensions) return;
    bank_.set_value<INTERRUPT_STATUS>(bank_.value<INTERRUPT_STATUS>() | bit);
    update_pin();
    if ((bank_.value<INTERRUPT_CTRL>() & bit) != 0) raise_msix(vector);
}

void VgpuStub::update_pin() {
    set_intx((bank_.value<INTERRUPT_STATUS>() & bank_.value<INTERRUPT_CTRL>()) != 0);
}

}  // namespace mimic::vgpu_stub
