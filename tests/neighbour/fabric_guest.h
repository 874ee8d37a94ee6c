// SPDX-License-Identifier: Apache-2.0
// What firmware and drivers of a guest do to the fabric of a Host, by a client of its socket.
#pragma once

#include <string>

#include "memory/mapping.h"
#include "tests/protocol/client.h"

namespace mimic::neighbour {

/// Addresses are programmed and the PF is on; VFs are not yet.
class FabricGuest {
public:
    explicit FabricGuest(const std::string& path);

    test::Client& client() { return client_; }

    /// Message that makes the VFs or ends them.
    test::Request vfs_request(bool on) const;

    /// Where SR-IOV control lies in the VMD's BAR0, and its value.
    uint64_t sriov_control() const;
    static uint16_t control_value(bool on);

    /// Makes all VFs; the first `count` of them copy by their rings, until work_on() is not called
    /// any more.
    void start_copying(uint32_t count);

    /// Rings the doorbell of each ring that is through.
    void work_on();

private:
    uint32_t extended_capability(uint32_t rid, uint16_t id);
    uint64_t vf_registers(uint32_t vf) const;
    void start_ring(uint32_t vf);

    test::Client client_;
    uint32_t sriov_ = 0;  // offset in the PF's configuration space
    uint32_t copying_ = 0;
    UniqueFd fd_;
    Mapping memory_;
    std::vector<uint32_t> tails_;
};

}  // namespace mimic::neighbour
