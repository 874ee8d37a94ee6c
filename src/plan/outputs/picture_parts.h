// SPDX-License-Identifier: Apache-2.0
// Pieces of the picture that endpoints and fabrics share. Pixels, text as SVG elements. Pure.
#pragma once

#include <string>
#include <string_view>

#include "outputs/outputs.h"
#include "topology/model.h"

namespace mimic::outputs::picture {

// Pixels. All arbitrary, chosen by eye.
inline constexpr unsigned kBoxWidth = 640;
inline constexpr unsigned kPad = 16;
inline constexpr unsigned kPortWidth = 118;
inline constexpr unsigned kPortHeight = 50;
inline constexpr unsigned kLinkWidth = 74;
inline constexpr unsigned kDeviceWidth = kBoxWidth - 2 * kPad - kPortWidth - kLinkWidth;
inline constexpr unsigned kRowGap = 14;

std::string shortened(const std::string& text, size_t characters);
std::string text_at(unsigned x, unsigned y, std::string_view classes, std::string_view content);
std::string rect(unsigned x, unsigned y, unsigned width, unsigned height, std::string_view classes);

/// "11:00.0": the domain stands where the bus is named.
std::string short_bdf(const topology::Bdf& bdf);

/// A port of two lines, and the link from it to what stands `kLinkWidth` right of it.
std::string draw_port(std::string_view title, const topology::Bdf& bdf, const topology::Link& link,
                      std::string_view classes, unsigned x, unsigned y);

/// The box of a device with a line for each function, VFs folded if there are many.
unsigned device_height(const topology::DeviceSpec& device);
std::string draw_device_box(const topology::DeviceSpec& device, unsigned x, unsigned y,
                            unsigned width);

/// A fabric: QEMU's root port, the VMD endpoint, and below it the tree of its ports.
unsigned fabric_height(const topology::Machine& machine, const topology::FabricSpec& fabric);
std::string draw_fabric(const topology::Machine& machine, const topology::FabricSpec& fabric,
                        unsigned x, unsigned y);

/// What the style sheet of a picture with fabrics has more.
std::string_view fabric_style();

}  // namespace mimic::outputs::picture
