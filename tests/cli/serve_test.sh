#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# mimic serve: many devices in one process, readiness, selection, cleaning up.
# shellcheck source=/dev/null
. "${BASH_SOURCE[0]%/*}/lib.sh"

mimic=$BIN/mimic
dir=$SANDBOX/s
mkdir "$dir"
cat >"$SANDBOX/two.yaml" <<'YAML'
version: 1
machine:
  name: two
  devices:
    - name: gpu0
      model: mock-accel
      vfs: {count: 2}
    - name: gpu1
      model: mock-accel
YAML
cat >"$SANDBOX/many.yaml" <<'YAML'
version: 1
machines:
  - name: one
  - name: other
YAML
# As many functions as fit: 14 nodes of 9 devices of 8 functions.
{
    printf 'version: 1\nmachine:\n  name: big\n  numa:\n'
    for node in {0..13}; do printf '    - {cpus: 1, memory: 128M}\n'; done
    printf '  devices:\n'
    for node in {0..13}; do
        printf '    - {name: "n%s-{index}", count: 9, model: mock-accel, numa_node: %s, ' "$node" "$node"
        printf 'vfs: {count: 7}}\n'
    done
} >"$SANDBOX/big.yaml"

start() {
    rm -f "$SANDBOX/served"
    fresh served served.err
    "$mimic" serve "$@" >"$SANDBOX/served" 2>"$SANDBOX/served.err" &
    pid=$!
    eventually grep -q '^ready' "$SANDBOX/served" || cat "$SANDBOX/served.err"
}
stop() {
    kill -TERM "$pid"
    wait "$pid"
    local got=$?
    [ "$got" -eq 0 ] || bad "exit status $got after SIGTERM"
}

begin 'serves every function on a socket of its name'
start "$SANDBOX/two.yaml" --run-dir "$dir"
grep -qx 'ready 4 functions' "$SANDBOX/served" || bad "said $(cat "$SANDBOX/served")"
for name in gpu0 gpu0-vf0 gpu0-vf1 gpu1; do [ -S "$dir/$name.sock" ] || bad "no $name.sock"; done

begin 'a second host on the same sockets is refused and leaves none of its own'
run 1 "$mimic" serve "$SANDBOX/two.yaml" --run-dir "$dir"
has err 'in use'
[ -S "$dir/gpu0.sock" ] || bad 'the first host lost its socket'

begin 'SIGTERM removes the sockets'
stop
[ -z "$(ls "$dir")" ] || bad "left: $(ls "$dir")"

begin 'one device of the machine'
start "$SANDBOX/two.yaml" --device gpu1 --run-dir "$dir" --threads 1
[ "$(ls "$dir")" = gpu1.sock ] || bad "serves $(ls "$dir")"
stop
run 1 "$mimic" serve "$SANDBOX/two.yaml" --device gpu7 --run-dir "$dir"
has err 'did you mean gpu'

begin 'a partial start leaves nothing'
printf 'no socket\n' >"$dir/gpu1.sock"
run 1 "$mimic" serve "$SANDBOX/two.yaml" --run-dir "$dir"
[ "$(ls "$dir")" = gpu1.sock ] || bad "left: $(ls "$dir")"
rm "$dir/gpu1.sock"

begin 'readiness over a descriptor'
mkfifo "$SANDBOX/ready"
"$mimic" serve "$SANDBOX/two.yaml" --run-dir "$dir" --ready-fd 7 7>"$SANDBOX/ready" &
pid=$!
read -r line <"$SANDBOX/ready"
[ "$line" = 'ready 4 functions' ] || bad "said $line"
stop

begin 'several machines: one must be chosen'
run 1 "$mimic" serve "$SANDBOX/many.yaml" --run-dir "$dir"
has err '--machine'

begin 'a thousand functions in one process'
start "$SANDBOX/big.yaml" --run-dir "$dir"
grep -qx 'ready 1008 functions' "$SANDBOX/served" || bad "said $(cat "$SANDBOX/served" "$SANDBOX/served.err")"
[ "$(find "$dir" -name '*.sock' | wc -l)" -eq 1008 ] || bad 'not 1,008 sockets'
stop
[ -z "$(ls "$dir")" ] || bad "left: $(find "$dir" | head)"

begin 'bad files and usage'
printf 'version: 1\nmachine: {name: x, memroy: 1G}\n' >"$SANDBOX/bad.yaml"
run 1 "$mimic" serve "$SANDBOX/bad.yaml" --run-dir "$dir"
has err 'memroy'
run 1 "$mimic" serve "$SANDBOX/none.yaml"
run 2 "$mimic" serve
run 2 "$mimic" serve "$SANDBOX/two.yaml" --threads many
