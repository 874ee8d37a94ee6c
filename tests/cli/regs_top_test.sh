#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# mimic regs and mimic top without a guest: text, errors, changes, and what they do to a terminal.
# shellcheck source=/dev/null
. "${BASH_SOURCE[0]%/*}/lib.sh"

mimic=$BIN/mimic
cat >"$SANDBOX/box.yaml" <<'YAML'
version: 1
machine:
  name: box
  devices:
    - name: gpu0
      model: mock-accel
      vfs: {count: 2}
    - name: gpu1
      model: mock-accel
YAML

# A machine without QEMU: its folder with the lock held, and a device host.
dir=$XDG_RUNTIME_DIR/mimic/box
mkdir -m 700 "$XDG_RUNTIME_DIR/mimic" "$dir"
exec 8>"$dir/lock"
flock 8
fresh served served.err
"$mimic" serve "$SANDBOX/box.yaml" --run-dir "$dir" --control "$dir/control-0.sock" 8>&- \
    >"$SANDBOX/served" 2>"$SANDBOX/served.err" &
pid=$!
eventually grep -q '^ready' "$SANDBOX/served" || cat "$SANDBOX/served.err"

begin 'registers by name'
run 0 "$mimic" regs box gpu0
for text in '[00] Header' '  000 VENDOR_ID = 1de5' 'BUS_MASTER-' 'PCI Express (0x10)' 'CURRENT_LINK_SPEED=16 GT/s' \
    'MSI-X (0x11)' 'BAR0: memory' 'BAR0 0x0 mock_accel' '000 DEVICE_ID = 4d4f434b' 'VECTOR[0].VECTOR_CONTROL'; do
    has out "$text"
done
lacks out 'CAPABILITY_ID'
run 0 "$mimic" regs box gpu0 --verbose
has out '# What the function may do on the bus.'
run 0 "$mimic" regs box gpu0 --config
lacks out 'BAR0:'
run 0 "$mimic" regs box gpu0 --bar 0
lacks out 'Header'
run 0 "$mimic" regs box gpu0 --hex
grep -q '^00: e5 1d 01 00 ' "$SANDBOX/out" || bad 'no bytes of the header'
[ "$(wc -l <"$SANDBOX/out")" -eq 256 ] || bad 'not 4096 bytes'
run 0 "$mimic" regs box gpu0 --json
python3 - "$SANDBOX/out" <<'PY' || bad 'no JSON of registers'
import json, sys
answer = json.load(open(sys.argv[1], encoding="utf-8"))
assert answer["device"] == "gpu0" and answer["config"]["size"] == 4096 and answer["bars"][0]["bar"] == 0
PY

begin 'a trace says how it ends, and what of it'
run 0 "$mimic" trace box --seconds 0.2 --format jsonl
has err 'recording for 0.2 s; Ctrl-C ends it sooner'
has err ' events, none lost'
lacks out 'recording'
run 0 "$mimic" trace box -o "$SANDBOX/now.json"
has err "$SANDBOX/now.json: "
has err ', none lost'
run 0 "$mimic" trace box
[ ! -s "$SANDBOX/err" ] || bad 'what only shows what there is says more'
fresh out err
"$mimic" trace box --follow >"$SANDBOX/out" 2>"$SANDBOX/err" &
follower=$!
eventually grep -q 'recording; Ctrl-C ends it$' "$SANDBOX/err"
kill -INT "$follower"
wait "$follower" || bad "exit status $?"
has err ', none lost'

begin 'names that are wrong'
run 1 "$mimic" regs bok gpu0
has err 'box'
run 0 "$mimic" regs box
printf 'gpu0\ngpu0-vf0\ngpu0-vf1\ngpu1\n' | cmp -s - "$SANDBOX/out" || bad 'not the names of the devices'
run 0 "$mimic" regs box --json
has out '"gpu0-vf1"'
run 1 "$mimic" regs box gpu
has err 'gpu0'
run 1 "$mimic" regs box gpu0 --bar 5
has err 'no BAR 5'
run 1 "$mimic" regs ../box gpu0
run 1 "$mimic" regs box ../gpu0
run 1 "$mimic" top nobody
has err 'nobody'
for wrong in '--bar 6' '--bar x' '--config --bar 0' '--hex --json' '--watch soon' '--watch 0' '--watch -1' '--watch=soon' \
    '--watch=0' '--watch --hex' 200ms; do
    # shellcheck disable=SC2086 # Words.
    "$mimic" regs box gpu0 $wrong >"$SANDBOX/out" 2>"$SANDBOX/err" </dev/null && bad "$wrong was taken"
    [ -s "$SANDBOX/err" ] || bad "no word about $wrong"
done

# A watcher that has asked the host a few times knows what was before the guest. Our own questions count there, too.
asked() {
    curl -sS --unix-socket "$dir/control-0.sock" http://localhost/metrics |
        sed -n 's/^mimic_control_requests_total{.*code="200".*} //p'
}
watches() { # BEFORE: what asked() said before the watcher began
    polls=$((polls + 1))
    [ "$(asked)" -ge $(($1 + polls + 6)) ]
}

begin 'changes, a line each'
fresh changes changes.err
polls=0 before=$(asked)
"$mimic" regs box gpu0 --watch 50ms >"$SANDBOX/changes" 2>"$SANDBOX/changes.err" </dev/null &
watcher=$!
eventually watches "$before"
# A guest that turns on memory space and bus mastering, until its standard input ends.
mkfifo "$SANDBOX/guest"
guest() { python3 "$SRC/tests/cli/vfio_client.py" "$dir/$1.sock" 4 0600 <"$SANDBOX/guest" >"$SANDBOX/guest.out" & client=$!; }
guest gpu0
exec 7>"$SANDBOX/guest"
eventually grep -qE '^[0-9:]{8}\.[0-9]{3} COMMAND.BUS_MASTER 0 -> 1$' "$SANDBOX/changes"
eventually grep -qE ' COMMAND.MEMORY_SPACE 0 -> 1$' "$SANDBOX/changes"
exec 7>&-
wait "$client" || bad 'the guest failed'
eventually grep -qE ' COMMAND.BUS_MASTER 1 -> 0$' "$SANDBOX/changes"
kill -INT "$watcher"
wait "$watcher" || bad 'an interrupt is no success'
fresh changes
polls=0 before=$(asked)
"$mimic" regs box gpu1 --watch 50ms --json >"$SANDBOX/changes" 2>/dev/null </dev/null &
watcher=$!
eventually watches "$before"
guest gpu1
exec 7>"$SANDBOX/guest"
eventually grep -q '"change":"COMMAND.BUS_MASTER 0 -> 1"' "$SANDBOX/changes"
exec 7>&-
wait "$client" || bad 'the guest failed'
kill -INT "$watcher"
wait "$watcher"

begin 'watching, said in other ways'
# The word after --watch is the machine, not an interval: each of these gets as far as asking for it.
for words in '--watch nobody gpu0' 'nobody --watch gpu0' 'nobody gpu0 --watch' '--watch=50ms nobody gpu0' \
    'nobody gpu0 --watch 0.05' 'nobody gpu0 50ms --watch'; do
    # shellcheck disable=SC2086 # Words.
    run 1 "$mimic" regs $words
    has err 'machine nobody does not run'
done

begin 'looking is not counted'
run 0 "$mimic" top --once --interval 0.2 box
cp "$SANDBOX/out" "$SANDBOX/table"
for _ in 1 2 3; do run 0 "$mimic" regs box gpu0; done
run 0 "$mimic" top --json --interval 0.2
python3 - "$SANDBOX/out" <<'PY' || bad 'accesses were counted'
import json, sys
machines = json.load(open(sys.argv[1], encoding="utf-8"))["machines"]
assert [m["name"] for m in machines] == ["box"], machines
for device in machines[0]["devices"]:
    assert device["accesses_per_second"] == 0, device
PY
for text in NAME ACC/s IRQ/s 'DMA B/s' VFS FAULTS box gpu0 gpu1; do
    grep -qF -- "$text" "$SANDBOX/table" || bad "the table lacks $text"
done

begin 'terminals'
python3 "${BASH_SOURCE[0]%/*}/terminal_test.py" "$mimic" >"$SANDBOX/out" 2>"$SANDBOX/err" || bad 'on a terminal'

begin 'a machine that ends'
fresh changes changes.err
"$mimic" regs box gpu0 --watch 50ms >"$SANDBOX/changes" 2>"$SANDBOX/changes.err" </dev/null &
watcher=$!
sleep 0.5
kill "$pid"
wait "$pid" 2>/dev/null
rm -rf "$dir"
ended=0
wait "$watcher" || ended=$?
[ "$ended" -eq 1 ] || bad "watching nothing ended with $ended"
run 0 "$mimic" top --once --interval 0.1
lacks out gpu0
