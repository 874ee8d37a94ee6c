// SPDX-License-Identifier: Apache-2.0
#include "sim/builtin/device_memory.h"

#include <algorithm>
#include <cstring>

namespace mimic::sim {

void DeviceMemory::read(uint64_t address, std::span<uint8_t> to) const {
    while (!to.empty()) {
        const size_t offset = address % kPage;
        const auto part = to.first(std::min(to.size(), kPage - offset));
        const auto page = pages_.find(address / kPage);
        if (page == pages_.end()) {
            std::memset(part.data(), 0, part.size());
        } else {
            std::memcpy(part.data(), page->second->data() + offset, part.size());
        }
        address += part.size();
        to = to.subspan(part.size());
    }
}

bool DeviceMemory::write(uint64_t address, std::span<const uint8_t> from) {
    while (!from.empty()) {
        const size_t offset = address % kPage;
        const auto part = from.first(std::min(from.size(), kPage - offset));
        auto page = pages_.find(address / kPage);
        // Zeros that are there already need no page.
        const bool zeros = std::all_of(part.begin(), part.end(), [](uint8_t b) { return b == 0; });
        if (page == pages_.end() && !zeros) {
            if (limit_ != 0 && used() + kPage > limit_) return false;
            page = pages_.emplace(address / kPage, std::make_unique<Page>()).first;
        }
        if (page != pages_.end()) {
            std::memcpy(page->second->data() + offset, part.data(), part.size());
        }
        address += part.size();
        from = from.subspan(part.size());
    }
    return true;
}

}  // namespace mimic::sim
