// SPDX-License-Identifier: Apache-2.0
// Interrupts: the eventfds that a client attached with DEVICE_SET_IRQS, and masking as VFIO defines
// it (linux/vfio.h, VFIO_DEVICE_SET_IRQS).
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/event_loop.h"
#include "base/result.h"
#include "base/unique_fd.h"
#include "vfio_user/protocol.h"

namespace mimic::vfio_user {

/// Interrupt state of one client. Thread-bound to `loop`.
class Interrupts {
public:
    /// Vectors of one client that may have an eventfd even if the process has few descriptors left
    /// (descriptors_scarce()). Arbitrary: a guest with a queue for each of its CPUs.
    static constexpr size_t kAssuredEventfds = 64;

    /// `counts`: vectors by IrqIndex. `loop` is borrowed; it watches the client's mask and unmask
    /// eventfds.
    Interrupts(EventLoop& loop, std::array<uint32_t, kIrqCount> counts);
    ~Interrupts();

    uint32_t count(uint32_t index) const { return index < kIrqCount ? counts_[index] : 0; }

    /// Carries out one DEVICE_SET_IRQS; takes descriptors from `fds`. `data` is what follows
    /// SetIrqsBody. Errors: EINVAL for an unknown index, a range outside it, flags that are not one
    /// data kind and one action, too little data, some descriptors but not `count`, one that is no
    /// eventfd, or masking of an index that cannot be masked; EMFILE for more than kAssuredEventfds
    /// while this process has few descriptors left.
    Status set(const SetIrqsBody& request, std::span<const uint8_t> data, std::span<UniqueFd> fds);

    /// The errors of set() alone, for who carries out a large request in parts.
    Status check(const SetIrqsBody& request, std::span<const uint8_t> data,
                 std::span<UniqueFd> fds) const;

    /// Signals a vector. Without an eventfd, or while masked, INTx and MSI stay pending until that
    /// changes.
    void trigger(uint32_t index, uint32_t vector);

    /// Drives the INTx level. A raised pin fires once and masks itself (VFIO "automasked");
    /// unmasking fires it again if the level is still high.
    void set_intx_level(bool asserted);

    /// Detaches everything.
    void reset();

    /// Interrupts signalled since creation, all indices.
    uint64_t signalled() const { return signalled_; }

private:
    struct Vector {
        UniqueFd fd;
        bool masked = false;
        bool pending = false;
    };

    // An eventfd by which the client (KVM's resampling, mostly) masks or unmasks INTx.
    class Watcher final : public FdHandler {
    public:
        Watcher(Interrupts& owner, UniqueFd fd, bool mask);
        ~Watcher();
        Status start();
        void on_fd_ready(uint32_t events) override;

    private:
        Interrupts& owner_;
        UniqueFd fd_;
        bool mask_;
        bool watching_ = false;
    };

    Status check_share(std::span<UniqueFd> fds) const;
    Status set_trigger(const SetIrqsBody& request, std::span<const uint8_t> data,
                       std::span<UniqueFd> fds);
    Status set_mask(const SetIrqsBody& request, std::span<const uint8_t> data,
                    std::span<UniqueFd> fds, bool mask);
    void apply_mask(uint32_t index, uint32_t vector, bool mask);
    Vector& vector(uint32_t index, uint32_t number);
    void signal(Vector& vector);
    void fire_intx();

    EventLoop& loop_;
    std::array<uint32_t, kIrqCount> counts_;
    std::array<std::vector<Vector>, kIrqCount> vectors_;  // grown on first use: most devices use
                                                          // one index
    std::unique_ptr<Watcher> mask_watcher_;
    std::unique_ptr<Watcher> unmask_watcher_;
    bool intx_level_ = false;
    uint64_t signalled_ = 0;
};

}  // namespace mimic::vfio_user
