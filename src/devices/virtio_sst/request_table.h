// SPDX-License-Identifier: Apache-2.0
// RequestTable: the requests that wait for their answer. Each gets an id of ours, which is what a
// simulator sees: unique among all of the device and never used twice, whatever ids its guest
// chooses.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "sim/simulator.h"
#include "virtio/chain.h"

namespace mimic::virtio_sst {

/// A request between its pop and its answer.
struct Request {
    uint64_t id = 0;         // ours; 0: the place is free
    uint16_t pair = 0;       // queue pair that it came from
    bool abandoned = false;  // its queue was reset: nobody waits for the answer
    uint32_t type = 0;
    uint32_t flags = 0;
    uint64_t guest_id = 0;
    uint64_t user_data = 0;
    uint32_t param_id = 0;  // of CONFIGURE
    uint64_t value = 0;
    virtio::Chain chain{};
};

/// Thread-bound with its device.
class RequestTable {
public:
    /// Takes over `request`, gives it an id and returns that.
    uint64_t add(Request&& request);

    /// The request with this id, or nullptr.
    Request* find(uint64_t id);

    /// Takes it out; it must be there.
    Request take(uint64_t id);

    size_t size() const { return size_; }

    /// Calls `visit` for each; it must not add or take.
    template <typename Visit>
    void for_each(const Visit& visit) {
        for (Request& request : places_)
            if (request.id != 0) visit(request);
    }

    /// Ids of all, oldest first.
    std::vector<uint64_t> ids() const;

    void clear();

private:
    static constexpr unsigned kPlaceBits = 16;

    std::vector<Request> places_;  // index: the low bits of the id
    std::vector<uint16_t> free_;
    uint64_t count_ = 0;  // of requests so far: the id's other bits
    size_t size_ = 0;
};

}  // namespace mimic::virtio_sst
