// SPDX-License-Identifier: Apache-2.0
// The tree: building it, power, resets, slots and links. Routing is in fabric_routing.cpp.
#include "pci/fabric/fabric.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "pci/config/pci_regs.h"
#include "pci/fabric/fabric_attachment.h"
#include "pci/function/sriov.h"

namespace mimic::pci {

bool Fabric::Segment::has_link() const {
    return !is_link || (plugged && !link_forced_down && !nodes.empty() && !bridge->link_disabled());
}

bool Fabric::Segment::is_open() const {
    return has_link() &&
           (bridge == nullptr || (bridge->in_d0() && !bridge->secondary_reset_asserted()));
}

bool Fabric::Segment::is_present() const {
    for (const Segment* segment = this; segment != nullptr; segment = segment->parent)
        if (!segment->plugged) return false;
    return true;
}

bool Fabric::Segment::is_reachable() const {
    for (const Segment* segment = this; segment != nullptr; segment = segment->parent)
        if (!segment->has_link()) return false;
    return true;
}

Fabric::Fabric(uint32_t buses) : buses_(buses) {
    MIMIC_CHECK(buses >= 1 && buses <= 256);
    root_.subordinate = static_cast<uint8_t>(buses - 1);
}

Fabric::~Fabric() {
    detach();
}

template <typename Visit>
void Fabric::walk(Segment& segment, const Visit& visit) {
    for (const auto& node : segment.nodes) {
        visit(segment, *node);
        if (node->below) walk(*node->below, visit);
    }
}

// --- Building --------------------------------------------------------------------------------

Fabric::Segment* Fabric::find_segment(const Port& bridge) {
    Segment* found = nullptr;
    walk(root_, [&](Segment&, Node& node) {
        if (node.bridge() == &bridge) found = node.below.get();
    });
    return found;
}

Result<Fabric::Segment*> Fabric::segment_below(Port* above, uint8_t devfn, std::string_view name) {
    MIMIC_CHECK(!attached());
    Segment* const segment = above == nullptr ? &root_ : find_segment(*above);
    if (segment == nullptr) {
        return fail(std::errc::invalid_argument, "{}: its port is not in this fabric", name);
    }
    for (const auto& node : segment->nodes) {
        if (node->devfn == devfn) {
            return fail(std::errc::file_exists, "{}: {} has device {} function {} of its bus", name,
                        node->function->name(), devfn >> 3, devfn & 7);
        }
    }
    if (find(name) != nullptr) return fail(std::errc::file_exists, "{}: a second one", name);
    return segment;
}

Fabric::Node& Fabric::insert(Segment& segment, uint8_t devfn, std::unique_ptr<Function> function) {
    auto node = std::make_unique<Node>();
    node->devfn = devfn;
    node->attachment = std::make_unique<Attachment>(*this, segment, *function, devfn, 0);
    node->function = std::move(function);
    const auto place = std::find_if(segment.nodes.begin(), segment.nodes.end(),
                                    [&](const auto& other) { return other->devfn > devfn; });
    return **segment.nodes.insert(place, std::move(node));
}

Result<Port*> Fabric::add_bridge(Port* above, uint8_t devfn, const PortOptions& options,
                                 uint8_t secondary, uint8_t subordinate) {
    MIMIC_ASSIGN_OR_RETURN(Segment* const segment, segment_below(above, devfn, options.name));
    const PciePortType wanted = above == nullptr   ? PciePortType::kRootPort
                                : segment->is_link ? PciePortType::kUpstreamPort
                                                   : PciePortType::kDownstreamPort;
    if (options.type != wanted || (segment->is_link && devfn != 0)) {
        return fail(std::errc::invalid_argument, "{}: no port of this type can be there",
                    options.name);
    }
    const uint32_t parent = segment->secondary;
    if (secondary <= parent || subordinate < secondary || subordinate > segment->subordinate) {
        return fail(std::errc::invalid_argument, "{}: buses {}..{} below bus {}..{}", options.name,
                    secondary, subordinate, parent, segment->subordinate);
    }
    MIMIC_ASSIGN_OR_RETURN(auto bridge, Port::create(options));
    Port* const result = bridge.get();
    bridge->set_observer(this);
    Node& node = insert(*segment, devfn, std::move(bridge));
    node.below = std::make_unique<Segment>();
    node.below->bridge = result;
    node.below->parent = segment;
    node.below->is_link = !result->is_upstream_port();
    node.below->secondary = secondary;
    node.below->subordinate = subordinate;
    return result;
}

Status Fabric::add_function(Port* above, uint8_t devfn, std::unique_ptr<Function> function,
                            bool plugged) {
    MIMIC_ASSIGN_OR_RETURN(Segment* const segment, segment_below(above, devfn, function->name()));
    if (function->options().header != HeaderType::kEndpoint ||
        function->options().virtual_function || (above != nullptr && above->is_upstream_port())) {
        return fail(std::errc::invalid_argument, "{}: it cannot be there", function->name());
    }
    if (!plugged && (above == nullptr || !above->is_hot_plug())) {
        return fail(std::errc::invalid_argument, "{}: an empty slot must be hot-plug capable",
                    function->name());
    }
    insert(*segment, devfn, std::move(function));
    if (!plugged) segment->plugged = false;
    return {};
}

// --- Power and resets ------------------------------------------------------------------------

void Fabric::number_buses(Segment& segment) {
    walk(segment, [](Segment& above, Node& node) {
        if (!node.below) return;
        node.bridge()->set_bus_numbers(above.secondary, node.below->secondary,
                                       node.below->subordinate);
    });
}

void Fabric::attach(Host& host) {
    MIMIC_CHECK(host_ == nullptr);
    thread_.bind();
    host_ = &host;
    walk(root_, [](Segment&, Node& node) { node.function->attach(*node.attachment); });
    walk(root_, [this](Segment&, Node& node) {
        if (node.below) update_link(*node.below);
    });
    number_buses(root_);
}

void Fabric::detach() {
    if (host_ == nullptr) return;
    thread_.check();
    walk(root_, [](Segment&, Node& node) { node.function->detach(); });
    host_ = nullptr;
}

void Fabric::reset_below(Segment& segment, bool hot) {
    walk(segment, [hot](Segment&, Node& node) {
        hot ? node.function->hot_reset() : node.function->reset(ResetKind::kConventional);
    });
    // A port that was reset no longer disables its link.
    walk(segment, [](Segment&, Node& node) {
        if (node.below && node.below->is_link) show_link(*node.below);
    });
}

void Fabric::reset() {
    check_thread();
    reset_below(root_, false);
    number_buses(root_);
}

void Fabric::on_secondary_reset(Port& bridge) {
    if (Segment* const segment = find_segment(bridge)) reset_below(*segment, true);
}

void Fabric::on_link_control(Port& bridge) {
    if (Segment* const segment = find_segment(bridge)) update_link(*segment);
}

// --- Slots and links -------------------------------------------------------------------------

void Fabric::update_link(Segment& segment) {
    if (!segment.is_link) return;
    routing_changed();
    // A link that goes down resets what is below (6.6.1); one that comes up finds it so. What is
    // pulled out has no power, and forgets all.
    if (!segment.has_link()) reset_below(segment, segment.plugged);
    show_link(segment);
}

void Fabric::show_link(Segment& segment) {
    segment.bridge->set_presence(segment.plugged && !segment.nodes.empty());
    segment.bridge->set_link_active(segment.has_link());
    segment.bridge->notify({.kind = FunctionEventKind::kSlot,
                            .present = segment.plugged && !segment.nodes.empty(),
                            .link_up = segment.has_link()});
}

Fabric::Node* Fabric::find_node(Segment& segment, std::string_view name) {
    Node* found = nullptr;
    walk(segment, [&](Segment&, Node& node) {
        if (node.function->name() == name) found = &node;
    });
    return found;
}

Function* Fabric::find(std::string_view name) {
    if (Node* const node = find_node(root_, name)) return node->function.get();
    Function* found = nullptr;
    for_each([&](Function& function, uint16_t) {
        if (function.name() == name) found = &function;
    });
    return found;
}

void Fabric::for_each(const std::function<void(Function&, uint16_t)>& visit) {
    check_thread();
    walk(root_, [&](Segment&, Node& node) {
        const uint16_t pf = node.attachment->routing_id();
        visit(*node.function, pf);
        Sriov* const sriov = node.function->sriov();
        for (uint32_t i = 0; sriov != nullptr && i < sriov->num_vfs(); ++i) {
            visit(*sriov->vf(i), static_cast<uint16_t>(pf + sriov->routing_id_offset(i)));
        }
    });
}

void Fabric::for_each_place(const std::function<void(Function&, const Place&)>& visit) {
    check_thread();
    walk(root_, [&](Segment& segment, Node& node) {
        Place place;
        place.above = segment.bridge;
        place.routing_id = node.attachment->routing_id();
        // Whoever pulls out a switch takes along what is behind it, and no link there has power.
        place.present = segment.is_present();
        if (node.below && node.below->is_link) {
            place.link_up = place.present && node.below->has_link();
        } else if (segment.is_link) {
            place.link_up = place.present && segment.has_link();
        }
        visit(*node.function, place);
        Sriov* const sriov = node.function->sriov();
        place.above = node.function.get();
        const uint16_t pf = place.routing_id;
        for (uint32_t i = 0; sriov != nullptr && i < sriov->num_vfs(); ++i) {
            place.routing_id = static_cast<uint16_t>(pf + sriov->routing_id_offset(i));
            visit(*sriov->vf(i), place);
        }
    });
}

// The link that a name means: above a device or switch, below a port.
Fabric::Segment* Fabric::find_link(std::string_view name) {
    Node* const node = find_node(root_, name);
    if (node == nullptr) return nullptr;
    if (node->below && node->below->is_link) return node->below.get();
    return node->attachment->segment().is_link ? &node->attachment->segment() : nullptr;
}

Status Fabric::can_change(std::string_view name, SlotChange change) {
    check_thread();
    const bool is_link_change = change == SlotChange::kLinkDown || change == SlotChange::kLinkUp;
    Segment* const segment = find_link(name);
    if (segment == nullptr) {
        if (is_link_change && find_node(root_, name) != nullptr)
            return fail(std::errc::operation_not_supported, "the device has no link");
        return fail(std::errc::no_such_file_or_directory, "no such {}",
                    is_link_change ? "function" : "slot");
    }
    const auto already = [](std::string_view why) {
        return fail(std::errc::connection_already_in_progress, "{}", why);
    };
    if (!is_link_change && !segment->bridge->is_hot_plug()) {
        return fail(std::errc::operation_not_supported,
                    "its slot is not hot-plug capable (link-down cuts the device off)");
    }
    if (segment->nodes.empty()) return already("no device belongs into this slot");
    if (!segment->parent->is_reachable()) return already("a link above its slot is down");
    if (change == SlotChange::kPlug) {
        return segment->plugged ? Status(already("it is plugged in already")) : Status();
    }
    if (!segment->plugged) return already("the slot is empty (add fills it)");
    if (change == SlotChange::kUnplug) return {};
    const bool down = segment->link_forced_down;
    if (change == SlotChange::kLinkDown && down) return already("the link is down already");
    if (segment->bridge->link_disabled()) return already("the guest has disabled the link");
    if (change == SlotChange::kLinkUp && !down) return already("the link is up already");
    return {};
}

Status Fabric::unplug(std::string_view name) {
    MIMIC_TRY(can_change(name, SlotChange::kUnplug));
    Segment* const segment = find_link(name);
    segment->plugged = false;
    update_link(*segment);
    return {};
}

Status Fabric::plug(std::string_view name) {
    MIMIC_TRY(can_change(name, SlotChange::kPlug));
    Segment* const segment = find_link(name);
    segment->plugged = true;
    update_link(*segment);
    return {};
}

Status Fabric::set_link(std::string_view name, bool up) {
    MIMIC_TRY(can_change(name, up ? SlotChange::kLinkUp : SlotChange::kLinkDown));
    Segment* const segment = find_link(name);
    segment->link_forced_down = !up;
    update_link(*segment);
    // Surprise hot-plug slots expect it (6.7.3.1 and 7.8.4.2: then it is no error).
    if (!up && !segment->bridge->is_hot_plug()) {
        segment->bridge->report_error({.bit = regs::AER_SURPRISE_DOWN});
    }
    return {};
}

}  // namespace mimic::pci
