// SPDX-License-Identifier: Apache-2.0
#include "vfio_user/interrupts.h"

#include <sys/epoll.h>

#include <algorithm>
#include <bit>

#include "base/peer_eventfd.h"
#include "memory/process_limits.h"

namespace mimic::vfio_user {

Interrupts::Interrupts(EventLoop& loop, std::array<uint32_t, kIrqCount> counts)
    : loop_(loop), counts_(counts) {}

Interrupts::~Interrupts() = default;

Interrupts::Watcher::Watcher(Interrupts& owner, UniqueFd fd, bool mask)
    : owner_(owner), fd_(std::move(fd)), mask_(mask) {}

Interrupts::Watcher::~Watcher() {
    if (watching_) owner_.loop_.unwatch(fd_.get());
}

Status Interrupts::Watcher::start() {
    // Edge-triggered: each write of the client makes an edge, and nothing need be read, which could
    // block if the client reads first.
    MIMIC_TRY(owner_.loop_.watch(fd_.get(), EPOLLIN | EPOLLET, *this));
    watching_ = true;
    return {};
}

void Interrupts::Watcher::on_fd_ready(uint32_t) {
    owner_.apply_mask(kIrqIntx, 0, mask_);
}

Interrupts::Vector& Interrupts::vector(uint32_t index, uint32_t number) {
    auto& vectors = vectors_[index];
    if (number >= vectors.size()) vectors.resize(number + 1);
    return vectors[number];
}

Status Interrupts::check(const SetIrqsBody& request, std::span<const uint8_t> data,
                         std::span<UniqueFd> fds) const {
    const uint32_t kind = request.flags & kIrqDataMask;
    const uint32_t action = request.flags & kIrqActionsMask;
    if ((request.flags & ~(kIrqDataMask | kIrqActionsMask)) != 0 || !std::has_single_bit(kind) ||
        !std::has_single_bit(action))
        return fail(std::errc::invalid_argument, "SET_IRQS flags {:#x}", request.flags);
    if (request.index >= kIrqCount)
        return fail(std::errc::invalid_argument, "SET_IRQS index {}", request.index);
    const uint32_t available = counts_[request.index];
    if (request.start >= available || request.count > available - request.start)
        return fail(std::errc::invalid_argument, "SET_IRQS {}+{} of index {}, which has {}",
                    request.start, request.count, request.index, available);
    if (request.count == 0 && !(kind == kIrqDataNone && action == kIrqActionTrigger))
        return fail(std::errc::invalid_argument, "SET_IRQS of no vectors");
    if (request.count == 0 && request.start != 0)
        return fail(std::errc::invalid_argument, "SET_IRQS disables index {} from vector {}",
                    request.index, request.start);
    if (kind == kIrqDataBool && data.size() != request.count)
        return fail(std::errc::invalid_argument, "SET_IRQS with {} booleans for {} vectors",
                    data.size(), request.count);
    // None at all detaches (QEMU enables MSI-X like that); some would leave open what is meant.
    const size_t wanted = kind == kIrqDataEventfd ? request.count : 0;
    if (!fds.empty() && fds.size() != wanted)
        return fail(std::errc::invalid_argument, "SET_IRQS with {} descriptors for {} vectors",
                    fds.size(), request.count);
    // libvfio-user lets MSI and MSI-X be masked, though its IRQ_INFO says, as ours, that they
    // cannot be. Nothing would come of it here.
    if (action != kIrqActionTrigger && request.index != kIrqIntx)
        return fail(std::errc::invalid_argument, "SET_IRQS masks index {}", request.index);
    for (const UniqueFd& fd : fds) MIMIC_TRY(check_peer_eventfd(fd.get()));
    return check_share(fds);
}

// A device may have 2,048 vectors, a process a thousand devices, and a thousand descriptors.
Status Interrupts::check_share(std::span<UniqueFd> fds) const {
    const bool scarce = std::any_of(
        fds.begin(), fds.end(), [](const UniqueFd& fd) { return descriptors_scarce(fd.get()); });
    if (!scarce) return {};
    size_t held = fds.size();
    for (const auto& vectors : vectors_)
        held += static_cast<size_t>(
            std::count_if(vectors.begin(), vectors.end(),
                          [](const Vector& v) { return static_cast<bool>(v.fd); }));
    if (held <= kAssuredEventfds) return {};
    return fail(std::errc::too_many_files_open,
                "{} eventfds for one client, and the process has few descriptors left", held);
}

Status Interrupts::set(const SetIrqsBody& request, std::span<const uint8_t> data,
                       std::span<UniqueFd> fds) {
    MIMIC_TRY(check(request, data, fds));
    switch (request.flags & kIrqActionsMask) {
        case kIrqActionMask:
            return set_mask(request, data, fds, true);
        case kIrqActionUnmask:
            return set_mask(request, data, fds, false);
        default:
            return set_trigger(request, data, fds);
    }
}

Status Interrupts::set_trigger(const SetIrqsBody& request, std::span<const uint8_t> data,
                               std::span<UniqueFd> fds) {
    const uint32_t kind = request.flags & kIrqDataMask;
    if (kind == kIrqDataEventfd) {
        // One for each vector, or none: then all are detached.
        for (uint32_t i = 0; i < request.count; ++i) {
            if (i >= fds.size() && request.start + i >= vectors_[request.index].size()) break;
            Vector& v = vector(request.index, request.start + i);
            v.fd = i < fds.size() ? std::move(fds[i]) : UniqueFd();
            if (request.index == kIrqIntx)
                fire_intx();
            else if (v.fd && v.pending)
                signal(v);
        }
        return {};
    }
    if (request.count == 0) {  // NONE: disable the whole index
        vectors_[request.index].clear();
        if (request.index == kIrqIntx) {
            mask_watcher_.reset();
            unmask_watcher_.reset();
        }
        return {};
    }
    for (uint32_t i = 0; i < request.count; ++i) {
        if (kind == kIrqDataBool && data[i] == 0) continue;
        trigger(request.index, request.start + i);
    }
    return {};
}

Status Interrupts::set_mask(const SetIrqsBody& request, std::span<const uint8_t> data,
                            std::span<UniqueFd> fds, bool mask) {
    const uint32_t kind = request.flags & kIrqDataMask;
    if (kind == kIrqDataEventfd) {
        auto& watcher = mask ? mask_watcher_ : unmask_watcher_;
        watcher.reset();
        if (fds.empty()) return {};
        watcher = std::make_unique<Watcher>(*this, std::move(fds[0]), mask);
        return watcher->start();
    }
    for (uint32_t i = 0; i < request.count; ++i)
        if (kind == kIrqDataNone || data[i] != 0)
            apply_mask(request.index, request.start + i, mask);
    return {};
}

void Interrupts::apply_mask(uint32_t index, uint32_t number, bool mask) {
    Vector& v = vector(index, number);
    v.masked = mask;
    if (!mask) fire_intx();
}

void Interrupts::signal(Vector& v) {
    v.pending = false;
    ++signalled_;
    signal_peer_eventfd(v.fd.get());
}

void Interrupts::trigger(uint32_t index, uint32_t number) {
    if (index >= kIrqCount || number >= counts_[index]) return;
    Vector& v = vector(index, number);
    if (!v.fd || v.masked) {
        v.pending = true;
        return;
    }
    signal(v);
    if (index == kIrqIntx) v.masked = true;
}

void Interrupts::fire_intx() {
    if (counts_[kIrqIntx] == 0) return;
    Vector& v = vector(kIrqIntx, 0);
    if (intx_level_) v.pending = true;
    if (!v.pending || v.masked || !v.fd) return;
    signal(v);
    v.masked = true;  // until the client unmasks: it does that when the guest has handled the
                      // interrupt
}

void Interrupts::set_intx_level(bool asserted) {
    intx_level_ = asserted;
    if (counts_[kIrqIntx] == 0) return;
    if (asserted)
        fire_intx();
    else
        vector(kIrqIntx, 0).pending = false;
}

void Interrupts::reset() {
    for (auto& vectors : vectors_) std::vector<Vector>().swap(vectors);
    mask_watcher_.reset();
    unmask_watcher_.reset();
    intx_level_ = false;
}

}  // namespace mimic::vfio_user
