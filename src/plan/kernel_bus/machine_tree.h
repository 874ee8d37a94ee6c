// SPDX-License-Identifier: Apache-2.0
// A machine as a folder that looks like its /sys, and as a umockdev description. docs/kernel-bus.md
// lists what is in it.
#pragma once

#include <map>
#include <string>

#include "base/result.h"
#include "kernel_bus/bus_layout.h"
#include "kernel_bus/file_tree.h"
#include "topology/model.h"

namespace mimic::kernel_bus {

/// What the device model of a function shows when addresses are programmed as the layout says.
struct FunctionImage {
    std::string config;     // 256 or 4096 bytes of configuration space
    std::string registers;  // bytes of BAR0 if it holds registers; empty: no file resource0
};

/// By address; needs an entry for every node of the layout.
using Images = std::map<topology::Bdf, FunctionImage>;

/// The tree of `layout`: sys/ and machine.umockdev. Errors: invalid_argument for a node without an
/// image. Pure.
Result<FileTree> machine_tree(const BusLayout& layout, const Images& images);

}  // namespace mimic::kernel_bus
