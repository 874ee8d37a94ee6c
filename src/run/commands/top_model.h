// SPDX-License-Identifier: Apache-2.0
// What `mimic top` shows, apart from how: samples of all counters of the control API become rates,
// and rates become rows that are sorted, folded and filtered. Pure.
#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

namespace mimic::commands {

/// Counters that rates are made of; they only grow while a device lives.
struct TopCounters {
    uint64_t accesses = 0;  // configuration space and BARs; kicks of a vhost-user device
    uint64_t interrupts = 0;
    uint64_t dma_bytes = 0;
    uint64_t requests = 0;  // that its model has answered
};

/// One device at one time. Text is fit for terminals.
struct TopDevice {
    std::string name;
    std::string kind;  // "endpoint", "fabric", "port", "function", "virtual-function", "vhost-user"
    std::string pf;    // of a VF
    std::string bdf;
    std::string state;  // "D0", "D3hot", "empty", "link down", "off"
    bool connected = false;
    std::optional<uint64_t> vfs;
    std::optional<uint64_t> total_vfs;
    uint64_t faults = 0;  // armed or active
    uint64_t struck = 0;
    TopCounters counters;
    bool answers = false;  // its model counts requests
};

struct TopMachine {
    std::string name;
    std::string state;    // "running"
    std::string problem;  // why its devices are not (all) here
    std::vector<TopDevice> devices;
};

/// All machines at one time.
struct TopSample {
    int64_t time_ns = 0;  // monotonic
    std::vector<TopMachine> machines;
};

/// The devices of an answer of .../devices. What is not of the schema is left out.
std::vector<TopDevice> read_top_devices(const nlohmann::ordered_json& json);

/// Per second; nullopt: there is no earlier sample to compare with.
struct TopRates {
    double accesses = 0;
    double interrupts = 0;
    double dma_bytes = 0;
    double requests = 0;
};

enum class TopSort : uint8_t { kName, kAccesses, kInterrupts, kDma, kFaults };

struct TopView {
    TopSort sort = TopSort::kAccesses;
    bool fold_vfs = true;  // VFs count for their PF and have no rows
    std::string filter;    // of names, BDFs and kinds; case does not matter
};

struct TopRow {
    unsigned depth = 0;  // 0: a machine, 1: a device, 2: a VF
    std::string machine;
    std::string name;
    std::string kind;  // of a machine: "machine"
    std::string bdf;
    std::string state;
    std::optional<TopRates> rates;
    std::string vfs;  // "3/64"; empty: it has none
    uint64_t faults = 0;
    uint64_t struck = 0;
    std::string problem;
    bool answers = false;  // as of TopDevice; of a machine, one of its devices
};

/// Rates from one sample to the next. Counters that went back belong to a device that was made
/// anew: it has no rate until the next sample.
class TopModel {
public:
    void update(TopSample sample);

    std::vector<TopRow> rows(const TopView& view) const;

    size_t machines() const { return sample_.machines.size(); }
    size_t devices() const;

private:
    struct Seen {
        TopCounters counters;
        std::optional<TopRates> rates;
    };
    using Key = std::pair<std::string, std::string>;  // machine, device

    const std::optional<TopRates>& rates_of(const std::string& machine,
                                            const std::string& device) const;

    TopSample sample_;
    std::map<Key, Seen> seen_;
};

// --- For people ------------------------------------------------------------------------------

/// "0", "12", "3.4k", "5.6M": at most 6 columns.
std::string rate_text(const std::optional<TopRates>& rates, double TopRates::*which);

/// The rows as lines of `columns` columns, beginning with a heading.
std::vector<std::string> top_lines(const std::vector<TopRow>& rows, size_t columns);

/// The rows as JSON: {"machines": [...]} with the numbers as they are.
nlohmann::ordered_json top_json(const std::vector<TopRow>& rows);

}  // namespace mimic::commands
