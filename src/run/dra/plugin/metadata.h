// SPDX-License-Identifier: Apache-2.0
// Device metadata (KEP-5304): files in a container that say what its devices are, for programs that
// do not ask the API server (KubeVirt). One file a request, below
// /var/run/kubernetes.io/dra-device-attributes. Pure; any thread.
#pragma once

#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "dra/plugin/record.h"
#include "slices/device.h"

namespace mimic::dra {

/// Attributes of devices as they are published, by the device's name.
using PublishedAttributes = std::map<std::string, std::map<std::string, slices::Attribute>>;

/// Names of all requests of the claim, each once, in the order of its devices.
std::vector<std::string> requests_of(const PreparedClaim& claim);

/// The object of one request: a DeviceMetadata of metadata.resource.k8s.io/v1alpha1.
nlohmann::json device_metadata(const PreparedClaim& claim, const std::string& request,
                               const std::string& driver, const PublishedAttributes& attributes);

/// Where a container sees it: "/var/run/kubernetes.io/dra-device-attributes/resourceclaims/<claim>/
/// <request>/<driver>-metadata.json"; for a claim that a template made, "resourceclaimtemplates"
/// and the pod's own name for it.
std::string metadata_path(const PreparedClaim& claim, const std::string& request,
                          const std::string& driver);

/// CDI kind of the devices that bring the files: "<driver>/metadata".
std::string metadata_kind(const std::string& driver);

}  // namespace mimic::dra
