// SPDX-License-Identifier: Apache-2.0
#include "pci/function/function_dma.h"

#include <memory>
#include <utility>

#include "pci/function/function.h"

namespace mimic::pci {
namespace {

// How far an operation has come. Shared by the call and its completion, whichever is last.
struct Progress {
    bool done = false;
    bool returned = false;
};

uint8_t completion_flags(const Progress& progress, bool failed) {
    return static_cast<uint8_t>((progress.returned ? kTraceLater : 0) |
                                (failed ? kTraceFailed : 0));
}

uint64_t errno_of(const Error& error) {
    return static_cast<uint64_t>(error.errno_value());
}

std::span<const uint8_t> wire_bytes(std::span<const std::byte> data) {
    return {reinterpret_cast<const uint8_t*>(data.data()), data.size()};
}

}  // namespace

std::optional<std::span<std::byte>> FunctionDma::span(uint64_t iova, uint64_t size,
                                                      memory::DmaAccess access) {
    if (tracer_ != nullptr && tracer_->dma_bytes() > 0) return std::nullopt;
    const auto bytes = real_->span(iova, size, access);
    if (!bytes) return bytes;
    if (access != memory::DmaAccess::kWrite) {
        ++counters_.dma_reads;
        counters_.dma_read_bytes += size;
    }
    if (access != memory::DmaAccess::kRead) {
        ++counters_.dma_writes;
        counters_.dma_write_bytes += size;
    }
    if (tracer_ != nullptr) {
        tracer_->record(source_, {.kind = TraceKind::kDmaMap,
                                  .bar = static_cast<uint8_t>(access),
                                  .address = iova,
                                  .size = size});
    }
    return bytes;
}

void FunctionDma::read(uint64_t iova, uint64_t size, ReadDone done) {
    ++counters_.dma_reads;
    counters_.dma_read_bytes += size;
    if (tracer_ == nullptr) {
        return real_->read(iova, size, [model = model_.ptr(), done = std::move(done)](auto bytes) {
            if (model) done(std::move(bytes));
        });
    }
    auto progress = std::make_shared<Progress>();
    const WeakPtr<FunctionDma> traced = tracing_.ptr();
    real_->read(iova, size,
                [=, model = model_.ptr(),
                 done = std::move(done)](Result<std::span<const std::byte>> bytes) {
                    progress->done = true;
                    if (const FunctionDma* const self = traced.get()) {
                        TraceEvent event{.kind = TraceKind::kDmaRead,
                                         .flags = completion_flags(*progress, !bytes),
                                         .address = iova,
                                         .size = size};
                        if (bytes) event.data = wire_bytes(*bytes);
                        if (!bytes) event.value = errno_of(bytes.error());
                        self->tracer_->record(self->source_, event);
                    }
                    if (model) done(std::move(bytes));
                });
    // The function may be gone after the call, and its tracer.
    progress->returned = true;
    const FunctionDma* const self = traced.get();
    if (progress->done || self == nullptr) return;
    self->tracer_->record(
        self->source_,
        {.kind = TraceKind::kDmaRead, .flags = kTraceIssued, .address = iova, .size = size});
}

void FunctionDma::write(uint64_t iova, std::span<const std::byte> data, WriteDone done) {
    ++counters_.dma_writes;
    counters_.dma_write_bytes += data.size();
    if (tracer_ == nullptr) {
        return real_->write(iova, data,
                            [model = model_.ptr(), done = std::move(done)](Status written) {
                                if (model) done(std::move(written));
                            });
    }
    auto progress = std::make_shared<Progress>();
    const WeakPtr<FunctionDma> traced = tracing_.ptr();
    real_->write(iova, data, [=, model = model_.ptr(), done = std::move(done)](Status written) {
        progress->done = true;
        if (const FunctionDma* const self = traced.get()) {
            TraceEvent event{.kind = TraceKind::kDmaWrite,
                             .flags = completion_flags(*progress, !written),
                             .address = iova,
                             .size = data.size()};
            // What completes later was recorded with its bytes when it began; they are gone now.
            if (!progress->returned) event.data = wire_bytes(data);
            if (!written) event.value = errno_of(written.error());
            self->tracer_->record(self->source_, event);
        }
        if (model) done(std::move(written));
    });
    progress->returned = true;
    const FunctionDma* const self = traced.get();
    if (progress->done || self == nullptr) return;
    self->tracer_->record(self->source_, {.kind = TraceKind::kDmaWrite,
                                          .flags = kTraceIssued,
                                          .address = iova,
                                          .size = data.size(),
                                          .data = wire_bytes(data)});
}

// --- Function --------------------------------------------------------------------------------

memory::DmaSpace* Function::dma() {
    check_thread();
    memory::DmaSpace* const real = real_dma();
    memory::DmaSpace* const space = faults_ ? faults_->dma(real) : real;
    if (space == nullptr) return nullptr;
    // Outside of the faults: what is traced is what the model sees.
    if (!dma_) dma_ = std::make_unique<FunctionDma>(counters_);
    return &dma_->refresh(*space, tracer_, trace_source_);
}

memory::DmaSpace* Function::real_dma() {
    return slot_ != nullptr && in_d0_ && bus_master_enabled() ? &slot_->dma() : nullptr;
}

void Function::dma_read(uint64_t iova, uint64_t size, memory::DmaSpace::ReadDone done) {
    if (memory::DmaSpace* const space = dma()) return space->read(iova, size, std::move(done));
    done(fail(std::errc::operation_not_permitted, "{}: it may not master the bus", name()));
}

void Function::dma_write(uint64_t iova, std::span<const std::byte> data,
                         memory::DmaSpace::WriteDone done) {
    if (memory::DmaSpace* const space = dma()) return space->write(iova, data, std::move(done));
    done(fail(std::errc::operation_not_permitted, "{}: it may not master the bus", name()));
}

}  // namespace mimic::pci
