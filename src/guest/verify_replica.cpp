// SPDX-License-Identifier: Apache-2.0
#include "guest/verify_replica.h"

namespace mimic::guest {
namespace {

using Json = nlohmann::json;

constexpr unsigned kRom = 6;  // its line in "resource"

/// Bytes of line `index` of "resource", 0 for none.
uint64_t resource_size(const ProbeRecord& record, unsigned index) {
    const std::string* const line = record.find(fmt::format("resource{}", index));
    if (line == nullptr) return 0;
    const size_t space = line->find(' ');
    const size_t second = space == std::string::npos ? space : line->find(' ', space + 1);
    if (second == std::string::npos) return 0;
    const auto start = parse_number(std::string_view(*line).substr(0, space));
    const auto end = parse_number(std::string_view(*line).substr(space + 1, second - space - 1));
    return start && end && *end > *start ? *end - *start + 1 : 0;
}

}  // namespace

const ProbeRecord* find_pci_record(const Probe& probe, const std::string& bdf) {
    for (const auto* records : {&probe.pci, &probe.ports, &probe.others}) {
        const auto found = records->find(bdf);
        if (found != records->end()) return &found->second;
    }
    return nullptr;
}

void check_replica(const Json& device, const Json& function, const Probe& probe, Checker& check) {
    const ProbeRecord* const record = find_pci_record(probe, text_of(function, "bdf"));
    if (record == nullptr) return check.differs("PCI function", "present", "nothing");
    for (const char* key : {"vendor", "device", "class"}) {
        check.fact(*record, "PCI ", key, text_of(function, key));
    }
    check.fact(*record, "PCI ", "numa_node",
               fmt::format("{}", function.at("numa_node").get<int>()));
    check.fact(*record, "PCI ", "parent", text_of(device, "port"));
    for (const Json& bar : function.at("bars")) {
        const auto index = bar.at("index").get<unsigned>();
        check.equal(fmt::format("PCI BAR{} size", index),
                    fmt::format("{:#x}", bar.at("size").get<uint64_t>()),
                    fmt::format("{:#x}", resource_size(*record, index)));
    }
    check.equal("PCI ROM size", fmt::format("{:#x}", function.at("rom").get<uint64_t>()),
                fmt::format("{:#x}", resource_size(*record, kRom)));
    // QEMU hides the SR-IOV capability of an endpoint.
    const auto total = function.at("total_vfs").get<unsigned>();
    if (total == 0 || text_of(device, "attach") != "fabric") return;
    check.fact(*record, "PCI ", "sriov_totalvfs", fmt::format("{}", total));
}

}  // namespace mimic::guest
