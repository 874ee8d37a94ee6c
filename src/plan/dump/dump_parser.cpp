// SPDX-License-Identifier: Apache-2.0
// Lines of a dump -> Dump. The format is that of pciutils 3.x, lspci.c and ls-caps.c: a heading at
// the margin, indented text, lines "f0: 00 .. 00", an empty line.
#include <algorithm>
#include <bit>
#include <charconv>

#include <fmt/format.h>

#include "dump/dump.h"
#include "pci/config/config_image.h"
#include "pci/config/pci_regs.h"

namespace mimic::dump {
namespace {

constexpr size_t kMaxTitle = 160;
constexpr size_t kMaxLine = 4096;  // arbitrary: names of devices are shorter
constexpr size_t kMaxNotes = 100;
constexpr size_t kMaxConfig = 4096;

int hex_digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

/// Exactly `count` hexadecimal digits at the front.
std::optional<uint32_t> take_hex(std::string_view& text, size_t count) {
    if (text.size() < count) return std::nullopt;
    uint32_t value = 0;
    for (size_t i = 0; i < count; ++i) {
        if (hex_digit(text[i]) < 0) return std::nullopt;
        value = value * 16 + static_cast<uint32_t>(hex_digit(text[i]));
    }
    text.remove_prefix(count);
    return value;
}

bool take(std::string_view& text, std::string_view word) {
    if (!text.starts_with(word)) return false;
    text.remove_prefix(word.size());
    return true;
}

std::string printable(std::string_view text) {
    std::string out(text.substr(0, kMaxTitle));
    std::replace_if(
        out.begin(), out.end(), [](char c) { return c < 0x20 || c > 0x7e; }, '?');
    return out;
}

/// "16M" of "... [size=16M]"; 0: there is none; nullopt: nothing that lspci prints.
std::optional<uint64_t> size_in(std::string_view text) {
    const size_t at = text.find("[size=");
    if (at == std::string_view::npos) return 0;
    text.remove_prefix(at + 6);
    uint64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end == text.data() + text.size()) return std::nullopt;
    constexpr std::string_view kUnits = "KMGT";
    unsigned shift = 0;
    text.remove_prefix(static_cast<size_t>(end - text.data()));
    if (!text.empty() && kUnits.find(text[0]) != std::string_view::npos) {
        shift = 10 * (static_cast<unsigned>(kUnits.find(text[0])) + 1);
        text.remove_prefix(1);
    }
    if (!text.starts_with(']')) return std::nullopt;
    if (value == 0 || value > UINT64_MAX >> shift) return std::nullopt;
    return value << shift;
}

/// What is no text of ours in the first bytes; empty: nothing.
std::string_view encoding_of(std::string_view text) {
    const auto byte = [&](size_t at) {
        return at < text.size() ? static_cast<unsigned char>(text[at]) : 0xffU;
    };
    const bool has_mark = (byte(0) == 0xff && byte(1) == 0xfe) ||
                          (byte(0) == 0xfe && byte(1) == 0xff);
    const bool is_little = byte(0) != 0 && byte(1) == 0 && byte(2) != 0 && byte(3) == 0;
    const bool is_big = byte(0) == 0 && byte(1) != 0 && byte(2) == 0 && byte(3) != 0;
    if (has_mark || is_little || is_big) {
        return "UTF-16 text, as PowerShell's '>' writes it; expected UTF-8 (iconv -f UTF-16 -t "
               "UTF-8 makes it so)";
    }
    if (byte(0) == 0x1f && byte(1) == 0x8b) return "a file packed by gzip; expected text";
    return "";
}

/// What a line at the margin looks like.
bool is_hex_line(std::string_view line) {
    const size_t colon = line.find(':');
    if (colon == std::string_view::npos || colon < 2 || colon > 8) return false;
    for (const char c : line.substr(0, colon)) {
        if (hex_digit(c) < 0) return false;
    }
    return colon + 1 == line.size() || line[colon + 1] == ' ';
}

class Parser {
public:
    tl::expected<Dump, std::vector<Problem>> run(std::string_view text) {
        if (text.size() > kMaxDumpBytes) {
            return tl::unexpected(std::vector<Problem>{
                {0, fmt::format("the dump has {} bytes; expected at most {} MiB", text.size(),
                                kMaxDumpBytes >> 20)}});
        }
        if (const auto encoding = encoding_of(text); !encoding.empty()) {
            return tl::unexpected(std::vector<Problem>{{0, std::string(encoding)}});
        }
        if (take(text, "\xef\xbb\xbf")) note("the dump begins with a byte order mark: skipped");
        while (!text.empty() && !stop_) {
            const size_t end = std::min(text.find('\n'), text.size());
            std::string_view one = text.substr(0, end);
            if (one.ends_with('\r')) one.remove_suffix(1);
            ++number_;
            line(one);
            text.remove_prefix(std::min(end + 1, text.size()));
        }
        finish_function();
        dump_.tree = tree_.addresses();
        finish_without_bytes();
        finish_denied();
        if (dump_.functions.empty() && problems_.empty()) {
            for (const LostFunction& one : dump_.lost) {
                problem(one.line, "{} cannot be cloned: {}", one.address.str(), one.why);
            }
        }
        if (dump_.functions.empty() && problems_.empty()) {
            problem(
                0, "{}; expected the output of lspci -vvvnnxxxx",
                dump_.tree.empty() ? "no device" : "only the tree of lspci -t, which has no bytes");
        }
        sort_functions();
        if (problems_.empty()) return std::move(dump_);
        std::stable_sort(problems_.begin(), problems_.end(),
                         [](const auto& a, const auto& b) { return a.line < b.line; });
        return tl::unexpected(std::move(problems_));
    }

private:
    template <typename... Args>
    void problem(unsigned line, fmt::format_string<Args...> format, Args&&... args) {
        if (problems_.size() < kMaxProblems) {
            problems_.push_back({line, fmt::format(format, std::forward<Args>(args)...)});
        }
    }
    void note(std::string text) {
        if (dump_.notes.size() < kMaxNotes) dump_.notes.push_back(std::move(text));
    }

    void line(std::string_view text) {
        if (text.size() > kMaxLine) {
            return problem(number_, "a line of {} bytes; lspci prints none so long", text.size());
        }
        if (text.find('\0') != std::string_view::npos) {
            return problem(number_, "a NUL byte; expected text");
        }
        if (text.find_first_not_of(" \t") == std::string_view::npos) {
            return finish_function();
        }
        if (is_tree_line(text)) return tree_.line(text, number_);
        if (text.front() == ' ' || text.front() == '\t') return text_line(text);
        if (is_hex_line(text)) return hex_line(text);
        std::string_view rest;
        if (const auto address = parse_address(text, &rest)) return heading(*address, rest);
        if (text.starts_with("lspci:") || text.starts_with("pcilib:")) {
            return note(fmt::format("line {}: lspci complained: {}", number_, printable(text)));
        }
        if (now_ && text.starts_with("WARNING: Cannot show hex-dump")) {
            unreadable_ = true;
            return;
        }
        problem(number_, "'{}'; expected a device's heading, its text or its bytes",
                printable(text.substr(0, 40)));
    }

    void heading(const Address& address, std::string_view rest) {
        finish_function();
        if (dump_.functions.size() >= kMaxDumpFunctions) {
            problem(number_, "more than {} functions", kMaxDumpFunctions);
            stop_ = true;
            return;
        }
        now_.emplace();
        now_->line = number_;
        now_->address = address;
        while (rest.starts_with(' ')) rest.remove_prefix(1);
        now_->title = printable(rest);
        in_sriov_ = bad_ = unreadable_ = denied_ = false;
        hex_line_ = 0;
        capabilities_.clear();
    }

    // --- Text --------------------------------------------------------------------------------

    void text_line(std::string_view text) {
        if (!now_) return;  // of a block whose heading was cut off; its bytes will tell
        text.remove_prefix(text.find_first_not_of(" \t"));
        if (text.starts_with("Capabilities:")) return capability(text);
        if (take(text, "Region ")) return region(text);
        if (take(text, "Expansion ROM at ")) {
            now_->rom = sized(text);
        }
    }

    void capability(std::string_view text) {
        in_sriov_ = text.find("Single Root I/O Virtualization") != std::string_view::npos;
        if (text.find("<access denied>") != std::string_view::npos) {
            denied_ = true;
            if (denied_line_ == 0) denied_line_ = number_;
            return;
        }
        const size_t open = text.find('[');
        if (open == std::string_view::npos) return;
        uint32_t offset = 0;
        const auto [end, error] = std::from_chars(text.data() + open + 1, text.data() + text.size(),
                                                  offset, 16);
        if (error != std::errc() || offset >= kMaxConfig) return;
        saw_capability_ = true;
        constexpr size_t kMaxName = 60;
        std::string_view name = text.substr(std::min(text.find(']', open), text.size()));
        name.remove_prefix(std::min<size_t>(name.size(), 2));
        name = name.substr(0, std::min(name.find_first_of(":,"), kMaxName));
        if (capabilities_.size() < kMaxConfig / 4) {
            capabilities_.emplace_back(offset, printable(name));
        }
    }

    void region(std::string_view text) {
        if (text.empty() || text[0] < '0' || text[0] > '5' || !text.substr(1).starts_with(": ")) {
            if (text.starts_with("6: ")) return;  // no such thing in a header
            problem(number_, "'Region {}'; expected 0 to 5", printable(text.substr(0, 20)));
            return;
        }
        const auto index = static_cast<size_t>(text[0] - '0');
        auto& regions = in_sriov_ ? now_->vf_regions : now_->regions;
        if (regions[index].line != 0) {
            problem(number_, "region {} again, first on line {}", index, regions[index].line);
            return;
        }
        Region made = sized(text);
        // Older pciutils put "[virtual]" in front.
        made.is_io = text.find("I/O ports at ") != std::string_view::npos;
        made.is_64bit = text.find("64-bit") != std::string_view::npos;
        made.prefetchable = text.find(" prefetchable") != std::string_view::npos;
        regions[index] = made;
    }

    Region sized(std::string_view text) {
        Region made;
        made.line = number_;
        made.is_virtual = text.find("[virtual]") != std::string_view::npos;
        made.is_enhanced = text.find("[enhanced]") != std::string_view::npos;
        const size_t at = text.find("at ");
        const std::string_view digits = at == std::string_view::npos ? text : text.substr(at + 3);
        uint64_t address = 0;
        if (std::from_chars(digits.data(), digits.data() + digits.size(), address, 16).ec ==
            std::errc()) {
            made.address = address;
        }
        const auto size = size_in(text);
        const std::string shown = size.value_or(1) == 0
                                      ? ""
                                      : printable(text.substr(text.find("[size=")));
        if (!size) {
            problem(number_, "'{}'; expected a size such as [size=16K]", shown);
        } else if (*size != 0 && !std::has_single_bit(*size)) {
            made.odd_size = shown;  // the kernel has resources of any size, BARs have not
        } else {
            made.size = *size;
        }
        return made;
    }

    // --- Bytes -------------------------------------------------------------------------------

    void hex_line(std::string_view text) {
        if (!now_) {
            if (!orphan_) problem(number_, "bytes without a device's heading above them");
            orphan_ = true;
            return;
        }
        if (bad_) return;  // the first problem of a block is enough
        const std::string shown = printable(text.substr(0, text.find(':') + 1));
        uint32_t offset = 0;
        (void)std::from_chars(text.data(), text.data() + text.find(':'), offset, 16);
        text.remove_prefix(text.find(':') + 1);
        auto& config = now_->config;
        bad_ = true;
        if (offset % 16 != 0 || offset >= kMaxConfig) {
            return problem(number_, "{} is no line of configuration space: 00: to ff0:", shown);
        }
        if (offset < config.size()) return problem(number_, "the bytes of {} again", shown);
        if (offset > config.size()) {
            return problem(number_, "{} where {:02x}: should be: bytes are missing", shown,
                           config.size());
        }
        size_t count = 0;
        while (take(text, " ")) {
            if (text.empty()) break;  // a space at the end
            const auto byte = take_hex(text, 2);
            if (!byte || ++count > 16) break;
            config.push_back(static_cast<uint8_t>(*byte));
        }
        if (count != 16 || !text.empty()) {
            return problem(number_, "{} has {}; expected 16 bytes", shown,
                           count < 16 && text.empty() ? fmt::format("{} bytes", count)
                                                      : "something else than 16 bytes");
        }
        bad_ = false;
        hex_line_ = number_;
    }

    // --- A function as a whole ---------------------------------------------------------------

    void finish_function() {
        orphan_ = false;
        if (!now_) return;
        DumpFunction done = std::move(*now_);
        now_.reset();
        if (bad_) return;
        const size_t size = done.config.size();
        if (size == 0) {
            if (unreadable_) return lose(done, "lspci could not read its configuration space");
            if (without_bytes_.size() < kMaxDumpFunctions) {
                without_bytes_.push_back({done.line, done.address, "it has no bytes in the dump"});
            }
            return;
        }
        constexpr size_t kCardBusHeader = 128;
        const bool is_cardbus = (done.config[pci::regs::HEADER_TYPE] & 0x7f) == 2;
        if (size != 64 && size != 256 && size != kMaxConfig &&
            !(size == kCardBusHeader && is_cardbus)) {
            return problem(hex_line_,
                           "the bytes of {} end after {:03x}; expected 64, 256 or 4096: cut off?",
                           done.address.str(), size - 1);
        }
        for (const auto& [offset, name] : capabilities_) {
            if (offset < size) continue;
            done.losses.push_back(
                fmt::format("[{:x}] {}: in the text, but the bytes end after {:x}"
                            " (lspci -xxxx as root has more)",
                            offset, name, size - 1));
        }
        if (denied_) {
            done.losses.emplace_back("its capabilities: lspci was not allowed to read them");
        }
        if (const std::string lie = lie_about_ids(done); !lie.empty()) return lose(done, lie);
        dump_.functions.push_back(std::move(done));
    }

    void lose(const DumpFunction& of, std::string why) {
        if (dump_.lost.size() >= kMaxDumpFunctions) return;
        dump_.lost.push_back({of.line, of.address, std::move(why)});
    }

    /// One without bytes among others that have some is lost; at the end of the dump, the dump was
    /// cut off there; and if none has any, it is no dump of bytes.
    void finish_without_bytes() {
        for (const LostFunction& one : without_bytes_) {
            const bool is_last = std::none_of(
                dump_.functions.begin(), dump_.functions.end(),
                [&](const DumpFunction& other) { return other.line > one.line; });
            if (!is_last) {
                dump_.lost.push_back(one);
                continue;
            }
            problem(one.line, "{} has no bytes; expected the output of lspci -vvvnnxxxx{}",
                    one.address.str(), number_ < 3 ? "" : ", and all of it");
        }
    }

    /// Who is not root is denied all.
    void finish_denied() {
        if (denied_line_ == 0 || saw_capability_) return;
        problem(denied_line_,
                "lspci was not allowed to read capabilities; expected the output of "
                "lspci -vvvnnxxxx as root");
    }

    /// The ids in the heading are those in the bytes; but not of VFs, whose bytes have none. Empty:
    /// they are.
    static std::string lie_about_ids(const DumpFunction& done) {
        const uint32_t bytes = pci::image_u32(done.config, 0);
        // Told when it is cloned.
        if ((bytes & 0xffff) == 0xffff || (bytes & 0xffff) == 0) return "";
        for (size_t at = done.title.find('['); at != std::string::npos;
             at = done.title.find('[', at + 1)) {
            std::string_view text = std::string_view(done.title).substr(at + 1);
            const auto vendor = take_hex(text, 4);
            if (!vendor || !take(text, ":")) continue;
            const auto device = take_hex(text, 4);
            if (!device || !text.starts_with(']')) continue;
            if ((*vendor | *device << 16) == bytes) return "";
            return fmt::format(
                "it is [{:04x}:{:04x}] in its heading, and [{:04x}:{:04x}] in its "
                "bytes",
                *vendor, *device, bytes & 0xffff, bytes >> 16);
        }
        return "";
    }

    void sort_functions() {
        auto& all = dump_.functions;
        std::stable_sort(all.begin(), all.end(),
                         [](const auto& a, const auto& b) { return a.address < b.address; });
        for (size_t i = 1; i < all.size(); ++i) {
            if (all[i].address != all[i - 1].address) continue;
            problem(all[i].line, "{} again, first on line {}", all[i].address.str(),
                    all[i - 1].line);
        }
    }

    Dump dump_;
    std::vector<Problem> problems_;
    TreeText tree_;
    std::optional<DumpFunction> now_;
    std::vector<LostFunction> without_bytes_;
    std::vector<std::pair<uint32_t, std::string>> capabilities_;  // in the text of now_
    unsigned number_ = 0;                                         // of the line
    unsigned hex_line_ = 0;                                       // last one of now_
    unsigned denied_line_ = 0;                                    // first one
    bool saw_capability_ = false;                                 // in any text
    bool denied_ = false;                                         // now_ is one of those
    bool unreadable_ = false;                                     // says lspci of now_
    bool in_sriov_ = false;
    bool bad_ = false;
    bool orphan_ = false;
    bool stop_ = false;
};

}  // namespace

std::string Address::str() const {
    return domain == 0 ? fmt::format("{:02x}:{:02x}.{}", bus, device, function)
                       : fmt::format("{:04x}:{:02x}:{:02x}.{}", domain, bus, device, function);
}

std::optional<Address> parse_address(std::string_view text, std::string_view* rest) {
    Address out;
    const size_t colon = text.find(':');
    if (colon == std::string_view::npos) return std::nullopt;
    if (colon >= 4 && colon <= 8) {
        const auto domain = take_hex(text, colon);
        if (!domain || !take(text, ":")) return std::nullopt;
        out.domain = *domain;
    }
    const auto bus = take_hex(text, 2);
    if (!bus || !take(text, ":")) return std::nullopt;
    const auto device = take_hex(text, 2);
    if (!device || *device > 31 || !take(text, ".")) return std::nullopt;
    const auto function = take_hex(text, 1);
    if (!function || *function > 7 || (!text.empty() && text.front() != ' ')) return std::nullopt;
    out.bus = static_cast<uint8_t>(*bus);
    out.device = static_cast<uint8_t>(*device);
    out.function = static_cast<uint8_t>(*function);
    if (rest != nullptr) *rest = text;
    return out;
}

const DumpFunction* Dump::find(const Address& address) const {
    const auto found = std::lower_bound(
        functions.begin(), functions.end(), address,
        [](const DumpFunction& one, const Address& wanted) { return one.address < wanted; });
    return found != functions.end() && found->address == address ? &*found : nullptr;
}

tl::expected<Dump, std::vector<Problem>> parse_dump(std::string_view text) {
    return Parser().run(text);
}

}  // namespace mimic::dump
