// SPDX-License-Identifier: Apache-2.0
#include "topology/device_keys.h"

#include <algorithm>

namespace mimic::topology {
namespace {

std::vector<std::string_view> joined(std::initializer_list<Words> lists) {
    std::vector<std::string_view> out;
    for (const Words list : lists) out.insert(out.end(), list.begin(), list.end());
    return out;
}

std::vector<std::string_view> property_keys(model::Models models) {
    std::vector<std::string_view> out;
    for (const model::DeviceModel* model : models) {
        for (const model::Property& property : model->properties) {
            if (std::find(out.begin(), out.end(), property.key) == out.end())
                out.push_back(property.key);
        }
    }
    return out;
}

/// Without `others`.
std::vector<std::string_view> setting_keys(model::Models models, Words others) {
    std::vector<std::string_view> out;
    for (const model::DeviceModel* model : models) {
        for (const model::Setting& setting : model->settings) {
            const bool is_known = std::find(others.begin(), others.end(), setting.key) !=
                                      others.end() ||
                                  std::find(out.begin(), out.end(), setting.key) != out.end();
            if (!is_known) out.push_back(setting.key);
        }
    }
    return out;
}

}  // namespace

DeviceKeys::DeviceKeys(model::Models models)
    : properties_(property_keys(models)),
      settings_(setting_keys(models, properties_)),
      device_(joined({kDeviceKeys, kImageKeys, kExternalKeys, properties_, settings_})),
      vfs_(joined({kVfsKeys, properties_})),
      vf_(joined({kVfKeys, properties_})) {}

}  // namespace mimic::topology
