// SPDX-License-Identifier: Apache-2.0
// ClaimsClient: the API server as the plugin's source of claims.
#pragma once

#include <memory>
#include <mutex>
#include <vector>

#include "dra/plugin/sources.h"
#include "kube/config.h"

namespace mimic::dra {

/// Thread-safe: a connection for each call that is under way, kept for the next.
class ClaimsClient final : public ClaimSource {
public:
    explicit ClaimsClient(std::shared_ptr<const kube::ClientConfig> config);

    kube::ApiResult<nlohmann::json> get(const std::string& name_space,
                                        const std::string& name) override;
    kube::ApiResult<std::vector<nlohmann::json>> list() override;

private:
    kube::Client take();
    void give(kube::Client client);

    const std::shared_ptr<const kube::ClientConfig> config_;  // others use it as well
    std::mutex mutex_;
    std::vector<kube::Client> idle_;
};

}  // namespace mimic::dra
