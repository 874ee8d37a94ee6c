// SPDX-License-Identifier: Apache-2.0
// DeviceKeys: what a device, its `vfs:` and one VF may say: keys of the language, and those that
// the models bring.
#pragma once

#include <string_view>
#include <vector>

#include "model/device_model.h"
#include "topology/keys.h"

namespace mimic::topology {

/// Immutable; views live as long as it.
class DeviceKeys {
public:
    explicit DeviceKeys(model::Models models);

    Words device() const { return device_; }
    Words vfs() const { return vfs_; }
    Words vf() const { return vf_; }

    /// Keys that properties of any model have.
    Words properties() const { return properties_; }

    /// Keys that settings of any model have.
    Words settings() const { return settings_; }

private:
    std::vector<std::string_view> properties_;
    std::vector<std::string_view> settings_;
    std::vector<std::string_view> device_;
    std::vector<std::string_view> vfs_;
    std::vector<std::string_view> vf_;
};

}  // namespace mimic::topology
