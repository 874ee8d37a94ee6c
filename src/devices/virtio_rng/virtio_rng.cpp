// SPDX-License-Identifier: Apache-2.0
#include "devices/virtio_rng/virtio_rng.h"

#include <sys/random.h>

#include <algorithm>
#include <array>
#include <utility>

#include "devices/virtio_rng/model.h"

namespace mimic::virtio_rng {

VirtioRng::VirtioRng(std::string name, Source source)
    : Device({.name = std::move(name), .virtio_id = kVirtioId, .queue_sizes = {kQueueEntries}}),
      source_(std::move(source)) {}

// Up to 256 bytes come without interruption, so larger requests are asked for in a loop. A host
// without entropy yet is one that has just booted: nothing is returned rather than waited for.
bool VirtioRng::host_bytes(std::span<std::byte> out) {
    while (!out.empty()) {
        const ssize_t got = ::getrandom(out.data(), out.size(), GRND_NONBLOCK);
        if (got <= 0) return false;
        out = out.subspan(static_cast<size_t>(got));
    }
    return true;
}

void VirtioRng::on_kick(uint16_t /*index*/) {
    if (is_scheduled_) return;  // the rest of an earlier kick comes first
    for (unsigned done = 0; done < kMostBuffers; ++done) {
        if (dma() == nullptr) return;
        auto chain = queue(0).pop(*dma());
        if (!chain) return;
        fill(std::move(*chain));
    }
    schedule();
}

void VirtioRng::fill(virtio::Chain&& chain) {
    std::array<std::byte, kMostBytes> bytes;  // NOLINT(*-member-init): filled below, and large
    const auto out = std::span(bytes).first(std::min<size_t>(chain.writable_bytes(), bytes.size()));
    size_t written = 0;
    if (source_(out)) written = queue(0).write(*dma(), chain, 0, out);
    complete(0, std::move(chain), static_cast<uint32_t>(written));
}

void VirtioRng::schedule() {
    is_scheduled_ = true;
    slot()->runner().post([weak = weak_.ptr()] {
        VirtioRng* const self = weak.get();
        if (self == nullptr || !self->is_scheduled_) return;
        self->is_scheduled_ = false;
        if (!self->is_live()) return;
        const Turn turn(*self);
        self->on_kick(0);
    });
}

}  // namespace mimic::virtio_rng
