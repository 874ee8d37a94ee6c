// SPDX-License-Identifier: Apache-2.0
// The picture that `lspci -t` draws:
//
//     -[0000:00]-+-00.0
//                +-01.0-[01-03]----00.0-[02-03]--+-00.0-[03]----00.0
//                |                               \-01.0-[04]--
//                \-1f.0
//
// A branch continues the bus of the branch above it in the same column. Only addresses are taken,
// to compare: what hangs below what is in the bridges' own registers.
#include "dump/dump.h"

namespace mimic::dump {
namespace {

constexpr size_t kMaxColumns = 4096;  // arbitrary: a domain of 256 nested buses has less
constexpr size_t kMaxAddresses = 65536;

int digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    return -1;
}

/// Hexadecimal digits at `at`, at most `most`; moves `at` behind them.
std::optional<uint32_t> hex(std::string_view text, size_t& at, size_t most) {
    uint32_t value = 0;
    size_t count = 0;
    while (at < text.size() && count < most && digit(text[at]) >= 0) {
        value = value * 16 + static_cast<uint32_t>(digit(text[at++]));
        ++count;
    }
    return count == 0 ? std::nullopt : std::optional<uint32_t>(value);
}

}  // namespace

bool is_tree_line(std::string_view line) {
    if (line.starts_with("-[") || line.starts_with("-+-[")) return true;
    const size_t first = line.find_first_not_of(" |");
    if (first == 0 || first == std::string_view::npos || first + 1 >= line.size()) return false;
    return (line[first] == '+' || line[first] == '\\') && line[first + 1] == '-';
}

void TreeText::line(std::string_view text, unsigned number) {
    text = text.substr(0, kMaxColumns);
    size_t at = 0;
    while (at < text.size() && addresses_.size() < kMaxAddresses) {
        const char c = text[at];
        const bool starts_branch = (c == '+' || c == '\\') && at + 1 < text.size() &&
                                   text[at + 1] == '-';
        if (starts_branch) {
            const bool continues = text.find_first_not_of(" |") == at;
            const auto found = buses_.find(at);
            if (continues && found != buses_.end()) {
                domain_ = found->second.first;
                bus_ = found->second.second;
            } else {
                buses_[at] = {domain_, bus_};
            }
            at += 2;
        } else if (c == '[') {
            ++at;
            auto value = hex(text, at, 8);
            if (value && at < text.size() && text[at] == ':') {
                domain_ = *value;
                value = hex(text, ++at, 2);
            }
            if (value) bus_ = static_cast<uint8_t>(*value);
            at = std::min(text.find(']', at), text.size());
            at += at < text.size() ? 1 : 0;
        } else if (digit(c) >= 0) {
            const auto device = hex(text, at, 2);
            const bool good = device && *device < 32 && at + 1 < text.size() && text[at] == '.' &&
                              text[at + 1] >= '0' && text[at + 1] <= '7';
            if (!good) return;
            addresses_.try_emplace({domain_, bus_, static_cast<uint8_t>(*device),
                                    static_cast<uint8_t>(text[at + 1] - '0')},
                                   number);
            at += 2;
            if (at < text.size() && text[at] == ' ') return;  // the name
        } else if (c == ' ' || c == '|' || c == '-') {
            ++at;
        } else {
            return;
        }
    }
}

}  // namespace mimic::dump
