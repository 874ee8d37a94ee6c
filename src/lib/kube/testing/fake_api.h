// SPDX-License-Identifier: Apache-2.0
// An API server for tests, in this process: any kind of object, generateName, resourceVersion and
// conflicts, field selectors, preconditions, watches that resume, expire and end. Knows no schema:
// the tests of tests/cluster run against the real one.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "kube/config.h"
#include "kube/testing/http_peer.h"

namespace mimic::kube::testing {

/// Thread-safe.
class FakeApi {
public:
    struct Refusal {
        int status = 500;
        std::string headers{};  // lines that end with CR LF
        std::string reason = "Whatever";
    };
    /// Looks at a request first; a value is answered in place of what would have happened.
    using Hook = std::function<std::optional<Refusal>(const PeerRequest&)>;
    /// Changes an object before it is stored, as a server without some feature gates does.
    using Change = std::function<void(nlohmann::json&)>;

    FakeApi();
    ~FakeApi();

    /// How to reach it, with a token.
    std::shared_ptr<ClientConfig> config() const;

    /// Runs on the threads of connections, which end only with the FakeApi, and so may be asked
    /// after the client that they serve has gone: what it refers to lives longer than the FakeApi.
    void set_hook(Hook hook);
    void set_change(Change change);

    // What others do. `plural` is "resourceslices"; objects without metadata.namespace have none.
    /// Stores as POST or PUT without conditions would; the stored form.
    nlohmann::json put(const std::string& plural, nlohmann::json object);
    void erase(const std::string& plural, const std::string& name);
    void erase_all(const std::string& plural);
    std::vector<nlohmann::json> objects(const std::string& plural) const;
    /// Forgets all events: watches that resume get 410.
    void compact();
    /// Ends all watches (and other requests) in their middle.
    void drop_connections() { peer_->drop_connections(); }

    /// "GET nodes", "POST resourceslices", "WATCH resourceslices", ... as they came.
    std::vector<std::string> requests() const;

private:
    struct Target {
        std::string plural, name_space, name;
        std::map<std::string, std::string> query;
    };
    struct Event {
        uint64_t version;
        std::string type, plural;
        nlohmann::json object;
    };

    static Target target_of(const std::string& path);
    static bool selected(const Target& target, const nlohmann::json& object);
    void handle(const PeerRequest& request, PeerReply& reply);
    void list(const Target& target, PeerReply& reply);
    void watch(const Target& target, PeerReply& reply);
    void create(const Target& target, const nlohmann::json& body, PeerReply& reply);
    void write(const PeerRequest& request, const Target& target, const nlohmann::json& body,
               PeerReply& reply);
    // With mutex_ held.
    nlohmann::json store(const std::string& plural, nlohmann::json object, const char* type);
    void remove(const std::string& plural, const std::string& key);

    mutable std::mutex mutex_;
    std::condition_variable changed_;
    std::map<std::string, std::map<std::string, nlohmann::json>> objects_;  // plural, "ns/name"
    std::vector<Event> events_;
    uint64_t version_ = 100;
    uint64_t compacted_ = 0;
    uint64_t names_ = 0;
    Hook hook_;
    Change change_;
    std::vector<std::string> requests_;
    std::unique_ptr<HttpPeer> peer_;  // last: its threads end first
};

}  // namespace mimic::kube::testing
