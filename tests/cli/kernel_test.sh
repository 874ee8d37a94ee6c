#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# mimic kernel: its script against a folder in place of configfs, and what it says where it cannot work. The module
# itself is tested in guests.
# shellcheck source=/dev/null
. "${BASH_SOURCE[0]%/*}/lib.sh"

mimic=$BIN/mimic
examples=$SRC/examples
export MIMIC_CONFIGFS=$SANDBOX/configfs MIMIC_PCI_DEVICES=$SANDBOX/pci MIMIC_NODES=$SANDBOX/nodes
tree=$MIMIC_CONFIGFS/fake-sriov-vgpu
shims=$SANDBOX/shims
mkdir -p "$tree" "$MIMIC_PCI_DEVICES" "$MIMIC_NODES/node0" "$MIMIC_NODES/node1" "$shims"

# Like configfs: a new folder has attributes, and rmdir of a folder with attributes alone works. A file whose path below
# the tree is in $SANDBOX/broken refuses to be written, one in $SANDBOX/unmade to be made; folders
# in $SANDBOX/appears come with any folder that is made.
cat >"$shims/mkdir" <<SHIM
#!/bin/sh
for unmade in \$(cat "$SANDBOX/unmade" 2>/dev/null); do [ "\$1" != "$tree/\$unmade" ] || exit 1; done
$(command -v mkdir) "\$1" || exit 1
for appears in \$(cat "$SANDBOX/appears" 2>/dev/null); do $(command -v mkdir) -p "\$appears"; done
for broken in \$(cat "$SANDBOX/broken" 2>/dev/null); do
    case $tree/\$broken in "\$1"/*) [ -d "\$(dirname "$tree/\$broken")" ] && ln -sf /dev/full "$tree/\$broken" ;; esac
done
exit 0
SHIM
cat >"$shims/rmdir" <<SHIM
#!/bin/sh
printf '%s\n' "\${1#"$tree/"}" >>"$SANDBOX/removed"
find "\$1" -mindepth 1 -maxdepth 1 ! -type d -delete
exec $(command -v rmdir) "\$1"
SHIM
chmod +x "$shims"/*
PATH=$shims:$PATH

# equals PATH TEXT: the attribute below $tree holds that line.
equals() {
    local got
    got=$(cat "$tree/$1" 2>&1)
    [ "$got" = "$2" ] || bad "$1 is \"$got\", expected \"$2\""
}
empty() { [ -z "$(ls -A "$tree")" ] || bad "left in the tree: $(find "$tree" -mindepth 1 | head)"; }

begin 'usage'
run 2 "$mimic" kernel
run 2 "$mimic" kernel frobnicate
run 2 "$mimic" kernel up
run 2 "$mimic" kernel up "$examples/single.yaml" --domain 65536
run 2 "$mimic" kernel up "$examples/single.yaml" --driver magic
run 1 "$mimic" kernel up "$SANDBOX/none.yaml"
run 2 "$mimic" kernel verify "$SANDBOX/none.yaml"
run 1 "$mimic" kernel up "$examples/two-node-cluster.yaml"
has err '2 machines'
run 1 "$mimic" kernel up "$examples/dual-numa.yaml" --domain 65535
has err 'domains end at 0xffff'
empty

begin 'up, status, down'
run 0 "$mimic" kernel up "$examples/dual-numa.yaml"
[ ! -s "$SANDBOX/err" ] || bad 'it says something'
equals dual-numa-numa0/domain 16
equals dual-numa-numa1/domain 17
equals dual-numa-numa1/numa_node 1
equals dual-numa-numa1/live 1
equals dual-numa-numa1/accel-1/vendor 0x1de5
equals dual-numa-numa1/accel-1/link_speed 5
equals dual-numa-numa1/accel-1/link_width 8
equals dual-numa-numa1/accel-1/driver none
[ "$(head -c 4 "$tree/dual-numa-numa1/accel-1/bar0_image")" = KCOM ] || bad 'no registers'
grep -qa MOCK-NUMA1-0001 "$tree/dual-numa-numa1/accel-1/bar0_image" || bad 'no label'
run 0 "$mimic" kernel status "$examples/dual-numa.yaml"
has out 'dual-numa-numa0 up'
run 1 "$mimic" kernel up "$examples/dual-numa.yaml"
has err 'is the machine up already?'
equals dual-numa-numa0/live 1
rm -f "$SANDBOX/removed"
run 0 "$mimic" kernel down "$examples/dual-numa.yaml"
empty
# Functions go before their buses.
[ "$(tail -n 2 "$SANDBOX/removed" | sort)" = $'dual-numa-numa0\ndual-numa-numa1' ] || bad 'buses went first'
run 1 "$mimic" kernel status "$examples/dual-numa.yaml"
has out 'dual-numa-numa0 absent'
run 0 "$mimic" kernel down "$examples/dual-numa.yaml"

begin 'virtual functions'
run 0 "$mimic" kernel up "$examples/fabric-sriov.yaml"
equals fabric-sriov/gpu0/total_vfs 64
equals fabric-sriov/gpu0/vf_bar2_size 65536
for i in 0 63; do
    [ "$(dd if="$tree/fabric-sriov/gpu0/vf_bar0_image" bs=1 skip=$((i * 4096)) count=4 2>/dev/null)" = KCOM ] ||
        bad "no registers of VF $i at its place"
    dd if="$tree/fabric-sriov/gpu0/vf_bar0_image" bs=4096 skip="$i" count=1 2>/dev/null |
        grep -qa "$(printf 'FABRIC-VF-%02d' "$i")" || bad "no label of VF $i"
done
run 0 "$mimic" kernel down "$examples/fabric-sriov.yaml"
empty

# A kernel in which the function appears, first without a driver.
run 1 "$mimic" kernel up "$examples/fabric-sriov.yaml" --numvfs 4
has err 'no driver is bound to 0010:00:00.0'
empty
printf '%s\n' "$MIMIC_PCI_DEVICES/0010:00:00.0/driver" >"$SANDBOX/appears"
run 0 "$mimic" kernel up "$examples/fabric-sriov.yaml" --numvfs all
[ "$(cat "$MIMIC_PCI_DEVICES/0010:00:00.0/sriov_numvfs")" = 64 ] || bad 'no VFs'
run 0 "$mimic" kernel down "$examples/fabric-sriov.yaml"
rm -r "$SANDBOX/appears" "$MIMIC_PCI_DEVICES/0010:00:00.0"

begin 'the same script elsewhere'
"$mimic" kernel plan "$examples/sriov-static.yaml" >"$SANDBOX/script" || bad 'no script'
run 0 sh "$SANDBOX/script" up
equals sriov-numa0/pf/total_vfs 4
run 0 sh "$SANDBOX/script" down
empty
run 2 sh "$SANDBOX/script"
run 2 sh "$SANDBOX/script" sideways
for shell in dash bash 'busybox sh'; do
    command -v "${shell%% *}" >/dev/null || continue
    # shellcheck disable=SC2086 # Two words.
    run 0 $shell "$SANDBOX/script" up
    # shellcheck disable=SC2086
    run 0 $shell "$SANDBOX/script" down
    empty
done
if command -v shellcheck >/dev/null; then run 0 shellcheck -s sh "$SANDBOX/script"; fi

begin 'GPUs'
run 0 "$mimic" kernel up "$examples/sriov-static.yaml" --driver nvidia
equals sriov-numa0/pf/driver nvidia
equals sriov-numa0/pf/vgpu_memory 16384
absent "$tree/sriov-numa0/pf/vendor"
run 0 "$mimic" kernel down "$examples/sriov-static.yaml"

begin 'no such NUMA node'
rmdir "$MIMIC_NODES/node1"
run 0 "$mimic" kernel up "$examples/dual-numa.yaml"
has err 'no NUMA node 1'
absent "$tree/dual-numa-numa1/numa_node"
run 0 "$mimic" kernel down "$examples/dual-numa.yaml"

begin 'a domain in use'
: >"$MIMIC_PCI_DEVICES/0011:00:00.0"
run 1 "$mimic" kernel up "$examples/dual-numa.yaml"
has err 'PCI domain 0011 is in use'
empty
run 0 "$mimic" kernel up "$examples/dual-numa.yaml" --domain 32
equals dual-numa-numa1/domain 33
run 0 "$mimic" kernel down "$examples/dual-numa.yaml" --domain 32
rm "$MIMIC_PCI_DEVICES/0011:00:00.0"

begin 'a step that fails takes back those before it'
for broken in dual-numa-numa0/domain dual-numa-numa0/accel-0/class dual-numa-numa1/accel-1/bar0_image \
    dual-numa-numa1/live; do
    printf '%s\n' "$broken" >"$SANDBOX/broken"
    run 1 "$mimic" kernel up "$examples/dual-numa.yaml"
    has err "$broken"
    has err 'is removed again'
    empty
done
rm "$SANDBOX/broken"
# What was there before stays.
mkdir "$tree/dual-numa-numa1"
run 1 "$mimic" kernel up "$examples/dual-numa.yaml"
has err 'exists'
[ -d "$tree/dual-numa-numa1" ] || bad 'removed the bus of somebody else'
rmdir "$tree/dual-numa-numa1"
empty
for unmade in dual-numa-numa1 dual-numa-numa1/accel-1; do
    printf '%s\n' "$unmade" >"$SANDBOX/unmade"
    run 1 "$mimic" kernel up "$examples/dual-numa.yaml"
    has err 'cannot make'
    empty
done
rm "$SANDBOX/unmade"

begin 'no module, no configfs, no root'
rmdir "$tree"
run 1 "$mimic" kernel up "$examples/single.yaml"
has err 'is not there'
run 0 "$mimic" kernel down "$examples/single.yaml"
run 1 "$mimic" kernel up "$examples/single.yaml" --module "$SANDBOX/none.ko"
has err "cannot load $SANDBOX/none.ko"
unset MIMIC_CONFIGFS
if [ ! -d /sys/kernel/config/fake-sriov-vgpu ]; then
    "$mimic" kernel plan "$examples/single.yaml" >"$SANDBOX/script"
    chmod 755 "$SANDBOX"
    chmod 644 "$SANDBOX/script"
    if [ "$(id -u)" = 0 ] && command -v setpriv >/dev/null; then
        run 1 setpriv --reuid=65534 --clear-groups sh "$SANDBOX/script" up
        has err 'needs root'
    fi
    # This kernel either has no configfs or no module; both have words.
    run 1 "$mimic" kernel up "$examples/single.yaml"
    has err 'mimic kernel: error:'
fi

begin 'verify'
run 2 "$mimic" kernel verify "$examples/single.yaml" --probe "$SANDBOX/none"
printf 'nonsense\n' >"$SANDBOX/probe"
run 2 "$mimic" kernel verify "$examples/single.yaml" --probe "$SANDBOX/probe"
printf 'mimic-probe=1\nkernel=1.2.3\n@end\n' >"$SANDBOX/probe"
run 1 "$mimic" kernel verify "$examples/single.yaml" --probe "$SANDBOX/probe"
has out 'gpu0 (0010:00:00.0): PCI function: expected present, got nothing'
has out 'not checked (1): ports above devices'
run 1 "$mimic" kernel verify "$examples/single.yaml" --probe "$SANDBOX/probe" --json
has out '"not_checked"'
# This kernel has no such bus, and says so by itself.
run 1 "$mimic" kernel verify "$examples/single.yaml"
