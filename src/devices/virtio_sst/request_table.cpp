// SPDX-License-Identifier: Apache-2.0
#include "devices/virtio_sst/request_table.h"

#include <algorithm>

#include "base/check.h"

namespace mimic::virtio_sst {

uint64_t RequestTable::add(Request&& request) {
    if (free_.empty()) {
        // Chains bound it: 16 queues of at most 2^10 buffers.
        MIMIC_CHECK(places_.size() < (size_t{1} << kPlaceBits));
        free_.push_back(static_cast<uint16_t>(places_.size()));
        places_.emplace_back();
    }
    const uint16_t place = free_.back();
    free_.pop_back();
    ++size_;
    request.id = ++count_ << kPlaceBits | place;
    places_[place] = std::move(request);
    return places_[place].id;
}

Request* RequestTable::find(uint64_t id) {
    const size_t place = id & ((uint64_t{1} << kPlaceBits) - 1);
    return id != 0 && place < places_.size() && places_[place].id == id ? &places_[place] : nullptr;
}

Request RequestTable::take(uint64_t id) {
    Request* const found = find(id);
    MIMIC_CHECK(found != nullptr);
    Request request = std::move(*found);
    found->id = 0;
    free_.push_back(static_cast<uint16_t>(found - places_.data()));
    --size_;
    return request;
}

std::vector<uint64_t> RequestTable::ids() const {
    std::vector<uint64_t> out;
    for (const Request& request : places_)
        if (request.id != 0) out.push_back(request.id);
    std::sort(out.begin(), out.end());
    return out;
}

void RequestTable::clear() {
    places_.clear();
    free_.clear();
    size_ = 0;
}

}  // namespace mimic::virtio_sst
