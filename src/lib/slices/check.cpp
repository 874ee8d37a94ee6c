// SPDX-License-Identifier: Apache-2.0
// check(): the rules of resource.k8s.io/v1 on a pool, before the API server is asked.
#include <set>
#include <string_view>

#include "base/terminal_text.h"
#include "slices/names.h"
#include "slices/slices.h"

namespace mimic::slices {
namespace {

// More lines help nobody.
constexpr size_t kMaxProblems = 20;

class Checker {
public:
    explicit Checker(const Pool& pool) : pool_(pool) {}

    Status run();

private:
    template <typename... Args>
    void problem(fmt::format_string<Args...> format, Args&&... args) {
        if (++count_ > kMaxProblems) return;
        if (!text_.empty()) text_ += '\n';
        text_ += terminal_text(fmt::format(format, std::forward<Args>(args)...), 500);
    }

    void check_counters(const std::string& where, const Counters& counters);
    void check_counter_sets();
    void check_attributes(const Device& device);
    void check_capacity(const Device& device);
    void check_policy(const Device& device, const std::string& name, const Capacity& capacity);
    void check_consumes(const Device& device);
    void check_taints(const Device& device);

    const Pool& pool_;
    std::string text_;
    size_t count_ = 0;
};

void Checker::check_counters(const std::string& where, const Counters& counters) {
    if (!is_dns_label(counters.set)) problem("{}: no DNS label", where);
    if (counters.values.empty()) problem("{}: has no counters", where);
    if (counters.values.size() > kMaxCountersPerSet) {
        problem("{}: {} counters, may be {}", where, counters.values.size(), kMaxCountersPerSet);
    }
    for (const auto& [name, value] : counters.values) {
        if (!is_dns_label(name)) problem("{}: counter \"{}\" is no DNS label", where, name);
        if (value > kMaxQuantity) problem("{}: counter {}: {} is too large", where, name, value);
    }
}

void Checker::check_counter_sets() {
    std::set<std::string_view> seen;
    for (const Counters& set : pool_.counter_sets) {
        check_counters(fmt::format("counter set \"{}\"", set.set), set);
        if (!seen.insert(set.set).second) problem("counter set \"{}\" is there twice", set.set);
    }
}

void Checker::check_attributes(const Device& device) {
    const size_t count = device.attributes.size() + device.capacity.size();
    if (count > kMaxAttributes) {
        problem("device {}: {} attributes and capacities, may be {}", device.name, count,
                kMaxAttributes);
    }
    for (const auto& [name, value] : device.attributes) {
        if (!is_qualified_name(name)) {
            problem("device {}: attribute \"{}\" is no qualified name", device.name, name);
        }
        if (const auto* const text = std::get_if<std::string>(&value)) {
            if (!is_attribute_text(*text)) {
                problem("device {}: attribute {}: not UTF-8 of at most {} bytes", device.name, name,
                        kMaxText);
            }
        } else if (const auto* const version = std::get_if<Version>(&value)) {
            if (!is_version(version->text)) {
                problem(
                    "device {}: attribute {}: \"{}\" is no semantic version of at most {} bytes",
                    device.name, name, version->text, kMaxText);
            }
        }
    }
}

void Checker::check_policy(const Device& device, const std::string& name,
                           const Capacity& capacity) {
    const Capacity::RequestPolicy& policy = *capacity.request_policy;
    if (!device.allow_multiple_allocations) {
        problem("device {}: capacity {}: a request policy needs multiple allocations", device.name,
                name);
    }
    if (policy.min > policy.default_value || policy.default_value > policy.max ||
        policy.max > capacity.value) {
        problem("device {}: capacity {}: want min <= default <= max <= value", device.name, name);
        return;
    }
    if (policy.step == 0) return;
    if (policy.step > capacity.value - policy.min ||
        (policy.default_value - policy.min) % policy.step != 0 ||
        (policy.max - policy.min) % policy.step != 0) {
        problem(
            "device {}: capacity {}: default and max must be whole steps above min, and one "
            "step must fit",
            device.name, name);
    }
}

void Checker::check_capacity(const Device& device) {
    for (const auto& [name, capacity] : device.capacity) {
        if (!is_qualified_name(name)) {
            problem("device {}: capacity \"{}\" is no qualified name", device.name, name);
        }
        if (capacity.value > kMaxQuantity) {
            problem("device {}: capacity {}: {} is too large", device.name, name, capacity.value);
        }
        if (capacity.request_policy) check_policy(device, name, capacity);
    }
}

void Checker::check_consumes(const Device& device) {
    if (device.consumes.size() > kMaxConsumes) {
        problem("device {}: consumes of {} counter sets, may be {}", device.name,
                device.consumes.size(), kMaxConsumes);
    }
    std::set<std::string_view> seen;
    for (const Counters& consumed : device.consumes) {
        const std::string where = fmt::format("device {}: counter set \"{}\"", device.name,
                                              consumed.set);
        check_counters(where, consumed);
        if (!seen.insert(consumed.set).second) problem("{} is there twice", where);
        const Counters* set = nullptr;
        for (const Counters& candidate : pool_.counter_sets) {
            if (candidate.set == consumed.set) set = &candidate;
        }
        if (set == nullptr) {
            problem("{}: the pool has none of that name", where);
            continue;
        }
        for (const auto& [name, value] : consumed.values) {
            if (!set->values.contains(name)) problem("{}: has no counter \"{}\"", where, name);
        }
    }
}

void Checker::check_taints(const Device& device) {
    if (device.taints.size() > kMaxTaints) {
        problem("device {}: {} taints, may be {}", device.name, device.taints.size(), kMaxTaints);
    }
    for (const Taint& taint : device.taints) {
        if (!is_label_key(taint.key)) {
            problem("device {}: taint \"{}\": its key is no label key", device.name, taint.key);
        }
        if (!is_label_value(taint.value)) {
            problem("device {}: taint {}: \"{}\" is no label value", device.name, taint.key,
                    taint.value);
        }
    }
}

Status Checker::run() {
    if (!is_dns_subdomain(pool_.driver, kMaxDriver)) {
        problem("driver \"{}\" is no DNS subdomain of at most {} characters", pool_.driver,
                kMaxDriver);
    }
    if (!is_pool_name(pool_.name)) {
        problem("pool \"{}\" is no DNS subdomain, or several with / between them", pool_.name);
    }
    if (!is_dns_subdomain(pool_.node, kMaxSubdomain)) {
        problem("node \"{}\" is no DNS subdomain", pool_.node);
    }
    check_counter_sets();
    std::set<std::string_view> seen;
    for (const Device& device : pool_.devices) {
        if (!is_dns_label(device.name)) problem("device \"{}\" is no DNS label", device.name);
        if (!seen.insert(device.name).second) problem("device {} is there twice", device.name);
        check_attributes(device);
        check_capacity(device);
        check_consumes(device);
        check_taints(device);
    }
    if (count_ == 0) return {};
    if (count_ > kMaxProblems) text_ += fmt::format("\nand {} more", count_ - kMaxProblems);
    return fail(std::errc::invalid_argument, "{}", text_);
}

}  // namespace

Status check(const Pool& pool) {
    return Checker(pool).run();
}

}  // namespace mimic::slices
