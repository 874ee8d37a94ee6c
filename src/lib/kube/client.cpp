// SPDX-License-Identifier: Apache-2.0
#include "kube/client.h"

#include <algorithm>
#include <random>

#include "kube/answer.h"
#include "kube/request.h"

namespace mimic::kube {
namespace {

// Pages of one list. Arbitrary: half a million objects.
constexpr unsigned kMaxPages = 1000;
// How long a watch is asked to last: as client-go, 5 to 10 minutes, so that the watches of many
// nodes do not all end at the same time.
constexpr int kWatchSeconds = 300;

std::string escaped(std::string_view text) {
    std::string out;
    for (const char c : text) {
        const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                           (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '~' || c == '.';
        out += plain ? std::string(1, c) : fmt::format("%{:02X}", static_cast<unsigned char>(c));
    }
    return out;
}

// As apimachinery's IsValidPathSegmentName: what may be one element of a path.
bool is_path_element(std::string_view name) {
    return !name.empty() && name.size() <= 253 && name != "." && name != ".." &&
           name.find_first_of("/%") == std::string_view::npos &&
           std::all_of(name.begin(), name.end(), [](char c) { return c > 0x20 && c < 0x7f; });
}

ApiResult<std::string> path_of(const Resource& resource, const std::string& name_space) {
    std::string path(resource.group_version);
    if (resource.namespaced && !name_space.empty()) {
        if (!is_path_element(name_space))
            return tl::unexpected(refused("\"" + name_space + "\" is no namespace"));
        path += "/namespaces/" + escaped(name_space);
    }
    return path + "/" + std::string(resource.plural);
}

ApiResult<std::string> path_of(const Resource& resource, const std::string& name_space,
                               const std::string& name, std::string_view subresource = {}) {
    // Without a namespace it would be another object's path.
    if (resource.namespaced && name_space.empty())
        return tl::unexpected(refused(fmt::format("{} have a namespace", resource.plural)));
    auto path = path_of(resource, name_space);
    if (!path) return path;
    if (!is_path_element(name)) return tl::unexpected(refused("\"" + name + "\" is no name"));
    *path += "/" + escaped(name);
    if (!subresource.empty()) *path += "/" + std::string(subresource);
    return path;
}

std::string selectors(const ListOptions& options) {
    std::string query;
    if (!options.field_selector.empty())
        query += "&fieldSelector=" + escaped(options.field_selector);
    if (!options.label_selector.empty())
        query += "&labelSelector=" + escaped(options.label_selector);
    return query;
}

// What is not UTF-8 (a hostile device's texts) must not throw.
std::string text_of(const nlohmann::json& json) {
    return json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

ApiError no_object() {
    return {0, "", "the answer is no JSON object", std::nullopt};
}

}  // namespace

bool ApiError::transient() const {
    return status == 0 || status == 408 || status == 429 || (status >= 500 && status <= 599);
}

class Client::Impl {
public:
    explicit Impl(std::shared_ptr<const ClientConfig> config)
        : config_(config), connection_(std::move(config)) {}

    void set_stop(std::stop_token stop) { stop_ = std::move(stop); }

    // Any success, as text.
    ApiResult<std::string> send(const Request& request) {
        auto answer = connection_.send(request, stop_);
        if (!answer) return tl::unexpected(std::move(answer).error());
        if (answer->stopped)
            return tl::unexpected(ApiError{0, "Stopped", "we are stopping", std::nullopt});
        if (answer->status >= 300 || answer->status < 200)
            return tl::unexpected(error_of(answer->status, answer->body, answer->retry_after));
        return std::move(answer->body);
    }

    ApiResult<nlohmann::json> object(const Request& request) {
        auto text = send(request);
        if (!text) return tl::unexpected(std::move(text).error());
        auto json = parse_object(*text, max_values(config_->max_answer));
        if (!json.is_object()) return tl::unexpected(no_object());
        return json;
    }

    ApiResult<nlohmann::json> list(const std::string& path, const ListOptions& options,
                                   unsigned page_size);

    ApiResult<void> watch(const std::string& path, const std::stop_token& stop,
                          const std::function<void(WatchEvent)>& on_event);

    int watch_seconds() {
        return std::uniform_int_distribution<int>(kWatchSeconds, 2 * kWatchSeconds)(random_);
    }

private:
    const std::shared_ptr<const ClientConfig> config_;  // shared by all clients of a process
    Connection connection_;
    std::stop_token stop_;
    std::minstd_rand random_{std::random_device()()};  // spreads load; nothing depends on it
};

ApiResult<nlohmann::json> Client::Impl::list(const std::string& path, const ListOptions& options,
                                             unsigned page_size) {
    nlohmann::json joined;
    std::string next;
    size_t bytes = 0;
    for (unsigned page = 0; page < kMaxPages; ++page) {
        Request request;
        request.path = path + "?limit=" + std::to_string(page_size) + selectors(options);
        if (!next.empty()) request.path += "&continue=" + escaped(next);
        auto text = send(request);
        if (!text) return tl::unexpected(std::move(text).error());
        bytes += text->size();
        if (bytes > config_->max_answer)
            return tl::unexpected(ApiError{0, "", "the list is too long", std::nullopt});
        auto json = parse_object(*text, max_values(config_->max_answer));
        text->clear();
        const auto* const items = member(json, "items");
        // An empty list of a Go program may be null.
        if (!json.is_object() || (items != nullptr && !items->is_array() && !items->is_null()))
            return tl::unexpected(no_object());
        next = metadata_text(json, "continue");
        if (items == nullptr || items->is_null()) json["items"] = nlohmann::json::array();
        for (const auto& item : json["items"])
            if (!item.is_object()) return tl::unexpected(no_object());
        if (joined.is_null()) {
            joined = std::move(json);
        } else {
            auto& all = joined["items"];
            for (auto& item : json["items"]) all.push_back(std::move(item));
        }
        if (next.empty()) {
            if (const auto found = joined.find("metadata");
                found != joined.end() && found->is_object())
                found->erase("continue");
            return joined;
        }
    }
    return tl::unexpected(ApiError{0, "", "the list has no end", std::nullopt});
}

ApiResult<void> Client::Impl::watch(const std::string& path, const std::stop_token& stop,
                                    const std::function<void(WatchEvent)>& on_event) {
    WatchStream stream(config_->max_answer);
    const int seconds = watch_seconds();
    Request request;
    request.path = path + "&timeoutSeconds=" + std::to_string(seconds);
    request.sink = [&](std::string_view bytes) { return stream.take(bytes, on_event); };
    request.silence = config_->watch_silence;
    request.longest = std::chrono::seconds(seconds + 60);
    // Either stop ends it.
    std::stop_source either;
    const auto end = [&either] { either.request_stop(); };
    const std::stop_callback on_own(stop_, end);
    const std::stop_callback on_given(stop, end);
    auto answer = connection_.send(request, either.get_token());
    if (!answer) return tl::unexpected(std::move(answer).error());
    if (answer->stopped || answer->status == 200) return {};
    return tl::unexpected(error_of(answer->status, answer->body, answer->retry_after));
}

Client::Client(std::shared_ptr<const ClientConfig> config)
    : impl_(std::make_unique<Impl>(std::move(config))) {}
Client::~Client() = default;
Client::Client(Client&&) noexcept = default;
Client& Client::operator=(Client&&) noexcept = default;

void Client::set_stop(std::stop_token stop) {
    impl_->set_stop(std::move(stop));
}

ApiResult<std::string> Client::get_text(const std::string& path) {
    if (!path.starts_with('/') || path.find('#') != std::string::npos ||
        !std::all_of(path.begin(), path.end(), [](char c) { return c > 0x20 && c < 0x7f; }))
        return tl::unexpected(refused("\"" + path + "\" is no path"));
    Request request;
    request.path = path;
    return impl_->send(request);
}

ApiResult<nlohmann::json> Client::get(const Resource& resource, const std::string& name_space,
                                      const std::string& name) {
    auto path = path_of(resource, name_space, name);
    if (!path) return tl::unexpected(std::move(path).error());
    Request request;
    request.path = std::move(*path);
    return impl_->object(request);
}

ApiResult<nlohmann::json> Client::list(const Resource& resource, const std::string& name_space,
                                       const ListOptions& options) {
    const auto path = path_of(resource, name_space);
    if (!path) return tl::unexpected(path.error());
    auto objects = impl_->list(*path, options, options.page_size);
    // The snapshot that a page continues has been compacted away: all of it at once, then.
    if (!objects && objects.error().gone() && options.page_size != 0)
        return impl_->list(*path, options, 0);
    return objects;
}

ApiResult<nlohmann::json> Client::create(const Resource& resource, const std::string& name_space,
                                         const nlohmann::json& object) {
    if (resource.namespaced && name_space.empty())
        return tl::unexpected(refused(fmt::format("{} have a namespace", resource.plural)));
    auto path = path_of(resource, name_space);
    if (!path) return tl::unexpected(std::move(path).error());
    Request request;
    request.method = "POST";
    request.path = std::move(*path);
    request.body = text_of(object);
    return impl_->object(request);
}

ApiResult<nlohmann::json> Client::update(const Resource& resource, const std::string& name_space,
                                         const nlohmann::json& object,
                                         std::string_view subresource) {
    auto path = path_of(resource, name_space, metadata_text(object, "name"), subresource);
    if (!path) return tl::unexpected(std::move(path).error());
    Request request;
    request.method = "PUT";
    request.path = std::move(*path);
    request.body = text_of(object);
    return impl_->object(request);
}

// NOLINTNEXTLINE(readability-function-size): the parameters are those of the header
ApiResult<nlohmann::json> Client::merge_patch(const Resource& resource,
                                              const std::string& name_space,
                                              const std::string& name, const nlohmann::json& patch,
                                              std::string_view subresource) {
    auto path = path_of(resource, name_space, name, subresource);
    if (!path) return tl::unexpected(std::move(path).error());
    Request request;
    request.method = "PATCH";
    request.path = std::move(*path);
    request.body = text_of(patch);
    request.content_type = "application/merge-patch+json";
    return impl_->object(request);
}

// NOLINTNEXTLINE(readability-function-size): the parameters are those of the header
ApiResult<void> Client::remove(const Resource& resource, const std::string& name_space,
                               const std::string& name, const std::string& uid,
                               const std::string& resource_version) {
    auto path = path_of(resource, name_space, name);
    if (!path) return tl::unexpected(std::move(path).error());
    nlohmann::json options{{"apiVersion", "v1"}, {"kind", "DeleteOptions"}};
    if (!uid.empty()) options["preconditions"]["uid"] = uid;
    if (!resource_version.empty()) options["preconditions"]["resourceVersion"] = resource_version;
    Request request;
    request.method = "DELETE";
    request.path = std::move(*path);
    request.body = text_of(options);
    auto done = impl_->send(request);
    if (!done && !done.error().not_found()) return tl::unexpected(std::move(done).error());
    return {};
}

// NOLINTNEXTLINE(readability-function-size): the parameters are those of the header
ApiResult<void> Client::watch(const Resource& resource, const std::string& name_space,
                              const ListOptions& options, const std::string& resource_version,
                              const std::stop_token& stop,
                              const std::function<void(WatchEvent)>& on_event) {
    auto path = path_of(resource, name_space);
    if (!path) return tl::unexpected(std::move(path).error());
    *path += "?watch=true&allowWatchBookmarks=true" + selectors(options);
    if (!resource_version.empty()) *path += "&resourceVersion=" + escaped(resource_version);
    return impl_->watch(*path, stop, on_event);
}

}  // namespace mimic::kube
