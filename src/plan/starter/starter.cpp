// SPDX-License-Identifier: Apache-2.0
#include "starter/starter.h"

#include <algorithm>
#include <array>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/nearest.h"
#include "topology/topology.h"
#include "topology/yaml.h"
#include "yaml/scalars.h"

namespace mimic::starter {
namespace {

constexpr uint64_t kMiB = 1ull << 20;
constexpr uint64_t kLeastNodeMemory = 64 * kMiB;  // docs/topology.md, NUMA node
constexpr uint64_t kUsualNodeMemory = 256 * kMiB;

constexpr std::string_view kHead =
    "# Machines with accelerators that are not there. All keys: docs/topology.md of Mimic "
    "(installed:\n"
    "# below share/doc/mimic)\n"
    "#\n"
    "#   mimic plan FILE     what its guests will show\n"
    "#   mimic up FILE       boot it; then: mimic verify, mimic exec MACHINE -- lspci\n"
    "#   mimic down          end it\n"
    "version: 1\n";

/// Not one array of constants: a std::string is in each.
std::array<Shape, 5> all_shapes() {
    return {{
        {"single", "one device on a root port", {.name = "single"}},
        {"dual-numa", "two NUMA nodes with a device each", {.name = "dual-numa", .numa_nodes = 2}},
        {"8-gpu",
         "two NUMA nodes, four switches, eight devices, as servers have them",
         {.name = "8-gpu",
          .numa_nodes = 2,
          .devices_per_node = 4,
          .switches_per_node = 2,
          .cpus = 4,
          .memory = 2048 * kMiB}},
        {"sriov",
         "a device with eight VFs that sriov_numvfs brings",
         {.name = "sriov", .vfs = 8, .native = true, .memory = 1024 * kMiB}},
        {"cluster",
         "two machines of two NUMA nodes, a device with two VFs on each",
         {.name = "node", .machines = 2, .numa_nodes = 2, .vfs = 2}},
    }};
}

/// Part `index` of `whole`, in `parts` that differ by one unit at most.
uint64_t share(uint64_t whole, unsigned parts, unsigned index) {
    return whole / parts + (index < whole % parts ? 1 : 0);
}

Result<const model::DeviceModel*> choose_model(const Answers& answers, model::Models models) {
    std::vector<std::string> names;
    for (const model::DeviceModel* const model : models) {
        const model::ModelFacts& facts = model->facts;
        // Others want files or servers that nobody has named.
        if (facts.source != model::Source::kFacts || facts.part != model::Part::kDevice) continue;
        if (answers.model.empty() || answers.model == facts.name) return model;
        names.emplace_back(facts.name);
    }
    return fail(std::errc::invalid_argument, "--model {}: expected one of {}{}", answers.model,
                fmt::join(names, ", "), nearest_hint(answers.model, names));
}

bool has_native_vfs(const Answers& answers, const model::DeviceModel& model) {
    return answers.native.value_or(answers.vfs > 0 && (answers.vfs > model.facts.max_static_vfs ||
                                                       answers.switches_per_node > 0));
}

Status check(const Answers& answers, const model::DeviceModel& model) {
    const auto bad = [](const std::string& what) {
        return Status(tl::unexpected(Error(std::errc::invalid_argument, what)));
    };
    if (!answers.has_good_name()) return bad(fmt::format("--name: {}", kNameRule));
    if (answers.all_cpus() < answers.nodes())
        return bad(fmt::format("--cpus {}: expected one at least for each of {} NUMA nodes",
                               answers.all_cpus(), answers.nodes()));
    if (!answers.has_good_memory())
        return bad(fmt::format("--memory {}: {}", topology::format_size(answers.all_memory()),
                               memory_rule(answers)));
    if (answers.switches_per_node > std::max(1U, answers.devices_per_node))
        return bad("more --switches-per-node than --devices-per-node");
    const bool native = has_native_vfs(answers, model);
    if (answers.switches_per_node > 0 && answers.vfs > 0 && !native)
        return bad("--sriov static: devices below switches have native VFs");
    const unsigned most = native ? model.facts.max_native_vfs : model.facts.max_static_vfs;
    if (answers.vfs > most)
        return bad(fmt::format("--vfs {}: {} has at most {} {} VFs", answers.vfs, model.facts.name,
                               most, native ? "native" : "static"));
    return {};
}

/// What all devices have.
std::string device_template(const Answers& answers, const model::DeviceModel& model) {
    std::string out = fmt::format(
        "\ntemplates:\n"
        "  gpu: # what all devices have; each may say something else\n"
        "    model: {}\n",
        model.facts.name);
    const size_t at = model.find_property(model::Property::Meaning::kMemorySize);
    const model::Property* const memory = at < model.properties.size() ? &model.properties[at]
                                                                       : nullptr;
    if (memory != nullptr)
        out += fmt::format("    {}: {} # that it says it has\n", memory->key,
                           topology::format_size(memory->pf_default));
    out += "    link: { speed: gen4, width: 16 }\n";
    if (answers.vfs == 0) return out;
    const bool native = has_native_vfs(answers, model);
    if (native) out += "    sriov: native # Linux makes the VFs: .../BDF/sriov_numvfs\n";
    out += fmt::format("    vfs:\n      count: {} # at most {}\n", answers.vfs,
                       native ? model.facts.max_native_vfs : model.facts.max_static_vfs);
    if (memory != nullptr)
        out += fmt::format("      {}: {}\n", memory->key,
                           topology::format_size(memory->vf_default));
    return out;
}

std::string numa(const Answers& answers) {
    if (answers.numa_nodes == 0) {
        return fmt::format("cpus: {}\nmemory: {}\n", answers.all_cpus(),
                           topology::format_size(answers.all_memory()));
    }
    std::string out = "numa: # CPUs and memory of each node\n";
    for (unsigned node = 0; node < answers.numa_nodes; ++node) {
        out += fmt::format("  - {{ cpus: {}, memory: {} }} # node {}\n",
                           share(answers.all_cpus(), answers.numa_nodes, node),
                           topology::format_size(
                               kMiB * share(answers.all_memory() / kMiB, answers.numa_nodes, node)),
                           node);
    }
    return out;
}

/// `count` of what is called `word` and a number from `first` on, with `rest` of its keys.
std::string item(std::string_view word, unsigned first, unsigned count, const std::string& rest) {
    if (count == 1) return fmt::format("  - {{ name: {}{}{} }}\n", word, first, rest);
    const std::string index = first == 0 ? "{index}" : fmt::format("{{index+{}}}", first);
    return fmt::format("  - {{ name: \"{}{}\", count: {}{} }}\n", word, index, count, rest);
}

std::string on_node(const Answers& answers, unsigned node) {
    return answers.numa_nodes == 0 ? "" : fmt::format(", numa_node: {}", node);
}

std::string switches(const Answers& answers) {
    if (answers.switches_per_node == 0) return {};
    std::string out = "switches: # PCIe switches; a device is on the NUMA node of its switch\n";
    for (unsigned node = 0; node < answers.nodes(); ++node)
        out += item("sw", node * answers.switches_per_node, answers.switches_per_node,
                    on_node(answers, node));
    return out;
}

std::string devices(const Answers& answers) {
    if (answers.devices_per_node == 0) return "devices: []\n";
    std::string out = "devices:\n";
    unsigned number = 0;
    for (unsigned node = 0; node < answers.nodes(); ++node) {
        const unsigned groups = std::max(1U, answers.switches_per_node);
        for (unsigned group = 0; group < groups; ++group) {
            const auto count = static_cast<unsigned>(
                share(answers.devices_per_node, groups, group));
            const std::string place = answers.switches_per_node == 0
                                          ? on_node(answers, node)
                                          : fmt::format(", switch: sw{}",
                                                        node * answers.switches_per_node + group);
            out += item("gpu", number, count, ", template: gpu" + place);
            number += count;
        }
    }
    return out;
}

std::string indented(const std::string& text, const std::string& space) {
    std::string out;
    for (size_t at = 0; at < text.size();) {
        const size_t end = text.find('\n', at) + 1;
        out += space + text.substr(at, end - at);
        at = end;
    }
    return out;
}

}  // namespace

unsigned Answers::all_cpus() const {
    return cpus.value_or(std::max(2U, nodes()));
}

uint64_t Answers::all_memory() const {
    return memory.value_or(std::max(2U, nodes()) * kUsualNodeMemory);
}

bool Answers::has_good_name() const {
    constexpr size_t kMost = 60;  // of 63, and a number has two digits
    return yaml::is_label(name) && name.size() <= kMost;
}

bool Answers::has_good_memory() const {
    const uint64_t bytes = all_memory();
    return bytes % kMiB == 0 && bytes / nodes() >= kLeastNodeMemory &&
           bytes >= topology::kMinMachineMemory && bytes <= topology::kMaxMachineMemory;
}

std::string memory_rule(const Answers& answers) {
    return fmt::format(
        "expected a multiple of 1M from 128M to 4T, and 64M at least for each of {} NUMA node{}",
        answers.nodes(), answers.nodes() == 1 ? "" : "s");
}

std::span<const Shape> shapes() {
    static const std::array<Shape, 5> kShapes = all_shapes();
    return kShapes;
}

std::string shape_names() {
    std::vector<std::string_view> names;
    for (const Shape& shape : shapes()) names.push_back(shape.name);
    return fmt::format("{}", fmt::join(names, ", "));
}

const Shape* find_shape(std::string_view name) {
    for (const Shape& shape : shapes())
        if (shape.name == name) return &shape;
    return nullptr;
}

Result<Starter> make_starter(const Answers& answers, model::Models models) {
    MIMIC_ASSIGN_OR_RETURN(const model::DeviceModel* const model, choose_model(answers, models));
    MIMIC_TRY(check(answers, *model));
    Starter out;
    out.text = std::string(kHead);
    if (answers.devices_per_node > 0) out.text += device_template(answers, *model);
    const std::string body = numa(answers) + switches(answers) + devices(answers);
    if (answers.machines == 1) {
        out.text += fmt::format("\nmachine:\n  name: {}\n", answers.name) + indented(body, "  ");
    } else {
        out.text += fmt::format("\nmachines:\n  - name: \"{}{{index+1}}\"\n    count: {}\n",
                                answers.name, answers.machines) +
                    indented(body, "    ");
    }
    auto parsed = topology::parse(out.text, "mimic new", models);
    if (!parsed)
        return fail(std::errc::invalid_argument, "these make no machine: {}",
                    parsed.error().problems().front().message);
    out.model = std::move(*parsed);
    return out;
}

}  // namespace mimic::starter
