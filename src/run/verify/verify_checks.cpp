// SPDX-License-Identifier: Apache-2.0
// Formats: a model's expectations say them for registers, sysfs and ioctl; the PCI core prints as
// drivers/pci/pci-sysfs.c does.
#include "verify/verify_checks.h"

#include <algorithm>
#include <charconv>

namespace mimic::verify {
namespace {

using model::Expectation;
using topology::FunctionSpec;

// include/linux/ioport.h
constexpr uint64_t kResourceMem = 0x00000200;
constexpr uint64_t kResourcePrefetch = 0x00002000;
constexpr uint64_t kResourceMem64 = 0x00100000;
constexpr unsigned kStandardBars = 6;

/// "16" of "16.0 GT/s PCIe" and of "16 GT/s".
std::string speed_number(std::string_view text) {
    const std::string_view number = text.substr(0, text.find(' '));
    return std::string(number.ends_with(".0") ? number.substr(0, number.size() - 2) : number);
}

/// "memory32 0x1000", as a line of "resource" says it; "none" for an unused one.
std::string bar_text(const std::string* line) {
    if (line == nullptr) return "nothing";
    const size_t first = line->find(' ');
    const size_t second = line->find(' ', std::min(first, line->size() - 1) + 1);
    if (first == std::string::npos || second == std::string::npos) return *line;
    const auto start = parse_number(std::string_view(*line).substr(0, first));
    const auto end = parse_number(std::string_view(*line).substr(first + 1, second - first - 1));
    const auto flags = parse_number(std::string_view(*line).substr(second + 1));
    if (!start || !end || !flags || *end < *start) return *line;
    if (*flags == 0 && *end == 0) return "none";
    if ((*flags & kResourceMem) == 0) return *line;
    return fmt::format("{}{} {:#x}", (*flags & kResourceMem64) != 0 ? "memory64" : "memory32",
                       (*flags & kResourcePrefetch) != 0 ? " prefetchable" : "", *end - *start + 1);
}

void check_bars(const std::vector<topology::BarSpec>& bars, const ProbeRecord& record,
                Checker& check) {
    for (unsigned i = 0; i < kStandardBars; ++i) {
        std::string expected = "none";
        for (const topology::BarSpec& bar : bars) {
            if (bar.index != i) continue;
            expected = fmt::format("{}{} {:#x}", bar.is_64bit ? "memory64" : "memory32",
                                   bar.prefetchable ? " prefetchable" : "", bar.size);
        }
        check.equal(fmt::format("PCI BAR{}", i), expected,
                    bar_text(record.find(fmt::format("resource{}", i))));
    }
}

/// The bytes of a register array as hexadecimal digits in memory order, or what is wrong.
std::string array_bytes(const ProbeRecord& record, const std::string& name, unsigned words) {
    std::string out;
    for (unsigned i = 0; i < words; ++i) {
        const std::string* const word = record.find(fmt::format("{}[{}]", name, i));
        const auto value = word != nullptr ? parse_number(*word) : std::nullopt;
        if (!value || *value > UINT32_MAX) return or_nothing(word);
        for (unsigned byte = 0; byte < 4; ++byte) {
            out += fmt::format("{:02x}", *value >> (8 * byte) & 0xff);
        }
    }
    return out;
}

/// 32-bit words of the array that is register `name`; 0 if the map has none.
unsigned words_of(const model::DeviceModel& model, std::string_view name) {
    if (model.map == nullptr) return 0;
    for (const reg::RegisterInfo& info : model.map->registers)
        if (name == info.reg->name) return info.elements;
    return 0;
}

std::string hex_of(std::string_view text, size_t bytes) {
    std::string out;
    for (size_t i = 0; i < bytes; ++i) {
        out += fmt::format("{:02x}", i < text.size() ? static_cast<unsigned char>(text[i]) : 0u);
    }
    return out;
}

/// The expectations of a layer that the function has.
template <typename Visit>
void for_each(Expectation::Layer layer, const FunctionSpec& function, Visit visit) {
    for (const Expectation& one : function.model->expects)
        if (one.layer == layer && model::applies(one, function)) visit(one);
}

void check_register(const Expectation& one, const PlannedDevice& planned,
                    const FunctionSpec& function, const ProbeRecord& record, Checker& check) {
    const std::string name(one.name);
    const std::string what = "resource0 " + name;
    const std::string expected = model::expected_text(one, function, planned.numa_node());
    const unsigned words = words_of(*function.model, one.name);
    if (one.format == Expectation::Format::kBytes) {
        check.equal(what, expected, array_bytes(record, name, words));
    } else if (one.format == Expectation::Format::kText) {
        check.equal(what, hex_of(expected, words * 4u), array_bytes(record, name, words));
    } else if (!one.is_state()) {
        check.equal(what, expected, or_nothing(record.find(name)));
    } else if (!parse_number(or_nothing(record.find(name)))) {
        check.differs(what, "a number", or_nothing(record.find(name)));
    }
}

/// Where a layer's records are, and how messages call it.
struct LayerPlace {
    Expectation::Layer layer;
    const char* name;
    const std::map<std::string, ProbeRecord>& records;
    std::string record;
};

/// One kind of state: the register says what it is, the other layers must agree.
void check_one_state(const Expectation& source, const FunctionSpec& function,
                     const ProbeRecord& registers, const std::vector<LayerPlace>& places,
                     Checker& check) {
    const std::string text = or_nothing(registers.find(std::string(source.name)));
    const std::string what = fmt::format("resource0 {}", source.name);
    const auto value = parse_number(text);
    if (source.from == Expectation::From::kEnabledVfs) {
        if (function.total_vfs == 0)
            return check.equal(what, model::formatted(source.format, 0), text);
        if (!value || *value > function.total_vfs)
            return check.differs(what, fmt::format("0 to {}", function.total_vfs), text);
    }
    if (!value) return;  // told by check_registers()
    for (const LayerPlace& place : places) {
        for_each(place.layer, function, [&](const Expectation& other) {
            if (other.from != source.from || other.key != source.key) return;
            const auto record = place.records.find(place.record);
            if (record == place.records.end()) return;
            check.fact(record->second, place.name, std::string(other.name),
                       model::formatted(other.format, *value));
        });
    }
}

}  // namespace

std::optional<uint64_t> parse_number(std::string_view text) {
    int base = 10;
    if (text == "-1") return UINT64_MAX;
    if (text.starts_with("0x")) {
        base = 16;
        text.remove_prefix(2);
    }
    uint64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
    if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
    return value;
}

std::string or_nothing(const std::string* text) {
    return text != nullptr ? *text : "nothing";
}

const ProbeRecord* find_record(const std::map<std::string, ProbeRecord>& records,
                               const std::string& name, const std::string& what, Checker& check) {
    const auto found = records.find(name);
    if (found == records.end()) {
        check.differs(what, "present", "nothing");
        return nullptr;
    }
    if (found->second.facts.empty()) {
        const auto& complaints = found->second.complaints;
        check.differs(what, "readable", complaints.empty() ? "nothing" : complaints.front());
        return nullptr;
    }
    return &found->second;
}

void check_link(const topology::Link& link, LinkState state, const std::string& layer,
                const ProbeRecord& record, Checker& check) {
    const std::string speed(link.gigatransfers());
    const std::string width = fmt::format("{}", link.width);
    for (const std::string prefix : {"current", "max"}) {
        if (prefix == "current" && state == LinkState::kDown) continue;
        check.equal(layer + prefix + "_link_speed", speed,
                    speed_number(or_nothing(record.find(prefix + "_link_speed"))));
        check.fact(record, layer, prefix + "_link_width", width);
    }
}

std::string link_shown(const ProbeRecord& record) {
    const std::string* const speed = record.find("current_link_speed");
    const std::string* const width = record.find("current_link_width");
    if (speed == nullptr || width == nullptr) return {};
    const std::string number = speed_number(*speed);
    const bool is_number = !number.empty() && number.front() >= '0' && number.front() <= '9';
    return fmt::format("{}{} x{}", number, is_number ? " GT/s" : "", *width);
}

void Checker::equal(const std::string& what, const std::string& expected, const std::string& got) {
    if (expected == got) {
        ++checks_;
    } else {
        differs(what, expected, got);
    }
}

void Checker::fact(const ProbeRecord& record, const std::string& layer, const std::string& key,
                   const std::string& expected) {
    equal(layer + key, expected, or_nothing(record.find(key)));
}

void Checker::differs(std::string what, std::string expected, std::string got) {
    const auto shown = [](std::string& text) {
        if (text.empty()) text = "''";
    };
    shown(expected);
    shown(got);
    ++checks_;
    differences_.push_back({std::move(what), std::move(expected), std::move(got)});
}

int PlannedDevice::numa_node() const {
    return device.numa_node ? static_cast<int>(*device.numa_node) : -1;
}

std::string PlannedDevice::class_name_of(const FunctionSpec& function) const {
    return class_name.empty() ? class_name : model::node_name_below(class_name, function);
}

void check_identity(const PlannedDevice& planned, const FunctionSpec& function,
                    const ProbeRecord& record, Checker& check) {
    check.fact(record, "PCI ", "vendor", fmt::format("0x{:04x}", function.vendor_id));
    check.fact(record, "PCI ", "device", fmt::format("0x{:04x}", function.device_id));
    check.fact(record, "PCI ", "class", fmt::format("0x{:06x}", function.class_code));
    check.fact(record, "PCI ", "numa_node", fmt::format("{}", planned.numa_node()));
    check.fact(record, "PCI ", "parent", planned.parent);
}

void check_pci(const PlannedDevice& planned, const FunctionSpec& function, const Probe& probe,
               Checker& check, bool driverless) {
    const ProbeRecord* const record = find_record(probe.pci, function.bdf.str(), "PCI function",
                                                  check);
    if (record == nullptr) return;
    check_identity(planned, function, *record, check);
    if (!function.driver().name.empty() && !driverless)
        check.fact(*record, "PCI ", "driver", std::string(function.driver().name));
    // Link Status of a native VF is reserved (PCIe 6.0, 9.3.5): the link is its PF's.
    if (!planned.has_native_vfs() || !function.is_vf())
        check_link(planned.device.link, LinkState::kTrained, "PCI ", *record, check);
    check_bars(function.bars, *record, check);
    const bool has_bar0 = function.bars.empty() || function.bars.front().index == 0;
    check.equal("PCI resource0", has_bar0 ? "a file" : "nothing",
                record->find("has_resource0") != nullptr ? "a file" : "nothing");
}

void check_registers(const PlannedDevice& planned, const FunctionSpec& function, const Probe& probe,
                     Checker& check) {
    const auto& expects = function.model->expects;
    const bool has_some = std::any_of(expects.begin(), expects.end(), [](const Expectation& one) {
        return one.layer == Expectation::Layer::kRegister;
    });
    if (!has_some) return;
    const ProbeRecord* const record = find_record(probe.regs, function.bdf.str(), "resource0",
                                                  check);
    if (record == nullptr) return;
    for_each(Expectation::Layer::kRegister, function, [&](const Expectation& one) {
        check_register(one, planned, function, *record, check);
    });
}

void check_class_device(const PlannedDevice& planned, const FunctionSpec& function,
                        const Probe& probe, Checker& check) {
    const std::string name = planned.class_name_of(function);
    const ProbeRecord* const record = find_record(
        probe.class_devices, name,
        fmt::format("/sys/class/{}/{}", function.driver().sysfs_class, name), check);
    if (record == nullptr) return;
    for_each(Expectation::Layer::kSysfs, function, [&](const Expectation& one) {
        if (one.is_state()) return;
        check.fact(*record, "sysfs ", std::string(one.name),
                   model::expected_text(one, function, planned.numa_node()));
    });
    // Those that not every function has are there exactly where they should be.
    for (const Expectation& one : function.model->expects) {
        if (one.layer != Expectation::Layer::kSysfs || one.whose == Expectation::Whose::kAll)
            continue;
        check.equal(fmt::format("sysfs has {}", one.name),
                    model::applies(one, function) ? "yes" : "no",
                    record->find(std::string(one.name)) != nullptr ? "yes" : "no");
    }
    check.fact(*record, "sysfs ", "device", function.bdf.str());
    check.equal("sysfs physfn", function.is_vf() ? planned.class_name : "nothing",
                or_nothing(record->find("physfn")));
}

void check_driver_info(const PlannedDevice& planned, const FunctionSpec& function,
                       const Probe& probe, Checker& check) {
    if (function.driver().tool.empty()) return;
    const ProbeRecord* const record = find_record(probe.info, planned.class_name_of(function),
                                                  "ioctl", check);
    if (record == nullptr) return;
    for_each(Expectation::Layer::kIoctl, function, [&](const Expectation& one) {
        if (one.is_state()) return;
        check.fact(*record, "ioctl ", std::string(one.name),
                   model::expected_text(one, function, planned.numa_node()));
    });
}

void check_state(const PlannedDevice& planned, const FunctionSpec& function, const Probe& probe,
                 Checker& check) {
    const std::string name = planned.class_name_of(function);
    const auto registers = probe.regs.find(function.bdf.str());
    // What is missing altogether was told by the checks above.
    if (registers == probe.regs.end() || registers->second.facts.empty() ||
        !probe.class_devices.contains(name) || !probe.info.contains(name)) {
        return;
    }
    const std::vector<LayerPlace> places = {
        {Expectation::Layer::kSysfs, "sysfs ", probe.class_devices, name},
        {Expectation::Layer::kIoctl, "ioctl ", probe.info, name}};
    for_each(Expectation::Layer::kRegister, function, [&](const Expectation& one) {
        if (one.is_state()) check_one_state(one, function, registers->second, places, check);
    });
}

}  // namespace mimic::verify
