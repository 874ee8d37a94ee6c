// SPDX-License-Identifier: Apache-2.0
#include "dra/discovery/scan.h"

#include <dirent.h>

#include <algorithm>
#include <charconv>
#include <memory>
#include <string_view>

#include "base/terminal_text.h"
#include "dra/discovery/sysfs_reader.h"

namespace mimic::dra {
namespace {

using slices::DraFacts;
using slices::FunctionView;

constexpr uint32_t kMaxVfs = 256;  // of a PF; SR-IOV allows 65535, nobody has so many

struct CloseDir {
    void operator()(DIR* dir) const { ::closedir(dir); }
};

template <typename Number>
std::optional<Number> number_of(std::string_view text) {
    int base = 10;
    if (text.starts_with("0x")) {
        text.remove_prefix(2);
        base = 16;
    }
    Number value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
    if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
    return value;
}

bool is_digits(std::string_view text) {
    return !text.empty() && text.size() <= 9 &&
           std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

// "<prefix>N" or "<prefix>N_vfM"; whatever else a class folder has is not ours.
struct NodeName {
    std::string parent;  // empty: a PF
    std::optional<uint32_t> vf_index;
};

std::optional<NodeName> parse_node(std::string_view node, std::string_view prefix) {
    if (!node.starts_with(prefix)) return std::nullopt;
    const size_t mark = node.find("_vf");
    if (!is_digits(node.substr(0, mark).substr(prefix.size()))) return std::nullopt;
    if (mark == std::string_view::npos) return NodeName{};
    const std::string_view index = node.substr(mark + 3);
    if (!is_digits(index)) return std::nullopt;
    return NodeName{std::string(node.substr(0, mark)), number_of<uint32_t>(index)};
}

// "0000:11:00.0", also with the five digits that a fabric's domain has.
bool is_pci_address(std::string_view text) {
    const size_t colon = text.find(':');
    if (colon == std::string_view::npos || colon < 4 || colon > 8) return false;
    constexpr std::string_view kRest = ":hh:hh.h";
    const std::string pattern = std::string(colon, 'h') + std::string(kRest);
    return std::equal(text.begin(), text.end(), pattern.begin(), pattern.end(), [](char c, char p) {
        return p == 'h' ? (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') : c == p;
    });
}

// What the way to a PCI device says: "sys/devices/pci0000:10/0000:10:00.0/0000:11:00.0".
void add_way(std::string_view path, FunctionView* view) {
    constexpr std::string_view kDevices = "sys/devices/";
    if (!path.starts_with(kDevices)) return;
    path.remove_prefix(kDevices.size());
    const std::string_view root = path.substr(0, path.find('/'));
    std::vector<std::string_view> functions;
    while (!path.empty()) {
        const size_t end = std::min(path.find('/'), path.size());
        if (is_pci_address(path.substr(0, end))) functions.push_back(path.substr(0, end));
        path.remove_prefix(std::min(end + 1, path.size()));
    }
    if (functions.empty()) return;
    if (root.starts_with("pci")) view->pcie_root = root;
    view->pci_address = functions.back();
    functions.pop_back();
    for (const std::string_view port : functions) {
        view->port_path += (view->port_path.empty() ? "" : "/") + std::string(port);
    }
}

// Name of the device node: DEVNAME of its uevent, which the kernel prints for whatever has one.
std::string dev_name(std::string_view uevent) {
    constexpr std::string_view kKey = "DEVNAME=";
    while (!uevent.empty()) {
        const std::string_view line = uevent.substr(0, uevent.find('\n'));
        uevent.remove_prefix(std::min(line.size() + 1, uevent.size()));
        if (!line.starts_with(kKey)) continue;
        const std::string_view name = line.substr(kKey.size());
        const bool good = !name.empty() && name.find("..") == std::string_view::npos &&
                          name.front() != '/' && std::all_of(name.begin(), name.end(), [](char c) {
                              return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
                                     (c >= 'A' && c <= 'Z') || c == '-' || c == '_' || c == '.' ||
                                     c == '/';
                          });
        return good ? std::string(name) : std::string();
    }
    return "";
}

void add_dev_node(const UniqueFd& dir, KnownDevice* device) {
    const auto dev = read_attribute(dir, "dev");
    if (!dev) return;
    const size_t colon = dev->find(':');
    if (colon == std::string::npos) return;
    const auto major = number_of<unsigned>(std::string_view(*dev).substr(0, colon));
    const auto minor = number_of<unsigned>(std::string_view(*dev).substr(colon + 1));
    const auto uevent = read_attribute(dir, "uevent");
    const std::string name = uevent ? dev_name(*uevent) : std::string();
    if (!major || !minor || name.empty()) return;
    device->dev_major = *major;
    device->dev_minor = *minor;
    device->dev_node = "/dev/" + name;
}

// The last line: "TOTAL_ERR_FATAL 3".
std::optional<uint64_t> aer_total(const UniqueFd& dir, const char* name) {
    const auto text = read_attribute(dir, name);
    if (!text) return std::nullopt;
    const size_t total = text->rfind("TOTAL_ERR_");
    if (total == std::string::npos) return std::nullopt;
    const size_t space = text->find(' ', total);
    if (space == std::string::npos) return std::nullopt;
    return number_of<uint64_t>(std::string_view(*text).substr(space + 1));
}

void read_aer(const UniqueFd& pci, Sighting* sighting) {
    const auto fatal = aer_total(pci, "aer_dev_fatal");
    const auto nonfatal = aer_total(pci, "aer_dev_nonfatal");
    sighting->aer.reset();
    if (fatal || nonfatal) sighting->aer = {fatal.value_or(0), nonfatal.value_or(0)};
}

void read_status(const UniqueFd& dir, const DraFacts& facts, Sighting* sighting) {
    sighting->status.reset();
    sighting->status_error = 0;
    if (facts.status_file.empty()) return;
    const auto text = read_attribute(dir, std::string(facts.status_file));
    if (text) {
        sighting->status = number_of<uint32_t>(*text);
        if (!sighting->status) sighting->status_error = EBADMSG;
    } else {
        sighting->status_error = text.error().errno_value();
    }
}

class Scanner {
public:
    Scanner(const SysfsRoot& root, const std::string& root_text, const DraFacts& facts)
        : root_(root),
          facts_(facts),
          class_dir_(fmt::format("sys/class/{}", facts.sysfs_class)),
          shown_root_(root_text.substr(0, root_text.find_last_not_of('/') + 1)) {}

    Result<Scan> run(bool vfs_on_demand);

private:
    void problem(const std::string& line) { scan_.problems.push_back(terminal_text(line)); }
    Result<std::vector<std::string>> names();
    void look_at(const std::string& node);
    void add_files(const UniqueFd& dir, FunctionView* view);
    void add_future_vfs();

    const SysfsRoot& root_;
    const DraFacts& facts_;
    const std::string class_dir_;
    const std::string shown_root_;
    Scan scan_;
};

Result<std::vector<std::string>> Scanner::names() {
    std::vector<std::string> names;
    auto folder = root_.open_dir(class_dir_);
    if (!folder) {
        // The driver is not loaded, or has been unloaded.
        if (folder.error().code() == std::errc::no_such_file_or_directory) return names;
        return tl::unexpected<Error>(std::move(folder).error());
    }
    const std::unique_ptr<DIR, CloseDir> dir(::fdopendir(folder->get()));
    if (!dir) return fail_errno("open {}", class_dir_);
    [[maybe_unused]] const int owned = folder->release();
    // NOLINTNEXTLINE(concurrency-mt-unsafe): glibc's is safe on a stream that is ours alone.
    while (const dirent* const entry = ::readdir(dir.get())) {
        if (!parse_node(entry->d_name, facts_.node_prefix)) continue;
        if (names.size() == kMaxScannedDevices) {
            problem(fmt::format("{}: more than {} devices; the others are left out", class_dir_,
                                kMaxScannedDevices));
            break;
        }
        names.emplace_back(entry->d_name);
    }
    std::sort(names.begin(), names.end(), slices::node_before);
    return names;
}

void Scanner::add_files(const UniqueFd& dir, FunctionView* view) {
    for (const slices::DraAttribute& attribute : facts_.attributes) {
        const std::string name(attribute.sysfs);
        auto text = read_attribute(dir, name);
        if (text) {
            view->files[name] = std::move(*text);
        } else if (text.error().code() != std::errc::no_such_file_or_directory) {
            problem(fmt::format("{}: {}", view->node, text.error().message()));
        }
    }
    if (view->vf_index || facts_.total_vfs_file.empty()) return;
    const auto total = read_attribute(dir, std::string(facts_.total_vfs_file));
    if (!total) return;  // a PF without VFs has no such file
    const auto count = number_of<uint32_t>(*total);
    if (count && *count <= UINT16_MAX) {
        view->total_vfs = *count;
    } else {
        problem(fmt::format("{}: {} is no count of VFs", view->node, *total));
    }
}

void Scanner::look_at(const std::string& node) {
    const auto parsed = parse_node(node, facts_.node_prefix);
    if (!parsed) return;
    const std::string path = fmt::format("{}/{}", class_dir_, node);
    const auto dir = root_.open_dir(path);
    if (!dir) {
        // It left since the folder was read: the next scan will not see it.
        if (dir.error().code() != std::errc::no_such_file_or_directory) {
            problem(fmt::format("{}: {}", node, dir.error().message()));
        }
        return;
    }
    Sighting sighting;
    KnownDevice& device = sighting.device;
    FunctionView& view = device.view;
    view.node = node;
    view.parent = parsed->parent;
    view.vf_index = parsed->vf_index;
    device.name = slices::device_name(node);
    device.class_dir = fmt::format("{}/{}", shown_root_, path);
    if (const auto pci = root_.open_dir(path + "/device")) {
        if (const auto way = root_.real_path(*pci)) add_way(*way, &view);
        const auto numa = read_attribute(*pci, "numa_node");
        if (const auto number = numa ? number_of<int>(*numa) : std::nullopt; number) {
            view.numa_node = std::max(*number, -1);
        }
        read_aer(*pci, &sighting);
    }
    add_files(*dir, &view);
    add_dev_node(*dir, &device);
    read_status(*dir, facts_, &sighting);
    scan_.devices.push_back(std::move(sighting));
}

void Scanner::add_future_vfs() {
    std::vector<Sighting> all;
    for (size_t index = 0; index < scan_.devices.size(); ++index) {
        const Sighting pf = scan_.devices[index];
        all.push_back(pf);
        if (pf.device.view.vf_index) continue;
        const uint32_t total = std::min(pf.device.view.total_vfs, kMaxVfs);
        for (uint32_t vf = 0; vf < total && all.size() < kMaxScannedDevices; ++vf) {
            Sighting future;
            FunctionView& view = future.device.view;
            view.node = fmt::format("{}_vf{}", pf.device.view.node, vf);
            const bool exists = std::any_of(
                scan_.devices.begin(), scan_.devices.end(),
                [&view](const Sighting& other) { return other.device.view.node == view.node; });
            if (exists) continue;
            view.pcie_root = pf.device.view.pcie_root;
            view.port_path = pf.device.view.port_path;
            view.numa_node = pf.device.view.numa_node;
            view.parent = pf.device.view.node;
            view.vf_index = vf;
            view.exists = false;
            future.device.name = slices::device_name(view.node);
            future.device.class_dir = fmt::format("{}/{}/{}", shown_root_, class_dir_, view.node);
            all.push_back(std::move(future));
        }
    }
    std::stable_sort(all.begin(), all.end(), [](const Sighting& a, const Sighting& b) {
        return slices::node_before(a.device.view.node, b.device.view.node);
    });
    scan_.devices = std::move(all);
}

Result<Scan> Scanner::run(bool vfs_on_demand) {
    MIMIC_ASSIGN_OR_RETURN(const std::vector<std::string> nodes, names());
    for (const std::string& node : nodes) look_at(node);
    if (vfs_on_demand) add_future_vfs();
    return std::move(scan_);
}

}  // namespace

Result<Scan> scan(const std::string& root, const DraFacts& facts, bool vfs_on_demand) {
    MIMIC_ASSIGN_OR_RETURN(const SysfsRoot sysfs, SysfsRoot::open(root));
    return Scanner(sysfs, root, facts).run(vfs_on_demand);
}

void refresh(const std::string& root, const DraFacts& facts, std::vector<Sighting>* devices) {
    const auto sysfs = SysfsRoot::open(root);
    for (Sighting& sighting : *devices) {
        if (!sighting.device.view.exists) continue;
        const std::string path = fmt::format("sys/class/{}/{}", facts.sysfs_class,
                                             sighting.device.view.node);
        const auto dir = sysfs ? sysfs->open_dir(path) : Result<UniqueFd>(UniqueFd());
        if (!sysfs || !dir) {
            sighting.status.reset();
            sighting.status_error = ENODEV;
            continue;
        }
        read_status(*dir, facts, &sighting);
        if (const auto pci = sysfs->open_dir(path + "/device")) read_aer(*pci, &sighting);
    }
}

}  // namespace mimic::dra
