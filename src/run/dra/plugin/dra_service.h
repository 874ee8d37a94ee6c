// SPDX-License-Identifier: Apache-2.0
// DRAPlugin as gRPC has it, for any version of its messages: from their texts to ClaimRef and back.
#pragma once

#include <vector>

#include "dra/plugin/kubelet_server.h"
#include "dra/plugin/proto/dra_v1.grpc.pb.h"
#include "dra/plugin/proto/dra_v1beta1.grpc.pb.h"

namespace mimic::dra {

struct ApiV1 {
    using Service = k8s::io::kubelet::pkg::apis::dra::v1::DRAPlugin::Service;
    using PrepareRequest = k8s::io::kubelet::pkg::apis::dra::v1::NodePrepareResourcesRequest;
    using PrepareResponse = k8s::io::kubelet::pkg::apis::dra::v1::NodePrepareResourcesResponse;
    using UnprepareRequest = k8s::io::kubelet::pkg::apis::dra::v1::NodeUnprepareResourcesRequest;
    using UnprepareResponse = k8s::io::kubelet::pkg::apis::dra::v1::NodeUnprepareResourcesResponse;
    using Device = k8s::io::kubelet::pkg::apis::dra::v1::Device;
    static void set_share_id(Device& device, const std::string& id) { device.set_share_id(id); }
};

struct ApiV1beta1 {
    using Service = k8s::io::kubelet::pkg::apis::dra::v1beta1::DRAPlugin::Service;
    using PrepareRequest = k8s::io::kubelet::pkg::apis::dra::v1beta1::NodePrepareResourcesRequest;
    using PrepareResponse = k8s::io::kubelet::pkg::apis::dra::v1beta1::NodePrepareResourcesResponse;
    using UnprepareRequest =
        k8s::io::kubelet::pkg::apis::dra::v1beta1::NodeUnprepareResourcesRequest;
    using UnprepareResponse =
        k8s::io::kubelet::pkg::apis::dra::v1beta1::NodeUnprepareResourcesResponse;
    using Device = k8s::io::kubelet::pkg::apis::dra::v1beta1::Device;
    static void set_share_id(Device& /*device*/, const std::string& /*id*/) {}
};

template <typename Claims>
std::vector<ClaimRef> refs_of(const Claims& claims) {
    std::vector<ClaimRef> out;
    out.reserve(static_cast<size_t>(claims.size()));
    for (const auto& claim : claims) out.push_back({claim.namespace_(), claim.uid(), claim.name()});
    return out;
}

/// `options` is borrowed and outlives it.
template <typename Api>
class DraService final : public Api::Service {
public:
    explicit DraService(const KubeletServerOptions& options) : options_(options) {}

    // NOLINTNEXTLINE(readability-identifier-naming): gRPC's name
    grpc::Status NodePrepareResources(grpc::ServerContext* /*context*/,
                                      const typename Api::PrepareRequest* request,
                                      typename Api::PrepareResponse* response) override {
        auto& out = *response->mutable_claims();
        for (auto& [uid, answer] : options_.prepare(refs_of(request->claims()))) {
            auto& entry = out[uid];
            entry.set_error(answer.error);
            for (const auto& device : answer.devices) {
                auto& made = *entry.add_devices();
                for (const auto& name : device.requests) made.add_request_names(name);
                made.set_pool_name(device.pool);
                made.set_device_name(device.device);
                for (const auto& id : device.cdi_ids) made.add_cdi_device_ids(id);
                if (!device.share_id.empty()) Api::set_share_id(made, device.share_id);
            }
        }
        return grpc::Status::OK;
    }

    // NOLINTNEXTLINE(readability-identifier-naming): gRPC's name
    grpc::Status NodeUnprepareResources(grpc::ServerContext* /*context*/,
                                        const typename Api::UnprepareRequest* request,
                                        typename Api::UnprepareResponse* response) override {
        auto& out = *response->mutable_claims();
        for (const auto& [uid, error] : options_.unprepare(refs_of(request->claims())))
            out[uid].set_error(error);
        return grpc::Status::OK;
    }

private:
    const KubeletServerOptions& options_;
};

}  // namespace mimic::dra
