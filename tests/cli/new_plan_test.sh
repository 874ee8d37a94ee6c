#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# From nothing to a file that means a machine: mimic new and what mimic plan says of its files. Nothing is booted.
# shellcheck source=/dev/null
. "${BASH_SOURCE[0]%/*}/lib.sh"

mimic=$BIN/mimic
examples=$SRC/examples
cd "$SANDBOX" || exit 1

begin 'every shape is a file that plans'
run 0 "$mimic" new --list
for shape in single dual-numa 8-gpu sriov cluster; do has out "$shape"; done
for shape in single dual-numa 8-gpu sriov cluster; do
    run 0 "$mimic" new "$shape.yaml" --shape "$shape"
    has out "next: mimic plan $shape.yaml; mimic up $shape.yaml"
    cmp -s "$shape.yaml" "$SRC/src/plan/starter/testdata/$shape.yaml" || bad "$shape.yaml is not the one that the tests know"
    for format in table tree qemu svg; do run 0 "$mimic" plan "$shape.yaml" --format "$format"; done
    "$mimic" new - --shape "$shape" 2>/dev/null | cmp -s - "$shape.yaml" || bad "standard output gets another $shape"
done
run 0 "$mimic" new --list --json
python3 -c 'import json, sys; assert len(json.load(open(sys.argv[1]))["shapes"]) == 5' "$SANDBOX/out" || bad 'the list as JSON'

begin 'the numbers of a launch script'
run 0 "$mimic" new lab.yaml --numa-nodes 2 --devices-per-node 2 --memory 4G --cpus 4 --vfs 4 --json
python3 - "$SANDBOX/out" <<'PY' || bad 'not what new --json promises'
import json, sys
told = json.load(open(sys.argv[1], encoding="utf-8"))
assert (told["format"], told["version"], told["file"]) == ("mimic-new", 1, "lab.yaml"), told
assert (told["machines"], told["devices"], told["functions"]) == (["single"], 4, 20), told
PY
run 0 "$mimic" plan lab.yaml --json
python3 - "$SANDBOX/out" <<'PY' || bad 'the file is another machine'
import json, sys
(machine,) = json.load(open(sys.argv[1], encoding="utf-8"))["machines"]
assert machine["cpus"] == 4 and machine["memory"] == 4 << 30 and len(machine["numa_nodes"]) == 2, machine
assert [device["numa_node"] for device in machine["devices"]] == [0, 0, 1, 1], machine
assert all(len(device["functions"]) == 5 for device in machine["devices"]), machine
PY

begin 'a file is not written over'
cp lab.yaml before.yaml
run 1 "$mimic" new lab.yaml --shape single
has err 'lab.yaml is there already; to write over it: --force'
cmp -s lab.yaml before.yaml || bad 'lab.yaml has changed'
run 0 "$mimic" new lab.yaml --shape single --force
cmp -s lab.yaml single.yaml || bad 'lab.yaml has not changed'
[ "$(stat -c %a lab.yaml)" = "$(stat -c %a single.yaml)" ] || bad 'another mode than a new file has'
ln -s nowhere.yaml link.yaml
run 1 "$mimic" new link.yaml --shape single
absent nowhere.yaml
run 1 "$mimic" new none/lab.yaml --shape single
has err 'none/lab.yaml'
run 0 "$mimic" new
[ -s mimic.yaml ] || bad 'no mimic.yaml without a name'

begin 'words that make no machine'
run 1 "$mimic" new - --vfs 8 --sriov static
has err 'at most 7 static VFs'
run 1 "$mimic" new - --numa-nodes 4 --memory 128M
has err '64M at least for each of 4 NUMA nodes'
run 1 "$mimic" new - --model moc-accel
has err 'did you mean mock-accel?'
run 1 "$mimic" new - --name 'a b'
run 2 "$mimic" new - --shape duel-numa
[ ! -s "$SANDBOX/out" ] || bad 'half a file was printed'
run 2 "$mimic" new - --json
has out '"format": "mimic-error"'
lacks out 'machine:'

begin 'a table for people'
run 0 "$mimic" plan "$examples/dual-numa.yaml"
has out 'dual-numa  0000:21:00.0  accel-1  mock-accel  1de5:0001  1     gen5 x8   2     -    0:4K'
run 0 "$mimic" plan "$examples/two-node-cluster.yaml" --machine node2
has out 'node2'
lacks out 'node1'
run 2 "$mimic" plan "$examples/single.yaml" --json --format svg

begin 'a narrow terminal gets a narrow table'
python3 - "$mimic" "$examples/fabric-sriov.yaml" <<'PY' || bad 'the table does not fit'
import fcntl, os, pty, struct, subprocess, sys, termios
def lines(columns):
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    program = subprocess.Popen([sys.argv[1], "plan", sys.argv[2]], stdin=subprocess.DEVNULL, stdout=theirs)
    os.close(theirs)
    text = b""
    while True:
        try:
            part = os.read(ours, 65536)
        except OSError:  # EIO: the program has closed its end
            part = b""
        if not part:
            break
        text += part
    assert program.wait() == 0
    return text.decode().replace("\r", "").splitlines()
narrow, wide = lines(80), lines(300)
assert max(map(len, narrow)) <= 80 and any("a wider terminal shows" in line for line in narrow), narrow
assert max(map(len, wide)) > 80 and not any("wider" in line for line in wide), wide
assert any("10000:01:00.1..01:08.0" in line for line in narrow), narrow
PY

begin 'a document a machine'
mkdir domains
run 0 "$mimic" plan "$examples/two-node-cluster.yaml" --format libvirt -o domains
for name in node1 node2; do grep -q "<name>$name</name>" "domains/$name.xml" || bad "domains/$name.xml"; done
run 0 "$mimic" plan "$examples/single.yaml" --format qemu
has out 'mimic plan FILE --prepare DIR'

begin 'questions at a terminal'
python3 - "$mimic" <<'PY' || bad 'the conversation'
import os, pty, subprocess, sys
ours, theirs = pty.openpty()
program = subprocess.Popen([sys.argv[1], "new"], stdin=theirs, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
os.write(ours, b"dual-numa\nrack\n\n\n2\n\n\n2G\nasked.yaml\n")
out, err = program.communicate(timeout=120)
assert program.returncode == 0, (out, err)
assert b"Shape [single]: " in err and b"File [mimic.yaml]: " in err, err
text = open("asked.yaml", encoding="utf-8").read()
assert "name: rack" in text and "memory: 1G" in text and "count: 2" in text, text
PY
