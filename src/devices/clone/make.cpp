// SPDX-License-Identifier: Apache-2.0
// From a function of a topology file to a Clone.
#include "base/log.h"
#include "devices/clone/clone.h"
#include "devices/clone/model.h"

namespace mimic::clone {
namespace {

std::array<pci::Bar, pci::kBarCount> pci_bars(const std::vector<model::Bar>& bars) {
    std::array<pci::Bar, pci::kBarCount> result{};
    for (const model::Bar& bar : bars) {
        pci::Bar& made = result.at(bar.index);
        made.type = bar.is_io      ? pci::BarType::kIo
                    : bar.is_64bit ? pci::BarType::kMemory64
                                   : pci::BarType::kMemory32;
        made.prefetchable = bar.prefetchable;
        made.size = bar.size;
    }
    return result;
}

}  // namespace

Result<std::unique_ptr<pci::Function>> make_function(const model::FunctionRequest& request) {
    const model::FunctionSpec& function = request.function;
    if (!function.clone)
        return fail(std::errc::invalid_argument, "{}: a clone of nothing", function.name);
    Options options;
    options.name = function.name;
    options.image = function.clone->config;
    options.bars = pci_bars(function.bars);
    options.rom_bytes = function.clone->rom_size;
    options.vf_bars = pci_bars(function.clone->vf_bars);
    options.vf_image = function.clone->vf_config;
    options.number = function.number;
    options.multifunction = request.multifunction;
    MIMIC_ASSIGN_OR_RETURN(auto made, Clone::create(options));
    for (const std::string& what : made->copied())
        MIMIC_LOG("clone", kInfo, "{}: only a copy: {}", function.name, what);
    return made;
}

}  // namespace mimic::clone
