// SPDX-License-Identifier: Apache-2.0
#include "dra/simulate/observed.h"

#include <algorithm>

namespace mimic::dra {
namespace {

// Events of one node that are kept while it is worked on. Arbitrary: a node has a few slices.
constexpr size_t kMaxMeanwhile = 32;

bool is_decimal(std::string_view text) {
    return !text.empty() &&
           std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

bool by_name(const KnownSlice& a, const KnownSlice& b) {
    return a.name < b.name;
}

}  // namespace

bool is_later_version(std::string_view a, std::string_view b) {
    if (!is_decimal(a) || !is_decimal(b)) return a != b;
    a.remove_prefix(std::min(a.find_first_not_of('0'), a.size()));
    b.remove_prefix(std::min(b.find_first_not_of('0'), b.size()));
    return a.size() != b.size() ? a.size() > b.size() : a > b;
}

bool Observed::is_news(const std::vector<KnownSlice>& known, bool deleted,
                       const KnownSlice& slice) {
    const auto found = std::find_if(known.begin(), known.end(), [&slice](const KnownSlice& one) {
        return one.name == slice.name;
    });
    // A slice that we deleted goes; one that we do not know is somebody else's, or was ours.
    if (found == known.end()) return !deleted;
    return deleted || is_later_version(slice.version, found->version);
}

void Observed::begin(size_t node) {
    const std::lock_guard lock(mutex_);
    nodes_[node].working = true;
    nodes_[node].meanwhile.clear();
    nodes_[node].too_many = false;
}

bool Observed::finish(size_t node, std::vector<KnownSlice> slices) {
    const std::lock_guard lock(mutex_);
    Node& entry = nodes_[node];
    std::sort(slices.begin(), slices.end(), by_name);
    total_ += slices.size();
    total_ -= entry.slices.size();
    bool news = entry.too_many;
    // A slice that was made and deleted again by the same worker is told, and is no news.
    for (size_t at = 0; at < entry.meanwhile.size() && !news; ++at) {
        const Event& event = entry.meanwhile[at];
        const bool gone_again = std::any_of(entry.meanwhile.begin() + static_cast<ptrdiff_t>(at),
                                            entry.meanwhile.end(), [&event](const Event& later) {
                                                return later.deleted &&
                                                       later.slice.name == event.slice.name;
                                            });
        news = !(gone_again && !event.deleted) && is_news(slices, event.deleted, event.slice);
    }
    entry = {.slices = std::move(slices), .meanwhile = {}};
    return news;
}

void Observed::give_up(size_t node) {
    const std::lock_guard lock(mutex_);
    nodes_[node].working = false;
    nodes_[node].meanwhile = {};
}

bool Observed::see(size_t node, bool deleted, const KnownSlice& slice) {
    const std::lock_guard lock(mutex_);
    Node& entry = nodes_[node];
    if (!entry.working) return is_news(entry.slices, deleted, slice);
    if (entry.meanwhile.size() < kMaxMeanwhile) {
        entry.meanwhile.push_back({deleted, slice});
    } else {
        entry.too_many = true;
    }
    return false;
}

bool Observed::differs(size_t node, std::vector<KnownSlice> listed) const {
    std::sort(listed.begin(), listed.end(), by_name);
    const std::lock_guard lock(mutex_);
    return nodes_[node].slices != listed;
}

std::vector<KnownSlice> Observed::slices(size_t node) const {
    const std::lock_guard lock(mutex_);
    return nodes_[node].slices;
}

size_t Observed::total() const {
    const std::lock_guard lock(mutex_);
    return total_;
}

}  // namespace mimic::dra
