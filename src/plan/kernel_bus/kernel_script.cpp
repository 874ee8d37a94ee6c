// SPDX-License-Identifier: Apache-2.0
// The script is what `mimic kernel up` runs itself, so there is one way only to make a bus. It has
// to run in dash and busybox. Names in it are RFC 1123 labels: nothing needs to be quoted.
#include <algorithm>
#include <set>
#include <string_view>

#include <fmt/format.h>

#include "kernel_bus/kernel_plan.h"

namespace mimic::kernel_bus {
namespace {

using topology::FunctionSpec;

constexpr uint64_t kBar0Bytes = 4096;
constexpr uint64_t kMaxVgpuMemory = 1ull << 24;  // MiB
// Registers end where the device has its MSI-X table; the module's is elsewhere.
constexpr size_t kRegisterBytes = 0x800;

// Everything that does not depend on the machine. Environment, for tests and for modules that are
// not installed: MIMIC_CONFIGFS, MIMIC_PCI_DEVICES, MIMIC_NODES, MIMIC_MODULE, MIMIC_DRIVER_MODULE.
constexpr std::string_view kFunctions = R"sh(
action=${1:-}
configfs=${MIMIC_CONFIGFS:-/sys/kernel/config}
pci=${MIMIC_PCI_DEVICES:-/sys/bus/pci/devices}
nodes=${MIMIC_NODES:-/sys/devices/system/node}
tree=$configfs/fake-sriov-vgpu
made=

say() { printf 'mimic kernel: %s\n' "$*" >&2; }

# Removes those of the folders $1 that are there: functions stand before their buses. Buses go
# offline first, so that no device outlives its description; one that does not goes by rmdir.
remove() {
    result=0
    for folder in $1; do
        case $folder in */*) continue ;; esac
        [ -d "$tree/$folder" ] || continue
        { printf '0\n' >"$tree/$folder/live"; } 2>/dev/null
    done
    for folder in $1; do
        [ -d "$tree/$folder" ] || continue
        rmdir "$tree/$folder" || result=1
    done
    return $result
}

# Undoes what this run did.
fail() {
    say "error: $*"
    trap - INT TERM HUP
    if [ -n "$made" ]; then
        remove "$made" && say "what was made is removed again"
    fi
    exit 1
}

# put FILE VALUE
put() {
    message=$({ printf '%s\n' "$2" >"$1"; } 2>&1) || fail "cannot write $2 to $1: ${message##*: }"
}

# bus NAME DOMAIN NODE
bus() {
    [ ! -e "$tree/$1" ] || fail "$tree/$1 exists; is the machine up already? (mimic kernel down)"
    mkdir "$tree/$1" || fail "cannot make $tree/$1"
    made="$1 $made"
    at=$1
    put "$tree/$at/domain" "$2"
    [ "$3" != -1 ] || return 0
    if [ -d "$nodes/node$3" ]; then
        put "$tree/$at/numa_node" "$3"
    else
        say "warning: this kernel has no NUMA node $3: the devices of bus $1 have none"
    fi
}

# pf BUS NAME: what follows describes it
pf() {
    at=$1/$2
    mkdir "$tree/$at" || fail "cannot make $tree/$at"
    made="$at $made"
}

# attribute NAME VALUE
attribute() { put "$tree/$at/$1" "$2"; }

zeros() { dd if=/dev/zero bs="$1" count=1 2>/dev/null; }

# The domains must be free before anything is made.
free() {
    for there in "$pci/$1":*; do
        [ ! -e "$there" ] || fail "PCI domain $1 is in use (${there##*/}); take others: --domain"
    done
}

# vfs ADDRESS COUNT: the driver of a PF enables its VFs
vfs() {
    [ -e "$pci/$1/driver" ] || fail "no driver is bound to $1, so it has no virtual functions"
    put "$pci/$1/sriov_numvfs" "$2"
}

need_module() {
    [ ! -d "$tree" ] || return 0
    if [ -z "${MIMIC_CONFIGFS:-}" ]; then
        [ "$(id -u)" = 0 ] || fail "needs root"
        mountpoint -q "$configfs" 2>/dev/null || modprobe configfs 2>/dev/null
        [ -e "$configfs" ] || fail "this kernel has no configfs (CONFIG_CONFIGFS_FS)"
    fi
    if [ -n "${MIMIC_MODULE:-}" ]; then
        message=$(insmod "$MIMIC_MODULE" 2>&1) || fail "cannot load $MIMIC_MODULE: $message"
    elif [ -z "${MIMIC_CONFIGFS:-}" ]; then
        message=$(modprobe fake-sriov-vgpu 2>&1) ||
            fail "cannot load fake-sriov-vgpu: ${message:-modprobe failed}; see docs/kernel-bus.md"
    fi
    # Not everybody mounts it.
    [ -d "$tree" ] || [ -n "${MIMIC_CONFIGFS:-}" ] ||
        mount -t configfs configfs "$configfs" 2>/dev/null
    [ -d "$tree" ] || fail "$tree is not there: configfs is not mounted, or the module not loaded"
}

# The driver of the devices; without it they are there, but nothing reads them.
want_driver() {
    [ -z "${MIMIC_CONFIGFS:-}" ] || return 0
    [ ! -d "/sys/bus/pci/drivers/$1" ] || return 0
    if [ -n "${MIMIC_DRIVER_MODULE:-}" ]; then
        insmod "$MIMIC_DRIVER_MODULE" || fail "cannot load $MIMIC_DRIVER_MODULE"
    else
        modprobe -q "$1" 2>/dev/null || say "warning: no driver $1: the devices stay without one"
    fi
}
)sh";

constexpr std::string_view kEnd = R"sh(
down() { remove "$all"; }

status() {
    result=0
    for folder in $all; do
        case $folder in */*) continue ;; esac
        state=absent
        if [ -r "$tree/$folder/live" ]; then
            read -r live <"$tree/$folder/live"
            state=down
            if [ "$live" = 1 ]; then state=up; fi
        fi
        [ "$state" = up ] || result=1
        printf '%s %s\n' "$folder" "$state"
    done
    return $result
}

case $action in
up | down | status) "$action" ;;
*)
    printf 'usage: sh %s up|down|status\n' "${0##*/}" >&2
    exit 2
    ;;
esac
)sh";

/// Octal escapes for printf(1).
std::string octal(std::string_view bytes) {
    std::string out;
    for (const char c : bytes) out += fmt::format("\\{:03o}", static_cast<unsigned char>(c));
    return out;
}

class ScriptMaker {
public:
    ScriptMaker(const KernelPlan& plan, const Registers& registers)
        : plan_(plan), registers_(registers) {}

    Result<std::string> make() {
        out_ = fmt::format(
            "#!/bin/sh\n"
            "# Machine {} on this kernel, by the module fake-sriov-vgpu. Printed by: mimic kernel "
            "plan\n"
            "# usage: sh FILE up|down|status\n",
            plan_.machine->name);
        for (const KernelLoss& loss : plan_.losses)
            out_ += fmt::format("# not here: {}\n", loss.what);
        out_ += kFunctions;
        add_all();
        MIMIC_TRY(add_up());
        out_ += kEnd;
        return std::move(out_);
    }

private:
    void line(std::string_view text) { out_ += fmt::format("    {}\n", text); }

    template <typename Value>
    void set(std::string_view name, const Value& value) {
        line(fmt::format("attribute {} {}", name, value));
    }

    void add_all() {
        std::string buses;
        std::string functions;
        for (const KernelBus& bus : plan_.buses) {
            buses.insert(0, fmt::format("{} ", bus.name));
            for (const KernelFunction& function : bus.functions) {
                functions += fmt::format("{}/{} ", bus.name, function.name);
            }
        }
        out_ += fmt::format("\nall='{}{}'\n", functions, buses.substr(0, buses.size() - 1));
    }

    bool is_model() const { return plan_.options.driver == KernelDriver::kModel; }

    /// Drivers of the models, each once.
    std::set<std::string_view> drivers() const {
        std::set<std::string_view> out;
        for (const KernelBus& bus : plan_.buses) {
            for (const KernelFunction& function : bus.functions) {
                const std::string_view driver = function.device->functions.front().driver().name;
                if (!driver.empty()) out.insert(driver);
            }
        }
        return out;
    }

    Status add_up() {
        out_ += "\nup() {\n";
        line("need_module");
        if (is_model()) {
            for (const std::string_view driver : drivers())
                line(fmt::format("want_driver {}", driver));
        }
        for (const KernelBus& bus : plan_.buses) line(fmt::format("free {:04x}", bus.domain));
        line("trap 'fail interrupted' INT TERM HUP");
        for (const KernelBus& bus : plan_.buses) {
            line(fmt::format("bus {} {} {}", bus.name, bus.domain,
                             bus.numa_node ? static_cast<int>(*bus.numa_node) : -1));
            for (const KernelFunction& function : bus.functions) MIMIC_TRY(add(bus, function));
        }
        for (const KernelBus& bus : plan_.buses) {
            line(fmt::format("put \"$tree/{}/live\" 1", bus.name));
        }
        for (const KernelBus& bus : plan_.buses) {
            for (const KernelFunction& function : bus.functions) {
                if (function.enabled_vfs == 0) continue;
                line(fmt::format("vfs {} {}", function.bdf.str(), function.enabled_vfs));
            }
        }
        out_ += "}\n";
        return {};
    }

    Status add(const KernelBus& bus, const KernelFunction& function) {
        const FunctionSpec& pf = function.device->functions.front();
        line(fmt::format("pf {} {}", bus.name, function.name));
        set("slot", function.slot);
        set("function", 0);
        set("link_speed", function.device->link.generation);
        if (function.link_width > 0) set("link_width", function.link_width);
        set("total_vfs", function.total_vfs);
        if (!is_model()) {
            set("driver", "nvidia");
            set("vgpu_memory", std::min(pf.memory_size() >> 20, kMaxVgpuMemory));
            return {};
        }
        set("driver", "none");
        set("vendor", fmt::format("0x{:04x}", pf.vendor_id));
        set("device", fmt::format("0x{:04x}", pf.device_id));
        set("subsystem_vendor", 0);
        set("subsystem_device", 0);
        set("class", fmt::format("0x{:06x}", function.class_code));
        set("revision", 0);
        set("msix_vectors", pf.vectors());
        set("bar0_size", kBar0Bytes);
        set("bar2_size", function.bar2_size);
        MIMIC_TRY(add_image("bar0_image", {pf.name}));
        if (function.total_vfs == 0) return {};
        set("vf_device", fmt::format("0x{:04x}", function.device->functions.back().device_id));
        set("vf_bar0_size", kBar0Bytes);
        set("vf_bar2_size", function.vf_bar2_size);
        std::vector<std::string> names;
        for (const FunctionSpec& vf : function.device->functions) {
            if (vf.is_vf()) names.push_back(vf.name);
        }
        return add_image("vf_bar0_image", names);
    }

    /// BAR0 of functions one behind another, in one open file, as the module wants it.
    Status add_image(std::string_view file, const std::vector<std::string>& names) {
        line("{");
        for (size_t i = 0; i < names.size(); ++i) {
            const auto found = registers_.find(names[i]);
            if (found == registers_.end()) {
                return fail(std::errc::invalid_argument, "no registers of {}", names[i]);
            }
            std::string_view bytes = std::string_view(found->second).substr(0, kRegisterBytes);
            bytes = bytes.substr(0, bytes.find_last_not_of('\0') + 1);
            const bool is_last = i + 1 == names.size();
            line(fmt::format("    printf '{}'{}", octal(bytes), is_last ? "" : " &&"));
            if (!is_last) line(fmt::format("    zeros {} &&", kBar0Bytes - bytes.size()));
        }
        line(fmt::format("}} >\"$tree/$at/{0}\" || fail \"cannot write $tree/$at/{0}\"", file));
        return {};
    }

    const KernelPlan& plan_;
    const Registers& registers_;
    std::string out_;
};

}  // namespace

Result<std::string> kernel_script(const KernelPlan& plan, const Registers& registers) {
    return ScriptMaker(plan, registers).make();
}

}  // namespace mimic::kernel_bus
