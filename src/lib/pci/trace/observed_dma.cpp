// SPDX-License-Identifier: Apache-2.0
#include "pci/trace/observed_dma.h"

#include <utility>

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

std::span<const uint8_t> wire_bytes(std::span<const std::byte> data) {
    return {reinterpret_cast<const uint8_t*>(data.data()), data.size()};
}

}  // namespace

const std::shared_ptr<ObservedDma::Tracing>& ObservedDma::tracing() {
    if (!tracing_ || tracing_->tracer != tracer_ || tracing_->source != source_) {
        tracing_ = std::make_shared<Tracing>(Tracing{tracer_, source_});
    }
    return tracing_;
}

std::optional<std::span<std::byte>> ObservedDma::span(uint64_t iova, uint64_t size,
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

void ObservedDma::read(uint64_t iova, uint64_t size, ReadDone done) {
    ++counters_.dma_reads;
    counters_.dma_read_bytes += size;
    if (tracer_ == nullptr) return real_->read(iova, size, std::move(done));
    auto progress = std::make_shared<Progress>();
    Tracer* const tracer = tracer_;
    const uint32_t source = source_;
    const std::weak_ptr<Tracing> alive = tracing();
    real_->read(iova, size, [=, done = std::move(done)](Result<std::span<const std::byte>> bytes) {
        progress->done = true;
        if (const auto to = alive.lock()) {
            TraceEvent event{.kind = TraceKind::kDmaRead,
                             .flags = completion_flags(*progress, !bytes),
                             .address = iova,
                             .size = size};
            if (bytes) event.data = wire_bytes(*bytes);
            if (!bytes) event.value = static_cast<uint64_t>(bytes.error().errno_value());
            to->tracer->record(to->source, event);
        }
        done(std::move(bytes));
    });
    // Nothing of this object after the call: the function may be gone.
    progress->returned = true;
    if (progress->done || alive.expired()) return;
    tracer->record(
        source,
        {.kind = TraceKind::kDmaRead, .flags = kTraceIssued, .address = iova, .size = size});
}

void ObservedDma::write(uint64_t iova, std::span<const std::byte> data, WriteDone done) {
    ++counters_.dma_writes;
    counters_.dma_write_bytes += data.size();
    if (tracer_ == nullptr) return real_->write(iova, data, std::move(done));
    auto progress = std::make_shared<Progress>();
    Tracer* const tracer = tracer_;
    const uint32_t source = source_;
    const std::weak_ptr<Tracing> alive = tracing();
    real_->write(iova, data, [=, done = std::move(done)](Status written) {
        progress->done = true;
        if (const auto to = alive.lock()) {
            TraceEvent event{.kind = TraceKind::kDmaWrite,
                             .flags = completion_flags(*progress, !written),
                             .address = iova,
                             .size = data.size()};
            // What completes later was recorded with its bytes when it began; they are gone now.
            if (!progress->returned) event.data = wire_bytes(data);
            if (!written) event.value = static_cast<uint64_t>(written.error().errno_value());
            to->tracer->record(to->source, event);
        }
        done(std::move(written));
    });
    progress->returned = true;
    if (progress->done || alive.expired()) return;
    tracer->record(source, {.kind = TraceKind::kDmaWrite,
                            .flags = kTraceIssued,
                            .address = iova,
                            .size = data.size(),
                            .data = wire_bytes(data)});
}

}  // namespace mimic::pci
