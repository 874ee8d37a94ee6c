// SPDX-License-Identifier: Apache-2.0
// ChainBuilder: how rings fill a Chain, with the rules that both layouts share. Internal.
#pragma once

#include <cstddef>
#include <cstdint>

#include "virtio/chain.h"

namespace mimic::virtio {

class ChainBuilder {
public:
    /// Adds an element that the driver described. Returns why the driver may not have it, or
    /// nullptr.
    static const char* add(Chain& chain, uint64_t address, uint32_t size, bool writable) {
        if (size == 0) return "a descriptor of zero bytes";
        if (address + (size - 1) < address) return "a descriptor beyond the end of memory";
        if (!writable && !chain.writable_.empty()) {
            return "a readable descriptor behind a writable one";  // 2.7.4.2, 2.8.20
        }
        uint32_t& bytes = writable ? chain.writable_bytes_ : chain.readable_bytes_;
        if (size > UINT32_MAX - bytes) return "a chain of 4 GiB or more";  // 2.7.5.2
        bytes += size;
        (writable ? chain.writable_ : chain.readable_).push_back({address, size});
        return nullptr;
    }

    static size_t elements(const Chain& chain) {
        return chain.readable_.size() + chain.writable_.size();
    }

    /// Empties `chain`; what it had allocated stays for the next one.
    static void clear(Chain& chain) {
        chain.readable_.clear();
        chain.writable_.clear();
        chain.readable_bytes_ = 0;
        chain.writable_bytes_ = 0;
    }
    static size_t capacity(const Chain& chain) {
        return chain.readable_.capacity() + chain.writable_.capacity();
    }

    static void set_id(Chain& chain, uint16_t id) { chain.id_ = id; }
    static void set_descriptors(Chain& chain, uint16_t count) { chain.descriptors_ = count; }
    static uint16_t descriptors(const Chain& chain) { return chain.descriptors_; }
    static void set_generation(Chain& chain, uint32_t generation) {
        chain.generation_ = generation;
    }
    static uint32_t generation(const Chain& chain) { return chain.generation_; }
};

}  // namespace mimic::virtio
