// SPDX-License-Identifier: Apache-2.0
// FakeMemory: the guest memory of tests. Regions that are mapped, that are only copied, or that are
// reached by message; with refusals, answers that wait for the test, and memory that its owner
// takes away. Needs no test framework.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <deque>
#include <functional>
#include <list>
#include <optional>
#include <span>
#include <system_error>
#include <type_traits>
#include <utility>
#include <vector>

#include "base/check.h"
#include "memory/dma_space.h"

namespace mimic::memory {

/// A DmaSpace that starts empty. Addresses without a region fail as guest memory does (EFAULT).
/// Thread-bound.
class FakeMemory final : public DmaSpace {
public:
    enum class Kind {
        kMapped,     // span() gives it
        kCopied,     // read() and write() only, answered before they return
        kByMessage,  // read() and write() only, answered by answer()
    };

    struct Region {
        uint64_t iova = 0;
        std::span<std::byte> bytes;
        Kind kind = Kind::kMapped;
        DmaAccess access = DmaAccess::kReadWrite;
        // Called with the offset in the region for each write() that begins in it, instead of
        // storing: a peer device's BAR. Not for kMapped.
        std::function<void(uint64_t, std::span<const std::byte>)> written{};
        std::vector<std::byte> storage{};

        bool holds(uint64_t at) const { return at - iova < bytes.size(); }
    };

    FakeMemory() = default;
    FakeMemory(const FakeMemory&) = delete;  // regions point into their storage
    FakeMemory& operator=(const FakeMemory&) = delete;

    /// Adds `size` zero bytes at `iova`. The reference lives until remove().
    Region& add(uint64_t iova, size_t size, Kind kind = Kind::kMapped,
                DmaAccess access = DmaAccess::kReadWrite) {
        std::vector<std::byte> storage(size);
        Region& region = regions_.emplace_back();
        region.iova = iova;
        region.kind = kind;
        region.access = access;
        region.storage = std::move(storage);
        region.bytes = region.storage;
        return region;
    }

    /// Adds bytes that somebody else owns.
    Region& add(uint64_t iova, std::span<std::byte> bytes) {
        Region& region = regions_.emplace_back();
        region.iova = iova;
        region.bytes = bytes;
        return region;
    }

    /// Removes the region that begins at `iova`, if there is one.
    void remove(uint64_t iova) {
        regions_.remove_if([&](const Region& region) { return region.iova == iova; });
    }

    /// The byte at `iova`, or nullptr where no region holds it. More of its region follow it.
    std::byte* at(uint64_t iova) {
        Region* const region = find(iova);
        return region == nullptr ? nullptr : region->bytes.data() + (iova - region->iova);
    }

    /// The value at `iova`, as the guest sees or sets it. One region must hold all of it.
    template <typename T>
    T get(uint64_t iova) {
        static_assert(std::is_trivially_copyable_v<T>);
        T value{};
        std::memcpy(&value, place(iova, sizeof value), sizeof value);
        return value;
    }
    template <typename T>
    void put(uint64_t iova, const T& value) {
        static_assert(std::is_trivially_copyable_v<T>);
        std::memcpy(place(iova, sizeof value), &value, sizeof value);
    }

    // --- DmaSpace ----------------------------------------------------------------------------

    std::optional<std::span<std::byte>> span(uint64_t iova, uint64_t size,
                                             DmaAccess access) override {
        Region* const region = find(iova);
        if (refusal || region == nullptr || region->kind != Kind::kMapped ||
            !permits(*region, access) || size == 0 ||
            size > region->bytes.size() - (iova - region->iova)) {
            return std::nullopt;
        }
        return region->bytes.subspan(iova - region->iova, size);
    }

    bool intact(uint64_t iova, uint64_t size) override {
        return taken_size == 0 || iova >= taken + taken_size || taken >= iova + size;
    }

    void read(uint64_t iova, uint64_t size, ReadDone done) override {
        bool later = answers_later;
        if (!check(iova, size, DmaAccess::kRead, later)) {
            return done(fail(std::errc::bad_address, "no memory"));
        }
        ++transfers;
        if (const auto hook = on_transfer) hook();  // it may set another
        auto answer = [this, iova, size, done = std::move(done)](const Status& status) {
            if (!status) return done(tl::unexpected<Error>(status.error()));
            std::vector<std::byte> bytes(size);
            for_each_part(iova, size, [&](uint64_t from, std::span<std::byte> part) {
                std::memcpy(bytes.data() + from, part.data(), part.size());
            });
            done(std::span<const std::byte>(bytes));
        };
        finish(later, std::move(answer));
    }

    void write(uint64_t iova, std::span<const std::byte> data, WriteDone done) override {
        bool later = answers_later;
        if (!check(iova, data.size(), DmaAccess::kWrite, later)) {
            return done(fail(std::errc::bad_address, "no memory"));
        }
        ++transfers;
        if (const auto hook = on_transfer) hook();  // it may set another
        auto answer = [this, iova, bytes = std::vector<std::byte>(data.begin(), data.end()),
                       done = std::move(done)](const Status& status) {
            if (!status) return done(status);
            Region* const region = find(iova);
            if (region != nullptr && region->written) {
                region->written(iova - region->iova, bytes);
            } else {
                for_each_part(iova, bytes.size(), [&](uint64_t from, std::span<std::byte> part) {
                    std::memcpy(part.data(), bytes.data() + from, part.size());
                });
            }
            done({});
        };
        finish(later, std::move(answer));
    }

    // --- What the test decides ---------------------------------------------------------------

    /// Answers the oldest transfer that waits, with `status`: success moves the bytes now. False:
    /// there is none.
    bool answer(const Status& status = {}) {
        if (messages.empty()) return false;
        const auto oldest = std::move(messages.front());
        messages.pop_front();
        oldest(status);
        return true;
    }

    /// Called by read() and write() that found memory, before anything else happens: what a device
    /// does when somebody reads its registers. The function that asked may be gone when it returns.
    std::function<void()> on_transfer;
    /// All transfers wait for answer(), whatever their region.
    bool answers_later = false;
    /// What read() and write() that need not wait fail with; span() gives nothing then.
    std::optional<std::errc> refusal;
    std::deque<std::function<void(const Status&)>> messages;  // not yet answered
    uint64_t taken = 0;  // span() gives [taken, taken + taken_size), but its owner takes it away
    uint64_t taken_size = 0;  // while it is used
    size_t transfers = 0;     // read() and write() that found memory

private:
    static bool permits(const Region& region, DmaAccess access) {
        const auto want = static_cast<unsigned>(access);
        return (static_cast<unsigned>(region.access) & want) == want;
    }

    Region* find(uint64_t iova) {
        const auto found = std::ranges::find_if(
            regions_, [&](const Region& region) { return region.holds(iova); });
        return found == regions_.end() ? nullptr : &*found;
    }

    /// Calls `visit(offset, bytes)` for what regions hold of [iova, iova + size). What has been
    /// removed meanwhile is left out.
    template <typename Visit>
    void for_each_part(uint64_t iova, uint64_t size, const Visit& visit) {
        for (uint64_t from = 0; from < size;) {
            Region* const region = find(iova + from);
            if (region == nullptr) {
                ++from;
                continue;
            }
            const uint64_t in_region = iova + from - region->iova;
            const uint64_t part = std::min(size - from, region->bytes.size() - in_region);
            visit(from, region->bytes.subspan(in_region, part));
            from += part;
        }
    }

    std::byte* place(uint64_t iova, size_t size) {
        Region* const region = find(iova);
        MIMIC_CHECK(region != nullptr && size <= region->bytes.size() - (iova - region->iova));
        return region->bytes.data() + (iova - region->iova);
    }

    bool check(uint64_t iova, uint64_t size, DmaAccess access, bool& later) {
        constexpr uint64_t kMost = 16U << 20;
        if (size == 0 || size > kMost || iova + (size - 1) < iova) return false;
        for (uint64_t done = 0; done < size;) {
            const Region* const region = find(iova + done);
            if (region == nullptr || !permits(*region, access)) return false;
            later = later || region->kind == Kind::kByMessage;
            done += region->bytes.size() - (iova + done - region->iova);
        }
        return true;
    }

    void finish(bool later, std::function<void(const Status&)> answer) {
        if (later) return messages.push_back(std::move(answer));
        answer(refusal ? Status(fail(*refusal, "refused by the test")) : Status());
    }

    std::list<Region> regions_;
};

}  // namespace mimic::memory
