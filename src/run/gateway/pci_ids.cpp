// SPDX-License-Identifier: Apache-2.0
#include "gateway/pci_ids.h"

#include <algorithm>
#include <charconv>

#include "base/private_files.h"

namespace mimic::gateway {
namespace {

constexpr size_t kMostNameBytes = 200;  // the longest of 2023 has 190

// "1de5  Eideticom, Inc", behind the tabs: a number of `digits` hexadecimal digits and a name.
struct Line {
    uint32_t number = 0;
    std::string_view name;
};

std::optional<Line> parse(std::string_view text, size_t digits) {
    Line line;
    if (text.size() < digits + 3 || text.substr(digits, 2) != "  ") return std::nullopt;
    const auto [end, error] = std::from_chars(text.data(), text.data() + digits, line.number, 16);
    if (error != std::errc() || end != text.data() + digits) return std::nullopt;
    line.name = text.substr(digits + 2);
    return line;
}

std::string clean(std::string_view name) {
    std::string text(name.substr(0, kMostNameBytes));
    std::erase_if(text, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
    return text;
}

// The keys from the first that is not less than `first`, as long as `is_of` says so.
template <typename Map, typename Predicate, typename Fill>
void fill_from(Map& map, const typename Map::key_type& first, Predicate is_of, Fill fill) {
    for (auto at = map.lower_bound(first); at != map.end() && is_of(at->first); ++at)
        fill(at->second);
}

// Reads line after line and knows below which vendor or class it is.
class Reader {
public:
    explicit Reader(PciNames& names) : names_(names) {}

    void take(std::string_view line) {
        if (line.ends_with('\r')) line.remove_suffix(1);
        if (line.empty() || line.front() == '#') return;
        if (line.starts_with("\t\t")) {
            take_interface(line.substr(2));
        } else if (line.starts_with('\t')) {
            take_second(line.substr(1));
        } else {
            take_first(line);
        }
    }

private:
    void take_first(std::string_view line) {
        vendor_.reset();
        base_.reset();
        sub_.reset();
        if (line.starts_with("C ")) {
            const auto base = parse(line.substr(2), 2);
            if (!base) return;
            base_ = base->number;
            fill_classes(*base_ << 16, 16,
                         [&](PciClassNames& one) { one.base = clean(base->name); });
            return;
        }
        const auto vendor = parse(line, 4);
        if (!vendor) return;  // another list of the file, or none of its lines
        vendor_ = static_cast<uint16_t>(vendor->number);
        fill_from(
            names_.ids, PciId{*vendor_, 0}, [&](const PciId& id) { return id.vendor == *vendor_; },
            [&](PciIdNames& one) { one.vendor = clean(vendor->name); });
    }

    void take_second(std::string_view line) {
        sub_.reset();
        if (vendor_) {
            const auto device = parse(line, 4);
            if (!device) return;
            const auto at = names_.ids.find({*vendor_, static_cast<uint16_t>(device->number)});
            if (at != names_.ids.end()) at->second.device = clean(device->name);
        } else if (base_) {
            const auto sub = parse(line, 2);
            if (!sub) return;
            sub_ = sub->number;
            fill_classes(*base_ << 16 | *sub_ << 8, 8,
                         [&](PciClassNames& one) { one.sub = clean(sub->name); });
        }
    }

    // Of a vendor these are subsystems, which nobody asks for.
    void take_interface(std::string_view line) {
        if (!base_ || !sub_) return;
        const auto interface = parse(line, 2);
        if (!interface) return;
        fill_classes(*base_ << 16 | *sub_ << 8 | interface->number, 0,
                     [&](PciClassNames& one) { one.interface = clean(interface->name); });
    }

    template <typename Fill>
    void fill_classes(uint32_t code, unsigned open_bits, Fill fill) {
        fill_from(
            names_.classes, code,
            [&](uint32_t other) { return other >> open_bits == code >> open_bits; }, fill);
    }

    PciNames& names_;
    std::optional<uint16_t> vendor_;
    std::optional<uint32_t> base_;
    std::optional<uint32_t> sub_;
};

}  // namespace

void look_up_pci_names(std::string_view text, PciNames& names) {
    Reader reader(names);
    while (!text.empty()) {
        const size_t end = std::min(text.find('\n'), text.size());
        reader.take(text.substr(0, end));
        text.remove_prefix(std::min(end + 1, text.size()));
    }
}

std::vector<std::string> default_pci_ids_files() {
    return {"/usr/share/misc/pci.ids", "/usr/share/hwdata/pci.ids", "/usr/share/pci.ids"};
}

std::optional<PciIdsFile> read_pci_ids(const std::vector<std::string>& paths) {
    for (const std::string& path : paths)
        if (auto text = read_small_file(path)) return PciIdsFile{path, std::move(*text)};
    return std::nullopt;
}

}  // namespace mimic::gateway
