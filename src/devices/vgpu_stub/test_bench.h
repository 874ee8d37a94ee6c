// SPDX-License-Identifier: Apache-2.0
// What the tests of the device plug together: a vgpu-stub in a slot that has memory and time and
// writes down interrupts, with a mediator that the test plays.
#pragma once

#include <cstring>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "compute/request.h"
#include "compute/testing/scripted_queue.h"
#include "devices/vgpu_stub/vgpu_stub.h"
#include "pci/config/pci_regs.h"
#include "pci/testing/slot.h"

namespace mimic::vgpu_stub {

inline std::vector<std::byte> bytes_of(size_t size, unsigned seed = 1) {
    std::vector<std::byte> out(size);
    for (size_t i = 0; i < size; ++i) out[i] = static_cast<std::byte>(i * 7 + i / 251 + seed);
    return out;
}

/// Accesses as a guest makes them.
class Bench {
public:
    explicit Bench(Options options = {}, bool has_mediator = true,
                   compute::ScriptedQueue::Script script = nullptr) {
        if (options.name.empty()) options.name = "vgpu0";
        if (has_mediator) {
            options.make_queue = [script](TaskRunner&) -> Result<std::unique_ptr<compute::Queue>> {
                return std::make_unique<compute::ScriptedQueue>(script);
            };
        }
        device = std::move(VgpuStub::create(std::move(options))).value();
        slot.owns_table = false;
        device->attach(slot);
        start();
    }
    ~Bench() { device->detach(); }

    compute::ScriptedQueue& queue() {
        return dynamic_cast<compute::ScriptedQueue&>(*device->queue());
    }
    uint32_t read(const reg::Register& reg, uint32_t index = 0) {
        return static_cast<uint32_t>(read_at(reg.offset + uint64_t{index} * reg.stride, 4));
    }
    void write(const reg::Register& reg, uint32_t value, uint32_t index = 0) {
        write_at(reg.offset + uint64_t{index} * reg.stride, value, 4);
    }
    uint64_t read_at(uint64_t offset, size_t size, unsigned bar = 0) {
        uint64_t value = 0;
        device->read_bar(bar, offset, {reinterpret_cast<uint8_t*>(&value), size});
        return value;
    }
    void write_at(uint64_t offset, uint64_t value, size_t size, unsigned bar = 0) {
        device->write_bar(bar, offset, {reinterpret_cast<const uint8_t*>(&value), size});
    }
    uint32_t config(uint32_t offset, size_t size = 4) {
        uint32_t value = 0;
        device->config_read(offset, {reinterpret_cast<uint8_t*>(&value), size});
        return value;
    }
    void set_config(uint32_t offset, uint32_t value, size_t size) {
        device->config_write(offset, {reinterpret_cast<const uint8_t*>(&value), size});
    }
    uint32_t capability(uint32_t id) {
        for (uint32_t at = config(0x34, 1); at != 0; at = config(at + 1, 1))
            if (config(at, 1) == id) return at;
        return 0;
    }
    /// Memory space, bus mastering, and MSI-X unless told otherwise.
    void start(bool msix = true) {
        set_config(0x04, 0x0006, 2);
        if (msix) enable_msix();
        slot.take_vectors();
        slot.take();
    }
    void enable_msix() {
        const uint32_t cap = capability(pci::regs::CAP_ID_MSIX);
        for (uint32_t vector = 0; vector < kVectors; ++vector)
            write_at(uint64_t{vector} * 16 + 12, 0, 4, kMsixBar);  // not masked
        set_config(cap + 2, 0x8000, 2);
    }

    void put_request(std::span<const std::byte> bytes) {
        for (size_t at = 0; at < bytes.size(); at += 4) {
            uint32_t word = 0;
            std::memcpy(&word, bytes.data() + at, std::min<size_t>(4, bytes.size() - at));
            write(REQUEST, word, static_cast<uint32_t>(at / 4));
        }
        write(REQUEST_LEN, static_cast<uint32_t>(bytes.size()));
    }
    std::vector<std::byte> response() {
        std::vector<std::byte> out;
        for (uint32_t i = 0; i * 4 < read(RESPONSE_LEN); ++i) {
            const uint32_t word = read(RESPONSE, i);
            const auto* const bytes = reinterpret_cast<const std::byte*>(&word);
            out.insert(out.end(), bytes, bytes + 4);
        }
        out.resize(read(RESPONSE_LEN));
        return out;
    }
    State state() { return static_cast<State>(read(STATUS)); }

    /// Memory at `iova`, and a request or an answer there.
    void put(uint64_t iova, std::span<const std::byte> bytes) {
        std::memcpy(slot.memory.at(iova), bytes.data(), bytes.size());
    }
    std::vector<std::byte> get(uint64_t iova, size_t size) {
        const std::byte* const at = slot.memory.at(iova);
        return {at, at + size};
    }

    void set_dma(uint64_t request, uint32_t length, uint64_t response, uint32_t size) {
        write(DMA_REQUEST_LO, static_cast<uint32_t>(request));
        write(DMA_REQUEST_HI, static_cast<uint32_t>(request >> 32));
        write(DMA_REQUEST_LEN, length);
        write(DMA_RESPONSE_LO, static_cast<uint32_t>(response));
        write(DMA_RESPONSE_HI, static_cast<uint32_t>(response >> 32));
        write(DMA_RESPONSE_SIZE, size);
    }

    pci::FakeSlot slot;
    std::unique_ptr<VgpuStub> device;
};

}  // namespace mimic::vgpu_stub
