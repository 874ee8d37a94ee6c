// SPDX-License-Identifier: Apache-2.0
#include "kube/testing/fake_api.h"

#include <algorithm>

#include "kube/answer.h"

namespace mimic::kube::testing {
namespace {

using nlohmann::json;

std::vector<std::string> split(const std::string& text, char separator) {
    std::vector<std::string> parts;
    for (size_t at = 0; at <= text.size();) {
        const auto end = std::min(text.find(separator, at), text.size());
        if (end > at) parts.push_back(text.substr(at, end - at));
        at = end + 1;
    }
    return parts;
}

std::string unescaped(const std::string& text) {
    std::string out;
    for (size_t i = 0; i < text.size(); ++i) {
        if (text[i] == '%' && i + 2 < text.size()) {
            out += static_cast<char>(std::stoi(text.substr(i + 1, 2), nullptr, 16));
            i += 2;
        } else {
            out += text[i];
        }
    }
    return out;
}

std::string key_of(const json& object) {
    return metadata_text(object, "namespace") + "/" + metadata_text(object, "name");
}

void refuse(PeerReply& reply, int status, const std::string& reason,
            const std::string& headers = {}) {
    const json body{{"kind", "Status"}, {"apiVersion", "v1"}, {"status", "Failure"},
                    {"reason", reason}, {"code", status},     {"message", reason + " (fake)"}};
    reply.answer(status, body.dump(), headers);
}

}  // namespace

FakeApi::FakeApi()
    : peer_(std::make_unique<HttpPeer>(
          [this](const PeerRequest& request, PeerReply& reply) { handle(request, reply); })) {}
FakeApi::~FakeApi() = default;

std::shared_ptr<ClientConfig> FakeApi::config() const {
    auto config = std::make_shared<ClientConfig>();
    config->server = peer_->address();
    config->token = "fake";
    config->timeout = std::chrono::seconds(60);
    return config;
}

void FakeApi::set_hook(Hook hook) {
    const std::lock_guard lock(mutex_);
    hook_ = std::move(hook);
}

void FakeApi::set_change(Change change) {
    const std::lock_guard lock(mutex_);
    change_ = std::move(change);
}

json FakeApi::put(const std::string& plural, json object) {
    const std::lock_guard lock(mutex_);
    const bool known = objects_[plural].contains(key_of(object));
    return store(plural, std::move(object), known ? "MODIFIED" : "ADDED");
}

void FakeApi::erase(const std::string& plural, const std::string& name) {
    const std::lock_guard lock(mutex_);
    remove(plural, "/" + name);
}

void FakeApi::erase_all(const std::string& plural) {
    const std::lock_guard lock(mutex_);
    while (!objects_[plural].empty()) remove(plural, objects_[plural].begin()->first);
}

std::vector<json> FakeApi::objects(const std::string& plural) const {
    const std::lock_guard lock(mutex_);
    std::vector<json> all;
    if (const auto found = objects_.find(plural); found != objects_.end())
        for (const auto& [key, object] : found->second) all.push_back(object);
    return all;
}

void FakeApi::compact() {
    const std::lock_guard lock(mutex_);
    events_.clear();
    compacted_ = ++version_;
}

std::vector<std::string> FakeApi::requests() const {
    const std::lock_guard lock(mutex_);
    return requests_;
}

json FakeApi::store(const std::string& plural, json object, const char* type) {
    auto& metadata = object["metadata"];
    if (metadata_text(object, "name").empty())
        metadata["name"] = metadata_text(object, "generateName") + fmt::format("{:05x}", ++names_);
    if (metadata_text(object, "uid").empty()) metadata["uid"] = fmt::format("uid-{}", version_ + 1);
    metadata["resourceVersion"] = std::to_string(++version_);
    metadata["managedFields"] = json::array({{{"manager", "fake"}}});
    if (change_) change_(object);
    objects_[plural][key_of(object)] = object;
    events_.push_back({version_, type, plural, object});
    changed_.notify_all();
    return object;
}

void FakeApi::remove(const std::string& plural, const std::string& key) {
    const auto found = objects_[plural].find(key);
    if (found == objects_[plural].end()) return;
    json object = std::move(found->second);
    objects_[plural].erase(found);
    object["metadata"]["resourceVersion"] = std::to_string(++version_);
    events_.push_back({version_, "DELETED", plural, std::move(object)});
    changed_.notify_all();
}

FakeApi::Target FakeApi::target_of(const std::string& path) {
    Target target;
    const auto question = std::min(path.find('?'), path.size());
    auto parts = split(path.substr(0, question), '/');
    const size_t skipped = parts.empty() || parts[0] != "api" ? 3 : 2;
    parts.erase(parts.begin(),
                parts.begin() + static_cast<std::ptrdiff_t>(std::min(skipped, parts.size())));
    if (parts.size() >= 3 && parts[0] == "namespaces") {
        target.name_space = parts[1];
        parts.erase(parts.begin(), parts.begin() + 2);
    }
    if (!parts.empty()) target.plural = parts[0];
    if (parts.size() >= 2) target.name = unescaped(parts[1]);
    for (const auto& pair : split(path.substr(std::min(question + 1, path.size())), '&')) {
        const auto equals = std::min(pair.find('='), pair.size());
        target.query[pair.substr(0, equals)] = unescaped(
            pair.substr(std::min(equals + 1, pair.size())));
    }
    return target;
}

bool FakeApi::selected(const Target& target, const json& object) {
    if (!target.name_space.empty() && metadata_text(object, "namespace") != target.name_space)
        return false;
    const auto selector = target.query.find("fieldSelector");
    if (selector == target.query.end()) return true;
    for (const auto& term : split(selector->second, ',')) {
        const auto equals = term.find('=');
        const json* value = &object;
        for (const auto& step : split(term.substr(0, equals), '.'))
            if (value != nullptr) value = member(*value, step.c_str());
        if (value == nullptr || *value != term.substr(equals + 1)) return false;
    }
    return true;
}

void FakeApi::handle(const PeerRequest& request, PeerReply& reply) {
    const auto target = target_of(request.path);
    const bool watches = target.query.contains("watch");
    Hook hook;
    {
        const std::lock_guard lock(mutex_);
        requests_.push_back((watches ? "WATCH" : request.method) + " " + target.plural);
        hook = hook_;
    }
    if (hook)
        if (const auto refusal = hook(request))
            return refuse(reply, refusal->status, refusal->reason, refusal->headers);
    if (watches) return watch(target, reply);
    if (request.method == "GET" && target.name.empty()) return list(target, reply);
    const auto body = json::parse(request.body, nullptr, false);
    if (request.method == "POST") return create(target, body, reply);
    write(request, target, body, reply);
}

void FakeApi::list(const Target& target, PeerReply& reply) {
    json items = json::array();
    std::unique_lock lock(mutex_);
    for (const auto& [key, object] : objects_[target.plural])
        if (selected(target, object)) items.push_back(object);
    const json answer{{"metadata", {{"resourceVersion", std::to_string(version_)}}},
                      {"items", std::move(items)}};
    lock.unlock();
    reply.answer(200, answer.dump());
}

void FakeApi::create(const Target& target, const json& body, PeerReply& reply) {
    if (!body.is_object()) return refuse(reply, 400, "BadRequest");
    json object = body;
    if (!target.name_space.empty()) object["metadata"]["namespace"] = target.name_space;
    std::unique_lock lock(mutex_);
    if (objects_[target.plural].contains(key_of(object))) {
        lock.unlock();
        return refuse(reply, 409, "AlreadyExists");
    }
    object = store(target.plural, std::move(object), "ADDED");
    lock.unlock();
    reply.answer(201, object.dump());
}

void FakeApi::write(const PeerRequest& request, const Target& target, const json& body,
                    PeerReply& reply) {
    std::unique_lock lock(mutex_);
    auto& all = objects_[target.plural];
    const auto found = all.find(target.name_space + "/" + target.name);
    const auto end = [&](int status, const char* reason) {
        lock.unlock();
        refuse(reply, status, reason);
    };
    if (found == all.end()) return end(404, "NotFound");
    json object = found->second;
    const auto differs = [&object](const json& from, const char* key) {
        const auto asked = text_member(from, key);
        return !asked.empty() && asked != metadata_text(object, key);
    };
    if (request.method == "DELETE") {
        const auto* const conditions = member(body, "preconditions");
        if (conditions != nullptr &&
            (differs(*conditions, "uid") || differs(*conditions, "resourceVersion")))
            return end(409, "Conflict");
        remove(target.plural, found->first);
    } else if (request.method == "PUT" || request.method == "PATCH") {
        const auto* const metadata = member(body, "metadata");
        if (metadata != nullptr && differs(*metadata, "resourceVersion"))
            return end(409, "Conflict");
        json next = object;
        if (request.method == "PUT")
            next = body;
        else
            next.merge_patch(body);
        next["metadata"]["uid"] = object["metadata"]["uid"];
        object = store(target.plural, std::move(next), "MODIFIED");
    }
    lock.unlock();
    reply.answer(200, object.dump());
}

void FakeApi::watch(const Target& target, PeerReply& reply) {
    const auto from = target.query.find("resourceVersion");
    uint64_t seen = from == target.query.end() ? 0 : std::stoull(from->second);
    std::unique_lock lock(mutex_);
    if (seen < compacted_) {
        lock.unlock();
        return refuse(reply, 410, "Expired");
    }
    lock.unlock();
    reply.keep = false;
    reply.write("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n");
    while (!reply.closed()) {
        std::string lines;
        lock.lock();
        changed_.wait_for(lock, std::chrono::milliseconds(20), [&] { return version_ > seen; });
        if (seen < compacted_) {  // what it has missed is forgotten
            lock.unlock();
            return;
        }
        for (const auto& event : events_)
            if (event.version > seen && event.plural == target.plural &&
                selected(target, event.object))
                lines += json{{"type", event.type}, {"object", event.object}}.dump() + "\n";
        seen = version_;
        lock.unlock();
        if (!lines.empty() && !reply.write(lines)) return;
    }
}

}  // namespace mimic::kube::testing
