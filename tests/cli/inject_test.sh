#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# mimic inject and the control socket of mimic serve, without a guest: names, options, errors, a host that hangs or dies.
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
control=$dir/control-0.sock
exec 8>"$dir/lock"
flock 8
start() {
    rm -f "$SANDBOX/served"
    fresh served served.err
    "$mimic" serve "$SANDBOX/box.yaml" --run-dir "$dir" --control "$control" --threads 2 8>&- \
        >"$SANDBOX/served" 2>"$SANDBOX/served.err" &
    pid=$!
    eventually grep -q '^ready' "$SANDBOX/served" || cat "$SANDBOX/served.err"
}
# api METHOD PATH [BODY]: the status goes to $status, the answer to out.
api() {
    status=$(python3 - "$control" "$@" <<'PY' 2>"$SANDBOX/err"
import http.client, os, socket, sys
class Unix(http.client.HTTPConnection):
    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(30)
        self.sock.connect(sys.argv[1])
link = Unix("localhost")
body = sys.argv[4] if len(sys.argv) > 4 else None
link.request(sys.argv[2], sys.argv[3], body, {"Content-Type": "application/json"})
answer = link.getresponse()
with open(os.environ["OUT"], "wb") as out:
    out.write(answer.read())
print(answer.status)
PY
    )
}
export OUT=$SANDBOX/out
expect() { [ "$status" = "$1" ] || bad "status $status, expected $1"; }

begin 'the list of faults'
run 0 "$mimic" inject --list --json
document mimic-faults
run 0 "$mimic" inject --list
for name in poisoned-tlp remove irq-lost doorbell-stuck dma-corrupt host-crash clear; do
    grep -q "^$name " "$SANDBOX/out" || bad "no $name in the list"
done
[ "$(wc -l <"$SANDBOX/out")" -eq 44 ] || bad 'not 44 faults'
[ "$(sed 's/^[a-z-]*  *//' "$SANDBOX/out" | head -1)" = "$(cut -c 24- "$SANDBOX/out" | head -1)" ] ||
    bad 'the column of the names is not as wide as the longest'

begin 'usage'
run 2 "$mimic" inject
run 2 "$mimic" inject box gpu0
run 2 "$mimic" inject box gpu0 irq-lost count
run 2 "$mimic" inject box gpu0 irq-lost =1
run 2 "$mimic" inject box gpu0 irq-lost count=1 count=2
run 2 "$mimic" inject box gpu0 irq-lost --at 1ms --after 3
run 2 "$mimic" inject box gpu0 irq-lost --at soon
run 2 "$mimic" inject box gpu0 irq-lost --after -1
run 2 "$mimic" inject box gpu0 irq-lost --seed x

begin 'a device host with a control socket'
start
[ "$(stat -c %a "$control")" = 600 ] || bad 'the socket is open to others'
api GET /v1/devices
expect 200
for name in gpu0 gpu0-vf0 gpu0-vf1 gpu1; do has out "\"$name\""; done
api GET /v1/devices/gpu1
has out '"kind":"endpoint"'
has out '"connected":false'
api GET /v1/openapi.json
cmp -s "$SANDBOX/out" "$SRC/docs/openapi/control-v1.json" || bad 'not the document of the tree'

begin 'faults are armed, seen and cleared'
run 0 "$mimic" inject box gpu1 all-ones
has out 'gpu1: all-ones active'
run 0 "$mimic" inject box gpu1 irq-late delay=20ms vector=1 count=2 --after 100 --seed 7
has out 'irq-late armed, strikes after 100 accesses'
run 0 "$mimic" inject box gpu0-vf1 dma-corrupt --at 3600s
has out 'dma-corrupt armed, strikes in 3600000000 us'
run 0 "$mimic" inject box --active
grep -q '^gpu1 *all-ones *active ' "$SANDBOX/out" || bad 'no all-ones among what stands'
grep -q '^gpu1 *irq-late *armed .*accesses_left=' "$SANDBOX/out" || bad 'no irq-late among what stands'
grep -q '^gpu0-vf1 *dma-corrupt *armed ' "$SANDBOX/out" || bad 'no fault of a VF among what stands'
run 0 "$mimic" inject box gpu1 --active --json
document mimic-active-faults
has out '"fault": "irq-late"'
lacks out dma-corrupt
run 0 "$mimic" inject box gpu0 irq-lost vector=1 --at 3600s --json
document mimic-inject
has out '"state": "armed"'
run 0 "$mimic" inject box gpu0 clear --json
document mimic-inject
run 1 "$mimic" inject bax --active
has err 'did you mean box?'
run 2 "$mimic" inject --active
run 2 "$mimic" inject box gpu1 all-ones --active
api GET /v1/devices/gpu1/faults
has out '"accesses_left":100'
has out '"delay_us":20000'
has out '"seed":7'
run 0 "$mimic" inject box gpu1 clear
api GET /v1/devices/gpu1/faults
lacks out '"active"'
lacks out '"armed"'
api GET /v1/devices/gpu0-vf1/faults
has out '"armed"'
api DELETE /v1/devices/gpu0-vf1/faults
expect 200
lacks out '"armed"'

begin 'unknown names get the nearest'
run 1 "$mimic" inject bax gpu0 irq-lost
has err 'did you mean box?'
run 1 "$mimic" inject bax gpu0 nofault
has err 'did you mean box?'
run 1 "$mimic" inject box gpu7 irq-lost
has err 'did you mean gpu'
run 1 "$mimic" inject box gpu0 irq-lots
has err 'did you mean irq-lost?'
run 1 "$mimic" inject box gpu0 irq-lost cuont=1
has err 'did you mean count?'
run 1 "$mimic" inject box gpu0 irq-lost count=many
has err 'from 0 to 1000000'
run 1 "$mimic" inject box ../../x irq-lost
has err 'no device'
run 1 "$mimic" inject ../box gpu0 irq-lost
has err 'no machine name'

begin 'what cannot strike is refused, and the list of faults says so'
run 1 "$mimic" inject box gpu0 remove
has err 'no hotplug slot'
run 1 "$mimic" inject box gpu0 bad-tlp
has err 'gpu0: bad-tlp: no root port takes its error messages'
run 1 "$mimic" inject box gpu0 bad-tlp --at 1s
has err 'no root port'
run 1 "$mimic" inject box gpu0 irq-late delay=5ms vector=99
has err 'gpu0: irq-late: the device has no vector 99; it has 5, 0 to 4'
run 1 "$mimic" inject box gpu0-vf0 irq-lost vector=2
has err 'it has 2, 0 to 1'
run 1 "$mimic" inject box gpu0 irq-spurious
has err 'no guest is connected'
run 0 "$mimic" inject box gpu0 irq-spurious --at 3600s
run 0 "$mimic" inject box gpu0 clear
run 1 "$mimic" inject box gpu0 dma-slow delay=0
has err 'is no delay'
api GET /v1/devices/gpu0/faults
has out '{"fault":"bad-tlp","reason":"no root port'
has out '"fault":"irq-spurious","reason":"no guest is connected to the device","for_now":true'
lacks out '{"fault":"all-ones"'

begin 'hostile requests'
api POST /v1/devices/gpu0/faults '{"fault": "irq-lost", "options": {"count": -1}}'
expect 400
api POST /v1/devices/gpu9/faults '{"fault": "irq-lost"}'
expect 404
has out '"nearest":["gpu0","gpu1"'
api PUT /v1/devices
expect 405

begin 'a loop that hangs says so, the other serves, and it comes back'
run 0 "$mimic" inject box gpu0 host-hang delay=12s
has out 'host-hang armed'
sleep 0.2
api GET /v1/devices
expect 200
has out '"busy_loops":1'
run 1 "$mimic" inject box gpu0 irq-lost
has err 'does not answer'
eventually "$mimic" inject box gpu0 irq-lost

begin 'host-crash: the process is killed and leaves a note'
run 0 "$mimic" inject box gpu0 host-crash
wait "$pid"
status=$?
[ "$status" -eq 137 ] || bad "exit status $status"
[ -e "$dir/crashed-$pid" ] || bad 'no note'
run 1 "$mimic" inject box gpu0 irq-lost
has err 'does not answer'
exec 8>&-
run 1 "$mimic" inject box gpu0 irq-lost
has err 'does not run'

begin 'SIGTERM removes the control socket; a taken one is an error'
start
run 1 "$mimic" serve "$SANDBOX/box.yaml" --device gpu1 --run-dir "$SANDBOX" --control "$control"
has err 'in use'
absent "$SANDBOX/gpu1.sock"
kill -TERM "$pid"
wait "$pid"
absent "$control"
begin 'host-crash below a supervisor: the machine goes on, degraded, and comes down cleanly'
state=$SANDBOX/logs
mkdir -p "$state"
rm -rf "$dir"
mkdir -m 700 "$dir"
# With a program in the place of QEMU that only waits.
host() { printf '["%s","serve","%s","--run-dir","%s","--device","%s","--control","%s"]' "$mimic" "$SANDBOX/box.yaml" "$dir" "$1" "$2"; }
printf '{"device_hosts": [%s, %s]}' "$(host gpu0 "$dir/control-0.sock")" "$(host gpu1 "$dir/control-1.sock")" |
    python3 "${BASH_SOURCE[0]%/*}/supervise.py" "$mimic" "$dir" "$state" &
up=$!
phase_is() { [ "$("$mimic" ps --json | tr -d ' \n' | sed -n 's/.*"phase":"\([a-z]*\)".*/\1/p')" = "$1" ]; }
eventually phase_is running
run 0 "$mimic" inject box gpu1 host-crash
eventually phase_is degraded
run 0 "$mimic" ps
has out degraded
run 0 "$mimic" inject box gpu0 all-ones
run 1 "$mimic" inject box gpu1 all-ones
[ -z "$(ls "$dir"/crashed-* 2>/dev/null)" ] || bad 'the note was not taken'
run 0 "$mimic" down box
wait "$up"
nothing_left
[ "$(head -n 1 "$state/exit-reason")" = 'stopped on request' ] || bad "reason: $(cat "$state/exit-reason")"
