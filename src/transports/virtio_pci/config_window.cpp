// SPDX-License-Identifier: Apache-2.0
#include "virtio_pci/config_window.h"

#include "virtio_pci/layout.h"

namespace mimic::virtio_pci {

uint32_t ConfigWindow::data_offset() const {
    return capability_ + kCapData;
}

std::optional<ConfigWindow::Access> ConfigWindow::access() const {
    const Access access{.bar = config_.u8(capability_ + kCapBar),
                        .offset = config_.u32(capability_ + kCapOffset),
                        .size = config_.u32(capability_ + kCapLength)};
    if (access.size != 1 && access.size != 2 && access.size != 4) return std::nullopt;
    if (access.offset % access.size != 0 || access.bar >= bars_.size()) return std::nullopt;
    const pci::Bar& bar = bars_[access.bar];
    if (bar.type == pci::BarType::kNone || access.offset + access.size > bar.size)
        return std::nullopt;
    return access;
}

}  // namespace mimic::virtio_pci
