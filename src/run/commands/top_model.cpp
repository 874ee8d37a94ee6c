// SPDX-License-Identifier: Apache-2.0
#include "commands/top_model.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "commands/terminal_text.h"
#include "service/peer_json.h"

namespace mimic::commands {
namespace {

using Json = nlohmann::ordered_json;

constexpr size_t kMaxColumn = 32;        // arbitrary: texts come from machines
constexpr size_t kMaxDevices = 100'000;  // of a machine; arbitrary

std::string cell_text(const Json& json, const char* key) {
    return terminal_text(service::string_member(json, key), 63);
}

bool is(const Json& json, const char* key, bool value) {
    const Json* const found = service::find_member(json, key);
    return found != nullptr && found->is_boolean() && found->get<bool>() == value;
}

std::string state_of(const Json& json) {
    if (is(json, "present", false)) return "empty";
    if (is(json, "link_up", false)) return "link down";
    if (is(json, "connected", false)) return "off";
    const std::string power = cell_text(json, "power_state");
    return power.empty() ? "on" : power;
}

TopDevice read_device(const Json& json) {
    TopDevice out;
    out.name = cell_text(json, "name");
    out.kind = cell_text(json, "kind");
    out.pf = cell_text(json, "pf");
    out.bdf = cell_text(json, "bdf");
    out.state = state_of(json);
    out.connected = is(json, "connected", true);
    out.vfs = service::uint_member(json, "vfs");
    out.total_vfs = service::uint_member(json, "total_vfs");
    if (const Json* const faults = service::find_member(json, "faults"); faults != nullptr) {
        out.faults = service::uint_member(*faults, "armed").value_or(0) +
                     service::uint_member(*faults, "active").value_or(0);
        out.struck = service::uint_member(*faults, "struck").value_or(0);
    }
    const Json* const counters = service::find_member(json, "counters");
    if (counters == nullptr) return out;
    for (const char* key :
         {"config_reads", "config_writes", "bar_reads", "bar_writes", "virtio_kicks"})
        out.counters.accesses += service::uint_member(*counters, key).value_or(0);
    out.counters.interrupts = service::uint_member(*counters, "interrupts").value_or(0);
    for (const char* key : {"dma_read_bytes", "dma_write_bytes"})
        out.counters.dma_bytes += service::uint_member(*counters, key).value_or(0);
    const auto requests = service::uint_member(*counters, "model_responses");
    out.answers = requests.has_value();
    out.counters.requests = requests.value_or(0);
    return out;
}

bool went_back(const TopCounters& before, const TopCounters& now) {
    return now.accesses < before.accesses || now.interrupts < before.interrupts ||
           now.dma_bytes < before.dma_bytes || now.requests < before.requests;
}

TopRates rates_between(const TopCounters& before, const TopCounters& now, double seconds) {
    return {static_cast<double>(now.accesses - before.accesses) / seconds,
            static_cast<double>(now.interrupts - before.interrupts) / seconds,
            static_cast<double>(now.dma_bytes - before.dma_bytes) / seconds,
            static_cast<double>(now.requests - before.requests) / seconds};
}

void add(std::optional<TopRates>& sum, const std::optional<TopRates>& more) {
    if (!more) return;
    if (!sum) sum.emplace();
    sum->accesses += more->accesses;
    sum->interrupts += more->interrupts;
    sum->dma_bytes += more->dma_bytes;
    sum->requests += more->requests;
}

std::string lower(std::string text) {
    for (char& c : text)
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    return text;
}

bool matches(const TopRow& row, const std::string& filter) {
    if (filter.empty()) return true;
    const std::string wanted = lower(filter);
    for (const auto& text : {row.name, row.machine, row.bdf, row.kind})
        if (lower(text).find(wanted) != std::string::npos) return true;
    return false;
}

// What a row is sorted by; more comes first.
double weight(const TopRow& row, TopSort sort) {
    const TopRates rates = row.rates.value_or(TopRates{});
    switch (sort) {
        case TopSort::kAccesses:
            return rates.accesses;
        case TopSort::kInterrupts:
            return rates.interrupts;
        case TopSort::kDma:
            return rates.dma_bytes;
        case TopSort::kFaults:
            // What is armed or active comes before what is over.
            return static_cast<double>(row.faults) * 1e9 + static_cast<double>(row.struck);
        case TopSort::kName:
            break;
    }
    return 0;
}

// "gpu2" before "gpu10": digits count as numbers.
bool name_less(const std::string& a, const std::string& b) {
    const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
    size_t i = 0;
    size_t j = 0;
    while (i < a.size() && j < b.size()) {
        if (!is_digit(a[i]) || !is_digit(b[j])) {
            if (a[i] != b[j]) return a[i] < b[j];
            ++i;
            ++j;
            continue;
        }
        while (i + 1 < a.size() && a[i] == '0' && is_digit(a[i + 1])) ++i;
        while (j + 1 < b.size() && b[j] == '0' && is_digit(b[j + 1])) ++j;
        const size_t from_i = i;
        const size_t from_j = j;
        while (i < a.size() && is_digit(a[i])) ++i;
        while (j < b.size() && is_digit(b[j])) ++j;
        if (i - from_i != j - from_j) return i - from_i < j - from_j;
        const int order = a.compare(from_i, i - from_i, b, from_j, j - from_j);
        if (order != 0) return order < 0;
    }
    return a.size() - i < b.size() - j;
}

// A row and those below it, which move with it.
struct Family {
    TopRow row;
    std::vector<TopRow> children;
};

template <typename T, typename RowOf>
void sort_by(std::vector<T>& all, TopSort sort, const RowOf& row_of) {
    std::stable_sort(all.begin(), all.end(), [&](const T& a, const T& b) {
        const double heavy = weight(row_of(a), sort);
        const double other = weight(row_of(b), sort);
        if (heavy != other) return heavy > other;
        return name_less(row_of(a).name, row_of(b).name);
    });
}

std::string vfs_text(const TopDevice& device) {
    if (!device.vfs && !device.total_vfs) return "";
    if (!device.total_vfs || *device.total_vfs == 0)
        return device.vfs && *device.vfs != 0 ? fmt::format("{}", *device.vfs) : "";
    return fmt::format("{}/{}", device.vfs.value_or(0), *device.total_vfs);
}

// All rows of a machine, without regard to the filter but for those of devices.
class MachineRows {
public:
    MachineRows(const TopMachine& machine, const TopView& view) : machine_(machine), view_(view) {
        total_.machine = machine.name;
        total_.name = machine.name;
        total_.kind = "machine";
        total_.state = machine.state;
        total_.problem = machine.problem;
    }

    void add_device(const TopDevice& device, const std::optional<TopRates>& rates) {
        TopRow row{
            1,     machine_.name,    device.name,   device.kind,   device.bdf, device.state,
            rates, vfs_text(device), device.faults, device.struck, "",         device.answers};
        total_.answers |= device.answers;
        // What passes a fabric's endpoint is counted at the functions behind it.
        if (device.kind != "fabric") add(total_.rates, rates);
        total_.faults += device.faults;
        total_.struck += device.struck;
        const auto parent = device.pf.empty() ? places_.end() : places_.find(device.pf);
        if (parent == places_.end()) {
            places_.emplace(device.name, families_.size());
            families_.push_back({std::move(row), {}});
            return;
        }
        Family& family = families_[parent->second];
        if (view_.fold_vfs) {
            add(family.row.rates, rates);
            family.row.faults += device.faults;
            family.row.struck += device.struck;
            folded_names_[parent->second] += " " + device.name + " " + device.bdf;
            return;
        }
        row.depth = 2;
        family.children.push_back(std::move(row));
    }

    const TopRow& total() const { return total_; }

    void append(std::vector<TopRow>& out) {
        std::vector<TopRow> devices;
        std::vector<Family> kept;
        for (size_t i = 0; i < families_.size(); ++i) {
            Family& family = families_[i];
            std::erase_if(family.children,
                          [&](const TopRow& row) { return !matches(row, view_.filter); });
            const auto folded = folded_names_.find(i);
            const bool by_folded = folded != folded_names_.end() &&
                                   lower(folded->second).find(lower(view_.filter)) !=
                                       std::string::npos;
            if (!family.children.empty() || by_folded || matches(family.row, view_.filter))
                kept.push_back(std::move(family));
        }
        if (kept.empty() && !matches(total_, view_.filter)) return;
        out.push_back(total_);
        sort_by(kept, view_.sort, [](const Family& one) -> const TopRow& { return one.row; });
        for (Family& family : kept) {
            out.push_back(std::move(family.row));
            sort_by(family.children, view_.sort,
                    [](const TopRow& row) -> const TopRow& { return row; });
            for (TopRow& row : family.children) out.push_back(std::move(row));
        }
    }

private:
    const TopMachine& machine_;
    const TopView& view_;
    TopRow total_;
    std::vector<Family> families_;
    std::map<std::string, size_t> places_;        // of families, by the name of their PF
    std::map<size_t, std::string> folded_names_;  // what a filter may look for
};

}  // namespace

std::vector<TopDevice> read_top_devices(const Json& json) {
    std::vector<TopDevice> devices;
    const Json* const list = service::find_member(json, "devices");
    if (list == nullptr || !list->is_array()) return devices;
    for (const auto& one : *list) {
        if (devices.size() == kMaxDevices) break;
        TopDevice device = read_device(one);
        if (!device.name.empty()) devices.push_back(std::move(device));
    }
    return devices;
}

void TopModel::update(TopSample sample) {
    const double seconds = static_cast<double>(sample.time_ns - sample_.time_ns) / 1e9;
    std::map<Key, Seen> seen;
    for (const auto& machine : sample.machines) {
        for (const auto& device : machine.devices) {
            Seen now{device.counters, std::nullopt};
            const auto before = seen_.find({machine.name, device.name});
            if (before != seen_.end() && seconds > 0 &&
                !went_back(before->second.counters, device.counters))
                now.rates = rates_between(before->second.counters, device.counters, seconds);
            seen.insert_or_assign({machine.name, device.name}, now);
        }
    }
    seen_ = std::move(seen);
    sample_ = std::move(sample);
}

const std::optional<TopRates>& TopModel::rates_of(const std::string& machine,
                                                  const std::string& device) const {
    static const std::optional<TopRates> kNone;
    const auto found = seen_.find({machine, device});
    return found == seen_.end() ? kNone : found->second.rates;
}

size_t TopModel::devices() const {
    size_t count = 0;
    for (const auto& machine : sample_.machines) count += machine.devices.size();
    return count;
}

std::vector<TopRow> TopModel::rows(const TopView& view) const {
    std::vector<MachineRows> machines;
    machines.reserve(sample_.machines.size());
    for (const auto& machine : sample_.machines) {
        MachineRows& rows = machines.emplace_back(machine, view);
        // VFs may be listed before their PF.
        for (const bool vfs : {false, true}) {
            for (const auto& device : machine.devices)
                if (device.pf.empty() != vfs)
                    rows.add_device(device, rates_of(machine.name, device.name));
        }
    }
    std::vector<MachineRows*> order;
    order.reserve(machines.size());
    for (auto& machine : machines) order.push_back(&machine);
    sort_by(order, view.sort, [](MachineRows* one) -> const TopRow& { return one->total(); });
    std::vector<TopRow> out;
    for (MachineRows* const machine : order) machine->append(out);
    return out;
}

std::string rate_text(const std::optional<TopRates>& rates, double TopRates::*which) {
    if (!rates) return "-";
    double value = (*rates).*which;
    if (value == 0) return "0";
    if (value < 10) return fmt::format("{:.1f}", value);
    const char* unit = "";
    for (const char* next : {"k", "M", "G", "T"}) {
        if (value < 999.5) break;
        value /= 1000;
        unit = next;
    }
    return *unit != 0 && value < 9.95 ? fmt::format("{:.1f}{}", value, unit)
                                      : fmt::format("{:.0f}{}", value, unit);
}

std::vector<std::string> top_lines(const std::vector<TopRow>& rows, size_t columns) {
    size_t width = 4;
    for (const auto& row : rows)
        width = std::max(width, 2 * size_t{row.depth} + columns_of(row.name));
    width = std::min(width, std::max<size_t>(columns / 3, 8));
    const auto widest = [&rows](size_t least, std::string TopRow::*text) {
        for (const auto& row : rows) least = std::max(least, columns_of(row.*text));
        return std::min(least, kMaxColumn);
    };
    const size_t state_width = widest(9, &TopRow::state);
    const size_t kind_width = widest(16, &TopRow::kind);
    const size_t bdf_width = widest(12, &TopRow::bdf);
    const bool has_requests = std::any_of(rows.begin(), rows.end(),
                                          [](const TopRow& row) { return row.answers; });
    const auto line = [&](const std::string& name, const std::string& kind, const std::string& bdf,
                          const std::string& state, const std::array<std::string, 6>& numbers,
                          const std::string& more) {
        std::string text = fmt::format("{}  {:>7}  {:>7}  {:>7}", fit(name, width), numbers[0],
                                       numbers[1], numbers[2]);
        // Only where a device answers requests.
        if (has_requests) text += fmt::format("  {:>7}", numbers[5]);
        text += fmt::format("  {:>7}  {:>6}  {}  {}  {}", numbers[3], numbers[4],
                            fit(state, state_width), fit(kind, kind_width), fit(bdf, bdf_width));
        if (!more.empty()) text += "  " + more;
        while (!text.empty() && text.back() == ' ') text.pop_back();
        return columns_of(text) > columns ? fit(text, columns) : text;
    };
    std::vector<std::string> lines;
    lines.push_back(line("NAME", "KIND", "BDF", "STATE",
                         {"ACC/s", "IRQ/s", "DMA B/s", "VFS", "FAULTS", "REQ/s"}, ""));
    for (const auto& row : rows) {
        const std::string faults = row.struck == 0 && row.faults == 0
                                       ? "0"
                                       : fmt::format("{}+{}", row.faults, row.struck);
        lines.push_back(line(
            std::string(2 * size_t{row.depth}, ' ') + row.name, row.kind, row.bdf, row.state,
            {rate_text(row.rates, &TopRates::accesses), rate_text(row.rates, &TopRates::interrupts),
             rate_text(row.rates, &TopRates::dma_bytes), row.vfs, faults,
             row.answers ? rate_text(row.rates, &TopRates::requests) : ""},
            row.problem));
    }
    return lines;
}

Json top_json(const std::vector<TopRow>& rows) {
    Json machines = Json::array();
    for (const auto& row : rows) {
        Json one{{"name", row.name}, {"state", row.state}};
        const auto rate = [&row](double TopRates::*which) {
            return row.rates ? Json((*row.rates).*which) : Json();
        };
        one["accesses_per_second"] = rate(&TopRates::accesses);
        one["interrupts_per_second"] = rate(&TopRates::interrupts);
        one["dma_bytes_per_second"] = rate(&TopRates::dma_bytes);
        if (row.answers) one["requests_per_second"] = rate(&TopRates::requests);
        one["faults"] = row.faults;
        one["faults_struck"] = row.struck;
        if (row.depth == 0) {
            one["problem"] = row.problem;
            one["devices"] = Json::array();
            machines.push_back(std::move(one));
            continue;
        }
        one["kind"] = row.kind;
        one["bdf"] = row.bdf.empty() ? Json() : Json(row.bdf);
        one["vfs"] = row.vfs.empty() ? Json() : Json(row.vfs);
        machines.back()["devices"].push_back(std::move(one));
    }
    return {{"machines", std::move(machines)}};
}

}  // namespace mimic::commands
