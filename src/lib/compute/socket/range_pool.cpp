// SPDX-License-Identifier: Apache-2.0
#include "compute/socket/range_pool.h"

#include <iterator>

namespace mimic::compute {

void RangePool::reset(uint32_t size) {
    size_ = size / kUnit * kUnit;
    free_bytes_ = size_;
    holes_.clear();
    if (size_ != 0) holes_.emplace(0, size_);
}

std::optional<RangePool::Range> RangePool::take(uint32_t length) {
    if (length == 0 || length > size_) return std::nullopt;
    const uint32_t needed = rounded(length);
    for (auto hole = holes_.begin(); hole != holes_.end(); ++hole) {
        if (hole->second < needed) continue;
        const Range range{hole->first, length};
        const uint32_t left = hole->second - needed;
        const auto next = holes_.erase(hole);
        if (left != 0) holes_.emplace_hint(next, range.offset + needed, left);
        free_bytes_ -= needed;
        return range;
    }
    return std::nullopt;
}

void RangePool::give_back(const Range& range) {
    if (range.length == 0) return;
    uint32_t offset = range.offset;
    uint32_t length = rounded(range.length);
    free_bytes_ += length;
    auto after = holes_.lower_bound(offset);
    if (after != holes_.end() && after->first == offset + length) {
        length += after->second;
        after = holes_.erase(after);
    }
    if (after != holes_.begin()) {
        const auto before = std::prev(after);
        if (before->first + before->second == offset) {
            offset = before->first;
            length += before->second;
            holes_.erase(before);
        }
    }
    holes_.emplace(offset, length);
}

}  // namespace mimic::compute
