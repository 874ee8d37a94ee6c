#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# mimic tree: the folder that it writes, as lspci, umockdev and the probe of mimic verify read it.
# shellcheck source=/dev/null
. "${BASH_SOURCE[0]%/*}/lib.sh"

mimic=$BIN/mimic
examples=$SRC/examples
out=$SANDBOX/tree
pci=$out/sys/bus/pci/devices

# make_tree EXAMPLE ARGUMENTS...
make_tree() {
    local name=$1
    shift
    rm -rf "$out"
    run 0 "$mimic" tree "$examples/$name.yaml" "$out" "$@"
    [ ! -s "$SANDBOX/err" ] || bad 'it says something'
}

# equals PATH TEXT: the file below $out holds that line.
equals() {
    local got
    got=$(cat "$out/$1" 2>&1)
    [ "$got" = "$2" ] || bad "$1 is \"$got\", expected \"$2\""
}

# leads PATH END: the link below $out exists, leads to something inside, and ends so.
leads() {
    local target
    target=$(readlink -e "$out/$1") || { bad "$1 leads nowhere"; return; }
    case $target in "$(readlink -f "$out")"/*"$2") ;; *) bad "$1 leads to $target, expected .../$2" ;; esac
}

# What the probe prints of the tree.
probe() {
    sed "s|/sys/|$out/sys/|g" "$SRC/guest/init/probe" | sh 2>/dev/null
}

begin 'usage'
run 2 "$mimic" tree
run 2 "$mimic" tree "$examples/single.yaml"
run 2 "$mimic" tree "$examples/single.yaml" "$out" --numvfs -1
run 2 "$mimic" tree "$examples/single.yaml" "$out" --numvfs some
run 1 "$mimic" tree "$SANDBOX/none.yaml" "$out"
run 1 "$mimic" tree "$examples/two-node-cluster.yaml" "$out"
has err '2 machines'
run 1 "$mimic" tree "$examples/two-node-cluster.yaml" "$out" --machine nod1
has err 'did you mean node1?'
absent "$out"
run 0 "$mimic" tree "$examples/two-node-cluster.yaml" "$out" --machine node2
equals sys/class/mock-accel/mock0/uuid NODE2-NUMA0-PF

begin 'where it may write'
run 1 "$mimic" tree "$examples/single.yaml" "$out"
has err 'not empty'
run 0 "$mimic" tree "$examples/single.yaml" "$out" --force
equals sys/class/mock-accel/mock0/uuid single-gpu0
absent "$pci/0000:11:00.0"
mkdir -p "$SANDBOX/mine/sys"
: >"$SANDBOX/mine/sys/precious"
run 1 "$mimic" tree "$examples/single.yaml" "$SANDBOX/mine" --force
has err 'it stays'
[ -e "$SANDBOX/mine/sys/precious" ] || bad 'removed what was not its own'
mkdir "$SANDBOX/outside"
ln -s "$SANDBOX/outside" "$SANDBOX/link"
run 1 "$mimic" tree "$examples/single.yaml" "$SANDBOX/link"
run 1 "$mimic" tree "$examples/single.yaml" "$SANDBOX/link/" --force
[ -z "$(ls -A "$SANDBOX/outside")" ] || bad 'followed a link'
run 1 "$mimic" tree "$examples/single.yaml" "$SANDBOX/no/such/folder"
if mkdir "$SANDBOX/full" && mount -t tmpfs -o size=64k none "$SANDBOX/full" 2>/dev/null; then
    run 1 "$mimic" tree "$examples/switch-tree.yaml" "$SANDBOX/full/tree"
    has err 'No space left'
fi

begin 'two NUMA nodes'
make_tree dual-numa
equals sys/bus/pci/devices/0000:21:00.0/vendor 0x1de5
equals sys/bus/pci/devices/0000:21:00.0/numa_node 1
equals sys/bus/pci/devices/0000:21:00.0/local_cpulist 1
equals sys/bus/pci/devices/0000:21:00.0/current_link_speed '32.0 GT/s PCIe'
equals sys/bus/pci/devices/0000:21:00.0/current_link_width 8
equals sys/devices/system/node/node1/distance '21 10'
equals sys/devices/system/node/online 0-1
leads sys/bus/pci/devices/0000:21:00.0 devices/pci0000:20/0000:20:00.0/0000:21:00.0
leads sys/bus/pci/devices/0000:21:00.0/driver bus/pci/drivers/mock-accel
leads sys/bus/pci/devices/0000:21:00.0/iommu_group kernel/iommu_groups/3
leads sys/class/mock-accel/mock1/device 0000:21:00.0
# A moved tree is still whole: no link is absolute.
mv "$out" "$SANDBOX/moved"
[ -z "$(find "$SANDBOX/moved" -lname '/*')" ] || bad 'absolute links'
[ -z "$(find "$SANDBOX/moved" -xtype l ! -path '*/node/node*/cpu*')" ] || bad 'links that lead nowhere'

begin 'native VFs'
make_tree fabric-sriov
equals sys/bus/pci/devices/10000:01:00.0/sriov_totalvfs 64
equals sys/bus/pci/devices/10000:01:00.0/sriov_numvfs 0
absent "$pci/10000:01:00.1"
make_tree fabric-sriov --numvfs all
equals sys/bus/pci/devices/10000:01:00.0/sriov_numvfs 64
equals sys/class/mock-accel/mock0_vf63/uuid FABRIC-VF-63
leads sys/bus/pci/devices/10000:01:00.0/virtfn63 10000:01:08.0
leads sys/bus/pci/devices/10000:01:08.0/physfn 10000:01:00.0
leads sys/bus/pci/devices/0000:01:00.0/domain pci_bus/10000:00
[ "$(stat -c %s "$pci/10000:01:08.0/config")" -eq 4096 ] || bad 'config is not 4096 bytes'

begin 'static VFs'
make_tree sriov-static --numvfs 2
equals sys/class/mock-accel/mock0/sriov_numvfs 2
leads sys/class/mock-accel/mock0/virtfn1 mock0_vf1
[ -e "$pci/0000:11:00.4" ] || bad 'a static VF is missing'
absent "$out/sys/class/mock-accel/mock0_vf2"

begin 'an empty slot'
make_tree hotplug
equals sys/bus/pci/slots/11/adapter 1
equals sys/bus/pci/slots/12/adapter 0
absent "$pci/10000:02:00.0"

begin 'the probe finds what the plan says'
# Each fact of /sys that mimic verify compares; the tools that open devices are not there.
for example in single dual-numa sriov-static fabric-sriov switch-tree; do
    make_tree "$example" --numvfs 2
    probe >"$SANDBOX/probe"
    grep -qx '@end' "$SANDBOX/probe" || bad "$example: the probe did not end"
    python3 - "$SANDBOX/probe" <("$mimic" plan "$examples/$example.yaml" --format tree) <<'CHECK' >"$SANDBOX/out" || bad "$example differs"
import json, sys
records, at = {}, None
for line in open(sys.argv[1]):
    line = line.rstrip("\n")
    if line.startswith("@"):
        at = records.setdefault(line, {})
    elif at is not None and "=" in line:
        key, value = line.split("=", 1)
        at[key] = value
wrong = checks = 0
def same(what, want, got):
    global wrong, checks
    checks += 1
    if want != got:
        wrong += 1
        print(what, "want", want, "got", got)
machine = json.load(open(sys.argv[2]))["machines"][0]
for device in machine["devices"]:
    native = device["sriov"] == "native"
    for function in device["functions"]:
        index = int(function["registers"]["VF_INDEX"], 16)
        vf, bdf = function["kind"] == "vf", function["bdf"]
        pci = records.get("@pci " + bdf, {})
        if vf and native and index >= 2:
            same(bdf, {}, pci)
            continue
        for key in ("vendor", "device", "class"):
            same(bdf + " " + key, function[key], pci.get(key))
        same(bdf + " numa_node", str(function["numa_node"]), pci.get("numa_node"))
        same(bdf + " parent", device["port"], pci.get("parent"))
        same(bdf + " driver", "mock-accel", pci.get("driver"))
        for key in ("max_link_speed", "current_link_speed"):
            same(bdf + " " + key, device["link"]["speed"], pci.get(key, "").replace(".0 GT/s PCIe", " GT/s"))
        for bar in function["bars"]:
            start, end, flags = (int(word, 16) for word in pci["resource%d" % bar["index"]].split())
            same(bdf + " size", bar["size"], end - start + 1)
            same(bdf + " 64 bits", bar["type"] == "memory64", flags >> 20 & 1 == 1)
            same(bdf + " prefetchable", bar["prefetchable"], flags >> 13 & 1 == 1)
        node = records.get("@class " + function["sysfs"]["name"], {})
        if vf and index >= 2:
            same(bdf + " class device", {}, node)
            continue
        same(bdf + " device", bdf, node.get("device"))
        for key, value in function["sysfs"]["attributes"].items():
            same(bdf + " " + key, "2" if key == "sriov_numvfs" else value, node.get(key))
for fabric in machine["fabrics"]:
    vmd = records["@vmd " + fabric["bdf"]]
    same(fabric["name"], fabric["domain"] + ":00", vmd.get("domain"))
    for port in fabric["ports"]:
        record = records["@port " + port["bdf"]]
        same(port["name"], str(port["secondary"]), record.get("secondary_bus_number"))
        same(port["name"], str(port["subordinate"]), record.get("subordinate_bus_number"))
        same(port["name"], port["parent"] or "pci%s:00" % fabric["domain"], record.get("parent"))
for node in machine["numa_nodes"]:
    same("node", " ".join(map(str, node["distances"])), records["@node node%d" % node["node"]].get("distance"))
print(checks, "checks")
sys.exit(wrong != 0 or checks < 15)
CHECK
done

begin 'lspci'
if command -v lspci >/dev/null; then
    make_tree fabric-sriov --numvfs 3
    run 0 lspci -O "sysfs.path=$out/sys/bus/pci" -D -n -d 1de5:
    [ "$(wc -l <"$SANDBOX/out")" -eq 5 ] || bad 'not a port, a PF and three VFs'
    has out '10000:01:00.3 1200: 1de5:0002'
    run 0 lspci -O "sysfs.path=$out/sys/bus/pci" -D -n -vvv -s 10000:01:00.0
    has out 'Total VFs: 64, Number of VFs: 3'
    has out 'Speed 16GT/s, Width x16'
    has out 'IOMMU group: '
    for word in unknown '<chain' 'bogus' 'Unknown'; do lacks out "$word"; done
    # The same from a dump, as bug reports carry it.
    lspci -O "sysfs.path=$out/sys/bus/pci" -D -n -xxxx >"$SANDBOX/dump" 2>/dev/null
    run 0 lspci -F "$SANDBOX/dump" -n -vvv
    has out 'Number of VFs: 3'
else
    printf 'not tested: no lspci (pciutils)\n'
fi

begin 'umockdev'
if command -v umockdev-run >/dev/null; then
    make_tree fabric-sriov --numvfs 2
    run 0 umockdev-run --device "$out/machine.umockdev" -- ls /sys/bus/pci/devices
    has out 10000:01:00.2
    run 0 umockdev-run --device "$out/machine.umockdev" -- cat /sys/class/mock-accel/mock0_vf1/uuid
    has out FABRIC-VF-01
    for file in config resource0; do
        umockdev-run --device "$out/machine.umockdev" -- cat "/sys/bus/pci/devices/10000:01:00.1/$file" \
            >"$SANDBOX/bytes" 2>"$SANDBOX/err"
        cmp -s "$SANDBOX/bytes" "$pci/10000:01:00.1/$file" || bad "$file differs"
    done
    ctl=$SANDBOX/mock-accel-ctl
    if cc -o "$ctl" -I"$SRC/kernel/mock-accel" "$SRC/guest/mock-accel-ctl/mock-accel-ctl.c" 2>/dev/null; then
        run 0 umockdev-run --device "$out/machine.umockdev" -- "$ctl" regs 10000:01:00.1
        has out 'DEVICE_ID=0x4d4f434b'
        has out 'VF_INDEX=0x00000000'
    fi
else
    printf 'not tested: no umockdev-run (umockdev)\n'
fi
