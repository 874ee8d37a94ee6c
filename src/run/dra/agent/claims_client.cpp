// SPDX-License-Identifier: Apache-2.0
#include "dra/agent/claims_client.h"

#include "dra/plugin/json_fields.h"

namespace mimic::dra {
namespace {

constexpr size_t kIdle = 4;  // connections kept; as many threads of a batch ask at a time

}  // namespace

ClaimsClient::ClaimsClient(std::shared_ptr<const kube::ClientConfig> config)
    : config_(std::move(config)) {}

kube::Client ClaimsClient::take() {
    const std::lock_guard lock(mutex_);
    if (idle_.empty()) return kube::Client(config_);
    auto client = std::move(idle_.back());
    idle_.pop_back();
    return client;
}

void ClaimsClient::give(kube::Client client) {
    const std::lock_guard lock(mutex_);
    if (idle_.size() < kIdle) idle_.push_back(std::move(client));
}

kube::ApiResult<nlohmann::json> ClaimsClient::get(const std::string& name_space,
                                                  const std::string& name) {
    auto client = take();
    auto answer = client.get(kube::kClaims, name_space, name);
    give(std::move(client));
    return answer;
}

kube::ApiResult<std::vector<nlohmann::json>> ClaimsClient::list() {
    auto client = take();
    auto answer = client.list(kube::kClaims, "", {});
    give(std::move(client));
    if (!answer) return tl::unexpected(std::move(answer).error());
    const auto* const items = member(*answer, "items");
    if (items == nullptr || !items->is_array()) return std::vector<nlohmann::json>();
    return items->get<std::vector<nlohmann::json>>();
}

}  // namespace mimic::dra
