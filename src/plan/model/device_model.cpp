// SPDX-License-Identifier: Apache-2.0
#include "model/device_model.h"

#include <algorithm>

namespace mimic::model {

std::string Property::text(uint64_t value) const {
    if (kind == Kind::kWord && value < words.size()) return std::string(words[value]);
    if (kind == Kind::kLetter) return std::string(1, static_cast<char>(value));
    return std::to_string(value);
}

size_t DeviceModel::find_property(std::string_view key) const {
    const auto found = std::find_if(properties.begin(), properties.end(),
                                    [&](const Property& one) { return one.key == key; });
    return static_cast<size_t>(found - properties.begin());
}

size_t DeviceModel::find_property(Property::Meaning meaning) const {
    const auto found = std::find_if(properties.begin(), properties.end(),
                                    [&](const Property& one) { return one.meaning == meaning; });
    return static_cast<size_t>(found - properties.begin());
}

const DeviceModel* find_model(Models models, std::string_view name) {
    for (const DeviceModel* model : models) {
        if (model->facts.part != Part::kDevice) continue;
        if (model->facts.name == name) return model;
        if (!model->facts.old_name.empty() && model->facts.old_name == name) return model;
    }
    return nullptr;
}

std::vector<std::string_view> model_names(Models models) {
    std::vector<std::string_view> names;
    for (const DeviceModel* model : models) {
        if (model->facts.part == Part::kDevice) names.push_back(model->facts.name);
    }
    return names;
}

}  // namespace mimic::model
