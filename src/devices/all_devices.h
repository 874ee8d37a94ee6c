// SPDX-License-Identifier: Apache-2.0
// The list of devices that a program can make. Generated from the folders here.
#pragma once

#include <memory>
#include <span>

#include "base/result.h"
#include "model/function_spec.h"
#include "pci/function/function.h"
#include "virtio/device.h"

namespace mimic::devices {

/// A device: its model, and how one of its functions is made.
struct DeviceClass {
    const model::DeviceModel* model;
    Result<std::unique_ptr<pci::Function>> (*make)(const model::FunctionRequest& request);
};

/// A virtio device: its model, and how it is made. Which transport it gets is not its own to say.
struct VirtioClass {
    const model::DeviceModel* model;
    Result<std::unique_ptr<virtio::Device>> (*make)(const model::FunctionRequest& request);
};

/// Constants of the program. Thread-safe.
std::span<const DeviceClass> all_devices();
std::span<const VirtioClass> all_virtio();

/// Makes the function that `request` describes, by the folder of its model. Nothing is shared
/// between the results, so each may go to its own loop. Errors: not_supported for a model that
/// nothing here makes; those of the device's make_function(). Thread-safe.
Result<std::unique_ptr<pci::Function>> make_function(const model::FunctionRequest& request);

/// The same for a function whose model is a virtio device (ModelFacts::is_virtio()).
Result<std::unique_ptr<virtio::Device>> make_virtio(const model::FunctionRequest& request);

}  // namespace mimic::devices
