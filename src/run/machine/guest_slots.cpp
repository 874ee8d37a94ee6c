// SPDX-License-Identifier: Apache-2.0
#include "machine/guest_slots.h"

#include <ctime>

#include "base/terminal_text.h"

namespace mimic::machine {
namespace {

using namespace std::chrono_literals;

// An emulated guest on a busy host; a function of a PF with 64 VFs takes some seconds to go.
constexpr auto kScript = 300s;
constexpr size_t kMostSaid = 500;  // of what a guest's script prints, in a message

// $list: addresses. The notes are in the guest, whose memory is what is saved; who wrote them need
// not be believed: they only steer this guest. Each part is tried, whatever comes of another, and
// the notes stay until all of them are done.
constexpr std::string_view kFunctions = R"(
notes=/run/mimic-snapshot
put_back() {
    failed=0 missing=
    echo 1 >/sys/bus/pci/rescan
    for address in $list; do
        [ -e "/sys/bus/pci/devices/$address" ] || missing="$missing $address"
    done
    if [ -e "$notes/vfs" ]; then
        while read -r count file; do
            read -r now <"$file" && [ "$now" = "$count" ] || echo "$count" >"$file" || failed=1
        done <"$notes/vfs"
    fi
    if [ -e "$notes/mounts" ]; then
        while read -r source folder type options; do
            while read -r _ there _; do [ "$there" != "$folder" ] || continue 2; done </proc/mounts
            mount -t "$type" -o "$options" "$source" "$folder" || failed=1
        done <"$notes/mounts"
    fi
    [ -z "$missing" ] || { echo "${missing# }" >&2; return 19; }
    [ "$failed" = 0 ] && rm -rf "$notes"
}
)";

// VFs come after their PF in the list and go before it, so it is walked backwards. A folder that
// somebody works in cannot be unmounted, and QEMU saves no guest that has one of 9p mounted. Notes
// that are there are those of a snapshot that was killed.
constexpr std::string_view kTakeOut = R"(
[ ! -d "$notes" ] || put_back || exit 1
mkdir -p "$notes" || exit 1
while read -r source folder type options _; do
    case $type in 9p | virtiofs) ;; *) continue ;; esac
    umount "$folder" || { echo "$folder is in use" >&2; exit 1; }
    printf '%s %s %s %s\n' "$source" "$folder" "$type" "$options" >>"$notes/mounts"
done </proc/mounts
for file in /sys/bus/pci/devices/*/sriov_numvfs /sys/class/*/*/sriov_numvfs; do
    [ -e "$file" ] && read -r count <"$file" || continue
    [ "$count" = 0 ] || echo "$count $file" >>"$notes/vfs"
done
backwards=
for address in $list; do backwards="$address $backwards"; done
for address in $backwards; do
    folder=/sys/bus/pci/devices/$address
    [ ! -e "$folder" ] || echo 1 >"$folder/remove"
done
sync
for address in $list; do
    [ ! -e "/sys/bus/pci/devices/$address" ] || { echo "$address" >&2; exit 16; }
done
)";

constexpr std::string_view kPutBack = "put_back\n";

Status run_script(guest_agent::GuestAgent& agent, std::string_view what, std::errc special,
                  int special_status, const std::string& text) {
    MIMIC_ASSIGN_OR_RETURN(const auto done, agent.exec({"/bin/sh", "-s"}, text, kScript));
    if (done.exit_status == 0 && done.signal == 0) return {};
    const bool is_special = done.signal == 0 && done.exit_status == special_status;
    std::string said = done.err.substr(0, kMostSaid);
    while (said.ends_with('\n')) said.pop_back();
    return fail(is_special ? special : std::errc::io_error, "{}: {}", what, terminal_lines(said));
}

std::string with_list(const topology::Machine& machine, std::string_view script) {
    std::string list;
    for (const std::string& address : served_addresses(machine))
        list += (list.empty() ? "" : " ") + address;
    return "list='" + list + "'" + std::string(kFunctions) + std::string(script);
}

}  // namespace

std::vector<std::string> served_addresses(const topology::Machine& machine) {
    std::vector<std::string> addresses;
    for (const topology::DeviceSpec& device : machine.devices) {
        if (device.on_fabric || device.is_vhost_user()) continue;
        for (const auto& function : device.functions) addresses.push_back(function.bdf.str());
    }
    for (const topology::FabricSpec& fabric : machine.fabrics)
        addresses.push_back(fabric.bdf.str());
    return addresses;
}

Status take_devices_out(guest_agent::GuestAgent& agent, const topology::Machine& machine) {
    return run_script(agent, "the guest cannot let go of its devices",
                      std::errc::device_or_resource_busy, 16, with_list(machine, kTakeOut));
}

Status put_devices_back(guest_agent::GuestAgent& agent, const topology::Machine& machine) {
    return run_script(agent, "the guest does not get its devices back", std::errc::no_such_device,
                      19, with_list(machine, kPutBack));
}

Status set_guest_clock(guest_agent::GuestAgent& agent) {
    const std::string now = "@" + std::to_string(std::time(nullptr));
    MIMIC_ASSIGN_OR_RETURN(const auto done, agent.exec({"date", "-s", now}, "", kScript));
    if (done.exit_status == 0 && done.signal == 0) return {};
    return fail(std::errc::io_error, "cannot set the guest's clock: {}",
                terminal_lines(done.err.substr(0, kMostSaid)));
}

}  // namespace mimic::machine
