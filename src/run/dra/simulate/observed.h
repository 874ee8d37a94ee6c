// SPDX-License-Identifier: Apache-2.0
// Observed: which slices the API server holds for each node, as far as we know. Only names and
// versions are kept, a few hundred bytes a node: contents are asked for when something differs.
#pragma once

#include <cstddef>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

namespace mimic::dra {

/// One ResourceSlice on the server. Texts of the server's, bounded by the client.
struct KnownSlice {
    std::string name;
    std::string uid;
    std::string version;  // metadata.resourceVersion

    bool operator==(const KnownSlice&) const = default;
};

/// True if resource version `a` is later than `b`. Versions are decimal numbers of any length
/// (kubernetes/enhancements KEP-5504); one that is none counts as later, so that somebody looks.
bool is_later_version(std::string_view a, std::string_view b);

/// Thread-safe.
class Observed {
public:
    explicit Observed(size_t nodes) : nodes_(nodes) {}

    /// A worker begins to change a node's slices: what is seen meanwhile is judged by finish().
    void begin(size_t node);

    /// The worker is done and left these. True if something was seen meanwhile that neither it did
    /// nor what it left explains: look again.
    [[nodiscard]] bool finish(size_t node, std::vector<KnownSlice> slices);

    /// The worker failed and does not know what it left: finish() without that.
    void give_up(size_t node);

    /// An event of a watch. True if somebody should look at the node; events that tell what we did
    /// ourselves are none.
    [[nodiscard]] bool see(size_t node, bool deleted, const KnownSlice& slice);

    /// What a whole list says of one node. True if it differs from what we know.
    [[nodiscard]] bool differs(size_t node, std::vector<KnownSlice> listed) const;

    std::vector<KnownSlice> slices(size_t node) const;
    /// Slices of all nodes.
    size_t total() const;

private:
    struct Event {
        bool deleted;
        KnownSlice slice;
    };
    struct Node {
        std::vector<KnownSlice> slices;
        std::vector<Event> meanwhile;
        bool working = false;
        bool too_many = false;  // events in `meanwhile`: some were dropped
    };

    static bool is_news(const std::vector<KnownSlice>& known, bool deleted,
                        const KnownSlice& slice);

    mutable std::mutex mutex_;
    std::vector<Node> nodes_;
    size_t total_ = 0;
};

}  // namespace mimic::dra
