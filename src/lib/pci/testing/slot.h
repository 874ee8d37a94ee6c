// SPDX-License-Identifier: Apache-2.0
// FakeSlot: what tests plug a function into. It has memory and time of the test's and writes down
// what the function sends. Needs no test framework.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "base/testing/virtual_time.h"
#include "memory/testing/fake_memory.h"
#include "pci/function/function.h"

namespace mimic::pci {

/// Records interrupts as text: "msix 3", "msi 0", "pin 1"; those of MSI-X as numbers, too. Tests
/// that want something else to happen derive from it. Thread-bound with its function.
class FakeSlot : public Slot {
public:
    void send_msix(uint32_t vector) override {
        events.push_back(fmt::format("msix {}", vector));
        vectors.push_back(vector);
    }
    void send_msi(uint32_t vector) override { events.push_back(fmt::format("msi {}", vector)); }
    bool owns_msix_table() const override { return owns_table; }
    void set_intx(bool asserted) override { events.push_back(fmt::format("pin {:d}", asserted)); }
    memory::DmaSpace& dma() override { return memory; }
    TaskRunner& runner() override { return time; }

    /// Takes what was recorded so far: all of it, or the vectors of MSI-X only. The other record
    /// stays.
    std::vector<std::string> take() { return std::exchange(events, {}); }
    std::vector<uint32_t> take_vectors() { return std::exchange(vectors, {}); }

    bool owns_table = true;  // the client keeps the MSI-X table, as QEMU does for its endpoints
    std::vector<std::string> events;
    std::vector<uint32_t> vectors;
    memory::FakeMemory memory;  // empty: all DMA fails with EFAULT
    VirtualTime time;
};

}  // namespace mimic::pci
