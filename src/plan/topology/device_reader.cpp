// SPDX-License-Identifier: Apache-2.0
// Reads `devices:`: PF, VFs, link, identifiers. docs/topology.md, "Device".
#include <algorithm>
#include <array>
#include <bit>

#include <fmt/format.h>

#include "base/identifier.h"
#include "topology/arch.h"
#include "topology/reader.h"

namespace mimic::topology {
namespace {

constexpr std::string_view kIdentifierExpected =
    "an RFC 4122 UUID or a label of 1 to 63 printable ASCII characters";

std::optional<model::IdentifierSpec> identifier_of(std::string_view text) {
    const auto parsed = parse_identifier(text);
    if (!parsed) return std::nullopt;
    model::IdentifierSpec out;
    out.text = parsed->display();
    out.bytes = parsed->uuid;
    if (parsed->has_label()) out.label = out.text;
    return out;
}

/// Sets the identifier from `uuid`, or from `fallback` if there is none, and reports one that is
/// used already.
void read_identifier(const Fields& fields, const std::string& fallback, FunctionSpec& function,
                     ReadState& state) {
    std::string text = fallback;
    const bool given = fields.find("uuid") != nullptr;
    if (given) {
        const auto pattern = fields.pattern("uuid", kIdentifierExpected);
        if (!pattern) return;
        text = *pattern;
    }
    auto identifier = identifier_of(text);
    if (!identifier) {
        const std::string what = is_printable_ascii(text)
                                     ? fmt::format("'{}' has {} characters", text.substr(0, 63),
                                                   text.size())
                                     : "is not printable ASCII";
        fields.problem(fields.where("uuid"),
                       fmt::format("{}uuid {}; expected {}", given ? "" : "the default ", what,
                                   kIdentifierExpected));
        return;
    }
    const auto [first, is_new] = state.identifiers.try_emplace(identifier->text,
                                                               fields.where("uuid"));
    if (!is_new) {
        fields.problem(fields.where("uuid"),
                       fmt::format("uuid '{}' is used twice, first on line {}; expected a unique "
                                   "one (with 'count', a pattern such as GPU-{{index}})",
                                   identifier->text, first->second.line));
        return;
    }
    function.identifier = std::move(*identifier);
}

/// class: Linux gives "unclassified" devices and host bridges no addresses, because firmware knows
/// better (__dev_sort_resources() in drivers/pci/setup-bus.c). A fabric has no firmware, and with
/// VFs to find room for, the same code stops in a BUG().
void read_class(const Fields& fields, DeviceSpec& device) {
    const model::ModelFacts& facts = device.model->facts;
    FunctionSpec& pf = device.functions.front();
    if (device.on_fabric) pf.class_code = facts.fabric_class_code;
    const auto code = fields.number("class", {0, 0xffffff});
    if (!code) return;
    if (device.is_vhost_user()) {
        fields.problem(fields.where("class"),
                       fmt::format("'class' with transport: vhost-user, where QEMU says the class "
                                   "({:#08x}); expected transport: pci, or no 'class'",
                                   model::kVhostUserClassCode));
        return;
    }
    pf.class_code = static_cast<uint32_t>(*code);
    constexpr uint32_t kUnclassified = 0x0000;
    constexpr uint32_t kHostBridge = 0x0600;
    const uint32_t kind = pf.class_code >> 8;
    if (!device.on_fabric || (kind != kUnclassified && kind != kHostBridge)) return;
    fields.problem(fields.where("class"),
                   fmt::format("class {:#08x} on a fabric, where Linux gives such a device no "
                               "addresses; expected another, such as {:#08x}",
                               pf.class_code, facts.fabric_class_code));
}

FunctionSpec make_function(const model::DeviceModel& model, bool is_vf) {
    FunctionSpec out;
    out.model = &model;
    out.vendor_id = model.facts.vendor();
    out.device_id = is_vf ? model.facts.vf_device_id : model.facts.device();
    out.class_code = model.facts.class_code;
    const std::span<const BarSpec> bars = model.facts.is_virtio() ? model::kVirtioPciBars
                                                                  : model.facts.bars;
    out.bars.assign(bars.begin(), bars.end());
    for (const model::Property& property : model.properties)
        out.values.push_back(is_vf ? property.vf_default : property.pf_default);
    return out;
}

/// A size that is a power of two, or 0.
std::optional<uint64_t> read_power(const Fields& fields, const model::Property& property) {
    const auto size = fields.size(property.key, {0, property.max});
    if (!size || *size == 0) return size;
    if (*size >= property.min && std::has_single_bit(*size)) return size;
    fields.problem(fields.where(property.key),
                   fmt::format("{} is {}; expected a power of two, {} to {}, or 0", property.key,
                               fields.find(property.key)->describe(), format_size(property.min),
                               format_size(property.max)));
    return std::nullopt;
}

std::optional<uint64_t> read_letter(const Fields& fields, const model::Property& property) {
    const std::string expected = fmt::format("a letter, {} to {}", property.text(property.min),
                                             property.text(property.max));
    const auto text = fields.text(property.key, expected);
    if (!text) return std::nullopt;
    const auto code = static_cast<unsigned char>(text->empty() ? '\0' : text->front());
    if (text->size() == 1 && code >= property.min && code <= property.max) return code;
    fields.problem(fields.where(property.key),
                   fmt::format("{} is {}; expected {}", property.key,
                               fields.find(property.key)->describe(), expected));
    return std::nullopt;
}

std::optional<uint64_t> read_property(const Fields& fields, const model::Property& property) {
    switch (property.kind) {
        case model::Property::Kind::kNumber:
            return fields.number(property.key, {property.min, property.max});
        case model::Property::Kind::kSize:
            return fields.size(property.key, {property.min, property.max});
        case model::Property::Kind::kPowerOfTwo:
            return read_power(fields, property);
        case model::Property::Kind::kWord:
            if (const auto word = fields.choice(property.key, property.words)) return *word;
            return std::nullopt;
        case model::Property::Kind::kLetter:
            break;
    }
    return read_letter(fields, property);
}

/// What ends QEMU 11.1 instead of an error message (hw/virtio/virtio.c: virtio_id_to_name() knows
/// no other ids, virtio_add_queue() no larger queue). Empty: nothing.
std::string what_qemu_cannot(const FunctionSpec& function) {
    constexpr uint16_t kLargestQueue = 1024;
    constexpr unsigned kMostQueues = 1024;
    constexpr uint32_t kMostConfig = 256;  // of the vhost-user protocol
    const model::VirtioFacts& facts = function.model->facts.virtio;
    const uint16_t id = facts.id;
    if (id == 14 || id == 15 || (id >= 42 && id != 45))
        return fmt::format("its virtio id {} has no name in QEMU, which ends there", id);
    if (facts.queue_size > kLargestQueue)
        return fmt::format("its queues have {} entries, QEMU's at most {}", facts.queue_size,
                           kLargestQueue);
    if (function.queues() > kMostQueues)
        return fmt::format("it has {} queues, QEMU's at most {}", function.queues(), kMostQueues);
    if (facts.config_bytes > kMostConfig)
        return fmt::format("its configuration has {} bytes, vhost-user at most {}",
                           facts.config_bytes, kMostConfig);
    return "";
}

/// transport: of a virtio device. With vhost-user the PCI function is QEMU's: below a root port,
/// and what it looks like is not ours to say.
void read_transport(const Fields& fields, DeviceSpec& device) {
    if (!device.model->facts.is_virtio()) {
        const std::array<std::string_view, 1> key{"transport"};
        refuse_keys(
            fields, key,
            fmt::format("of model {}, which is no virtio device", device.model->facts.name));
        return;
    }
    const auto transport = fields.choice("transport", kTransports);
    if (!transport) return;
    device.transport = static_cast<Transport>(*transport);
    if (!device.is_vhost_user()) return;
    if (device.on_fabric) {
        fields.problem(fields.where("transport"),
                       "transport: vhost-user on a fabric, whose functions are all Mimic's; "
                       "expected transport: pci, or attach: root-port");
    }
    FunctionSpec& pf = device.functions.front();
    if (const std::string why = what_qemu_cannot(pf); !why.empty())
        fields.problem(fields.where("transport"),
                       fmt::format("transport: vhost-user of a {}: {}; expected transport: pci",
                                   device.model->facts.name, why));
    pf.class_code = model::kVhostUserClassCode;
    pf.bars.assign(std::begin(model::kVhostUserPciBars), std::end(model::kVhostUserPciBars));
}

/// What VF `index` of `pf` is before its own keys are read.
void take_from_pf(const FunctionSpec& pf, unsigned index, FunctionSpec& vf) {
    for (size_t i = 0; i < vf.values.size(); ++i) {
        const model::Property& property = vf.model->properties[i];
        if (property.of_vf == model::Property::OfVf::kDefault) continue;
        vf.values[i] = pf.values[i];
        if (property.of_vf != model::Property::OfVf::kCountOn) continue;
        vf.values[i] += 1 + index;  // round the end of its range, which a file need not fit
        if (vf.values[i] > property.max) vf.values[i] -= property.max - property.min + 1;
    }
}

/// The keys that PF, `vfs:` and one VF share: those of the model.
void read_properties(const Fields& fields, FunctionSpec& function, const ReadState& state) {
    const model::DeviceModel& model = *function.model;
    for (size_t i = 0; i < model.properties.size(); ++i) {
        const model::Property& property = model.properties[i];
        function.values[i] = read_property(fields, property).value_or(function.values[i]);
        if (property.meaning != model::Property::Meaning::kBar || function.values[i] == 0) continue;
        function.bars.push_back({.index = property.bar,
                                 .size = function.values[i],
                                 .is_64bit = true,
                                 .prefetchable = true});
    }
    for (const std::string_view key : state.keys.properties()) {
        if (model.find_property(key) != model.properties.size()) continue;
        if (!function.is_vf() && model.settings.find(key) != nullptr) continue;
        const std::array one{key};
        refuse_keys(fields, one, fmt::format("of a {}, which has none", model.facts.name));
    }
}

/// Reads `vfs:`, a mapping for VFs that are alike or a list with a mapping for each, behind the PF.
void read_vfs(const YamlPtr& node, Scope scope, DeviceSpec& device, ReadState& state) {
    const model::ModelFacts& facts = device.model->facts;
    const bool is_list = node->kind == YamlNode::Kind::kSequence;
    const std::string_view kind = device.native_sriov ? "native" : "static";
    const unsigned most = device.native_sriov ? facts.max_native_vfs : facts.max_static_vfs;
    if (most == 0) {
        state.diagnostics.add(node->where,
                              fmt::format("'vfs' of a {}, which has no {} VFs", facts.name, kind));
        return;
    }
    unsigned count = 0;
    if (is_list) {
        count = static_cast<unsigned>(std::min<size_t>(node->items.size(), 1000));
        if (count == 0 || count > most) {
            state.diagnostics.add(
                node->where,
                fmt::format("{} {} VFs; expected 1 to {}{}", node->items.size(), kind, most,
                            device.native_sriov ? "" : ", functions 1 to 7 of the PF's slot"));
            return;
        }
    } else {
        const Fields fields(node, "vfs mapping", state.keys.vfs(), scope, state.diagnostics);
        fields.require("count", fmt::format("the number of {} VFs, 1 to {}", kind, most));
        const auto given = fields.number("count", {1, most});
        if (!given) return;
        count = static_cast<unsigned>(*given);
    }
    for (unsigned i = 0; i < count; ++i) {
        scope.index = i;
        const size_t before = state.problem_count();
        const Fields fields(is_list ? node->items[i] : node, is_list ? "VF" : "vfs mapping",
                            is_list ? state.keys.vf() : state.keys.vfs(), scope, state.diagnostics);
        FunctionSpec vf = make_function(*device.model, true);
        vf.name = fmt::format("{}-vf{}", device.name, i);
        vf.class_code = device.functions.front().class_code;
        vf.vf_index = i;
        take_from_pf(device.functions.front(), i, vf);
        read_properties(fields, vf, state);
        read_identifier(fields, fmt::format("{}-{}", scope.machine, vf.name), vf, state);
        device.functions.push_back(std::move(vf));
        if (!is_list && state.problem_count() != before) break;
    }
    device.functions.front().total_vfs = static_cast<uint32_t>(device.functions.size() - 1);
    const bool same = std::all_of(device.functions.begin() + 1, device.functions.end(),
                                  [&](const FunctionSpec& vf) {
                                      return vf.memory_bar() == device.functions[1].memory_bar();
                                  });
    if (device.native_sriov && !same) {
        state.diagnostics.add(node->where,
                              "VFs of one PF with different 'memory_bar'; expected the same size, "
                              "because native SR-IOV has one VF BAR for all");
    }
}

/// `model:`; nullptr after a problem. Old names are accepted, with a note.
const model::DeviceModel* read_model(const Fields& fields, Words names, const ReadState& state) {
    const YamlNode* const node = fields.find("model");
    if (node != nullptr && node->kind == YamlNode::Kind::kScalar) {
        const auto* const model = model::find_model(state.models, node->text);
        if (model != nullptr && model->facts.name != node->text) {
            fields.note(fields.where("model"), fmt::format("model: {} is now called model: {}",
                                                           node->text, model->facts.name));
        }
        if (model != nullptr) return model;
    }
    fields.choice("model", names);
    return nullptr;
}

/// What stands in for a model that there is not, so that the other keys are checked, too.
const model::DeviceModel* any_model(const ReadState& state) {
    for (const model::DeviceModel* model : state.models) {
        const model::ModelFacts& facts = model->facts;
        if (facts.part == model::Part::kDevice && facts.source == model::Source::kFacts)
            return model;
    }
    return state.models.front();
}

/// One of the devices that an item stands for. `scope.index` and `scope.device_index` are its
/// number.
void read_device(const YamlPtr& node, Scope scope, Machine& machine, ReadState& state) {
    DeviceSpec device;
    const size_t before = state.problem_count();
    const Fields fields(node, "device", state.keys.device(), scope, state.diagnostics);
    fields.require("name", "a name of a-z, 0-9 and '-'");
    const auto names = model::model_names(state.models);
    fields.require("model", join_or(names));
    if (const auto name = fields.pattern("name", "a name")) {
        device.name = *name;
        if (!is_label(*name)) {
            fields.problem(fields.where("name"),
                           fmt::format("device name '{}'; expected 1 to 63 of a-z, 0-9 and '-', "
                                       "not '-' at an end (RFC 1123)",
                                       name->substr(0, 70)));
        }
        scope.device = *name;
    }
    device.model = read_model(fields, names, state);
    if (device.model == nullptr) device.model = any_model(state);
    FunctionSpec pf = make_function(*device.model, false);
    pf.name = device.name;
    const model::Source source = device.model->facts.source;
    const bool is_clone = source == model::Source::kImages;
    const bool is_external = source == model::Source::kExternal;
    if (!is_clone && !is_external) {
        read_properties(fields, pf, state);
        read_settings(fields, scope, pf, state);
        if (is_label(device.name)) {  // else it was reported, and the default would be nonsense
            read_identifier(fields, fmt::format("{}-{}", scope.machine, device.name), pf, state);
        }
    }
    device.functions.push_back(std::move(pf));
    read_attachment(fields, machine, device);
    read_transport(fields, device);
    if (is_clone) {
        read_clone(fields, scope, device, state);
    } else if (is_external) {
        refuse_keys(fields, state.keys.properties(), "of an external device");
        read_external(fields, scope, device, state);
    } else {
        read_class(fields, device);
        refuse_image_keys(fields);
    }
    if (is_clone || is_external) refuse_keys(fields, state.keys.settings(), "of such a device");
    const bool any_ids = device.model->facts.any_ids;
    if (!is_external) refuse_external_keys(fields, any_ids);
    if (const YamlPtr link = fields.share("link")) device.link = read_link(link, scope, state);
    if (device.is_vhost_user()) {
        const std::array<std::string_view, 1> key{"link"};
        refuse_keys(fields, key,
                    "with transport: vhost-user, where QEMU's function has 2.5 GT/s x1");
        device.link = {.generation = 1, .width = 1};
    }
    if (const auto isolation = fields.choice("isolation", kIsolations)) {
        device.isolation = static_cast<Isolation>(*isolation);
    }
    check_arch_of_device(fields, machine, device);
    const YamlPtr vfs = fields.share("vfs");
    if (vfs && !is_clone && !is_external) read_vfs(vfs, scope, device, state);
    if (any_ids) read_ids(fields, device);
    for (const FunctionSpec& function : device.functions) check_function(function, before, state);
    state.functions += device.functions.size();
    machine.devices.push_back(std::move(device));
}

}  // namespace

Link read_link(const YamlPtr& node, const Scope& scope, ReadState& state) {
    Link link;
    const Fields fields(node, "link", kLinkKeys, scope, state.diagnostics);
    if (const auto text = fields.text("speed", "gen1 to gen6, or '16 GT/s'")) {
        const auto generation = std::find(kLinkGenerations.begin(), kLinkGenerations.end(), *text);
        const auto speed = std::find(kLinkSpeeds.begin(), kLinkSpeeds.end(), *text);
        if (generation != kLinkGenerations.end()) {
            link.generation = static_cast<unsigned>(generation - kLinkGenerations.begin()) + 1;
        } else if (speed != kLinkSpeeds.end()) {
            link.generation = static_cast<unsigned>(speed - kLinkSpeeds.begin()) + 1;
        } else {
            fields.problem(
                fields.where("speed"),
                fmt::format("speed is {}; expected {}, or {}", fields.find("speed")->describe(),
                            join_or(kLinkGenerations), join_or(kLinkSpeeds)));
        }
    }
    if (const auto width = fields.choice("width", kLinkWidths)) {
        link.width = static_cast<unsigned>(parse_number(kLinkWidths[*width]).value_or(16));
    }
    return link;
}

std::optional<unsigned> read_numa_node(const Fields& fields, const Machine& machine) {
    if (!fields.find("numa_node")) return std::nullopt;
    if (!machine.has_numa) {
        fields.problem(fields.where("numa_node"),
                       "'numa_node' on a machine without 'numa:'; expected 'numa:' with a list of "
                       "nodes in the machine, or no 'numa_node' here");
        return std::nullopt;
    }
    const auto node = fields.number("numa_node", {0, machine.nodes.size() - 1});
    return node ? std::optional<unsigned>(static_cast<unsigned>(*node)) : std::nullopt;
}

bool read_device_item(const YamlPtr& item, const Scope& scope, Machine& machine, ReadState& state) {
    const YamlPtr node = state.templates.apply(item);
    const size_t before = state.problem_count();
    Scope one = scope;
    one.index = 0;
    const Fields fields(node, "device", state.keys.device(), one, state.diagnostics);
    const auto count = fields.number("count", {1, kMaxFunctions}).value_or(1);
    for (unsigned i = 0; i < count; ++i) {
        one.index = i;
        one.device_index = i;
        read_device(node, one, machine, state);
        if (state.functions > kMaxFunctions) {
            fields.problem(fields.where(),
                           fmt::format("more than {} functions in the file", kMaxFunctions));
            return false;
        }
        if (state.problem_count() != before) break;  // the others would only repeat it
    }
    return true;
}

}  // namespace mimic::topology
