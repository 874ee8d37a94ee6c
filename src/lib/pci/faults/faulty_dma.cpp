// SPDX-License-Identifier: Apache-2.0
#include "pci/faults/faulty_dma.h"

namespace mimic::pci {
namespace {

constexpr uint64_t kMaxWrongBytes = 4;  // arbitrary

// Changes one byte for certain, and up to three more.
void corrupt(std::span<std::byte> data, uint64_t seed) {
    if (data.empty()) return;
    FaultRandom random(seed);
    const uint64_t at = random.below(data.size());
    data[at] ^= static_cast<std::byte>(1 + random.below(255));
    for (uint64_t more = random.below(kMaxWrongBytes); more > 0; --more) {
        const uint64_t other = random.below(data.size());
        if (other != at) data[other] ^= static_cast<std::byte>(1 + random.below(255));
    }
}

tl::unexpected<Error> injected() {
    return fail(std::errc::io_error, "the DMA was made to fail by an injected fault");
}

tl::unexpected<Error> gone() {
    return fail(std::errc::operation_canceled, "guest memory went away");
}

}  // namespace

std::optional<std::span<std::byte>> FunctionFaults::FaultyDma::span(uint64_t iova, uint64_t size,
                                                                    memory::DmaAccess access) {
    if (owner_.has_active(FaultKind::kDmaSlow) || owner_.has_active(FaultKind::kDmaFail) ||
        owner_.has_active(FaultKind::kDmaCorrupt))
        return std::nullopt;
    return real_->span(iova, size, access);
}

void FunctionFaults::FaultyDma::run(Duration delay, Operation operation) {
    if (delay == Duration::zero()) {
        operation(real_);
        return;
    }
    // By then the client may be gone, and its memory with it.
    auto later = [weak = owner_.weak_.ptr(), operation = std::move(operation)] {
        if (FunctionFaults* const owner = weak.get()) operation(owner->hooks_.dma());
    };
    owner_.runner_.post_delayed(std::move(later), delay);
}

void FunctionFaults::FaultyDma::read(uint64_t iova, uint64_t size, ReadDone done) {
    const DmaStrike strike = owner_.strike_dma();
    run(strike.delay, [=, done = std::move(done)](memory::DmaSpace* memory) {
        if (memory == nullptr) {
            done(gone());
        } else if (strike.fails) {
            done(injected());
        } else if (!strike.corrupts) {
            memory->read(iova, size, done);
        } else {
            memory->read(iova, size,
                         [seed = strike.seed, done](Result<std::span<const std::byte>> right) {
                             if (!right) {
                                 done(std::move(right));
                                 return;
                             }
                             std::vector<std::byte> wrong(right->begin(), right->end());
                             corrupt(wrong, seed);
                             done(std::span<const std::byte>(wrong));
                         });
        }
    });
}

void FunctionFaults::FaultyDma::write(uint64_t iova, std::span<const std::byte> data,
                                      WriteDone done) {
    const DmaStrike strike = owner_.strike_dma();
    if (strike.delay == Duration::zero() && !strike.fails && !strike.corrupts) {
        real_->write(iova, data, std::move(done));
        return;
    }
    // The caller's bytes are gone once this returns.
    auto copy = std::make_shared<std::vector<std::byte>>(data.begin(), data.end());
    if (strike.corrupts) corrupt(*copy, strike.seed);
    run(strike.delay, [=, done = std::move(done)](memory::DmaSpace* memory) {
        if (memory == nullptr) {
            done(gone());
        } else if (strike.fails) {
            done(injected());
        } else {
            memory->write(iova, *copy, [copy, done](Status written) { done(std::move(written)); });
        }
    });
}

}  // namespace mimic::pci
