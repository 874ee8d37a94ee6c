#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The life of a machine with a real guest: up, ps, exec, logs, console, down, and every way to die. Boots nine times.
# shellcheck source=/dev/null
. "${BASH_SOURCE[0]%/*}/lib.sh"

mimic=$BIN/mimic
single=$SRC/examples/single.yaml
exec 3>&1

up() { run 0 "$mimic" up "$single" --timeout 900; sed 's/^/    /' "$SANDBOX/out" >&3; }
field() { "$mimic" ps --json | tr -d ' \n' | sed -n "s/.*\"$1\":\\[*\\([0-9]*\\).*/\\1/p"; }
reason() { cat "$XDG_STATE_HOME/mimic/single/exit-reason"; }

begin 'up, and what can be seen of it'
up
has out 'single: up'
run 0 "$mimic" ps
has out running
run 0 "$mimic" ps --names
has out single
run 1 "$mimic" up "$single"
has err 'already running'
open=$(find "$XDG_RUNTIME_DIR/mimic" -perm /077 ! -type l)
[ -z "$open" ] || bad "open to others: $open"
run 0 "$mimic" exec single -- ls /sys/class/mock-accel
has out mock0
run 7 "$mimic" exec single -- sh -c 'exit 7'
run 125 "$mimic" exec sinlge -- true
has err 'did you mean single?'
run 0 "$mimic" logs single
has out 'mimic: ready'
(printf '\n'; sleep 1; printf '\035') | "$mimic" console single >"$SANDBOX/console" || bad 'console failed'
[ -s "$SANDBOX/console" ] || bad 'the console is silent'

begin 'down, twice'
run 0 "$mimic" down single
nothing_left
run 0 "$mimic" down single
[ "$(reason)" = 'stopped on request' ] || bad "reason: $(reason)"

begin 'QEMU is killed'
up
kill -KILL "$(field qemu_pid)"
nothing_left
reason | grep -q 'QEMU was killed by signal 9' || bad "reason: $(reason)"

begin 'the device host is killed'
up
kill -KILL "$(field device_host_pids)"
nothing_left
reason | grep -q 'device host was killed by signal 9' || bad "reason: $(reason)"

begin 'the supervisor is killed: no process survives, down and up clean the folder'
up
qemu=$(field qemu_pid)
kill -KILL "$(field supervisor_pid)"
gone() { [ -z "$(leftovers)" ]; }
eventually gone
[ ! -e "/proc/$qemu" ] || grep -q '^State:.Z' "/proc/$qemu/status" || bad 'QEMU lives'
run 0 "$mimic" ps
has out dead
run 0 "$mimic" down
nothing_left

begin 'the guest powers off'
up
"$mimic" exec single -- poweroff -f >/dev/null 2>&1
nothing_left
reason | grep -q 'powered off' || bad "reason: $(reason)"

begin 'foreground: ^C takes it down'
"$mimic" up "$single" --foreground --timeout 900 >"$SANDBOX/out" 2>"$SANDBOX/err" &
pid=$!
eventually grep -q 'single: up' "$SANDBOX/out" || eventually grep -q 'single: up' "$SANDBOX/out"
kill -INT "$pid"
wait "$pid"
status=$?
[ "$status" -eq 130 ] || bad "exit status $status"
nothing_left

begin 'a guest whose kernel panics: the last console lines are shown'
cat >"$SANDBOX/panic.yaml" <<'YAML'
version: 1
machine:
  name: panics
  kernel_args: rdinit=/nonexistent init=/nonexistent
  devices: [{name: gpu0, model: mock-accel}]
YAML
run 1 "$mimic" up "$SANDBOX/panic.yaml" --timeout 900
has err 'Kernel panic'
has err 'last lines of the console'
nothing_left

begin 'a guest that dies before its first word, and a timeout'
run 1 "$mimic" up "$single" --timeout 1
has err 'did not finish booting'
nothing_left
