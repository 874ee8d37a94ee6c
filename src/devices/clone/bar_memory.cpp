// SPDX-License-Identifier: Apache-2.0
#include "devices/clone/bar_memory.h"

#include <algorithm>

namespace mimic::clone {

void BarMemory::read(unsigned bar, uint64_t offset, std::span<uint8_t> data) const {
    while (!data.empty()) {
        const uint64_t skip = offset % kPageBytes;
        const size_t count = std::min<uint64_t>(data.size(), kPageBytes - skip);
        const auto found = pages_.find(key(bar, offset));
        if (found == pages_.end()) {
            std::fill_n(data.begin(), count, uint8_t{0});
        } else {
            std::copy_n(found->second->begin() + static_cast<std::ptrdiff_t>(skip), count,
                        data.begin());
        }
        offset += count;
        data = data.subspan(count);
    }
}

void BarMemory::write(unsigned bar, uint64_t offset, std::span<const uint8_t> data) {
    while (!data.empty()) {
        const uint64_t skip = offset % kPageBytes;
        const size_t count = std::min<uint64_t>(data.size(), kPageBytes - skip);
        const uint64_t at = key(bar, offset);
        auto found = pages_.find(at);
        if (found == pages_.end() && pages_.size() < most_pages_) {
            found = pages_.emplace(at, std::make_unique<Page>()).first;
        }
        if (found == pages_.end()) {
            ++lost_writes_;
        } else {
            std::copy_n(data.begin(), count,
                        found->second->begin() + static_cast<std::ptrdiff_t>(skip));
        }
        offset += count;
        data = data.subspan(count);
    }
}

}  // namespace mimic::clone
