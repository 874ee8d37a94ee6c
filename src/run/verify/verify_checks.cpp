// SPDX-License-Identifier: Apache-2.0
// Formats: tools print registers in hexadecimal of the register's width (guest/mock-accel-ctl),
// sysfs as the driver does (kernel/mock-accel/mock_accel_sysfs.c), the PCI core as
// drivers/pci/pci-sysfs.c does. The tree has those of the driver.
#include "verify/verify_checks.h"

#include <charconv>

namespace mimic::verify {
namespace {

using Json = nlohmann::json;

// include/linux/ioport.h
constexpr uint64_t kResourceMem = 0x00000200;
constexpr uint64_t kResourcePrefetch = 0x00002000;
constexpr uint64_t kResourceMem64 = 0x00100000;
constexpr unsigned kStandardBars = 6;

constexpr unsigned kUuidWords = 4;
constexpr unsigned kLabelWords = 16;

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

void check_bars(const Json& bars, const ProbeRecord& record, Checker& check) {
    for (unsigned i = 0; i < kStandardBars; ++i) {
        std::string expected = "none";
        for (const Json& bar : bars) {
            if (bar.at("index") != i) continue;
            expected = fmt::format("{}{} {:#x}", text_of(bar, "type"),
                                   bar.at("prefetchable").get<bool>() ? " prefetchable" : "",
                                   bar.at("size").get<uint64_t>());
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

std::string hex_of(std::string_view text, size_t bytes) {
    std::string out;
    for (size_t i = 0; i < bytes; ++i) {
        out += fmt::format("{:02x}", i < text.size() ? static_cast<unsigned char>(text[i]) : 0u);
    }
    return out;
}

/// RFC 4122 form of 32 hexadecimal digits.
std::string dashed(const std::string& hex) {
    return hex.substr(0, 8) + "-" + hex.substr(8, 4) + "-" + hex.substr(12, 4) + "-" +
           hex.substr(16, 4) + "-" + hex.substr(20);
}

std::string decimal(const std::string& number) {
    return fmt::format("{}", parse_number(number).value_or(0));
}

bool is_state(std::string_view name) {
    return name == "STATUS" || name == "NUM_VFS" || name == "status" || name == "sriov_numvfs";
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

void check_link(const Json& link, LinkState state, const std::string& layer,
                const ProbeRecord& record, Checker& check) {
    const std::string speed = speed_number(text_of(link, "speed"));
    const std::string width = fmt::format("{}", link.at("width").get<unsigned>());
    for (const std::string prefix : {"current", "max"}) {
        if (prefix == "current" && state == LinkState::kDown) continue;
        check.equal(layer + prefix + "_link_speed", speed,
                    speed_number(or_nothing(record.find(prefix + "_link_speed"))));
        check.fact(record, layer, prefix + "_link_width", width);
    }
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

void check_pci(const Json& device, const Json& function, const Probe& probe, Checker& check) {
    const ProbeRecord* const record = find_record(probe.pci, text_of(function, "bdf"),
                                                  "PCI function", check);
    if (record == nullptr) return;
    for (const char* key : {"vendor", "device", "class"}) {
        check.fact(*record, "PCI ", key, text_of(function, key));
    }
    check.fact(*record, "PCI ", "numa_node",
               fmt::format("{}", function.at("numa_node").get<int>()));
    check.fact(*record, "PCI ", "parent", text_of(device, "port"));
    check.fact(*record, "PCI ", "driver", "mock-accel");
    // Link Status of a native VF is reserved (PCIe 6.0, 9.3.5): the link is its PF's.
    if (device.at("sriov") != "native" || function.at("kind") != "vf") {
        check_link(device.at("link"), LinkState::kTrained, "PCI ", *record, check);
    }
    check_bars(function.at("bars"), *record, check);
    check.equal("PCI resource0", "a file",
                record->find("has_resource0") != nullptr ? "a file" : "nothing");
}

void check_registers(const Json& function, const Probe& probe, Checker& check) {
    const ProbeRecord* const record = find_record(probe.regs, text_of(function, "bdf"), "resource0",
                                                  check);
    if (record == nullptr) return;
    for (const auto& [name, value] : function.at("registers").items()) {
        const std::string what = "resource0 " + name;
        const std::string expected = value.get<std::string>();
        if (name == "UUID") {
            check.equal(what, expected, array_bytes(*record, name, kUuidWords));
        } else if (name == "LABEL") {
            check.equal(what, hex_of(expected, kLabelWords * 4),
                        array_bytes(*record, name, kLabelWords));
        } else if (!is_state(name)) {
            check.equal(what, expected, or_nothing(record->find(name)));
        } else if (!parse_number(or_nothing(record->find(name)))) {
            check.differs(what, "a number", or_nothing(record->find(name)));
        }
    }
}

void check_class_device(const Json& function, const std::string& pf, const Probe& probe,
                        Checker& check) {
    const std::string name = text_of(function.at("sysfs"), "name");
    const ProbeRecord* const record = find_record(probe.class_devices, name,
                                                  "/sys/class/mock-accel/" + name, check);
    if (record == nullptr) return;
    const Json& attributes = function.at("sysfs").at("attributes");
    for (const auto& [key, value] : attributes.items()) {
        if (!is_state(key)) check.fact(*record, "sysfs ", key, value.get<std::string>());
    }
    for (const char* key : {"sriov_totalvfs", "sriov_numvfs"}) {
        const bool planned = attributes.contains(key);
        check.equal(std::string("sysfs has ") + key, planned ? "yes" : "no",
                    record->find(key) != nullptr ? "yes" : "no");
    }
    check.fact(*record, "sysfs ", "device", text_of(function, "bdf"));
    check.equal("sysfs physfn", name == pf ? "nothing" : pf, or_nothing(record->find("physfn")));
}

void check_driver_info(const Json& function, const Probe& probe, Checker& check) {
    const std::string name = text_of(function.at("sysfs"), "name");
    const ProbeRecord* const record = find_record(probe.info, name, "ioctl", check);
    if (record == nullptr) return;
    const Json& registers = function.at("registers");
    constexpr std::pair<const char*, const char*> kSame[] = {
        {"device_id", "DEVICE_ID"},       {"revision", "REVISION"}, {"vf_index", "VF_INDEX"},
        {"capabilities", "CAPABILITIES"}, {"label", "LABEL"},       {"fw_version", "FW_VERSION"},
    };
    for (const auto& [key, name_in_plan] : kSame) {
        check.fact(*record, "ioctl ", key, text_of(registers, name_in_plan));
    }
    check.fact(*record, "ioctl ", "uuid", dashed(text_of(registers, "UUID")));
    check.fact(*record, "ioctl ", "memory_size", decimal(text_of(registers, "MEMORY_SIZE")));
    check.fact(*record, "ioctl ", "total_vfs", decimal(text_of(registers, "TOTAL_VFS")));
    check.fact(*record, "ioctl ", "numa_node",
               fmt::format("{}", function.at("numa_node").get<int>()));
    check.fact(*record, "ioctl ", "vf", function.at("kind") == "vf" ? "1" : "0");
    check.fact(*record, "ioctl ", "has_label", text_of(registers, "LABEL").empty() ? "0" : "1");
    check.fact(*record, "ioctl ", "has_irq", "1");
}

void check_state(const Json& function, const Probe& probe, Checker& check) {
    const std::string name = text_of(function.at("sysfs"), "name");
    const auto regs = probe.regs.find(text_of(function, "bdf"));
    const auto node = probe.class_devices.find(name);
    const auto info = probe.info.find(name);
    // What is missing altogether was told by the checks above.
    if (regs == probe.regs.end() || node == probe.class_devices.end() || info == probe.info.end() ||
        regs->second.find("STATUS") == nullptr) {
        return;
    }
    const std::string status = *regs->second.find("STATUS");
    check.fact(node->second, "sysfs ", "status", status);
    check.fact(info->second, "ioctl ", "status", status);

    const std::string num_vfs = or_nothing(regs->second.find("NUM_VFS"));
    if (!function.at("sysfs").at("attributes").contains("sriov_numvfs")) {
        check.equal("resource0 NUM_VFS", "0x00000000", num_vfs);
        return;
    }
    const auto total = parse_number(text_of(function.at("registers"), "TOTAL_VFS"));
    const auto enabled = parse_number(num_vfs);
    if (!enabled || *enabled > total.value_or(0)) {
        check.differs("resource0 NUM_VFS", fmt::format("0 to {}", total.value_or(0)), num_vfs);
    } else {
        check.fact(node->second, "sysfs ", "sriov_numvfs", fmt::format("{}", *enabled));
    }
}

}  // namespace mimic::verify
