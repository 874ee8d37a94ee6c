// SPDX-License-Identifier: Apache-2.0
#include "dra_docs.h"

#include <algorithm>

#include <fmt/format.h>

#include "model_docs.h"
#include "slices/function_view.h"

namespace mimic {
namespace {

using slices::DraAttribute;
using slices::DraFacts;
using Kinds = std::span<const DraFacts* const>;

std::string kinds_table(Kinds kinds) {
    std::string out = "| driver | class folder | device names | CDI kind |\n|---|---|---|---|\n";
    for (const DraFacts* const facts : kinds) {
        out += fmt::format("| `{}` | `/sys/class/{}` | `{}0`, VFs `{}0-vf0` | `{}/{}` |\n",
                           facts->driver, facts->sysfs_class, facts->node_prefix,
                           facts->node_prefix, facts->cdi_vendor, facts->cdi_class);
    }
    return out;
}

std::string_view type_of(DraAttribute::Kind kind) {
    switch (kind) {
        case DraAttribute::Kind::kNumber:
            return "int";
        case DraAttribute::Kind::kVersion:
            return "version";
        default:
            return "string";
    }
}

std::string attributes_table(Kinds kinds) {
    std::string out = "| attribute | type | what |\n|---|---|---|\n";
    for (const slices::CommonAttribute& one : slices::common_attributes()) {
        if (one.name.find('/') != std::string_view::npos)
            out += fmt::format("| `{}` | {} | {} |\n", one.name, one.type, one.doc);
    }
    for (const DraFacts* const facts : kinds) {
        for (const slices::CommonAttribute& one : slices::common_attributes()) {
            if (one.name.find('/') == std::string_view::npos)
                out += fmt::format("| `{}/{}` | {} | {} |\n", facts->driver, one.name, one.type,
                                   one.doc);
        }
        for (const DraAttribute& one : facts->attributes) {
            if (one.kind == DraAttribute::Kind::kCapacity) continue;
            out += fmt::format("| `{}/{}` | {} | {}; file `{}` |\n", facts->driver, one.id,
                               type_of(one.kind), one.doc, one.sysfs);
        }
    }
    return out;
}

std::string capacities_table(Kinds kinds) {
    std::string out = "| capacity | what |\n|---|---|\n";
    for (const DraFacts* const facts : kinds) {
        for (const DraAttribute& one : facts->attributes) {
            if (one.kind == DraAttribute::Kind::kCapacity)
                out += fmt::format("| `{}/{}` | {}; file `{}` |\n", facts->driver, one.id, one.doc,
                                   one.sysfs);
        }
    }
    return out;
}

std::string taints_table(Kinds kinds) {
    std::string out = "| taint | effect | when |\n|---|---|---|\n";
    for (const DraFacts* const facts : kinds) {
        for (const slices::DraFault& fault : facts->faults) {
            out += fmt::format("| `{}/{}` | {} | bits {:#010x} of file `{}`: {} |\n", facts->driver,
                               fault.taint, fault.evicts ? "NoExecute" : "NoSchedule", fault.mask,
                               facts->status_file, fault.message);
        }
        if (!facts->status_file.empty()) {
            out += fmt::format(
                "| `{}/unreachable` | NoExecute | `{}` cannot be read: the kernel says that the "
                "device or its bus is gone |\n",
                facts->driver, facts->status_file);
        }
        out += fmt::format(
            "| `{}/aer` | NoExecute | fatal or non-fatal PCIe errors were counted; until there was "
            "none for `--aer-hold` |\n",
            facts->driver);
    }
    return out;
}

std::string variable_of(std::string_view name) {
    std::string out(name);
    std::transform(out.begin(), out.end(), out.begin(), [](char c) {
        return c == '-' ? '_' : c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
    });
    return out;
}

std::string variables_table(Kinds kinds) {
    std::string out = "| variable | what |\n|---|---|\n";
    for (const DraFacts* const facts : kinds) {
        const auto row = [&out, facts](std::string_view name, std::string_view what) {
            out += fmt::format("| `{}_{}` | {} |\n", facts->env_prefix, name, what);
        };
        row("DEVICE", "name in the class folder");
        row("PCI_ADDRESS", "PCI address");
        for (const DraAttribute& one : facts->attributes)
            row(variable_of(one.sysfs), fmt::format("file `{}`: {}", one.sysfs, one.doc));
        row("DEVICE_NODE", "the device's node in the container, if it has one");
        row("SYSFS", "where its class folder is in the container, read-only");
    }
    return out;
}

}  // namespace

Result<std::string> with_dra(const std::string& page, Kinds kinds) {
    MIMIC_ASSIGN_OR_RETURN(std::string text, with_section(page, "dra-kinds", kinds_table(kinds)));
    MIMIC_ASSIGN_OR_RETURN(text, with_section(text, "dra-attributes", attributes_table(kinds)));
    MIMIC_ASSIGN_OR_RETURN(text, with_section(text, "dra-capacities", capacities_table(kinds)));
    MIMIC_ASSIGN_OR_RETURN(text, with_section(text, "dra-taints", taints_table(kinds)));
    return with_section(text, "dra-variables", variables_table(kinds));
}

}  // namespace mimic
