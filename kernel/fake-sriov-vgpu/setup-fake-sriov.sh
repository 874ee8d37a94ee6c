#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# setup-fake-sriov.sh: loads fake-sriov-vgpu and makes functions that look like VFs with a vGPU. Needs root. POSIX
# shell, so that busybox runs it too. FAKE_SRIOV_MODULE names the module file (default: beside this script, then
# whatever modprobe finds); FAKE_SRIOV_PARAMETERS is for the module (domain=7, driver_name=other).
set -eu

VFS=${FAKE_SRIOV_VFS:-4}
TYPE=${FAKE_SRIOV_VGPU_TYPE:-256}
CONTROL=${FAKE_SRIOV_CONTROL:-/sys/class/fake-sriov-vgpu/control}
here=$(cd "$(dirname "$0")" && pwd)

usage() {
    cat <<'TEXT'
usage: setup-fake-sriov.sh COMMAND

  setup                       load the module, make FAKE_SRIOV_VFS (4) functions of FAKE_SRIOV_VGPU_TYPE (256)
  cleanup                     remove all functions, unload the module
  status                      what there is
  create-vf SLOT FUNC [TYPE]  one function; TYPE 0: without a vGPU
  remove-vf SLOT FUNC
  vfio ADDRESS                bind one to vfio-pci and print its /dev/vfio/GROUP; sets allow_unsafe_interrupts, for all
                              devices of the machine
TEXT
}

die() {
    echo "setup-fake-sriov: $*" >&2
    exit 1
}

# Writes a line to a file of the control device; the kernel's reason is what the shell prints.
control() {
    [ -e "$CONTROL/$1" ] || die "the module is not loaded (run: $0 setup)"
    echo "$2" >"$CONTROL/$1" || die "the kernel refused '$2' for $1; see dmesg"
}

load() {
    [ ! -e "$CONTROL" ] || return 0
    module=${FAKE_SRIOV_MODULE:-$here/fake-sriov-vgpu.ko}
    # configfs may be a module of its own, and insmod does not look for it.
    modprobe configfs 2>/dev/null || true
    grep -qw configfs /proc/filesystems ||
        die "this kernel has no configfs (CONFIG_CONFIGFS_FS), or modprobe does not find its module"
    # shellcheck disable=SC2086 # parameters are words
    if [ -e "$module" ]; then
        insmod "$module" ${FAKE_SRIOV_PARAMETERS:-}
    else
        modprobe fake-sriov-vgpu ${FAKE_SRIOV_PARAMETERS:-}
    fi || die "cannot load the module; see dmesg"
}

setup() {
    case $VFS in '' | *[!0-9]*) die "FAKE_SRIOV_VFS must be a number from 0 to 32, not '$VFS'" ;; esac
    [ "$VFS" -le 32 ] || die "FAKE_SRIOV_VFS must be a number from 0 to 32, not '$VFS'"
    load
    made=0
    slot=0
    # Slot 31 has the physical function, so what does not fit below it goes to the next function number.
    while [ "$made" -lt "$VFS" ]; do
        control create "$((slot % 31)) $((slot / 31)) $TYPE"
        slot=$((slot + 1))
        made=$((made + 1))
    done
    status
}

status() {
    [ -e "$CONTROL/list" ] || die "the module is not loaded"
    cat "$CONTROL/list"
}

vfio() {
    function=/sys/bus/pci/devices/$1
    [ -e "$function" ] || die "there is no PCI function $1"
    [ "$(cat "$function/iommu_group/name" 2>/dev/null)" = fake-sriov-vgpu ] ||
        die "$1 is not of fake-sriov-vgpu, or has no IOMMU group (parameter iommu_groups)"
    for module in vfio-pci vfio_iommu_type1; do
        modprobe "$module" || die "cannot load $module"
    done
    # The software IOMMU isolates no interrupts, and need not: its functions raise none.
    unsafe=/sys/module/vfio_iommu_type1/parameters/allow_unsafe_interrupts
    if [ "$(cat "$unsafe")" = N ]; then
        echo "setup-fake-sriov: allow_unsafe_interrupts is on from now on, for all devices" >&2
        echo Y >"$unsafe"
    fi
    echo vfio-pci >"$function/driver_override"
    [ ! -e "$function/driver" ] || echo "$1" >"$function/driver/unbind"
    echo "$1" >/sys/bus/pci/drivers_probe
    case $(readlink "$function/driver") in
        */vfio-pci) ;;
        *) die "vfio-pci did not take $1; see dmesg" ;;
    esac
    group=$(readlink "$function/iommu_group")
    echo "/dev/vfio/${group##*/}"
}

cleanup() {
    [ -e "$CONTROL" ] || return 0
    # What is open in VFIO goes when that is closed, and unloading waits for it.
    (control clear 1) || echo "setup-fake-sriov: a function is in use; waiting until it is closed" >&2
    rmmod fake_sriov_vgpu || die "cannot unload the module; is there a folder in /sys/kernel/config/fake-sriov-vgpu?"
}

command=${1:-}
[ $# -eq 0 ] || shift
case "$command $#" in
    "setup 0") setup ;;
    "cleanup 0") cleanup ;;
    "status 0") status ;;
    "create-vf 2") control create "$1 $2 $TYPE" ;;
    "create-vf 3") control create "$1 $2 $3" ;;
    "remove-vf 2") control remove "$1 $2" ;;
    "vfio 1") vfio "$1" ;;
    "-h 0" | "--help 0" | "help 0") usage ;;
    *) usage >&2; exit 2 ;;
esac
