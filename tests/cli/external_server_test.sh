#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A server of the user's below a supervisor, without a guest: QEMU starts when the server listens and no sooner, what it prints
# is kept, and its end is that of the machine. And mimic up starts no program that a file names unless it is told to.
# shellcheck source=/dev/null
. "${BASH_SOURCE[0]%/*}/lib.sh"

mimic=$BIN/mimic
dir=$XDG_RUNTIME_DIR/mimic/box
state=$SANDBOX/logs
mkdir -m 700 "$XDG_RUNTIME_DIR/mimic" "$dir"
mkdir -p "$state"
cat >"$SANDBOX/server.py" <<'PY'
import os, socket, sys, time
path, go, die = sys.argv[1:]
def until(name):
    while not os.path.exists(name):
        time.sleep(0.02)
print("the server says this", flush=True)
listener = socket.socket(socket.AF_UNIX)
listener.bind(path)
until(go)
listener.listen()
until(die)
sys.exit(3)
PY

begin 'QEMU starts when the server listens, and the machine ends when it dies'
printf '{"servers": [{"argv": ["python3", "%s", "%s", "%s", "%s"], "name": "mine", "socket": "%s"}],
    "qemu": ["sh", "-c", "touch %s; exec sleep 600"]}' \
    "$SANDBOX/server.py" "$dir/mine.sock" "$SANDBOX/go" "$SANDBOX/die" "$dir/mine.sock" "$SANDBOX/started" |
    python3 "${BASH_SOURCE[0]%/*}/supervise.py" "$mimic" "$dir" "$state" &
up=$!
eventually test -S "$dir/mine.sock"
# The supervisor looks every 20 ms: had it taken the socket for a server, QEMU would be there.
sleep 0.5
absent "$SANDBOX/started"
touch "$SANDBOX/go"
eventually test -e "$SANDBOX/started"
grep -q 'the server says this' "$state/device-host.log" || bad 'what the server printed is not in the log'
touch "$SANDBOX/die"
wait "$up"
absent "$dir"
grep -q 'the server of mine' "$state/exit-reason" || bad "reason: $(cat "$state/exit-reason")"

begin 'mimic up starts no program of a file unless it is told to'
cat >"$SANDBOX/evil.yaml" <<YAML
version: 1
machine:
  name: evil
  devices: [{name: d, model: external, command: [touch, "$SANDBOX/touched", "{socket}"]}]
YAML
run 1 "$mimic" up "$SANDBOX/evil.yaml"
has err --allow-commands
absent "$SANDBOX/touched"
