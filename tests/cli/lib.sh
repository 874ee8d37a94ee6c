# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# What the tests of the programs share: a sandbox for their state, and checks that name what they expect. Sourced.
# Usage of a test: NAME_test.sh BIN_DIR SOURCE_DIR

set -uo pipefail
BIN=$1
# shellcheck disable=SC2034 # Used by the tests.
SRC=$2
FAILED=0
CASE=''

SANDBOX=$(mktemp -d /tmp/mimic-cli.XXXXXX)
export XDG_RUNTIME_DIR=$SANDBOX/run XDG_STATE_HOME=$SANDBOX/state
mkdir -m 700 "$XDG_RUNTIME_DIR"
unset MIMIC_QEMU MIMIC_KVM

finish() {
    local status=$?
    "$BIN/mimic" down --all >/dev/null 2>&1
    if [ -d "$SANDBOX/full" ]; then umount "$SANDBOX/full" 2>/dev/null; fi
    rm -rf "$SANDBOX"
    [ "$FAILED" -eq 0 ] || status=1
    exit "$status"
}
trap finish EXIT
trap 'exit 1' INT TERM

begin() { CASE=$1; printf -- '--- %s\n' "$1"; }

bad() {
    FAILED=1
    printf 'FAILED %s: %s\n' "$CASE" "$1"
    [ ! -s "$SANDBOX/out" ] || sed 's/^/    out: /' "$SANDBOX/out"
    [ ! -s "$SANDBOX/err" ] || sed 's/^/    err: /' "$SANDBOX/err"
}

# run STATUS COMMAND...: runs it and expects the exit status. Output is in $SANDBOX/out and err.
run() {
    local expected=$1 got=0
    shift
    "$@" >"$SANDBOX/out" 2>"$SANDBOX/err" </dev/null || got=$?
    [ "$got" -eq "$expected" ] || bad "exit status $got of \"$*\", expected $expected"
}

# document FORMAT: what was printed is one JSON document of that format (docs/reference/json.md).
document() {
    python3 "$SRC/tests/cli/json_shape.py" "$SRC" "$1" <"$SANDBOX/out" >"$SANDBOX/shape" 2>&1 ||
        bad "no document $1: $(tail -n 3 "$SANDBOX/shape")"
}

has() { grep -qF -- "$2" "$SANDBOX/$1" || bad "std$1 lacks \"$2\""; }
lacks() { ! grep -qF -- "$2" "$SANDBOX/$1" || bad "std$1 has \"$2\""; }
absent() { [ ! -e "$1" ] || bad "$1 exists"; }

# eventually COMMAND...: waits until it succeeds. The bound is for hangs only; nothing here is timed.
eventually() {
    local i
    for ((i = 0; i < 6000; i++)); do
        if "$@" >/dev/null 2>&1; then return 0; fi
        sleep 0.05
    done
    bad "never came true: $*"
    return 1
}

# Before a command begins in the background: who waits for its words must not find those of an earlier one. The shell goes on
# while its child has yet to empty the files.
fresh() {
    local name
    for name in "$@"; do rm -f "${SANDBOX:?}/$name"; done
}

# Processes whose command line names the sandbox, zombies not counted.
leftovers() {
    local pid
    for pid in /proc/[0-9]*; do
        if [ "${pid#/proc/}" -eq $$ ]; then continue; fi
        if grep -qaF "$SANDBOX/run" "$pid/cmdline" 2>/dev/null; then
            printf '%s: %s\n' "$pid" "$(tr '\0' ' ' 2>/dev/null <"$pid/cmdline" | cut -c 1-200)"
        fi
    done 2>/dev/null
}

# Nothing of a machine is left: no process, socket or folder. Logs stay.
nothing_left() {
    local i found=x
    for ((i = 0; i < 200; i++)); do
        found=$(leftovers)$(find "$XDG_RUNTIME_DIR" -mindepth 2 ! -name .lock 2>/dev/null)
        if [ -z "$found" ]; then return 0; fi
        sleep 0.05
    done
    bad "left behind: $found"
}
