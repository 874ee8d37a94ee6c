#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What a device plugin finds out first, for docs/tutorials/test-my-device-plugin.md: a line for each accelerator with its
# address, NUMA node, whether it can be given away, and whether it answers. SYSFS is where sysfs is, /sys without it.
sys=${SYSFS:-/sys}
for device in "$sys"/class/mock-accel/*; do
    [ -e "$device" ] || continue
    address=$(basename "$(readlink -f "$device/device")")
    use=free
    # A function whose virtual functions are given away must not be given away itself.
    [ "$(cat "$device/sriov_numvfs" 2>/dev/null || echo 0)" = 0 ] || use=has-vfs
    health=ok
    cat "$device/status" >/dev/null 2>&1 || health=failed
    echo "$address node$(cat "$device/numa_node") $use $health"
done
