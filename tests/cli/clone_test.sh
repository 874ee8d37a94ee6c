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
    run 0 "$mimic" plan "$SANDBOX/$name.yaml"
    has out '"model": "replica"'
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

begin 'no kernel bus of replicas'
run 1 "$mimic" tree "$SANDBOX/nvme.yaml" "$SANDBOX/sys"
has err 'a replica is served to a guest by mimic up only'

begin 'problems with lines, and no file'
head -n 100 "$samples/nvme.txt" >"$SANDBOX/cut.txt"
run 1 "$mimic" clone "$SANDBOX/cut.txt" -o "$SANDBOX/none.yaml"
has err "$SANDBOX/cut.txt:"
absent "$SANDBOX/none.yaml"
sed 's/size=16K/size=17K/' "$samples/nvme.txt" >"$SANDBOX/lie.txt"
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
