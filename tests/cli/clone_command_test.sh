#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# mimic clone: its files are machines, its problems have lines, its exit status says which of both it was.
# shellcheck source=/dev/null
. "${BASH_SOURCE[0]%/*}/lib.sh"

mimic=$BIN/mimic
samples=$SRC/tests/clone/samples

begin 'a file for each sample, which plan takes'
for name in gpu nvme nic switch; do
    run 0 "$mimic" clone "$samples/$name.txt" -o "$SANDBOX/$name.yaml"
    has err 'mimic: not cloned: '
    grep -q '^# Not cloned: ' "$SANDBOX/$name.yaml" || bad "$name.yaml lists no losses"
    run 0 "$mimic" plan "$SANDBOX/$name.yaml" --format tree
    has out '"model": "clone"'
done
run 0 "$mimic" plan "$SANDBOX/nvme.yaml" --format qemu
has out 'vfio-user-pci'

begin 'standard input and output, options'
run 0 bash -c "'$mimic' clone - --machine lab --attach fabric <'$samples/nvme.txt'"
has out 'name: lab'
has out 'attach: fabric'
run 0 "$mimic" clone "$samples/switch.txt" --only 3e:00.0
has out '[10ee:5000]'
lacks out '[144d:a808]'
printf -- '-[0000:00]-+-01.0-[01]----00.0\n' >"$SANDBOX/tree"
run 0 "$mimic" clone "$samples/nvme.txt" --tree "$SANDBOX/tree"
has err '00:01.0: in the tree on line'

begin 'a sysfs folder of each, which lspci reads'
for name in gpu nvme nic switch; do
    rm -rf "$SANDBOX/sys"
    run 0 "$mimic" tree "$SANDBOX/$name.yaml" "$SANDBOX/sys" --numvfs all
    [ -s "$SANDBOX/sys/machine.umockdev" ] || bad "$name has no umockdev description"
    while read -r id; do
        case $id in 8086:1565) continue ;; esac # a VF is no device of the clone
        grep -rqix "PCI_ID=$id" "$SANDBOX"/sys/sys/devices --include=uevent || bad "$name: no $id in the folder"
    done < <(sed -n 's/.*\[\([0-9a-f]\{4\}:[0-9a-f]\{4\}\)\] (rev.*/\1/p' "$samples/$name.txt" | sort -u)
done
run 0 "$mimic" tree "$SANDBOX/gpu.yaml" "$SANDBOX/gpu-sys"
[ "$(cat "$SANDBOX"/gpu-sys/sys/bus/pci/devices/10000:01:00.0/sriov_totalvfs)" = 16 ] || bad 'no sriov_totalvfs'
[ ! -e "$SANDBOX/gpu-sys/sys/bus/pci/devices/10000:01:00.0/driver" ] || bad 'a clone has a driver'

begin 'no kernel bus of clones'
run 1 "$mimic" kernel up "$SANDBOX/nvme.yaml"
has err 'a clone is served to a guest by mimic up only'

begin 'odd ones: a file that plan and tree take, or words'
for case in "$SRC"/tests/clone/testdata/*.txt; do
    name=$(basename "$case" .txt)
    case $name in
    only-a-root-port | utf16 | vf-alone)
        run 1 "$mimic" clone "$case" -o "$SANDBOX/none.yaml"
        has err "$case"
        absent "$SANDBOX/none.yaml"
        continue
        ;;
    esac
    rm -rf "$SANDBOX/sys"
    run 0 "$mimic" clone "$case" -o "$SANDBOX/$name.yaml"
    run 0 "$mimic" plan "$SANDBOX/$name.yaml"
    run 0 "$mimic" tree "$SANDBOX/$name.yaml" "$SANDBOX/sys"
done
run 1 "$mimic" clone "$SRC/tests/clone/testdata/vf-alone.txt"
has err 'a virtual function'
run 1 "$mimic" clone "$SRC/tests/clone/testdata/all-ff-with-region.txt" --only 02:00.0
has err 'it was asleep'
run 0 "$mimic" clone "$SRC/tests/clone/testdata/all-ff-with-region.txt" --only 01:00.0

begin 'problems with lines, and no file'
head -n 100 "$samples/nvme.txt" >"$SANDBOX/cut.txt"
run 1 "$mimic" clone "$SANDBOX/cut.txt" -o "$SANDBOX/none.yaml"
has err "$SANDBOX/cut.txt:"
absent "$SANDBOX/none.yaml"
sed 's/size=16K/size=16/' "$samples/nvme.txt" >"$SANDBOX/lie.txt"
run 0 "$mimic" clone "$SANDBOX/lie.txt"
sed 's/size=16K]/size=/' "$samples/nvme.txt" >"$SANDBOX/lie.txt"
run 1 "$mimic" clone "$SANDBOX/lie.txt"
has err 'lie.txt:7: '
run 1 "$mimic" clone /dev/null
has err 'no device'
run 1 "$mimic" clone "$SANDBOX/not-there"
has err 'cannot open'

begin 'usage'
run 2 "$mimic" clone
run 2 "$mimic" clone "$samples/nvme.txt" --attach sideways
run 2 "$mimic" clone "$samples/nvme.txt" --only 3
has err 'expected an address such as 01:00.0'
run 0 "$mimic" clone --help
has out 'lspci -vvvnnxxxx'
