// SPDX-License-Identifier: Apache-2.0
// Session: requests about the device as a whole: features, memory, configuration, reset.
#include <algorithm>
#include <array>
#include <cstring>

#include "vhost_user/request_body.h"
#include "vhost_user/session.h"

namespace mimic::vhost_user {
namespace {

using virtio::feature;

// What a front-end cannot carry: addresses of an IOMMU (IOTLB messages), more in a kick than that
// it came, and the reset of one queue (QEMU tells a back-end nothing of it).
constexpr uint64_t kNotByVhostUser = feature(virtio::kAccessPlatform) |
                                     feature(virtio::kNotificationData) |
                                     feature(virtio::kRingReset);

// What a front-end writes is the whole of the space with some bytes of it changed, also where
// writing has effects: what is as it was is not written. In words, as drivers write.
void write_changes(virtio::Device& device, uint32_t offset, std::span<const uint8_t> data) {
    constexpr uint32_t kWord = 4;
    std::array<uint8_t, kMaxConfigSize> before{};
    device.config_read(offset, std::span(before).first(data.size()));
    const auto end = offset + static_cast<uint32_t>(data.size());
    for (uint32_t at = offset; at < end;) {
        const uint32_t next = std::min(end, (at / kWord + 1) * kWord);
        const uint32_t from = at - offset;
        if (std::memcmp(before.data() + from, data.data() + from, next - at) != 0)
            device.config_write(at, data.subspan(from, next - at));
        at = next;
    }
}

Status check_config(const ConfigHead& head, size_t bytes) {
    if (head.size == 0 || head.size > kMaxConfigSize || head.offset > kMaxConfigSize - head.size)
        return fail(std::errc::invalid_argument, "configuration {}+{}, at most {} bytes",
                    head.offset, head.size, kMaxConfigSize);
    if (bytes != head.size)
        return fail(std::errc::invalid_argument, "configuration of {} bytes in {}", head.size,
                    bytes);
    return {};
}

}  // namespace

uint64_t Session::offered_features() const {
    return (device_.offered_features() & ~kNotByVhostUser) | feature(kProtocolFeaturesBit);
}

// QEMU warns of CONFIG where it expects no configuration.
uint64_t Session::offered_protocol() const {
    const uint64_t config = device_.options().config_size != 0 ? protocol(kProtocolConfig) : 0;
    return config | protocol(kProtocolMq) | protocol(kProtocolReplyAck) |
           protocol(kProtocolBackendReq) | protocol(kProtocolResetDevice) |
           protocol(kProtocolConfigureMemSlots) | protocol(kProtocolStatus);
}

Result<uint64_t> Session::u64() {
    return body_of<uint64_t>(channel_);
}

Status Session::no_fds() {
    return check_no_fds(channel_);
}

Result<UniqueFd> Session::one_fd() {
    return take_fd(channel_.message());
}

Session::Outcome Session::on_get_u64(uint64_t value) {
    MIMIC_TRY(no_fds());
    reply({reinterpret_cast<const uint8_t*>(&value), sizeof value});
    return {};
}

// Takes effect with the next start: QEMU also sets them, unchanged, when it pauses the log of dirty
// pages.
Session::Outcome Session::on_set_features() {
    MIMIC_TRY(no_fds());
    MIMIC_ASSIGN_OR_RETURN(const uint64_t features, u64());
    if ((features & ~offered_features()) != 0)
        return fail(std::errc::invalid_argument, "features {:#x} that were not offered",
                    features & ~offered_features());
    if (any_running() && features != features_)
        return fail(std::errc::device_or_resource_busy, "features change while rings run");
    features_ = features;
    return {};
}

Session::Outcome Session::on_set_protocol_features() {
    MIMIC_TRY(no_fds());
    MIMIC_ASSIGN_OR_RETURN(const uint64_t features, u64());
    if ((features & ~offered_protocol()) != 0)
        return fail(std::errc::invalid_argument, "protocol features {:#x} that were not offered",
                    features & ~offered_protocol());
    protocol_features_ = features;
    return {};
}

// What QEMU says here is not the driver's status: its generic device never comes to DRIVER_OK (of
// 11.1: it forgets to count its queues). Only 0 has an effect, the reset that it asks for.
Session::Outcome Session::on_set_status() {
    MIMIC_TRY(no_fds());
    MIMIC_ASSIGN_OR_RETURN(const uint64_t status, u64());
    if (status > UINT8_MAX) return fail(std::errc::invalid_argument, "status {:#x}", status);
    status_ = static_cast<uint8_t>(status);
    if (status != 0) return {};
    stop_all_rings();
    device_.reset();
    return {};
}

// The table that was there stays until the new one is whole; rings go on meanwhile.
Session::Outcome Session::on_set_mem_table() {
    const auto bytes = channel_.message().body;
    const auto fds = channel_.message().fds;
    MemoryTable head{};
    if (bytes.size() < sizeof head) return fail(std::errc::invalid_argument, "short memory table");
    std::memcpy(&head, bytes.data(), sizeof head);
    if (head.count > kMaxTableRegions ||
        bytes.size() < sizeof head + head.count * sizeof(MemoryRegion))
        return fail(std::errc::invalid_argument, "memory table of {} regions in {} bytes",
                    head.count, bytes.size());
    if (channel_.message().fds_lost)
        return fail(std::errc::too_many_files_open, "this process has no descriptor left");
    if (fds.size() != head.count)
        return fail(std::errc::invalid_argument, "{} descriptors for {} regions", fds.size(),
                    head.count);
    memory::free_in_turns(loop_, memory_.abandon_all());
    for (uint32_t i = 0; i < head.count; ++i) {
        MemoryRegion region{};
        std::memcpy(&region, bytes.data() + sizeof head + i * sizeof region, sizeof region);
        MIMIC_TRY(memory_.add(region, fds[i]));
        ++counters_.memory_regions;
    }
    return {};
}

Session::Outcome Session::on_add_mem_reg() {
    MIMIC_ASSIGN_OR_RETURN(const auto single, body_of<SingleRegion>(channel_));
    MIMIC_ASSIGN_OR_RETURN(const UniqueFd fd, one_fd());
    MIMIC_TRY(memory_.add(single.region, fd));
    ++counters_.memory_regions;
    return {};
}

// A descriptor may come with it, of the region that goes; the channel closes it.
Session::Outcome Session::on_rem_mem_reg() {
    MIMIC_ASSIGN_OR_RETURN(const auto single, body_of<SingleRegion>(channel_));
    return memory_.remove(single.region);
}

Session::Outcome Session::on_backend_socket() {
    MIMIC_ASSIGN_OR_RETURN(backend_socket_, one_fd());
    return {};
}

// An answer without a body says that it cannot be.
Session::Outcome Session::on_get_config() {
    MIMIC_TRY(no_fds());
    const auto bytes = channel_.message().body;
    MIMIC_ASSIGN_OR_RETURN(const auto head, head_of<ConfigHead>(channel_));
    if (auto ok = check_config(head, bytes.size() - sizeof head); !ok) {
        warn(ok.error().message(), Complaint::kRefused);
        ++counters_.errors;
        reply({});
        return {};
    }
    std::array<uint8_t, sizeof(ConfigHead) + kMaxConfigSize> answer{};
    std::memcpy(answer.data(), &head, sizeof head);
    device_.config_read(head.offset, std::span(answer).subspan(sizeof head, head.size));
    reply(std::span(answer).first(sizeof head + head.size));
    return {};
}

Session::Outcome Session::on_set_config() {
    MIMIC_TRY(no_fds());
    const auto bytes = channel_.message().body;
    MIMIC_ASSIGN_OR_RETURN(const auto head, head_of<ConfigHead>(channel_));
    MIMIC_TRY(check_config(head, bytes.size() - sizeof head));
    write_changes(device_, head.offset, bytes.subspan(sizeof head));
    return {};
}

Session::Outcome Session::on_reset_device() {
    MIMIC_TRY(no_fds());
    stop_all_rings();
    device_.reset();
    return {};
}

}  // namespace mimic::vhost_user
