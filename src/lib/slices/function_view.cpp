// SPDX-License-Identifier: Apache-2.0
#include "slices/function_view.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <set>
#include <string_view>
#include <tuple>

#include "base/terminal_text.h"
#include "slices/names.h"
#include "slices/slices.h"

namespace mimic::slices {
namespace {

constexpr std::string_view kStandard = "resource.kubernetes.io/";
// Name of the one counter of a PF's set.
constexpr const char* kCounter = "functions";

// True if `text` has the shape of `pattern`, where 'h' is a lower-case hexadecimal digit.
bool has_shape(std::string_view text, std::string_view pattern) {
    return std::equal(text.begin(), text.end(), pattern.begin(), pattern.end(), [](char c, char p) {
        const bool hex = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
        return p == 'h' ? hex : c == p;
    });
}

std::optional<uint64_t> parse_number(std::string_view text) {
    int base = 10;
    if (text.starts_with("0x")) {
        text.remove_prefix(2);
        base = 16;
    }
    uint64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
    if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
    return value;
}

// Unicode's other controls are no harm to Kubernetes; these break lines and logs.
bool is_plain(std::string_view text) {
    return std::none_of(text.begin(), text.end(),
                        [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
}

// The ports of the last domain, which is said once: "10000:00:00.0/01:00.0/02:00.0". A fabric's
// domain is behind one endpoint, so nothing is lost, and 64 bytes hold seven ports.
std::string short_path(std::string_view path) {
    std::string out;
    std::string_view domain;
    while (!path.empty()) {
        const size_t end = std::min(path.find('/'), path.size());
        const std::string_view part = path.substr(0, end);
        path.remove_prefix(std::min(end + 1, path.size()));
        const size_t colon = std::min(part.find(':'), part.size());
        const std::string_view own = part.substr(0, colon);
        if (own == domain && colon < part.size()) {
            out += '/';
            out += part.substr(colon + 1);
        } else {
            out = part;
        }
        domain = own;
    }
    return out;
}

// Splits "gpu10_vf2" into ("gpu", 10, 2 + 1) so that gpu2 comes before gpu10 and a PF before its
// VFs.
std::tuple<std::string_view, uint64_t, uint64_t, std::string_view> order_key(
    std::string_view node) {
    std::string_view stem = node;
    uint64_t vf = 0;
    if (const size_t mark = node.rfind("_vf"); mark != std::string_view::npos) {
        if (const auto index = parse_number(node.substr(mark + 3)); index && *index < UINT32_MAX) {
            vf = *index + 1;
            stem = node.substr(0, mark);
        }
    }
    size_t digits = stem.size();
    while (digits > 0 && stem[digits - 1] >= '0' && stem[digits - 1] <= '9') --digits;
    return {stem.substr(0, digits), parse_number(stem.substr(digits)).value_or(0), vf, node};
}

constexpr std::array kCommon = {
    CommonAttribute{"resource.kubernetes.io/pciBusID", "string",
                    "PCI address; not on a fabric, whose domain has five digits"},
    CommonAttribute{"resource.kubernetes.io/pcieRoot", "string",
                    "host bridge: the first PCI component below `/sys/devices`"},
    CommonAttribute{"resource.kubernetes.io/numaNode", "int",
                    "NUMA node; left out if the kernel knows none"},
    CommonAttribute{"deviceType", "string", "`pf` or `vf`"},
    CommonAttribute{"pciAddress", "string", "PCI address, also on a fabric"},
    CommonAttribute{"portPath", "string",
                    "ports above the device in its PCI domain, from the root down: devices of one "
                    "switch share the beginning, a PF and its VFs all of it"},
    CommonAttribute{"numaNode", "int", "NUMA node; left out if the kernel knows none"},
    CommonAttribute{"totalVFs", "int", "of a PF: how many VFs it can have"},
    CommonAttribute{"physfn", "string", "of a VF: the device that is its PF"},
    CommonAttribute{"vfIndex", "int", "of a VF: its number in the PF, from 0"},
};

class DeviceMaker {
public:
    DeviceMaker(const DraFacts& facts, const FunctionView& function,
                std::vector<std::string>* problems)
        : facts_(facts), function_(function), problems_(problems) {}

    // Nothing: the API would refuse the device whatever is left out.
    std::optional<Device> make();

private:
    void problem(std::string_view what) {
        problems_->push_back(
            terminal_text(fmt::format("{}: {}", function_.node, what), kMaxText * 4));
    }
    bool room(std::string_view name) {
        if (device_.attributes.size() + device_.capacity.size() < kMaxAttributes) return true;
        problem(fmt::format("{} is left out: there are {} already", name, kMaxAttributes));
        return false;
    }
    std::string own(std::string_view id) const { return fmt::format("{}/{}", facts_.driver, id); }

    void add(const std::string& name, Attribute value) {
        if (room(name)) device_.attributes[name] = std::move(value);
    }
    void add_text(const std::string& name, const std::string& text);
    void add_place();
    void add_kind();
    void add_file(const DraAttribute& attribute, const std::string& text);
    void add_taints();

    const DraFacts& facts_;
    const FunctionView& function_;
    std::vector<std::string>* problems_;
    Device device_;
};

void DeviceMaker::add_text(const std::string& name, const std::string& text) {
    if (!text.empty() && is_attribute_text(text) && is_plain(text)) return add(name, text);
    problem(fmt::format("{} is left out: want 1 to {} bytes of UTF-8 without controls, got \"{}\"",
                        name, kMaxText, text));
}

void DeviceMaker::add_place() {
    const std::string& address = function_.pci_address;
    if (has_shape(address, "hhhh:hh:hh.h")) {
        add(fmt::format("{}pciBusID", kStandard), address);
    }
    if (!address.empty()) add_text(own("pciAddress"), address);
    if (has_shape(function_.pcie_root, "pcihhhh:hh")) {
        add(fmt::format("{}pcieRoot", kStandard), function_.pcie_root);
    }
    if (!function_.port_path.empty()) add_text(own("portPath"), short_path(function_.port_path));
    if (function_.numa_node >= 0) {  // -1 must be left out (KEP-6072)
        add(fmt::format("{}numaNode", kStandard), int64_t{function_.numa_node});
        add(own("numaNode"), int64_t{function_.numa_node});
    }
}

void DeviceMaker::add_kind() {
    add(own("deviceType"), std::string(function_.vf_index ? "vf" : "pf"));
    if (function_.vf_index) add(own("vfIndex"), int64_t{*function_.vf_index});
    if (!function_.parent.empty()) add_text(own("physfn"), device_name(function_.parent));
    if (function_.total_vfs != 0) add(own("totalVFs"), int64_t{function_.total_vfs});
}

void DeviceMaker::add_file(const DraAttribute& attribute, const std::string& text) {
    const std::string name = own(attribute.id);
    if (attribute.kind == DraAttribute::Kind::kText) return add_text(name, text);
    const std::optional<uint64_t> value = parse_number(text);
    if (!value || *value > kMaxQuantity) {
        problem(fmt::format("{} is left out: \"{}\" is no number from 0 to {}", name, text,
                            kMaxQuantity));
        return;
    }
    switch (attribute.kind) {
        case DraAttribute::Kind::kVersion:
            return add(name, Version{fmt::format("{}.{}.0", *value >> 16, *value & 0xffff)});
        case DraAttribute::Kind::kCapacity:
            if (room(name)) device_.capacity[name] = Capacity{.value = *value};
            return;
        default:
            return add(name, static_cast<int64_t>(*value));
    }
}

void DeviceMaker::add_taints() {
    for (const Taint& taint : function_.taints) {
        const bool known = std::any_of(
            device_.taints.begin(), device_.taints.end(),
            [&taint](const Taint& t) { return t.key == taint.key && t.effect == taint.effect; });
        if (known) continue;
        if (!is_label_key(taint.key) || !is_label_value(taint.value) ||
            device_.taints.size() == kMaxTaints) {
            problem(fmt::format("taint {} is left out", taint.key));
            continue;
        }
        device_.taints.push_back(taint);
    }
}

std::optional<Device> DeviceMaker::make() {
    device_.name = device_name(function_.node);
    if (!is_dns_label(device_.name)) {
        problem("the device is left out: its name would be no DNS label");
        return std::nullopt;
    }
    add_kind();
    add_place();
    for (const DraAttribute& attribute : facts_.attributes) {
        const auto file = function_.files.find(std::string(attribute.sysfs));
        if (file != function_.files.end()) add_file(attribute, file->second);
    }
    add_taints();
    return std::move(device_);
}

// PFs and VFs share what the PF has: `functions`, of which the PF takes all.
void share_functions(const std::vector<const FunctionView*>& functions, Pool* pool) {
    std::map<std::string, uint64_t> vfs;  // by name of the PF; a VF of a VF has none
    for (const FunctionView* const function : functions) {
        if (function->parent.empty()) vfs[device_name(function->node)] = 0;
    }
    for (const FunctionView* const function : functions) {
        const auto pf = vfs.find(device_name(function->parent));
        if (!function->parent.empty() && pf != vfs.end()) ++pf->second;
    }
    for (size_t index = 0; index < functions.size(); ++index) {
        Device& device = pool->devices[index];
        const FunctionView& function = *functions[index];
        const bool is_vf = !function.parent.empty();
        const std::string set = is_vf ? device_name(function.parent) : device.name;
        const auto pf = vfs.find(set);
        if (pf == vfs.end() || pf->second == 0) continue;
        const uint64_t all = pf->second;
        device.consumes.push_back({set, {{kCounter, is_vf ? 1 : all}}});
        if (!is_vf) pool->counter_sets.push_back({set, {{kCounter, all}}});
    }
}

// Claims ask for parts in whole MiB where the capacity is one of whole MiB, else in units.
Capacity::RequestPolicy policy_for(uint64_t value) {
    constexpr uint64_t kMebibyte = uint64_t{1} << 20;
    const uint64_t step = value % kMebibyte == 0 && value >= 2 * kMebibyte ? kMebibyte : 1;
    return {.default_value = value, .min = step, .max = value, .step = step};
}

// A PF with VFs is one or the other, never shared besides: those devices keep one claim each.
void share_capacity(Pool* pool) {
    for (Device& device : pool->devices) {
        if (!device.consumes.empty()) continue;
        for (auto& [name, capacity] : device.capacity) {
            if (capacity.value < 2) continue;  // there are no parts of it
            capacity.request_policy = policy_for(capacity.value);
            device.allow_multiple_allocations = true;
        }
    }
}

}  // namespace

std::span<const CommonAttribute> common_attributes() {
    return kCommon;
}

std::string device_name(const std::string& node) {
    std::string name = node;
    std::replace(name.begin(), name.end(), '_', '-');
    return name;
}

bool node_before(std::string_view a, std::string_view b) {
    return order_key(a) < order_key(b);
}

Pool make_pool(const DraFacts& facts, std::span<const FunctionView> functions,
               const PoolOptions& options, std::vector<std::string>* problems) {
    Pool pool{.driver = std::string(facts.driver), .name = options.node, .node = options.node};
    std::vector<const FunctionView*> ordered;
    for (const FunctionView& function : functions) {
        if (function.exists || options.vfs_on_demand) ordered.push_back(&function);
    }
    std::stable_sort(
        ordered.begin(), ordered.end(),
        [](const FunctionView* a, const FunctionView* b) { return node_before(a->node, b->node); });
    std::vector<const FunctionView*> published;
    std::set<std::string> names;
    for (const FunctionView* const function : ordered) {
        std::optional<Device> device = DeviceMaker(facts, *function, problems).make();
        if (!device) continue;
        if (!names.insert(device->name).second) {
            problems->push_back(
                terminal_text(fmt::format("{}: the device is left out: there is a {} already",
                                          function->node, device->name)));
            continue;
        }
        pool.devices.push_back(std::move(*device));
        published.push_back(function);
    }
    share_functions(published, &pool);
    if (options.shared) share_capacity(&pool);
    return pool;
}

}  // namespace mimic::slices
