// SPDX-License-Identifier: Apache-2.0
// One pass over the lines; every limit is checked before anything is stored.
#include "verify/verify_probe.h"

#include <algorithm>

namespace mimic::verify {
namespace {

constexpr size_t kMaxText = 16u << 20;  // 4096 functions print 8 MiB
constexpr size_t kMaxRecords = 8192 * 2;
constexpr size_t kMaxFacts = 256;  // in a record; the longest has 90
constexpr size_t kMaxValue = 512;
constexpr size_t kMaxComplaints = 3;

std::string printable(std::string_view text) {
    std::string out(text.substr(0, kMaxValue));
    std::replace_if(
        out.begin(), out.end(), [](char c) { return c < 0x20 || c > 0x7e; }, '?');
    return out;
}

tl::unexpected<Error> broken(size_t line, std::string_view why) {
    return fail(std::errc::protocol_error, "line {} of the guest's report: {}", line, why);
}

class Parser {
public:
    /// Takes one line. Errors: protocol_error.
    Status line(std::string_view text, size_t number) {
        if (number == 1) {
            if (text != "mimic-probe=1") return broken(number, "no report");
            return {};
        }
        if (ended_) return broken(number, "text behind the end");
        if (text == "@end") {
            ended_ = true;
            return {};
        }
        if (text.starts_with('@')) return start_record(text.substr(1), number);
        return fact(text, number);
    }

    Result<Probe> finish() {
        if (!ended_) return fail(std::errc::protocol_error, "the guest's report is incomplete");
        return std::move(probe_);
    }

private:
    Status start_record(std::string_view text, size_t number) {
        const size_t space = text.find(' ');
        if (space == std::string_view::npos) return broken(number, "a record without name");
        const std::string_view kind = text.substr(0, space);
        std::map<std::string, ProbeRecord>* const place = kind == "pci"     ? &probe_.pci
                                                          : kind == "regs"  ? &probe_.regs
                                                          : kind == "class" ? &probe_.class_devices
                                                          : kind == "info"  ? &probe_.info
                                                          : kind == "node"  ? &probe_.nodes
                                                          : kind == "vmd"   ? &probe_.vmds
                                                          : kind == "port"  ? &probe_.ports
                                                          : kind == "other" ? &probe_.others
                                                          : kind == "slot"  ? &probe_.slots
                                                                            : nullptr;
        if (place == nullptr) return broken(number, "a record of unknown kind");
        if (++records_ > kMaxRecords) return broken(number, "too many records");
        const auto [at, is_new] = place->try_emplace(printable(text.substr(space + 1)));
        if (!is_new) return broken(number, "a record that was there before");
        record_ = &at->second;
        return {};
    }

    Status fact(std::string_view text, size_t number) {
        const size_t equals = text.find('=');
        if (record_ == nullptr) {
            if (text.starts_with("kernel=")) probe_.kernel = printable(text.substr(equals + 1));
            return {};
        }
        if (equals == std::string_view::npos || equals == 0 ||
            text.substr(0, equals).find(' ') != std::string_view::npos) {
            if (record_->complaints.size() < kMaxComplaints) {
                record_->complaints.push_back(printable(text));
            }
            return {};
        }
        if (record_->facts.size() >= kMaxFacts) return broken(number, "too many facts");
        const bool is_new = record_->facts
                                .emplace(printable(text.substr(0, equals)),
                                         printable(text.substr(equals + 1)))
                                .second;
        if (!is_new) return broken(number, "a fact that was there before");
        return {};
    }

    Probe probe_;
    ProbeRecord* record_ = nullptr;  // of probe_, whose maps do not move their values
    size_t records_ = 0;
    bool ended_ = false;
};

}  // namespace

const std::string* ProbeRecord::find(const std::string& key) const {
    const auto found = facts.find(key);
    return found == facts.end() ? nullptr : &found->second;
}

Result<Probe> parse_probe(std::string_view text) {
    if (text.size() > kMaxText) {
        return fail(std::errc::protocol_error, "the guest's report exceeds {} MiB", kMaxText >> 20);
    }
    Parser parser;
    for (size_t number = 1; !text.empty(); ++number) {
        const size_t end = std::min(text.find('\n'), text.size());
        MIMIC_TRY(parser.line(text.substr(0, end), number));
        text.remove_prefix(std::min(end + 1, text.size()));
    }
    return parser.finish();
}

}  // namespace mimic::verify
