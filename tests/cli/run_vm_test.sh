#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# run_vm_test.sh BIN_DIR SOURCE_DIR: `mimic run`, parameters of files, and what is prepared for places without a network.
# shellcheck source=/dev/null
. "$(dirname "$0")/lib.sh"
mimic=$BIN/mimic
cat >"$SANDBOX/m.yaml" <<'TEXT'
version: 1
machine:
  name: ${name:-m}
  cpus: 1
  memory: 192M
  devices:
    - name: gpu{index}
      model: mock-accel
      count: ${gpus:-1}
TEXT
nothing_left() {
    run 0 "$mimic" ps --names
    [ ! -s "$SANDBOX/out" ] || bad "a machine is left"
}

begin "words that are wrong"
run 125 "$mimic" run "$SANDBOX/m.yaml"
run 125 "$mimic" run "$SANDBOX/m.yaml" --set gpus -- true
run 2 "$mimic" up "$SANDBOX/m.yaml" --set "gpus={x}"
run 2 "$mimic" up "$SANDBOX/m.yaml" --logs
has err "--foreground"
run 125 "$mimic" run "$SANDBOX/m.yaml" --set gpu=2 -- true
has err "did you mean gpus?"
run 1 "$mimic" up "$SANDBOX/m.yaml" --machine-number 1
has err "the file has 1 machine, none with number 1"
run 1 "$mimic" up "$SANDBOX/m.yaml" --set gpus=many
has err "expected a number"
run 1 "$mimic" ps --ready
has err "no machine is here"

run 125 "$mimic" run "$SRC/examples/two-node-cluster.yaml" -- true
has err "the file has several machines: say --in with one of "
lacks err "up after"
run 125 "$mimic" run "$SANDBOX/m.yaml" -it -- sh
has err "standard input is no terminal"
run 1 "$mimic" cp "$SANDBOX/m.yaml" m:
run 1 "$mimic" ps --ready
has err "no machine is here"

begin "plan takes parameters"
run 0 "$mimic" plan "$SANDBOX/m.yaml" --json --set gpus=2 --set name=other
has out '"name": "other"'
has out '"name": "gpu1"'
run 0 "$mimic" plan "$SANDBOX/m.yaml" --json
lacks out '"name": "gpu1"'

begin "prepare makes what up boots without tools and cache"
mkdir "$SANDBOX/images"
run 0 "$mimic" prepare "$SANDBOX/images"
printf 'gpus=2\n# a comment\n' >"$SANDBOX/case"
# Neither Mimic's sources nor the cache have what a guest boots.
export MIMIC_GUEST_IMAGES=$SANDBOX/images
begin "run: output and status of the command, with what is prepared"
run 3 "$mimic" run "$SANDBOX/m.yaml" --set-file "$SANDBOX/case" --record "$SANDBOX/record" -- \
    sh -c 'ls /sys/class/mock-accel; echo oops >&2; exit 3'
[ "$(cat "$SANDBOX/out")" = $'mock0\nmock1' ] || bad "standard output is not the command's"
has err oops
python3 - "$SANDBOX/record" <<'TEXT' || bad "the record"
import json, sys
record = json.load(open(sys.argv[1]))
expected = {"format": "mimic-run", "machine": "m", "parameters": {"gpus": "2"}, "status": 3, "problem": "", "truncated": False,
            "stdout": "mock0\nmock1\n", "stderr": "oops\n"}
wrong = {key: record.get(key) for key in expected if record.get(key) != expected[key]}
print(wrong)
sys.exit(1 if wrong or record["boot_seconds"] <= 0 else 0)
TEXT
nothing_left
run 0 "$mimic" ps --all
has out 'what it was booted for has ended'

begin "run: input, environment and folder of the command"
# shellcheck disable=SC2016 # for the inner shell
run 0 bash -c 'echo piped | "$@"' sh "$mimic" run "$SANDBOX/m.yaml" -e A=b --cwd /tmp -- sh -c 'cat; pwd; echo "$A"; [ ! -e /none ]'
[ "$(cat "$SANDBOX/out")" = $'piped\n/tmp\nb' ] || bad "what the command had"
nothing_left

begin "a debugger attaches before the guest begins"
run 1 "$mimic" gdb m
has err "machine m"
if command -v gdb >/dev/null; then
    "$mimic" up "$SANDBOX/m.yaml" --gdb=wait >"$SANDBOX/up" 2>&1 &
    pid=$!
    eventually grep -q "waits for a debugger: mimic gdb m" "$SANDBOX/up"
    eventually test -S "$XDG_RUNTIME_DIR/mimic/m/gdb.sock"
    # Debian's symbols are near 1 GB: only where somebody has installed them.
    symbols=(-ex 'info registers rip')
    if [ -e "/usr/lib/debug/boot/vmlinux-$("$SRC/tools/debs" kernel 6.1 | xargs -I{} cat {}/release)" ]; then
        symbols+=(-ex 'hbreak pcie_portdrv_probe' -ex continue -ex 'print dev->vendor' -ex delete)
    else
        echo "SKIP: a breakpoint by name: no symbols of the guest's kernel in /usr/lib/debug/boot (linux-image-RELEASE-dbg)"
    fi
    run 0 timeout 300 "$mimic" gdb m -- -batch "${symbols[@]}" -ex detach
    has out 0xfff0
    [ "${#symbols[@]}" -eq 2 ] || has out 'at drivers/pci/pcie/portdrv'
    wait "$pid" || bad "the guest does not boot once the debugger has gone"
    run 0 "$mimic" down
else
    echo "SKIP: no gdb (tools/setup test)"
fi
nothing_left

begin "run: a signal ends it, and nothing is left"
fresh record logs
"$mimic" run "$SANDBOX/m.yaml" --logs --record - -- sh -c 'echo begun >/dev/console; sleep 1000' >"$SANDBOX/record" 2>"$SANDBOX/logs" &
pid=$!
eventually grep -q begun "$SANDBOX/logs"
run 0 "$mimic" ps --ready
kill -TERM "$pid"
wait "$pid"
status=$?
[ "$status" -eq 143 ] || bad "status $status of one that was ended by SIGTERM"
grep -q '"status":143' "$SANDBOX/record" || bad "no record of it"
grep -q "mimic: ready" "$SANDBOX/logs" || bad "--logs does not print the console"
nothing_left

begin "run: a command that takes too long, with both records"
run 124 "$mimic" run "$SANDBOX/m.yaml" --limit 1 --json --record "$SANDBOX/both.json" -- sleep 1000
has out '"status":124'
cmp -s "$SANDBOX/out" "$SANDBOX/both.json" || bad "--json and --record FILE are not the same record"
has out 'did not end within 1 s'
nothing_left

begin "run: a guest whose kernel panics"
# The kernel's last words are the reason, in each place.
run 125 "$mimic" run "$SANDBOX/m.yaml" --record "$SANDBOX/record" -- sh -c 'echo c >/proc/sysrq-trigger; sleep 1000'
has err "machine m ended: the guest's kernel panicked: sysrq triggered crash"
has err "Call Trace"
grep -q "the guest's kernel panicked" "$SANDBOX/record" || bad "no record of it"
run 0 "$mimic" ps --all
has out "the guest's kernel panicked: sysrq triggered crash"
nothing_left

begin "run: a guest that is powered off"
run 125 "$mimic" run "$SANDBOX/m.yaml" -- poweroff -f
has err "machine m ended: the guest powered off"
nothing_left

begin "run: verified before, and a command that is not there"
run 127 "$mimic" run "$SANDBOX/m.yaml" --json --verify --junit "$SANDBOX/report.xml" -- /no/such/program
document mimic-run
has out '"status":127'
python3 "$SRC/tests/cli/junit_shape.py" "$SANDBOX/report.xml" >"$SANDBOX/cases" || bad 'no JUnit report'
grep -q '^m machine passed$' "$SANDBOX/cases" || bad "cases: $(cat "$SANDBOX/cases")"
nothing_left

begin "run: nothing is run in a guest that differs from its file"
# shellcheck disable=SC2016 # for the guest
{ cat "$SANDBOX/m.yaml"; echo '  run: echo 0 >$(echo /sys/bus/pci/devices/*:01:00.0)/numa_node'; } >"$SANDBOX/differs.yaml"
run 125 "$mimic" run "$SANDBOX/differs.yaml" --verify --junit "$SANDBOX/report.xml" --record "$SANDBOX/record" -- echo executed
lacks out executed
has err 'numa_node: expected -1, got 0'
has err 'verify: machine m: 3 of '
python3 "$SRC/tests/cli/junit_shape.py" "$SANDBOX/report.xml" >"$SANDBOX/cases" || bad 'no JUnit report'
grep -q '^m gpu0 .* failure$' "$SANDBOX/cases" || bad "cases: $(cat "$SANDBOX/cases")"
grep -q '"status":125' "$SANDBOX/record" || bad "no record of it"
nothing_left
run 0 "$mimic" ps --all
has out 'verify: machine m: 3 of '

begin "a kernel that was not prepared"
run 125 "$mimic" run "$SANDBOX/m.yaml" --kernel 6.12 --record - -- true
has out '"status":125'
has err "has kernels: 6.1;"
