// SPDX-License-Identifier: Apache-2.0
// A client of the Kubernetes API: the few verbs and kinds that Mimic needs, JSON in and out.
// https://kubernetes.io/docs/reference/using-api/api-concepts/
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>

#include "base/result.h"
#include "kube/config.h"

namespace mimic::kube {

/// Why a request failed. `status` is the HTTP status, 0 if no answer came (then `error` says why).
struct ApiError {
    int status = 0;
    std::string reason;   // of the Status object: "Conflict", "AlreadyExists", "Expired", ...
    std::string message;  // one line for people, of at most a few hundred bytes, printable
    std::optional<std::chrono::milliseconds> retry_after{};

    bool not_found() const { return status == 404; }
    bool conflict() const { return status == 409; }
    bool gone() const { return status == 410; }
    /// 0, 408, 429 and 5xx: the same request may succeed later.
    bool transient() const;
};

template <typename T>
using ApiResult = tl::expected<T, ApiError>;

/// A kind of object: "/apis/resource.k8s.io/v1" + "resourceslices".
struct Resource {
    std::string_view group_version;  // "/api/v1" or "/apis/<group>/<version>"
    std::string_view plural;
    bool namespaced = false;
};
inline constexpr Resource kNodes{"/api/v1", "nodes", false};
inline constexpr Resource kPods{"/api/v1", "pods", true};
inline constexpr Resource kSlices{"/apis/resource.k8s.io/v1", "resourceslices", false};
inline constexpr Resource kClaims{"/apis/resource.k8s.io/v1", "resourceclaims", true};

struct ListOptions {
    std::string field_selector{};
    std::string label_selector{};
    unsigned page_size = 500;  // `limit`; pages are joined
};

/// What a watch tells. `type` is ADDED, MODIFIED, DELETED or BOOKMARK.
// NOLINTNEXTLINE(bugprone-exception-escape): no move of nlohmann's throws
struct WatchEvent {
    std::string type;
    nlohmann::json object;
};

/// One connection (kept alive) to one API server. Thread-bound, but may move between threads that
/// take turns; many clients may share one ClientConfig. Blocks for at most `ClientConfig::timeout`
/// a request. Answers are untrusted: at most ClientConfig::max_answer bytes, bounded depth.
class Client {
public:
    explicit Client(std::shared_ptr<const ClientConfig> config);
    ~Client();
    Client(Client&&) noexcept;
    Client& operator=(Client&&) noexcept;

    /// Requests end within a second of a stop that is asked for here: with status 0, or a watch
    /// with success. Until the next call of this.
    void set_stop(std::stop_token stop);

    /// Any path of the server: "/readyz", "/version". The text of the answer.
    ApiResult<std::string> get_text(const std::string& path);

    ApiResult<nlohmann::json> get(const Resource& resource, const std::string& name_space,
                                  const std::string& name);
    /// All objects; `metadata.resourceVersion` of the answer is where a watch may begin.
    ApiResult<nlohmann::json> list(const Resource& resource, const std::string& name_space,
                                   const ListOptions& options);
    ApiResult<nlohmann::json> create(const Resource& resource, const std::string& name_space,
                                     const nlohmann::json& object);
    /// PUT; `object` carries metadata.name and, for no lost update, metadata.resourceVersion.
    ApiResult<nlohmann::json> update(const Resource& resource, const std::string& name_space,
                                     const nlohmann::json& object,
                                     std::string_view subresource = {});
    /// PATCH with application/merge-patch+json.
    ApiResult<nlohmann::json> merge_patch(const Resource& resource, const std::string& name_space,
                                          const std::string& name, const nlohmann::json& patch,
                                          std::string_view subresource = {});
    /// DELETE with preconditions (either may be empty). 404 counts as done.
    ApiResult<void> remove(const Resource& resource, const std::string& name_space,
                           const std::string& name, const std::string& uid = {},
                           const std::string& resource_version = {});

    /// Calls `on_event` for each event after `resource_version`, bookmarks too, until the server
    /// ends the stream (success), `stop` is requested (success, within a second), or it fails
    /// (gone(): list again). A stream that is silent for longer than the server should be ends.
    ApiResult<void> watch(const Resource& resource, const std::string& name_space,
                          const ListOptions& options, const std::string& resource_version,
                          const std::stop_token& stop,
                          const std::function<void(WatchEvent)>& on_event);

private:
    class Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace mimic::kube
