// SPDX-License-Identifier: Apache-2.0
// Memory and time for tests of the DMA engine: regions that are mapped, that are reached by message
// or that act when written, and a runner whose tasks run when the test says so.
#pragma once

#include <algorithm>
#include <cstring>
#include <deque>
#include <functional>
#include <list>
#include <span>
#include <utility>
#include <vector>

#include "base/task_runner.h"
#include "memory/dma_space.h"

namespace mimic::mock_accel {

/// Runs tasks in order, when told to.
class TestRunner final : public TaskRunner {
public:
    void post(Task task) override { tasks.push_back(std::move(task)); }
    void post_delayed(Task task, Duration) override { tasks.push_back(std::move(task)); }
    TimePoint now() const override { return {}; }
    bool is_current() const override { return true; }

    /// Runs the tasks that are there now, not those that they post. Returns how many.
    size_t turn() {
        auto ready = std::exchange(tasks, {});
        for (Task& task : ready) task();
        return ready.size();
    }

    /// Turns until nothing is posted, at most `limit` of them. Returns how many.
    size_t run(size_t limit = 100'000) {
        size_t turns = 0;
        while (turns < limit && turn() != 0) ++turns;
        return turns;
    }

    std::deque<Task> tasks;
};

/// See the head of the file. Addresses without a region fail as guest memory does.
class TestMemory final : public memory::DmaSpace {
public:
    enum class Kind { kMapped, kByMessage, kDevice };

    struct Region {
        uint64_t iova = 0;
        std::span<std::byte> bytes;
        Kind kind = Kind::kMapped;
        memory::DmaAccess access = memory::DmaAccess::kReadWrite;
        std::function<void(uint64_t, std::span<const std::byte>)> written{};  // kDevice
        std::vector<std::byte> storage{};

        bool holds(uint64_t at) const { return at - iova < bytes.size(); }
    };

    /// `size` zero bytes at `iova`.
    Region& add(uint64_t iova, size_t size, Kind kind = Kind::kMapped,
                memory::DmaAccess access = memory::DmaAccess::kReadWrite) {
        std::vector<std::byte> storage(size);
        Region& region = regions_.emplace_back();
        region.iova = iova;
        region.kind = kind;
        region.access = access;
        region.storage = std::move(storage);
        region.bytes = region.storage;
        return region;
    }

    /// Bytes that somebody else owns.
    Region& add(uint64_t iova, std::span<std::byte> bytes) {
        Region& region = regions_.emplace_back();
        region.iova = iova;
        region.bytes = bytes;
        return region;
    }

    void remove(uint64_t iova) {
        regions_.remove_if([&](const Region& region) { return region.iova == iova; });
    }

    /// The byte at `iova`, which a region must hold, or nullptr.
    std::byte* at(uint64_t iova) {
        Region* const region = find(iova);
        return region == nullptr ? nullptr : region->bytes.data() + (iova - region->iova);
    }

    std::optional<std::span<std::byte>> span(uint64_t iova, uint64_t size,
                                             memory::DmaAccess access) override {
        Region* const region = find(iova);
        if (region == nullptr || region->kind != Kind::kMapped || !permits(*region, access) ||
            size == 0 || size > region->bytes.size() - (iova - region->iova)) {
            return std::nullopt;
        }
        return region->bytes.subspan(iova - region->iova, size);
    }

    bool intact(uint64_t iova, uint64_t size) override {
        return taken_size == 0 || iova >= taken + taken_size || taken >= iova + size;
    }

    void read(uint64_t iova, uint64_t size, ReadDone done) override {
        bool later = false;
        if (!check(iova, size, memory::DmaAccess::kRead, later)) {
            return done(fail(std::errc::bad_address, "no memory"));
        }
        ++transfers;
        auto answer = [this, iova, size, done = std::move(done)](const Status& status) {
            if (!status) return done(tl::unexpected<Error>(status.error()));
            std::vector<std::byte> bytes(size);
            for (uint64_t i = 0; i < size; ++i) {
                if (const std::byte* const byte = at(iova + i)) bytes[i] = *byte;
            }
            done(std::span<const std::byte>(bytes));
        };
        finish(later, std::move(answer));
    }

    void write(uint64_t iova, std::span<const std::byte> data, WriteDone done) override {
        bool later = false;
        if (!check(iova, data.size(), memory::DmaAccess::kWrite, later)) {
            return done(fail(std::errc::bad_address, "no memory"));
        }
        ++transfers;
        auto answer = [this, iova, bytes = std::vector<std::byte>(data.begin(), data.end()),
                       done = std::move(done)](const Status& status) {
            if (!status) return done(status);
            Region* const region = find(iova);
            if (region != nullptr && region->kind == Kind::kDevice) {
                region->written(iova - region->iova, bytes);
            } else {
                for (uint64_t i = 0; i < bytes.size(); ++i) {
                    if (std::byte* const byte = at(iova + i)) *byte = bytes[i];
                }
            }
            done({});
        };
        finish(later, std::move(answer));
    }

    /// Answers the oldest message, with `status`. False: there is none.
    bool answer(const Status& status = {}) {
        if (messages.empty()) return false;
        const auto oldest = std::move(messages.front());
        messages.pop_front();
        oldest(status);
        return true;
    }

    std::deque<std::function<void(const Status&)>> messages;  // not yet answered
    uint64_t taken = 0;  // span() gives [taken, taken + taken_size), but its owner takes it away
    uint64_t taken_size = 0;  // while it is used
    size_t transfers = 0;     // read() and write() that were served

private:
    static bool permits(const Region& region, memory::DmaAccess access) {
        const auto want = static_cast<unsigned>(access);
        return (static_cast<unsigned>(region.access) & want) == want;
    }

    Region* find(uint64_t iova) {
        const auto found = std::ranges::find_if(
            regions_, [&](const Region& region) { return region.holds(iova); });
        return found == regions_.end() ? nullptr : &*found;
    }

    bool check(uint64_t iova, uint64_t size, memory::DmaAccess access, bool& later) {
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
        if (later) {
            messages.push_back(std::move(answer));
        } else {
            answer({});
        }
    }

    std::list<Region> regions_;
};

}  // namespace mimic::mock_accel
