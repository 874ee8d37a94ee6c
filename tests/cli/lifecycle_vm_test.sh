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
run 0 "$mimic" up "$single" --timeout 900 --json
document mimic-up
has out '"functions": 1'
run 0 "$mimic" ps --json
document mimic-ps
run 0 "$mimic" verify single --json
document mimic-verify
run 0 "$mimic" verify single --junit "$SANDBOX/report.xml"
python3 "$SRC/tests/cli/junit_shape.py" "$SANDBOX/report.xml" >"$SANDBOX/cases" || bad 'no JUnit report'
grep -q '^single gpu0 .* passed$' "$SANDBOX/cases" || bad "cases: $(cat "$SANDBOX/cases")"
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
run 126 "$mimic" exec single -- /etc/passwd
run 127 "$mimic" exec single -- /no/such/program
run 143 "$mimic" exec single -- sh -c 'kill -TERM $$'
run 125 "$mimic" exec sinlge -- true
has err 'did you mean single?'
run 0 "$mimic" logs single
has out 'mimic: ready'

begin 'input of a command in the guest: short, more than goes along at once, and not read'
printf 'x\0y\377\n' >"$SANDBOX/bytes"
"$mimic" exec single -- cat <"$SANDBOX/bytes" >"$SANDBOX/out" || bad 'exec cat failed'
cmp -s "$SANDBOX/bytes" "$SANDBOX/out" || bad 'short input arrived changed'
head -c 3000000 /dev/urandom >"$SANDBOX/bytes"
sum=$(sha256sum <"$SANDBOX/bytes")
[ "$("$mimic" exec single -- sha256sum <"$SANDBOX/bytes")" = "$sum" ] || bad 'large input arrived changed'
yes | "$mimic" exec single -- sh -c 'head -n 1; exit 5' >"$SANDBOX/out"
[ "${PIPESTATUS[1]}" -eq 5 ] || bad "exit status ${PIPESTATUS[1]} of a command that reads a line"
[ "$(cat "$SANDBOX/out")" = y ] || bad 'a command that reads a line'
sleep 1000 | { "$mimic" exec single -- echo idle >"$SANDBOX/out"; kill "$(pgrep -P $$ -x sleep)"; }
has out idle
"$mimic" exec single -- cat <&- >"$SANDBOX/out" || bad 'exec with closed input failed'
"$mimic" exec -n single -- cat <"$SANDBOX/bytes" >"$SANDBOX/out"
[ ! -s "$SANDBOX/out" ] || bad 'exec -n passed input'
run 0 "$mimic" exec single -- sh -c 'ls -A /tmp; ps'
lacks out mimic-exec
"$mimic" cp - single:/tmp/copy <"$SANDBOX/bytes" || bad 'cp from standard input'
"$mimic" cp single:/tmp/copy - >"$SANDBOX/copy" || bad 'cp to standard output'
cmp -s "$SANDBOX/bytes" "$SANDBOX/copy" || bad 'a file came back changed'

begin 'what a guest prints, and what its QEMU may do'
grep -q '^Seccomp:.2' "/proc/$(field qemu_pid)/status" || bad 'QEMU has no sandbox'
run 0 "$mimic" exec single -- sh -c "printf '\\033]0;pwned\\007\\302\\233x\\n' >/dev/ttyS0"
pwned() { "$mimic" logs single | grep -q 'pwned??x'; }
eventually pwned
run 0 "$mimic" logs single
! grep -q "$(printf '\033')" "$SANDBOX/out" || bad 'an escape reached the terminal'
fresh console
# shellcheck disable=SC2094 # Ctrl-] is typed once the other end has written.
{ printf '\n'; eventually test -s "$SANDBOX/console" >&2; printf '\035'; } | "$mimic" console single >"$SANDBOX/console" ||
    bad 'console failed'
[ -s "$SANDBOX/console" ] || bad 'the console is silent'

begin 'the files are those of docs/topology.md'
# files TABLE: "pattern there" of each file in the page's table whose first head is TABLE.
files() {
    awk -F'|' -v head=" $1 " '$2 == head { on = 1; next } !/^\|/ { on = 0 } on && / `/ {
        gsub(/^ | $/, "", $3); gsub(/ /, "-", $3); gsub(/<[^>]*>/, "*", $2); gsub(/[`,]/, "", $2)
        n = split($2, names, " "); for (i = 1; i <= n; i++) print names[i], $3 }' "$SRC/docs/topology.md"
}
# agree TABLE FOLDER THERE...: each file has a pattern, and each that must be there now is.
agree() {
    local table=$1 folder=$2 file pattern there known
    shift 2
    [ "$(files "$table" | wc -l)" -ge 5 ] || bad "no table of a $table"
    for file in "$folder"/* "$folder"/.[!.]*; do
        [ -e "$file" ] || continue
        known=no
        # shellcheck disable=SC2254 # It is a pattern.
        while read -r pattern there; do case ${file##*/} in $pattern) known=yes ;; esac; done < <(files "$table")
        [ $known = yes ] || bad "docs/topology.md does not name $file"
    done
    while read -r pattern there; do
        [[ " $* " != *" $there "* ]] || compgen -G "$folder/$pattern" >/dev/null ||
            bad "docs/topology.md has $pattern, which is not in $folder"
    done < <(files "$table")
}
agree file "$XDG_RUNTIME_DIR/mimic/single" always
agree 'log file' "$XDG_STATE_HOME/mimic/single" always

begin 'down, twice'
run 0 "$mimic" down single --json
document mimic-down
has out '"result": "down"'
nothing_left
run 0 "$mimic" ps --all
grep -q '^single *ended .*stopped on request$' "$SANDBOX/out" || bad 'ps --all does not say why it ended'
run 0 "$mimic" down single
[ "$(reason)" = 'stopped on request' ] || bad "reason: $(reason)"
agree 'log file' "$XDG_STATE_HOME/mimic/single" always afterwards

begin 'QEMU is killed'
up
kill -KILL "$(field qemu_pid)"
nothing_left
reason | grep -q 'QEMU was killed by signal 9' || bad "reason: $(reason)"
run 0 "$mimic" ps --all --json
document mimic-ps
has out 'QEMU was killed by signal 9'

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
run 125 "$mimic" exec single -- true
has err 'its supervisor was killed'
run 2 "$mimic" verify single
has err 'its supervisor was killed'
run 0 "$mimic" down
nothing_left
run 125 "$mimic" exec single -- true
has err 'it ended: its supervisor was killed'

begin 'the guest powers off'
up
"$mimic" exec single -- poweroff -f >/dev/null 2>&1
nothing_left
reason | grep -q 'powered off' || bad "reason: $(reason)"

begin 'foreground: ^C takes it down'
fresh out err
"$mimic" up "$single" --foreground --timeout 900 >"$SANDBOX/out" 2>"$SANDBOX/err" &
pid=$!
eventually grep -q 'single: up' "$SANDBOX/out"
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
