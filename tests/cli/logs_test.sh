#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What guests print does nothing to a terminal: `mimic logs` of a log that is meant to. And copies that are none.
# shellcheck source=/dev/null
. "${BASH_SOURCE[0]%/*}/lib.sh"

mimic=$BIN/mimic
folder=$XDG_STATE_HOME/mimic/hostile
mkdir -p "$folder"

# Fails if stdout has a byte that a terminal obeys: a control but newline and tab, or C1 in UTF-8.
clean() {
    ! LC_ALL=C grep -aqP '[\x00-\x08\x0b-\x1f\x7f]|\xc2[\x80-\x9f]|(?<![\xc2-\xf4\x80-\xbf])[\x80-\xbf]' "$SANDBOX/out" ||
        bad "$(printf 'bytes for the terminal:\n%s' "$(od -c "$SANDBOX/out")")"
}

begin 'a log of escapes: title, screen, cursor report, C1 in UTF-8 and raw, half a character'
printf '\033c\033[?7l\033[2JSeaBIOS\r\n\033]0;pwned\007 \302\2335n \2335n \033[6n\033P1+r\033\\ ok\r\nb\303' >"$folder/console.log"
run 0 "$mimic" logs hostile
clean
has out 'SeaBIOS'
has out '0;pwned? ?5n ?5n 1+r ok'
run 0 "$mimic" logs hostile --raw
cmp -s "$SANDBOX/out" "$folder/console.log" || bad '--raw changed something'

begin 'the old part comes first'
printf 'before\r\n' >"$folder/console.log.1"
run 0 "$mimic" logs hostile
clean
[ "$(head -n 1 "$SANDBOX/out")" = before ] || bad 'console.log.1 is not first'

begin 'the other logs, and why a machine ended'
printf 'qemu: \033[31mred\033[0m\n' >"$folder/qemu.log"
run 0 "$mimic" logs hostile --qemu
clean
has out 'qemu: red'
printf 'QEMU: \033]0;title\007\302\233\n' >"$folder/exit-reason"
run 0 "$mimic" logs hostile
mv "$SANDBOX/err" "$SANDBOX/out"
clean

begin 'a copy needs a guest on one side'
printf x >"$SANDBOX/a"
run 2 "$mimic" cp "$SANDBOX/a" "$SANDBOX/b"
has err 'neither side is in a guest'
absent "$SANDBOX/b"
run 2 "$mimic" cp - -

begin 'folders of other users'
if [ "$(id -u)" -eq 0 ]; then
    mkdir -m 700 "$SANDBOX/theirs"
    chown 65534 "$SANDBOX/theirs"
    XDG_RUNTIME_DIR=$SANDBOX/theirs run 1 "$mimic" ps
    has err 'belongs to user 65534'
    has err 'XDG_RUNTIME_DIR'
else
    printf 'NOTE: only root can give a folder to another user; not tested\n'
fi
