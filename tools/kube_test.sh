#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Tests of tools/kube with its quickest part, runc: built once by two runs at the same time, silent again, nothing left by a run that was
# ended, another key for other sources, clean. Prints one line per failure and "N passed, N failed, N skipped".
set -uo pipefail
tools=$(cd "$(dirname -- "$(readlink -f -- "$0")")" && pwd)
command -v go >/dev/null || { echo "SKIP: there is no go in PATH"; exit 77; }
work=$(mktemp -d)
trap 'rm -rf -- "$work"' EXIT
export MIMIC_CACHE=$work/cache
passed=0 failed=0
# holds WHAT COMMAND...
holds() {
    local what=$1
    shift
    if "$@"; then passed=$((passed + 1)); else failed=$((failed + 1)); printf 'FAIL %s (%s)\n' "$what" "$*"; fi
}
# A copy of the tool and of the module, so that its sources can change.
mkdir -p "$work/tree/tests/cluster"
cp -a "$tools" "$work/tree/tools"
cp -a "$tools/../tests/cluster/runc" "$work/tree/tests/cluster/"
kube=$work/tree/tools/kube

# Ended half way: nothing is left that could be taken for a finished part.
"$kube" runc >"$work/killed" 2>&1 &
pid=$!
until [ -n "$(ls -A "$MIMIC_CACHE/tmp" 2>/dev/null)" ] || ! kill -0 "$pid" 2>/dev/null; do sleep 0.01; done
kill -TERM "$pid" 2>/dev/null
wait "$pid"
holds 'a run that was ended says so' [ $? -ne 0 ]
holds 'it printed no path' [ "$(grep -c ^/ "$work/killed")" = 0 ]
holds 'it left nothing in tmp' [ -z "$(ls -A "$MIMIC_CACHE/tmp")" ]
holds 'and no part' [ -z "$(ls -A "$MIMIC_CACHE/cluster" 2>/dev/null)" ]

"$kube" runc >"$work/a" 2>"$work/a.err" &
first=$!
"$kube" runc >"$work/b" 2>"$work/b.err"
holds 'one of two builds' [ $? = 0 ]
wait "$first"
holds 'the other of two builds' [ $? = 0 ]
holds 'both say the same folder' cmp -s "$work/a" "$work/b"
holds 'one of them built' [ "$(cat "$work/a.err" "$work/b.err" | grep -c 'built runc')" = 1 ]
folder=$(cat "$work/a")
holds 'the folder has the program' [ -x "$folder/runc" ]
holds 'runc has seccomp' grep -q libseccomp <("$folder/runc" --version)
"$kube" runc >"$work/again" 2>"$work/again.err"
holds 'again the same folder' cmp -s "$work/a" "$work/again"
holds 'again silent' [ ! -s "$work/again.err" ]

echo '// changed' >>"$work/tree/tests/cluster/runc/go.mod"
"$kube" runc >"$work/changed" 2>/dev/null
holds 'changed sources build' [ $? = 0 ]
holds 'into another folder' [ "$(cat "$work/changed")" != "$folder" ]

sed -i '/opencontainers\/runc v/d' "$work/tree/tests/cluster/runc/go.sum"
"$kube" runc >"$work/broken" 2>"$work/broken.err"
holds 'a module without a checksum fails' [ $? = 1 ]
holds 'with the reason' grep -q 'missing go.sum entry' "$work/broken.err"

touch -d '10 days ago' "$folder/.complete"
"$kube" clean >/dev/null 2>&1
holds 'clean removes what is old' [ ! -e "$folder" ]
holds 'clean keeps what is not' [ -x "$(cat "$work/changed")/runc" ]
"$kube" nonsense >/dev/null 2>&1
holds 'an unknown part is refused' [ $? = 1 ]
printf '%d passed, %d failed, 0 skipped\n' "$passed" "$failed"
[ "$failed" = 0 ]
