// SPDX-License-Identifier: Apache-2.0
#include "model/function_spec.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/identifier.h"

namespace mimic::model {
namespace {

constexpr uint32_t kNoVfIndex = UINT32_MAX;

std::string hex_bytes(std::span<const uint8_t> bytes) {
    std::string out;
    for (const uint8_t byte : bytes) out += fmt::format("{:02x}", byte);
    return out;
}

uint64_t number_of(const Expectation& expectation, const FunctionSpec& function) {
    using From = Expectation::From;
    switch (expectation.from) {
        case From::kProperty:
            return function.value(expectation.key);
        case From::kHasLabel:
            return function.identifier.label.empty() ? 0 : 1;
        case From::kTotalVfs:
            return function.total_vfs;
        case From::kVfIndex:
            return function.vf_index.value_or(kNoVfIndex);
        case From::kIsVf:
            return function.is_vf() ? 1 : 0;
        case From::kInterrupts:
            return function.has_messages ? 1 : 0;
        default:
            return expectation.constant;
    }
}

}  // namespace

std::string Bdf::str() const {
    return fmt::format("{:04x}:{:02x}:{:02x}.{}", domain, bus, device, function);
}

std::string_view Link::gigatransfers() const {
    constexpr std::string_view kSpeeds[] = {"2.5", "5", "8", "16", "32", "64"};
    return kSpeeds[std::clamp(generation, 1u, 6u) - 1];
}

uint64_t FunctionSpec::value(std::string_view key) const {
    const size_t index = model == nullptr ? values.size() : model->find_property(key);
    return index < values.size() ? values[index] : 0;
}

uint64_t FunctionSpec::value(Property::Meaning meaning) const {
    const size_t index = model == nullptr ? values.size() : model->find_property(meaning);
    return index < values.size() ? values[index] : 0;
}

const DriverFacts& FunctionSpec::driver() const {
    static constexpr DriverFacts kNone;
    if (model == nullptr) return kNone;
    const ModelFacts& facts = model->facts;
    const uint16_t own = is_vf() ? facts.vf_device_id : facts.device();
    const bool known = !facts.any_ids || (vendor_id == facts.vendor() && device_id == own);
    return known ? model->driver : kNone;
}

unsigned FunctionSpec::queues() const {
    if (model == nullptr || !model->facts.is_virtio()) return 0;
    const size_t index = model->find_property(Property::Meaning::kQueues);
    const unsigned each = index < model->properties.size() ? model->properties[index].each : 0;
    return model->facts.virtio.queues +
           each * static_cast<unsigned>(value(Property::Meaning::kQueues));
}

unsigned FunctionSpec::vectors() const {
    if (const unsigned count = queues(); count != 0) return count + 1;
    return static_cast<unsigned>((model == nullptr ? 0 : model->facts.vectors) +
                                 value(Property::Meaning::kVectors));
}

std::string formatted(Expectation::Format format, uint64_t value) {
    switch (format) {
        case Expectation::Format::kHex32:
            return fmt::format("0x{:08x}", value);
        case Expectation::Format::kHex64:
            return fmt::format("0x{:016x}", value);
        default:
            return fmt::format("{}", value);
    }
}

std::string expected_text(const Expectation& expectation, const FunctionSpec& function,
                          int numa_node) {
    using From = Expectation::From;
    switch (expectation.from) {
        case From::kIdentifierBytes:
            return expectation.format == Expectation::Format::kDashed
                       ? format_uuid(function.identifier.bytes)
                       : hex_bytes(function.identifier.bytes);
        case From::kIdentifierLabel:
            return function.identifier.label;
        case From::kIdentifierText:
            return function.identifier.text;
        case From::kNumaNode:
            return fmt::format("{}", numa_node);
        case From::kProperty: {
            const size_t index = function.model->find_property(expectation.key);
            const uint64_t value = function.value(expectation.key);
            if (expectation.format != Expectation::Format::kText ||
                index >= function.model->properties.size())
                return formatted(expectation.format, value);
            return function.model->properties[index].text(value);
        }
        default:
            return formatted(expectation.format, number_of(expectation, function));
    }
}

bool applies(const Expectation& expectation, const FunctionSpec& function) {
    return expectation.whose == Expectation::Whose::kAll || function.total_vfs > 0;
}

std::string node_name(const FunctionSpec& function, size_t index) {
    const std::string_view prefix = function.driver().node_prefix;
    if (prefix.empty()) return "";
    return node_name_below(fmt::format("{}{}", prefix, index), function);
}

std::string node_name_below(const std::string& pf_name, const FunctionSpec& function) {
    return function.vf_index ? fmt::format("{}_vf{}", pf_name, *function.vf_index) : pf_name;
}

}  // namespace mimic::model
