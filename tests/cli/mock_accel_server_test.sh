#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# mock-accel-server from the outside: what it prints, its sockets, its exit status.
# shellcheck source=/dev/null
. "${BASH_SOURCE[0]%/*}/lib.sh"

server=$BIN/mock-accel-server
sock=$SANDBOX/a.sock

start() { # ARGUMENT...: in the background, until it waits for a client
    rm -f "$SANDBOX/served"
    fresh served served.err
    "$server" "$@" >"$SANDBOX/served" 2>"$SANDBOX/served.err" &
    pid=$!
    eventually grep -q 'Waiting for client' "$SANDBOX/served"
}
stop() { # SIGNAL STATUS
    kill "-$1" "$pid"
    wait "$pid" 2>/dev/null
    local got=$?
    [ "$got" -eq "$2" ] || bad "exit status $got after SIG$1, expected $2"
}

begin 'prints what it serves'
start -u MOCK-PF-0 -m 16G --total-vfs 4 "$sock"
for text in 'Physical Function' "$sock" MOCK-PF-0 16G 1de5:0001; do
    grep -qF -- "$text" "$SANDBOX/served" || bad "stdout lacks $text"
done
[ "$(stat -c %a "$sock")" = 600 ] || bad "socket mode $(stat -c %a "$sock")"

begin 'refuses a socket in use, and the first server lives on'
run 1 "$server" "$sock"
has err 'in use'
kill -0 "$pid" || bad 'the first server is gone'
[ -S "$sock" ] || bad 'the socket is gone'

begin 'SIGTERM: exit status 0 and no file'
stop TERM 0
absent "$sock"

begin 'SIGINT: the same'
start "$sock"
stop INT 0
absent "$sock"

begin 'replaces a stale socket'
start "$sock"
stop KILL 137
[ -S "$sock" ] || bad 'no stale socket to replace'
start --vf --vf-index 2 "$sock"
grep -qF 'Virtual Function' "$SANDBOX/served" || bad 'stdout lacks Virtual Function'
grep -qF '1de5:0002' "$SANDBOX/served" || bad 'stdout lacks 1de5:0002'
stop TERM 0

begin 'a file that is no socket is not replaced'
printf 'precious\n' >"$SANDBOX/file"
run 1 "$server" "$SANDBOX/file"
[ "$(cat "$SANDBOX/file")" = precious ] || bad 'the file was changed'

begin 'a path that is too long'
run 1 "$server" "$SANDBOX/$(printf 'x%.0s' {1..120})"
has err '107'

begin 'a folder that is not there, or not writable'
run 1 "$server" "$SANDBOX/none/a.sock"
has err 'No such file or directory'
if [ "$(id -u)" -ne 0 ]; then
    mkdir -m 500 "$SANDBOX/closed"
    run 1 "$server" "$SANDBOX/closed/a.sock"
    has err 'Permission denied'
else
    run 1 "$server" /proc/a.sock
fi

begin 'wrong usage'
run 2 "$server"
run 2 "$server" --total-vfs 8 "$sock"
run 2 "$server" -m 16Q "$sock"
run 2 "$server" --frobnicate "$sock"
absent "$sock"

begin 'help and version'
run 0 "$server" --help
has out --total-vfs
run 0 "$server" --version
has out mock-accel-server
